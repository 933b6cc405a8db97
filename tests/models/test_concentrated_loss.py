from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tools.numdiff import approx_fprime

from pipeline.models import concentrated_loss
from pipeline.models.concentrated_loss import AssetLoss, CharacteristicLoss, assets_with_loadings
from pipeline.models.factor_model import AssetReturns
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.simulation.factor_model import FactorModelSettings, SimulatedFactorModel, simulate_factor_model

T, N, K, SIZE = 40, 12, 2, 5


@pytest.fixture(scope="module")
def truth() -> SimulatedFactorModel:
    return simulate_factor_model(FactorModelSettings(n_months=T, n_assets=N))


def some_factors(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(T, K)) + 0.2


def own(returns: AssetReturns) -> AssetLoss:
    """Loadings of all assets with 25 months."""
    return AssetLoss(returns, assets_with_loadings(returns, np.ones((T, 1)), 25))


def losses(truth: SimulatedFactorModel) -> dict[str, CharacteristicLoss | AssetLoss]:
    return {
        "characteristics": CharacteristicLoss(truth.sample.statistics, 24),
        "assets": own(truth.sample.returns),
    }


KINDS = ["characteristics", "assets"]


def test_gamma_is_least_squares_on_the_stacked_rows(truth):
    """Regressors are the products of a row's characteristics and its month's factors."""
    panel, factors = truth.sample.panel, some_factors()
    of_row = np.repeat(factors, np.diff(panel.bounds), axis=0)
    design = np.einsum("il,ik->ilk", panel.characteristics, of_row).reshape(len(panel.returns), -1)
    gamma, *_ = np.linalg.lstsq(design, panel.returns, rcond=None)
    profile = CharacteristicLoss(truth.sample.statistics, 24).at(factors)
    np.testing.assert_allclose(profile.loadings, gamma.reshape(-1, K), rtol=0, atol=1e-12)


def test_the_loss_from_the_statistics_is_that_of_the_panel(truth):
    panel, factors = truth.sample.panel, some_factors()
    loss = CharacteristicLoss(truth.sample.statistics, 24)
    profile = loss.at(factors)
    of_row = np.repeat(factors, np.diff(panel.bounds), axis=0)
    errors = panel.returns - np.sum((panel.characteristics @ profile.loadings) * of_row, axis=1)
    assert profile.loss == pytest.approx(errors @ errors, rel=1e-12)
    assert loss.squares == pytest.approx(panel.returns @ panel.returns, rel=1e-12)


