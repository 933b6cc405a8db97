"""Every firm characteristic in the lake against the slow implementations, on the simulated market."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from promise import END

from pipeline.equity.registry import DAILY_NAMES, NAMES
from pipeline.panel.calendar import shift
from tests.equity.slow_daily import slow_daily
from tests.equity.slow_firm import slow_firm_characteristics

# One worker runs the slow implementations.
pytestmark = pytest.mark.xdist_group("firm characteristics")

# The last month of an accounting year, the second of one, and the market's end.
MONTHS = [date(2022, 5, 1), date(2024, 7, 1), END]
DAILY_MONTH = date(2025, 6, 1)
INPUTS = (
    "crsp_monthly", "compustat_annual", "compustat_quarterly", "firm_links", "stock_daily_characteristics",
)  # fmt: skip
# Three years of weeks, and the week that began before them.
DAILY_MONTHS = 37


@pytest.fixture(scope="module")
def both(baseline):
    slow = slow_firm_characteristics(*(baseline.lake.read_all(asset) for asset in INPUTS), MONTHS)
    return baseline.lake.scan("firm_characteristics", MONTHS).collect().sort("month", "permno"), slow


def _agree(ours: pl.Series, reference: pd.Series) -> None:
    mine, wanted = ours.to_numpy(), reference.to_numpy(dtype=float)
    assert np.array_equal(np.isnan(mine), np.isnan(wanted))
    assert np.isfinite(mine).sum() > 0
    np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-9)


def test_the_same_stocks(both):
    ours, slow = both
    assert ours["month"].unique().sort().to_list() == MONTHS
    assert ours.height > 40 * len(MONTHS)
    assert ours["month"].to_list() == slow["month"].tolist()
    assert ours["permno"].to_list() == slow["permno"].tolist()
    assert len(NAMES) == 138


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", "_w", "_r"])
def test_agrees_with_the_slow_implementation(both, name, suffix):
    ours, slow = both
    _agree(ours[name + suffix], slow[name + suffix])


def _with_timestamps(frame: pl.DataFrame) -> pd.DataFrame:
    return frame.to_pandas().astype(
        {name: "datetime64[ns]" for name, dtype in frame.schema.items() if dtype == pl.Date}
    )


@pytest.fixture(scope="module")
def both_daily(baseline):
    lake, first = baseline.lake, shift(DAILY_MONTH, 1 - DAILY_MONTHS)
    days, market, quarters, links = (
        lake.window(asset, DAILY_MONTH, DAILY_MONTHS)
        for asset in ("crsp_daily", "french_factors_daily", "compustat_quarterly", "firm_links")
    )
    assert days["month"].min() == first
    reported = links.join(quarters, on=["month", "gvkey"]).select("month", "permno", "rdq", "datadate")
    slow = slow_daily(*map(_with_timestamps, (days, market, reported)), [pd.Timestamp(DAILY_MONTH)])
    return lake.read("stock_daily_characteristics", DAILY_MONTH).sort("permno"), slow.sort_values("permno")


@pytest.mark.parametrize("name", DAILY_NAMES)
def test_daily_ones_agree_with_the_slow_implementation(both_daily, name):
    ours, slow = both_daily
    assert ours["permno"].to_list() == slow["permno"].tolist()
    _agree(ours[name], slow[name])
