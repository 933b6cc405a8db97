"""The extracts a user dropped in, validated and staged as Parquet with a digest for every table and month.

Belongs here: where staged tables lie, when they are stale, how they are replaced. Does not: what a vendor's file looks
like (``pipeline.extracts``) or what depends on a digest (``assets``).

A table is staged under ``<stage>/<table>/``. ``digests.json`` names the files of each month and is replaced last, so
that a killed or failed refresh leaves the table as it was; files carry the hash of their content in their name. Files
of the stage before stay until the next refresh, for readers still at work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

import pipeline.extracts
from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import read_rows, stem
from pipeline.extracts.registry import known_by_contents, wanted_file
from pipeline.extracts.survey import TABLE_NAME, Known, Source, Survey, signature, survey
from pipeline.extracts.table import Table, Tabular
from pipeline.extracts.tabular import month_blocks
from pipeline.extracts.validation import Inspection, refuse_empty, refuse_shrunken_months
from resources.content import combine, month_digests

_DIGESTS = "digests.json"
_INCOMING = ".incoming-"


@cache
def reader_version() -> str:
    """Hash of the readers' own code: a changed reader reads every table again."""
    modules = sorted(Path(pipeline.extracts.__file__ or "").parent.glob("*.py"))
    return hashlib.blake2b(b"".join(module.read_bytes() for module in modules), digest_size=8).hexdigest()


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
        self._manifests: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}

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
        return self._fingerprint([file for source in claims[table] for file in source.files])

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
        return {month: entry["digest"] for month, entry in self._months(table).items()}

    def rows(self, table: str) -> dict[date, int]:
        """Month -> number of rows, ascending."""
        return {month: entry["rows"] for month, entry in self._months(table).items()}

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
        return combine(f"{month:%Y-%m}={digest}" for month, digest in self.digests(table).items())

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
            entry["file"]: None
            for month, entry in self._months(table).items()
            if (first is None or month >= first) and (last is None or month <= last)
        }
        if not chosen:
            # The range is empty: any file of the table gives the columns.
            return self._parquet(table, [next(iter(self._months(table).values()))["file"]]).clear()
        frame = self._parquet(table, chosen)
        if first is not None:
            frame = frame.filter(pl.col("month") >= first)
        return frame if last is None else frame.filter(pl.col("month") <= last)

    def _parquet(self, table: str, names: Iterable[str]) -> pl.LazyFrame:
        return pl.scan_parquet([self.stage / table / name for name in names], hive_partitioning=False, glob=False)

    def _survey(self) -> Survey:
        return survey(self.folder, self._known)

    def _fingerprint(self, files: Sequence[Path]) -> str:
        marks = [signature(file) for file in sorted(files)]
        return combine(":".join(map(str, (Path(mark[0]).relative_to(self.folder), *mark[1:]))) for mark in marks)

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

    def _manifest(self, table: str) -> dict[str, Any] | None:
        if not TABLE_NAME.match(table):
            raise ValueError(f"{table!r} is no table name")
        path = self.stage / table / _DIGESTS
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        # Read again only when replaced: a build of many months asks for it thousands of times.
        mark = (stat.st_ino, stat.st_mtime_ns)
        if self._manifests.get(path, (None,))[0] != mark:
            self._manifests[path] = (mark, json.loads(path.read_text()))
        return self._manifests[path][1]

    def _months(self, table: str) -> dict[date, dict[str, Any]]:
        manifest = self._manifest(table)
        if manifest is None:
            raise LookupError(f"{table} is not staged; it is read from {wanted_file(table)}")
        return {date.fromisoformat(f"{month}-01"): entry for month, entry in manifest["months"].items()}

    def _fresh(self, source: Source, fingerprint: str) -> bool:
        manifests = [self._manifest(table.name) for table in source.tables]
        expected = (fingerprint, reader_version())
        return all(one is not None and (one["fingerprint"], one["reader"]) == expected for one in manifests)

    def _stage(self, source: Source) -> dict[str, bool]:
        fingerprint = self._fingerprint(source.files)
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
            staged = [_Staged(table, source.files, incoming / table.name) for table in source.tables]
            for block in _blocks(source, incoming):
                for one in staged:
                    one.take(block[one.table.name])
            for one in staged:
                one.finish()
            if self._fingerprint(source.files) != fingerprint:
                raise BadExtract(
                    file=source.files, problem="changed while it was read", remedy="wait until it is written, try again"
                )
            return {one.table.name: self._move_in(one, fingerprint) for one in staged}

    def _sweep(self, names: Sequence[str]) -> None:
        """Remove what killed refreshes of these tables, whose locks are held, left half done."""
        for left in self.stage.glob(f"{_INCOMING}*"):
            # Names may hold hyphens; what follows the last one is the temporary folder's own and holds none.
            if left.name.rpartition("-")[0].removeprefix(_INCOMING) in names:
                shutil.rmtree(left)

    def _move_in(self, staged: _Staged, fingerprint: str) -> bool:
        """Move a validated table into place, its digests last; return whether any month's content changed."""
        home = self.stage / staged.table.name
        before = self._manifest(staged.table.name)
        old = before["months"] if before else {}
        manifest = {"fingerprint": fingerprint, "reader": reader_version(), "months": staged.months}
        for name in {entry["file"] for entry in staged.months.values()}:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged.folder / name, home / name)
        draft = staged.folder / _DIGESTS
        draft.write_text(json.dumps(manifest, indent=1))
        os.replace(draft, home / _DIGESTS)
        kept = {entry["file"] for months in (old, staged.months) for entry in months.values()}
        for path in home.rglob("*.parquet"):
            if path.relative_to(home).as_posix() not in kept:
                path.unlink()
        return {month: entry["digest"] for month, entry in old.items()} != {
            month: entry["digest"] for month, entry in staged.months.items()
        }


