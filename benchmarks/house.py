"""The house itself: what a new month costs against the whole history, and what Dagster adds to a long backfill.

Peers are the project's own other ways: the full rebuild, and the same builds without Dagster.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path

import polars as pl
from rich.console import Console

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.metadata import newest_metadata
from benchmarks.comparison import Comparison
from pipeline.checks import CHECKS, checks_of
from pipeline.panel.calendar import month_range, shift
from pipeline.running import Launcher, plan
from pipeline.simulation.history import history
from pipeline.simulation.layouts import write_extracts
from pipeline.simulation.market import simulate
from pipeline.simulation.sizes import SIZES, MarketSize
from resources.home import Home

END = date(2024, 12, 1)
# Fifty years of a cross-section like the notebook's, scaled to a third.
LONG = replace(
    SIZES["notebook"], name="long", months=600, lead=120, bonds=17_000, alive=1_200, issuers=2_000, other_firms=200
)


def comparisons(quick: bool = False) -> Iterator[Comparison]:
    """Yield the lines of the table; ``quick`` takes the tiny market."""
    yield new_month(SIZES["tiny" if quick else "demo"])
    yield orchestration(SIZES["tiny"] if quick else LONG)


def new_month(size: MarketSize) -> Comparison:
    """One appended month of every asset, staging included, against everything from nothing."""
    tables = simulate(size, end=END).tables
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        _write(home, history(tables, shift(END, -1)))
        everything = _seconds(lambda: _stage_and_build(home, shift(END, -1)))
        _write(home, tables)
        month = _seconds(lambda: _stage_and_build(home, END))
    work = f"every asset, one new month after {size.months} months, {size.alive} bonds"
    return Comparison(work, "itself: the full rebuild", month, everything)


def orchestration(size: MarketSize) -> Comparison:
    """Time a backfill of everything through Dagster, and the same builds, checks and previews without it."""
    tables = simulate(size, end=END).tables
    with tempfile.TemporaryDirectory() as folder:
        plain, dagster = Home(Path(folder) / "plain"), Home(Path(folder) / "dagster")
        _write(plain, tables)
        _write(dagster, tables)
        bare = _seconds(lambda: (_stage_and_build(plain, END), _check_and_draw(plain)))
        dagster.prepare_dagster()
        whole = _seconds(lambda: _backfill(dagster))
    share = (whole - bare) / whole
    work = f"a backfill of {size.months} months, {size.alive} bonds, through Dagster"
    return Comparison(work, "itself: without Dagster", whole, bare, note=f"orchestration's share {share:.1%}")


def _write(home: Home, tables: Mapping[str, pl.DataFrame]) -> None:
    write_extracts(tables, home.extracts_folder, parquet=("bonds.index_constituents",))


def _stage_and_build(home: Home, last: date) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    for stretch in plan(workshop, None, last):
        for name in stretch.names:
            months = home.lake.months(name)
            first = shift(months[-1], 1) if months else stretch.first
            list(workshop.build(name, month_range(first, last)))


def _check_and_draw(home: Home) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    for asset in MONTHLY_ASSETS:
        manifests = home.lake.manifests(asset.name)
        for name in checks_of(asset):
            CHECKS[name][0](workshop, asset, manifests, list(manifests))
        newest_metadata(asset, home.lake, END, workshop.schemas[asset.name].columns())


def _backfill(home: Home) -> None:
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    launcher = Launcher(home, Console(file=StringIO()), {})
    for stretch in plan(workshop, None, END):
        launcher.range(stretch.names, stretch.first, END)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
