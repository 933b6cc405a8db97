"""Goyal and Welch's monthly predictors, from the workbook's monthly sheet or a CSV of it.

Belongs here: reading the published columns. Does not: the predictors built from them. Columns and sheets that a user
added are ignored; a published column that a later release leaves out is null. Yields and returns are decimals.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import Wide, find_section, missing_columns, tidy_columns, value_columns

_ALIASES = {"b_m": "bm", "price": "index"}
_NEEDED = ("index", "d12", "bm", "tbl", "aaa", "baa", "lty", "ntis", "svar")
_SPELLED = {"index": "Index", "d12": "D12", "bm": "b/m", "aaa": "AAA", "baa": "BAA"}


class Predictors(dy.Schema):
    """Goyal and Welch (2008), monthly, as published."""

    month = dy.Date(primary_key=True)
    index = dy.Float64(nullable=True, min_exclusive=0.0)
    d12 = dy.Float64(nullable=True, min=0.0)
    e12 = dy.Float64(nullable=True)
    bm = dy.Float64(nullable=True)
    tbl = dy.Float64(nullable=True)
    aaa = dy.Float64(nullable=True)
    baa = dy.Float64(nullable=True)
    lty = dy.Float64(nullable=True)
    ntis = dy.Float64(nullable=True)
    rfree = dy.Float64(nullable=True)
    infl = dy.Float64(nullable=True)
    ltr = dy.Float64(nullable=True, min=-1.0)
    corpr = dy.Float64(nullable=True, min=-1.0)
    svar = dy.Float64(nullable=True, min=0.0)
    csp = dy.Float64(nullable=True)
    crsp_spvw = dy.Float64(nullable=True, min=-1.0)
    crsp_spvwx = dy.Float64(nullable=True, min=-1.0)


TABLE = Table(name="goyal_welch.predictors", key=("month",), schema=Predictors, published=_SPELLED)


def _names(path: Path, wide: Wide) -> dict[str, str]:
    tidied = {_ALIASES.get(name, name): published for name, published in tidy_columns(wide).items()}
    absent = [_SPELLED.get(name, name) for name in _NEEDED if name not in tidied]
    if absent:
        raise missing_columns(path, wide, absent)
    return {tidied[name]: name for name in Predictors.column_names() if name in tidied}


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """Every file of the folder is the monthly table, and must have its columns."""
    _names(path, find_section(path, rows))
    return (TABLE,)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read the monthly table; absent columns are null."""
    wide = find_section(path, rows)
    frame = value_columns(path, wide, _names(path, wide))
    absent = [name for name in Predictors.column_names() if name not in frame.columns]
    filled = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)
    return {TABLE.name: filled.select(Predictors.column_names())}


LAYOUT = Layout(
    folder="goyal_welch",
    prefix="goyal_welch.",
    recognise=recognise,
    read=read,
    wants={TABLE.name: "goyal_welch/PredictorData.xlsx"},
    sheets=("monthly",),
)
