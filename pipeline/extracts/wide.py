"""Hand-made layouts: text above, a header, rows that begin with a month or a day, more text or sections below.

Belongs here: finding the first monthly or daily section of such a file. Does not: the meaning of its columns (the
vendors' modules).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.extracts.errors import SHOWN_ROWS, BadExtract
from pipeline.extracts.parsing import month_of, with_dates, with_numbers
from pipeline.extracts.rows import LINE, Rows

_MONTH = r"^\d{4}-?\d{2}(\.0)?$"
_DAY = r"^(\d{8}(\.0)?|\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T].*)?|\d{1,2}/\d{1,2}/\d{4})$"
_NUMBER = re.compile(r"^[-+]?(\d[\d,]*\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_PART_OF_DATE = re.compile(r"^[\d/-]+$")
_WEEK = (5, 10)
_DAYS_A_MONTH = 1.5


@dataclass(frozen=True, kw_only=True)
class Wide:
    """The first monthly or daily section of a file.

    Attributes
    ----------
    columns : tuple of str
        Published names of the value columns.
    frame : polars.DataFrame
        ``line`` (row number in the file), ``date``, then one text column a published name.
    monthly : bool
        One row a month, else one a day.
    """

    columns: tuple[str, ...]
    frame: pl.DataFrame
    monthly: bool


def tidy_name(name: str) -> str:
    """Spell a published column name as an identifier: ``Mkt-RF`` as ``mkt_rf``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def find_section(path: Path, rows: Rows) -> Wide:
    """Find the first section of months or days; annual sections and later sections are passed over.

    Parameters
    ----------
    path : Path
        For messages.
    rows : list of list of str
        The file's cells.

    Returns
    -------
    Wide
        Its rows in file order.

    Raises
    ------
    BadExtract
        If there is no such section, no header above it, a repeated column name, a row cut short, or a date that
        cannot be read.
    """
    dated = rows.first.str.contains(f"{_MONTH}|{_DAY}").to_numpy()
    starts = np.flatnonzero(dated & (rows.widths > 1))
    if not starts.size:
        filled = np.flatnonzero(rows.filled)
        raise BadExtract(
            file=path,
            column=next(iter(rows.first_filled()), None) or None,
            problem="holds no row that begins with a readable month or day",
            count=filled.size,
            rows=[{"line": i + 1, "row": ",".join(rows[i])[:80]} for i in filled[:SHOWN_ROWS]],
            remedy="drop in the file as published; dates are YYYYMM, YYYYMMDD, YYYY-MM-DD, YYYY/MM/DD or MM/DD/YYYY",
        )
    start = int(starts[0])
    header = _header(path, rows, start)
    frame = rows.columns(_body(path, rows, dated, start, len(header)), header)
    written = frame.get_column("date").str.contains(_MONTH).all()
    dates = with_dates(frame, "date", path)
    months = dates.get_column("date").dt.truncate("1mo")
    # A month that a monthly table repeats here and there stays a duplicate and is no sign of days.
    monthly = written or dates.get_column("date").n_unique() < _DAYS_A_MONTH * months.n_unique()
    return Wide(columns=tuple(header[1:]), frame=dates, monthly=monthly)


def check_frequency(path: Path, wide: Wide) -> None:
    """Refuse weekly files, which look like days."""
    if wide.monthly:
        return
    gap = wide.frame.get_column("date").unique().sort().diff().dt.total_days().median()
    if isinstance(gap, int | float) and _WEEK[0] <= gap <= _WEEK[1]:
        raise BadExtract(
            file=path,
            column="date",
            problem=f"its rows are {gap:g} days apart: neither months nor days",
            count=wide.frame.height,
            remedy="drop in the monthly or the daily file",
        )


def value_columns(path: Path, wide: Wide, names: Mapping[str, str], *, codes: Sequence[float] = ()) -> pl.DataFrame:
    """Numbers of a section under staged names.

    Parameters
    ----------
    path : Path
        For messages.
    wide : Wide
        The section.
    names : mapping of str to str
        Published column -> staged column.
    codes : sequence of float
        Values that mean missing.

    Returns
    -------
    polars.DataFrame
        ``date``, ``month`` and the staged columns; a row without any value is absent.
    """
    numbers = with_numbers(wide.frame.select(LINE, "date", *names), list(names), path, codes=codes).rename(dict(names))
    staged = list(names.values())
    present = numbers.filter(pl.any_horizontal(pl.col(staged).is_not_null()))
    return present.select("date", month_of(pl.col("date")).alias("month"), *staged)


