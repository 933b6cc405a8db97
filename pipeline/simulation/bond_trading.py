"""Trades in the economy's bonds as they took place: daily prices between month ends, dates, times, prices, volumes.

A month is drawn from its own stream. How trades are reported, and what goes wrong in it, is the business of the `trace`
modules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bonds import BondLives
from pipeline.simulation.clock import Clock
from pipeline.simulation.issuance import Issues
from pipeline.simulation.paths import Array, stream

CUSTOMER, DEALER, LONE_BUY = 0, 1, 2
"""Kinds of trades: with a customer; between dealers, both of whom report; between dealers, only the buyer reporting."""

DEALER_SHARE, LONE_SHARE, AGENCY_SHARE = 0.20, 0.04, 0.08
"""Shares of trades between dealers, of those whose seller never reports, and of trades passed on to a customer."""

COMMISSIONED, TWINS = 0.3, 0.006
"""Share of agency trades for a commission; share of customer trades made twice a few minutes apart at equal terms."""

MEDIAN_TRADES, SPREAD_OF_HABITS, LAST_YEAR_SHARE = 9.0, 0.8, 0.3
"""Trades a month of the median bond, deviation of their log over bonds, and what is left of them in the last year."""

SILENT_MONTHS, SILENT_ENDS, QUIET_SESSIONS = 0.03, 0.05, 5
"""Shares of a bond's months without a trade, and without one in the last sessions; the number of these sessions."""

SAME_DAY = 0.2
"""Share of a month's trades that gather on one day."""

DAY = 24 * 3600
"""Seconds of a day."""

OPENS, CLOSES = 8 * 3600, 17 * 3600 + 900
"""First and last second of the day at which bonds trade."""

VOLUMES = np.array([
    2e3, 5e3, 7e3, 9e3, 1e4, 1.5e4, 2e4, 2.5e4, 4e4, 5e4, 7.5e4, 1e5, 2e5, 2.5e5, 5e5, 1e6, 1.5e6, 2e6, 3e6, 5e6, 1e7,
    2.5e7,
])  # fmt: skip
VOLUME_SHARES = np.array([
    0.05, 0.07, 0.02, 0.03, 0.08, 0.05, 0.07, 0.08, 0.04, 0.07, 0.03, 0.08, 0.05, 0.03, 0.06, 0.07, 0.02, 0.04, 0.02,
    0.02, 0.01, 0.01,
])  # fmt: skip
"""Face amounts in dollars and how often they trade."""

RETAIL = 1e5
"""Below this face amount customers pay the retail spread."""

DECIMALS, DECIMAL_SHARES = np.array([3, 4, 5, 6]), np.array([0.6, 0.2, 0.1, 0.1])


