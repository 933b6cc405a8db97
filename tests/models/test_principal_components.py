from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from pipeline.evaluation.r2 import canonical_correlations
from pipeline.models.factor_model import AssetReturns, CrossSection, FactorModelResult, Sample
from pipeline.models.principal_components import MEAN_WEIGHTS, PrincipalComponents, mean_portfolios, second_moments


def sample_of(market) -> Sample:
    wide = market.panel.pivot("isin", index="month", values="ret_excess").sort("month")
    assets = tuple(sorted(wide.columns[1:]))
    values = wide.select(assets).to_numpy().astype(np.float64)
    returns = AssetReturns(months=tuple(market.months), assets=assets, values=values)
    return Sample(statistics=market.statistics(), returns=returns)


def emptied(sample: Sample, hollow: np.ndarray) -> Sample:
    statistics, returns = sample.statistics, sample.returns
    return Sample(
        statistics=replace(
            statistics,
            n=np.where(hollow, 0, statistics.n),
            yy=np.where(hollow, 0.0, statistics.yy),
            X=np.where(hollow[:, None], 0.0, statistics.X),
            W=np.where(hollow[:, None, None], 0.0, statistics.W),
        ),
        returns=replace(returns, values=np.where(hollow[:, None], np.nan, returns.values)),
    )


