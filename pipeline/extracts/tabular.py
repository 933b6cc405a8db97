"""Plain tables of any size, split into months in one out-of-core pass.

Belongs here: columns matched in any case, text turned into types, wrong cells located. Does not: what a table means
(the vendors' modules) or the small hand-made layouts (``wide``). DuckDB streams the files into one Parquet folder a
month of the date column; memory is bounded by its buffers and, afterwards, by one month.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.parsing import DATE_FORMATS, FIRST_DAY, LAST_DAY, MISSING_TEXT
from pipeline.extracts.reading import check_gzip, is_compressed, suffix
from pipeline.extracts.table import Column, Tabular

_REMEDY = "export it again; the file is truncated or corrupt"
_HEADER_BYTES = 1 << 20
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_UNDATED = "undated"
_BLOCK_ROWS = 50_000
_DATES = "write dates as YYYY-MM-DD, YYYYMMDD, YYYY/MM/DD or MM/DD/YYYY"
_PROBLEMS = {
    "number": ("holds what is no number", "correct or empty these cells"),
    "infinite": ("holds non-finite numbers", "correct or empty these cells"),
    "date": ("holds unparseable dates", _DATES),
    "first": ("holds days other than the first of a month", "date every row with the first day of its month"),
}
# What DuckDB raises for a file that it cannot read to its end; anything else is our mistake or a full machine.
_UNREADABLE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.SerializationException,
)


@dataclass(frozen=True)
class _Cell:
    """A column of a file: the vendor's spelling there, the SQL that reads it, its type."""

    published: str
    sql: str
    dtype: str


def month_blocks(tabular: Tabular, files: Sequence[Path], workspace: Path) -> Iterator[pl.DataFrame]:
    """Split a tabular extract into months.

    Parameters
    ----------
    tabular : Tabular
        What the table must hold.
    files : sequence of Path
        Its files, in any order, each with a header of its own.
    workspace : Path
        An empty folder for the pass; it grows to about the size of the typed table.

    Yields
    ------
    polars.DataFrame
        Rows of one month or of several whole ones, ascending months, rows of a month in no particular order; the
        needed columns in lower case, missing codes and NaN null.

    Raises
    ------
    BadExtract
        If a file cannot be read to its end, lacks a column, holds cells of another type, or there are no rows.
    """
    split = workspace / "months"
    config: dict[str, str | bool | int | float | list[str]] = {
        "preserve_insertion_order": "false",
        "temp_directory": str(workspace / "spill"),
    }
    with duckdb.connect(config=config) as base:
        selects = [_select(base, tabular, file, i) for i, file in enumerate(files)]
        for file in filter(is_compressed, files):
            check_gzip(file)
        copy = (
            f"COPY ({' UNION ALL '.join(selects)}) TO {_quoted(split)} "
            "(FORMAT parquet, COMPRESSION snappy, PARTITION_BY (month__))"
        )
        try:
            base.execute(copy)
        except _UNREADABLE as error:
            raise _unreadable(files, error) from error
        folders = sorted(split.glob("month__=*"))
        if not folders:
            raise BadExtract(file=tuple(files), problem="holds no rows", count=0, remedy="export it again")
        _refuse_problems(base, tabular, files, split)
    yield from _batches(folders)


