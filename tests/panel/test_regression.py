from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from statsmodels.regression.rolling import RollingOLS

from pipeline.panel import regression
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlyPanel, MonthlySeries
from pipeline.panel.regression import WalkForwardSettings, fit_window, walk_forward_betas
from pipeline.panel.windows import Window


def _sample(seed=0, months=60, assets=90, common=7, own=0):
    """An unbalanced window: late entries, early exits, holes, a missing factor month."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(months, common)) * np.logspace(-2, 1, common) if common else np.empty((months, 0))
    ours = [rng.normal(0.01, 0.05, (months, assets)) for _ in range(own)]
    y = 0.003 + rng.normal(0, 0.02, (months, assets)) + factors @ rng.normal(size=(common, assets)) * 0.01
    y += sum((0.7 * values for values in ours), np.zeros_like(y))
    for asset in range(assets):
        y[: rng.integers(0, months) if asset % 2 else 0, asset] = np.nan
        y[rng.random(months) < 0.05 * (asset % 4), asset] = np.nan
    for values in ours:
        values[rng.random(values.shape) < 0.05] = np.nan
    if common:
        factors[7, 0] = np.nan
    return y, factors, ours


def _by_lstsq(y, common, own, min_obs, intercept):
    """One asset after another through numpy's singular-value solver; NaN where there are too few rows."""
    slopes, constants, counts = [], [], []
    for asset in range(y.shape[1]):
        x = np.column_stack([common, *[values[:, asset] for values in own]])
        rows = ~np.isnan(x).any(axis=1) & ~np.isnan(y[:, asset])
        counts.append(rows.sum())
        if rows.sum() < min_obs:
            slopes.append(np.full(x.shape[1], np.nan))
            constants.append(np.nan)
            continue
        design = np.column_stack([x[rows], np.ones(rows.sum())]) if intercept else x[rows]
        answer = np.linalg.lstsq(design, y[rows, asset], rcond=None)[0]
        slopes.append(answer[: x.shape[1]])
        constants.append(answer[-1] if intercept else 0.0)
    return np.array(slopes), np.array(constants), np.array(counts)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("common", "own", "min_obs"), [(7, 0, 12), (1, 0, 8), (1, 1, 24), (0, 2, 6), (3, 2, 10)])
def test_agrees_with_lstsq(common, own, min_obs, intercept):
    y, factors, ours = _sample(common=common, own=own)
    fit = fit_window(y, factors, ours, min_obs=min_obs, intercept=intercept)
    slopes, constants, counts = _by_lstsq(y, factors, ours, min_obs, intercept)
    np.testing.assert_array_equal(fit.n_obs, counts)
    assert 0 < np.isnan(constants).sum() < len(constants)
    np.testing.assert_allclose(fit.slopes, slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.intercepts, constants, rtol=1e-9, atol=1e-12)


def _exactly(y, x):
    """Solve the normal equations with an intercept in rational arithmetic, without rounding."""
    design = [[Fraction(1), *map(Fraction, row)] for row in x]
    size = len(design[0])
    table = [
        [sum(row[i] * row[j] for row in design) for j in range(size)]
        + [sum(row[i] * Fraction(value) for row, value in zip(design, y, strict=True))]
        for i in range(size)
    ]
    for step in range(size):
        table[step] = [value / table[step][step] for value in table[step]]
        for other in range(size):
            if other != step:
                table[other] = [a - table[other][step] * b for a, b in zip(table[other], table[step], strict=True)]
    return np.array([float(table[i][size]) for i in range(1, size)])


@pytest.mark.parametrize(
    ("gap", "level", "rows"), [(1e-1, 0.0, 12), (1e-2, 0.0, 9), (1e-4, 0.0, 60), (1e-6, 0.0, 30), (1.0, 1e5, 40)]
)
def test_hard_windows_are_as_accurate_as_a_singular_value_solver(gap, level, rows):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 7))
    x[:, 6] = x[:, 5] + gap * x[:, 6]
    x += level
    y = x @ rng.normal(size=(7, 4)) + rng.normal(0, 0.1, (60, 4))
    y[rows:] = np.nan
    fit = fit_window(y, x, min_obs=8)
    for asset in range(4):
        exact = _exactly(y[:rows, asset], x[:rows])
        design = np.column_stack([np.ones(rows), x[:rows]])
        peer = np.linalg.lstsq(design, y[:rows, asset], rcond=None)[0][1:]
        error, peer_error = (np.abs(answer - exact).max() / np.abs(exact).max() for answer in (fit.slopes[asset], peer))
        assert error <= max(1e-10, 4 * peer_error)


