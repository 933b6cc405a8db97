"""The extracts a user dropped in, validated and staged as Parquet with a digest for every table and month.

Belongs here: where staged tables lie, when they are stale, how they are replaced. Does not: what a vendor's file looks
like (``pipeline.extracts``), what lies in a table's folder or what depends on a digest (``assets``).

A table is staged under ``<stage>/<table>/`` (``resources.staging``). Of a table that is staged by month only months
are staged again whose rows in the vendor's files are others than at the last refresh. Files of the stage before stay
until the next refresh, for readers still at work.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import polars as pl
from filelock import FileLock

import pipeline.extracts
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import read_rows, stem
from pipeline.extracts.registry import known_by_contents, wanted_file
from pipeline.extracts.survey import TABLE_NAME, Known, Signature, Source, Survey, signature, survey
from pipeline.extracts.table import Layout, Tabular
from pipeline.extracts.tabular import TabularReader, added
from resources.content import combine
from resources.staging import Entry, Manifest, Parts, StagedTable, TableFolder

_INCOMING = ".incoming-"


@cache
def reader_version() -> str:
    """Hash of the readers' own code and DuckDB's release: where either changes, every table is read again."""
    modules = sorted(Path(pipeline.extracts.__file__ or "").parent.glob("*.py"))
    code = b"".join(module.read_bytes() for module in modules)
    return hashlib.blake2b(code + duckdb.__version__.encode(), digest_size=8).hexdigest()


class ExtractStore:
    """Staged extracts.

    Parameters
    ----------
    folder : Path
        What the user dropped in; never written to. It may be missing: then nothing is available.
    stage : Path
        Where staged tables are kept; created when needed.
    """

    def __init__(self, folder: Path, stage: Path) -> None:
        self.folder = Path(folder)
        self.stage = Path(stage)
        self._known: Known = {}
        self._folders: dict[str, TableFolder] = {}

    def available(self) -> dict[str, list[Path]]:
        """Table name -> its files, by a cheap look at the folder; nothing is validated.

        A table that two sources claim is listed with the files of both; `refresh` refuses it.
        """
        claims = self._survey().claims
        return {name: [file for source in claims[name] for file in source.files] for name in sorted(claims)}

    def unusable(self) -> dict[Path, str]:
        """Files below the folder that give no table, each with the reason."""
        found = self._survey()
        reasons = dict.fromkeys(found.left_alone, "no table of returns: it has no date column")
        return reasons | {file: str(error) for error in found.refused for file in error.files}

    def lacking(self, table: str) -> str:
        """File that a user drops in for a table, e.g. ``prices/VIX.csv``; a prefix gives the family's pattern."""
        return wanted_file(table)

    def family(self, prefix: str) -> list[str]:
        """Available tables whose names begin with ``prefix``, sorted (``fred_md.`` gives the vintages in order)."""
        return [name for name in self.available() if name.startswith(prefix)]

    def fingerprint(self, table: str) -> str:
        """Hash of path, size, modification time and inode of a table's files; cheap, for a sensor.

        Raises
        ------
        BadExtract
            If the table has no file.
        """
        claims = self._survey().claims
        if table not in claims:
            raise self._absent(table, self._survey())
        return self._fingerprint([mark for source in claims[table] for mark in source.marks])

    def refresh(self, tables: Iterable[str] | None = None) -> dict[str, bool]:
        """Validate and stage what changed.

        Parameters
        ----------
        tables : iterable of str, optional
            Tables to look at; all by default. Tables that come from the same files are staged together.

        Returns
        -------
        dict of str to bool
            Table -> whether the content of any month changed. A touched but unchanged file gives False.

        Raises
        ------
        BadExtract
            For every bad file at once. Good tables are staged nevertheless; bad ones keep their previous stage.
        """
        found = self._survey()
        errors = list(found.refused) if tables is None else []
        changed: dict[str, bool] = {}
        for name in sorted(found.claims) if tables is None else sorted(set(tables)):
            if name in changed:
                continue
            try:
                changed |= self._stage(self._source(name, found))
            except BadExtract as error:
                if str(error) not in {str(other) for other in errors}:
                    errors.append(error)
        if errors:
            raise BadExtract.together(errors)
        return changed

    def digests(self, table: str) -> dict[date, str]:
        """Month -> digest of the table's content in it, ascending.

        Raises
        ------
        LookupError
            If the table is not staged. So for every method below.
        """
        return {month: entry.digest for month, entry in self._months(table).items()}

    def rows(self, table: str) -> dict[date, int]:
        """Month -> number of rows, ascending."""
        return {month: entry.rows for month, entry in self._months(table).items()}

    def rows_in_files(self, table: str) -> int | None:
        """Rows of the vendor's files, those included that the table leaves out; None for a layout that is no table."""
        manifest = self._manifest(table)
        return None if manifest is None else manifest.rows_in_files

    def first_month(self, table: str) -> date:
        """First month with rows."""
        return next(iter(self._months(table)))

    def last_month(self, table: str) -> date:
        """Last month with rows."""
        return next(reversed(self._months(table)))

    def last_day(self, table: str) -> date | None:
        """Newest day in the newest month, None for a table without days: tells a half month from a whole one."""
        month = self.last_month(table)
        rows = self.scan(table, month, month)
        if "date" not in rows.collect_schema():
            return None
        return rows.select(pl.col("date").max()).collect().item()

    def version(self, table: str) -> str:
        """One hash over all month digests: the table's data version."""
        return combine(f"{month.isoformat()[:7]}={digest}" for month, digest in self.digests(table).items())

    def scan(self, table: str, first: date | None = None, last: date | None = None) -> pl.LazyFrame:
        """Read rows lazily.

        Parameters
        ----------
        table : str
            A staged table.
        first, last : date, optional
            Rows with ``first <= month <= last``; both are first days of months.

        Returns
        -------
        polars.LazyFrame
            Sorted by month and key; no rows where there are none.
        """
        chosen = {
            entry.file: None
            for month, entry in self._months(table).items()
            if (first is None or month >= first) and (last is None or month <= last)
        }
        if not chosen:
            # The range is empty: any file of the table gives the columns.
            return self._parquet(table, [next(iter(self._months(table).values())).file]).clear()
        frame = self._parquet(table, chosen)
        if first is not None:
            frame = frame.filter(pl.col("month") >= first)
        return frame if last is None else frame.filter(pl.col("month") <= last)

    def _parquet(self, table: str, names: Iterable[str]) -> pl.LazyFrame:
        return pl.scan_parquet([self.stage / table / name for name in names], hive_partitioning=False, glob=False)

    def _survey(self) -> Survey:
        return survey(self.folder, self._known)

    def _fingerprint(self, marks: Iterable[Signature]) -> str:
        return combine(self._relative(mark) for mark in sorted(marks))

    def _relative(self, mark: Signature) -> str:
        """Spell a file's signature, its path as seen from the folder."""
        return ":".join((mark[0].removeprefix(f"{self.folder}/"), *map(str, mark[1:])))

    def _source(self, table: str, found: Survey) -> Source:
        sources = found.claims.get(table)
        if not sources:
            raise self._absent(table, found)
        if len(sources) > 1:
            files = [file for source in sources for file in source.files]
            raise BadExtract(
                file=files, problem=f"{len(sources)} sources claim the table {table}", remedy="keep one of them"
            )
        return sources[0]

    def _absent(self, table: str, found: Survey) -> BadExtract:
        """Say why a table has no file: one that was refused in its place, else none is there."""
        wanted = self.folder / wanted_file(table)
        near = [error for error in found.refused if self._may_hold(table, wanted, error.files[0])]
        if near:
            return BadExtract.together(near)
        return BadExtract(file=wanted, problem=f"missing: no file holds {table}", remedy="drop in this file")

    def _may_hold(self, table: str, wanted: Path, refused: Path) -> bool:
        if known_by_contents(table):
            return refused.parent == wanted.parent
        top = self.folder / refused.relative_to(self.folder).parts[0]
        place = top if wanted.parent == self.folder else refused
        return place.parent == wanted.parent and stem(place).lower() == stem(wanted).lower()

    def _folder(self, table: str) -> TableFolder:
        if not TABLE_NAME.match(table):
            raise ValueError(f"{table!r} is no table name")
        return self._folders.setdefault(table, TableFolder(self.stage / table))

    def _manifest(self, table: str) -> Manifest | None:
        return self._folder(table).manifest()

    def _months(self, table: str) -> dict[date, Entry]:
        manifest = self._manifest(table)
        if manifest is None:
            raise LookupError(f"{table} is not staged; it is read from {wanted_file(table)}")
        return manifest.months

    def _fresh(self, source: Source, fingerprint: str) -> bool:
        manifests = [self._manifest(table.name) for table in source.tables]
        expected = (fingerprint, reader_version())
        return all(one is not None and (one.fingerprint, one.reader) == expected for one in manifests)

    def _stage(self, source: Source) -> dict[str, bool]:
        fingerprint = self._fingerprint(source.marks)
        if self._fresh(source, fingerprint):
            return {table.name: False for table in source.tables}
        self.stage.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            names = sorted(table.name for table in source.tables)
            for name in names:
                stack.enter_context(FileLock(self.stage / f".{name}.lock"))
            if self._fresh(source, fingerprint):
                return {table.name: False for table in source.tables}
            self._sweep(names)
            fresh_folder = tempfile.TemporaryDirectory(prefix=f"{_INCOMING}{names[0]}-", dir=self.stage)
            incoming = Path(stack.enter_context(fresh_folder))
            staged = [StagedTable(table, source.files, incoming / table.name) for table in source.tables]
            parts = None
            if isinstance(source.reader, Tabular):
                parts = self._take_months(source, source.reader, staged, incoming)
            else:
                _take_whole(source, source.reader, staged)
            for one in staged:
                one.finish()
            if self._fingerprint(map(signature, source.files)) != fingerprint:
                raise BadExtract(
                    file=source.files, problem="changed while it was read", remedy="wait until it is written, try again"
                )
            return {one.table.name: self._move_in(one, fingerprint, parts) for one in staged}

    def _take_months(
        self, source: Source, tabular: Tabular, staged: Sequence[StagedTable], workspace: Path
    ) -> Parts | None:
        """Stage the months of a plain table that changed; return what to note for the next time."""
        by_month = all(one.table.by_month for one in staged)
        noted = self._noted(source) if by_month else None
        marks = dict(zip(source.files, map(self._relative, source.marks), strict=True))
        with TabularReader(tabular, source.files, workspace) as reader:
            if noted is None:
                now = reader.read_all()
            else:
                known = {file: noted[mark] for file, mark in marks.items() if mark in noted}
                now, changed = reader.read_changed(known, added(noted.values()))
                same = added(now.values()).keys() - changed
                for one in staged:
                    one.keep(self._months(one.table.name), same)
            for months, block in reader.blocks():
                for one, view in zip(staged, tabular.views, strict=True):
                    one.take(view.derive(block, source.files), months)
            rows = sum(count for count, *_ in added(now.values()).values()) if by_month else reader.rows_read
        for one in staged:
            one.rows_in_files = rows
        return {mark: now[file] for file, mark in marks.items()} if by_month else None

    def _noted(self, source: Source) -> Parts | None:
        """By which months of which files all tables of a source are staged, if they are and by the reader of today."""
        manifests = [self._manifest(table.name) for table in source.tables]
        if any(one is None or one.reader != reader_version() for one in manifests):
            return None
        first, *others = [self._folder(table.name).parts() for table in source.tables]
        return first if all(other == first for other in others) else None

    def _sweep(self, names: Sequence[str]) -> None:
        """Remove what killed refreshes of these tables, whose locks are held, left half done."""
        for left in self.stage.glob(f"{_INCOMING}*"):
            # Names may hold hyphens; what follows the last one is the temporary folder's own and holds none.
            if left.name.rpartition("-")[0].removeprefix(_INCOMING) in names:
                shutil.rmtree(left)

    def _move_in(self, staged: StagedTable, fingerprint: str, parts: Parts | None) -> bool:
        return self._folder(staged.table.name).replace(staged, fingerprint, reader_version(), parts)


def _take_whole(source: Source, layout: Layout, staged: Sequence[StagedTable]) -> None:
    """Read a small file of any layout."""
    (file,) = source.files
    read = layout.read(file, read_rows(file, layout.sheets))
    promised = {table.name for table in source.tables}
    if set(read) != promised:
        first, whole = ", ".join(sorted(promised)), ", ".join(sorted(read))
        raise BadExtract(
            file=file,
            problem=f"its first rows look like {first}, the whole file like {whole}",
            remedy="drop in the file as published",
        )
    for one in staged:
        one.take(read[one.table.name])
