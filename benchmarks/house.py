"""The house itself: what a new month costs against the whole history, and what Dagster adds to a long backfill.

Peers are the project's own other ways: the full rebuild, and the same builds without Dagster.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.metadata import newest_metadata
from benchmarks.comparison import Comparison
from pipeline.checks import CHECKS, checks_of
from pipeline.fleet import Alone, build_all
from pipeline.launching import Launcher
from pipeline.panel.calendar import month_range, shift
from pipeline.running import agenda_of, plan
from pipeline.simulation.history import history
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from pipeline.simulation.sizes import SIZES, MarketSize
from resources.home import Home

END = date(2024, 12, 1)
_LARGE = ("bonds.index_constituents", "crsp.dsf")
# Fifty years of a cross-section like the notebook's, scaled to a third.
LONG = replace(
    SIZES["notebook"], name="long", months=600, lead=120, bonds=17_000, alive=1_200, issuers=2_000, other_firms=200
)


# Everything about bonds and macro series; the stocks of so long a history are a benchmark of their own (``daily``).
_VENDORS = ("bonds", "fred_md", "fred", "prices", "french", "factors", "goyal_welch", "treasury", "crsp_index")


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the lines of the table; ``quick`` takes the tiny market."""
    yield from long_history(SIZES["tiny"] if quick else LONG)
    yield firm_panel(SIZES["tiny" if quick else "demo"])


def long_history(size: MarketSize) -> Iterator[Comparison]:
    """Time one appended month of every bond and macro asset, staging included, and Dagster's share of the history."""
    tables = simulate(size, end=END, vendors=_VENDORS).tables
    with tempfile.TemporaryDirectory() as folder:
        plain, dagster = Home(Path(folder) / "plain"), Home(Path(folder) / "dagster")
        before = history(tables, shift(END, -1))
        _write(plain, before)
        _write(dagster, before)
        everything = _seconds(lambda: _stage_and_build(plain, shift(END, -1)))
        looked_at = _seconds(lambda: _check_and_draw(plain))
        _write(plain, tables)
        month = _seconds(lambda: _refit(plain, END))
        work = f"every bond and macro asset, one new month after {size.months} months, {size.alive} bonds"
        yield Comparison(work, "itself: the full rebuild", month, everything)
        dagster.prepare_dagster()
        whole = _seconds(lambda: _backfill(dagster, shift(END, -1)))
        share = (whole - everything - looked_at) / whole
        yield Comparison(
            f"a backfill of {size.months} months, {size.alive} bonds, through Dagster",
            "itself: the same builds, checks and previews without Dagster",
            whole,
            everything + looked_at,
            note=f"orchestration's share {share:.1%}",
        )


def firm_panel(size: MarketSize) -> Comparison:
    """Time one appended month of the firm panel, from vendor files to characteristics, against all of it."""
    tables = simulate(size, end=END).tables
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        _write(home, history(tables, shift(END, -1)))
        everything = _seconds(lambda: _stage_and_build(home, shift(END, -1), ["firm_characteristics"]))
        _write(home, tables)
        month = _seconds(lambda: _refit(home, END, ["firm_characteristics"]))
    work = f"firm characteristics and all upstream, one new month after {size.months + size.lead} months"
    return Comparison(work, "itself: the full rebuild", month, everything)


def _write(home: Home, tables: Mapping[str, pl.DataFrame]) -> None:
    write_extracts(tables, home.extracts_folder, parquet=[name for name in _LARGE if name in tables])


def _stage_and_build(home: Home, last: date, names: Sequence[str] = ()) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    wanted = workshop.closure(names) if names else workshop.buildable()
    for name, first in plan(workshop, None, last).items():
        if name in wanted:
            list(workshop.build(name, month_range(first, last)))


def _refit(home: Home, month: date, names: Sequence[str] = ()) -> None:
    """Stage what changed and build one month, as the monthly refit does."""
    workshop = Workshop(MONTHLY_ASSETS, home)
    wanted = workshop.closure(names) if names else workshop.buildable()
    workshop.refresh(wanted)
    for name in wanted:
        list(workshop.build(name, [month]))


def _check_and_draw(home: Home) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    for asset in MONTHLY_ASSETS:
        if not home.lake.months(asset.name):
            continue
        manifests = home.lake.manifests(asset.name)
        for name in checks_of(asset):
            CHECKS[name][0](workshop, asset, manifests, list(manifests))
        newest_metadata(asset, home.lake, END, workshop.schemas[asset.name].columns())


def _backfill(home: Home, last: date) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    crew = Alone(Launcher(home, lambda _: None, {}), last)
    agenda = agenda_of(workshop, plan(workshop, None, last), processes=1, pages=())
    build_all(agenda, crew, lambda _: None)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
