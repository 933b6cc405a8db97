"""Runs through Dagster: a month, a range, a failure half-way, rebuild_from, checks."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest
from promise import END

from assets.building import Workshop
from pipeline.panel.calendar import month_range, shift

FIRST = date(2025, 1, 1)


def materialised(instance, name) -> dict[str, dict]:
    records = instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
    newest = {}
    for record in reversed(records):
        newest[record.partition_key] = record.asset_materialization.metadata
    return newest


def test_one_month(run, instance, home):
    assert run("vix_innovation").success
    assert home.lake.months("vix_innovation") == [END]
    metadata = materialised(instance, "vix_innovation")[str(END)]
    assert metadata["dagster/partition_row_count"].value == 1
    assert metadata["status"].value == "built"
    assert "| month | vix |" in metadata["preview"].value
    assert metadata["plot"].value.startswith("![months](data:image/png;base64,")


def test_a_range_reports_every_month_with_its_own_figures(run, instance, home):
    months = month_range(FIRST, END)
    assert run("french_factors_daily", first=FIRST, last=END).success
    found = materialised(instance, "french_factors_daily")
    assert sorted(found) == [str(month) for month in months]
    for month in months:
        rows = home.lake.read("french_factors_daily", month).height
        assert found[str(month)]["dagster/partition_row_count"].value == rows
    assert run("french_factors_daily", first=FIRST, last=END).success
    assert materialised(instance, "french_factors_daily")[str(FIRST)]["status"].value == "current"


def test_a_range_is_planned_in_one_event_and_known_by_month(run, instance):
    """Each month of a range that failed is shown as failed, though the run logged one planned event an asset."""
    first = shift(END, -3)
    with pytest.raises(ValueError, match="is not a month"):
        run("french_factors_daily", first=first, last=END, tags={"rebuild_from": "soon"})
    key = dg.AssetKey("french_factors_daily")
    attempts = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    assert set(attempts) == {str(month) for month in month_range(first, END)}
    (run_id,) = {run_id for run_id, _ in attempts.values()}
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    assert len(events) == 1
    assert run("french_factors_daily", first=first, last=END).success
    assert not instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )


def test_months_finished_before_a_failure_stay_materialised(run, instance, monkeypatch):
    build = Workshop.build

    def failing(self, *args, **options):
        for count, outcome in enumerate(build(self, *args, **options)):
            if count == 3:
                raise RuntimeError("the disk is full")
            yield outcome

    monkeypatch.setattr(Workshop, "build", failing)
    with pytest.raises(RuntimeError, match="the disk is full"):
        run("french_factors_daily", first=FIRST, last=END)
    assert sorted(materialised(instance, "french_factors_daily")) == [str(shift(FIRST, k)) for k in range(3)]


def test_rebuild_from_is_a_tag_of_the_run(run, instance):
    run("french_factors_daily", first=FIRST, last=END)
    run("french_factors_daily", first=FIRST, last=END, tags={"rebuild_from": "2026-09"})
    found = materialised(instance, "french_factors_daily")
    rebuilt = [month for month, metadata in found.items() if metadata["status"].value == "built"]
    assert sorted(rebuilt) == ["2026-09-01", "2026-10-01"]
    with pytest.raises(ValueError, match="rebuild_from='soon' is not a month"):
        run("french_factors_daily", tags={"rebuild_from": "soon"})


def test_an_asset_without_its_extracts_says_which(run):
    with pytest.raises(LookupError, match=r"bond_returns needs bonds.index_constituents.parquet in extracts/"):
        run("bond_returns")


def test_observing_an_extract_versions_it(run, instance):
    result = run("extracts/prices_VIX", first=None)
    assert result.success
    [observation] = instance.fetch_observations(dg.AssetKey(["extracts", "prices_VIX"]), limit=5).records
    assert observation.asset_observation.tags["dagster/data_version"]
    assert observation.asset_observation.metadata["rows staged"].value > 1_000


def checks(result) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def test_checks_pass_on_what_was_written_and_see_a_changed_file(run, home):
    found = checks(run("vix_innovation", first=FIRST, last=END))
    assert {name: check.passed for name, check in found.items()} == {
        "stored_rows": True,
        "row_count_drift": True,
        "coverage": True,
    }
    path = home.lake.partition("vix_innovation", FIRST) / "part-0.parquet"
    changed = home.lake.read("vix_innovation", FIRST)
    changed.with_columns(vix=changed["vix"] + 1.0).write_parquet(path)
    # The month is up to date by its manifest, so the build leaves it alone; the check does not.
    found = checks(run("vix_innovation", first=FIRST, last=END, raise_on_error=False))
    assert not found["stored_rows"].passed
    assert list(found["stored_rows"].metadata["what"].value) == ["2025-01"]


def test_a_broken_chain_is_seen(factory_home_of_bonds):
    from pipeline.checks import state_chain

    workshop = factory_home_of_bonds
    asset = workshop.assets["bond_universe"]
    months = workshop.home.lake.months("bond_universe")
    assert state_chain(workshop, asset, workshop.home.lake.manifests("bond_universe"), months) == {}
    changed = workshop.home.lake.read("bond_universe", months[2]).head(3)
    manifest = workshop.home.lake.manifest("bond_universe", months[2])
    workshop.home.lake.write(
        "bond_universe", months[2], changed, ["month", "isin"], code_version="1", settings="", reads=manifest.reads
    )
    failures = state_chain(workshop, asset, workshop.home.lake.manifests("bond_universe"), months)
    assert list(failures) == [f"{months[3]:%Y-%m}"]
