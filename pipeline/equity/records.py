"""The records of Compustat that stocks use, with earlier fiscal periods beside them.

An expression over a record names an item (``at``), or the item of k fiscal periods before (``at_1``, ``saleq_4``).
Belongs here: finding the earlier record and adding its columns. Does not: which record is used (``timing``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from pipeline.panel.calendar import month_number_expr

_LAGGED = re.compile(r"(?P<item>[a-z][a-z_]*?)_(?P<lag>\d+)")


@dataclass(frozen=True, kw_only=True)
class Periods:
    """How fiscal periods of a kind of record are counted.

    Attributes
    ----------
    number : pl.Expr
        Number of the period, so that the one before has the number less one.
    reach : callable
        Calendar months within which the record k periods before lies, as a function of k. A firm that changes its
        fiscal year has periods of other lengths; beyond the reach, the period counts as missing.
    """

    number: pl.Expr
    reach: Callable[[int], int]


# A fiscal year f ends between June of f and May of f + 1, so that year f - k ends less than 12 (k + 1) months before.
ANNUAL = Periods(number=pl.col("fyear"), reach=lambda k: 12 * (k + 1))
QUARTERLY = Periods(number=pl.col("fyearq") * 4 + pl.col("fqtr"), reach=lambda k: 3 * (k + 2))


def item(name: str, lag: int = 0) -> pl.Expr:
    """Item of the record, or of the fiscal period ``lag`` before."""
    return pl.col(f"{name}_{lag}" if lag else name)


def items_of(expressions: Iterable[pl.Expr]) -> list[str]:
    """Return the items that expressions name, with or without a lag, ascending."""
    roots = {root for expression in expressions for root in expression.meta.root_names()}
    return sorted({lagged["item"] if (lagged := _LAGGED.fullmatch(root)) else root for root in roots})


def lags_of(expressions: Iterable[pl.Expr]) -> dict[int, list[str]]:
    """Return the items that expressions name with a lag: lag -> items, both ascending."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for expression in expressions:
        for name in expression.meta.root_names():
            lagged = _LAGGED.fullmatch(name)
            if lagged:
                found[int(lagged["lag"])].add(lagged["item"])
    return {lag: sorted(found[lag]) for lag in sorted(found)}


def with_earlier_periods(
    chosen: pl.DataFrame, records: pl.DataFrame, periods: Periods, lags: dict[int, list[str]]
) -> pl.DataFrame:
    """Add to the chosen records their own items and those of earlier fiscal periods, as known in the month of use.

    Parameters
    ----------
    chosen : pl.DataFrame
        month, gvkey, datadate, as :func:`pipeline.equity.timing.chosen_records` gives them.
    records : pl.DataFrame
        month (of availability), gvkey, datadate, the columns of ``periods`` and the items.
    periods : Periods
        How periods are counted.
    lags : dict of int to list of str
        Items wanted of k periods before.

    Returns
    -------
    pl.DataFrame
        The rows of ``chosen`` in their order with every item, and ``<item>_<k>``: from the newest record of that
        period that is available in the month, dated before the record itself and within its reach; null without one.
    """
    numbered = records.with_columns(period=periods.number, dated=month_number_expr("datadate"))
    own = chosen.join(numbered.drop("month"), on=["gvkey", "datadate"], how="left", maintain_order="left")
    own = own.sort("month", "gvkey").with_row_index("place")
    for lag, items in lags.items():
        columns = {f"{item}_{lag}": pl.col(item) for item in items}
        pool = numbered.select("gvkey", "period", known="month", then="dated", **columns)
        age = pl.col("dated") - pl.col("then")
        earlier = (
            own.select("place", "month", "gvkey", "dated", period=pl.col("period") - lag)
            .join(pool, on=["gvkey", "period"], how="inner")
            .filter(pl.col("known") <= pl.col("month"), age > 0, age <= periods.reach(lag))
            .sort("place", "then")
            .unique("place", keep="last", maintain_order=True)
        )
        own = own.join(earlier.select("place", *columns), on="place", how="left", maintain_order="left")
    return own.drop("period", "dated", "place")


def lookback(periods: Periods, lags: dict[int, list[str]], stale: int) -> int:
    """Months of availability that records of a month need, that month included.

    Parameters
    ----------
    periods : Periods
        How periods are counted.
    lags : dict of int to list of str
        Items wanted of k periods before.
    stale : int
        Months after its end for which a record is used; it is available in the month of its end at the earliest.
    """
    return stale + periods.reach(max(lags, default=0)) + 1
