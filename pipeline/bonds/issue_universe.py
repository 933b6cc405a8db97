"""Which issues of FISD make up the universe: one entry a filter, from which come the flags and the waterfall.

Belongs here: the filters and what can be chosen about them. Does not: the bounds on prices (``month_end``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

NOT_CORPORATE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("USBD", "USNT", "USBL", "USTC"), "US Treasury: bonds, notes, bills, other coupon securities"),
        **dict.fromkeys(("USSP", "USSI"), "US Treasury strips: principal, interest"),
        **dict.fromkeys(
            ("O4W", "O13W", "O26W", "O52W", "O2Y", "O3Y", "O5Y", "O10Y", "O30Y"), "US Treasury on the run, by tenor"
        ),
        **dict.fromkeys(
            ("ADEB", "ABND", "AMTN", "ADNT", "ARNT", "ASPZ", "EMTN"),
            "federal agencies: debentures, bonds, medium-term, discount and retail notes, strips; published lists have "
            "EMTN among them",
        ),
        **dict.fromkeys(("FGOV", "FGS"), "foreign governments"),
        "TXMU": "taxable municipal",
        **dict.fromkeys(("MBS", "ABS"), "pools of mortgages and other assets"),
        "PSTK": "preferred stock",
    }
)
"""FISD's ``bond_type`` of what no corporation owes -> what it is.

