"""One staged table on disk: its manifest, and a new stage of it on the way.

Belongs here: what lies in a table's folder and how it is replaced. Does not: when (``resources.extracts``).

``digests.json`` names the files of each month and is replaced last, so that a killed or failed refresh leaves the table
as it was; files carry the hash of their content in their name. ``sources.json`` says by which months of the vendor's
files a table that is staged by month came to be; it counts only where it is of the same refresh as ``digests.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.extracts.table import Table
from pipeline.extracts.validation import Inspection, month_in_file, refuse_empty, refuse_shrunken_months
from resources.content import combine, month_digests

_DIGESTS = "digests.json"
_SOURCES = "sources.json"
_FORMAT = 2

Parts = Mapping[str, Mapping[date, tuple[int, int, int]]]
"""A vendor file's path and signature -> fingerprints of its months."""


class Entry(NamedTuple):
    """A staged month: rows, digest of its content, file below the table's folder."""

    rows: int
    digest: str
    file: str


@dataclass(frozen=True)
class Manifest:
    """A staged table: fingerprint of the vendor's files, version of the reader, months as noted, rows in the files."""

    fingerprint: str
    reader: str
    noted: Mapping[str, tuple[int, str]]
    whole: str | None
    rows_in_files: int | None = None

    @cached_property
    def months(self) -> dict[date, Entry]:
        """Staged months, ascending."""
        return {
            _month(name): Entry(rows, digest, self.whole or _file(name, digest))
            for name, (rows, digest) in self.noted.items()
        }


def _named(month: date) -> str:
    return month.isoformat()[:7]


@lru_cache(maxsize=4096)
def _month(name: str) -> date:
    return date.fromisoformat(f"{name}-01")


def _file(month: str, digest: str) -> str:
    return f"month={month}/{digest}.parquet"


class TableFolder:
    """Where a staged table lies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = path / _DIGESTS
        self._read: tuple[tuple[int, int], Manifest | None] | None = None

    def manifest(self) -> Manifest | None:
        """Return what is staged, None where nothing is or an earlier release staged it."""
        try:
            stat = os.stat(self._manifest)
        except FileNotFoundError:
            return None
        # Read again only when replaced: a build of many months asks for it thousands of times.
        mark = (stat.st_ino, stat.st_mtime_ns)
        if self._read is None or self._read[0] != mark:
            noted = json.loads(self._manifest.read_bytes())
            known = noted.pop("format", None) == _FORMAT
            self._read = (mark, Manifest(**noted) if known else None)
        return self._read[1]

    def parts(self) -> Parts | None:
        """By which months of which files the table was staged, None where that is not known."""
        manifest, path = self.manifest(), self.path / _SOURCES
        if manifest is None or not path.exists():
            return None
        noted = json.loads(path.read_bytes())
        if (noted["fingerprint"], noted["reader"]) != (manifest.fingerprint, manifest.reader):
            return None
        return {
            file: {_month(month): tuple(fingerprint) for month, fingerprint in months.items()}
            for file, months in noted["files"].items()
        }

    def replace(self, staged: StagedTable, fingerprint: str, reader: str, parts: Parts | None) -> bool:
        """Move a validated table into place, its digests last; return whether any month's content changed."""
        before = self.manifest()
        old = before.months if before else {}
        for name in staged.written:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged.path_of(name), self.path / name)
        if parts is not None:
            files = {file: {_named(month): mark for month, mark in part.items()} for file, part in parts.items()}
            self._write(staged.folder, _SOURCES, {"fingerprint": fingerprint, "reader": reader, "files": files})
        noted = {_named(month): entry[:2] for month, entry in staged.months.items()}
        whole = None if staged.table.by_month else next(iter(staged.months.values())).file
        manifest = Manifest(fingerprint, reader, noted, whole, staged.rows_in_files)
        self._write(staged.folder, _DIGESTS, {"format": _FORMAT} | vars(manifest))
        self._sweep({entry.file for one in (old, staged.months) for entry in one.values()})
        return {month: entry.digest for month, entry in old.items()} != {
            month: entry.digest for month, entry in staged.months.items()
        }

    def _write(self, draft: Path, name: str, content: Mapping[str, object]) -> None:
        (draft / name).write_text(json.dumps(content, separators=(",", ":")))
        os.replace(draft / name, self.path / name)

    def _sweep(self, kept: set[str]) -> None:
        """Remove files of stages before the last, and folders of months that are gone."""
        folders = [entry.name for entry in os.scandir(self.path) if entry.is_dir()]
        for folder in ("", *folders):
            files = [name for name in os.listdir(self.path / folder) if name.endswith(".parquet")]
            names = {f"{folder}/{name}" if folder else name for name in files}
            for name in names - kept:
                (self.path / name).unlink()
            if folder and not names & kept:
                (self.path / folder).rmdir()


