"""Two processes: the same files, every month reported, and what becomes of the others when one fails or is killed."""

from __future__ import annotations

import os
import signal
import time
from itertools import combinations

import dagster as dg
import pytest
from promise import FROM_INDEX, INDEX, SETTINGS, Factory, build, files

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.bundles import Bundle
from pipeline.failures import LostWorker, WorkerFailure
from pipeline.fleet import Alone, Fleet, Orders, build_all
from pipeline.launching import Launcher
from pipeline.panel.calendar import shift
from pipeline.running import agenda_of, plan
from resources.lake import MissingPartitions

MONTHS = 7
BRANCHES = ("vix_innovation", "goyal_welch", "bond_ipca", "bond_ipca_forecasts", "bond_ipca_intercept")
"""What is built in two processes; everything else stands already, so that the test is a short one."""


@pytest.fixture(scope="module")
def whole(macro_tables, tiny_tables, tmp_path_factory):
    """A home with macro series and bonds, built month after month without Dagster."""
    factory = Factory(tmp_path_factory.mktemp("whole"))
    home = factory.home("home", {**macro_tables, INDEX: tiny_tables[INDEX]})
    factory.settings("home", SETTINGS.replace("min_months = 40", "min_months = 4") + FROM_INDEX)
    workshop = Workshop(MONTHLY_ASSETS, home)
    workshop.refresh(["bond_ipca"])
    build(home, shift(workshop.origin("bond_ipca"), MONTHS))
    return home


@pytest.fixture
def last(whole):
    return whole.lake.months("bond_ipca")[-1]


@pytest.fixture
def part(whole, tmp_path, monkeypatch):
    """That home without the branches, and with a Dagster instance of its own."""
    standing = [asset.name for asset in MONTHLY_ASSETS if asset.name not in BRANCHES]
    home = Factory(tmp_path).copy(whole, "part", standing)
    monkeypatch.setenv("DAGSTER_HOME", "")
    home.prepare_dagster()
    return home


@pytest.fixture
def records(part):
    """What the instance knows of all runs, oldest first."""

    def read():
        with dg.DagsterInstance.get() as instance:
            return instance.get_run_records(ascending=True)

    return read


def test_two_processes_write_the_same_files_and_report_every_month(whole, part, last, records):
    workshop = Workshop(MONTHLY_ASSETS, part)
    workshop.refresh(workshop.buildable())
    starts = plan(workshop, None, last)
    assert set(BRANCHES) < set(starts)
    begun, said = [], []
    with Fleet(2, Orders(part.folder, last, {"kind": "test"}), said.append) as fleet:
        build_all(agenda_of(workshop, starts, 2, pages=()), fleet, begun.append)
    assert files(part) == files(whole)
    assert {line.split(":")[0] for line in said} >= set(starts)
    runs = records()
    assert len(runs) == len(begun)
    assert {run.dagster_run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.dagster_run.tags["kind"] for run in runs} == {"test"}
    assert any(a.start_time < b.end_time and b.start_time < a.end_time for a, b in combinations(runs, 2))
    with dg.DagsterInstance.get() as instance:
        for name, first in starts.items():
            months = {str(month) for month in part.lake.months(name) if month >= first}
            events = instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
            assert sorted(event.partition_key for event in events) == sorted(months)
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == months


def test_a_failure_in_one_process_ends_the_other_and_keeps_its_words(part, last, records):
    first = shift(last, -2)
    failing = Bundle(("bond_ipca_forecasts",), first)
    with pytest.raises(MissingPartitions) as here:
        Alone(Launcher(part, _ignore, {}), last).start(failing)
    longer = tuple(asset.name for asset in MONTHLY_ASSETS if part.lake.months(asset.name))
    with pytest.raises(WorkerFailure) as there:
        _fail_beside(failing, Bundle(longer, first), part, last)
    assert (there.value.kind, there.value.text) == ("MissingPartitions", str(here.value))
    assert there.value.trace.endswith(f"MissingPartitions: {here.value}")
    statuses = {len(run.dagster_run.asset_selection): run.dagster_run.status for run in records()}
    assert statuses == {1: dg.DagsterRunStatus.FAILURE, len(longer): dg.DagsterRunStatus.FAILURE}


def _fail_beside(failing, longer, home, last):
    """Let both processes start up with something short, then one fail while the other has long to go."""
    with Fleet(2, Orders(home.folder, last, {"rebuild_from": f"{longer.first:%Y-%m}"}), _ignore) as fleet:
        for name in ("vix_innovation", "goyal_welch"):
            fleet.start(Bundle((name,), longer.first))
        assert {fleet.finished().names for _ in range(2)} == {("vix_innovation",), ("goyal_welch",)}
        assert fleet.idle()
        fleet.start(longer)
        _wait_for_a_run_of(len(longer.names))
        fleet.start(failing)
        assert not fleet.idle()
        fleet.finished()


def _wait_for_a_run_of(assets):
    with dg.DagsterInstance.get() as instance:
        for _ in range(600):
            started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            if any(len(run.asset_selection) == assets for run in started):
                return
            time.sleep(0.1)
    raise TimeoutError(f"no run of {assets} assets was started within a minute")


def test_a_process_that_is_killed_is_named_by_what_it_built(part, last):
    with pytest.raises(LostWorker, match="exit code -9 while it built vix_innovation"):
        _kill_the_builder(part, last)


def _kill_the_builder(part, last):
    with Fleet(2, Orders(part.folder, last, {}), _ignore) as fleet:
        fleet.start(Bundle(("vix_innovation",), last))
        (pid,) = fleet.pids
        os.kill(pid, signal.SIGKILL)
        fleet.finished()


def _ignore(_):
    """Nobody listens to the progress of these runs."""
