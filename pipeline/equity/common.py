"""What all firms share: macroeconomic series, and the mean of each characteristic over the cross-section.

The market-level input of the Siamese LSTM (Liu 2025): one row a month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.registry import NAMES

MACRO: Mapping[str, tuple[str, ...]] = {
    "goyal_welch": ("dp", "bm", "ntis", "tms", "dfy", "svar"),
    "vix_innovation": ("vix", "vix_innovation"),
    "treasury_curve": ("y_3m", "term_spread", "term_spread_change"),
}
"""Columns taken from each macro asset; a name that a characteristic has too is prefixed with the asset's name."""


def macro_columns() -> dict[str, tuple[str, str]]:
    """Return column of the result -> (asset, its column)."""
    found = {}
    for asset, columns in MACRO.items():
        for column in columns:
            found[f"{asset}_{column}" if column in NAMES else column] = (asset, column)
    return found


def common_factors(
    characteristics: pl.DataFrame, macro: Mapping[str, pl.DataFrame], months: Sequence[date]
) -> pl.DataFrame:
    """Put macro series and cross-sectional means of a month into one row.

    Parameters
    ----------
    characteristics : pl.DataFrame
        month, permno and ``<name>_w`` of every characteristic.
    macro : mapping of str to pl.DataFrame
        The assets of :data:`MACRO` that are there.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        month, the macro columns, and ``mean_<name>``: the mean of the winsorised values over the stocks of the month;
        null where no stock has one, or the series has no value.
    """
    wanted = sorted(set(months))
    frame = pl.DataFrame({"month": wanted}, schema={"month": pl.Date})
    for name, (asset, column) in macro_columns().items():
        if asset in macro:
            series = macro[asset].select("month", pl.col(column).cast(pl.Float64).alias(name))
            frame = frame.join(series, on="month", how="left", maintain_order="left")
        else:
            frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name))
    rows = characteristics.filter(pl.col("month").is_in(wanted)).sort("month", "permno")
    parts = {key[0]: part for key, part in rows.partition_by("month", as_dict=True).items()}
    means = [_means(parts.get(month, rows.clear())) for month in wanted]
    schema = dict.fromkeys((f"mean_{name}" for name in NAMES), pl.Float64())
    return frame.hstack(pl.DataFrame(means, schema=schema, orient="row"))


def _means(stocks: pl.DataFrame) -> list[float | None]:
    """Mean of every winsorised characteristic over the stocks that have it."""
    values = stocks.select(pl.col(f"{name}_w") for name in NAMES).to_numpy()
    held = ~np.isnan(values)
    counts, sums = held.sum(axis=0), np.where(held, values, 0.0).sum(axis=0)
    return [total / count if count else None for total, count in zip(sums.tolist(), counts.tolist(), strict=True)]
