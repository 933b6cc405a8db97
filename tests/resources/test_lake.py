"""The lake: what is written can be read back, and a crash at any point leaves no half partition."""

from __future__ import annotations

import shutil
from datetime import date

import polars as pl
import pytest

from resources import lake as lake_module
from resources.lake import Lake, MissingPartitions

MONTH = date(2008, 7, 1)
PROVENANCE = {"code_version": "1", "settings": "s", "reads": {"a": "digest"}}


def frame(*values: float) -> pl.DataFrame:
    return pl.DataFrame({"month": [MONTH] * len(values), "isin": [f"B{i}" for i in range(len(values))], "x": values})


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def test_round_trip_sorted_by_key(lake):
    manifest = lake.write("bond_returns", MONTH, frame(1.0, 2.0, 3.0).reverse(), ["month", "isin"], **PROVENANCE)
    assert manifest.rows == 3
    assert lake.read("bond_returns", MONTH).equals(frame(1.0, 2.0, 3.0))
    assert lake.manifest("bond_returns", MONTH) == manifest
    assert manifest.made_from(**PROVENANCE)
    assert not manifest.made_from(**{**PROVENANCE, "reads": {"a": "another"}})


def test_equal_content_gives_equal_files(lake, tmp_path):
    other = Lake(tmp_path / "other")
    for each, rows in ((lake, frame(1.0, 2.0)), (other, frame(1.0, 2.0).reverse())):
        each.write("bond_returns", MONTH, rows, ["month", "isin"], **PROVENANCE)
    for name in ("part-0.parquet", "manifest.json"):
        paths = [each.partition("bond_returns", MONTH) / name for each in (lake, other)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("fails_at", ["part-0.parquet", "manifest.json"])
def test_a_crash_while_writing_leaves_no_partition(lake, monkeypatch, fails_at):
    lake.write("bond_returns", MONTH, frame(1.0), ["month", "isin"], **PROVENANCE)
    replace = lake_module.os.replace

    def crash(source, target):
        if target.name == fails_at:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(lake_module.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        lake.write("bond_returns", MONTH, frame(2.0), ["month", "isin"], **PROVENANCE)
    # Without a manifest nobody takes the new rows for the old ones, or half of them for all.
    assert lake.manifest("bond_returns", MONTH) is None
    assert not list(lake.partition("bond_returns", MONTH).glob(".*"))


def test_a_partition_that_another_process_replaced_or_removed_is_seen(lake):
    lake.write("bond_returns", MONTH, frame(1.0), ["month", "isin"], **PROVENANCE)
    assert lake.manifest("bond_returns", MONTH).rows == 1
    other = Lake(lake.folder)
    manifest = other.write("bond_returns", MONTH, frame(2.0), ["month", "isin"], **PROVENANCE)
    assert lake.manifest("bond_returns", MONTH) == manifest
    shutil.rmtree(lake.partition("bond_returns", MONTH))
    assert lake.manifest("bond_returns", MONTH) is None


def test_a_window_names_the_months_that_are_missing(lake):
    lake.write("bond_returns", MONTH, frame(1.0), ["month", "isin"], **PROVENANCE)
    with pytest.raises(
        MissingPartitions, match=r"bond_beta reads 2 month\(s\) of bond_returns .* 2008-05, 2008-06\. Mat"
    ):
        lake.window("bond_returns", MONTH, 3, reader="bond_beta")
    assert lake.window("bond_returns", MONTH, 1).height == 1


@pytest.mark.parametrize("name", ["../etc", "a/b", "", "Bond", "bond-returns"])
def test_an_asset_name_cannot_leave_the_lake(lake, name):
    with pytest.raises(ValueError, match="not an asset's name"):
        lake.write(name, MONTH, frame(1.0), ["month", "isin"], **PROVENANCE)
