"""Wide tables of anomaly returns, as test assets: a date column and a column a portfolio, percent.

Belongs here: such tables. Does not: Ken French's portfolios (``french``). A long-short return is bounded by no -100
(its short leg may more than double), so that no floor is set; -99.99 and -999 are missing.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.reading import stem
from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import find_section, long_columns, tidy_name

MISSING = (-99.99, -999.0)
_DATE_NAMES = ("", "date", "month", "yyyymm")


class AnomalyReturns(dy.Schema):
    """Returns of one table, monthly, percent; a missing return is an absent row."""

    month = dy.Date(primary_key=True)
    portfolio = dy.String(primary_key=True)
    return_pct = dy.Float64()


def _table(path: Path) -> Table:
    return Table(
        name=f"anomalies.{tidy_name(stem(path))}",
        key=("month", "portfolio"),
        schema=AnomalyReturns,
        published={"return_pct": "returns"},
    )


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """One table a file; a file whose first line names no date column (a description of signals) is none of ours."""
    header = rows.first_filled()
    return (_table(path),) if not header or header[0].lower() in _DATE_NAMES else ()


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read a wide table into month, portfolio, return_pct."""
    wide = find_section(path, rows)
    long = long_columns(path, wide, codes=MISSING)
    return {_table(path).name: long.drop("date")}


LAYOUT = Layout(folder="anomalies", prefix="anomalies.", recognise=recognise, read=read, wants={"": "anomalies/{}.csv"})