@pytest.mark.parametrize("shift_in_level", [1e3, 1e5])
def test_a_short_history_far_from_the_window_mean_loses_no_digits(shift_in_level):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 2))
    x[40:, 0] += shift_in_level
    y = x @ rng.normal(size=(2, 3)) + rng.normal(0, 0.1, (60, 3))
    y[:40] = np.nan
    fit = fit_window(y, x, min_obs=8)
    for asset in range(3):
        np.testing.assert_allclose(fit.slopes[asset], _exactly(y[40:, asset], x[40:]), rtol=1e-10)


def test_linearly_dependent_regressors_give_no_slopes():
    y, factors, _ = _sample()
    doubled = factors.copy()
    doubled[:, 3] = 2 * factors[:, 2] - factors[:, 1]
    fit = fit_window(y, doubled, min_obs=12)
    assert np.isnan(fit.slopes).all()
    assert np.isnan(fit.intercepts).all()
    assert fit.n_obs.max() >= 50
    flat = factors[:, :1] * 0.0 + 3.7
    assert np.isnan(fit_window(y, flat, min_obs=12).slopes).all()


def test_as_many_observations_as_parameters_fit_and_one_less_does_not():
    y, factors, _ = _sample(common=3)
    factors[7, 0] = 0.1
    y = y[:, ::2][:, :2].copy()
    y[4:, 0], y[3:, 1] = np.nan, np.nan
    y[:4, 0] = [0.1, 0.2, -0.1, 0.4]
    fit = fit_window(y, factors, min_obs=1)
    assert fit.n_obs.tolist()[0] == 4
    np.testing.assert_allclose(factors[:4] @ fit.slopes[0] + fit.intercepts[0], y[:4, 0], rtol=1e-9)
    assert np.isnan(fit.slopes[1]).all()


@pytest.mark.parametrize(("common", "own"), [(7, 0), (1, 1), (0, 1)])
@pytest.mark.parametrize("limit", [regression.CONDITION_LIMIT, 0.5])
def test_an_asset_alone_gets_the_same_bits(common, own, limit, monkeypatch):
    monkeypatch.setattr(regression, "CONDITION_LIMIT", limit)  # 0.5 sends every asset to the singular-value solver
    y, factors, ours = _sample(assets=200, common=common, own=own)
    together = fit_window(y, factors, ours, min_obs=12)
    rng = np.random.default_rng(2)
    for subset in ([3], [63, 64], [199], rng.permutation(200), rng.choice(200, 65, replace=False)):
        part = fit_window(y[:, subset], factors, [values[:, subset] for values in ours], min_obs=12)
        np.testing.assert_array_equal(part.slopes, together.slopes[subset])
        np.testing.assert_array_equal(part.intercepts, together.intercepts[subset])
        np.testing.assert_array_equal(part.n_obs, together.n_obs[subset])


def test_both_solvers_agree(monkeypatch):
    y, factors, ours = _sample(own=1)
    direct = fit_window(y, factors, ours, min_obs=20)
    monkeypatch.setattr(regression, "CONDITION_LIMIT", 0.5)
    np.testing.assert_allclose(fit_window(y, factors, ours, min_obs=20).slopes, direct.slopes, rtol=1e-10, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-10.0, 10.0), seed=st.integers(0, 1000), intercept=st.just(True))
def test_units_and_offsets_of_a_regressor(scale, offset, seed, intercept):
    y, factors, _ = _sample(seed, months=36, assets=5, common=3)
    moved = factors * [1.0, scale, 1.0] + [0.0, 0.0, offset]
    expected = fit_window(y, factors, min_obs=24, intercept=intercept).slopes / [1.0, scale, 1.0]
    np.testing.assert_allclose(
        fit_window(y, moved, min_obs=24, intercept=intercept).slopes, expected, rtol=1e-7, atol=1e-12
    )


def test_nothing_to_fit():
    y = np.full((12, 3), np.nan)
    fit = fit_window(y, np.random.default_rng(0).normal(size=(12, 2)), min_obs=3)
    assert np.isnan(fit.slopes).all()
    assert fit.n_obs.tolist() == [0, 0, 0]
    assert fit_window(y, np.full((12, 2), np.nan), min_obs=3).n_obs.tolist() == [0, 0, 0]
    assert fit_window(y[:, :0], np.ones((12, 2)), min_obs=3).slopes.shape == (0, 2)


