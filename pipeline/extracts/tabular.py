"""Plain tables of any size, split into months in one out-of-core pass.

Belongs here: columns matched in any case, text turned into types, wrong cells located. Does not: what a table means
(the vendors' modules) or the small hand-made layouts (``wide``). DuckDB streams the files into one of
typed rows; memory is bounded by its buffers and, afterwards, by a chunk of months.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from pipeline.extracts.cells import UNREADABLE, FileSql, file_sql, literal, quoted, unreadable
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import check_gzip, is_compressed
from pipeline.extracts.table import Tabular

_BLOCK_ROWS = 50_000
_CHUNK_ROWS = 2_000_000
_DATES = "write dates as YYYY-MM-DD, YYYYMMDD, YYYY/MM/DD or MM/DD/YYYY"
_PROBLEMS = {
    "number": ("holds what is no number", "correct or empty these cells"),
    "infinite": ("holds non-finite numbers", "correct or empty these cells"),
    "whole": ("holds numbers that are not whole", "write these identifiers and codes as the vendor does"),
    "date": ("holds unparseable dates", _DATES),
    "time": ("holds unparseable times", "write times of day as HH:MM:SS or HHMMSS"),
    "first": ("holds days other than the first of a month", "date every row with the first day of its month"),
}

Fingerprint = tuple[int, int, int]
"""Rows of a month of a file, and two sums of 64-bit hashes over them: equal for equal rows in any order."""
Months = Mapping[date, Fingerprint]
UNDATED = date.min
"""Stands for the month of rows whose date cannot be read."""


def added(parts: Iterable[Months]) -> dict[date, Fingerprint]:
    """Fingerprints of a table's months from those of its files."""
    total: dict[date, Fingerprint] = {}
    for part in parts:
        for month, (rows, first, second) in part.items():
            before = total.get(month, (0, 0, 0))
            total[month] = (before[0] + rows, (before[1] + first) % 2**64, (before[2] + second) % 2**64)
    return total


