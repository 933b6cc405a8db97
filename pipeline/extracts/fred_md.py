"""FRED-MD vintages as published: ``sasdate`` and the series, a ``Transform:`` row of codes, then months.

Belongs here: reading a vintage (McCracken and Ng 2016). Does not: transforming the series. Trailing rows without a
date and without a value occur and are passed over. Values are raw levels in the series' own units.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl

from pipeline.extracts.errors import SHOWN_ROWS, BadExtract
from pipeline.extracts.parsing import month_of, with_dates, with_numbers
from pipeline.extracts.reading import stem
from pipeline.extracts.rows import LINE, Rows
from pipeline.extracts.table import Layout, Table

_NAME = re.compile(r"^(\d{4}-(?:0[1-9]|1[0-2]))(?:-md)?$", re.IGNORECASE)
_AS_PUBLISHED = "drop in the vintage as published"
_CODES = tuple(str(code) for code in range(1, 8))


class Vintage(dy.Schema):
    """One vintage in long form: a row for every series and month, null where the vintage has no value."""

    month = dy.Date(primary_key=True)
    series = dy.String(primary_key=True)
    tcode = dy.Int8(min=1, max=7)
    value = dy.Float64(nullable=True)


def _table(path: Path) -> Table:
    named = _NAME.match(stem(path))
    if named is None:
        raise BadExtract(
            file=path,
            problem="the file's name says no vintage",
            remedy="name it after the month it was published in, YYYY-MM.csv",
        )
    return Table(name=f"fred_md.{named.group(1)}", key=("month", "series"), schema=Vintage)


def _header(path: Path, rows: Rows) -> list[str]:
    header = rows[0] if len(rows) else []
    if not header or header[0].lower() != "sasdate":
        raise BadExtract(
            file=path,
            column="sasdate",
            problem=f"missing; the first line is {','.join(header)[:80]!r}",
            count=len(rows),
            remedy=_AS_PUBLISHED,
        )
    while header and not header[-1]:
        header = header[:-1]
    repeated = [name for name, times in Counter([LINE, *header]).items() if times > 1 or not name]
    if repeated or len(header) < 2:
        column = repeated[0] if repeated else "(series)"
        raise BadExtract(
            file=path, column=column, problem="the header repeats or omits a series' name", remedy=_AS_PUBLISHED
        )
    return header


def _codes(path: Path, rows: Rows, header: list[str]) -> dict[str, int]:
    row = rows[1] if len(rows) > 1 else []
    if not row or not row[0].lower().startswith("transform"):
        raise BadExtract(
            file=path,
            column="sasdate",
            problem="the second line is not the Transform: row of codes",
            count=1,
            rows=[{"line": 2, "row": ",".join(row)[:80]}],
            remedy=_AS_PUBLISHED,
        )
    codes = dict(zip(header[1:], (cell.removesuffix(".0") for cell in row[1:]), strict=False))
    wrong = [name for name in header[1:] if codes.get(name) not in _CODES]
    if wrong:
        raise BadExtract(
            file=path,
            column=wrong[0],
            problem="its transformation code is not one of 1 to 7",
            count=len(wrong),
            rows=[{"line": 2, "series": name, "code": codes.get(name)} for name in wrong],
            remedy=_AS_PUBLISHED,
        )
    return {name: int(code) for name, code in codes.items()}


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """One table a vintage, named after the month of the file's name."""
    _header(path, rows)
    return (_table(path),)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read a vintage into long form."""
    header = _header(path, rows)
    codes = _codes(path, rows, header)
    body = 2 + np.flatnonzero(rows.filled[2:])
    short = body[rows.widths[body] < len(header)]
    if short.size:
        raise BadExtract(
            file=path,
            problem=f"rows have fewer cells than the {len(header)} of the header; the file is truncated",
            count=short.size,
            rows=[{"line": i + 1, "row": ",".join(rows[i])[:80]} for i in short[:SHOWN_ROWS]],
            remedy="download it again",
        )
    frame = rows.columns(body, header)
    dated = with_dates(with_numbers(frame, header[1:], path), header[0], path)
    long = dated.unpivot(on=header[1:], index=header[0], variable_name="series", value_name="value")
    tcode = pl.col("series").replace_strict(codes, return_dtype=pl.Int8)
    staged = long.select(month_of(pl.col(header[0])).alias("month"), "series", tcode.alias("tcode"), "value")
    return {_table(path).name: staged}


LAYOUT = Layout(
    folder="fred_md",
    prefix="fred_md.",
    recognise=recognise,
    read=read,
    wants={"fred_md.": "fred_md/YYYY-MM.csv", "": "fred_md/{}.csv"},
)
