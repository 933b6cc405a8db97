import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.panel.time_series import walk_forward_residuals


def _series(seed: int, n_rows: int = 120, n_regressors: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_regressors))
    y = 0.5 + x.sum(axis=1) + rng.normal(size=n_rows)
    y[rng.random(n_rows) < 0.1] = np.nan
    x[rng.random(n_rows) < 0.1, 0] = np.nan
    return y, x


@pytest.mark.parametrize("intercept", [True, False])
def test_agrees_with_a_slow_loop(intercept: bool) -> None:
    y, x = _series(3)
    fit = walk_forward_residuals(y, x, window=30, min_obs=12, intercept=intercept)
    design = sm.add_constant(x) if intercept else x
    for t in range(len(y)):
        rows = [s for s in range(max(0, t - 30), t) if np.isfinite(y[s]) and np.isfinite(design[s]).all()]
        assert fit.n_obs[t] == len(rows)
        if len(rows) < 12:
            assert np.isnan(fit.coef[t]).all()
            assert np.isnan(fit.residual[t])
            continue
        params = sm.OLS(y[rows], design[rows]).fit().params
        np.testing.assert_allclose(fit.coef[t], params, rtol=0, atol=1e-11)
        np.testing.assert_allclose(fit.residual[t], y[t] - design[t] @ params, rtol=0, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), t=st.integers(20, 110))
def test_a_row_rests_on_its_window_alone(seed: int, t: int) -> None:
    y, x = _series(seed)
    whole = walk_forward_residuals(y, x, window=24, min_obs=8, intercept=True)
    other_y, other_x = y.copy(), x.copy()
    other_y[t + 1 :], other_x[t + 1 :] = 1e6, -1e6
    other_y[: max(0, t - 24)], other_x[: max(0, t - 24)] = -1e6, np.nan
    other = walk_forward_residuals(other_y, other_x, window=24, min_obs=8, intercept=True)
    short = slice(max(0, t - 24), t + 1)
    alone = walk_forward_residuals(y[short], x[short], window=24, min_obs=8, intercept=True)
    np.testing.assert_array_equal(whole.residual[t], other.residual[t])
    np.testing.assert_array_equal(whole.coef[t], other.coef[t])
    np.testing.assert_array_equal(whole.residual[t], alone.residual[-1])
    np.testing.assert_array_equal(whole.coef[t], alone.coef[-1])


def test_a_design_without_full_rank_has_no_coefficients() -> None:
    y, x = _series(1)
    fit = walk_forward_residuals(y, np.column_stack([x[:, 1], 2 * x[:, 1]]), window=30, min_obs=10, intercept=False)
    assert np.isnan(fit.coef).all()
    assert fit.n_obs.max() > 10


def test_refuses_shapes_and_windows_that_disagree() -> None:
    y, x = _series(1)
    with pytest.raises(ValueError, match="shapes"):
        walk_forward_residuals(y[:-1], x, window=30, min_obs=10, intercept=True)
    with pytest.raises(ValueError, match="min_obs 31"):
        walk_forward_residuals(y, x, window=30, min_obs=31, intercept=True)
