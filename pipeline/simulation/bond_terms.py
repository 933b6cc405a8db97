"""Terms of the bonds as their prospectuses have them: coupon calendars, day counts, options, days of default and exit.

The bonds of `Issues` come first, in their order. After them stand a few issues that the index and the universe of plain
bonds leave out: floating coupons, options other than the issuer's call, other collateral, other money, no maturity.
Whatever a bond is worth is in `bonds`; how FISD writes the terms down is in `fisd`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_trading import default_sessions
from pipeline.simulation.economy import Economy
from pipeline.simulation.identifiers import bond_cusip, domestic_isin
from pipeline.simulation.paths import Array, stream

Days = NDArray[np.datetime64]
Flags = NDArray[np.bool_]

FREQUENCIES = {2: 0.91, 4: 0.03, 12: 0.03, 1: 0.03}
"""Coupons a year of bonds that pay any, and how often each number occurs."""

DAY_COUNTS = {"30/360": 0.85, "ACT/ACT": 0.06, "ACT/360": 0.05, "ACT/365": 0.04}
"""Day counts as FISD spells them, and how often each one occurs."""

FIRST_COUPONS = {"regular": 0.76, "settled": 0.10, "short": 0.05, "seasoned": 0.04, "long": 0.05}
"""How the first coupon comes about, and how often.

