"""How DuckDB reads the cells of one file of a plain table: columns found in any case, text turned into types.

Belongs here: SQL for a file's rows. Does not: running it over the files of a table (``tabular``).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from textwrap import shorten

import duckdb

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.parsing import DATE_FORMATS, FIRST_DAY, LAST_DAY, MISSING_TEXT
from pipeline.extracts.reading import is_compressed, suffix
from pipeline.extracts.table import Column, Tabular

_REMEDY = "export it again; the file is truncated or corrupt"
_HEADER_BYTES = 1 << 20
# Beyond it a 64-bit float does not hold every whole number.
_LARGEST_WHOLE = 2**53
# Rows after which a column of times that has no number among them is taken to have none.
_TIMES_LOOKED_AT = 10_000
_TOO_MANY_FOR_CHANCE = 8
_DIGITS = "[0-9]{1,6}([.][0-9]*)?"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
# What DuckDB raises for a file that it cannot read to its end; anything else is our mistake or a full machine.
UNREADABLE = (
    duckdb.IOException,
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.SerializationException,
)


@dataclass(frozen=True)
class _Cell:
    """A column of a file: the vendor's spelling there, the SQL that reads it, its type, and how it counts times."""

    published: str
    sql: str
    dtype: str
    packed: bool = False


@dataclass(frozen=True)
class FileSql:
    """What is asked of one file, as SQL.

    Attributes
    ----------
    values : str
        The select list of `rows`.
    parsed : str
        The innermost select, to which a condition on the file's own columns may be added.
    months : str
        ``month__`` and the two hashes of every row: no cell but the dates is parsed.
    dated : str or None
        The date column as the file has it where its type is a date and rows are split by it alone, for conditions;
        else None.
    """

    values: str
    parsed: str
    months: str
    dated: str | None

    def rows(self, condition: str = "TRUE") -> str:
        """Typed rows of the file that meet a condition.

        The needed columns in lower case, ``problem__`` (column, kind and cell of the first wrong one, parted by tabs),
        ``file__``, ``month__`` (months since the year 0 by the date column, null where it holds no date), and
        ``hash_1__``, ``hash_2__``.
        """
        return f"SELECT {self.values} FROM ({self.parsed} WHERE {condition})"


def quoted(value: object) -> str:
    """Spell a value as text in SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def literal(path: Path) -> str:
    """Spell a path for DuckDB's readers, which take brackets, stars and question marks for patterns."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _listed(values: Sequence[str]) -> str:
    return ", ".join(quoted(value) for value in values)


def unreadable(files: Sequence[Path], error: Exception) -> BadExtract:
    """Word the refusal of a file that DuckDB cannot read to its end; all ``files`` where it names none."""
    said = str(error).split("\nPossible fixes")[0]
    named = [file for file in files if str(file) in str(error)] or list(files)
    return BadExtract(file=tuple(named), problem=f"cannot be read to its end ({said})", remedy=_REMEDY)


def file_sql(base: duckdb.DuckDBPyConnection, tabular: Tabular, file: Path, number: int) -> FileSql:
    """Match the columns of a file and word what is asked of it; ``number`` is what ``file__`` says.

    Raises
    ------
    BadExtract
        If the file has no header that can be read, lacks or repeats a column, or has one of a type that no cell of it
        could be turned from.
    """
    source, cells = _parquet_cells(base, file) if suffix(file) == "parquet" else _csv_cells(file)
    by_name = _matched(tabular, file, cells)
    # Each column is parsed once, in the innermost select, as v<i> beside its raw r<i>; all else refers to these.
    names = [column.name for column in tabular.columns]
    parsed, values, problems = [], [], []
    for i, column in enumerate(tabular.columns):
        cell = by_name[column.name.lower()]
        if column.kind == "time" and _packed_times(base, source, cell, file):
            cell = replace(cell, packed=True)
        expression = _EXPRESSIONS[column.kind](tabular, column, cell, file)
        parsed.append(f"{cell.sql} AS r{i}, {expression.parsed} AS v{i}")
        value = expression.value.format(r=f"r{i}", v=f"v{i}")
        values.append(f'{value} AS "{column.name.lower()}"')
        for kind, test in expression.tests:
            begins = quoted("\t".join((cell.published, kind, "")))
            said = f"{begins} || coalesce(CAST(r{i} AS VARCHAR), '')"
            problems.append(f"WHEN {test.format(r=f'r{i}', v=f'v{i}')} THEN {said}")
    days = {
        name: values[names.index(name)].rpartition(" AS ")[0] for name in (*tabular.dated_by, tabular.reported) if name
    }
    month = _known(tabular, days)
    if tabular.undated is None:
        first = names.index(tabular.date)
        begins = quoted("\t".join((by_name[tabular.date.lower()].published, "date", "")))
        problems.append(f"WHEN {month} IS NULL THEN {begins} || coalesce(CAST(r{first} AS VARCHAR), '')")
    problem = f"CASE {' '.join(problems)} ELSE NULL END" if problems else "NULL"
    needed = [by_name[column.name.lower()] for column in tabular.columns]
    beside, hashes = f"{month} AS month__, hash_1__, hash_2__", _hashes(needed)
    read = ", ".join([*(parsed[names.index(name)] for name in days), hashes])
    return FileSql(
        values=f"{', '.join(values)}, {problem} AS problem__, {number} AS file__, {beside}",
        parsed=f"SELECT {', '.join(parsed)}, {hashes} FROM {source}",
        months=f"SELECT {beside} FROM (SELECT {read} FROM {source})",
        dated=_splits_alone(tabular, by_name),
    )


