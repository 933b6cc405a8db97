"""A home with macro extracts only, a temporary Dagster instance, and a way to run a selection."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest
from promise import END, INDEX, Factory, Tables

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.definitions import build_defs
from pipeline.panel.calendar import month_range, shift
from pipeline.simulation.market import simulate
from resources.home import Home

MACRO = ("prices/", "fred/", "french/")


@pytest.fixture(scope="session")
def tiny_tables() -> Tables:
    """Raw vendor tables of the tiny market."""
    return simulate("tiny", end=END).tables


@pytest.fixture(scope="session")
def macro_tables(tiny_tables) -> Tables:
    """Those of the macro vendors."""
    return {name: frame for name, frame in tiny_tables.items() if name.startswith(MACRO)}


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Where the home of one test after the other lies, so that they can share their definitions."""
    return tmp_path_factory.mktemp("orchestration")


@pytest.fixture(scope="session")
def definitions(macro_tables, place) -> dg.Definitions:
    """Loaded once, as a server does that stays up while files change."""
    return build_defs(Factory(place).home("home", macro_tables))


@pytest.fixture
def home(macro_tables, place) -> Home:
    shutil.rmtree(place / "home", ignore_errors=True)
    return Factory(place).home("home", macro_tables)


@pytest.fixture
def instance(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    home.prepare_dagster()
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.fixture
def run(definitions, instance):
    """Run assets for a month or a range, as the UI would."""

    def launch(*names, first=END, last=None, tags=None, raise_on_error=True):
        window = (
            {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
            if last
            else {}
        )
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name.split("/")) for name in names],
            partition_key=None if last or not first else str(first),
            tags={**window, **(tags or {})},
            raise_on_error=raise_on_error,
        )

    return launch


@pytest.fixture
def factory_home_of_bonds(tiny_tables, tmp_path) -> Workshop:
    """A workshop whose bond universe, from the index extract, is built for six months."""
    workshop = Workshop(MONTHLY_ASSETS, Factory(tmp_path).home("bonds", {INDEX: tiny_tables[INDEX]}))
    workshop.refresh(["bond_universe"])
    first = workshop.origin("bond_universe")
    for name in workshop.closure(["bond_universe"]):
        list(workshop.build(name, month_range(first, shift(first, 5))))
    return workshop
