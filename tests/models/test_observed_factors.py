from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.macro.french import MONTHLY_FACTORS
from pipeline.models.factor_model import AssetReturns, CrossSection, FactorModelResult, MonthlySeries, Sample
from pipeline.models.managed_portfolios import CONSTANT, instrument_matrix
from pipeline.models.observed_factors import (
    OBSERVED,
    ObservedFactorModel,
    ZeroForecast,
    asset_loadings,
    characteristic_loadings,
)

_THREE, _FIVE = "french.factors_3", "french.factors_5"
NAMES = ("mkt_rf", "smb", "hml", "smb_5", "rmw", "cma", "wml", "q_mkt", "q_me", "q_ia", "q_roe")


def months_from_1990(number: int) -> tuple[date, ...]:
    return tuple(date(1990 + i // 12, i % 12 + 1, 1) for i in range(number))


def ragged_sample(n_months: int = 96, n_assets: int = 30, seed: int = 0) -> Sample:
    """Returns with holes, late starts and early ends; the first asset has 10 months and the second none."""
    rng = np.random.default_rng(seed)
    months = months_from_1990(n_months)
    observed = 0.005 + 0.04 * rng.normal(size=(n_months, len(NAMES)))
    values = observed @ rng.normal(size=(len(NAMES), n_assets)) * 0.3 + 0.1 * rng.normal(size=(n_months, n_assets))
    values[rng.random(values.shape) < 0.1] = np.nan
    first, last = rng.integers(0, 30, n_assets), rng.integers(n_months - 30, n_months, n_assets)
    calendar = np.arange(n_months)[:, None]
    values[(calendar < first) | (calendar > last)] = np.nan
    values[10:, 0] = np.nan
    values[:10, 0] = 0.01
    values[:, 1] = np.nan
    return Sample(
        observed=MonthlySeries(months=months, names=NAMES, values=observed),
        returns=AssetReturns(months=months, assets=tuple(f"A{i:03d}" for i in range(n_assets)), values=values),
    )


def conditional_sample(market, seed: int = 1) -> Sample:
    rng = np.random.default_rng(seed)
    values = 0.005 + 0.04 * rng.normal(size=(len(market.months), len(NAMES)))
    values[:, : market.factors.shape[1]] = market.factors
    observed = MonthlySeries(months=tuple(market.months), names=NAMES, values=values)
    return Sample(observed=observed, statistics=market.statistics())


def pooled_gamma(market, factors: np.ndarray) -> tuple[np.ndarray, float]:
    """Gamma and the sum of squared errors by least squares on the stacked rows c_it kron f_t."""
    blocks = market.panel.sort("month", "isin").partition_by("month", maintain_order=True)
    rows = [
        np.einsum("il,k->ilk", instrument_matrix(block, market.instruments), f).reshape(block.height, -1)
        for block, f in zip(blocks, factors, strict=True)
    ]
    design, returns = np.vstack(rows), np.concatenate([block["ret_excess"].to_numpy() for block in blocks])
    solution = np.linalg.lstsq(design, returns, rcond=None)[0]
    return solution.reshape(-1, factors.shape[1]), float(np.sum((returns - design @ solution) ** 2))


def test_every_model_takes_its_factors_from_one_file():
    """Size portfolios differ between the files of three and of five factors; momentum has a file of its own."""
    files = {"capm": _THREE, "ff3": _THREE, "carhart": _THREE, "ff5": _FIVE, "ff6": _FIVE, "q": "factors.q"}
    for model, factors in OBSERVED.items():
        for name in set(factors) - {"wml"}:
            assert files[model] in [source.table for source in MONTHLY_FACTORS[name]]
    counts = {model: len(factors) for model, factors in OBSERVED.items()}
    assert counts == {"capm": 1, "ff3": 3, "carhart": 4, "ff5": 5, "ff6": 6, "q": 4}


@pytest.mark.parametrize("model", OBSERVED)
def test_unconditional_loadings_agree_with_statsmodels(model):
    sample = ragged_sample()
    result = ObservedFactorModel(OBSERVED[model], model=model).fit(sample)
    factors = sample.observed.columns(OBSERVED[model]).values
    loss = squares = known = 0
    for returns, betas in zip(sample.returns.values.T, result.loadings.betas, strict=True):
        there = ~np.isnan(returns)
        if there.sum() < 60:
            assert np.isnan(betas).all()
            continue
        peer = sm.OLS(returns[there], factors[there]).fit()
        np.testing.assert_allclose(betas, peer.params, rtol=0, atol=1e-10)
        known, loss, squares = known + 1, loss + peer.ssr, squares + peer.uncentered_tss
    assert 10 < known < 29
    assert result.n_parameters == known * len(OBSERVED[model])
    assert result.loss == pytest.approx(loss, rel=1e-12)
    assert result.squares == pytest.approx(squares, rel=1e-12)
    np.testing.assert_allclose(result.expected_factor, factors.mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("model", OBSERVED)
def test_conditional_loadings_agree_with_pooled_least_squares(market, model):
    sample = conditional_sample(market)
    result = ObservedFactorModel(OBSERVED[model], model=f"{model}_conditional", conditional=True).fit(sample)
    gamma, loss = pooled_gamma(market, sample.observed.columns(OBSERVED[model]).values)
    np.testing.assert_allclose(result.loadings.gamma, gamma, rtol=0, atol=1e-9)
    assert result.loss == pytest.approx(loss, rel=1e-10)
    assert result.squares == pytest.approx(float((market.panel["ret_excess"] ** 2).sum()), rel=1e-12)
    assert result.n_parameters == 7 * len(OBSERVED[model])


def test_recovers_the_simulated_loadings(make_market):
    truth = make_market(n_months=200, n_assets=100, noise=0.02, seed=3)
    sample = conditional_sample(truth)
    model = ObservedFactorModel(NAMES[:3], model="ff3_conditional", conditional=True)
    np.testing.assert_allclose(model.fit(sample).loadings.gamma, truth.gamma, atol=0.05)


def test_the_prevailing_mean_is_the_mean_of_each_asset():
    returns = ragged_sample().returns
    model = ObservedFactorModel((CONSTANT,), model="mean")
    assert model.needs == ("returns",)
    result = model.fit(Sample(returns=returns))
    forecasts = result.forecast(CrossSection(assets=np.array(returns.assets)))
    for values, forecast in zip(returns.values.T, forecasts, strict=True):
        there = values[~np.isnan(values)]
        assert np.isnan(forecast) if len(there) < 60 else forecast == pytest.approx(there.mean(), abs=1e-15)


def test_a_constant_beside_factors_is_an_intercept():
    sample = ragged_sample()
    result = ObservedFactorModel(("mkt_rf", CONSTANT), model="market", asset_months=20).fit(sample)
    returns, there = sample.returns.values[:, 2], ~np.isnan(sample.returns.values[:, 2])
    peer = sm.OLS(returns[there], sm.add_constant(sample.observed.values[there, 0], prepend=False)).fit()
    np.testing.assert_allclose(result.loadings.betas[2], peer.params, rtol=0, atol=1e-12)


def test_zero_forecasts_zero(market, tmp_path):
    statistics = market.statistics()
    result = ZeroForecast().fit(Sample(statistics=statistics))
    result.save(tmp_path / "zero.safetensors")
    loaded = FactorModelResult.load(tmp_path / "zero.safetensors")
    panel = market.panel.filter(pl.col("month") == market.months[-1])
    matrix = instrument_matrix(panel, market.instruments)
    forecasts = loaded.forecast(CrossSection(assets=panel["isin"].to_numpy(), characteristics=matrix))
    assert forecasts.tolist() == [0.0] * panel.height
    assert (loaded.n_factors, loaded.n_parameters, loaded.total_r2) == (0, 0, 0.0)
    assert loaded.loss == pytest.approx(float((market.panel["ret_excess"] ** 2).sum()), rel=1e-12)
    earlier = ZeroForecast().fit(Sample(statistics=statistics.take(slice(0, 80))))
    later = ZeroForecast().extend(earlier, Sample(statistics=statistics))
    assert (later.months, later.n_estimated) == (statistics.months, 80)
    assert (later.factors.shape, later.loss) == ((len(statistics.months), 0), earlier.loss)


@pytest.mark.parametrize("conditional", [False, True])
def test_factors_go_on_and_loadings_stay_between_estimations(market, conditional):
    sample = conditional_sample(market) if conditional else ragged_sample()
    model = ObservedFactorModel(OBSERVED["carhart"], model="carhart", conditional=conditional)
    before = model.fit(sample.first(70))
    by_steps = model.extend(model.extend(before, sample.first(75)), sample.first(78))
    after = model.extend(before, sample.first(78))
    assert (after.months, after.n_estimated, after.n_carried) == (sample.months[:78], 70, 8)
    expected = sample.observed.columns(OBSERVED["carhart"]).values[:78]
    np.testing.assert_array_equal(after.factors, expected)
    np.testing.assert_array_equal(after.expected_factor, np.ascontiguousarray(expected).mean(axis=0))
    stored = FactorModelResult.from_arrays(*before.to_arrays())
    turned = replace(stored, factors=np.asfortranarray(stored.factors))
    for held in (stored, turned):
        np.testing.assert_array_equal(model.extend(held, sample.first(78)).expected_factor, after.expected_factor)
    assert after.loadings is before.loadings
    assert (after.loss, after.squares, after.n_parameters) == (before.loss, before.squares, before.n_parameters)
    np.testing.assert_array_equal(by_steps.factors, after.factors)
    assert (by_steps.months, by_steps.n_carried) == (after.months, 8)


def test_an_asset_needs_its_months():
    sample = ragged_sample(n_months=120)
    returns = sample.returns.values[:, :2].copy()
    returns[:60] = np.nan
    returns[60:] = np.random.default_rng(0).normal(size=(60, 2))
    returns[119, 1] = np.nan
    pair = AssetReturns(months=sample.months, assets=("A", "B"), values=returns)
    betas = asset_loadings(pair, sample.observed.values[:, :2]).betas
    assert np.isfinite(betas[0]).all()
    assert np.isnan(betas[1]).all()
    assert np.isfinite(asset_loadings(pair, sample.observed.values[:, :2], asset_months=59).betas).all()


def test_factors_collinear_over_an_assets_own_months_leave_it_without_loadings():
    sample = ragged_sample(n_months=140)
    factors = sample.observed.values[:, :3].copy()
    factors[:70, 2] = factors[:70, 0] - 2 * factors[:70, 1]
    factors[70:, 1] = 0.0
    values = np.random.default_rng(0).normal(size=(140, 3))
    values[70:, 0] = np.nan
    values[:70, 1] = np.nan
    three = AssetReturns(months=sample.months, assets=("A", "B", "C"), values=values)
    betas = asset_loadings(three, factors).betas
    assert np.isnan(betas[:2]).all()
    assert np.isfinite(betas[2]).all()


def test_forecasts_by_hand(market):
    sample = conditional_sample(market)
    result = ObservedFactorModel(OBSERVED["ff3"], model="ff3_conditional", conditional=True).fit(sample)
    panel = market.panel.filter(pl.col("month") == market.months[-1])
    matrix = instrument_matrix(panel, market.instruments)
    forecasts = result.forecast(CrossSection(assets=panel["isin"].to_numpy(), characteristics=matrix))
    means = market.factors.mean(axis=0)
    by_hand = [sum(row[j] * result.loadings.gamma[j] @ means for j in range(7)) for row in matrix]
    np.testing.assert_allclose(forecasts, by_hand, rtol=1e-11)


@pytest.mark.parametrize("conditional", [False, True])
def test_round_trip(market, tmp_path, conditional):
    sample = conditional_sample(market) if conditional else ragged_sample()
    result = ObservedFactorModel(OBSERVED["ff5"], model="ff5", conditional=conditional).fit(sample)
    result.save(tmp_path / "ff5.safetensors")
    loaded = FactorModelResult.load(tmp_path / "ff5.safetensors")
    arrays, text = loaded.to_arrays()
    expected_arrays, expected_text = result.to_arrays()
    assert text == expected_text
    assert arrays.keys() == expected_arrays.keys()
    assert all(np.array_equal(arrays[name], expected_arrays[name], equal_nan=True) for name in arrays)


@pytest.mark.parametrize("conditional", [False, True])
def test_later_months_change_no_bit(market, conditional):
    sample = conditional_sample(market) if conditional else ragged_sample()
    month = sample.months[79]
    later = (np.arange(len(sample.months)) > 79)[:, None]
    statistics, returns = sample.statistics, sample.returns
    disturbed = Sample(
        observed=replace(sample.observed, values=np.where(later, 9.0, sample.observed.values)),
        statistics=statistics and replace(statistics, X=np.where(later, 9.0, statistics.X)),
        returns=returns and replace(returns, values=np.where(later, 9.0, returns.values)),
    )
    model = ObservedFactorModel(OBSERVED["ff6"], model="ff6", conditional=conditional)
    arrays, _ = model.fit(sample.through(month)).to_arrays()
    again, _ = model.fit(disturbed.through(month)).to_arrays()
    assert all(np.array_equal(arrays[name], again[name], equal_nan=True) for name in arrays)


def test_assets_that_appear_after_the_sample_change_no_bit():
    sample = ragged_sample()
    factors = sample.observed.values[:, :3]
    returns = sample.returns
    newcomers = np.full((len(returns.months), 50), np.nan)
    wider = AssetReturns(
        months=returns.months,
        assets=returns.assets + tuple(f"B{i:03d}" for i in range(50)),
        values=np.hstack([returns.values, newcomers]),
    )
    alone, together = asset_loadings(returns, factors).betas, asset_loadings(wider, factors).betas
    assert np.array_equal(together[: len(alone)], alone, equal_nan=True)


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_loadings_follow_their_asset(random):
    """Whatever place an asset has among the others, its loadings and forecast are the same."""
    sample = ragged_sample(n_months=72, n_assets=12)
    returns = sample.returns
    order = list(range(len(returns.assets)))
    random.shuffle(order)
    labels = tuple(sorted(f"Z{i:03d}" for i in range(len(order))))
    moved = AssetReturns(months=returns.months, assets=labels, values=returns.values[:, order])
    model = ObservedFactorModel(OBSERVED["ff3"], model="ff3", asset_months=40)
    plain, shuffled = model.fit(sample), model.fit(replace(sample, returns=moved))
    np.testing.assert_allclose(shuffled.loadings.betas, plain.loadings.betas[order], rtol=1e-11, atol=1e-13)
    forecasts = shuffled.forecast(CrossSection(assets=np.array(labels)[::-1]))
    expected = plain.forecast(CrossSection(assets=np.array(returns.assets)[order]))
    np.testing.assert_allclose(forecasts[::-1], expected, rtol=1e-11, atol=1e-13)
    assert shuffled.loss == pytest.approx(plain.loss, rel=1e-12)
    assert shuffled.n_parameters == plain.n_parameters


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_forecasts_do_not_depend_on_the_units_of_the_factors(first, second):
    sample = ragged_sample(n_months=72, n_assets=6)
    scaled = replace(sample.observed, values=sample.observed.values * np.resize([first, second], len(NAMES)))
    model = ObservedFactorModel(OBSERVED["q"], model="q", asset_months=40)
    assets = CrossSection(assets=np.array(sample.returns.assets))
    forecasts = [model.fit(each).forecast(assets) for each in (sample, replace(sample, observed=scaled))]
    np.testing.assert_allclose(forecasts[1], forecasts[0], rtol=1e-9, atol=1e-14)


def test_an_instrument_never_seen_has_a_zero_row(market):
    sample = conditional_sample(market)
    X, W = sample.statistics.X.copy(), sample.statistics.W.copy()
    X[:, 2], W[:, 2, :], W[:, :, 2] = 0.0, 0.0, 0.0
    gamma = characteristic_loadings(replace(sample.statistics, X=X, W=W), market.factors).gamma
    others = [0, 1, 3, 4, 5, 6]
    reduced = replace(
        sample.statistics, X=X[:, others], W=W[:, others][:, :, others], names=sample.statistics.names[:-1]
    )
    assert not gamma[2].any()
    np.testing.assert_allclose(gamma[others], characteristic_loadings(reduced, market.factors).gamma, atol=1e-11)


def test_months_without_assets_say_nothing_about_gamma(market):
    statistics, factors = market.statistics(), market.factors
    emptied = np.arange(len(statistics.months)) % 3 == 0
    hollow = replace(
        statistics,
        n=np.where(emptied, 0, statistics.n),
        X=np.where(emptied[:, None], 0.0, statistics.X),
        W=np.where(emptied[:, None, None], 0.0, statistics.W),
    )
    with_holes = characteristic_loadings(hollow, factors, instrument_months=80).gamma
    expected = characteristic_loadings(statistics.take(~emptied), factors[~emptied]).gamma
    np.testing.assert_allclose(with_holes, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("conditional", [False, True])
def test_collinear_factors_are_refused(market, conditional):
    sample = conditional_sample(market) if conditional else ragged_sample()
    values = sample.observed.values.copy()
    values[:, 2] = 3 * values[:, 0] - values[:, 1]
    sample = replace(sample, observed=replace(sample.observed, values=values))
    with pytest.raises(ValueError, match=r"'mkt_rf', 'smb', 'hml'.*collinear over 1990-01 to 199.*leave a factor out"):
        ObservedFactorModel(OBSERVED["ff3"], model="ff3", conditional=conditional).fit(sample)


def test_too_few_months_are_refused(market):
    statistics = market.statistics()
    with pytest.raises(ValueError, match="none of the 84 months has assets"):
        characteristic_loadings(replace(statistics, n=np.zeros(84, dtype=np.int64)), market.factors)
    few = replace(statistics, n=np.where(np.arange(84) < 2, statistics.n, 0))
    with pytest.raises(ValueError, match="3 factors in 2 months with assets do not determine the loadings"):
        characteristic_loadings(few, market.factors)
    # A Cholesky factor of this system exists in double precision; the loadings would be of the order of 1e7.
    collinear = market.factors @ np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1e-7]])
    with pytest.raises(ValueError, match="3 factors in 84 months with assets do not determine the loadings"):
        characteristic_loadings(statistics, collinear)
    with pytest.raises(ValueError, match=r"collinear over 1990-01 to 1990-02 \(2 months\)"):
        ObservedFactorModel(NAMES[:3], model="ff3").fit(ragged_sample().first(2))


def test_bad_input_is_refused(market):
    sample = ragged_sample()
    with pytest.raises(ValueError, match=r"the series \['umd'\] are not there"):
        ObservedFactorModel(("mkt_rf", "umd"), model="own").fit(sample)
    with pytest.raises(ValueError, match="needs statistics, the sample has observed, returns"):
        ObservedFactorModel(("mkt_rf",), model="capm_conditional", conditional=True).fit(sample)
    with pytest.raises(ValueError, match="needs observed"):
        ObservedFactorModel(("mkt_rf", CONSTANT), model="market").fit(Sample(returns=sample.returns))
    with pytest.raises(ValueError, match="needs returns, the sample has observed"):
        ZeroForecast().fit(Sample(observed=sample.observed))
    with pytest.raises(ValueError, match="the factors have 95 rows, the returns 96 months"):
        asset_loadings(sample.returns, sample.observed.values[1:])
    with pytest.raises(ValueError, match="the factors have 83 rows, the managed portfolios 84 months"):
        characteristic_loadings(market.statistics(), market.factors[1:])


def test_bad_settings_are_refused():
    for factors in ((), ("smb", "smb")):
        with pytest.raises(ValueError, match="name at least one and each once"):
            ObservedFactorModel(factors, model="own")
    with pytest.raises(ValueError, match=r"asset_months \(0\)"):
        ObservedFactorModel(("smb",), model="own", asset_months=0)
    with pytest.raises(ValueError, match=r"instrument_months \(0\)"):
        ObservedFactorModel(("smb",), model="own", instrument_months=0)
