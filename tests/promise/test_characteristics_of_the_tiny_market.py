"""Every bond characteristic in the lake against the slow one, on the simulated market, from either source."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from promise import END

from pipeline.bonds.common_columns import FUNDAMENTALS
from pipeline.bonds.registry import BY_NAME, NAMES, SETS
from pipeline.panel.calendar import shift
from tests.bonds.slow_reference import slow_characteristics

MONTHS = [date(2022, 3, 1), date(2025, 7, 1), END]
ASSETS = ("bond_snapshot", "bond_returns", "french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")
# What trades, ratings and accounts do not say: a default probability is the index vendor's.
ONLY_INDEX = {"default_probability", "spread_to_default_probability"}


def _both(home):
    first = shift(MONTHS[0], -72)
    frames = [
        home.lake.scan(asset, [month for month in home.lake.months(asset) if month >= first]).collect()
        for asset in ASSETS
    ]
    firms = home.lake.scan("firm_characteristics", MONTHS).select("month", "permno", *FUNDAMENTALS).collect()
    # The first month of a bond is looked up over the whole history.
    seen = home.lake.read_all("bond_snapshot").select("isin", "month")
    slow = slow_characteristics(*frames, firms, seen, MONTHS)
    return home.lake.scan("bond_characteristics", MONTHS).collect().sort("month", "isin"), slow


@pytest.fixture(scope="module")
def from_trades(baseline):
    return _both(baseline)


@pytest.fixture(scope="module")
def from_index(index_baseline):
    return _both(index_baseline)


def _columns(name: str) -> list[str]:
    return [name, f"{name}_w", f"{name}_r"] if BY_NAME[name].form == "ranked" else [name]


def _assert_agree(both, name: str, *, present: bool) -> None:
    ours, slow = both
    assert ours["isin"].to_list() == slow["isin"].tolist()
    for column in _columns(name):
        mine, reference = ours[column].to_numpy(), slow[column].to_numpy(dtype=float)
        assert np.array_equal(np.isnan(mine), np.isnan(reference))
        assert bool(np.isfinite(ours[name].to_numpy()).any()) is present
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_from_trades(from_trades, name):
    _assert_agree(from_trades, name, present=name not in ONLY_INDEX)


@pytest.mark.parametrize("name", SETS["notebook"])
def test_from_the_index_extract(from_index, name):
    _assert_agree(from_index, name, present=True)


def test_the_two_sources_tell_of_the_same_returns(baseline, index_baseline):
    trades, index = (home.lake.read_all("bond_returns") for home in (baseline, index_baseline))
    both = trades.join(index, on=["month", "isin"], suffix="_index")
    assert both.height > 1_500
    assert both.select(pl.corr("ret", "ret_index")).item() > 0.97
    # The index's return is over the clean price and comes with a coupon every month.
    assert both.select((pl.col("ret") - pl.col("ret_index")).mean().abs()).item() < 0.001