class TabularReader:
    """One look at the files of a plain table; a context manager.

    How often a file is read: once, where nothing is known of the table. Else twice at most: a new or changed file once
    for the fingerprints of its months, for which no cell but the date is parsed; and a file that holds rows of a month
    that changed once for these rows, where DuckDB leaves out the parts of a Parquet file that its statistics rule out.
    A new or changed file that is compressed is decompressed once more, to compare its checksum.

    Parameters
    ----------
    tabular : Tabular
        What the table must hold.
    files : sequence of Path
        Its files, in any order, each with a header of its own.
    workspace : Path
        An empty folder; it grows to about the size of the typed rows that are read.
    """

    def __init__(self, tabular: Tabular, files: Sequence[Path], workspace: Path) -> None:
        self._tabular = tabular
        self._files = tuple(files)
        self._rows = workspace / "rows.parquet"
        self._by_month = any(view.table.by_month for view in tabular.views)
        config: dict[str, str | bool | int | float | list[str]] = {
            "preserve_insertion_order": "false",
            "temp_directory": str(workspace / "spill"),
            # It makes a join of every test for a mark or code for missing, which takes twice as long as the tests.
            "disabled_optimizers": "in_clause",
        }
        self._base = duckdb.connect(config=config)
        self._asked: dict[Path, FileSql] = {}
        self._counts: dict[int, int] = {}

    def __enter__(self) -> TabularReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def read_all(self) -> dict[Path, Months]:
        """Read and type every row, for `blocks`.

        Returns
        -------
        dict of Path to Months
            Fingerprints of every file's months; none for a table that is not staged by month. They are those of the
            cells as the file has them: a number that is spelled otherwise, or a column of another type, is another
            fingerprint, though it may give the same rows.

        Raises
        ------
        BadExtract
            If a file cannot be read to its end, lacks a column, holds cells of another type, or there are no rows.
        """
        self._check(self._files)
        self._read(self._files)
        if not self._by_month:
            return {}
        by_number = self._months(self._typed, "file__")
        return {file: by_number.get(number, {}) for number, file in enumerate(self._files)}

    def read_changed(self, known: Mapping[Path, Months], before: Months) -> tuple[dict[Path, Months], set[date]]:
        """Read and type the rows of months that changed, for `blocks`.

        Parameters
        ----------
        known : mapping of Path to Months
            Fingerprints of those files that have not changed.
        before : mapping of date to Fingerprint
            Months of the table as they were when nothing was wrong with them.

        Returns
        -------
        (dict of Path to Months, set of date)
            Fingerprints as of `read_all`, and the months that hold other rows than before, or rows for the first time.

        Raises
        ------
        BadExtract
            As `read_all`.
        """
        new = [file for file in self._files if file not in known]
        self._check(new)
        now = {file: known.get(file, {}) for file in self._files}
        now |= {file: self._months(f"({self._sql(file).months})").get(None, {}) for file in new}
        whole = added(now.values())
        if not whole:
            raise self._empty()
        changed = {month for month, fingerprint in whole.items() if before.get(month) != fingerprint}
        if changed:
            self._read([file for file in self._files if now[file].keys() & changed], changed)
        return now, changed

    def blocks(self) -> Iterator[tuple[list[date], pl.DataFrame]]:
        """Rows that were read, by month; nothing where none were.

        Yields
        ------
        (list of date, polars.DataFrame)
            Months, and their rows in no particular order: one month or several whole ones, since checking a block
            costs about the same however few its rows. Columns in lower case, missing codes and NaN null. A table that
            is not staged by month comes as one block.
        """
        if not self._counts:
            return
        rows = pl.scan_parquet(self._rows, hive_partitioning=False, glob=False)
        helpers = [name for name in rows.collect_schema() if name.endswith("__")]
        # Rows lie in the order of the vendor's files, which is often that of another column than the date: a block is
        # taken out of a chunk in memory, so that not every block goes through the whole file.
        for chunk in _together(self._counts, _CHUNK_ROWS if self._by_month else None):
            held = rows.filter(_within(chunk)).collect()
            for months in _together(chunk, _BLOCK_ROWS if self._by_month else None):
                yield [_first_day(month) for month in months], held.filter(_within(months)).drop(helpers)

    @property
    def rows_read(self) -> int:
        """Rows that were read, those included that no table takes."""
        return sum(self._counts.values())

    @property
    def _typed(self) -> str:
        return f"read_parquet({quoted(literal(self._rows))}, hive_partitioning=false)"

    def _sql(self, file: Path) -> FileSql:
        if file not in self._asked:
            self._asked[file] = file_sql(self._base, self._tabular, file, self._files.index(file))
        return self._asked[file]

    def _check(self, files: Sequence[Path]) -> None:
        for file in files:
            self._sql(file)
        for file in filter(is_compressed, files):
            check_gzip(file)

    def _empty(self) -> BadExtract:
        return BadExtract(file=self._files, problem="holds no rows", count=0, remedy="export it again")

    def _read(self, files: Sequence[Path], months: Collection[date] = ()) -> None:
        """Write the rows of some months, or all, to one file, as they come.

        Sorting them by month first, DuckDB runs out of any memory that it is given where there are enough of them;
        writing a file a month takes twice as long.
        """
        selects = " UNION ALL ".join(self._sql(file).rows(self._window(file, months)) for file in files)
        chosen = f"WHERE {self._among(months)}" if months else ""
        copy = f"COPY (SELECT * FROM ({selects}) {chosen}) TO {quoted(self._rows)}"
        try:
            self._base.execute(f"{copy} (FORMAT parquet, COMPRESSION snappy)")
        except UNREADABLE as error:
            raise unreadable(files, error) from error
        counted = f"SELECT month__, count(*), count(problem__) FROM {self._typed} GROUP BY 1 ORDER BY 1"
        counts = self._base.execute(counted).fetchall()
        if not counts:
            raise self._empty()
        if any(problems for _, _, problems in counts):
            raise self._problem()
        self._counts = {month: count for month, count, _ in counts}

    def _among(self, months: Collection[date]) -> str:
        """Condition on ``month__``: a range for every run of months, since a list is gone through row by row."""
        numbers = {_number(month) for month in months if month != UNDATED}
        firsts = sorted(number for number in numbers if number - 1 not in numbers)
        lasts = sorted(number for number in numbers if number + 1 not in numbers)
        runs = [f"month__ BETWEEN {first} AND {last}" for first, last in zip(firsts, lasts, strict=True)]
        return " OR ".join([*runs, *(["month__ IS NULL"] if UNDATED in months else [])])

    def _window(self, file: Path, months: Collection[date]) -> str:
        """Condition on a file's own date column by which DuckDB skips row groups; none where it isn't one of dates."""
        dated = self._sql(file).dated
        if dated is None or not months or UNDATED in months:
            return "TRUE"
        return f"{dated} >= DATE '{min(months)}' AND {dated} < DATE '{_first_day(_number(max(months)) + 1)}'"

    def _months(self, rows: str, by: str = "NULL") -> dict[int | None, dict[date, Fingerprint]]:
        sums = ", ".join(f"CAST(sum({name}) % (1::HUGEINT << 64) AS UBIGINT)" for name in ("hash_1__", "hash_2__"))
        try:
            found = self._base.execute(f"SELECT {by}, month__, count(*), {sums} FROM {rows} GROUP BY ALL").fetchall()
        except UNREADABLE as error:
            raise unreadable(self._files, error) from error
        gathered: dict[int | None, dict[date, Fingerprint]] = {}
        for group, month, rows_of_month, first, second in found:
            day = UNDATED if month is None else _first_day(month)
            gathered.setdefault(group, {})[day] = (rows_of_month, first, second)
        return gathered

    def _problem(self) -> BadExtract:
        """Word the refusal of the column in which most rows are wrong."""
        rows = f"{self._typed} WHERE problem__ IS NOT NULL"
        parts = "split_part(problem__, chr(9), 1), split_part(problem__, chr(9), 2)"
        found = self._base.execute(f"SELECT {parts}, count(*) FROM {rows} GROUP BY ALL ORDER BY 3 DESC, 1 LIMIT 1")
        ((column, kind, count),) = found.fetchall()
        key = [
            f'"{name.lower()}"' for name in dict.fromkeys((*self._tabular.dated_by[:1], *_identifying(self._tabular)))
        ]
        cell = "split_part(problem__, chr(9), 3)"
        where = f"{rows} AND starts_with(problem__, {quoted(f'{column}{chr(9)}{kind}{chr(9)}')})"
        query = f"SELECT {', '.join(key)}, {cell}, file__ FROM {where} ORDER BY ALL LIMIT 5"
        shown = self._base.execute(query).fetchall()
        spelled = {name.name.lower(): name.name for name in self._tabular.columns}
        names = [spelled[name.strip('"')] for name in key]
        problem, remedy = _PROBLEMS[kind]
        return BadExtract(
            file=tuple(self._files[i] for i in sorted({row[-1] for row in shown})),
            column=column,
            problem=problem,
            count=count,
            rows=[{**dict(zip(names, row[:-2], strict=True)), column: row[-2] or None} for row in shown],
            remedy=remedy,
        )


def _together(counts: Mapping[int, int], most: int | None) -> Iterator[dict[int, int]]:
    """Part months with their numbers of rows into runs of at most so many rows, or of one month; None parts nothing."""
    held: dict[int, int] = {}
    height = 0
    for month, count in counts.items():
        if held and most is not None and height + count > most:
            yield held
            held, height = {}, 0
        held[month] = count
        height += count
    yield held


def _within(months: Mapping[int, int]) -> pl.Expr:
    return pl.col("month__").is_between(min(months), max(months))


def _number(month: date) -> int:
    return 12 * month.year + month.month - 1


def _first_day(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _identifying(tabular: Tabular) -> list[str]:
    """Key columns of the first staged table that the extract itself has, to show which row is meant."""
    mine = {column.name.lower(): column.name for column in tabular.columns}
    return [mine[name] for name in tabular.views[0].table.key if name in mine]