def _known(tabular: Tabular, days: Mapping[str, str]) -> str:
    """Word the number of the month by which a row is split."""
    day = f"coalesce({', '.join([*(days[name] for name in tabular.dated_by), 'NULL::DATE'])})"
    month = f"{_month_number(day)} + {tabular.delay}"
    if tabular.reported:
        reported = days[tabular.reported]
        month = f"CASE WHEN {reported} >= {day} THEN {_month_number(reported)} ELSE {month} END"
    if tabular.undated is None:
        return month
    assumed = f"DATE '{tabular.undated}'"
    return f"coalesce({month}, {_month_number(assumed)})"


def _month_number(day: str) -> str:
    return f"12 * year({day}) + month({day}) - 1"


def _splits_alone(tabular: Tabular, cells: Mapping[str, _Cell]) -> str | None:
    """Name the date column if its own value, of a type of dates, is all that rows are split by."""
    if tabular.dated_by != (tabular.date,) or tabular.reported or tabular.delay or tabular.undated:
        return None
    dated = cells[tabular.date.lower()]
    return dated.sql if dated.dtype in ("DATE", "TIMESTAMP") else None


def _hashes(cells: Sequence[_Cell]) -> str:
    """Two 64-bit hashes of a row's raw cells and their types, from chains that run in opposite directions.

    The outer hash is needed: the inner one joins the last cell by an exclusive or only, so that two rows that swap it
    could keep the sum of their hashes.
    """
    types = quoted(", ".join(cell.dtype for cell in cells))
    names = [cell.sql for cell in cells]
    forth, back = ", ".join([types, *names]), ", ".join([*reversed(names), types])
    return f"hash(hash({forth})) AS hash_1__, hash(hash({back})) AS hash_2__"


def _csv_cells(file: Path) -> tuple[str, list[_Cell]]:
    opener = gzip.open if is_compressed(file) else open
    try:
        with opener(file, "rb") as stream:
            first = stream.read(_HEADER_BYTES).split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable([file], error) from error
    names = [name.strip() for name in next(csv.reader(io.StringIO(first)), [])]
    if not names:
        raise BadExtract(file=file, problem="is empty", count=0, remedy="export it again")
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    packed = "gzip" if is_compressed(file) else "none"
    source = (
        f"read_csv({quoted(literal(file))}, hive_partitioning=false, header=true, auto_detect=false, "
        f"delim=',', quote='\"', escape='\"', compression='{packed}', columns={{{columns}}})"
    )
    return source, [_Cell(name, f"c{i}", "VARCHAR") for i, name in enumerate(names)]


def _parquet_cells(base: duckdb.DuckDBPyConnection, file: Path) -> tuple[str, list[_Cell]]:
    source = f"read_parquet({quoted(literal(file))}, hive_partitioning=false)"
    try:
        described = base.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    except UNREADABLE as error:
        raise unreadable([file], error) from error
    return source, [_Cell(name, '"' + name.replace('"', '""') + '"', dtype) for name, dtype, *_ in described]


def _names_of(cells: Sequence[_Cell]) -> str:
    return shorten(", ".join(cell.published for cell in cells), 300, placeholder=" ...")


