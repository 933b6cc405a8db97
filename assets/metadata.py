"""What a person sees of an asset in the UI: row counts, a table preview, a plot.

Belongs here: turning partitions into Dagster metadata. Does not: the report's pages (``pipeline.report``).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from html import escape
from typing import Any

import altair as alt
import dagster as dg
import polars as pl
import vl_convert as vlc
from altair.utils.schemapi import debug_mode

from assets.building import MonthlyAsset, Outcome
from pipeline.bonds.registry import data_dictionary
from resources.lake import Lake, Manifest

_PREVIEW_ROWS, _PREVIEW_COLUMNS = 8, 8
_PLOT_MONTHS = 240
# What Markdown would take for more than text.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~])")


def month_metadata(outcome: Outcome) -> dict[str, Any]:
    """Figures of one partition."""
    if outcome.manifest is None:
        return {"dagster/partition_row_count": 0, "status": "before the first data: nothing to hold"}
    return {
        "dagster/partition_row_count": outcome.manifest.rows,
        "content": outcome.manifest.digest,
        "status": outcome.status,
        **{name: value for name, value in outcome.manifest.metadata.items() if value is not None},
    }


def newest_metadata(asset: MonthlyAsset, lake: Lake, month: date, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Preview of the newest partition, the table's columns, and a plot of the months up to it."""
    manifests = {m: manifest for m, manifest in lake.manifests(asset.name).items() if m <= month}
    if not manifests:
        return {}
    frame = lake.read(asset.name, max(manifests))
    schema = dg.TableSchema(
        [dg.TableColumn(name, str(column.dtype), _description(name)) for name, column in columns.items()]
    )
    return {
        "dagster/column_schema": schema,
        "preview": dg.MetadataValue.md(markdown_table(frame)),
        "plot": dg.MetadataValue.md(_plot(asset, lake, manifests)),
    }


_FORMS = {"_w": "winsorised within the month", "_r": "ranked within the month, -0.5 to 0.5"}


@cache
def _definitions() -> dict[str, str]:
    table = data_dictionary()
    raw = dict(table.select("name", "definition").iter_rows())
    return raw | {f"{name}{end}": f"{name}, {words}" for name in raw for end, words in _FORMS.items()}


def _description(column: str) -> str | None:
    """Definition of a characteristic's column; other columns are described by their asset."""
    return _definitions().get(column)


def markdown_table(frame: pl.DataFrame) -> str:
    """First rows and columns of a frame as a Markdown table; text from the data is escaped."""
    shown = frame.select(frame.columns[:_PREVIEW_COLUMNS]).head(_PREVIEW_ROWS)
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * shown.width]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in shown.iter_rows()]
    return "\n".join([*lines, "", f"{frame.height:,} rows, {frame.width} columns"])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return f"{len(value)} values"
    return _MARKDOWN.sub(r"\\\1", escape(" ".join(str(value).split())))


def _chart(asset: MonthlyAsset, lake: Lake, manifests: Mapping[date, Manifest]) -> alt.Chart:
    months = sorted(manifests)[-_PLOT_MONTHS:]
    if asset.series:
        scan = lake.scan(asset.name, [month for month in months if manifests[month].rows])
        values = pl.DataFrame() if scan is None else scan.select("month", *asset.series).collect()
    else:
        values = pl.DataFrame({"month": months, "rows": [manifests[month].rows for month in months]})
    if values.is_empty():
        values = pl.DataFrame({"month": months, "rows": [0] * len(months)})
    long = values.unpivot(index="month").drop_nulls()
    many = long["variable"].n_unique() > 1
    return (
        alt.Chart(alt.Data(values=long.with_columns(pl.col("month").cast(pl.String)).to_dicts()))
        .mark_line(strokeWidth=1.3)
        .encode(
            x=alt.X("month:T", title=None),
            y=alt.Y("value:Q", title=None),
            color=alt.Color("variable:N", title=None, legend=alt.Legend(orient="top") if many else None),
        )
        .properties(width=560, height=180, title="" if many else str(long["variable"][0]) if len(long) else "")
    )


def _plot(asset: MonthlyAsset, lake: Lake, manifests: Mapping[date, Manifest]) -> str:
    # A fixed chart need not be held against Vega-Lite's schema, which takes longer than drawing it.
    with debug_mode(False):
        specification = _chart(asset, lake, manifests).to_json(validate=False)
    png = vlc.vegalite_to_png(specification, scale=1.5)
    return f"![months](data:image/png;base64,{base64.b64encode(png).decode()})"
