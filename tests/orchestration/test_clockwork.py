"""The schedule and the sensor: when they run, and in which words they don't."""

from __future__ import annotations

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl
import pytest
from promise import END, Factory

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from pipeline.panel.calendar import shift
from pipeline.schedules import last_trading_day, why_not_yet
from pipeline.simulation.history import history
from pipeline.simulation.layouts import write_extracts


def tick(definitions, instance, day) -> dg.RunRequest | dg.SkipReason:
    schedule = definitions.resolve_schedule_def("monthly_refit")
    # Left open, a context would hand its instance to whatever is resolved next.
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(day.year, day.month, 5, 6, tzinfo=UTC),
        resources=definitions.resources,
        repository_def=definitions.get_repository_def(),
    ) as context:
        data = schedule.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


def test_the_last_closed_month_is_requested_once(definitions, instance):
    request = tick(definitions, instance, shift(END, 1))
    assert request.partition_key == str(END)
    assert request.run_key.startswith("monthly_refit 2026-10 ")
    assert tick(definitions, instance, shift(END, 1)).run_key == request.run_key
    asked = {key.to_user_string() for key in request.asset_selection}
    assert {"vix_innovation", "bond_market_factor", "report"} <= asked
    assert not any(name.startswith("bond_ipca") for name in asked), "assets without extracts are not asked for"


def test_a_late_extract_is_the_reason_for_waiting(definitions, instance):
    reason = tick(definitions, instance, shift(END, 2)).skip_message
    assert "2026-11 waits" in reason
    assert "prices.VIX ends in 2026-10, before 2026-11" in reason


def cut(home, tables, name, keep):
    write_extracts({name: tables[name].filter(keep)}, home.extracts_folder)


@pytest.mark.parametrize(
    ("name", "keep", "reason"),
    [
        (
            "french/F-F_Research_Data_Factors",
            pl.col("date") < END,
            "french.factors_3 ends in 2026-09, before 2026-10",
        ),
        ("fred/DGS10", pl.col("observation_date") < END, "fred.DGS10 ends in 2026-09, before 2026-10"),
        (
            "prices/LQD",
            pl.col("Date") <= END.replace(day=12),
            "prices.LQD ends on 2026-10-12, before the last trading day of 2026-10",
        ),
    ],
)
def test_an_optional_or_half_filled_table_is_waited_for(definitions, instance, home, macro_tables, name, keep, reason):
    cut(home, macro_tables, name, keep)
    assert tick(definitions, instance, shift(END, 1)).skip_message == f"2026-10 waits: {reason}"


def test_a_table_that_has_long_ended_is_not_waited_for(definitions, instance, home, macro_tables):
    cut(home, macro_tables, "french/F-F_Momentum_Factor", pl.col("date") < shift(END, -5))
    assert tick(definitions, instance, shift(END, 1)).partition_key == str(END)


@pytest.mark.parametrize("table", ["crsp.msenames", "crsp.msedelist"])
def test_names_and_delistings_of_an_older_file_are_waited_for(table, tiny_tables, tmp_path):
    tables = {name: tiny_tables[name] for name in ("crsp.msf", "crsp.msenames", "crsp.msedelist")}
    workshop = Workshop(MONTHLY_ASSETS, Factory(tmp_path).home("stocks", tables))
    workshop.refresh(["crsp_monthly"])
    assert not [reason for reason in why_not_yet(workshop, END) if "crsp." in reason]
    write_extracts(history({table: tables[table]}, shift(END, -1)), workshop.home.extracts_folder)
    workshop.refresh(["crsp_monthly"])
    reasons = [reason for reason in why_not_yet(workshop, END) if "crsp." in reason]
    assert reasons == [f"{table} ends in 2026-09, before 2026-10"]


def test_restated_data_are_refitted_again(definitions, instance, home, macro_tables):
    before = tick(definitions, instance, shift(END, 1)).run_key
    table = macro_tables["prices/VIX"].with_columns(pl.col("Close") + 1.0)
    write_extracts({"prices/VIX": table}, home.extracts_folder)
    assert tick(definitions, instance, shift(END, 1)).run_key != before


def test_a_file_that_has_gone_is_the_reason_for_waiting(factory_home_of_bonds):
    workshop = factory_home_of_bonds
    newest = workshop.home.lake.months("bond_universe")[-1]
    (workshop.home.extracts_folder / "bonds.index_constituents.csv").unlink()
    write_extracts(
        {"fred/DGS10": pl.DataFrame({"observation_date": [END], "DGS10": [4.0]})}, workshop.home.extracts_folder
    )
    workshop.refresh(["treasury_curve"])
    reasons = why_not_yet(workshop, shift(newest, 1))
    assert f"bond_universe was built for {newest:%Y-%m} and now lacks bonds.index_constituents.parquet" in reasons


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
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources=definitions.resources,
        repository_def=definitions.get_repository_def(),
    ) as context:
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


@pytest.mark.parametrize("name", ["monthly_refit", "observe_extracts"])
def test_jobs_resolve(definitions, name):
    assert definitions.resolve_job_def(name).name == name


def test_good_friday_is_no_trading_day():
    assert last_trading_day(date(2024, 3, 1)) == date(2024, 3, 28)
    assert last_trading_day(date(2026, 10, 1)) == date(2026, 10, 30)


def test_a_month_without_events_is_not_waited_for(macro_tables, tmp_path):
    """Links, names and delistings have months in which nothing happens."""
    links = pl.DataFrame(
        {
            "gvkey": ["001001"],
            "lpermno": [10001],
            "linkdt": [date(2015, 3, 2)],
            "linkenddt": pl.Series([None], dtype=pl.Date),
            "linktype": ["LC"],
            "linkprim": ["P"],
            "lpermco": [20001],
        }
    )
    tables = {"prices/VIX": macro_tables["prices/VIX"], "crsp.ccmxpf_lnkhist": links}
    workshop = Workshop(MONTHLY_ASSETS, Factory(tmp_path).home("links", tables))
    workshop.refresh(workshop.buildable())
    assert "firm_links" in workshop.buildable()
    assert why_not_yet(workshop, END) == []
    assert why_not_yet(workshop, shift(END, 1)) == ["prices.VIX ends in 2026-10, before 2026-11"]
