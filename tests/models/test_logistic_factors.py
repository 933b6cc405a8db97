from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit

from pipeline.models import factor_recursion
from pipeline.models.concentrated_loss import assets_with_loadings
from pipeline.models.factor_model import (
    LOGISTIC,
    AssetReturns,
    CrossSection,
    FactorModelResult,
    MonthlySeries,
    PooledPanel,
    Sample,
)
from pipeline.models.factor_recursion import Parameters
from pipeline.models.logistic_factors import (
    RIDGE,
    AssetDirections,
    LogisticFactorModel,
    PanelDirections,
    logistic_losses,
    sign_statistics,
)

VARIANTS = {
    "cfm_logit": {"starts": 1, "recurrent": False, "conditional": False},
    "rcfm_logit": {"starts": 1, "recurrent": True, "conditional": False},
    "dcfm_logit": {"starts": 1, "recurrent": False, "conditional": True},
    "rdcfm_logit": {"starts": 1, "recurrent": True, "conditional": True},
}


@dataclass(frozen=True)
class Truth:
    sample: Sample
    parameters: Parameters
    factors: np.ndarray
    gamma: np.ndarray
    betas: np.ndarray


def simulate(*, n_months=90, n_assets=40, n_factors=2, strength=0.6, memory=0.8, seed=0) -> Truth:
    """Signs drawn with the true probabilities, sizes of returns at random; the same factors in panel and returns."""
    rng = np.random.default_rng(seed)
    months = tuple(date(1980 + t // 12, t % 12 + 1, 1) for t in range(n_months))
    driven = rng.normal(size=(n_months, 3))
    omega = strength * np.vstack([np.full(n_factors, 0.3), np.linalg.qr(rng.normal(size=(3, 3)))[0][:, :n_factors]])
    parameters = Parameters(omega, memory * np.eye(n_factors), np.zeros(n_factors))
    factors = factor_recursion.run(np.column_stack([np.ones(n_months), driven]), parameters).factors
    gamma, betas = rng.normal(size=(4, n_factors)), rng.normal(size=(n_assets, n_factors))
    characteristics, responses, held, counts = [], [], [], []
    assets = np.array([f"A{i:04d}" for i in range(n_assets)])
    wide = np.full((n_months, n_assets), np.nan)
    for t in range(n_months):
        alive = np.sort(rng.choice(n_assets, size=int(rng.integers(n_assets * 3 // 4, n_assets + 1)), replace=False))
        matrix = np.column_stack([rng.uniform(-1.0, 1.0, size=(len(alive), 3)), np.ones(len(alive))])
        sizes = rng.uniform(0.001, 0.1, size=(2, len(alive)))
        up = rng.uniform(size=(2, len(alive))) < expit(
            np.stack([matrix @ gamma @ factors[t], betas[alive] @ factors[t]])
        )
        returns = np.where(up, sizes, -sizes)
        characteristics.append(matrix)
        responses.append(returns[0])
        held.append(assets[alive])
        counts.append(len(alive))
        wide[t, alive] = returns[1]
    panel = PooledPanel(
        months=months,
        bounds=np.concatenate([[0], np.cumsum(counts)]),
        characteristics=np.concatenate(characteristics),
        returns=np.concatenate(responses),
        assets=np.concatenate(held),
        names=("size", "value", "momentum", "constant"),
    )
    sample = Sample(
        instruments=MonthlySeries(months=months, names=("mkt", "smb", "hml"), values=0.04 * driven),
        panel=panel,
        returns=AssetReturns(months=months, assets=tuple(assets), values=wide),
    )
    return Truth(sample, parameters, factors, gamma, betas)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return simulate()


@pytest.fixture(scope="module")
def fits(truth) -> dict[str, FactorModelResult]:
    return {name: LogisticFactorModel(2, **variant).fit(truth.sample) for name, variant in VARIANTS.items()}


def loss_of(sample: Sample, conditional: bool) -> PanelDirections | AssetDirections:
    if conditional:
        return PanelDirections(sample.panel, sign_statistics(sample.panel), 24)
    return AssetDirections(sample.returns, assets_with_loadings(sample.returns, matrix_of(sample), 60))


def matrix_of(sample: Sample) -> np.ndarray:
    values = sample.instruments.values
    return np.column_stack([np.ones(len(values)), (values - values.mean(axis=0)) / values.std(axis=0)])


def slow_loss(sample: Sample, result: FactorModelResult, conditional: bool) -> float:
    terms = []
    for t in range(len(sample.months)):
        if conditional:
            for row in range(sample.panel.bounds[t], sample.panel.bounds[t + 1]):
                index = float(sample.panel.characteristics[row] @ result.loadings.gamma @ result.factors[t])
                terms.append(math.log1p(math.exp(-index if sample.panel.returns[row] > 0 else index)))
            continue
        for value, beta in zip(sample.returns.values[t], result.loadings.betas, strict=True):
            index = float(beta @ result.factors[t])
            if not math.isnan(value) and not math.isnan(index):
                terms.append(math.log1p(math.exp(-index if value > 0 else index)))
    return math.fsum(terms)


def test_losses_by_hand_and_far_out():
    index, signs = np.array([0.0, 2.0, 2.0, -800.0, 800.0]), np.array([1.0, 1.0, -1.0, 1.0, 1.0])
    expected = [math.log(2.0), math.log(1.0 + math.exp(-2.0)), math.log(1.0 + math.exp(2.0)), 800.0, 0.0]
    np.testing.assert_allclose(logistic_losses(index, signs), expected, rtol=1e-15)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_loss_is_that_of_a_plain_loop(truth, fits, name):
    conditional = VARIANTS[name]["conditional"]
    result = fits[name]
    assert result.loss == pytest.approx(slow_loss(truth.sample, result, conditional), rel=1e-12)
    rows = len(truth.sample.panel.returns) if conditional else int(np.isfinite(truth.sample.returns.values).sum())
    if conditional or np.isfinite(result.loadings.betas).all():
        assert result.squares == pytest.approx(rows * math.log(2.0), rel=1e-14)
    assert 0.05 < result.total_r2 < 0.6


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_and_curvature_against_differences(truth, name):
    variant = VARIANTS[name]
    loss, instruments = loss_of(truth.sample, variant["conditional"]), matrix_of(truth.sample)
    rng = np.random.default_rng(3)
    begin = Parameters(0.4 * rng.normal(size=(4, 2)))
    if variant["recurrent"]:
        begin = replace(begin, ar=0.4 * rng.normal(size=(2, 2)), initial=0.5 * rng.normal(size=2))

    def visit(vector):
        path = factor_recursion.run(instruments, Parameters.from_vector(vector, 4, 2))
        profile = loss.at(path.factors)
        return path, profile, profile.loss / loss.squares, path.gradient(2.0 / loss.squares * profile.by_factor)

    vector = begin.vector()
    path, profile, _, gradient = visit(vector)
    sensitivities = path.sensitivities()
    bending = path.bending(2.0 / loss.squares * profile.by_factor, sensitivities)
    curvature = 2.0 / loss.squares * profile.curvature(sensitivities) + bending
    step = 1e-4
    for place, unit in enumerate(np.eye(len(vector))):
        further = [visit(vector + k * step * unit) for k in (-2, -1, 1, 2)]
        values, slopes = ([each[part] for each in further] for part in (2, 3))
        differences = [(far[0] - 8.0 * far[1] + 8.0 * far[2] - far[3]) / (12.0 * step) for far in (values, slopes)]
        assert differences[0] == pytest.approx(gradient[place], rel=1e-6, abs=1e-6 * np.abs(gradient).max())
        np.testing.assert_allclose(differences[1], curvature[place], rtol=0, atol=1e-6 * np.abs(curvature).max())


@pytest.mark.parametrize("n_factors", [1, 2])
def test_betas_given_the_factors_are_those_of_statsmodels(truth, n_factors):
    result = LogisticFactorModel(n_factors, recurrent=False, conditional=False).fit(truth.sample)
    checked = 0
    for values, beta in zip(truth.sample.returns.values.T, result.loadings.betas, strict=True):
        if np.isnan(beta).any():
            continue
        there = ~np.isnan(values)
        peer = sm.GLM((values[there] > 0).astype(float), result.factors[there], family=sm.families.Binomial())
        np.testing.assert_allclose(beta, peer.fit(tol=1e-12).params, rtol=1e-4, atol=1e-4)
        checked += 1
    assert checked >= 30


@pytest.mark.parametrize("name", ["dcfm_logit", "rdcfm_logit"])
def test_gamma_given_the_factors_is_that_of_statsmodels(truth, fits, name):
    panel, result = truth.sample.panel, fits[name]
    factors = np.repeat(result.factors, np.diff(panel.bounds), axis=0)
    design = (panel.characteristics[:, :, None] * factors[:, None, :]).reshape(len(factors), -1)
    peer = sm.GLM((panel.returns > 0).astype(float), design, family=sm.families.Binomial()).fit(tol=1e-12)
    np.testing.assert_allclose(result.loadings.gamma.ravel(), peer.params, rtol=1e-4, atol=1e-5)
    assert result.loss == pytest.approx(-peer.llf, rel=1e-9)


@pytest.mark.parametrize("name", ["cfm_logit", "dcfm_logit"])
def test_factors_and_loadings_cannot_be_improved_one_by_one(truth, fits, name):
    result, loss = fits[name], loss_of(truth.sample, VARIANTS[name]["conditional"])
    held = result.loadings.gamma if VARIANTS[name]["conditional"] else result.loadings.betas
    instruments = np.column_stack([np.ones(90), truth.sample.instruments.values - result.parameters["centre"]])
    best = loss.loss(result.factors, held)
    for sign in (-1e-3, 1e-3):
        for entry in np.ndindex(result.parameters["omega"].shape):
            moved = result.parameters["omega"].copy()
            moved[entry] *= 1.0 + sign
            assert loss.loss(instruments @ moved, held) > best - 1e-9
        for entry in np.ndindex(held.shape):
            if np.isfinite(held[entry]):
                moved = held.copy()
                moved[entry] *= 1.0 + sign
                assert loss.loss(result.factors, moved) > best - 1e-6


@pytest.mark.parametrize("name", VARIANTS)
def test_converged_in_few_steps_and_again_from_its_own_result(truth, fits, name):
    cold = fits[name]
    warm = LogisticFactorModel(2, **VARIANTS[name]).fit(truth.sample, cold)
    assert (cold.model, cold.link, cold.converged, warm.converged) == (name, LOGISTIC, True, True)
    assert cold.iterations <= 30
    assert warm.iterations <= 2
    assert warm.loss == pytest.approx(cold.loss, rel=1e-9)
    np.testing.assert_allclose(warm.factors, cold.factors, rtol=0, atol=1e-3 * np.abs(cold.factors).max())


def test_finds_the_truth():
    truth = simulate(n_months=400, n_assets=150, n_factors=1, strength=0.6, memory=0.5, seed=5)
    result = LogisticFactorModel(1, recurrent=True, conditional=True).fit(truth.sample)
    assert result.converged
    ratio = np.sqrt(np.mean(truth.factors**2) / np.mean(result.factors**2))
    sign = np.sign(np.sum(truth.factors * result.factors))
    assert np.corrcoef(truth.factors[:, 0], result.factors[:, 0])[0, 1] * sign > 0.99
    np.testing.assert_allclose(sign * result.loadings.gamma / ratio, truth.gamma, rtol=0, atol=0.1)
    slopes = sign * ratio * 0.04 * result.parameters["omega"][1:]
    np.testing.assert_allclose(slopes, truth.parameters.omega[1:], rtol=0, atol=0.05)
    assert 0.25 < result.parameters["ar"][0, 0] < 1.0


@pytest.mark.parametrize("name", VARIANTS)
def test_hits_more_often_than_the_majority(truth, fits, name):
    sample, result = truth.sample, fits[name]
    hits, majority = [], []
    for t in range(len(sample.months)):
        at = replace(result, expected_factor=result.factors[t])
        if VARIANTS[name]["conditional"]:
            rows = slice(sample.panel.bounds[t], sample.panel.bounds[t + 1])
            section = CrossSection(assets=sample.panel.assets[rows], characteristics=sample.panel.characteristics[rows])
            returns = sample.panel.returns[rows]
        else:
            there = ~np.isnan(sample.returns.values[t]) & np.isfinite(result.loadings.betas).all(axis=1)
            section = CrossSection(assets=np.array(sample.returns.assets)[there])
            returns = sample.returns.values[t][there]
        probability = at.forecast(section)
        assert ((probability > 0.0) & (probability < 1.0)).all()
        hits.extend((probability > 0.5) == (returns > 0))
        majority.extend(returns > 0)
    share = np.mean(majority)
    assert np.mean(hits) > max(share, 1.0 - share) + 0.08


def test_forecasts_follow_the_formula_and_miss_where_loadings_do(truth, fits):
    result = fits["rdcfm_logit"]
    section = CrossSection(
        assets=np.array(["A", "B"]), characteristics=np.array([[0.2, -0.1, 0.5, 1.0], [0, 0, 0, 1.0]])
    )
    expected = result.parameters["omega"][0] + np.tanh(result.factors[-1]) @ result.parameters["ar"]
    np.testing.assert_allclose(
        result.forecast(section), 1.0 / (1.0 + np.exp(-section.characteristics @ result.loadings.gamma @ expected))
    )
    values = truth.sample.returns.values.copy()
    values[:60, 0] = np.nan
    returns = replace(truth.sample.returns, values=values)
    single = LogisticFactorModel(2, recurrent=False, conditional=False).fit(replace(truth.sample, returns=returns))
    forecast = single.forecast(CrossSection(assets=np.array(["A0000", "A0001", "Z"])))
    assert np.isnan(forecast).tolist() == [True, False, True]


@pytest.mark.parametrize("name", VARIANTS)
def test_saves_and_loads_bit_for_bit(fits, name, tmp_path):
    result = fits[name]
    result.save(tmp_path / "fit.safetensors")
    back = FactorModelResult.load(tmp_path / "fit.safetensors")
    np.testing.assert_array_equal(back.factors, result.factors)
    assert (back.link, back.loss, back.squares, back.n_parameters) == (
        LOGISTIC,
        result.loss,
        result.squares,
        result.n_parameters,
    )


def test_counts_parameters(fits):
    assert fits["dcfm_logit"].n_parameters == 4 * 2 + 4 * 2
    assert fits["rdcfm_logit"].n_parameters == 4 * 2 + 4 + 2 + 4 * 2


@pytest.mark.parametrize("name", ["cfm_logit", "rdcfm_logit"])
def test_later_months_change_nothing_and_extending_carries_factors_on(truth, name):
    model, early = LogisticFactorModel(2, **VARIANTS[name]), truth.sample.first(82)
    result = model.fit(early)
    again = model.fit(truth.sample.through(truth.sample.months[81]))
    np.testing.assert_array_equal(again.factors, result.factors)
    further = model.extend(result, truth.sample)
    np.testing.assert_allclose(further.factors[:82], result.factors, rtol=0, atol=1e-12)
    assert (len(further.factors), further.link) == (90, LOGISTIC)


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_an_asset_that_never_falls_gets_finite_loadings(truth, direction):
    loss = loss_of(truth.sample, False)
    values = truth.sample.returns.values.copy()
    values[:, 3] = direction * np.abs(values[:, 3])
    factors = np.abs(truth.factors)
    returns = replace(truth.sample.returns, values=values)
    separable = AssetDirections(returns, assets_with_loadings(returns, matrix_of(truth.sample), 60)).at(factors)
    there = ~np.isnan(values[:, 3])

    def penalised(beta):
        index = factors[there] @ beta
        return np.sum(np.log1p(np.exp(-direction * index)) + 0.5 * RIDGE * index**2)

    assert (direction * factors @ separable.loadings[3] > 0.0).all()
    peer = minimize(penalised, [direction, direction], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    np.testing.assert_allclose(separable.loadings[3], peer.x, rtol=1e-4)
    others = np.arange(len(values[0])) != 3
    np.testing.assert_allclose(separable.loadings[others], loss.at(factors).loadings[others], rtol=1e-9)


def test_a_month_without_assets_and_collinear_instruments(truth):
    panel = truth.sample.panel
    rows = np.ones(len(panel.returns), dtype=bool)
    rows[panel.bounds[5] : panel.bounds[6]] = False
    counts = np.diff(panel.bounds)
    counts[5] = 0
    hollow = replace(
        panel,
        bounds=np.concatenate([[0], np.cumsum(counts)]),
        returns=panel.returns[rows],
        assets=panel.assets[rows],
        characteristics=panel.characteristics[rows],
    )
    model = LogisticFactorModel(1, recurrent=True, conditional=True)
    plain = model.fit(Sample(instruments=truth.sample.instruments, panel=hollow))
    doubled = replace(
        hollow,
        characteristics=np.column_stack([hollow.characteristics[:, :1], hollow.characteristics]),
        names=("again", *hollow.names),
    )
    twice = model.fit(Sample(instruments=truth.sample.instruments, panel=doubled))
    assert plain.squares == pytest.approx(rows.sum() * math.log(2.0))
    assert twice.loss == pytest.approx(plain.loss, rel=1e-8)
    np.testing.assert_allclose(twice.loadings.gamma[0] + twice.loadings.gamma[1], plain.loadings.gamma[0], rtol=1e-3)


def test_bad_input(truth):
    model = LogisticFactorModel(1, recurrent=False, conditional=True)
    sample = truth.sample
    with pytest.raises(ValueError, match="needs panel"):
        model.fit(Sample(instruments=sample.instruments, returns=sample.returns))
    returns = sample.panel.returns.copy()
    returns[[7, 9]] = np.nan
    with pytest.raises(
        ValueError, match=rf"2 returns that are not finite, the first of {sample.panel.assets[7]} in 1980-01"
    ):
        model.fit(replace(sample, panel=replace(sample.panel, returns=returns)))
    characteristics = sample.panel.characteristics.copy()
    characteristics[sample.panel.bounds[2], 1] = np.nan
    with pytest.raises(ValueError, match="instrument value is not finite for an asset in 1980-03"):
        model.fit(replace(sample, panel=replace(sample.panel, characteristics=characteristics)))
    other = LogisticFactorModel(1, recurrent=True, conditional=True).fit(sample)
    with pytest.raises(ValueError, match="another model"):
        model.fit(sample, other)
    with pytest.raises(ValueError, match="asset"):
        LogisticFactorModel(1, recurrent=False, conditional=False, asset_months=91).fit(sample)
    with pytest.raises(ValueError, match="readings"):
        LogisticFactorModel(1, recurrent=False, conditional=False, norm="l3")
