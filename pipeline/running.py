"""Running everything from the command line: which assets, which months, and progress a person can read.

Belongs here: planning and launching Dagster runs over a range. Does not: what a run does (``assets``) or arguments
(``pipeline.__main__``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
from rich.console import Console
from rich.table import Table

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.monthly import REBUILD_TAG
from assets.reads import Partitions
from assets.reports import REPORTS
from pipeline.definitions import build_defs
from pipeline.panel.calendar import month_range, shift
from pipeline.partitions import key_of, months_of
from resources.home import Home

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


Reported = Callable[[str], Container[date] | None]


@dataclass(frozen=True)
class Stretch:
    """Assets, upstream first, that are built together from one month on."""

    names: tuple[str, ...]
    first: date


def plan(
    workshop: Workshop, first: date | None, last: date, reported: Reported = lambda _: None, rebuild: date | None = None
) -> list[Stretch]:
    """Split the assets that have anything to do into stretches, each from its first outdated month on.

    Parameters
    ----------
    workshop : Workshop
        Assets over a home whose extracts are staged.
    first : datetime.date or None
        Month from which partitions are wanted; None wants each asset from its first data on. Windows and recursive
        models reach further back, and so do the stretches.
    last : datetime.date
        Last month; assets whose data begin later are left out.
    reported : callable, optional
        Asset -> months that the instance knows to be materialised, None for all: a month that is in the lake and
        unknown there (a killed run wrote it) is gone through again, which reports it.
    rebuild : datetime.date, optional
        Months from here on are outdated whatever their manifests say.

    Returns
    -------
    list of Stretch
        Upstream first; empty when everything stands.
    """
    names = workshop.buildable()
    needed = workshop.first_needed(names, first or date.min)
    starts: dict[str, date] = {}
    for name in names:
        if name not in needed or needed[name] > last:
            continue
        months = month_range(needed[name], last)
        changing = [
            rebuild,
            *_upstream(workshop, name, starts),
            _unreported(months, reported(name)),
            _outgrown(workshop, name),
        ]
        start = min((max(month, months[0]) for month in changing if month), default=date.max)
        known = [month for month in months if month < start]
        start = workshop.first_outdated(name, known) or start
        if start <= last:
            starts[name] = start
    return _joined(starts)


def _upstream(workshop: Workshop, name: str, starts: Mapping[str, date]) -> Iterator[date]:
    """First months whose windows reach into what is about to be rebuilt upstream."""
    for read in workshop.reads(name).values():
        if isinstance(read, Partitions) and read.source in starts:
            yield shift(starts[read.source], read.lag)


def _unreported(months: Sequence[date], known: Container[date] | None) -> date | None:
    return None if known is None else next((month for month in months if month not in known), None)


def _outgrown(workshop: Workshop, name: str) -> date | None:
    """First partition that is older than the data, which now begin later; a build removes it."""
    first, origin = workshop.home.lake.first_month(name), workshop.origin(name)
    return first if first and origin and first < origin else None


def _joined(starts: Mapping[str, date]) -> list[Stretch]:
    stretches: list[Stretch] = []
    for name, start in starts.items():
        if stretches and stretches[-1].first == start:
            stretches[-1] = Stretch((*stretches[-1].names, name), start)
        else:
            stretches.append(Stretch((name,), start))
    return stretches


class _Progress(logging.Handler):
    """Shows what assets themselves log, none of Dagster's own events."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console, self.start = console, time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        if meta and not meta.get("dagster_event"):
            seconds = time.monotonic() - self.start
            said = meta.get("orig_message", record.getMessage())
            self.console.print(f"[dim]{seconds:6.1f} s[/]  {said}", highlight=False, soft_wrap=True)


def _quiet(console: Console) -> dg.LoggerDefinition:
    @dg.logger({}, description="What assets say, for a person at a terminal.")
    def progress(context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("progress", logging.INFO)
        logger.addHandler(_Progress(console))
        return logger

    return progress


def run_everything(home: Home, first: date | None, last: date, rebuild_from: date | None, console: Console) -> None:
    """Materialise what is missing or out of date of every buildable asset, then the reports.

    Parameters
    ----------
    home : Home
        Where everything lies.
    first, last : datetime.date
        Months; ``first`` None means from each asset's first data on.
    rebuild_from : datetime.date or None
        Month from which partitions are rebuilt even if they are up to date.
    console : rich.console.Console
        Progress goes there.

    Raises
    ------
    Exception
        Whatever stopped an asset; months that were finished before stay.
    """
    workshop = Workshop(MONTHLY_ASSETS, home)
    console.print(f"Reading the extracts in {home.extracts_folder}", highlight=False, soft_wrap=True)
    workshop.refresh(workshop.buildable())
    _show_lacking(workshop, console)
    launcher = Launcher(home, console, {REBUILD_TAG: f"{rebuild_from:%Y-%m}"} if rebuild_from else {})
    stretches = plan(workshop, first, last, launcher.reported, rebuild_from)
    if not stretches:
        console.print(f"Every partition up to {last:%Y-%m} is up to date.", highlight=False)
    for stretch in stretches:
        console.rule(f"{stretch.first:%Y-%m} to {last:%Y-%m}: {', '.join(stretch.names)}", align="left")
        launcher.range(stretch.names, stretch.first, last)
    console.rule("the reports", align="left")
    launcher.run(REPORTS, {})


class Launcher:
    """Launches runs over a home in this process, recorded in the home's Dagster instance.

    Parameters
    ----------
    home : Home
        Its ``dagster`` folder must have been prepared.
    console : rich.console.Console
        What assets say goes there.
    tags : mapping of str to str
        Tags of every run.
    """

    def __init__(self, home: Home, console: Console, tags: Mapping[str, str]) -> None:
        loggers = dg.Definitions(loggers={"console": _quiet(console)})
        definitions = dg.Definitions.merge(build_defs(home), loggers)
        self._job = definitions.resolve_implicit_global_asset_job_def()
        self._instance = dg.DagsterInstance.get()
        self._tags = dict(tags)

    def reported(self, name: str) -> set[date]:
        """Months of an asset that the instance knows to be materialised."""
        return set(months_of(self._instance.get_materialized_partitions(dg.AssetKey(name))))

    def range(self, names: Sequence[str], first: date, last: date) -> None:
        """Materialise assets for every month of a range, in one run."""
        self.run(names, {_RANGE_START: key_of(first), _RANGE_END: key_of(last)})

    def run(self, names: Sequence[str], tags: Mapping[str, str]) -> None:
        """Materialise assets in one run; a failure is raised."""
        self._job.execute_in_process(
            instance=self._instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            tags={**self._tags, **tags},
            run_config={"loggers": {"console": {"config": {}}}},
            raise_on_error=True,
        )


def _show_lacking(workshop: Workshop, console: Console) -> None:
    """List the assets that can't be built and the files that each one lacks."""
    lacking = {name: workshop.lacking(name) for name in workshop.assets}
    if not any(lacking.values()):
        return
    table = Table("not built", "lacks", title="Assets whose extracts are not there", title_justify="left")
    for name, files in lacking.items():
        if files:
            table.add_row(name, ", ".join(files))
    console.print(table)
