"""Panels that models are trained on: what was known at the end of one month beside the return of the next.

Belongs here: the pairing. Does not: which columns a market's panel has (``pipeline.bonds``, ``pipeline.equity``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl


def with_next_return(known: pl.LazyFrame, returns: pl.DataFrame, key: str, months: Sequence[date]) -> pl.DataFrame:
    """Pair the excess return of each month with what was known at the end of the month before.

    Parameters
    ----------
    known : pl.LazyFrame
        month, ``key`` and the columns to take; the month before each built one is read.
    returns : pl.DataFrame
        month, ``key``, ret_excess (decimal).
    key : str
        Identifier of an asset.
    months : sequence of date
        Months of the returns.

    Returns
    -------
    pl.DataFrame
        month (of the return), ``key``, ret_excess, then the other columns of ``known``; sorted by month and ``key``. An
        asset that was not known at m-1, or has no excess return in m, has no row.
    """
    wanted = pl.Series("month", sorted(set(months)), dtype=pl.Date).implode()
    earned = returns.filter(pl.col("month").is_in(wanted) & pl.col("ret_excess").is_not_null())
    before = known.with_columns(pl.col("month").dt.offset_by("1mo")).filter(pl.col("month").is_in(wanted)).collect()
    return earned.select("month", key, "ret_excess").join(before, on=["month", key]).sort("month", key)
