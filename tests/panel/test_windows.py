from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from pipeline.panel.windows import Window, window_quantile, window_skewness, window_std, window_sum

STATISTICS = {
    "sum": window_sum,
    "std": window_std,
    "skewness": window_skewness,
    "quantile": lambda values, min_obs: window_quantile(values, 0.05, min_obs),
}


def _sample(seed=0, months=60, assets=40):
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, (months, assets)) * 0.02 + 0.005
    for asset in range(assets):
        values[rng.random(months) < asset / assets, asset] = np.nan
    return values


def _by_pandas(values, min_obs):
    columns = [pd.Series(column).dropna() for column in values.T]
    enough = [len(column) >= min_obs for column in columns]
    peers = {
        "sum": lambda x: x.sum(),
        "std": lambda x: x.std(),
        "skewness": lambda x: stats.skew(x, bias=False),
        "quantile": lambda x: np.percentile(x, 5),
    }
    return {
        name: np.array([peer(x) if ok else np.nan for x, ok in zip(columns, enough, strict=True)])
        for name, peer in peers.items()
    }


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("min_obs", [6, 24])
def test_agrees_with_pandas_and_scipy(name, min_obs):
    values = _sample()
    mine, peer = STATISTICS[name](values, min_obs), _by_pandas(values, min_obs)[name]
    assert 0 < np.isnan(mine).sum() < len(mine)
    np.testing.assert_allclose(mine, peer, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", STATISTICS)
def test_an_asset_alone_gets_the_same_bits(name):
    values = _sample(1)
    together = STATISTICS[name](values, 6)
    for asset in range(values.shape[1]):
        np.testing.assert_array_equal(STATISTICS[name](values[:, [asset]], 6), together[[asset]])


def test_equal_values_have_no_spread_and_no_skewness():
    values = np.full((12, 1), 0.1)
    values[3] = np.nan
    assert window_std(values, 6)[0] == 0.0
    assert np.isnan(window_skewness(values, 6)[0])


def test_too_few_values_are_missing_even_when_none_is_asked_for():
    one = np.array([[np.nan], [0.3]])
    assert np.isnan(window_std(one, 1)[0])
    assert np.isnan(window_skewness(one, 1)[0])
    assert window_quantile(one, 0.5, 1)[0] == 0.3
    assert np.isnan(window_quantile(one[:1], 0.5, 1)[0])


@given(
    hnp.arrays(np.float64, (20, 3), elements=st.floats(-1e3, 1e3)),
    st.floats(0.1, 10.0),
    st.floats(-100.0, 100.0),
)
def test_location_and_scale(values, scale, location):
    np.testing.assert_allclose(
        window_std(scale * values + location, 2), scale * window_std(values, 2), rtol=1e-6, atol=1e-8
    )
    quantile = window_quantile(values, 0.25, 1)
    np.testing.assert_allclose(
        window_quantile(scale * values + location, 0.25, 1), scale * quantile + location, rtol=1e-9, atol=1e-8
    )
    assert (values.min(axis=0) <= quantile).all()
    assert (quantile <= np.median(values, axis=0)).all()


@pytest.mark.parametrize(("months", "min_obs"), [(12, 13), (12, 0)])
def test_an_impossible_window_is_refused(months, min_obs):
    with pytest.raises(ValueError, match=f"window of {months} months cannot ask for {min_obs}"):
        Window(months, min_obs)
