"""The lake: one Parquet file a partition, and beside it a manifest that says what it was made of.

``lake/<asset>/month=YYYY-MM/part-0.parquet`` is the truth; ``manifest.json`` lies beside it and is written last, so
that a partition without one is not there. Both are written beside their place and moved in with ``os.replace``: a
reader sees the old partition, none, or the new one, never half of one. Belongs here: paths, atomic writes, reading
windows. Does not: which partitions are out of date (``assets.building``).
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

from pipeline.panel.calendar import month_range, shift
from resources.content import content_hash

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DATA, _MANIFEST = "part-0.parquet", "manifest.json"


class MissingPartitions(LookupError):
    """Partitions that a window needs are not in the lake."""

    def __init__(self, asset: str, months: Sequence[date], reader: str) -> None:
        labels = [f"{month:%Y-%m}" for month in months]
        shown = ", ".join(labels[:6]) + (f", ... {labels[-1]}" if len(labels) > 6 else "")
        super().__init__(
            f"{reader} reads {len(months)} month(s) of {asset} that are not in the lake: {shown}. "
            f"Materialise {asset} from {labels[0]} to {labels[-1]} first."
        )
        self.asset, self.months = asset, tuple(months)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a partition was made of; equal manifests mean equal partitions.

    Attributes
    ----------
    asset, month : str
        The asset's name and ``YYYY-MM``.
    code_version : str
        Version of the code that made it.
    settings : str
        Hash of the settings that the asset uses.
    reads : dict of str to str
        Digest of everything read under each name.
    rows : int
        Rows of the partition.
    content : str
        Hash of the logical content of the rows.
    state : str
        Digest of the model's state that belongs to the partition; empty where there is none.
    metadata : dict
        Figures about this month for people: counts, flags.
    """

    asset: str
    month: str
    code_version: str
    settings: str
    reads: dict[str, str]
    rows: int
    content: str
    state: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What a reader of this partition depends on: its rows and its state."""
        return f"{self.content}+{self.state}" if self.state else self.content

    def made_from(self, code_version: str, settings: str, reads: Mapping[str, str]) -> bool:
        """Whether the same code, settings and inputs would make this partition again."""
        return (self.code_version, self.settings, self.reads) == (code_version, settings, dict(reads))


def month_label(month: date) -> str:
    """``YYYY-MM``, the name of a month on disk."""
    return month.isoformat()[:7]


def replace_file(target: Path, write: Any) -> None:
    """Let ``write(path)`` write a file beside ``target``, then move it in at once."""
    folder, name = os.path.split(target)
    # Nearly always it is there, and to ask costs less than to fail at making it.
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
    beside = Path(f"{folder}/.{name}.{uuid.uuid4().hex}")
    try:
        write(beside)
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _mark(stat: os.stat_result) -> tuple[int, int, int]:
    """Give what tells a file from the one that was moved into its place."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _withdraw(folder: str) -> None:
    """Make room for a partition: what killed writes left goes, and the manifest of the partition before.

    A crash between the moves of rows and manifest must not leave new rows under an old manifest.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if name == _MANIFEST or name.startswith("."):
            os.unlink(f"{folder}/{name}")


def _parquet(rows: pl.DataFrame) -> memoryview:
    # In memory first: Polars opens a file of a few kilobytes more slowly than it writes one.
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd")
    return buffer.getbuffer()


class Lake:
    """Partitions of monthly assets below one folder.

    Parameters
    ----------
    folder : pathlib.Path
        Created when the first partition is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, FileLock] = {}
        self._known: dict[str, tuple[tuple[int, int, int], Manifest]] = {}

    def partition(self, asset: str, month: date) -> Path:
        """Folder of a partition, whether it exists or not."""
        return Path(self._place(asset, month))

    def _place(self, asset: str, month: date) -> str:
        if not _NAME.fullmatch(asset):
            raise ValueError(f"{asset!r} is not an asset's name: lower-case letters, digits and underscores only.")
        return f"{self.folder}/{asset}/month={month_label(month)}"

    def manifest(self, asset: str, month: date) -> Manifest | None:
        """Return the manifest of a partition, None when the partition is not there."""
        folder = self._place(asset, month)
        # A plain string: a build of many months asks for tens of thousands, and a path an entry costs more than all
        # else.
        path = f"{folder}/{_MANIFEST}"
        manifest = self._read_manifest(path)
        if manifest is None and os.path.exists(folder):
            # Somebody may be replacing the partition at this moment.
            with self._lock(asset):
                manifest = self._read_manifest(path)
        return manifest

    def _read_manifest(self, path: str) -> Manifest | None:
        """Read a manifest again only where it was replaced: each reader of an asset asks for all that it has."""
        try:
            known = self._known.get(path)
            if known is not None and known[0] == _mark(os.stat(path)):
                return known[1]
            with open(path, "rb") as file:
                mark, manifest = _mark(os.fstat(file.fileno())), Manifest(**json.loads(file.read()))
        except FileNotFoundError:
            return None
        self._known[path] = mark, manifest
        return manifest

    def manifests(self, asset: str) -> dict[date, Manifest]:
        """Return the manifests of all partitions of an asset, by month."""
        found = {}
        for month in self._folders(asset):
            manifest = self.manifest(asset, month)
            if manifest is not None:
                found[month] = manifest
        return found

    def months(self, asset: str) -> list[date]:
        """Months of an asset that are in the lake, ascending."""
        return list(self.manifests(asset))

    def first_month(self, asset: str) -> date | None:
        """First month of an asset that has a folder, None when there is none."""
        return next(iter(self._folders(asset)), None)

    def _folders(self, asset: str) -> list[date]:
        """Months of an asset that have a folder, ascending."""
        try:
            # Names alone: a path an entry costs more than all else when there are six hundred of them.
            names = [entry.name for entry in os.scandir(self.folder / asset)]
        except FileNotFoundError:
            return []
        return [date.fromisoformat(f"{name[6:]}-01") for name in sorted(names) if name.startswith("month=")]

    def write(
        self, asset: str, month: date, frame: pl.DataFrame, key: Sequence[str], content: str = "", **provenance: Any
    ) -> Manifest:
        """Write one partition and its manifest.

        Parameters
        ----------
        asset, month
            Which partition.
        frame : polars.DataFrame
            Its rows; stored sorted by ``key``.
        key : sequence of str
            Columns that identify a row.
        content : str
            Hash of the rows where it is known already; the rows are then sorted.
        **provenance
            ``code_version``, ``settings``, ``reads``, and optionally ``metadata`` and ``state``: see
            :class:`Manifest`.

        Returns
        -------
        Manifest
            As written.
        """
        folder = self._place(asset, month)
        ordered = frame if content else frame.sort(list(key), maintain_order=True)
        content = content or content_hash(ordered, [])
        manifest = Manifest(asset=asset, month=month_label(month), rows=ordered.height, content=content, **provenance)
        # Written out before anything of the partition that is there goes.
        rows, said = _parquet(ordered), json.dumps(vars(manifest), indent=1).encode()
        data, account = Path(f"{folder}/{_DATA}"), Path(f"{folder}/{_MANIFEST}")
        with self._lock(asset):
            _withdraw(folder)
            replace_file(data, lambda path: path.write_bytes(rows))
            replace_file(account, lambda path: path.write_bytes(said))
            self._known.pop(str(account), None)
        return manifest

    def drop_before(self, asset: str, month: date) -> list[date]:
        """Remove the partitions before a month: those of an extract that has since been replaced by a later one."""
        early = [each for each in self._folders(asset) if each < month]
        if not early:
            return []
        with self._lock(asset):
            for each in early:
                folder = self.partition(asset, each)
                (folder / _MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(folder)
        return early

    def _lock(self, asset: str) -> FileLock:
        """One writer an asset: rows and manifest of a partition are always of the same build."""
        if asset not in self._locks:
            locks = self.folder / ".locks"
            locks.mkdir(parents=True, exist_ok=True)
            self._locks[asset] = FileLock(locks / f"{asset}.lock")
        return self._locks[asset]

    def scan(self, asset: str, months: Iterable[date]) -> pl.LazyFrame | None:
        """Scan the given partitions, all of which must exist; None when no month is asked for."""
        files = [f"{self._place(asset, month)}/{_DATA}" for month in months]
        return pl.scan_parquet(files, hive_partitioning=False, glob=False) if files else None

    def read(self, asset: str, month: date) -> pl.DataFrame:
        """Read one partition.

        Raises
        ------
        MissingPartitions
            If it is not in the lake.
        """
        return self.window(asset, month, 1)

    def stored(self, asset: str, month: date) -> pl.DataFrame:
        """Read the rows of a partition that is known to be there."""
        return pl.read_parquet(self.partition(asset, month) / _DATA, hive_partitioning=False, glob=False)

    def window(self, asset: str, month: date, months: int, reader: str = "This read") -> pl.DataFrame:
        """Read the partitions of the ``months`` months that end with ``month``.

        Raises
        ------
        MissingPartitions
            If one of them is not in the lake.
        """
        wanted = month_range(shift(month, 1 - months), month)
        missing = [each for each in wanted if self.manifest(asset, each) is None]
        if missing:
            raise MissingPartitions(asset, missing, reader)
        frame = self.scan(asset, wanted)
        assert frame is not None
        return frame.collect()

    def read_all(self, asset: str) -> pl.DataFrame | None:
        """Read every partition of an asset, None when there is none."""
        frame = self.scan(asset, self.months(asset))
        return None if frame is None else frame.collect()