The list follows the published cleanings of Bai, Bali and Wen (2019) and Dickerson, Mueller and Robotti (2023). It names
what goes, since FISD adds codes for corporate bonds. What those lists drop for another reason is left to the flags or
stays: convertibles (CCOV) go by their flag; pass-through certificates (CPAS), bank notes (USBN), retail notes (RNT),
preferred securities (PS) and trust-preferred capital securities (TPCS) are debts of corporations.
"""


@dataclass(frozen=True, kw_only=True)
class IssueSettings:
    """What can be chosen about the universe of bonds.

    Attributes
    ----------
    years_to_maturity : int
        Fewest years from the end of the month to maturity.
    rule_144a : bool
        Keep private placements under rule 144A. The sources' filters do not name them, and TRACE has reported their
        trades since 2014: they are kept by default.
    excluded_bond_types : tuple of str
        FISD's ``bond_type`` of issues that are no corporation's debt; default :data:`NOT_CORPORATE`.
    """

    years_to_maturity: int = 1
    rule_144a: bool = True
    excluded_bond_types: tuple[str, ...] = tuple(NOT_CORPORATE)

    def __post_init__(self) -> None:
        if isinstance(self.excluded_bond_types, str) or any(not code.strip() for code in self.excluded_bond_types):
            raise ValueError(
                f"excluded_bond_types is a list of FISD's codes, such as {['USTC', 'ADEB']}, not "
                f"{self.excluded_bond_types!r}"
            )
        if self.years_to_maturity < 0:
            raise ValueError(f"years_to_maturity counts years after the month, not {self.years_to_maturity}")


@dataclass(frozen=True, kw_only=True)
class UniverseFilter:
    """One condition of the universe.

    Attributes
    ----------
    keeps : callable
        Boolean expression over the issues of a month as a function of the settings; null keeps nothing.
    meaning : str
        What stays, as the waterfall names it.
    reason : str
        Why the others go.
    """

    keeps: Callable[[IssueSettings], pl.Expr]
    meaning: str
    reason: str


def _no(flag: str) -> Callable[[IssueSettings], pl.Expr]:
    """Keep what FISD says is not so: a flag that is blank says nothing."""
    return lambda settings: pl.col(flag) == "N"


def _corporate(settings: IssueSettings) -> pl.Expr:
    codes = [code.strip().upper() for code in settings.excluded_bond_types]
    return ~pl.col("bond_type").str.to_uppercase().is_in(codes)


def _year_to_maturity(settings: IssueSettings) -> pl.Expr:
    earliest = pl.col("month").dt.month_end().dt.offset_by(f"{settings.years_to_maturity}y")
    return pl.col("maturity") >= earliest


def _scheduled() -> pl.Expr:
    since = pl.coalesce("dated_date", "offering_date")
    known = pl.all_horizontal(pl.col("coupon", "interest_frequency", "day_count").is_not_null())
    return known & (pl.col("coupon") >= 0.0) & (pl.col("maturity") > since)


FIXED_OR_ZERO_COUPON = "fixed_or_zero_coupon"
SCHEDULED = "scheduled"

FILTERS: Mapping[str, UniverseFilter] = MappingProxyType(
    {
        "corporate": UniverseFilter(
            keeps=_corporate,
            meaning="of a corporation",
            reason="Treasuries, agencies, foreign governments, municipals and pools stand in the table too, and TRACE "
            "reports trades in agencies",
        ),
        "us_dollar": UniverseFilter(
            keeps=_no("foreign_currency"),
            meaning="in US dollars",
            reason="payments in another currency bear its risk and accrue by other rules",
        ),
        FIXED_OR_ZERO_COUPON: UniverseFilter(
            keeps=lambda settings: pl.col("coupon_type").is_in(("F", "Z")),
            meaning="fixed or no coupon",
            reason="the coming coupons of a floater are not known at the end of the month",
        ),
        "not_convertible": UniverseFilter(
            keeps=_no("convertible"), meaning="not convertible", reason="the option to convert is a claim on equity"
        ),
        "not_exchangeable": UniverseFilter(
            keeps=_no("exchangeable"),
            meaning="not exchangeable",
            reason="as convertible, into the stock of another company",
        ),
        "not_asset_backed": UniverseFilter(
            keeps=_no("asset_backed"),
            meaning="not asset backed",
            reason="a claim on a pool of assets, not on the issuer's",
        ),
        "not_putable": UniverseFilter(
            keeps=_no("putable"),
            meaning="not putable",
            reason="the holder's option changes what the price says of credit; the issuer's call is kept, since few "
            "bonds without one were issued before the late 1980s",
        ),
        "not_perpetual": UniverseFilter(
            keeps=_no("perpetual"), meaning="not perpetual", reason="without a maturity there is no yield to it"
        ),
        "rule_144a_kept": UniverseFilter(
            keeps=lambda settings: pl.lit(settings.rule_144a) | (pl.col("rule_144a") == "N"),
            meaning="of an admitted kind of placement",
            reason="a setting says whether private placements under rule 144A stay",
        ),
        SCHEDULED: UniverseFilter(
            keeps=lambda settings: _scheduled(),
            meaning="with a schedule of payments",
            reason="without coupon, frequency, day count, maturity and the day from which interest accrues, the dated "
            "date or else the offering date, no payment is known",
        ),
        "identified": UniverseFilter(
            keeps=lambda settings: pl.col("isin").is_not_null(),
            meaning="with an ISIN of its own",
            reason="it is the key of a bond's returns",
        ),
        "outstanding": UniverseFilter(
            keeps=lambda settings: (pl.col("amount_outstanding") != 0.0).fill_null(True),
            meaning="outstanding at the end of the month",
            reason="nobody holds what was called or redeemed; an unknown amount is not zero",
        ),
        "years_to_maturity": UniverseFilter(
            keeps=_year_to_maturity,
            meaning="at least a year to maturity",
            reason="indices drop bonds in their last year, and their prices grow stale",
        ),
    }
)
"""Column of ``bond_issues`` -> filter, in the order of the waterfall."""


def passes(settings: IssueSettings) -> list[pl.Expr]:
    """Return every filter's outcome under its own name; null counts as not passed."""
    return [entry.keeps(settings).fill_null(False).alias(name) for name, entry in FILTERS.items()]


def amount_share(universe: pl.DataFrame, holds: pl.Expr) -> float | None:
    """Return the share of the amount outstanding of which something holds, None where no amount is known."""
    amount = pl.col("amount_outstanding")
    held, total = universe.select(held=amount.filter(holds).sum(), total=amount.sum()).row(0)
    return held / total if total else None