Interest accrues from the day of issue; from some days later (`settled`); from ten days later (`short`); from two months
earlier, which makes the first coupon longer (`seasoned`); or the first coupon date passes without one (`long`).
"""

BOND_TYPES = {"CDEB": 0.66, "CMTN": 0.30, "CPAS": 0.04}
SECURITY_LEVELS = {"SEN": 0.84, "SENS": 0.06, "SS": 0.05, "SUB": 0.03, "JUN": 0.02}

EXCLUDED = (
    "floating", "convertible", "putable", "exchangeable", "asset_backed", "foreign_currency", "perpetual",
)  # fmt: skip
"""Kinds of issues beside those of the index; each one has the one feature that keeps it out."""

EXCLUDED_SHARE = 0.04
"""Issues beside those of the index, as a share of these; two of each kind at least."""

TECHNICAL_SHARE = 0.03
"""Share of the bonds that never fail in earnest which default on paper and are reinstated."""

_FIRST_EXCLUDED = 24 * 12


@dataclass(frozen=True)
class BondTerms:
    """Terms, one entry an issue: those of `Issues` first, then those left out; arrays of shape (N,).

    Parameters
    ----------
    n_index : int
        Number of the bonds of `Issues`, B.
    kind : ndarray of str
        `index`, or which of `EXCLUDED` the issue is.
    issuer : ndarray of int
        Position of the issuer among the firms.
    issue_id : ndarray of int
        FISD's key.
    cusips, isins : list of str
        Nine-character CUSIPs and ISINs.
    offered, dated : ndarray of datetime64[D]
        Day of issue, and day from which interest accrues.
    first_coupon, maturity : ndarray of datetime64[D]
        NaT where no coupon is paid, and where there is no maturity.
    coupon : ndarray
        Annual coupon, percent.
    frequency : ndarray of int
        Coupons a year, 0 where there is none. Coupon days count back from the maturity, on the same day of the month.
    day_count, bond_type, security_level : ndarray of str
        As FISD spells them.
    amount : ndarray
        Amount offered, thousands.
    redeemable, rule_144a, private_placement : ndarray of bool
        Features that leave a bond in the universe.
    """

    n_index: int
    kind: NDArray[np.str_]
    issuer: NDArray[np.intp]
    issue_id: NDArray[np.intp]
    cusips: list[str]
    isins: list[str]
    offered: Days
    dated: Days
    first_coupon: Days
    maturity: Days
    coupon: Array
    frequency: NDArray[np.intp]
    day_count: NDArray[np.str_]
    bond_type: NDArray[np.str_]
    security_level: NDArray[np.str_]
    amount: Array
    redeemable: Flags
    rule_144a: Flags
    private_placement: Flags

    @property
    def n(self) -> int:
        """Number of issues, N."""
        return len(self.issuer)

    def has(self, option: str) -> Flags:
        """Whether an issue has a feature that is named in `EXCLUDED`; shape (N,)."""
        return self.kind == option


@dataclass(frozen=True)
class BondEvents:
    """Days on which something happens to the bonds of `Issues`; arrays of shape (B,), NaT where it never does.

    Parameters
    ----------
    default, reinstated : ndarray of datetime64[D]
        Default, and the day from which it is mended; only defaults on paper are, a price never shows those.
    left : ndarray of datetime64[D]
        Day from which nothing is outstanding: the call, the exchange, the end of a reorganisation, the maturity; it
        may lie after the clock.
    """

    default: Days
    reinstated: Days
    left: Days

    def flat(self, bond: NDArray[np.intp], day: Days) -> Flags:
        """Whether bonds trade without interest on given days."""
        return (self.default[bond] <= day) & ~(self.reinstated[bond] <= day)


def bond_terms(economy: Economy) -> BondTerms:
    """Write the terms of every issue.

    Parameters
    ----------
    economy : Economy
        The market as drawn; the same economy has the same terms.

    Returns
    -------
    BondTerms
    """
    rng = stream(economy.seed, "bond terms")
    issues, b = economy.issues, economy.issues.n
    extra = _excluded(economy)
    n = b + len(extra["kind"])
    coupon = np.concatenate([issues.coupon, extra["coupon"]])
    offered = np.concatenate([issues.offered, extra["offered"]]).astype("datetime64[D]")
    maturity = np.concatenate([issues.maturity.astype("datetime64[D]"), extra["maturity"]])
    frequency = np.where(coupon == 0, 0, _choose(FREQUENCIES, n, rng))
    start = np.where(frequency == 0, "regular", _choose(FIRST_COUPONS, n, rng))
    dated = offered + np.select([start == "settled", start == "short"], [rng.integers(2, 8, n), 10], 0)
    earlier = on_day(month_number(offered) - 2, month_place(offered))
    called = economy.bonds.lives.reason == "call"
    bond_type = np.where(coupon == 0, "CZ", _choose(BOND_TYPES, n, rng))
    level = _choose(SECURITY_LEVELS, n, rng)
    redeemable = rng.random(n) < 0.6
    redeemable[:b] |= called
    return BondTerms(
        n_index=b,
        kind=np.concatenate([np.full(b, "index"), extra["kind"]]),
        issuer=np.concatenate([issues.issuer, extra["issuer"]]),
        issue_id=_issue_ids(offered),
        cusips=[*issues.cusips, *extra["cusip"].tolist()],
        isins=[*issues.isins, *(domestic_isin(nine) for nine in extra["cusip"].tolist())],
        offered=offered,
        dated=np.where(start == "seasoned", earlier, dated),
        first_coupon=_first_coupon(offered, frequency, start == "long"),
        maturity=maturity,
        coupon=coupon,
        frequency=frequency,
        day_count=_choose(DAY_COUNTS, n, rng),
        bond_type=np.concatenate([bond_type[:b], np.where(extra["kind"] == "convertible", "CCOV", bond_type[b:])]),
        security_level=level,
        amount=np.concatenate([issues.par, extra["amount"]]),
        redeemable=redeemable,
        rule_144a=rng.random(n) < 0.04,
        private_placement=rng.random(n) < 0.01,
    )


def bond_events(economy: Economy, terms: BondTerms) -> BondEvents:
    """Find the days of default, reinstatement and exit of the bonds of `Issues`.

    A bond that defaults in earnest does so on the session on which its price falls. One that is called or
    exchanged is gone on the last session of the month at whose end the index loses it, a failed one then or some months
    later, any other one at its maturity. Between a default on paper and its end no coupon falls due.

    Parameters
    ----------
    economy : Economy
        The market as drawn.
    terms : BondTerms
        Terms of its bonds.

    Returns
    -------
    BondEvents
    """
    rng = stream(economy.seed, "bond events")
    clock, lives, b = economy.clock, economy.bonds.lives, terms.n_index
    later = rng.integers(0, 7, b)
    failed = lives.default < clock.n
    default = np.where(failed, clock.sessions[default_sessions(clock, lives, economy.seed)], np.datetime64("NaT"))
    paper, cured = _on_paper(economy, terms, ~failed, rng)
    exit_month = np.minimum(lives.left, clock.n - 1)
    last_session = clock.last_sessions[exit_month]
    reorganised = np.where(later < 4, last_session, last_session + 30 * later)
    left = terms.maturity[:b].copy()
    for reason, day in {"call": last_session, "exchange": last_session, "default": reorganised}.items():
        left = np.where(lives.reason == reason, day, left)
    return BondEvents(default=np.where(failed, default, paper), reinstated=cured, left=left)


def _on_paper(economy: Economy, terms: BondTerms, sound: Flags, rng: np.random.Generator) -> tuple[Days, Days]:
    """Defaults that a later payment mends: from the month after a coupon to the second or third one after it."""
    clock, lives, b = economy.clock, economy.bonds.lives, terms.n_index
    nowhere = np.full(b, np.datetime64("NaT"), dtype="datetime64[D]")
    last = np.minimum(lives.left, clock.n) - 8
    able = np.flatnonzero(sound & (terms.frequency[:b] == 2) & (last - economy.issues.entry > 16))
    chosen = rng.permutation(able)[: max(2, round(TECHNICAL_SHARE * len(able)))]
    entry = economy.issues.entry[chosen]
    months = entry + 8 + np.floor(rng.random(len(chosen)) * (last[chosen] - entry - 16)).astype(np.intp)
    # Back to the month after a coupon, so that both days lie between two coupons.
    since = (month_number(clock.month_ends[months]) - month_number(terms.maturity[chosen])) % 6
    begin = clock.month_ends[months - since + 1]
    default, reinstated = nowhere.copy(), nowhere.copy()
    default[chosen] = begin - rng.integers(3, 12, len(chosen))
    reinstated[chosen] = begin + rng.integers(40, 80, len(chosen))
    return default, reinstated


def _excluded(economy: Economy) -> Mapping[str, np.ndarray]:
    """Issues that are not in the index."""
    rng = stream(economy.seed, "excluded issues")
    clock = economy.clock
    n = max(2 * len(EXCLUDED), round(EXCLUDED_SHARE * economy.issues.n))
    kind = np.array([EXCLUDED[i % len(EXCLUDED)] for i in range(n)])
    issuer = rng.integers(0, economy.size.issuers, n)
    month = rng.integers(0, clock.n - 1, n)
    offered = clock.months[month].astype("datetime64[D]") + np.where(rng.random(n) < 0.5, 0, 14)
    tenor = rng.choice([5, 7, 10, 30], size=n)
    matures = (month_number(offered) + 12 * tenor).astype("datetime64[M]").astype("datetime64[D]") + month_place(
        offered
    )
    return {
        "kind": kind,
        "issuer": issuer,
        "offered": offered,
        "maturity": np.where(kind == "perpetual", np.datetime64("NaT"), matures),
        "coupon": np.round(8 * (2 + 5 * rng.random(n))) / 8,
        "amount": np.round(2 + 10 * rng.random(n)) * 50_000.0,
        # Codes that the bonds of the index do not reach.
        "cusip": np.array([
            bond_cusip(economy.firms.codes[firm], _FIRST_EXCLUDED + issued)
            for firm, issued in zip(issuer.tolist(), _issued_before(issuer), strict=True)
        ]),
    }  # fmt: skip


def _issued_before(issuer: NDArray[np.intp]) -> list[int]:
    """How many of the issues before each one are of the same issuer."""
    return [int(np.sum(issuer[:place] == firm)) for place, firm in enumerate(issuer.tolist())]


def _choose(shares: Mapping, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw keys by their shares."""
    return rng.choice(np.array(list(shares)), size=n, p=np.array(list(shares.values())))


def month_number(days: Days) -> NDArray[np.int64]:
    """Months since 1970 of days."""
    return days.astype("datetime64[M]").astype(np.int64)


def month_place(days: Days) -> NDArray[np.int64]:
    """Days since the first of their months."""
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)


def on_day(month: NDArray[np.int64], place: NDArray[np.int64]) -> Days:
    """Days from months since 1970 and days since the first of the month."""
    first: Days = month.astype("datetime64[M]").astype("datetime64[D]")
    return first + place


def _first_coupon(offered: Days, frequency: NDArray[np.intp], long: Flags) -> Days:
    """First day on which a coupon is paid, one period after the issue or two."""
    period = 12 // np.maximum(frequency, 1)
    first = on_day(month_number(offered) + period * np.where(long, 2, 1), month_place(offered))
    return np.where(frequency > 0, first, np.datetime64("NaT"))


def _issue_ids(offered: Days) -> NDArray[np.intp]:
    """Numbers in the order of issue."""
    ids = np.empty(len(offered), dtype=np.intp)
    ids[np.argsort(offered, kind="stable")] = 100_001 + np.arange(len(offered))
    return ids
