"""The home: where things lie, and that one home reads one folder of extracts."""

from __future__ import annotations

import os

import pytest

from resources.home import Home, OtherExtracts


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
