"""Plain tables of any size, split into months in one out-of-core pass.

Belongs here: columns matched in any case, text turned into types, wrong cells located. Does not: what a table means
(the vendors' modules) or the small hand-made layouts (``wide``). DuckDB streams the files into one Parquet folder a
month of the date column; memory is bounded by its buffers and, afterwards, by one month.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.parsing import DATE_FORMATS, MISSING_TEXT
from pipeline.extracts.reading import check_gzip, is_compressed, suffix
from pipeline.extracts.table import Column, Tabular

_REMEDY = "export it again; the file is truncated or corrupt"
_HEADER_BYTES = 1 << 20
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_UNDATED = "undated"
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


def month_blocks(tabular: Tabular, files: Sequence[Path], workspace: Path) -> Iterator[tuple[str, pl.DataFrame]]:
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
    (str, polars.DataFrame)
        Month ``YYYY-MM`` and its rows, ascending months, rows in no particular order; the needed columns in lower
        case, missing codes and NaN null.

    Raises
    ------
    BadExtract
        If a file cannot be read to its end, lacks a column, holds cells of another type, or there are no rows.
    """
    split = workspace / "months"
    config = {"preserve_insertion_order": "false", "temp_directory": str(workspace / "spill")}
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
    for folder in folders:
        block = pl.read_parquet(folder / "*.parquet", hive_partitioning=False)
        yield folder.name.removeprefix("month__="), block.drop("problem__", "file__")


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _listed(values: Sequence[str]) -> str:
    return ", ".join(_quoted(value) for value in values)


def _unreadable(files: Sequence[Path], error: Exception) -> BadExtract:
    said = str(error).split("\nPossible fixes")[0]
    named = [file for file in files if str(file) in str(error)] or list(files)
    return BadExtract(file=tuple(named), problem=f"cannot be read to its end ({said})", remedy=_REMEDY)


def _select(base: duckdb.DuckDBPyConnection, tabular: Tabular, file: Path, number: int) -> str:
    """One file's typed columns, its month and the first problem of each row, as SQL."""
    source, cells = _parquet_cells(base, file) if suffix(file) == "parquet" else _csv_cells(file)
    by_name = _matched(tabular, file, cells)
    typed, problems = [], []
    for column in tabular.columns:
        cell = by_name[column.name.lower()]
        value, tests = _EXPRESSIONS[column.kind](tabular, column, cell, file)
        typed.append(f'{value} AS "{column.name.lower()}"')
        said = f"{_quoted(cell.published)} || chr(9) || '%s' || chr(9) || coalesce(CAST({cell.sql} AS VARCHAR), '')"
        problems += [f"WHEN {test} THEN {said % kind}" for kind, test in tests]
    problem = f"CASE {' '.join(problems)} ELSE NULL END" if problems else "NULL"
    inner = f"SELECT {', '.join(typed)}, {problem} AS problem__ FROM {source}"
    month = f"coalesce(strftime(\"{tabular.date.lower()}\", '%Y-%m'), '{_UNDATED}')"
    return f"SELECT *, {number} AS file__, {month} AS month__ FROM ({inner})"


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
        f"read_csv({_quoted(file)}, header=true, auto_detect=false, delim=',', quote='\"', escape='\"', "
        f"compression='{packed}', columns={{{columns}}})"
    )
    return source, [_Cell(name, f"c{i}", "VARCHAR") for i, name in enumerate(names)]


def _parquet_cells(base: duckdb.DuckDBPyConnection, file: Path) -> tuple[str, list[_Cell]]:
    source = f"read_parquet({_quoted(file)})"
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


Expression = tuple[str, list[tuple[str, str]]]


def _wrong_type(column: Column, cell: _Cell, file: Path) -> BadExtract:
    return BadExtract(
        file=file,
        column=cell.published,
        problem=f"has type {cell.dtype} where a {column.kind} is needed",
        remedy=f"write the column as {column.kind}s",
    )


def _absent(cell: _Cell, marks: Sequence[str]) -> str:
    return f"({cell.sql} IS NULL OR lower(trim({cell.sql})) IN ({_listed(marks)}))"


def _without_codes(value: str, tabular: Tabular) -> str:
    codes = [f"round({value}, 4) = CAST('{code}' AS DOUBLE)" for code in tabular.missing]
    tests = " OR ".join([f"isnan({value})", *codes])
    return f"CASE WHEN {tests} THEN NULL ELSE {value} END"


def _number(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> Expression:
    if cell.dtype == "VARCHAR":
        absent = _absent(cell, MISSING_TEXT)
        value = f"TRY_CAST(CASE WHEN {absent} THEN NULL ELSE trim({cell.sql}) END AS DOUBLE)"
        tests = [("number", f"NOT {absent} AND {value} IS NULL"), ("infinite", f"isinf({value})")]
    elif cell.dtype in (*_INTEGERS, "FLOAT", "DOUBLE") or cell.dtype.startswith("DECIMAL"):
        value = f"CAST({cell.sql} AS DOUBLE)"
        tests = [("infinite", f"isinf({value})")]
    else:
        raise _wrong_type(column, cell, file)
    return _without_codes(value, tabular), tests


def _text(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> Expression:
    plain = _Cell(cell.published, f"CAST({cell.sql} AS VARCHAR)", "VARCHAR")
    code = [f"round(TRY_CAST({plain.sql} AS DOUBLE), 4) = CAST('{code}' AS DOUBLE)" for code in tabular.missing]
    absent = " OR ".join([_absent(plain, ("", "nan")), *code])
    return f"CASE WHEN {absent} THEN NULL ELSE trim({plain.sql}) END", []


def _date(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> Expression:
    dates = column.name == tabular.date
    if cell.dtype == "VARCHAR" or cell.dtype in _INTEGERS:
        plain = _Cell(cell.published, f"CAST({cell.sql} AS VARCHAR)", "VARCHAR")
        day = f"regexp_replace(trim({plain.sql}), '[ T][0-9]{{1,2}}:.*$', '')"
        value = f"CAST(try_strptime({day}, [{_listed(DATE_FORMATS)}]) AS DATE)"
        blank = "FALSE" if dates else _absent(plain, MISSING_TEXT)
        tests = [("date", f"NOT {blank} AND {value} IS NULL")]
    elif cell.dtype == "DATE" or cell.dtype.startswith("TIMESTAMP"):
        value = f"CAST({cell.sql} AS DATE)"
        tests = [("date", f"{value} IS NULL")] if dates else []
    elif cell.dtype == "\"NULL\"" and not dates:
        return "CAST(NULL AS DATE)", []
    else:
        raise _wrong_type(column, cell, file)
    if dates and tabular.first_day:
        tests.append(("first", f"day({value}) <> 1"))
    return value, tests


_EXPRESSIONS = {"number": _number, "text": _text, "date": _date}


def _refuse_problems(
    base: duckdb.DuckDBPyConnection, tabular: Tabular, files: Sequence[Path], split: Path
) -> None:
    rows = f"read_parquet({_quoted(split / '*' / '*.parquet')}, hive_partitioning=false) WHERE problem__ IS NOT NULL"
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