def long_columns(path: Path, wide: Wide, *, codes: Sequence[float] = ()) -> pl.DataFrame:
    """Every value of a section as ``date``, ``month``, ``portfolio``, ``return_pct``; missing values are absent."""
    numbers = with_numbers(wide.frame, wide.columns, path, codes=codes)
    long = numbers.unpivot(on=list(wide.columns), index="date", variable_name="portfolio", value_name="return_pct")
    present = long.filter(pl.col("return_pct").is_not_null())
    return present.select("date", month_of(pl.col("date")).alias("month"), "portfolio", "return_pct")


def tidy_columns(wide: Wide) -> dict[str, str]:
    """Tidy name -> published name of the value columns; the first published name of a tidy one counts."""
    return {tidy_name(name): name for name in reversed(wide.columns)}


def missing_columns(path: Path, wide: Wide, absent: Sequence[str]) -> BadExtract:
    """Word the refusal of a file that lacks columns."""
    return BadExtract(
        file=path,
        column=", ".join(absent),
        problem=f"missing; the file has {', '.join(wide.columns)}",
        count=wide.frame.height,
        remedy="drop in the file as published",
    )


def _is_stray(row: Sequence[str]) -> bool:
    filled = [cell for cell in row[1:] if cell]
    return bool(filled) and all(_NUMBER.match(cell) for cell in filled)


def _header(path: Path, rows: Rows, start: int) -> list[str]:
    filled = np.flatnonzero(rows.filled[:start])
    if not filled.size:
        raise BadExtract(
            file=path, problem="has no header above its first row of numbers", remedy="keep the header as published"
        )
    above = int(filled[-1])
    cells = rows[above]
    if _is_stray(cells):
        # Numbers where names belong: the row above is data whose date cannot be read.
        raise BadExtract(
            file=path,
            column="date",
            problem="holds unparseable dates",
            count=1,
            rows=[{"line": above + 1, "date": cells[0]}],
            remedy="write dates as YYYY-MM-DD, YYYYMMDD, YYYYMM, YYYY/MM/DD or MM/DD/YYYY",
        )
    width = max(i + 1 for i, cell in enumerate(rows[start]) if cell)
    if len(cells) == width - 1 and cells[0]:
        cells = ["", *cells]
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    repeated = [name for name, times in Counter(["date", LINE, *cells[1:]]).items() if times > 1 or not name]
    if repeated:
        raise BadExtract(
            file=path,
            column=repeated[0] or "(no name)",
            problem="the header repeats or omits a column's name",
            remedy="give each column one name",
        )
    return ["date", *cells[1:]]


def _body(path: Path, rows: Rows, dated: np.ndarray, start: int, width: int) -> np.ndarray:
    """Lines of the section, from 0; a blank line between rows of one section is passed over."""
    # Few rows of a file are neither blank nor dated: only these are looked at one by one.
    others = np.flatnonzero(rows.filled & ~dated)
    stop = next((i for i in others[others > start].tolist() if not _is_undated_data(rows[i])), len(rows))
    body = start + np.flatnonzero(rows.filled[start:stop])
    short = body[rows.widths[body] < width]
    if short.size:
        _cut_short(path, int(short[0]), rows[short[0]], width)
    if stop < len(rows) and rows.widths[stop] == 1 and _PART_OF_DATE.match(rows.first[stop]):
        _cut_short(path, stop, rows[stop], width)
    return body


def _is_undated_data(row: Sequence[str]) -> bool:
    return _is_stray(row) and not re.match(r"^\d{4}$", row[0])


def _cut_short(path: Path, i: int, row: Sequence[str], width: int) -> None:
    raise BadExtract(
        file=path,
        problem=f"a row has {len(row)} cells where the header has {width}; the file is truncated",
        count=1,
        rows=[{"line": i + 1, "row": ",".join(row)[:80]}],
        remedy="export or download it again",
    )
