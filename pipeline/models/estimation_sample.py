"""Which portfolios, and which of their months, a joint estimate uses as of a month.

Here belongs the sample that kernels and regimes share: the portfolios that are still there, and the months in which all
of them have a return. What is estimated on it stands in ``kernel_table`` and ``regime_recursion``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipeline.panel.calendar import shift

RECENT_MONTHS = 12
"""A portfolio without a return in so many months has ended: kept, it would end the sample of all others with its own
last month. A year is longer than the gaps of a thin portfolio and no longer than the time between estimates."""


def portfolios_of_sample(returns: pl.DataFrame, month: date, min_months: int) -> tuple[str, ...]:
    """Name the portfolios of an estimate made in a month.

    Parameters
    ----------
    returns : DataFrame
        ``month, asset_id, ret``; null is missing. Rows after ``month`` do not matter.
    month : date
        Month of the estimate.
    min_months : int
        Fewest returns up to ``month``.

    Returns
    -------
    tuple of str
        Sorted: portfolios with at least ``min_months`` returns up to the month and one in the last ``RECENT_MONTHS``
        months, the month itself counted.
    """
    known = returns.drop_nulls("ret").filter(pl.col("month") <= month)
    own = known.group_by("asset_id").agg(pl.len().alias("n_months"), pl.col("month").max().alias("last"))
    there = own.filter((pl.col("n_months") >= min_months) & (pl.col("last") > shift(month, -RECENT_MONTHS)))
    return tuple(there["asset_id"].sort())


def complete_months(returns: pl.DataFrame, portfolios: Sequence[str], month: date) -> pl.DataFrame:
    """Return the months up to one in which all of some portfolios have a return.

    Parameters
    ----------
    returns, month
        As in :func:`portfolios_of_sample`.
    portfolios : sequence of str
        Portfolios wanted; one without any return leaves no month.

    Returns
    -------
    DataFrame
        ``month`` and a column a portfolio in the order given, rising in time. Months in which one lacks a return are
        left out, so that rows need not be of consecutive months.
    """
    rows = returns.filter(pl.col("asset_id").is_in(list(portfolios)) & (pl.col("month") <= month))
    wide = rows.pivot("asset_id", index="month", values="ret")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in portfolios if name not in wide.columns]
    return wide.with_columns(absent).select("month", *portfolios).drop_nulls().sort("month")
