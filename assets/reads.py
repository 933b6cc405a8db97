"""What a monthly asset reads: declared windows, from which come lineage, digests, frames and refusals alike.

A body gets exactly what it declares here, so a manifest can't forget an input and a body can't read past its month.
Belongs here: the kinds of read. Does not: deciding what is out of date or building it (``assets.building``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from pipeline.panel.calendar import month_range, shift
from resources.content import combine_pieces, piece
from resources.lake import Manifest, MissingPartitions
from resources.pieces import PieceStore

if TYPE_CHECKING:
    from assets.building import Workshop

ABSENT = "absent"

State = tuple[dict[str, Any], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Read:
    """A window of one source: months ``m - lag - lookback`` to ``m - lag`` for the partition of month m.

    Attributes
    ----------
    source : str
        Asset, extract table or family of tables.
    lookback : int or None
        Months before the last one; None reads everything from the beginning.
    lag : int
        Months between the partition and the last month read.
    optional : bool
        The asset can be built without this source.
    spine : bool or str
        The asset has rows only where this source has; where one of those has that share the same word. Of optional
        ones that share a word at least one must be there.
    sparse : bool
        A month without rows is nothing unusual, so that a refit does not wait for it.
    history : int
        The asset begins when the source has so many months.
    """

    source: str
    lookback: int | None = 0
    lag: int = 0
    optional: bool = False
    spine: bool | str = False
    sparse: bool = False
    history: int = 1

    def first(self, month: date, origin: date) -> date:
        """First month read for the partition of ``month``, never before the source begins."""
        if self.lookback is None:
            return origin
        return max(origin, shift(month, -self.lag - self.lookback))

    def last(self, month: date) -> date:
        """Last month read for the partition of ``month``."""
        return shift(month, -self.lag)


@dataclass(frozen=True, kw_only=True)
class Partitions(Read):
    """Partitions of another monthly asset."""


@dataclass(frozen=True, kw_only=True)
class States(Partitions):
    """States of a recursive model, beside its partitions in the model store."""


@dataclass(frozen=True, kw_only=True)
class Rows(Read):
    """Rows of an extract table, by the month in which they became known."""


@dataclass(frozen=True, kw_only=True)
class Beginning(Read):
    """An extract table that only says where the asset begins: what follows has no use for earlier months of it.

    Its rows are not read, so a restated one puts nothing out of date.
    """


@dataclass(frozen=True, kw_only=True)
class Vintages(Read):
    """A family of tables, one a publication month ``YYYY-MM``, each holding the past as it was then known.

    The partition of m reads the vintage published in m, else the earliest one published later, cut at m.
    """


class Source(Protocol):
    """A declared read, opened: its digests and frames."""

    def digest(self, month: date) -> str:
        """Digest of all that the partition of ``month`` reads here."""

    def frame(self, first: date, last: date) -> Any:
        """Give all that the partitions of ``first`` to ``last`` read here."""


def _piece(month: date, digest: str) -> bytes:
    """Give the part of a month in the digest of a window."""
    return piece(f"{month:%Y-%m}:{digest}")


class OpenPartitions:
    """Partitions of an upstream asset; manifests are looked up as windows need them."""

    def __init__(self, read: Partitions, reader: str, workshop: Workshop, states: bool = False) -> None:
        self._states = states
        self.read, self.reader, self.lake = read, reader, workshop.home.lake
        self.schema = workshop.schemas[read.source]
        self.origin = workshop.origin(read.source)
        self._manifests: dict[date, Manifest | None] = {}
        self._pieces: dict[date, bytes] = {}

    def manifest(self, month: date) -> Manifest | None:
        """Manifest of a month, looked up once; None where the partition is not there."""
        if month not in self._manifests:
            self._manifests[month] = self.lake.manifest(self.read.source, month)
        return self._manifests[month]

    def _wanted(self, first: date, last: date) -> list[date]:
        """Months that must be there for the partitions of ``first`` to ``last``; none before the source begins."""
        return month_range(self.read.first(first, self.origin), self.read.last(last)) if self.origin else []

    def require(self, first: date, last: date) -> list[date]:
        """Return the months of the windows, or raise :class:`MissingPartitions` where one was never built."""
        wanted = self._wanted(first, last)
        missing = [month for month in wanted if self.manifest(month) is None]
        if missing:
            raise MissingPartitions(self.read.source, missing, self.reader)
        return wanted

    def digest(self, month: date) -> str:
        """Digest of the contents of the window's partitions."""
        wanted = self._wanted(month, month)
        for each in wanted:
            if each not in self._pieces:
                manifest = self.manifest(each)
                self._pieces[each] = b"" if manifest is None else _piece(each, self._identity(manifest))
        return combine_pieces(self._pieces[each] for each in wanted)

    def _identity(self, manifest: Manifest) -> str:
        # Whoever reads rows alone is up to date where the state beside them is another.
        return manifest.digest if self._states else manifest.content

    def frame(self, first: date, last: date) -> pl.LazyFrame:
        """Scan the windows' partitions; an empty frame of the asset's schema where there are none."""
        held = ((month, self.manifest(month)) for month in self.require(first, last))
        months = [month for month, manifest in held if manifest is not None and manifest.rows]
        scan = self.lake.scan(self.read.source, months)
        return self.schema.create_empty(lazy=True) if scan is None else scan


