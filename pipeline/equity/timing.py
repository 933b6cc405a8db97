"""Which record of Compustat a stock takes in a month.

A record is eligible from the month in which its timing lets it be used to the month in which it is stale; of the
eligible ones a firm takes the one with the newest date. Belongs here: the profiles. Does not: when a record becomes
available at all (``compustat``), or what is computed from it (``records``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipeline.panel.calendar import month_number_expr
from pipeline.panel.cross_section import CrossSectionSettings

FISCAL_STALE = 18
"""Months after its end for which a fiscal year serves under a lag of some months."""

GKX_QUARTER_STALE = 9
"""Months after its end for which a fiscal quarter serves (Green, Hand and Zhang 2017)."""

_DATED = month_number_expr("datadate")
_JUNE = 5


def _lagged(months: int, stale: int) -> Callable[[], tuple[pl.Expr, pl.Expr]]:
    return lambda: (_DATED + months, _DATED + stale)


def _june() -> tuple[pl.Expr, pl.Expr]:
    """June after the calendar year in which the fiscal year ends, and eleven months more (Fama and French 1992)."""
    june = (pl.col("datadate").dt.year().cast(pl.Int32) + 1) * 12 + _JUNE
    return june, june + 11


def _gkx_quarter() -> tuple[pl.Expr, pl.Expr]:
    """Four months after its end, and never before it is reported."""
    return pl.max_horizontal(_DATED + 4, month_number_expr("rdq")), _DATED + GKX_QUARTER_STALE


PROFILES: dict[str, Callable[[], tuple[pl.Expr, pl.Expr]]] = {
    "ff_june": _june,
    "lag6m": _lagged(6, FISCAL_STALE),
    "lag4m": _lagged(4, FISCAL_STALE),
}
"""Timing profiles of the sets ``dg41`` and ``kps36``: first and last month, as month numbers, of a fiscal year."""

GKX_ANNUAL = _lagged(6, FISCAL_STALE)
GKX_QUARTERLY = _gkx_quarter


@dataclass(frozen=True, kw_only=True)
class FirmCharacteristicsSettings:
    """How firm characteristics are timed and standardised.

    Attributes
    ----------
    timing : str
        ``ff_june`` (default): June t to May t+1 use the fiscal year that ends in calendar t-1 and market equity of
        December t-1. ``lag6m``, ``lag4m``: the newest fiscal year that ended at least six (four) months before, at
        most eighteen, and market equity of the month in which it ended. The set ``gkx94`` keeps its own timing.
    cross_section : CrossSectionSettings
        Quantiles of winsorising.
    """

    timing: str = "ff_june"
    cross_section: CrossSectionSettings = field(default_factory=CrossSectionSettings)

    def __post_init__(self) -> None:
        if self.timing not in PROFILES:
            raise ValueError(f"timing is {self.timing!r}; the profiles are {', '.join(PROFILES)}")


def chosen_records(
    records: pl.DataFrame, months: Sequence[date], profile: Callable[[], tuple[pl.Expr, pl.Expr]]
) -> pl.DataFrame:
    """Choose the record that every firm uses in each month.

    Parameters
    ----------
    records : pl.DataFrame
        gvkey, datadate, month (of availability), and rdq where the profile asks for it.
    months : sequence of date
        The months.
    profile : callable
        First and last month number of a record.

    Returns
    -------
    pl.DataFrame
        month, gvkey, datadate: at most one row a month and firm, sorted by month and gvkey. A record is never used
        before the month in which it became available.
    """
    first, last = profile()
    held = records.select("gvkey", "datadate", known=month_number_expr(), first=first, last=last)
    wanted = pl.DataFrame({"month": sorted(set(months))}, schema={"month": pl.Date})
    eligible = wanted.with_columns(number=month_number_expr()).join_where(
        held,
        pl.col("number") >= pl.max_horizontal("known", "first"),
        pl.col("number") <= pl.col("last"),
    )
    newest = eligible.group_by("month", "gvkey").agg(pl.col("datadate").max())
    return newest.sort("month", "gvkey")
