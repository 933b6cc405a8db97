from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.multivariate.cancorr import CanCorr

from pipeline.evaluation.r2 import (
    canonical_correlations,
    out_of_sample_r_squared,
    r_squared,
    r_squared_from_panel,
    r_squared_from_statistics,
)
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix, managed_portfolios


def test_by_hand():
    assert r_squared(0.25, 1.0) == 0.75
    assert r_squared(0.0, 0.0) is None
    assert r_squared_from_panel(np.array([0.1, -0.2]), np.array([0.1, 0.0])) == pytest.approx(0.2, rel=1e-15)
    assert r_squared_from_panel(np.array([]), np.array([])) is None
    # Against zero: a forecast of the mean is no benchmark.
    assert r_squared_from_panel(np.array([0.1, 0.1]), np.array([0.1, 0.1])) == 1.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_statistics_and_panel_give_the_same_r2(seed):
    rng = np.random.default_rng(seed)
    months = [date(2000, m, 1) for m in range(1, 13)]
    panel = pl.DataFrame(
        {
            "month": [month for month in months for _ in range(20)],
            "isin": [f"A{i}" for i in range(20)] * 12,
            "ret_excess": 0.1 * rng.normal(size=240),
            "x_r": rng.uniform(-0.5, 0.5, 240),
            "y_r": rng.uniform(-0.5, 0.5, 240),
        }
    )
    frame = managed_portfolios(panel, ["x_r", "y_r"], months)
    statistics = SufficientStatistics.from_frame(frame, ["x_r", "y_r"])
    gamma, factors = rng.normal(size=(3, 2)), 0.1 * rng.normal(size=(12, 2))
    matrix, returns = instrument_matrix(panel, ["x_r", "y_r"]), panel["ret_excess"].to_numpy()
    for each in (factors, factors.mean(axis=0)):
        per_row = np.repeat(np.broadcast_to(each, (12, 2)), 20, axis=0)
        expected = r_squared_from_panel(returns, np.sum((matrix @ gamma) * per_row, axis=1))
        ours = r_squared_from_statistics(statistics, gamma, each)
        assert 1 - ours == pytest.approx(1 - expected, rel=1e-12)


def test_models_are_compared_on_the_assets_they_share():
    month = date(2001, 1, 1)
    rows = [
        ("a", month, "X", 0.1, 0.2),
        ("a", month, "Y", 0.0, 0.1),
        ("a", month, "Z", 0.0, None),
        ("b", month, "X", 0.2, 0.2),
        ("b", month, "Y", None, 0.1),
        ("b", month, "Z", 0.0, None),
    ]
    frame = pl.DataFrame(rows, schema=["model", "month", "asset_id", "forecast", "realised"], orient="row")
    result = out_of_sample_r_squared(frame)
    assert result["model"].to_list() == ["a", "b"]
    assert result["n"].to_list() == [1, 1]
    np.testing.assert_allclose(result["r2"], [0.75, 1.0], rtol=1e-14)


def test_canonical_correlations_against_statsmodels():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(80, 3)) + 2.0
    b = a @ rng.normal(size=(3, 2)) + 0.7 * rng.normal(size=(80, 2))
    np.testing.assert_allclose(canonical_correlations(a, b), CanCorr(a, b).cancorr, atol=1e-10)


def test_canonical_correlations_ignore_rotation_scale_and_mean():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
    reference = canonical_correlations(a, b)
    np.testing.assert_allclose(
        canonical_correlations(a @ rng.normal(size=(3, 3)) + 5.0, b * 0.01), reference, atol=1e-10
    )
    np.testing.assert_allclose(canonical_correlations(a, a[:, ::-1] - 1.0), 1.0, atol=1e-12)
    assert (np.diff(reference) <= 0).all()


def test_canonical_correlations_refuse_what_has_none():
    a = np.random.default_rng(3).normal(size=(10, 2))
    with pytest.raises(ValueError, match="10 and 9 periods"):
        canonical_correlations(a, a[:9])
    with pytest.raises(ValueError, match="collinear"):
        canonical_correlations(a, np.column_stack([a[:, 0], 2 * a[:, 0]]))