@dataclass(frozen=True)
class Trades:
    """Trades in the order of bond, session and second; arrays of shape (n,).

    Parameters
    ----------
    bond : ndarray of int
        Position in `Issues`.
    session : ndarray of int
        Position among the clock's sessions.
    second : ndarray of int
        Second of the day.
    price : ndarray
        Clean price per 100 of face.
    volume : ndarray
        Face amount, dollars.
    kind : ndarray of int
        `CUSTOMER`, `DEALER` or `LONE_BUY`.
    bought : ndarray of bool
        The reporting dealer buys from the customer; meaningless between dealers.
    agent, commission : ndarray of bool
        Customer's leg of an agency trade, whose dealers' leg is a trade of its own; whether it bears a commission.
    twin : ndarray of bool
        One of two trades of equal terms.
    """

    bond: NDArray[np.intp]
    session: NDArray[np.intp]
    second: NDArray[np.intp]
    price: Array
    volume: Array
    kind: NDArray[np.intp]
    bought: NDArray[np.bool_]
    agent: NDArray[np.bool_]
    commission: NDArray[np.bool_]
    twin: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Number of trades."""
        return len(self.bond)

    def take(self, rows: NDArray) -> "Trades":
        """Return chosen rows, by position or mask, in the order given."""
        return Trades(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def order(self) -> NDArray[np.intp]:
        """Return the positions in the order of bond, session and second."""
        days = self.session.max(initial=0) + 1
        return np.argsort((self.bond * days + self.session) * DAY + self.second, kind="stable")


def stack(parts: Sequence[Trades]) -> Trades:
    """Put sets of trades together, one after another."""
    return Trades(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Trades)}
    )


def simulate_trades(clock: Clock, issues: Issues, lives: BondLives, seed: int) -> Trades:
    """Let every bond trade from its issue to its last day.

    A bond trades from its issue day, or the first snapshot's month, to the end of the month in which it leaves the
    index; one that leaves because less than a year is left goes on, thinly, to its maturity.

    Parameters
    ----------
    clock : Clock
        Months and sessions.
    issues : Issues
        Terms of the bonds.
    lives : BondLives
        Month-end prices, defaults and exits.
    seed : int
        Seed of the market.

    Returns
    -------
    Trades
        No second of a bond's day has two trades, and no price occurs twice in it, twins and the legs of an agency trade
        apart.
    """
    rng = stream(seed, "bond trading habits")
    habits = MEDIAN_TRADES * np.exp(SPREAD_OF_HABITS * rng.standard_normal(issues.n))
    daily_sd = 0.0012 + 0.0018 * rng.random(issues.n)
    levels = _levels(clock, issues, lives)
    days = default_sessions(clock, lives, seed)
    parts = []
    for t in range(clock.first_snapshot, clock.n):
        bonds = np.flatnonzero(np.isfinite(levels[t]))
        rng = stream(seed, f"bond trading {t}")
        start, stop = int(clock.starts[t]), int(clock.starts[t + 1])
        end = levels[t, bonds]
        before = np.where(issues.entry[bonds] == t, end, levels[t - 1, bonds])
        jump = np.where(lives.default[bonds] == t, days[bonds] - start, -1)
        mids = np.exp(bridges(before, end, daily_sd[bonds], jump, stop - start, rng))
        first, last = _windows(clock, issues, t, bonds)
        thin = np.where(t > lives.left[bonds], LAST_YEAR_SHARE, 1.0)
        parts.append(draw_trades(mids, bonds, start, first, last, thin * habits[bonds], rng))
    trades = stack(parts)
    return trades.take(trades.order())


def default_sessions(clock: Clock, lives: BondLives, seed: int) -> NDArray[np.intp]:
    """Session on which the price of a defaulting bond jumps, inside the month of its default.

    Parameters
    ----------
    clock : Clock
        Sessions.
    lives : BondLives
        Months of default.
    seed : int
        Seed of the market.

    Returns
    -------
    ndarray of int, shape (B,)
        Position among the sessions, at least three from either end of the month; -1 for bonds that never default.
    """
    share = stream(seed, "default days").random(len(lives.default))
    month = np.minimum(lives.default, clock.n - 1)
    lengths = np.diff(clock.starts)[month]
    days = clock.starts[month] + 3 + np.floor(share * (lengths - 6)).astype(np.intp)
    return np.where(lives.default < clock.n, days, -1)


def bridges(
    start: Array, end: Array, daily_sd: Array, jump: NDArray[np.intp], days: int, rng: np.random.Generator
) -> Array:
    """Daily log prices that lead from one month end to the next.

    Parameters
    ----------
    start, end : ndarray, shape (k,)
        Log prices at the two month ends.
    daily_sd : ndarray, shape (k,)
        Deviation of a daily change; a change is never more than three deviations from the month's mean.
    jump : ndarray of int, shape (k,)
        Day on which the whole change of the month happens; -1: evenly.
    days : int
        Sessions of the month.
    rng : numpy.random.Generator
        Source of the daily changes.

    Returns
    -------
    ndarray, shape (days, k)
    """
    noise = np.clip(rng.standard_normal((days, len(start))), -3, 3) * daily_sd
    steps = noise - noise.mean(axis=0)
    jumps = jump >= 0
    steps += np.where(jumps, 0.0, (end - start) / days)
    steps[jump[jumps], np.flatnonzero(jumps)] += (end - start)[jumps]
    return start + np.cumsum(steps, axis=0)


def draw_trades(
    mids: Array, bonds: NDArray[np.intp], start: int, first: NDArray[np.intp], last: NDArray[np.intp],
    intensity: Array, rng: np.random.Generator,
) -> Trades:  # fmt: skip
    """Draw the trades of one month.

    Parameters
    ----------
    mids : ndarray, shape (days, k)
        Daily clean prices.
    bonds : ndarray of int, shape (k,)
        Positions of the bonds.
    start : int
        First session of the month.
    first, last : ndarray of int, shape (k,)
        Days of the month between which a bond may trade; none if `last` is smaller.
    intensity : ndarray, shape (k,)
        Expected number of trades.
    rng : numpy.random.Generator
        Source of the trades.

    Returns
    -------
    Trades
        In no order.
    """
    busy, u = rng.gamma(3.0, 1 / 3.0, len(bonds)), rng.random(len(bonds))
    quiet = (u > SILENT_MONTHS) & (u < SILENT_MONTHS + SILENT_ENDS)
    last = np.where(quiet, np.minimum(last, len(mids) - 1 - QUIET_SESSIONS), last)
    silent = (u < SILENT_MONTHS) | (last < first)
    number = rng.poisson(np.where(silent, 0.0, intensity * busy))
    j = np.repeat(np.arange(len(bonds)), number)
    n = len(j)
    span = last - first + 1
    favourite = first + np.floor(rng.random(len(bonds)) * span).astype(np.intp)
    anywhere = first[j] + np.floor(rng.random(n) * span[j]).astype(np.intp)
    day = np.where(rng.random(n) < SAME_DAY, favourite[j], anywhere)
    u = rng.random(n)
    agency = u < AGENCY_SHARE
    lone = ~agency & (u < AGENCY_SHARE + LONE_SHARE)
    dealer = agency | (u < AGENCY_SHARE + LONE_SHARE + DEALER_SHARE)
    kind = np.select([lone, dealer], [LONE_BUY, DEALER], CUSTOMER)
    bought = rng.random(n) < 0.45
    volume = rng.choice(VOLUMES, size=n, p=VOLUME_SHARES)
    half = np.where(volume < RETAIL, 0.001 + 0.006 * rng.random(n), 0.0003 + 0.0017 * rng.random(n))
    side = np.where(kind == CUSTOMER, np.where(bought, -half, half), 0.2 * half * (2 * rng.random(n) - 1))
    scale = 10.0 ** rng.choice(DECIMALS, size=n, p=DECIMAL_SHARES)
    price = np.rint(mids[day, j] * (1 + side) * scale) / scale
    plain = np.zeros(n, bool)
    trades = Trades(
        bond=bonds[j], session=start + day, second=rng.integers(OPENS, CLOSES, n), price=price, volume=volume,
        kind=kind, bought=bought, agent=plain, commission=plain, twin=plain,
    )  # fmt: skip
    millionths = np.rint(trades.price * 1e6).astype(np.intp)
    trades = replace(trades, price=_distinct(millionths, trades, 1000) / 1e6)
    trades = _with_copies(trades, agency, rng)
    return replace(trades, second=_distinct(trades.second, trades, 1))


def _with_copies(trades: Trades, agency: NDArray[np.bool_], rng: np.random.Generator) -> Trades:
    """Add the customers' legs of agency trades, and twins."""
    twin = (trades.kind == CUSTOMER) & (rng.random(trades.n) < TWINS)
    trades = replace(trades, twin=twin)
    legs, twins = trades.take(agency), trades.take(twin)
    commission = rng.random(legs.n) < COMMISSIONED
    customers = replace(
        legs, kind=np.full(legs.n, CUSTOMER), agent=np.ones(legs.n, bool), commission=commission,
        second=legs.second + rng.integers(1, 120, legs.n),
    )  # fmt: skip
    later = replace(twins, second=twins.second + rng.integers(60, 1800, twins.n))
    return stack((trades, customers, later))


