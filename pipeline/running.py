"""Running everything from the command line: which assets, which months, and progress a person can read.

Belongs here: planning and launching Dagster runs over a range. Does not: what a run does (``assets``) or arguments
(``pipeline.__main__``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
from rich.console import Console
from rich.table import Table

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.monthly import REBUILD_TAG
from assets.reports import REPORT
from pipeline.definitions import build_defs
from pipeline.partitions import key_of
from resources.home import Home

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Stretch:
    """Assets, upstream first, that are built together from one month on."""

    names: tuple[str, ...]
    first: date


def plan(workshop: Workshop, first: date | None, last: date) -> list[Stretch]:
    """Split the buildable assets into stretches, each from the first month that it or anything downstream needs.

    Parameters
    ----------
    workshop : Workshop
        Assets over a home whose extracts are staged.
    first : datetime.date or None
        Month from which partitions are wanted; None wants each asset from its first data on. Windows and recursive
        models reach further back, and so do the stretches.
    last : datetime.date
        Last month; assets whose data begin later are left out.
    """
    names = workshop.buildable()
    needed = workshop.first_needed(names, first or date.min)
    stretches: list[Stretch] = []
    for name in names:
        start = needed.get(name)
        if start is None or start > last:
            continue
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


def run_everything(home: Home, first: date | None, last: date, rebuild_from: str | None, console: Console) -> None:
    """Materialise every buildable asset for every month, then the report.

    Parameters
    ----------
    home : Home
        Where everything lies.
    first, last : datetime.date
        Months; ``first`` None means from each asset's first data on.
    rebuild_from : str or None
        ``YYYY-MM`` from which partitions are rebuilt even if they are up to date.
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
    launcher = Launcher(home, console, {REBUILD_TAG: rebuild_from} if rebuild_from else {})
    for stretch in plan(workshop, first, last):
        console.rule(f"{stretch.first:%Y-%m} to {last:%Y-%m}: {', '.join(stretch.names)}", align="left")
        launcher.range(stretch.names, stretch.first, last)
    console.rule("the report", align="left")
    launcher.run((REPORT,), {})


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
