"""The command line: what it refuses, and in which words."""

from __future__ import annotations

from datetime import date

import pytest
from promise import Factory

from pipeline import __main__ as command
from pipeline.failures import WorkerFailure
from resources.lake import MissingPartitions


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


def test_what_fails_in_another_process_ends_in_its_message(call, monkeypatch):
    from pipeline import running

    def fail_with(failure):
        def fail(*_):
            raise failure

        monkeypatch.setattr(running, "run_everything", fail)
        monkeypatch.setattr(command, "_simulate_if_empty", lambda *_: None)

    fail_with(WorkerFailure.of(MissingPartitions("vix_innovation", [date(2026, 10, 1)], "bond_characteristics")))
    with pytest.raises(SystemExit, match=r"^MissingPartitions: bond_characteristics reads 1 month\(s\) of vix_inn"):
        call("run", "--to", "2026-10")
    fail_with(WorkerFailure.of(RuntimeError("the disk is full")))
    with pytest.raises(SystemExit, match=r"^RuntimeError: the disk is full$"):
        call("run", "--to", "2026-10")


def test_the_number_of_processes_is_one_or_more(call, capsys):
    for words in ("0", "two"):
        with pytest.raises(SystemExit):
            call("run", "--processes", words)
        assert f"'{words}' is not a number of processes: write 1 or more" in capsys.readouterr().err
