"""What a run of everything goes through: only what is missing, changed, unreported, or downstream of it."""

from __future__ import annotations

from io import StringIO

import polars as pl
import pytest
from promise import END, Factory
from rich.console import Console

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.launching import Launcher
from pipeline.panel.calendar import month_range, shift
from pipeline.report.pages import PAGES
from pipeline.running import plan, run_everything

BEFORE = shift(END, -1)
VIX = "prices/VIX"


def planned(home, last, **options) -> dict:
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    return plan(workshop, None, last, **options)


@pytest.fixture(scope="module")
def built(macro_tables, tmp_path_factory):
    home = Factory(tmp_path_factory.mktemp("plan")).home("home", macro_tables)
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(workshop.buildable())
    for name in workshop.buildable():
        list(workshop.build(name, month_range(workshop.origin(name), BEFORE)))
    return home


@pytest.fixture
def home(built, tmp_path):
    return Factory(tmp_path).copy(built, "home")


def test_nothing_is_planned_where_everything_stands(home):
    assert planned(home, BEFORE) == {}


def test_a_new_month_is_planned_alone(home):
    assert set(planned(home, END).values()) == {END}


def test_a_restated_day_is_planned_with_what_is_downstream(home, macro_tables):
    month = shift(END, -5)
    vix = macro_tables[VIX]
    day = vix.filter(pl.col("Date") >= shift(month, 1))["Date"].min()
    last = vix.filter(pl.col("Date") < day)["Date"].max()
    restated = vix.with_columns(
        pl.when(pl.col("Date") == last).then(pl.col("Close") + 1).otherwise("Close").alias("Close")
    )
    Factory(home.folder.parent).home("home", {**macro_tables, VIX: restated})
    assert planned(home, BEFORE) == {"vix_innovation": month}


def test_a_lost_partition_takes_what_reads_it_along(home):
    lost = shift(END, -3)
    (home.lake.partition("french_factors", lost) / "manifest.json").unlink()
    found = planned(home, BEFORE)
    readers = {
        asset.name
        for asset in MONTHLY_ASSETS
        if "french_factors" in {read.source for read in asset.reads(home.settings).values()}
    }
    assert found["french_factors"] == lost
    assert set(found) == {"french_factors"} | (readers & set(Workshop(MONTHLY_ASSETS, home).buildable()))


def test_rebuild_from_is_planned_whatever_stands(home):
    month = shift(END, -2)
    assert set(planned(home, BEFORE, rebuild=month).values()) == {month}


def test_months_that_the_instance_does_not_know_are_gone_through(home):
    unknown = shift(END, -4)
    known = set(month_range(shift(END, -1200), shift(unknown, -1)))
    found = planned(home, BEFORE, reported=lambda name: known if name == "goyal_welch" else None)
    assert found["goyal_welch"] == unknown


def test_partitions_older_than_the_data_are_gone_through(home, macro_tables):
    late = {
        name: frame.filter(pl.col(frame.columns[0]) >= shift(END, -48))
        for name, frame in macro_tables.items()
        if name == VIX
    }
    Factory(home.folder.parent).home("home", {**macro_tables, **late})
    assert planned(home, BEFORE)["vix_innovation"] == shift(END, -48)


def test_a_second_run_of_everything_launches_only_the_pages(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    home.prepare_dagster()
    launched = []
    monkeypatch.setattr(Launcher, "run", _noting(Launcher.run, launched))
    run_everything(home, shift(BEFORE, -2), BEFORE, None, Console(file=StringIO()))
    assert {name for names in launched for name in names} >= {"french_factors", "vix_innovation", "report"}
    assert launched[-1] == tuple(page.asset for page in PAGES)
    launched.clear()
    said = StringIO()
    run_everything(home, shift(BEFORE, -2), BEFORE, None, Console(file=said))
    assert launched == [tuple(page.asset for page in PAGES)]
    assert f"Every partition up to {BEFORE:%Y-%m} is up to date." in said.getvalue()


def _noting(run, launched):
    def noted(self, names, tags):
        launched.append(tuple(names))
        run(self, names, tags)

    return noted
