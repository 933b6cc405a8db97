"""Panels for networks from frames: whose rows, which columns.

Here belong joining returns to what was known a month before and the choice of columns. Reading frames does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from pipeline.panel.calendar import month_range, shift
from pipeline.sdf.panel import SdfPanel


def sdf_panel(
    characteristics: pl.DataFrame,
    returns: pl.DataFrame,
    macro: pl.DataFrame,
    months: Sequence[date],
    *,
    key: str,
    names: Sequence[str],
    group: str | None = None,
) -> SdfPanel:
    """Return the assets of each target month with their characteristics and the macro series of the month before.

    Parameters
    ----------
    characteristics : pl.DataFrame
        ``month``, ``key``, ``names`` and ``group``: what was known of each asset at the end of the month.
    returns : pl.DataFrame
        ``month``, ``key``, ``ret_excess`` (decimals).
    macro : pl.DataFrame
        ``month`` and series, what was known at the end of the month.
    months : sequence of date
        Target months. One in which no asset has characteristics is left out, and idle if it lies between others.
    key : str
        Identifier of an asset.
    names : sequence of str
        Characteristics.
    group : str, optional
        Column with an industry.

    Returns
    -------
    SdfPanel
        All assets with characteristics, sorted by month and identifier; the return is NaN where there is none, missing
        characteristics and series are NaN.
    """
    wanted = sorted(set(months))
    own = characteristics.select(
        pl.col("month").dt.offset_by("1mo"),
        pl.col(key).cast(pl.String).alias("asset"),
        *(pl.col(name).cast(pl.Float32) for name in names),
        *([] if group is None else [pl.col(group).cast(pl.String).fill_null("").alias("group")]),
    ).filter(pl.col("month").is_in(wanted))
    earned = returns.select("month", pl.col(key).cast(pl.String).alias("asset"), pl.col("ret_excess").cast(pl.Float64))
    rows = own.join(earned, on=["month", "asset"], how="left").sort("month", "asset")
    counts = rows.group_by("month", maintain_order=True).len()
    held = counts["month"].to_list()
    calendar = month_range(held[0], held[-1]) if held else []
    known = pl.DataFrame({"month": [shift(month, -1) for month in calendar]}, schema={"month": pl.Date})
    series = [name for name in macro.columns if name != "month"]
    joined = known.join(macro, on="month", how="left", maintain_order="left").select(pl.col(series).cast(pl.Float32))
    shared, there = _matrix(joined), pl.Series(calendar, dtype=pl.Date).is_in(held).to_numpy()
    return SdfPanel(
        months=tuple(held),
        bounds=np.concatenate([[0], counts["len"].cum_sum().to_numpy()]).astype(np.int64),
        assets=rows["asset"].to_numpy().astype(str),
        names=tuple(names),
        features=_matrix(rows.select(names)),
        macro_names=tuple(series),
        macro=shared[there],
        returns=rows["ret_excess"].fill_null(np.nan).to_numpy(),
        groups=None if group is None else rows["group"].to_numpy().astype(str),
        idle={calendar[place]: shared[place] for place in np.flatnonzero(~there)},
    )


def _matrix(frame: pl.DataFrame) -> np.ndarray:
    if not frame.width:
        return np.zeros((frame.height, 0), dtype=np.float32)
    return np.ascontiguousarray(frame.fill_null(np.nan).to_numpy(), dtype=np.float32)


def with_returns(panel: SdfPanel) -> SdfPanel:
    """Return the rows whose return is known; a month in between without any is idle."""
    return panel.keep(np.isfinite(panel.returns))


def with_seen_columns(panel: SdfPanel) -> SdfPanel:
    """Return the panel without columns of which no value is there, so that none depends on what comes to be published.

    Series stand in the order of their names.
    """
    own, shared = _seen(panel.features), _seen(panel.macro)
    names = [name for name, there in zip(panel.names, own, strict=True) if there]
    macro_names = sorted(name for name, there in zip(panel.macro_names, shared, strict=True) if there)
    return with_columns(panel, names, macro_names)


def _seen(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values).any(axis=0)


def with_columns(panel: SdfPanel, names: Sequence[str], macro_names: Sequence[str]) -> SdfPanel:
    """Return the panel with these columns in this order; one that it lacks is missing in every row."""
    own = replace(panel, names=tuple(names), features=_chosen(panel.features, panel.names, names))
    return own.with_macro(macro_names, lambda macro: _chosen(macro, panel.macro_names, macro_names))


def _chosen(values: np.ndarray, held: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    if tuple(held) == tuple(wanted):
        return values
    places = {name: place for place, name in enumerate(held)}
    found = np.full((len(values), len(wanted)), np.nan, dtype=np.float32)
    for place, name in enumerate(wanted):
        if name in places:
            found[:, place] = values[:, places[name]]
    return found
