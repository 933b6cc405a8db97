"""The firm panel in the layout of the Siamese LSTM's input files (Liu 2025).

Belongs here: rows and columns of the two files. Does not: where they are written (``assets.exports``). A row is dated
by the last day of the month in which the return is earned; everything beside the return was known a month before.
"""

from __future__ import annotations

import polars as pl

from pipeline.equity.definition import GKX94
from pipeline.equity.registry import names_of

PREFIX = "gkx_"


def _dated(column: str) -> pl.Expr:
    """Last day of the month after a month."""
    return pl.col("month").dt.offset_by("1mo").dt.month_end().alias(column)


def firm_rows(characteristics: pl.LazyFrame, returns: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of ``full.csv``.

    Parameters
    ----------
    characteristics : pl.LazyFrame
        ``firm_characteristics``: month, permno and the raw values.
    returns : pl.LazyFrame
        ``stock_returns`` of the months after: month, permno, ret_excess.

    Returns
    -------
    pl.LazyFrame
        permno, DATE, eret (decimal excess return of the month of DATE) and the 94 characteristics of Green, Hand and
        Zhang (2017) under their published names, raw, as known at the end of the month before; sorted by DATE and
        permno. A stock without characteristics or without a return has no row.
    """
    published = {name.removeprefix(PREFIX): pl.col(name) for name in names_of(GKX94)}
    known = characteristics.select("permno", _dated("DATE"), **published)
    earned = returns.select("permno", pl.col("month").dt.month_end().alias("DATE"), eret="ret_excess")
    rows = earned.drop_nulls("eret").join(known, on=["permno", "DATE"], how="inner")
    return rows.select("permno", "DATE", "eret", *published).sort("DATE", "permno")


def common_rows(common_factors: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of ``common_factors.csv``.

    Parameters
    ----------
    common_factors : pl.LazyFrame
        The asset of that name.

    Returns
    -------
    pl.LazyFrame
        date, as DATE of :func:`firm_rows`, then the macro series and the means of the 94 characteristics, as
        ``mean_<published name>``, of the month before; sorted by date.
    """
    means = {f"mean_{name.removeprefix(PREFIX)}": pl.col(f"mean_{name}") for name in names_of(GKX94)}
    macro = pl.exclude("month", r"^mean_.*$")
    return common_factors.select(_dated("date"), macro, **means).sort("date")
