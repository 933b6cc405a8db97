"""The panel function against the slow implementation on random markets that no simulation of firms would write."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from pipeline.equity.characteristics import firm_characteristics
from pipeline.equity.registry import NAMES
from pipeline.equity.timing import PROFILES, FirmCharacteristicsSettings
from tests.equity.slow_firm import slow_firm_characteristics
from tests.equity.slow_market import annual_history, random_market

# The last and the first month of an accounting year under ff_june, and one between.
MONTHS = [date(2012, 5, 1), date(2013, 6, 1), date(2015, 10, 1)]
# One worker runs the slow implementation of a case.
CASES = [
    pytest.param(
        (seed, profile), id=f"{profile}-{seed}", marks=pytest.mark.xdist_group(f"slow market {profile} {seed}")
    )
    for seed in (1, 2)
    for profile in PROFILES
]


@pytest.fixture(scope="module", params=CASES)
def both(request):
    seed, profile = request.param
    market = random_market(seed)
    slow = slow_firm_characteristics(*market.values(), MONTHS, profile)
    ours = firm_characteristics(
        market["crsp_monthly"],
        market["compustat_annual"],
        market["compustat_quarterly"],
        annual_history(market["compustat_annual"], MONTHS),
        market["firm_links"],
        market["daily_characteristics"],
        MONTHS,
        FirmCharacteristicsSettings(timing=profile),
    )
    return ours.sort("month", "permno"), slow


def test_the_same_stocks(both):
    ours, slow = both
    assert ours["month"].to_list() == slow["month"].tolist()
    assert ours["permno"].to_list() == slow["permno"].tolist()
    assert ours.height > 30 * len(MONTHS)


@pytest.mark.parametrize("suffix", ["", "_w", "_r"])
def test_agrees_with_the_slow_implementation(both, suffix):
    ours, slow = both
    mine = ours.select(f"{name}{suffix}" for name in NAMES).to_numpy()
    reference = slow[[f"{name}{suffix}" for name in NAMES]].to_numpy(dtype=float)
    missing = np.isnan(mine) != np.isnan(reference)
    assert not missing.any(), [NAMES[column] for column in np.unique(np.nonzero(missing)[1])]
    assert np.isfinite(mine).any(axis=0).all()
    apart = ~np.isclose(mine, reference, rtol=1e-9, atol=1e-9, equal_nan=True)
    assert not apart.any(), [NAMES[column] for column in np.unique(np.nonzero(apart)[1])]
