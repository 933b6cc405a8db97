"""CRSP's market index files, monthly (``crsp.msi``) and daily (``crsp.dsi``).

Belongs here: CRSP tables as exported. Does not: cleaning of stocks. Returns are decimals, market value is thousands.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.parsing import month_of
from pipeline.extracts.table import Column, Table, Tabular, View

_NUMBERS = ("vwretd", "vwretx", "totval", "sprtrn")


class MonthlyIndex(dy.Schema):
    """The market index, one row a month, dated by its last trading day."""

    date = dy.Date()
    month = dy.Date(primary_key=True)
    vwretd = dy.Float64(nullable=True, min=-1.0)
    vwretx = dy.Float64(nullable=True, min=-1.0)
    totval = dy.Float64(nullable=True, min=0.0)
    sprtrn = dy.Float64(nullable=True, min=-1.0)


class DailyIndex(dy.Schema):
    """The market index, one row a trading day."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    vwretd = dy.Float64(nullable=True, min=-1.0)
    vwretx = dy.Float64(nullable=True, min=-1.0)
    totval = dy.Float64(nullable=True, min=0.0)
    sprtrn = dy.Float64(nullable=True, min=-1.0)


def _dated(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    return block.with_columns(month_of(pl.col("date")).alias("month"))


def _index(stem: str, key: str, schema: type[dy.Schema]) -> Tabular:
    return Tabular(
        stem=stem,
        columns=(Column(name="date", kind="date"), *(Column(name=name, kind="number") for name in _NUMBERS)),
        date="date",
        views=(View(table=Table(name=stem, key=(key,), schema=schema, published={"month": "date"}), derive=_dated),),
    )


MSI = _index("crsp.msi", "month", MonthlyIndex)
DSI = _index("crsp.dsi", "date", DailyIndex)