class StagedTable:
    """A table on its way: blocks are validated, written beside the stage, and described by month.

    Parameters
    ----------
    table : Table
        The table.
    files : tuple of Path
        The vendor's files, for messages.
    folder : Path
        A folder beside the stage for what is written; made when needed.

    Attributes
    ----------
    rows_in_files : int or None
        Rows of the vendor's files, those included that the table leaves out; None for a layout that is no table.
    """

    def __init__(self, table: Table, files: tuple[Path, ...], folder: Path) -> None:
        self.table = table
        self.folder = folder
        self.months: dict[date, Entry] = {}
        self.written: list[str] = []
        self.rows_in_files: int | None = None
        self._files = files
        self._inspection = Inspection(table, files)
        self._held: list[pl.DataFrame] = []
        folder.mkdir()

    def keep(self, months: Mapping[date, Entry], unchanged: Iterable[date]) -> None:
        """Take over staged months whose rows the vendor's files date by one of the ``unchanged`` months."""
        same = set(unchanged)
        self.months |= {month: entry for month, entry in months.items() if month_in_file(self.table, month) in same}

    def take(self, block: pl.DataFrame, dated: Iterable[date] | None = None) -> None:
        """Validate a block; a table staged by month is written at once, another one held.

        Parameters
        ----------
        block : polars.DataFrame
            Rows of whole months.
        dated : iterable of date, optional
            Months by which the vendor's files date the rows, for a table staged by month.
        """
        checked = self._inspection.take(block)
        if not self.table.by_month:
            self._held.append(checked)
            return
        start, slices, allowed = 0, {}, set(dated or ())
        for month, (height, digest) in month_digests(checked).items():
            name = _named(month)
            if month in self.months:
                raise ValueError(f"{self.table.name}: two blocks give rows of {name}")
            if month_in_file(self.table, month) not in allowed:
                raise ValueError(f"{self.table.name}: rows of {name} are not dated {self.table.lead} months later")
            self.months[month] = Entry(height, digest, _file(name, digest))
            slices[self.months[month].file] = checked.slice(start, height)
            start += height
        self._write(slices)

    def finish(self) -> None:
        """Refuse what the whole table shows, write what is held; ``months`` is complete and ascending after."""
        self._inspection.refuse_failures()
        if self._held:
            self._finish_whole()
        self.months = dict(sorted(self.months.items()))
        refuse_empty(self.table, len(self.months), self._files)
        refuse_shrunken_months(self.table, {month: entry.rows for month, entry in self.months.items()}, self._files)

    def path_of(self, name: str) -> Path:
        """Where a file of the table lies as long as it is on its way."""
        return self.folder / name.replace("/", "-")

    def _finish_whole(self) -> None:
        # A block comes sorted from its inspection.
        ordered = pl.concat(self._held)
        if len(self._held) > 1:
            ordered = ordered.sort(list(dict.fromkeys(("month", *self.table.key))))
        described = month_digests(ordered)
        file = f"{combine(f'{_named(month)}={digest}' for month, (_, digest) in described.items())}.parquet"
        self._write({file: ordered})
        self.months = {month: Entry(rows, digest, file) for month, (rows, digest) in described.items()}

    def _write(self, frames: Mapping[str, pl.DataFrame]) -> None:
        self.written += frames
        if len(frames) == 1:
            ((name, frame),) = frames.items()
            frame.write_parquet(self.path_of(name))
            return
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda named: named[1].write_parquet(self.path_of(named[0])), frames.items()))
