"""Single FRED series as downloaded: ``observation_date`` (or ``DATE``) and the series; ``.`` or empty is missing.

Belongs here: one file a series. Does not: the FRED-MD panel (``fred_md``). Units are the series' own. ``month`` is the
month of the observation's date: a monthly series dated 2008-06-01 is the figure of June.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import stem
from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import find_section, value_columns

_DATE_NAMES = ("observation_date", "date")


class Series(dy.Schema):
    """One FRED series; a missing observation is an absent row."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    value = dy.Float64()


def _table(path: Path) -> Table:
    return Table(name=f"fred.{stem(path).upper()}", key=("date",), schema=Series, published={"value": stem(path)})


def _header(path: Path, rows: Rows) -> list[str]:
    header = rows.first_filled()
    expected = ["observation_date", stem(path).upper()]
    if not header or header[0].lower() not in _DATE_NAMES:
        raise BadExtract(
            file=path,
            column="observation_date",
            problem=f"missing; the first line is {','.join(header)[:80]!r}",
            count=len(rows),
            remedy="drop in the CSV as FRED gives it, named after its series",
        )
    if [name.upper() for name in header[1:]] != expected[1:]:
        raise BadExtract(
            file=path,
            column=expected[1],
            problem=f"missing; the file holds {', '.join(header[1:]) or 'no series'}",
            count=len(rows) - 1,
            remedy="keep one series a file and name the file after it",
        )
    return header


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """One table a file, named after the series, which the header must name too."""
    _header(path, rows)
    return (_table(path),)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read a series; missing observations are absent rows."""
    header = _header(path, rows)
    frame = value_columns(path, find_section(path, rows), {header[1]: "value"})
    return {_table(path).name: frame}


LAYOUT = Layout(folder="fred", prefix="fred.", recognise=recognise, read=read, wants={"": "fred/{}.csv"})