@pytest.mark.parametrize("n_factors", [1, 3, 6])
def test_agrees_with_scikit_learn(market, n_factors):
    sample = sample_of(market)
    result = PrincipalComponents(n_factors, asset_months=40).fit(sample)
    portfolios = sample.statistics.X / sample.statistics.n[:, None]
    peer = PCA(n_components=n_factors, svd_solver="full").fit(portfolios)
    periods = len(sample.months)
    eigenvalues = peer.explained_variance_ * (periods - 1) / periods
    np.testing.assert_allclose(result.parameters["eigenvalues"], eigenvalues, rtol=1e-10)
    weights = peer.components_.T * np.sign(np.sum(peer.components_.T * result.parameters["weights"], axis=0))
    np.testing.assert_allclose(result.parameters["weights"], weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(result.factors, portfolios @ weights, rtol=0, atol=1e-10)


def test_rp_pca_at_minus_one_is_covariance_pca(market):
    sample = sample_of(market)
    plain = PrincipalComponents(4, asset_months=40).fit(sample)
    weighted = PrincipalComponents(4, model="rp_pca", gamma=-1.0, asset_months=40).fit(sample)
    np.testing.assert_array_equal(weighted.parameters["weights"], plain.parameters["weights"])
    np.testing.assert_array_equal(weighted.loadings.betas, plain.loadings.betas)


@pytest.mark.parametrize("gamma", [-1.0, -0.3, 0.0, 10.0, 1e4])
def test_weights_are_eigenvectors_of_the_plain_formula(market, gamma):
    sample = sample_of(market)
    result = PrincipalComponents(3, model="rp_pca", gamma=gamma, asset_months=40).fit(sample)
    x = sample.statistics.X / sample.statistics.n[:, None]
    matrix = x.T @ x / len(x) + gamma * np.outer(x.mean(axis=0), x.mean(axis=0))
    weights, eigenvalues = result.parameters["weights"], result.parameters["eigenvalues"]
    tolerance = 1e-13 * eigenvalues[0]
    np.testing.assert_allclose(matrix @ weights, weights * eigenvalues, rtol=0, atol=tolerance)
    np.testing.assert_allclose(weights.T @ weights, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(eigenvalues, np.linalg.eigvalsh(matrix)[::-1][:3], rtol=0, atol=tolerance)


def test_a_large_gamma_turns_the_first_factor_to_the_mean(market):
    sample = sample_of(market)
    mean = mean_portfolios(sample.statistics).mean(axis=0)
    aims = []
    for gamma in (-1.0, 10.0, 1e3, 1e8):
        result = PrincipalComponents(2, model="rp_pca", gamma=gamma, asset_months=40).fit(sample)
        aims.append(result.parameters["weights"][:, 0] @ mean / np.linalg.norm(mean))
        assert (result.expected_factor >= 0.0).all()
    assert aims == sorted(aims)
    assert aims[0] < 0.999
    assert aims[-1] == pytest.approx(1.0, abs=1e-8)


def test_recovers_the_simulated_factors(make_market):
    truth = make_market(n_months=120, n_assets=200, noise=0.005, seed=3)
    result = PrincipalComponents(3, asset_months=40).fit(sample_of(truth))
    assert canonical_correlations(result.factors, truth.factors).min() > 0.95


def test_loadings_loss_and_counts(market):
    """Loadings, loss and squares against statsmodels asset by asset; 60 months or nothing."""
    sample = sample_of(market)
    result = PrincipalComponents(3).fit(sample)
    known, loss, squares = 0, 0.0, 0.0
    for returns, betas in zip(sample.returns.values.T, result.loadings.betas, strict=True):
        there = ~np.isnan(returns)
        if there.sum() < 60:
            assert np.isnan(betas).all()
            continue
        peer = sm.OLS(returns[there], result.factors[there]).fit()
        np.testing.assert_allclose(betas, peer.params, rtol=0, atol=1e-10)
        known, loss, squares = known + 1, loss + peer.ssr, squares + peer.uncentered_tss
    assert 0 < known < len(sample.returns.assets)
    assert result.n_parameters == 3 * (len(sample.months) + known)
    assert result.loss == pytest.approx(loss, rel=1e-12)
    assert result.squares == pytest.approx(squares, rel=1e-12)
    assert 0.0 < result.total_r2 < 1.0


def test_factors_are_means_of_managed_portfolios_not_sums(market):
    """The same assets listed twice double X and n and change nothing."""
    sample = sample_of(market)
    twice = np.where(np.arange(len(sample.months)) > 50, 2, 1)
    fuller = replace(sample.statistics, n=sample.statistics.n * twice, X=sample.statistics.X * twice[:, None])
    model = PrincipalComponents(3, asset_months=40)
    doubled = model.fit(replace(sample, statistics=fuller))
    np.testing.assert_array_equal(doubled.factors, model.fit(sample).factors)


def test_months_without_assets_are_left_out(market):
    sample = sample_of(market)
    hollow = np.isin(np.arange(len(sample.months)), [0, 17, 40, 83])
    result = PrincipalComponents(3, asset_months=40).fit(emptied(sample, hollow))
    kept = Sample(statistics=sample.statistics.take(~hollow), returns=sample.returns.take(~hollow))
    expected = PrincipalComponents(3, asset_months=40).fit(kept)
    assert result.months == expected.months
    assert len(result.months) == len(result.factors) == 80
    np.testing.assert_array_equal(result.factors, expected.factors)
    np.testing.assert_array_equal(result.loadings.betas, expected.loadings.betas)


def test_a_portfolio_that_is_never_there_has_no_weight(market):
    sample = sample_of(market)
    X = sample.statistics.X.copy()
    X[:, 2] = 0.0
    result = PrincipalComponents(3, asset_months=40).fit(replace(sample, statistics=replace(sample.statistics, X=X)))
    others = np.delete(X / sample.statistics.n[:, None], 2, axis=1)
    peer = PCA(n_components=3).fit(others)
    weights = result.parameters["weights"]
    assert weights[2].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(np.abs(np.delete(weights, 2, axis=0)), np.abs(peer.components_.T), atol=1e-10)


def test_forecasts_and_round_trip(market, tmp_path):
    sample = sample_of(market)
    result = PrincipalComponents(3, model="rp_pca").fit(sample)
    result.save(tmp_path / "rp_pca.safetensors")
    loaded = FactorModelResult.load(tmp_path / "rp_pca.safetensors")
    assert loaded.model == "rp_pca"
    for name in ("weights", "eigenvalues"):
        np.testing.assert_array_equal(loaded.parameters[name], result.parameters[name])
    assets = [*sample.returns.assets[::-1], "never seen"]
    forecasts = loaded.forecast(CrossSection(assets=np.array(assets)))
    by_hand = [sum(b * f.mean() for b, f in zip(row, result.factors.T, strict=True)) for row in result.loadings.betas]
    np.testing.assert_allclose(forecasts[:-1], by_hand[::-1], rtol=1e-12)
    assert np.isnan(forecasts[-1])
    enough = market.panel.group_by("isin").len().filter(pl.col("len") >= 60).height
    assert np.isfinite(forecasts).sum() == enough > 0


def test_later_months_change_no_bit(market):
    sample = sample_of(market)
    later = (np.arange(len(sample.months)) > 69)[:, None]
    disturbed = Sample(
        statistics=replace(sample.statistics, X=np.where(later, 9.0, sample.statistics.X)),
        returns=replace(sample.returns, values=np.where(later, np.nan, sample.returns.values)),
    )
    model = PrincipalComponents(4, model="rp_pca", asset_months=40)
    arrays, text = model.fit(sample.through(sample.months[69])).to_arrays()
    again, text_again = model.fit(disturbed.through(sample.months[69])).to_arrays()
    assert text == text_again
    assert all(np.array_equal(arrays[name], again[name], equal_nan=True) for name in arrays)


def test_weights_and_loadings_stay_between_estimations(market):
    sample = sample_of(market)
    model = PrincipalComponents(2, asset_months=40)
    before = model.fit(sample.first(70))
    after = model.extend(before, sample)
    statistics = sample.statistics
    by_hand = [sum(w * x / n for w, x in zip(before.parameters["weights"], X, strict=True))
               for X, n in zip(statistics.X, statistics.n, strict=True)]  # fmt: skip
    np.testing.assert_allclose(after.factors, by_hand, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(after.factors[:70], before.factors)
    np.testing.assert_allclose(after.expected_factor, np.mean(by_hand, axis=0), rtol=0, atol=1e-15)
    assert (after.months, after.n_estimated) == (sample.months, 70)
    assert after.loadings is before.loadings
    assert (after.loss, after.n_parameters) == (before.loss, before.n_parameters)


def test_portfolios_that_are_the_assets_are_found_by_name_and_a_month_without_one_is_left_out():
    rng = np.random.default_rng(7)
    months = tuple(date(2000 + i // 12, i % 12 + 1, 1) for i in range(90))
    names = tuple(f"P{i}" for i in range(6))
    values = rng.normal(0.01, 0.05, (90, 6)) @ rng.normal(size=(6, 6))
    values[:10, 2] = np.nan  # This one never enters the components.
    values[85, 4] = np.nan
    returns = AssetReturns(months=months, assets=names, values=values)
    model = PrincipalComponents(2)
    before = model.fit(Sample(returns=returns).first(80))
    weights = before.parameters["weights"]
    assert weights.shape == (6, 2)
    assert not weights[2].any()
    backwards = AssetReturns(months=months, assets=names[::-1], values=values[:, ::-1])
    for held in (returns, backwards):
        after = model.extend(before, Sample(returns=held))
        assert after.months == (*months[:85], *months[86:])
        assert (after.n_estimated, after.n_carried) == (80, 9)
        np.testing.assert_allclose(after.factors[-1], np.nan_to_num(values[-1]) @ weights, rtol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(7)))
def test_the_order_of_the_portfolios_does_not_matter(market, order):
    sample = sample_of(market)
    statistics = sample.statistics
    moved = replace(
        statistics,
        X=statistics.X[:, order],
        W=statistics.W[:, order][:, :, order],
        names=tuple(statistics.names[i] for i in order),
    )
    model = PrincipalComponents(3, asset_months=40)
    plain, permuted = model.fit(sample), model.fit(replace(sample, statistics=moved))
    np.testing.assert_allclose(permuted.factors, plain.factors, rtol=0, atol=1e-12)
    np.testing.assert_allclose(permuted.loadings.betas, plain.loadings.betas, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False))
def test_loadings_follow_their_asset(market, random):
    sample = sample_of(market)
    order = list(range(len(sample.returns.assets)))
    random.shuffle(order)
    moved = replace(sample.returns, values=sample.returns.values[:, order])
    model = PrincipalComponents(2)
    plain, shuffled = model.fit(sample), model.fit(replace(sample, returns=moved))
    np.testing.assert_allclose(shuffled.loadings.betas, plain.loadings.betas[order], rtol=1e-11, atol=1e-12)


def test_second_moments_by_hand():
    x = np.array([[0.01, 0.02], [0.03, -0.02]])
    expected = np.array([[5e-4 + 4e-4 * 2, -2e-4], [-2e-4, 4e-4]])
    np.testing.assert_allclose(second_moments(x, 2.0), expected, rtol=0, atol=1e-18)


def test_settings():
    assert PrincipalComponents(2).gamma == MEAN_WEIGHTS["pca"] == -1.0
    assert PrincipalComponents(2, model="rp_pca").gamma == MEAN_WEIGHTS["rp_pca"] == 10.0
    assert PrincipalComponents(2, model="rp_pca_20", gamma=20.0).gamma == 20.0
    with pytest.raises(ValueError, match=r"n_factors \(0\)"):
        PrincipalComponents(0)
    with pytest.raises(ValueError, match=r"asset_months \(0\)"):
        PrincipalComponents(1, asset_months=0)
    with pytest.raises(ValueError, match="rp_pca_20 has no usual gamma"):
        PrincipalComponents(1, model="rp_pca_20")
    for gamma in (-1.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="at least -1"):
            PrincipalComponents(1, gamma=gamma)


def test_too_few_portfolios_or_months_are_refused(market):
    sample = sample_of(market)
    with pytest.raises(ValueError, match=r"7 managed portfolios in 84 months .*span 7 factors, 8 are asked for"):
        PrincipalComponents(8).fit(sample)
    with pytest.raises(ValueError, match=r"in 3 months .*1990-01 to 1990-03\) span 2 factors, 3 are asked for"):
        PrincipalComponents(3).fit(sample.first(3))
    with pytest.raises(ValueError, match="0 managed portfolios in 0 months"):
        PrincipalComponents(1).fit(emptied(sample, np.ones(84, dtype=bool)))
    with pytest.raises(ValueError, match="needs returns"):
        PrincipalComponents(1).fit(Sample(statistics=sample.statistics))