def _batches(folders: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Join small months to blocks of some size: checking a block costs about the same however few its rows."""
    held: list[pl.DataFrame] = []
    for folder in folders:
        month = pl.read_parquet(sorted(folder.glob("*.parquet")), hive_partitioning=False, glob=False)
        held.append(month.drop("problem__", "file__"))
        if sum(month.height for month in held) >= _BLOCK_ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _literal(path: Path) -> str:
    """Spell a path for DuckDB's readers, which take brackets, stars and question marks for patterns."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _listed(values: Sequence[str]) -> str:
    return ", ".join(_quoted(value) for value in values)


def _unreadable(files: Sequence[Path], error: Exception) -> BadExtract:
    said = str(error).split("\nPossible fixes")[0]
    named = [file for file in files if str(file) in str(error)] or list(files)
    return BadExtract(file=tuple(named), problem=f"cannot be read to its end ({said})", remedy=_REMEDY)


def _select(base: duckdb.DuckDBPyConnection, tabular: Tabular, file: Path, number: int) -> str:
    """One file's typed columns, its month and the first problem of each row, as SQL.

    Each column is parsed once, below, as ``v<i>`` beside its raw ``r<i>``; values and tests above refer to these.
    """
    source, cells = _parquet_cells(base, file) if suffix(file) == "parquet" else _csv_cells(file)
    by_name = _matched(tabular, file, cells)
    parsed, values, problems = [], [], []
    for i, column in enumerate(tabular.columns):
        cell = by_name[column.name.lower()]
        expression = _EXPRESSIONS[column.kind](tabular, column, cell, file)
        parsed += [f"{cell.sql} AS r{i}", f"{expression.parsed} AS v{i}"]
        values.append(f'{expression.value.format(r=f"r{i}", v=f"v{i}")} AS "{column.name.lower()}"')
        for kind, test in expression.tests:
            said = f"{_quoted(cell.published)} || chr(9) || '{kind}' || chr(9) || coalesce(CAST(r{i} AS VARCHAR), '')"
            problems.append(f"WHEN {test.format(r=f'r{i}', v=f'v{i}')} THEN {said}")
    problem = f"CASE {' '.join(problems)} ELSE NULL END" if problems else "NULL"
    typed = f"SELECT {', '.join(values)}, {problem} AS problem__ FROM (SELECT {', '.join(parsed)} FROM {source})"
    by_month = any(view.table.by_month for view in tabular.views)
    month = f"coalesce(strftime(\"{tabular.date.lower()}\", '%Y-%m'), '{_UNDATED}')" if by_month else "'whole'"
    return f"SELECT *, {number} AS file__, {month} AS month__ FROM ({typed})"


def _csv_cells(file: Path) -> tuple[str, list[_Cell]]:
    opener = gzip.open if is_compressed(file) else open
    try:
        with opener(file, "rb") as stream:
            first = stream.read(_HEADER_BYTES).split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable([file], error) from error
    names = [name.strip() for name in next(csv.reader(io.StringIO(first)), [])]
    if not names:
        raise BadExtract(file=file, problem="is empty", count=0, remedy="export it again")
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    packed = "gzip" if is_compressed(file) else "none"
    source = (
        f"read_csv({_quoted(_literal(file))}, hive_partitioning=false, header=true, auto_detect=false, "
        f"delim=',', quote='\"', escape='\"', compression='{packed}', columns={{{columns}}})"
    )
    return source, [_Cell(name, f"c{i}", "VARCHAR") for i, name in enumerate(names)]


def _parquet_cells(base: duckdb.DuckDBPyConnection, file: Path) -> tuple[str, list[_Cell]]:
    source = f"read_parquet({_quoted(_literal(file))}, hive_partitioning=false)"
    try:
        described = base.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    except _UNREADABLE as error:
        raise _unreadable([file], error) from error
    quoted = [(row[0], '"' + row[0].replace('"', '""') + '"', row[1]) for row in described]
    return source, [_Cell(name, sql, dtype) for name, sql, dtype in quoted]


def _matched(tabular: Tabular, file: Path, cells: Sequence[_Cell]) -> dict[str, _Cell]:
    names = Counter(cell.published.lower() for cell in cells)
    absent = [column.name for column in tabular.columns if column.name.lower() not in names]
    if absent:
        raise BadExtract(
            file=file,
            column=", ".join(absent),
            problem=f"missing; the file has {', '.join(cell.published for cell in cells)[:300]}",
            remedy="export the table with these columns",
        )
    repeated = [column.name for column in tabular.columns if names[column.name.lower()] > 1]
    if repeated:
        raise BadExtract(
            file=file,
            column=repeated[0],
            problem="stands twice in the header (upper and lower case are one name)",
            remedy="keep one of the two columns",
        )
    return {cell.published.lower(): cell for cell in cells}


@dataclass(frozen=True)
class _Expression:
    """How a column is parsed from the file, its value, and the tests that find wrong cells ({r} raw, {v} parsed)."""

    parsed: str
    value: str
    tests: tuple[tuple[str, str], ...] = ()


def _wrong_type(column: Column, cell: _Cell, file: Path) -> BadExtract:
    return BadExtract(
        file=file,
        column=cell.published,
        problem=f"has type {cell.dtype} where a {column.kind} is needed",
        remedy=f"write the column as {column.kind}s",
    )


def _blank(raw: str, marks: Sequence[str] = MISSING_TEXT) -> str:
    return f"({raw} IS NULL OR lower(trim({raw})) IN ({_listed(marks)}))"


def _is_code(value: str, tabular: Tabular) -> list[str]:
    return [f"round({value}, 4) = CAST('{code}' AS DOUBLE)" for code in tabular.missing]


def _number(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    value = f"CASE WHEN {' OR '.join(['isnan({v})', *_is_code('{v}', tabular)])} THEN NULL ELSE {{v}} END"
    infinite = ("infinite", "isinf({v})")
    if cell.dtype == "VARCHAR":
        wrong = ("number", f"{{v}} IS NULL AND NOT {_blank('{r}')}")
        return _Expression(f"TRY_CAST({cell.sql} AS DOUBLE)", value, (wrong, infinite))
    if cell.dtype in (*_INTEGERS, "FLOAT", "DOUBLE") or cell.dtype.startswith("DECIMAL"):
        return _Expression(f"CAST({cell.sql} AS DOUBLE)", value, (infinite,))
    raise _wrong_type(column, cell, file)


def _text(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    absent = ["lower({v}) IN ('', 'nan')", *_is_code("TRY_CAST({v} AS DOUBLE)", tabular)]
    return _Expression(
        f"trim(CAST({cell.sql} AS VARCHAR))", f"CASE WHEN {' OR '.join(absent)} THEN NULL ELSE {{v}} END"
    )


def _date(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    dates_rows = column.name == tabular.date
    within = f"{{v}} BETWEEN DATE '{FIRST_DAY}' AND DATE '{LAST_DAY}'"
    tests = [("date", f"NOT ({within})")]
    if cell.dtype == "VARCHAR" or cell.dtype in _INTEGERS:
        text = f"trim(CAST({cell.sql} AS VARCHAR))"
        day = f"regexp_replace({text}, '[ T][0-9]{{1,2}}:.*$', '')"
        # The cast reads ISO dates, which most are, much faster than the list of formats.
        parsed = f"coalesce(TRY_CAST({text} AS DATE), CAST(try_strptime({day}, [{_listed(DATE_FORMATS)}]) AS DATE))"
        blank = "" if dates_rows else f" AND NOT {_blank('CAST({r} AS VARCHAR)')}"
        tests.append(("date", f"{{v}} IS NULL{blank}"))
    elif cell.dtype == "DATE" or cell.dtype.startswith("TIMESTAMP"):
        parsed = f"CAST({cell.sql} AS DATE)"
        tests += [("date", "{v} IS NULL")] if dates_rows else []
    else:
        raise _wrong_type(column, cell, file)
    if dates_rows and tabular.first_day:
        tests.append(("first", "day({v}) <> 1"))
    return _Expression(parsed, f"CASE WHEN {within} THEN {{v}} END", tuple(tests))


_EXPRESSIONS = {"number": _number, "text": _text, "date": _date}


def _refuse_problems(base: duckdb.DuckDBPyConnection, tabular: Tabular, files: Sequence[Path], split: Path) -> None:
    typed = f"read_parquet({_quoted(_literal(split) + '/*/*.parquet')}, hive_partitioning=false)"
    rows = f"{typed} WHERE problem__ IS NOT NULL"
    parts = "split_part(problem__, chr(9), 1), split_part(problem__, chr(9), 2)"
    found = base.execute(f"SELECT {parts}, count(*) FROM {rows} GROUP BY ALL ORDER BY 3 DESC, 1").fetchall()
    if not found:
        return
    column, kind, count = found[0]
    key = [f'"{name.lower()}"' for name in dict.fromkeys((tabular.date, *_identifying(tabular)))]
    cell = "split_part(problem__, chr(9), 3)"
    where = f"{rows} AND starts_with(problem__, {_quoted(f'{column}{chr(9)}{kind}{chr(9)}')})"
    shown = base.execute(f"SELECT {', '.join(key)}, {cell}, file__ FROM {where} ORDER BY ALL LIMIT 5").fetchall()
    spelled = {name.name.lower(): name.name for name in tabular.columns}
    names = [spelled[name.strip('"')] for name in key]
    problem, remedy = _PROBLEMS[kind]
    raise BadExtract(
        file=tuple(files[i] for i in sorted({row[-1] for row in shown})),
        column=column,
        problem=problem,
        count=count,
        rows=[{**dict(zip(names, row[:-2], strict=True)), column: row[-2] or None} for row in shown],
        remedy=remedy,
    )


def _identifying(tabular: Tabular) -> list[str]:
    """Key columns of the first staged table that the extract itself has, to show which row is meant."""
    mine = {column.name.lower(): column.name for column in tabular.columns}
    return [mine[name] for name in tabular.views[0].table.key if name in mine]
