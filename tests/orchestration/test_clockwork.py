"""The schedule and the sensor: when they run, and in which words they don't."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from promise import END, Factory

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift
from pipeline.schedules import why_not_yet


def tick(definitions, instance, day) -> dg.RunRequest | dg.SkipReason:
    schedule = definitions.resolve_schedule_def("monthly_refit")
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(day.year, day.month, 5, 6, tzinfo=UTC),
        resources=definitions.resources,
        repository_def=definitions.get_repository_def(),
    )
    data = schedule.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


def test_the_last_closed_month_is_requested_once(definitions, instance):
    request = tick(definitions, instance, shift(END, 1))
    assert request.partition_key == str(END)
    assert request.run_key == "monthly_refit 2026-10"
    asked = {key.to_user_string() for key in request.asset_selection}
    assert {"vix_innovation", "bond_market_factor", "report"} <= asked
    assert not any(name.startswith("bond_ipca") for name in asked), "assets without extracts are not asked for"


def test_a_late_extract_is_the_reason_for_waiting(definitions, instance):
    reason = tick(definitions, instance, shift(END, 2)).skip_message
    assert "2026-11 waits" in reason
    assert "prices.VIX ends in 2026-10, before 2026-11" in reason


def test_a_missing_state_is_the_reason_for_waiting(factory_home_of_bonds):
    workshop = factory_home_of_bonds
    newest = workshop.home.lake.months("bond_universe")[-1]
    assert why_not_yet(workshop, shift(newest, 1)) == []
    assert why_not_yet(workshop, shift(newest, 2)) == [
        f"bond_universe has no state for {shift(newest, 1):%Y-%m}; backfill it up to there first"
    ]


def test_nothing_on_disk_is_the_reason_for_waiting(tmp_path):
    assert why_not_yet(Workshop(MONTHLY_ASSETS, Factory(tmp_path).home("none", {})), END) == [
        "no asset has its extracts on disk"
    ]


def look(definitions, instance, cursor) -> dg.SensorResult:
    sensor = definitions.resolve_sensor_def("extracts_changed")
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources=definitions.resources,
        repository_def=definitions.get_repository_def(),
    )
    return sensor.evaluate_tick(context)


def test_the_sensor_sees_changed_files_only(definitions, instance, home):
    first = look(definitions, instance, None)
    assert len(first.run_requests) == 1
    quiet = look(definitions, instance, first.cursor)
    assert quiet.run_requests == []
    assert quiet.skip_message == "no vendor file has changed"
    path = home.extracts_folder / "prices" / "VIX.csv"
    path.write_text(path.read_text() + "2026-11-02,17,17,17,17,17,0\n")
    changed = look(definitions, instance, first.cursor)
    assert [key.to_user_string() for key in changed.run_requests[0].asset_selection] == ["extracts/prices_VIX"]


def test_definitions_load_and_every_asset_is_described(definitions):
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    for asset in MONTHLY_ASSETS:
        node = graph.get(dg.AssetKey(asset.name))
        assert node.description
        assert node.group_name
        assert node.owners
        assert node.kinds
        assert node.code_version
    assert month_range(END, END) == [END]


@pytest.mark.parametrize("name", ["monthly_refit", "observe_extracts"])
def test_jobs_resolve(definitions, name):
    assert definitions.resolve_job_def(name).name == name