class OpenStates:
    """States of a recursive model; the partitions' contents include their digests."""

    def __init__(self, read: States, reader: str, workshop: Workshop) -> None:
        self.partitions = OpenPartitions(read, reader, workshop, states=True)
        self.models = workshop.home.models

    def digest(self, month: date) -> str:
        """Digest of the contents of the window's partitions."""
        return self.partitions.digest(month)

    def frame(self, first: date, last: date) -> dict[date, State]:
        """Load the states of the windows' months, those that have one."""
        source = self.partitions.read.source
        held = {month: self.partitions.manifest(month) for month in self.partitions.require(first, last)}
        return {
            month: self.models.load(source, month, manifest.state)
            for month, manifest in held.items()
            if manifest and manifest.state
        }


class OpenRows:
    """Rows of an extract table."""

    def __init__(self, read: Rows, reader: str, workshop: Workshop) -> None:
        self.read, self.extracts = read, workshop.home.extracts
        digests = self.extracts.digests(read.source)
        self.known = sorted(digests)
        self._pieces = [_piece(month, digests[month]) for month in self.known]

    def digest(self, month: date) -> str:
        """Digest of the month digests in the window."""
        low = bisect_left(self.known, self.read.first(month, self.known[0]))
        high = bisect_right(self.known, self.read.last(month))
        return combine_pieces(self._pieces[low:high])

    def frame(self, first: date, last: date) -> pl.LazyFrame:
        """Scan the windows' rows."""
        return self.extracts.scan(self.read.source, self.read.first(first, self.known[0]), self.read.last(last))


class OpenVintages:
    """Vintages of a family."""

    def __init__(self, read: Vintages, reader: str, workshop: Workshop) -> None:
        self.read, self.extracts = read, workshop.home.extracts
        self.labels = sorted(name.removeprefix(f"{read.source}.") for name in workshop.family(read.source))
        digests = {label: self.extracts.digests(f"{read.source}.{label}") for label in self.labels}
        self._known = {label: sorted(digests[label]) for label in self.labels}
        self._pieces = {label: [_piece(each, digests[label][each]) for each in self._known[label]] for label in digests}

    def label(self, month: date) -> str | None:
        """Vintage that the partition of ``month`` reads, None after the newest one."""
        place = bisect_left(self.labels, f"{month:%Y-%m}")
        return self.labels[place] if place < len(self.labels) else None

    def digest(self, month: date) -> str:
        """Digest of the vintage's name and its rows up to ``month``."""
        label = self.label(month)
        if label is None:
            return ABSENT
        return combine_pieces([piece(label), *self._pieces[label][: bisect_right(self._known[label], month)]])

    def frame(self, first: date, last: date) -> dict[str, pl.DataFrame]:
        """Rows up to ``last`` of every vintage that the partitions of ``first`` to ``last`` read."""
        labels = dict.fromkeys(self.label(month) for month in month_range(first, last))
        return {
            label: self.extracts.scan(f"{self.read.source}.{label}", None, last).collect()
            for label in labels
            if label is not None
        }


class Absent:
    """An optional source that is not on disk."""

    def __init__(self, *_: object) -> None:
        pass

    def digest(self, month: date) -> str:
        """Return the same for every month: nothing was read."""
        return ABSENT

    def frame(self, first: date, last: date) -> None:
        """There is no frame."""


OPENERS: dict[type[Read], Callable[..., Source]] = {
    Partitions: OpenPartitions,
    States: OpenStates,
    Rows: OpenRows,
    Vintages: OpenVintages,
}


class Inputs:
    """The frames that a body asked for, by the names it gave them."""

    def __init__(self, sources: Mapping[str, Any], first: date, last: date) -> None:
        self._sources, self._first, self._last = sources, first, last
        self._frames: dict[str, pl.DataFrame] = {}
        self._made: dict[str, Any] = {}
        self._pieces: PieceStore | None = None

    @property
    def pieces(self) -> PieceStore:
        """Where long work on a month of a recursive asset keeps what it has finished."""
        if self._pieces is None:
            raise LookupError("only a recursive asset, which is built month by month, has pieces of a month")
        return self._pieces

    @pieces.setter
    def pieces(self, pieces: PieceStore) -> None:
        self._pieces = pieces

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Give what ``make`` returns, made once for all months of a range; it may hold later months than one needs."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def __getitem__(self, name: str) -> pl.DataFrame:
        """Give the collected frame of a read; it stays in memory for the chunk of months."""
        if name not in self._frames:
            self._frames[name] = self.lazy(name).collect()
        return self._frames[name]

    def get(self, name: str) -> pl.DataFrame | None:
        """Frame of an optional read, None where its source is not on disk."""
        return None if isinstance(self._sources[name], Absent) else self[name]

    def present(self, prefix: str = "") -> dict[str, pl.DataFrame]:
        """All frames that are there and whose names start with ``prefix``, the prefix taken off."""
        frames = {name.removeprefix(prefix): self.get(name) for name in self._sources if name.startswith(prefix)}
        return {name: frame for name, frame in frames.items() if frame is not None}

    def lazy(self, name: str) -> pl.LazyFrame:
        """Frame of a read, not yet read."""
        return self._sources[name].frame(self._first, self._last)

    def scanned(self, name: str) -> pl.LazyFrame | None:
        """Frame of an optional read, not yet read; None where its source is not on disk."""
        return None if isinstance(self._sources[name], Absent) else self.lazy(name)

    def at(self, name: str, month: date) -> pl.LazyFrame:
        """Frame of a read for the partition of one month alone, not yet read."""
        return self._sources[name].frame(month, month)

    def vintages(self, name: str) -> dict[str, pl.DataFrame]:
        """Frames of a family by vintage."""
        return self._sources[name].frame(self._first, self._last)

    def states(self, name: str) -> dict[date, State]:
        """Arrays and text of a model's states by month."""
        return self._sources[name].frame(self._first, self._last)
