"""Factors of other authors, recognised by their columns: q factors, liquidity, intermediary capital, HML devil.

Belongs here: monthly factor files that are not Ken French's. Units as published: the q factors (Hou, Mo, Xue and Zhang
2021) are percent; liquidity (Pastor and Stambaugh 2003, -99 is missing), intermediary capital (He, Kelly and Manela
2017) and HML devil (Asness and Frazzini 2013, the column of the United States) are decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import Wide, find_section, missing_columns, tidy_columns, value_columns


class QFactors(dy.Schema):
    """The q factors, monthly, percent; ``r_eg`` is null in files of the four-factor model."""

    month = dy.Date(primary_key=True)
    r_f = dy.Float64(nullable=True, min=-100.0)
    r_mkt = dy.Float64(nullable=True, min=-100.0)
    r_me = dy.Float64(nullable=True, min=-100.0)
    r_ia = dy.Float64(nullable=True, min=-100.0)
    r_roe = dy.Float64(nullable=True, min=-100.0)
    r_eg = dy.Float64(nullable=True, min=-100.0)


class Liquidity(dy.Schema):
    """Aggregate liquidity, its innovations and the traded factor, monthly, decimals."""

    month = dy.Date(primary_key=True)
    agg_liq = dy.Float64(nullable=True)
    innov_liq = dy.Float64(nullable=True)
    traded_liq = dy.Float64(nullable=True, min=-1.0)


class Intermediary(dy.Schema):
    """Intermediary capital ratio and risk factor, monthly, decimals."""

    month = dy.Date(primary_key=True)
    intermediary_capital_ratio = dy.Float64(nullable=True, min=0.0)
    intermediary_capital_risk_factor = dy.Float64(nullable=True, min=-1.0)
    intermediary_value_weighted_investment_return = dy.Float64(nullable=True, min=-1.0)
    intermediary_leverage_ratio_squared = dy.Float64(nullable=True, min=0.0)


class HmlDevil(dy.Schema):
    """HML devil of the United States, monthly, decimals."""

    month = dy.Date(primary_key=True)
    hml_devil = dy.Float64(nullable=True, min=-1.0)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A factor table: by which column it is known, and the published spellings (tidy, or their beginnings) of each."""

    table: Table
    known_by: str
    spellings: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    codes: tuple[float, ...] = ()


def _same(schema: type[dy.Schema]) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in schema.column_names() if name != "month"}


KINDS = (
    _Kind(
        table=Table(name="factors.q", key=("month",), schema=QFactors),
        known_by="r_ia",
        spellings=_same(QFactors),
        optional=("r_eg",),
    ),
    _Kind(
        table=Table(name="factors.liquidity", key=("month",), schema=Liquidity),
        known_by="innov_liq",
        spellings={
            "agg_liq": ("agg_liq", "ps_level"),
            "innov_liq": ("innov_liq", "ps_innov"),
            "traded_liq": ("traded_liq", "ps_vwf"),
        },
        codes=(-99.0,),
    ),
    _Kind(
        table=Table(name="factors.intermediary", key=("month",), schema=Intermediary),
        known_by="intermediary_capital_ratio",
        spellings=_same(Intermediary),
    ),
    _Kind(
        table=Table(name="factors.hml_devil", key=("month",), schema=HmlDevil),
        known_by="hml_devil",
        # AQR's sheet has a column a country.
        spellings={"hml_devil": ("hml_devil", "usa")},
    ),
)


def _with_one_date(rows: Rows) -> Rows:
    """Join leading ``year`` and ``month`` columns into one of months."""
    years = (rows.first.str.to_lowercase() == "year").to_numpy()
    start = next(
        (i for i in np.flatnonzero(years).tolist() if [cell.lower() for cell in rows[i][1:2]] == ["month"]), None
    )
    if start is None:
        return rows
    header, *body = rows.tail(start)
    joined = [[f"{row[0]}{row[1]:0>2}", *row[2:]] if len(row) > 1 else row for row in body]
    return Rows(pl.concat([rows.cells[:start], Rows.of([["year, month", *header[2:]], *joined]).cells]))


def _spelled(tidy: Mapping[str, str], spellings: tuple[str, ...]) -> str | None:
    return next((published for name, published in tidy.items() for begin in spellings if name.startswith(begin)), None)


def _kind(path: Path, rows: Rows) -> tuple[_Kind, Wide, dict[str, str]]:
    wide = find_section(path, _with_one_date(rows))
    tidy = tidy_columns(wide)
    kind = next((kind for kind in KINDS if _spelled(tidy, kind.spellings[kind.known_by])), None)
    if kind is None:
        known = ", ".join(f"{kind.known_by} ({kind.table.name})" for kind in KINDS)
        raise missing_columns(path, wide, [f"one of {known}"])
    if not wide.monthly:
        raise BadExtract(
            file=path,
            column="date",
            problem=f"its rows are days where {kind.table.name} wants months",
            count=wide.frame.height,
            remedy="drop in the monthly file",
        )
    found = {staged: _spelled(tidy, names) for staged, names in kind.spellings.items()}
    absent = [staged for staged, published in found.items() if published is None and staged not in kind.optional]
    if absent:
        raise missing_columns(path, wide, absent)
    return kind, wide, {published: staged for staged, published in found.items() if published is not None}


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """Name the one table of a file, known by a column that no other factor file has."""
    return (_kind(path, rows)[0].table,)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read a factor file; optional columns that are not there are null."""
    kind, wide, names = _kind(path, rows)
    frame = value_columns(path, wide, names, codes=kind.codes)
    absent = [name for name in kind.optional if name not in frame.columns]
    filled = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)
    return {kind.table.name: filled.select(kind.table.schema.column_names())}


LAYOUT = Layout(
    folder="factors",
    prefix="factors.",
    recognise=recognise,
    read=read,
    wants={
        "factors.q": "factors/q5_factors_monthly.csv",
        "factors.liquidity": "factors/liq_data.txt",
        "factors.intermediary": "factors/He_Kelly_Manela_Factors_monthly.csv",
        "factors.hml_devil": "factors/hml_devil.csv",
    },
    sheets=("hml devil",),
)
