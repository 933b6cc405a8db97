"""Monthly returns of the bonds in the index extract, with what their portfolios are weighted and grouped by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipeline.panel.cross_section import finite

# Multiplied, not divided: Polars divides by a constant in a frame of one row and multiplies by its reciprocal in longer
# ones, so that a quotient's last bit would depend on how many rows are built together.
PERCENT = 0.01

SCHEMA = {
    "month": pl.Date(),
    "isin": pl.String(),
    "ret": pl.Float64(),
    "ret_excess": pl.Float64(),
    "sector": pl.String(),
    "value_start": pl.Float64(),
    "source": pl.String(),
}


def bond_returns(
    index_returns: pl.DataFrame, index_snapshot: pl.DataFrame, french_factors: pl.DataFrame, months: Sequence[date]
) -> pl.DataFrame:
    """Return what every bond earned in each month.

    Parameters
    ----------
    index_returns : pl.DataFrame
        Columns month, isin, return_pct (percent): the return earned in the month.
    index_snapshot : pl.DataFrame
        Columns month, isin, sector_level_3, price_bom (per 100 of face), paramount (thousands); the month before each
        built one is read.
    french_factors : pl.DataFrame
        Columns month, rf (decimal).
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        Columns month, isin, ret and ret_excess (decimals), sector and value_start (market value in thousands) of the
        snapshot of m-1, source; sorted by month and isin. A bond without a return has no row. The return of m is kept
        whatever the snapshot of m says. ``ret_excess`` is null where the riskless rate is, sector and value_start
        where the bond was not in the snapshot of m-1.
    """
    wanted = pl.Series("month", sorted(set(months)), dtype=pl.Date)
    earned = index_returns.filter(pl.col("month").is_in(wanted.implode()) & pl.col("return_pct").is_not_null())
    before = index_snapshot.select(
        pl.col("month").dt.offset_by("1mo"),
        "isin",
        pl.col("sector_level_3").alias("sector"),
        (pl.col("price_bom") * PERCENT * pl.col("paramount")).alias("value_start"),
    )
    return (
        earned.join(before, on=["month", "isin"], how="left")
        .join(french_factors.select("month", "rf"), on="month", how="left")
        .with_columns((pl.col("return_pct") * PERCENT).alias("ret"), pl.lit("index").alias("source"))
        .with_columns((pl.col("ret") - pl.col("rf")).alias("ret_excess"))
        .with_columns(finite("value_start"))
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
        .sort("month", "isin")
    )
