"""Every characteristic in the lake against the slow implementation, on the simulated market."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from promise import END

from pipeline.bonds.registry import NAMES
from pipeline.panel.calendar import shift
from tests.bonds.slow_reference import slow_characteristics

MONTHS = [date(2022, 3, 1), date(2025, 7, 1), END]
ASSETS = ("bond_returns", "french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")


@pytest.fixture(scope="module")
def both(baseline):
    first = shift(MONTHS[0], -72)
    snapshot = baseline.extracts.scan("bonds.index_snapshot").collect()
    frames = [
        baseline.lake.scan(asset, [month for month in baseline.lake.months(asset) if month >= first]).collect()
        for asset in ASSETS
    ]
    slow = slow_characteristics(snapshot, *frames, snapshot.select("isin", "month"), MONTHS)
    return baseline.lake.scan("bond_characteristics", MONTHS).collect().sort("month", "isin"), slow


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", "_w", "_r"])
def test_agrees_with_the_slow_implementation(both, name, suffix):
    ours, slow = both
    assert ours["isin"].to_list() == slow["isin"].tolist()
    mine, reference = ours[name + suffix].to_numpy(), slow[name + suffix].to_numpy(dtype=float)
    assert np.array_equal(np.isnan(mine), np.isnan(reference))
    assert np.isfinite(mine).sum() > 0
    np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)
