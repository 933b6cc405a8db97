"""Building partitions: which months are out of date, what they read, and writing them one by one.

One function, :meth:`Workshop.build`, serves a month, a range, a backfill and the monthly refit. It knows no Dagster, so
that tests and the command line take the same path as the UI. The manifest alone decides whether a month is up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import dataframely as dy
import polars as pl

from assets.contract import InvalidRows, primary_key, validated
from assets.figures import Figures, nothing
from assets.reads import OPENERS, Absent, Beginning, Inputs, Partitions, Read, Rows, Source, Vintages
from pipeline.panel.calendar import FIRST_MONTH, month_runs, shift
from resources.content import month_contents, settings_hash
from resources.home import Home
from resources.lake import Manifest, month_label
from resources.pieces import PieceStore
from resources.settings import Settings

# So many months of a panel are held in memory at once, unless the asset says fewer.
CHUNK_MONTHS = 120

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Previous:
    """What a recursive asset left a month ago: its partition and the state of its model."""

    frame: pl.DataFrame
    arrays: dict[str, Any] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """Rows of several months, and what was counted by month while they were made."""

    frame: pl.DataFrame
    figures: Mapping[date, dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """What a recursive asset returns for a month: its partition and the state for the next."""

    frame: pl.DataFrame
    arrays: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MonthlyAsset:
    """An asset partitioned by month.

    Attributes
    ----------
    name, group, description : str
        As shown in the UI.
    schema : callable
        From the settings to a dataframely schema: columns, key and ranges. What breaks it is not written.
    reads : callable
        From the settings to the reads by name. Windows often depend on settings.
    compute : callable
        ``compute(inputs, months, settings) -> DataFrame`` with the rows of all ``months``, or `Counted` where its
        figures are a by-product; for a recursive asset ``compute(inputs, month, settings, previous) -> Step``.
    settings : tuple of str
        Sections of the settings that the result depends on.
    recursive : bool
        The partition of m needs the one of m-1.
    code_version : str
        Raised by hand whenever the rows change.
    any_of : tuple of tuple of str
        Groups of optional reads; of one group all must be there.
    series : tuple of str
        Columns worth drawing over time; empty draws row counts.
    figures : callable
        ``figures(rows of the month, inputs, month, settings)``: what its manifest says of it to people.
    chunk_months : int
        Months that ``compute`` is given at once, for a range; fewer take less memory.
    """

    name: str
    group: str
    description: str
    schema: Callable[[Settings], type[dy.Schema]]
    reads: Callable[[Settings], Mapping[str, Read]]
    compute: Callable[..., Any]
    settings: tuple[str, ...] = ()
    recursive: bool = False
    code_version: str = "1"
    any_of: tuple[tuple[str, ...], ...] = ()
    kinds: frozenset[str] = frozenset({"polars", "parquet"})
    series: tuple[str, ...] = ()
    figures: Figures = nothing
    chunk_months: int = CHUNK_MONTHS


class BrokenChain(LookupError):
    """The state of last month, which a recursive asset goes on from, is missing."""


class MissingExtracts(LookupError):
    """Vendor files without which an asset can't be built are not on disk."""


@dataclass(frozen=True)
class Outcome:
    """What happened to one month of a build: ``built``, ``current`` (was up to date) or ``before data``."""

    month: date
    status: str
    manifest: Manifest | None


