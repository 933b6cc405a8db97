"""The panel that stock models are trained on: the characteristics of one month with the return of the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl


def stock_training_panel(
    characteristics: pl.DataFrame | pl.LazyFrame, returns: pl.DataFrame, names: Sequence[str], months: Sequence[date]
) -> pl.DataFrame:
    """Pair the excess return of each month with the ranked characteristics of the month before.

    Parameters
    ----------
    characteristics : pl.DataFrame or pl.LazyFrame
        ``firm_characteristics``: columns month, permno and the ranked ``<name>_r``; the month before each built one is
        read, of a lazy frame those columns alone.
    returns : pl.DataFrame
        ``stock_returns``: columns month, permno, ret_excess (decimal).
    names : sequence of str
        The characteristics.
    months : sequence of date
        Months of the returns.

    Returns
    -------
    pl.DataFrame
        Columns month (of the return), permno, ret_excess, ``<name>_r`` of m-1 for every characteristic; sorted by month
        and permno. A stock without characteristics at m-1, or without an excess return in m, has no row.
    """
    wanted = pl.Series("month", sorted(set(months)), dtype=pl.Date)
    earned = returns.filter(pl.col("month").is_in(wanted.implode()) & pl.col("ret_excess").is_not_null())
    later = pl.col("month").dt.offset_by("1mo")
    before = (
        characteristics.lazy()
        .select(later, "permno", *(f"{name}_r" for name in names))
        .filter(pl.col("month").is_in(wanted.implode()))
        .collect()
    )
    return earned.select("month", "permno", "ret_excess").join(before, on=["month", "permno"]).sort("month", "permno")
