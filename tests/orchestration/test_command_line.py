"""The command line: what it refuses, and in which words."""

from __future__ import annotations

import pytest
from promise import Factory

from pipeline import __main__ as command


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", "")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["pipeline", *words])
        command.main()

    return run


def test_nothing_is_simulated_into_a_folder_of_the_user(call, tmp_path):
    (tmp_path / "wrds").mkdir()
    with pytest.raises(SystemExit, match=r"holds no files. Nothing is simulated into a folder of your own"):
        call("run", "--extracts", str(tmp_path / "wrds"))
    assert list((tmp_path / "wrds").iterdir()) == []


def test_months_that_are_not_closed_are_refused(call):
    with pytest.raises(SystemExit, match=r"TO=2099-01 is not closed yet; the last closed month is \d{4}-\d{2}"):
        call("run", "--to", "2099-01")


def test_a_bad_file_ends_in_its_message(call, macro_tables, tmp_path):
    home = Factory(tmp_path).home("data", {"prices/VIX": macro_tables["prices/VIX"]})
    path = home.extracts_folder / "prices" / "VIX.csv"
    path.write_text(path.read_text() + "2026-10-31,much,much,much,much,much,0\n")
    with pytest.raises(SystemExit, match=r"BadExtract: .*VIX.csv.*"):
        call("run", "--to", "2026-10")


def test_a_month_is_written_as_a_month(call, capsys):
    with pytest.raises(SystemExit):
        call("run", "--from", "June")
    assert "'June' is not a month: write it as 2008-07" in capsys.readouterr().err
