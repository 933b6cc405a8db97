from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.bonds.default_spread import default_spread

JANUARY, FEBRUARY, MARCH, APRIL = (date(2010, month, 1) for month in (1, 2, 3, 4))


@pytest.fixture
def curve():
    return pl.DataFrame(
        {
            "month": [MARCH, JANUARY, FEBRUARY, APRIL],
            "par_return_10y": [0.01, 0.01, 0.02, 0.0],
            "par_return_20y": [0.02, 0.02, 0.01, 0.0],
            "par_return_30y": [None, 0.03, -0.06, 0.0],
        }
    )


@pytest.fixture
def returns():
    return pl.DataFrame(
        {
            "month": [FEBRUARY, JANUARY, JANUARY, MARCH, FEBRUARY],
            "isin": ["A", "B", "A", "A", "C"],
            "ret": [0.05, 0.04, 0.02, 0.5, None],
        }
    )


def test_by_hand(returns, curve):
    result = default_spread(returns, curve)
    assert result["month"].to_list() == [JANUARY, FEBRUARY, MARCH, APRIL]
    assert result["default_spread"].to_list()[:2] == pytest.approx([0.03 - 0.02, 0.05 + 0.01], abs=1e-16)
    assert result["default_spread"].to_list()[2:] == [None, None]  # no 30-year return; no bond


def test_agrees_with_a_group_mean_and_does_not_see_other_months(market):
    returns, curve = market["bond_returns"], market["treasury_curve"]
    result = default_spread(returns, curve)
    means = returns.group_by("month").agg(pl.col("ret").mean())
    peer = curve.join(means, on="month", how="left").select(
        "month",
        default_spread=pl.col("ret") - pl.mean_horizontal("par_return_10y", "par_return_20y", "par_return_30y"),
    )
    complete = curve.filter(pl.col("par_return_30y").is_not_null())["month"]
    assert_frame_equal(
        result.filter(pl.col("month").is_in(complete.implode())),
        peer.filter(pl.col("month").is_in(complete.implode())).sort("month"),
        abs_tol=1e-14,
    )
    for month in (date(2011, 3, 1), date(2014, 9, 1)):
        one = pl.col("month") == month
        alone = default_spread(returns.filter(one).reverse(), curve.filter(one))
        assert_frame_equal(alone, result.filter(one), check_exact=True)


def test_no_returns_at_all(returns, curve):
    assert default_spread(returns.clear(), curve)["default_spread"].null_count() == 4
