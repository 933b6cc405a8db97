"""Running everything from the command line: which assets, which months, and progress a person can read.

Belongs here: planning a run of everything. Does not: the order and the processes in which it is built
(``pipeline.bundles``, ``pipeline.fleet``), what a run does (``assets``) or arguments (``pipeline.__main__``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import date

from rich.console import Console
from rich.table import Table

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.monthly import REBUILD_TAG
from assets.reads import Partitions
from pipeline.bundles import Agenda, Bundle
from pipeline.fleet import Alone, Fleet, Orders, build_all
from pipeline.launching import Launcher
from pipeline.panel.calendar import month_range, shift
from pipeline.report.blocks import Page
from pipeline.report.pages import PAGES
from resources.home import Home

Reported = Callable[[str], Container[date] | None]


def plan(
    workshop: Workshop, first: date | None, last: date, reported: Reported = lambda _: None, rebuild: date | None = None
) -> dict[str, date]:
    """Find the assets that have anything to do, and the first outdated month of each.

    Parameters
    ----------
    workshop : Workshop
        Assets over a home whose extracts are staged.
    first : datetime.date or None
        Month from which partitions are wanted; None wants each asset from its first data on. Windows and recursive
        models reach further back, and so does what is found.
    last : datetime.date
        Last month; assets whose data begin later are left out.
    reported : callable, optional
        Asset -> months that the instance knows to be materialised, None for all: a month that is in the lake and
        unknown there (a killed run wrote it) is gone through again, which reports it.
    rebuild : datetime.date, optional
        Months from here on are outdated whatever their manifests say.

    Returns
    -------
    dict of str to datetime.date
        Asset -> month from which on it is to be built, upstream first; empty when everything stands.
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
    return starts


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


def run_everything(
    home: Home, first: date | None, last: date, rebuild_from: date | None, console: Console, processes: int = 1
) -> None:
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
    processes : int
        Assets that do not read each other are built in so many processes at once; 1 builds all in this one. What is
        written is the same to the last byte.

    Raises
    ------
    Exception
        Whatever stopped an asset, as a `pipeline.failures.WorkerFailure` where it was in another process; months that
        were finished before stay.
    """
    begun = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/]  {line}", highlight=False, soft_wrap=True)

    workshop = Workshop(MONTHLY_ASSETS, home)
    console.print(f"Reading the extracts in {home.extracts_folder}", highlight=False, soft_wrap=True)
    workshop.refresh(workshop.buildable())
    _show_unusable(workshop, console)
    _show_lacking(workshop, console)
    tags = {REBUILD_TAG: f"{rebuild_from:%Y-%m}"} if rebuild_from else {}
    launcher = Launcher(home, say, tags)
    starts = plan(workshop, first, last, launcher.reported, rebuild_from)
    if not starts:
        console.print(f"Every partition up to {last:%Y-%m} is up to date.", highlight=False)
    agenda = agenda_of(workshop, starts, processes)

    def told(bundle: Bundle) -> None:
        say(f"[bold]{f'from {bundle.first:%Y-%m} on' if bundle.first else 'the report'}: {', '.join(bundle.names)}[/]")

    if processes == 1:
        build_all(agenda, Alone(launcher, last), told)
        return
    with Fleet(processes, Orders(home.folder, last, tags), say) as fleet:
        build_all(agenda, fleet, told)


def agenda_of(workshop: Workshop, starts: Mapping[str, date], processes: int, pages: Sequence[Page] = PAGES) -> Agenda:
    """Put what was planned, and pages of the report, on an agenda, each after what it reads."""
    upstream = {
        name: [read.source for read in workshop.reads(name).values() if isinstance(read, Partitions)] for name in starts
    } | {page.asset: list(page.reads) for page in pages}
    return Agenda({**starts, **dict.fromkeys(page.asset for page in pages)}, upstream, processes)


def _show_unusable(workshop: Workshop, console: Console) -> None:
    """List the files among the extracts that are not read, each with the reason."""
    home = workshop.home
    for file, reason in sorted(home.extracts.unusable().items()):
        named = file.relative_to(home.extracts_folder) if file.is_relative_to(home.extracts_folder) else file
        console.print(f"Not read: {named}: {reason}", highlight=False, soft_wrap=True, markup=False)


def _show_lacking(workshop: Workshop, console: Console) -> None:
    """List the assets that can't be built and the files that they lack, those together that lack the same."""
    without: dict[tuple[str, ...], list[str]] = {}
    for name in workshop.assets:
        if files := workshop.lacking(name):
            without.setdefault(tuple(files), []).append(name)
    if not without:
        return
    table = Table("not built", "lacks", title="Assets whose extracts are not there", title_justify="left")
    for lacked, names in without.items():
        table.add_row(", ".join(names), ", ".join(lacked))
    console.print(table)
