"""The home: where things lie, and that one home reads one folder of extracts and one source of bonds."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from assets.all import MONTHLY_ASSETS
from assets.building import MissingExtracts, Workshop
from pipeline.bonds.source import INDEX, TRADES, BondSourceSettings
from resources.home import Home, OtherExtracts
from resources.settings import BadSettings, Settings


def test_a_folder_of_extracts_is_linked_and_remembered(tmp_path):
    (tmp_path / "wrds").mkdir()
    Home(tmp_path / "home").link_extracts(tmp_path / "wrds")
    again = Home(tmp_path / "home")
    assert again.extracts_folder.resolve() == tmp_path / "wrds"
    again.link_extracts(tmp_path / "wrds")


def test_a_home_does_not_change_its_extracts(tmp_path):
    (tmp_path / "wrds").mkdir()
    (tmp_path / "home" / "extracts" / "prices").mkdir(parents=True)
    with pytest.raises(OtherExtracts, match=r"home/ was built from .*extracts.*PIPELINE_HOME=data-wrds"):
        Home(tmp_path / "home").link_extracts(tmp_path / "wrds")


def test_dagster_is_prepared_without_touching_an_edited_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")
    home = Home(tmp_path / "home")
    config = home.prepare_dagster() / "dagster.yaml"
    assert "BatchedSqliteEventLogStorage" in config.read_text()
    assert os.environ["DAGSTER_HOME"] == str(config.parent)
    config.write_text("telemetry:\n  enabled: false\n")
    home.prepare_dagster()
    assert config.read_text() == "telemetry:\n  enabled: false\n"


def drop_bonds(home: Home, *tables: str) -> None:
    columns = {"cusip_id": ["A"], "trd_exctn_dt": ["x"], "ISIN": ["A"]}
    for table in tables:
        home.extracts_folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(columns).write_parquet(home.extracts_folder / f"{table}.parquet")


@pytest.mark.parametrize(
    ("tables", "source"),
    [
        ((), INDEX),
        (("bonds.index_constituents",), INDEX),
        (("bonds.index_constituents", "trace.trace_enhanced"), INDEX),
        (("bonds.index_constituents", "trace.trace_enhanced", "fisd.fisd_mergedissue"), TRADES),
        (("trace.trace_enhanced", "fisd.fisd_mergedissue"), TRADES),
    ],
)
def test_the_files_on_disk_decide_where_bonds_come_from(tmp_path, tables, source):
    home = Home(tmp_path / "home")
    drop_bonds(home, *tables)
    assert home.settings == replace(Settings(), bonds=BondSourceSettings(bond_source=source))


def test_a_home_opened_again_sees_files_that_have_come(tmp_path):
    home = Home(tmp_path / "home")
    drop_bonds(home, "bonds.index_constituents")
    before = home.settings
    drop_bonds(home, "trace.trace_enhanced", "fisd.fisd_mergedissue")
    after = Home(tmp_path / "home").settings
    assert (before.bonds.bond_source, after.bonds.bond_source) == (INDEX, TRADES)
    assert before.digest(["bonds"]) != after.digest(["bonds"])
    # Only what depends on the source is put out of date.
    assert before.digest(["bond_prices", "stock_models"]) == after.digest(["bond_prices", "stock_models"])
    assert home.settings is before


@pytest.mark.parametrize(
    "tables", [(), ("bonds.index_constituents",), ("trace.trace_enhanced", "fisd.fisd_mergedissue")]
)
@pytest.mark.parametrize("choice", [INDEX, TRADES])
def test_a_written_source_of_bonds_stands_whatever_the_files(tmp_path, tables, choice):
    home = Home(tmp_path / "home")
    drop_bonds(home, *tables)
    home.folder.mkdir(exist_ok=True)
    (home.folder / "settings.toml").write_text(f'[bonds]\nbond_source = "{choice}"\n')
    assert home.settings.bonds.bond_source == choice


def test_a_chosen_source_that_is_not_there_says_what_is_lacking(tmp_path):
    """It is not replaced by the other one."""
    home = Home(tmp_path / "home")
    drop_bonds(home, "bonds.index_constituents")
    (home.folder / "settings.toml").write_text('[bonds]\nbond_source = "trades"\n')
    with pytest.raises(MissingExtracts, match=r"bond_returns needs fisd.fisd_mergedissue.*trace.trace_enhanced"):
        list(Workshop(MONTHLY_ASSETS, home).build("bond_returns", [date(2020, 1, 1)]))


def test_a_written_auto_is_decided_too_and_another_word_refused(tmp_path):
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    (home.folder / "settings.toml").write_text('[bonds]\nbond_source = "auto"\n')
    assert home.settings.bonds.bond_source == INDEX
    (home.folder / "settings.toml").write_text('[bonds]\nbond_source = "trace"\n')
    with pytest.raises(BadSettings, match="bond_source is one of auto, trades, index, not 'trace'"):
        _ = Home(home.folder).settings
