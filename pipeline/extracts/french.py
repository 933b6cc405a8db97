"""Ken French's data library: factors, momentum and portfolios, monthly and daily.

Belongs here: telling his files apart by their columns and frequency. Does not: finding sections in text (``wide``).
Of a file with several sections only the first monthly or daily one is read: the value-weighted returns of a portfolio
file. Values are percent as published; -99.99 and -999 are missing.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.reading import stem
from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import (
    Wide,
    check_frequency,
    find_section,
    long_columns,
    missing_columns,
    tidy_columns,
    tidy_name,
    value_columns,
)

MISSING = (-99.99, -999.0)
FACTORS_3 = ("mkt_rf", "smb", "hml", "rf")
FACTORS_5 = ("mkt_rf", "smb", "hml", "rmw", "cma", "rf")
_MOMENTUM = ("wml", "mom", "umd")
_OF_FACTOR_FILES = {"mkt_rf", "smb", "hml", "rmw", "cma", "smb_5"}


class Factors3(dy.Schema):
    """Fama and French (1993), monthly, percent."""

    month = dy.Date(primary_key=True)
    mkt_rf = dy.Float64(nullable=True, min=-100.0)
    smb = dy.Float64(nullable=True, min=-100.0)
    hml = dy.Float64(nullable=True, min=-100.0)
    rf = dy.Float64(nullable=True, min=-100.0)


class Factors5(dy.Schema):
    """Fama and French (2015), monthly, percent."""

    month = dy.Date(primary_key=True)
    mkt_rf = dy.Float64(nullable=True, min=-100.0)
    smb = dy.Float64(nullable=True, min=-100.0)
    hml = dy.Float64(nullable=True, min=-100.0)
    rmw = dy.Float64(nullable=True, min=-100.0)
    cma = dy.Float64(nullable=True, min=-100.0)
    rf = dy.Float64(nullable=True, min=-100.0)


class Momentum(dy.Schema):
    """Momentum factor, monthly, percent."""

    month = dy.Date(primary_key=True)
    wml = dy.Float64(nullable=True, min=-100.0)


class Factors3Daily(dy.Schema):
    """Fama and French (1993), daily, percent."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    mkt_rf = dy.Float64(nullable=True, min=-100.0)
    smb = dy.Float64(nullable=True, min=-100.0)
    hml = dy.Float64(nullable=True, min=-100.0)
    rf = dy.Float64(nullable=True, min=-100.0)


class Factors5Daily(dy.Schema):
    """Fama and French (2015), daily, percent."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    mkt_rf = dy.Float64(nullable=True, min=-100.0)
    smb = dy.Float64(nullable=True, min=-100.0)
    hml = dy.Float64(nullable=True, min=-100.0)
    rmw = dy.Float64(nullable=True, min=-100.0)
    cma = dy.Float64(nullable=True, min=-100.0)
    rf = dy.Float64(nullable=True, min=-100.0)


class MomentumDaily(dy.Schema):
    """Momentum factor, daily, percent."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    wml = dy.Float64(nullable=True, min=-100.0)


class Portfolios(dy.Schema):
    """Portfolio returns, monthly, percent; a missing return is an absent row."""

    month = dy.Date(primary_key=True)
    portfolio = dy.String(primary_key=True)
    return_pct = dy.Float64(min=-100.0)


class PortfoliosDaily(dy.Schema):
    """Portfolio returns, daily, percent; a missing return is an absent row."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    portfolio = dy.String(primary_key=True)
    return_pct = dy.Float64(min=-100.0)


_PUBLISHED = {"mkt_rf": "Mkt-RF", "wml": "Mom", "return_pct": "returns"}
_FACTOR_TABLES = {
    (name, monthly): Table(
        name=f"french.{name}" if monthly else f"french.{name}_daily",
        key=("month",) if monthly else ("date",),
        schema=schema,
        published=_PUBLISHED,
    )
    for name, monthly, schema in (
        ("factors_3", True, Factors3),
        ("factors_5", True, Factors5),
        ("momentum", True, Momentum),
        ("factors_3", False, Factors3Daily),
        ("factors_5", False, Factors5Daily),
        ("momentum", False, MomentumDaily),
    )
}


def _portfolio_table(path: Path, monthly: bool) -> Table:
    return Table(
        name=f"french.{tidy_name(stem(path))}",
        key=("month", "portfolio") if monthly else ("date", "portfolio"),
        schema=Portfolios if monthly else PortfoliosDaily,
        published=_PUBLISHED,
    )


def _factor_sets(path: Path, wide: Wide) -> dict[str, dict[str, str]]:
    """Factor table -> {published column: staged column}, for every factor table that the file holds.

    A file of the five factors has ``SMB`` of the five; in one that merges both sets it is called ``SMB_5``.
    """
    published = tidy_columns(wide)
    found: dict[str, dict[str, str]] = {}
    momentum = next((name for name in _MOMENTUM if name in published), None)
    if momentum is not None and len(set(published) - _OF_FACTOR_FILES - {"rf", momentum}) == 0:
        found["momentum"] = {published[momentum]: "wml"}
    if _OF_FACTOR_FILES & set(published):
        five = bool({"rmw", "cma", "smb_5"} & set(published))
        if five:
            size = "smb_5" if "smb_5" in published else "smb"
            found["factors_5"] = _named(path, wide, {**{name: name for name in FACTORS_5}, "smb": size})
        if not five or {"smb", "smb_5"} <= set(published):
            found["factors_3"] = _named(path, wide, {name: name for name in FACTORS_3})
    return found


def _named(path: Path, wide: Wide, wanted: dict[str, str]) -> dict[str, str]:
    published = tidy_columns(wide)
    absent = [name for name in wanted.values() if name not in published]
    if absent:
        spelled = {"mkt_rf": "Mkt-RF"}
        raise missing_columns(path, wide, [spelled.get(name, name.upper()) for name in absent])
    return {published[name]: staged for staged, name in wanted.items()}


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """Tables of a file: factor tables by their columns, else the portfolios under the file's own name."""
    wide = find_section(path, rows)
    factors = _factor_sets(path, wide)
    if factors:
        return tuple(_FACTOR_TABLES[name, wide.monthly] for name in factors)
    return (_portfolio_table(path, wide.monthly),)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read the file's first monthly or daily section; see the module for units and missing codes."""
    wide = find_section(path, rows)
    check_frequency(path, wide)
    factors = _factor_sets(path, wide)
    if factors:
        tables = {_FACTOR_TABLES[name, wide.monthly]: names for name, names in factors.items()}
        return {
            table.name: value_columns(path, wide, names, codes=MISSING).select(table.schema.column_names())
            for table, names in tables.items()
        }
    table = _portfolio_table(path, wide.monthly)
    long = long_columns(path, wide, codes=MISSING)
    return {table.name: long.select(table.schema.column_names())}


LAYOUT = Layout(
    folder="french",
    prefix="french.",
    recognise=recognise,
    read=read,
    wants={
        "french.factors_3": "french/F-F_Research_Data_Factors.csv",
        "french.factors_5": "french/F-F_Research_Data_5_Factors_2x3.csv",
        "french.momentum": "french/F-F_Momentum_Factor.csv",
        "french.factors_3_daily": "french/F-F_Research_Data_Factors_daily.csv",
        "french.factors_5_daily": "french/F-F_Research_Data_5_Factors_2x3_daily.csv",
        "french.momentum_daily": "french/F-F_Momentum_Factor_daily.csv",
        "": "french/{}.csv",
    },
)