class Workshop:
    """All monthly assets over one home.

    Parameters
    ----------
    assets : iterable of MonthlyAsset
        In any order; reads refer to names among them.
    home : Home
        Lake, extracts, models and settings.
    """

    def __init__(self, assets: Iterable[MonthlyAsset], home: Home) -> None:
        self.assets = {asset.name: asset for asset in assets}
        self.home = home
        self._origins: dict[str, date | None] = {}
        self._lacks: dict[str, list[str]] = {}
        self._on_disk: list[str] | None = None

    @cached_property
    def _reads(self) -> dict[str, Mapping[str, Read]]:
        return {name: asset.reads(self.home.settings) for name, asset in self.assets.items()}

    @cached_property
    def _settings(self) -> dict[str, str]:
        """Digest of the sections that each asset depends on."""
        return {name: self.home.settings.digest(asset.settings) for name, asset in self.assets.items()}

    @cached_property
    def schemas(self) -> dict[str, type[dy.Schema]]:
        """Schemas of all assets under the home's settings."""
        return {name: asset.schema(self.home.settings) for name, asset in self.assets.items()}

    def key(self, name: str) -> list[str]:
        """Columns that identify a row of an asset."""
        return primary_key(self.schemas[name])

    def order(self, name: str) -> list[str]:
        """Columns by which the rows of an asset are stored."""
        return list(dict.fromkeys(["month", *self.key(name)]))

    def reads(self, name: str) -> Mapping[str, Read]:
        """Give the reads of an asset under the home's settings."""
        return self._reads[name]

    @property
    def on_disk(self) -> list[str]:
        """Extract tables whose files are there, as of the last refresh."""
        if self._on_disk is None:
            self._on_disk = list(self.home.extracts.available())
        return self._on_disk

    def family(self, prefix: str) -> list[str]:
        """Tables on disk whose names begin with ``prefix.``."""
        return [table for table in self.on_disk if table.startswith(f"{prefix}.")]

    def tables(self, name: str) -> list[str]:
        """Extract tables on disk that an asset reads itself."""
        named = [read.source for read in self.reads(name).values() if isinstance(read, Rows | Beginning)]
        families = [read.source for read in self.reads(name).values() if isinstance(read, Vintages)]
        members = [table for family in families for table in self.family(family)]
        return [table for table in (*named, *members) if table in self.on_disk]

    def lacking(self, name: str) -> list[str]:
        """Files without which an asset can't be built, those of its upstream assets included; empty when it can."""
        if name not in self._lacks:
            self._lacks[name] = self._find_lacking(name)
        return self._lacks[name]

    def _find_lacking(self, name: str) -> list[str]:
        files: list[str] = []
        for read in self.reads(name).values():
            if not read.optional:
                files += self._lacking(read)
        for words in self._choices(name):
            choices = [[file for read in group for file in self._lacking(read)] for group in words]
            if choices and all(choices):
                files.append(" or ".join(dict.fromkeys(" with ".join(choice) for choice in choices)))
        return list(dict.fromkeys(files))

    def _choices(self, name: str) -> Iterator[list[list[Read]]]:
        """Give the groups of reads of which one must be there: those named, and optional ones that share a spine."""
        reads = self.reads(name)
        yield [[reads[each] for each in group] for group in self.assets[name].any_of]
        for word in dict.fromkeys(read.spine for read in reads.values() if isinstance(read.spine, str)):
            shared = [read for read in reads.values() if read.spine == word]
            if all(read.optional for read in shared):
                yield [[read] for read in shared]

    def _lacking(self, read: Read) -> list[str]:
        if isinstance(read, Partitions):
            return self.lacking(read.source)
        extracts = self.home.extracts
        if isinstance(read, Vintages):
            return [] if self.family(read.source) else [extracts.lacking(f"{read.source}.")]
        return [] if read.source in self.on_disk else [extracts.lacking(read.source)]

    def origin(self, name: str) -> date | None:
        """First month for which an asset can have rows, None when its sources are not there."""
        if name not in self._origins:
            self._origins[name] = self._find_origin(name)
        return self._origins[name]

    def _find_origin(self, name: str) -> date | None:
        if self.lacking(name):
            return None
        reads = [read for read in self.reads(name).values() if not self._lacking(read)]
        groups: dict[object, list[Read]] = {}
        for read in [read for read in reads if read.spine] or [read for read in reads if not read.optional]:
            groups.setdefault(read.spine if isinstance(read.spine, str) else read, []).append(read)
        begins = [self._first_of(group) for group in groups.values()] or [self._first_of(reads)]
        months = [month for month in begins if month is not None]
        return max(FIRST_MONTH, *months) if len(months) == len(begins) else None

    def _first_of(self, reads: Iterable[Read]) -> date | None:
        """First month for which any of the reads has rows, None when none has."""
        begins = [(read, self._begins(read)) for read in reads]
        return min(
            (shift(month, read.lag + read.history - 1) for read, month in begins if month is not None), default=None
        )

    def _begins(self, read: Read) -> date | None:
        if isinstance(read, Partitions):
            return self.origin(read.source)
        if isinstance(read, Vintages):
            return min(self.home.extracts.first_month(member) for member in self.family(read.source))
        return self.home.extracts.first_month(read.source)

    def refresh(self, names: Iterable[str]) -> None:
        """Stage the extract tables that the assets and all their upstream read, where files changed."""
        self._on_disk = None
        self._lacks.clear()
        tables = {table for name in self.closure(names) for table in self.tables(name)}
        self.home.extracts.refresh(sorted(tables))
        self._origins.clear()

    def closure(self, names: Iterable[str]) -> list[str]:
        """Return the assets and everything upstream of them, upstream first."""
        ordered: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in ordered:
                return
            for read in self.reads(name).values():
                if isinstance(read, Partitions) and read.source != name:
                    visit(read.source)
            ordered[name] = None

        for name in names:
            visit(name)
        return list(ordered)

    def buildable(self) -> list[str]:
        """Assets whose sources are on disk, upstream first."""
        return [name for name in self.closure(self.assets) if not self.lacking(name)]

    def first_needed(self, names: Sequence[str], first: date) -> dict[str, date]:
        """First month of each asset that partitions of ``names`` from ``first`` on need, upstream windows included."""
        needed: dict[str, date] = {}
        for name in reversed(self.closure(names)):
            origin = self.origin(name)
            if origin is None:
                continue
            start = min(needed.get(name, date.max), first if name in names else date.max)
            start = origin if self.assets[name].recursive else max(origin, start)
            needed[name] = start
            for read in self.reads(name).values():
                upstream = self.origin(read.source) if isinstance(read, Partitions) else None
                if upstream is not None:
                    needed[read.source] = min(needed.get(read.source, date.max), read.first(start, upstream))
        return needed

    def first_outdated(self, name: str, months: Sequence[date]) -> date | None:
        """First of the given months whose partition is missing or was made of something else; None when all stand.

        It compares with upstream partitions as they are now: what an upstream rebuild will change is not foreseen.
        """
        asset, sources = self.assets[name], self._open(name)
        for month in sorted(months):
            before = self._manifest_before(asset, month) if asset.recursive else None
            if self._current(name, month, self._provenance(asset, sources, month, before), None) is None:
                return month
        return None

    def _open(self, name: str) -> dict[str, Source]:
        return {
            key: Absent() if self._lacking(read) else OPENERS[type(read)](read, name, self)
            for key, read in self.reads(name).items()
            if not isinstance(read, Beginning)
        }

    def build(
        self,
        name: str,
        months: Sequence[date],
        *,
        rebuild_from: date | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Outcome]:
        """Bring months of an asset up to date, yielding each as it is finished.

        Parameters
        ----------
        name : str
            Which asset.
        months : sequence of datetime.date
            Any months; those that are up to date are left alone.
        rebuild_from : datetime.date, optional
            Months from here on are built even if they are up to date.
        progress : callable, optional
            Told (asset, finished, of how many).

        Raises
        ------
        MissingExtracts
            Vendor files that the asset needs are not there.
        MissingPartitions
            An upstream month was never built.
        BrokenChain
            A recursive asset has no partition for the month before.
        InvalidRows
            Rows break the asset's schema; nothing of their chunk is written.
        """
        lacking = self.lacking(name)
        if lacking:
            raise MissingExtracts(
                f"{name} needs {', '.join(lacking)} in {self.home.extracts_folder.name}/: drop the vendor's file there."
            )
        self.refresh([name])
        asset, origin = self.assets[name], self.origin(name)
        ordered = sorted(months)
        early = [month for month in ordered if origin is None or month < origin]
        if origin is not None:
            self.home.lake.drop_before(name, origin)
        yield from (Outcome(month, "before data", None) for month in early)
        if len(early) == len(ordered):
            return
        sources = self._open(name)
        strategy = self._build_recursive if asset.recursive else self._build_chunks
        yield from strategy(asset, ordered[len(early) :], sources, rebuild_from, progress or (lambda *_: None))

    def _provenance(
        self, asset: MonthlyAsset, sources: Mapping[str, Source], month: date, before: Manifest | None = None
    ) -> dict[str, Any]:
        reads = {key: source.digest(month) for key, source in sources.items()}
        if asset.recursive:
            reads["previous"] = before.digest if before else "none"
        return {
            "code_version": asset.code_version,
            "settings": self._settings[asset.name],
            "reads": reads,
        }

    def _current(self, name: str, month: date, provenance: Mapping[str, Any], rebuild_from: date | None) -> Any:
        if rebuild_from is not None and month >= rebuild_from:
            return None
        manifest = self.home.lake.manifest(name, month)
        if manifest is None or not manifest.made_from(**provenance):
            return None
        return manifest if self.has_state(manifest) else None

    def has_state(self, manifest: Manifest) -> bool:
        """Whether the state that a manifest names is in the store; true where it names none."""
        month = date.fromisoformat(f"{manifest.month}-01")
        return not manifest.state or self.home.models.holds(manifest.asset, month, manifest.state)

    def _build_chunks(
        self,
        asset: MonthlyAsset,
        months: Sequence[date],
        sources: Mapping[str, Source],
        rebuild_from: date | None,
        progress: Progress,
    ) -> Iterator[Outcome]:
        stale: dict[date, dict[str, Any]] = {}
        for month in months:
            provenance = self._provenance(asset, sources, month)
            manifest = self._current(asset.name, month, provenance, rebuild_from)
            if manifest is not None:
                yield Outcome(month, "current", manifest)
            else:
                stale[month] = provenance
        done = len(months) - len(stale)
        progress(asset.name, done, len(months))
        for chunk in month_runs(stale, asset.chunk_months):
            inputs = Inputs(sources, chunk[0], chunk[-1])
            made = asset.compute(inputs, chunk, self.home.settings)
            counted = made if isinstance(made, Counted) else Counted(made, {})
            valid = validated(asset.name, self.schemas[asset.name], counted.frame)
            ordered = valid.sort(self.order(asset.name), maintain_order=True)
            contents, rows = month_contents(ordered, chunk), _by_month(ordered, chunk)
            for month in chunk:
                figures, content = counted.figures.get(month), contents[month]
                manifest = self._write(asset, month, rows[month], inputs, stale[month], figures, content=content)
                yield Outcome(month, "built", manifest)
            done += len(chunk)
            progress(asset.name, done, len(months))

    def _build_recursive(
        self,
        asset: MonthlyAsset,
        months: Sequence[date],
        sources: Mapping[str, Source],
        rebuild_from: date | None,
        progress: Progress,
    ) -> Iterator[Outcome]:
        inputs = Inputs(sources, months[0], months[-1])
        for done, month in enumerate(months, start=1):
            before = self._manifest_before(asset, month)
            provenance = self._provenance(asset, sources, month, before)
            manifest = self._current(asset.name, month, provenance, rebuild_from)
            status = "current"
            if manifest is None:
                inputs.pieces = PieceStore(self.home.models.folder, asset.name, month, settings_hash(provenance))
                step = asset.compute(inputs, month, self.home.settings, self._previous(asset, month, before))
                frame = validated(asset.name, self.schemas[asset.name], step.frame)
                state = self.home.models.save(asset.name, month, step.arrays, step.text) if step.arrays else ""
                manifest = self._write(asset, month, frame, inputs, provenance, state=state)
                if state:
                    self.home.models.keep_only(asset.name, month, state)
                inputs.pieces.clear()
                status = "built"
            yield Outcome(month, status, manifest)
            progress(asset.name, done, len(months))

    def _write(
        self,
        asset: MonthlyAsset,
        month: date,
        rows: pl.DataFrame,
        inputs: Inputs,
        provenance: dict[str, Any],
        figures: dict[str, Any] | None = None,
        **known: str,
    ) -> Manifest:
        if figures is None:
            figures = asset.figures(rows, inputs, month, self.home.settings)
        key = self.key(asset.name)
        return self.home.lake.write(asset.name, month, rows, key, metadata=figures, **provenance, **known)

    def _manifest_before(self, asset: MonthlyAsset, month: date) -> Manifest | None:
        origin = self.origin(asset.name)
        if origin is None or month == origin:
            return None
        before = self.home.lake.manifest(asset.name, shift(month, -1))
        if before is None:
            raise BrokenChain(
                f"{asset.name} for {month_label(month)} goes on from {month_label(shift(month, -1))}, which is not in "
                f"the lake. Materialise {asset.name} from {month_label(origin)} on, or the months "
                f"that are missing."
            )
        return before

    def _previous(self, asset: MonthlyAsset, month: date, before: Manifest | None) -> Previous | None:
        if before is None:
            return None
        frame = self.home.lake.stored(asset.name, shift(month, -1))
        if not before.state:
            return Previous(frame)
        return Previous(frame, *self.home.models.load(asset.name, shift(month, -1), before.state))


def _by_month(frame: pl.DataFrame, months: Sequence[date]) -> dict[date, pl.DataFrame]:
    parts = {key[0]: part for key, part in frame.partition_by("month", as_dict=True, maintain_order=True).items()}
    strange = sorted(set(parts) - set(months))
    if strange:
        raise InvalidRows(f"rows of months that were not asked for: {', '.join(map(str, strange[:5]))}")
    return {month: parts.get(month, frame.clear()) for month in months}