class _Staged:
    """One table on its way: blocks are validated, written beside the stage, and described by month."""

    def __init__(self, table: Table, files: tuple[Path, ...], folder: Path) -> None:
        self.table = table
        self.folder = folder
        self.months: dict[str, dict[str, Any]] = {}
        self._files = files
        self._inspection = Inspection(table, files)
        self._held: list[pl.DataFrame] = []

    def take(self, block: pl.DataFrame) -> None:
        """Validate a block; a table staged by month is written at once, another one held."""
        checked = self._inspection.take(block)
        if not self.table.by_month:
            self._held.append(checked)
            return
        start = 0
        for month, (height, digest) in month_digests(checked).items():
            if month in self.months:
                raise ValueError(f"{self.table.name}: two blocks give rows of {month}")
            name = f"month={month}/{digest}.parquet"
            self._write(checked.slice(start, height), name)
            self.months[month] = {"rows": height, "digest": digest, "file": name}
            start += height

    def finish(self) -> None:
        """Refuse what the whole table shows, write what is held; ``months`` is complete and ascending after."""
        self._inspection.refuse_failures()
        if self._held:
            self._finish_whole(pl.concat(self._held))
        self.months = dict(sorted(self.months.items()))
        refuse_empty(self.table, len(self.months), self._files)
        counts = {date.fromisoformat(f"{month}-01"): entry["rows"] for month, entry in self.months.items()}
        refuse_shrunken_months(self.table, counts, self._files)

    def _finish_whole(self, frame: pl.DataFrame) -> None:
        ordered = frame.sort(list(dict.fromkeys(("month", *self.table.key))))
        described = month_digests(ordered)
        name = f"{combine(f'{month}={digest}' for month, (_, digest) in described.items())}.parquet"
        self._write(ordered, name)
        self.months = {
            month: {"rows": rows, "digest": digest, "file": name} for month, (rows, digest) in described.items()
        }

    def _write(self, frame: pl.DataFrame, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)


def _blocks(source: Source, workspace: Path) -> Iterator[Mapping[str, pl.DataFrame]]:
    """Yield the source's tables, block by block."""
    if isinstance(source.reader, Tabular):
        views = source.reader.views
        for block in month_blocks(source.reader, source.files, workspace):
            yield {view.table.name: view.derive(block, source.files) for view in views}
        return
    (file,) = source.files
    read = source.reader.read(file, read_rows(file, source.reader.sheets))
    promised = {table.name for table in source.tables}
    if set(read) != promised:
        first, whole = ", ".join(sorted(promised)), ", ".join(sorted(read))
        raise BadExtract(
            file=file,
            problem=f"its first rows look like {first}, the whole file like {whole}",
            remedy="drop in the file as published",
        )
    yield read