def test_betas_are_least_squares_asset_by_asset(truth):
    returns, factors = truth.sample.returns.values, some_factors()
    loss = own(truth.sample.returns)
    profile, total, squares, few = loss.at(factors), 0.0, 0.0, 0
    for values, betas in zip(returns.T, profile.loadings, strict=True):
        there = ~np.isnan(values)
        if there.sum() < 25:
            few += 1
            assert np.isnan(betas).all()
            continue
        expected, residual, *_ = np.linalg.lstsq(factors[there], values[there], rcond=None)
        np.testing.assert_allclose(betas, expected, rtol=0, atol=1e-12)
        total, squares = total + float(residual[0]), squares + float(values[there] @ values[there])
    assert 0 < few < N
    assert profile.loss == pytest.approx(total, rel=1e-12)
    assert loss.squares == pytest.approx(squares, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_against_finite_differences(truth, kind):
    """Of half the loss, the loadings solved anew at every point."""
    loss, factors = losses(truth)[kind], some_factors()
    numeric = approx_fprime(factors.ravel(), lambda x: 0.5 * loss.at(x.reshape(T, K)).loss, centered=True)
    np.testing.assert_allclose(loss.at(factors).by_factor.ravel(), numeric, rtol=0, atol=1e-7 * np.abs(numeric).max())


@pytest.mark.parametrize("at_once", [2_048, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_curvature_against_finite_differences(truth, kind, at_once, monkeypatch):
    monkeypatch.setattr(concentrated_loss, "_ASSETS_AT_ONCE", at_once)
    loss, factors = losses(truth)[kind], some_factors()
    sensitivities = np.random.default_rng(1).normal(size=(T, K, SIZE))

    def gradient(move: np.ndarray) -> np.ndarray:
        return np.einsum("tk,tkp->p", loss.at(factors + sensitivities @ move).by_factor, sensitivities)

    numeric = approx_fprime(np.zeros(SIZE), gradient, epsilon=1e-5, centered=True)
    found = loss.at(factors).curvature(sensitivities)
    np.testing.assert_allclose(found, found.T, rtol=0, atol=0)
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


@pytest.mark.parametrize("kind", KINDS)
def test_factors_of_any_size_explain_as_much(truth, kind):
    loss, factors = losses(truth)[kind], some_factors()
    assert 0.0 < loss.at(factors).loss < loss.squares
    assert loss.at(1e-6 * factors).loss == pytest.approx(loss.at(factors).loss, rel=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_turning_the_factors_turns_the_loadings_and_no_more(truth, seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(K, K)))[0] * rng.uniform(0.5, 2.0, K)
    factors = some_factors(seed)
    for loss in losses(truth).values():
        before, after = loss.at(factors), loss.at(factors @ turn)
        assert after.loss == pytest.approx(before.loss, rel=1e-10)
        np.testing.assert_allclose(after.loadings @ turn.T, before.loadings, rtol=0, atol=1e-10)


def test_the_order_of_the_assets_is_that_of_the_betas(truth):
    returns, factors = truth.sample.returns, some_factors()
    backwards = AssetReturns(months=returns.months, assets=returns.assets[::-1], values=returns.values[:, ::-1])
    there, back = own(returns).at(factors), own(backwards).at(factors)
    np.testing.assert_allclose(back.loadings[::-1], there.loadings, rtol=1e-12)
    assert back.loss == pytest.approx(there.loss, rel=1e-12)


def scaled(statistics: SufficientStatistics, sizes: np.ndarray) -> SufficientStatistics:
    return SufficientStatistics(
        months=statistics.months, n=statistics.n, yy=statistics.yy, X=statistics.X * sizes,
        W=statistics.W * np.outer(sizes, sizes), names=statistics.names,
    )  # fmt: skip


def test_the_units_of_a_characteristic_are_those_of_its_row_of_gamma(truth):
    statistics, factors = truth.sample.statistics, some_factors()
    sizes = np.array([2.0, 0.5, 3.0, 1.0, 1.0])
    before = CharacteristicLoss(statistics, 24).at(factors)
    after = CharacteristicLoss(scaled(statistics, sizes), 24).at(factors)
    assert after.loss == pytest.approx(before.loss, rel=1e-11)
    np.testing.assert_allclose(after.loadings * sizes[:, None], before.loadings, rtol=0, atol=1e-10)


def test_a_characteristic_that_is_never_seen_has_a_zero_row(truth):
    statistics, factors = truth.sample.statistics, some_factors()
    unseen = scaled(statistics, np.array([1.0, 0.0, 1.0, 1.0, 1.0]))
    profile = CharacteristicLoss(unseen, 24).at(factors)
    assert not profile.loadings[1].any()
    kept = [0, 2, 3, 4]
    without = SufficientStatistics(
        months=statistics.months, n=statistics.n, yy=statistics.yy, X=statistics.X[:, kept],
        W=statistics.W[:, kept][:, :, kept], names=tuple(statistics.names[i] for i in kept),
    )  # fmt: skip
    np.testing.assert_allclose(profile.loadings[kept], CharacteristicLoss(without, 24).at(factors).loadings, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_collinear_factors_are_refused(truth, kind):
    factors = some_factors()
    factors[:, 1] = 0.0
    loss = losses(truth)[kind]
    with pytest.raises(np.linalg.LinAlgError):
        loss.at(factors)


def test_assets_over_whose_months_the_instruments_are_collinear_have_no_loadings(truth):
    """Against the rank of each asset's own instruments."""
    rng, returns = np.random.default_rng(8), truth.sample.returns
    instruments = np.column_stack([np.ones(T), rng.normal(size=T), np.r_[np.zeros(30), rng.normal(size=10)]])
    values = returns.values.copy()
    values[30:, :3] = np.nan
    values[:30, :3] = 0.01
    held = AssetReturns(months=returns.months, assets=returns.assets, values=values)
    found = assets_with_loadings(held, instruments, 25)
    own_rows = [instruments[~np.isnan(column)] for column in values.T]
    expected = [len(rows) >= 25 and np.linalg.matrix_rank(rows) == 3 for rows in own_rows]
    assert found.tolist() == expected
    assert not found[:3].any()
    assert found.any()
    np.testing.assert_array_equal(assets_with_loadings(held, 1e-9 * instruments, 25), found)
