"""Files for programs outside the house, against a join written out in pandas."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from assets.exports import NothingToExport, write_exports
from pipeline.equity.common import macro_columns
from pipeline.equity.definition import GKX94
from pipeline.equity.registry import NAMES, names_of
from pipeline.panel.calendar import month_range, shift
from resources.home import Home

MONTHS = month_range(date(2020, 11, 1), date(2021, 2, 1))
PROVENANCE = {"code_version": "1", "settings": "", "reads": {}}


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path)
    generator = np.random.default_rng(0)
    for month in MONTHS:
        permnos = sorted(generator.choice(9, 6, replace=False).tolist())
        values = {name: generator.standard_normal(6).tolist() for name in NAMES}
        values["gkx_bm"][2] = None
        stocks = pl.DataFrame({"month": [month] * 6, "permno": permnos, **values}, schema_overrides={"month": pl.Date})
        home.lake.write("firm_characteristics", month, stocks, ["month", "permno"], **PROVENANCE)
        earned = [*generator.standard_normal(4).tolist(), None]
        returns = pl.DataFrame({"month": [month] * 5, "permno": permnos[:5], "ret_excess": earned})
        home.lake.write("stock_returns", month, returns, ["month", "permno"], **PROVENANCE)
        row = {name: float(generator.standard_normal()) for name in (*macro_columns(), *(f"mean_{n}" for n in NAMES))}
        common = pl.DataFrame({"month": [month], **row})
        home.lake.write("common_factors", month, common, ["month"], **PROVENANCE)
    return home


def test_a_return_stands_beside_what_was_known_a_month_before(home):
    firms, _ = write_exports(home)
    written = pd.read_csv(firms, parse_dates=["DATE"])
    published = [name.removeprefix("gkx_") for name in names_of(GKX94)]
    assert list(written.columns) == ["permno", "DATE", "eret", *published]
    assert len(published) == 94
    expected = []
    for month in MONTHS[:-1]:
        known = home.lake.read("firm_characteristics", month).to_pandas().set_index("permno")
        earned = home.lake.read("stock_returns", shift(month, 1)).to_pandas()
        for _, row in earned.iterrows():
            if pd.notna(row["ret_excess"]) and row["permno"] in known.index:
                values = known.loc[row["permno"], list(names_of(GKX94))].to_numpy(dtype=float)
                day = pd.Timestamp(shift(month, 1)) + pd.offsets.MonthEnd(0)
                expected.append([row["permno"], day, row["ret_excess"], *values])
    frame = pd.DataFrame(expected, columns=written.columns).astype({"permno": int})
    assert len(frame) > 5
    pd.testing.assert_frame_equal(written, frame, check_dtype=False, check_exact=False, rtol=1e-12)


def test_common_factors_are_dated_like_the_returns_they_precede(home):
    _, common = write_exports(home)
    written = pd.read_csv(common)
    assert list(written["date"]) == ["2020-12-31", "2021-01-31", "2021-02-28", "2021-03-31"]
    assert list(written.columns[1:]) == [*macro_columns(), *(f"mean_{n.removeprefix('gkx_')}" for n in names_of(GKX94))]
    first = home.lake.read("common_factors", MONTHS[0])
    assert written["mean_bm"][0] == pytest.approx(first["mean_gkx_bm"][0], rel=1e-12)
    assert written["vix"][0] == pytest.approx(first["vix"][0], rel=1e-12)


def test_an_empty_lake_says_what_is_missing(tmp_path):
    with pytest.raises(NothingToExport, match="materialise firm_characteristics, stock_returns, common_factors first"):
        write_exports(Home(tmp_path))
    assert not (tmp_path / "exports").exists()


def test_the_command_ends_in_that_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    ended = subprocess.run([sys.executable, "-m", "pipeline", "export"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("NothingToExport: there is no firm panel yet")