MONTHS = month_range(date(2000, 1, 1), date(2009, 12, 1))


@pytest.fixture(scope="module")
def market():
    rng = np.random.default_rng(8)
    factors = rng.normal(size=(len(MONTHS), 3))
    series = pl.DataFrame({"month": MONTHS, "a": factors[:, 0], "b": factors[:, 1], "c": factors[:, 2]})
    parts = []
    for number in range(12):
        start, stop = (0, len(MONTHS)) if number < 3 else sorted(rng.choice(len(MONTHS), 2, replace=False))
        rows = np.arange(start, stop)
        if number >= 6:
            rows = rows[rng.random(len(rows)) > 0.1]
        y = factors[rows] @ rng.normal(size=3) + rng.normal(size=len(rows))
        isin = [f"B{number:02d}"] * len(rows)
        parts.append(pl.DataFrame({"month": [MONTHS[r] for r in rows], "isin": isin, "y": y}))
    return pl.concat(parts), series


def _betas(frame, series, months, options):
    lookback = options.window.months + options.lag
    first, last = shift(min(months), -lookback), max(months)
    panel = MonthlyPanel.from_frame(frame, frame["isin"], ["y"], first, last)
    common = MonthlySeries.from_frame(series, ["a", "b", "c"], first, last)
    everyone = np.arange(len(panel.assets))
    requested = dict.fromkeys(months, everyone)
    return walk_forward_betas(panel, common, requested, response="y", common=["a", "b", "c"], settings=options)


@pytest.mark.parametrize("lag", [0, 1])
def test_agrees_with_statsmodels_on_assets_without_gaps(market, lag):
    frame, series = market
    betas = _betas(frame, series, MONTHS, WalkForwardSettings(window=Window(36, 12), lag=lag))
    design = np.column_stack([series.select("a", "b", "c").to_numpy(), np.ones(len(MONTHS))])
    for isin in ("B00", "B01", "B02"):
        y = frame.filter(pl.col("isin") == isin)["y"].to_numpy()
        peer = RollingOLS(y, design, window=36, min_nobs=12, expanding=True).fit(params_only=True).params
        mine = betas.filter(pl.col("isin") == isin).select("beta_a", "beta_b", "beta_c", "intercept").to_numpy()
        np.testing.assert_allclose(mine[lag:], peer[: len(MONTHS) - lag], rtol=1e-9, atol=1e-12)
        assert np.isfinite(mine).all(axis=1).sum() == len(MONTHS) - 11 - lag


def test_a_range_equals_its_months_one_by_one_and_nothing_outside_the_window_matters(market):
    frame, series = market
    options = WalkForwardSettings(window=Window(36, 12), lag=1)
    months = MONTHS[50:60]
    together = _betas(frame, series, months, options)
    singly = pl.concat([_betas(frame, series, [month], options) for month in months])
    assert_frame_equal(together, singly, check_exact=True)
    month = months[4]
    window = pl.col("month").is_between(shift(month, -36), shift(month, -1))
    spoiled = frame.with_columns(y=pl.when(window).then("y").otherwise(pl.col("y") * -99.0))
    spoiled_series = series.with_columns(a=pl.when(window).then("a").otherwise(1e9))
    expected = together.filter(pl.col("month") == month)
    got = _betas(spoiled, spoiled_series, months, options).filter(pl.col("month") == month)
    assert_frame_equal(got, expected, check_exact=True)


def test_no_months_give_no_rows(market):
    frame, series = market
    panel = MonthlyPanel.from_frame(frame, frame["isin"], ["y"], MONTHS[0], MONTHS[-1])
    common = MonthlySeries.from_frame(series, ["a"], MONTHS[0], MONTHS[-1])
    options = WalkForwardSettings(window=Window(36, 12))
    betas = walk_forward_betas(panel, common, {}, response="y", common=["a"], settings=options)
    assert betas.height == 0
    assert betas.columns == ["month", "isin", "intercept", "beta_a", "n_obs"]


def test_a_negative_lag_is_refused():
    with pytest.raises(ValueError, match="lag of -1 months would look at the future"):
        WalkForwardSettings(window=Window(36, 12), lag=-1)