def _distinct(values: NDArray[np.intp], trades: Trades, step: int) -> NDArray[np.intp]:
    """Move values up by steps until none is twice in a bond's day."""
    values = values.copy()
    day = trades.bond * (trades.session.max(initial=0) + 1) + trades.session
    again = np.arange(trades.n)
    while len(again):
        order = np.lexsort((values, day))
        same = (day[order][1:] == day[order][:-1]) & (values[order][1:] == values[order][:-1])
        again = order[1:][same]
        values[again] += step
    return values


def _levels(clock: Clock, issues: Issues, lives: BondLives) -> Array:
    """Log month-end prices, led on to 100 at maturity for sound bonds that leave the index for being short."""
    levels = np.log(lives.prices)
    maturity = (issues.maturity.astype("datetime64[M]") - clock.months[0]).astype(np.intp)
    for bond in np.flatnonzero((lives.reason == "short") & (lives.default == clock.n)):
        left = lives.left[bond]
        months = np.arange(left + 1, min(maturity[bond], clock.n - 1) + 1)
        share = (months - left) / max(maturity[bond] - left, 1)
        levels[months, bond] = levels[left, bond] * (1 - share) + np.log(100.0) * share
    return levels


def _windows(
    clock: Clock, issues: Issues, t: int, bonds: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last day of month t on which each bond may trade."""
    sessions = clock.sessions[clock.starts[t] : clock.starts[t + 1]]
    first = np.searchsorted(sessions, issues.offered[bonds].astype("datetime64[D]"))
    return first, np.searchsorted(sessions, issues.maturity[bonds].astype("datetime64[D]"), side="right") - 1