def _matched(tabular: Tabular, file: Path, cells: Sequence[_Cell]) -> dict[str, _Cell]:
    names = Counter(cell.published.lower() for cell in cells)
    missing = [column for column in tabular.columns if column.name.lower() not in names]
    absent = [column.name for column in missing if not column.optional]
    if absent:
        raise BadExtract(
            file=file,
            column=", ".join(absent),
            problem=f"missing; the file has {_names_of(cells)}",
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
    blank = {column.name.lower(): _Cell(column.name, "CAST(NULL AS VARCHAR)", "VARCHAR") for column in missing}
    return {cell.published.lower(): cell for cell in cells} | blank


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


def _blank(raw: str, column: Column) -> str:
    letter = f" OR regexp_matches(trim({raw}), '^\\.?[A-Za-z]$')" if column.letters else ""
    return f"({raw} IS NULL OR lower(trim({raw})) IN ({_listed(MISSING_TEXT)}){letter})"


def _is_code(value: str, tabular: Tabular, column: Column) -> list[str]:
    return [f"round({value}, 4) = {code:.4f}e0" for code in (*tabular.missing, *column.missing)]


def _decimal(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    # Zero has one sign: hashes and comparisons take -0.0 for 0.0, so digests may not tell them apart.
    absent = " OR ".join(["isnan({v})", *_is_code("{v}", tabular, column)])
    value = f"CASE WHEN {absent} THEN NULL WHEN {{v}} = 0 THEN 0.0 ELSE {{v}} END"
    tests = [("infinite", "isinf({v})")]
    if column.whole:
        tests.append(("whole", f"NOT isnan({{v}}) AND ({{v}} <> trunc({{v}}) OR abs({{v}}) > {_LARGEST_WHOLE})"))
    if cell.dtype == "VARCHAR":
        wrong = ("number", f"{{v}} IS NULL AND NOT {_blank('{r}', column)}")
        return _Expression(f"TRY_CAST({cell.sql} AS DOUBLE)", value, (wrong, *tests))
    if _is_numeric(cell.dtype):
        return _Expression(f"CAST({cell.sql} AS DOUBLE)", value, tuple(tests))
    raise _wrong_type(column, cell, file)


def _text(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    absent = ["lower({v}) IN ('', 'nan')", *_is_code("TRY_CAST({v} AS DOUBLE)", tabular, column)]
    value = "CASE WHEN ends_with({v}, '.0') THEN left({v}, -2) ELSE {v} END" if column.whole else "{v}"
    return _Expression(
        f"trim(CAST({cell.sql} AS VARCHAR))", f"CASE WHEN {' OR '.join(absent)} THEN NULL ELSE {value} END"
    )


def _date(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    dates_rows = column.name in tabular.dated_by
    # Vendors date what never ends, a perpetual bond's maturity, by a day far away, mostly 9999-12-31.
    last = LAST_DAY if dates_rows else date.max
    within = f"{{v}} BETWEEN DATE '{FIRST_DAY}' AND DATE '{last}'"
    tests = [("date", f"NOT ({within})")]
    if cell.dtype == "VARCHAR" or cell.dtype in _INTEGERS:
        text = f"trim(CAST({cell.sql} AS VARCHAR))"
        day = f"regexp_replace({text}, '[ T][0-9]{{1,2}}:.*$', '')"
        # The cast reads ISO dates, which most are, much faster than the list of formats.
        parsed = f"coalesce(TRY_CAST({text} AS DATE), CAST(try_strptime({day}, [{_listed(DATE_FORMATS)}]) AS DATE))"
        tests.append(("date", f"{{v}} IS NULL AND NOT {_blank('CAST({r} AS VARCHAR)', column)}"))
    elif cell.dtype == "DATE" or cell.dtype.startswith("TIMESTAMP"):
        parsed = f"CAST({cell.sql} AS DATE)"
    else:
        raise _wrong_type(column, cell, file)
    if column.name == tabular.date and tabular.first_day:
        tests.append(("first", "day({v}) <> 1"))
    return _Expression(parsed, f"CASE WHEN {within} THEN {{v}} END", tuple(tests))


def _time(tabular: Tabular, column: Column, cell: _Cell, file: Path) -> _Expression:
    blank = "{r} IS NULL"
    if cell.dtype == "VARCHAR":
        blank = _blank("{r}", column)
        parsed = _time_of_text(f"trim({cell.sql})", packed=cell.packed)
    elif _is_numeric(cell.dtype):
        blank = "({r} IS NULL OR isnan(CAST({r} AS DOUBLE)))"
        number = f"CAST({cell.sql} AS DOUBLE)"
        parsed = _time_of_digits(number) if cell.packed else _time_of_seconds(number)
    elif cell.dtype in ("TIME", "TIME_NS"):
        parsed = f"CAST({cell.sql} AS TIME)"
    else:
        raise _wrong_type(column, cell, file)
    # The end of a day, which some tools write and DuckDB reads, is no time of that day.
    within = "{v} < TIME '24:00:00'"
    wrong = (("time", f"{{v}} IS NULL AND NOT {blank}"), ("time", f"NOT ({within})"))
    return _Expression(parsed, f"CASE WHEN {within} THEN {{v}} END", wrong)


def _packed_times(base: duckdb.DuckDBPyConnection, source: str, cell: _Cell, file: Path) -> bool:
    """Whether the numbers of a column are times of day as HHMMSS, 93000 for 09:30:00, and not seconds after midnight.

    They are where every number, read as HHMMSS, is a time of day, and either one is too large for the seconds of a day
    or there are too many for chance: a number of seconds looks like a time in about one case of three.
    """
    if cell.dtype == "VARCHAR":
        number = f"CASE WHEN regexp_full_match(trim({cell.sql}), '{_DIGITS}') THEN TRY_CAST({cell.sql} AS DOUBLE) END"
    elif _is_numeric(cell.dtype):
        number = f"CAST({cell.sql} AS DOUBLE)"
    else:
        return False
    numbers = f"SELECT {number} AS n FROM {source}"
    asked = f"SELECT count(*) FROM ({numbers} LIMIT {_TIMES_LOOKED_AT}) WHERE n IS NOT NULL"
    valid = "n BETWEEN 0 AND 235959 AND n = trunc(n) AND n % 100 < 60 AND trunc(n / 100) % 100 < 60"
    many = f"max(n) >= 86400 OR count(DISTINCT n) >= {_TOO_MANY_FOR_CHANCE}"
    try:
        if not base.execute(asked).fetchall()[0][0]:
            return False
        whole = base.execute(f"SELECT bool_and({valid}) AND ({many}) FROM ({numbers}) WHERE NOT isnan(n)").fetchall()
    except UNREADABLE as error:
        raise unreadable([file], error) from error
    return bool(whole[0][0])


def _is_numeric(dtype: str) -> bool:
    return dtype in (*_INTEGERS, "FLOAT", "DOUBLE") or dtype.startswith("DECIMAL")


def _time_of_text(text: str, *, packed: bool) -> str:
    """Read HH:MM:SS, HHMMSS, or a number of up to five digits before its point.

    Such a number counts seconds after midnight, or is HHMMSS without its leading zeros.
    """
    colons = f"length({text}) = 8 AND {text}[3] = ':' AND {text}[6] = ':'"
    others = f"regexp_full_match({text}, '[0-9]{{1,2}}:[0-9]{{2}}:[0-9]{{2}}([.][0-9]+)?')"
    six = f"concat_ws(':', {text}[1:2], {text}[3:4], {text}[5:6])"
    number = f"TRY_CAST({text} AS DOUBLE)"
    shorter = _time_of_digits(number) if packed else _time_of_seconds(number)
    return (
        f"CASE WHEN {colons} OR {others} THEN TRY_CAST({text} AS TIME) "
        f"WHEN regexp_full_match({text}, '[0-9]{{6}}') THEN TRY_CAST({six} AS TIME) "
        f"WHEN regexp_full_match({text}, '{_DIGITS}') THEN {shorter} END"
    )


def _time_of_digits(number: str) -> str:
    """Read HHMMSS as a number, whose leading zeros are gone."""
    digits = f"TRY_CAST({number} AS BIGINT)"
    hours, minutes, seconds = f"{digits} // 10000", f"{digits} // 100 % 100", f"{digits} % 100"
    return _time_of_seconds(f"(3600 * ({hours}) + 60 * ({minutes}) + {seconds})")


def _time_of_seconds(seconds: str) -> str:
    """Read seconds after midnight, as SAS counts them."""
    micros = f"CAST(round(1e6 * {seconds}) AS BIGINT)"
    return f"CASE WHEN {seconds} >= 0 AND {seconds} < 86400 THEN CAST(make_timestamp({micros}) AS TIME) END"


_EXPRESSIONS = {"number": _decimal, "text": _text, "date": _date, "time": _time}
