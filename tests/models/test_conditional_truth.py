"""What the conditional factor models find in data that come from them, and how often a test is wrong about them."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.evaluation.comparison_pairs import Specification
from pipeline.evaluation.comparisons import clark_west
from pipeline.evaluation.forecast_moments import SCHEMA, forecast_moments
from pipeline.models.conditional_factors import ConditionalFactorModel
from pipeline.models.factor_model import CharacteristicLoadings, CrossSection, FactorModelResult, PooledPanel
from pipeline.models.managed_portfolios import SufficientStatistics, managed_portfolios
from pipeline.simulation.factor_model import FactorModelSettings, SimulatedFactorModel, simulate_factor_model

# Errors of an estimate from T months are of order 1 / sqrt(T): half as large after four times as many months.
HALVED = (1.5, 2.7)


def workers() -> multiprocessing.pool.Pool:
    """Two processes that run a function of this file."""
    return multiprocessing.get_context("fork").Pool(2)


def aligned_errors(truth: SimulatedFactorModel, result: FactorModelResult) -> np.ndarray:
    """Lengths of the errors of Omega, AR and the loadings over the true lengths, in the best order and signs."""
    true, found = truth.centred(len(result.months)), result.parameters
    loadings, true_loadings = comparable_loadings(truth, result)
    K, candidates = result.n_factors, []
    for order in itertools.permutations(range(K)):
        for signs in itertools.product((1.0, -1.0), repeat=K):
            turn = np.eye(K)[:, order] * np.array(signs)
            estimates = (found["omega"] @ turn, turn.T @ found["ar"] @ turn, loadings @ turn)
            pairs = zip(estimates, (true.omega, true.ar, true_loadings), strict=True)
            candidates.append([np.linalg.norm(mine - theirs) / np.linalg.norm(theirs) for mine, theirs in pairs])
    return np.array(min(candidates, key=lambda errors: errors[0]))


def comparable_loadings(truth: SimulatedFactorModel, result: FactorModelResult) -> tuple[np.ndarray, np.ndarray]:
    """Estimated and true Gamma, or betas of the assets that have enough months."""
    if isinstance(result.loadings, CharacteristicLoadings):
        return result.loadings.gamma, truth.loadings
    betas, assets = result.loadings.betas, truth.sample.returns.assets
    known = np.isfinite(betas).all(axis=1)
    places = [assets.index(asset) for asset, there in zip(result.loadings.assets, known, strict=True) if there]
    return betas[known], truth.loadings[places]


def fitted_errors(seed: int, lengths: tuple[int, ...], n_factors: int, conditional: bool = True) -> np.ndarray:
    """(lengths, parts) errors of estimations from histories of so many months with the same true parameters."""
    return np.array([errors_after(n_months, seed, n_factors, conditional) for n_months in lengths])


def errors_after(n_months: int, seed: int, n_factors: int, conditional: bool) -> np.ndarray:
    truth = simulate_factor_model(
        FactorModelSettings(n_months=n_months, n_factors=n_factors, noise=0.03, conditional=conditional, seed=seed)
    )
    # Of the 30 histories of 150 months one has a start from which the search crawls; the default number copes.
    result = ConditionalFactorModel(
        n_factors, recurrent=True, conditional=conditional, max_norm=3.0, max_inflation=10.0
    ).fit(truth.sample)
    assert result.converged
    assert 0.6 < np.sqrt(np.mean(truth.factors**2)) < 1.2
    return aligned_errors(truth, result)


def quadrupling(errors: np.ndarray) -> np.ndarray:
    """Geometric means over histories of how many times smaller the errors are, (steps, parts)."""
    return np.exp(-np.diff(np.log(errors), axis=1).mean(axis=0))


def test_the_parts_of_a_simulated_sample_tell_the_same():
    truth = simulate_factor_model(FactorModelSettings(n_months=24, n_assets=15))
    panel, sample, names = truth.sample.panel, truth.sample, list(truth.sample.panel.names[:-1])
    keys = pl.Series(panel.months).gather(np.repeat(np.arange(24), np.diff(panel.bounds)))
    long = pl.DataFrame({"month": keys, "isin": panel.assets, "ret_excess": panel.returns}).hstack(
        pl.DataFrame(panel.characteristics[:, :-1], schema=names).get_columns()
    )
    statistics = SufficientStatistics.from_frame(managed_portfolios(long, names, panel.months), names)
    np.testing.assert_allclose(statistics.X, sample.statistics.X, atol=1e-13)
    np.testing.assert_allclose(statistics.W, sample.statistics.W, atol=1e-13)
    np.testing.assert_allclose(statistics.yy, sample.statistics.yy, rtol=1e-13)
    assert np.array_equal(statistics.n, (~np.isnan(sample.returns.values)).sum(axis=1))
    assert 0 < statistics.n.min() < statistics.n.max() <= 15
    seen = ~np.isnan(sample.returns.values)
    assert np.array_equal(sample.returns.values[seen], panel.returns)
    assert np.array_equal(np.broadcast_to(sample.returns.assets, seen.shape)[seen], panel.assets)
    of_row = np.repeat(truth.factors, np.diff(panel.bounds), axis=0)
    errors = panel.returns - np.sum((panel.characteristics @ truth.loadings) * of_row, axis=1)
    assert np.std(errors) == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"n_months": 0}, "not positive"), ({"n_factors": 5}, "5 factors need"), ({"missing": 1.0}, "missing is 1.0")],
)
def test_a_simulation_that_cannot_be_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        FactorModelSettings(**wrong)


@pytest.mark.parametrize("conditional", [True, False])
def test_finds_omega_ar_and_the_loadings(conditional):
    errors = np.array([fitted_errors(seed, (100, 400), 2, conditional) for seed in range(2)])
    assert errors[:, 1].max() < 0.2
    assert (errors[:, 1].mean(axis=0) < 0.8 * errors[:, 0].mean(axis=0)).all()


@pytest.mark.long
def test_errors_fall_with_the_root_of_the_number_of_months():
    with workers() as pool:
        errors = np.array(pool.starmap(fitted_errors, [(seed, (150, 600, 2400), 2) for seed in range(30)]))
    ratios = quadrupling(errors)
    report = f"errors by months\n{np.sqrt(np.mean(errors**2, axis=0))}\nratios\n{ratios}"
    print(report)
    each = np.exp(np.log(ratios).mean(axis=0))
    assert ((each > HALVED[0]) & (each < HALVED[1])).all(), report
    steps = np.exp(np.log(ratios).mean(axis=1))
    assert ((steps > HALVED[0]) & (steps < HALVED[1])).all(), report


# Clark-West


@dataclass(frozen=True)
class Design:
    """A history of T months, the first estimation and how often parameters are re-estimated."""

    n_months: int = 240
    n_assets: int = 25
    first: int = 120
    every: int = 12


SMALL, LARGE = Specification("dcfm", 1), Specification("rdcfm", 1)


def out_of_sample(truth: SimulatedFactorModel, recurrent: bool, design: Design) -> list[np.ndarray]:
    """Forecasts for the assets of each month after the first estimation, parameters held between estimations."""
    model = ConditionalFactorModel(1, recurrent=recurrent, conditional=True, starts=1, tolerance=1e-6)
    panel, result, forecasts = truth.sample.panel, None, []
    for known in range(design.first, design.n_months):
        history = truth.sample.first(known)
        if (known - design.first) % design.every == 0:
            result = model.fit(history, result)
        else:
            result = model.extend(result, history)
        rows = slice(panel.bounds[known], panel.bounds[known + 1])
        forecasts.append(
            result.forecast(CrossSection(assets=panel.assets[rows], characteristics=panel.characteristics[rows]))
        )
    return forecasts


Sums = list[tuple[float, ...]]


def monthly_sums(panel: PooledPanel, first: int, small: list[np.ndarray], large: list[np.ndarray]) -> Sums:
    """Number, and sums of squares and products of return and forecasts, over the assets of each month."""
    sums = []
    for t, a, b in zip(range(first, len(panel.months)), small, large, strict=True):
        r = panel.returns[panel.bounds[t] : panel.bounds[t + 1]]
        sums.append((len(r), *(float(each) for each in (r @ r, r @ a, r @ b, a @ a, a @ b, b @ b))))
    return sums


def moments_of(months: Sequence[date], sums: Sums) -> pl.DataFrame:
    """The pair's monthly sums as forecast_moments gives them."""
    rows = [(month, *SMALL, *LARGE, *each) for month, each in zip(months, sums, strict=True)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def simulated(seed: int, memory: float, design: Design) -> SimulatedFactorModel:
    settings = FactorModelSettings(
        n_months=design.n_months,
        n_assets=design.n_assets,
        n_factors=1,
        n_characteristics=2,
        n_instruments=2,
        memory=memory,
        seed=seed,
    )
    return simulate_factor_model(settings)


def replication(seed: int, memory: float) -> tuple[Sequence[date], Sums]:
    """Monthly sums of both models' forecasts; runs in a process of its own, where polars must not."""
    design = Design()
    truth = simulated(seed, memory, design)
    forecasts = [out_of_sample(truth, recurrent, design) for recurrent in (False, True)]
    return truth.sample.months[design.first :], monthly_sums(truth.sample.panel, design.first, *forecasts)


def rejections(memory: float, replications: int) -> float:
    """Share of histories in which the one-sided test at five percent prefers the model with memory."""
    with workers() as pool:
        drawn = pool.starmap(replication, [(seed, memory) for seed in range(replications)], chunksize=5)
    tests = [clark_west(moments_of(*each), SMALL, LARGE) for each in drawn]
    share = float(np.mean([test.p < 0.05 for test in tests]))
    print(f"memory {memory}: {share:.3f} of {replications} rejected, mean t {np.mean([test.t for test in tests]):.2f}")
    return share


def test_the_moments_of_a_replication_are_those_of_the_long_table():
    design = Design(n_months=72, first=66, every=3)
    truth = simulated(0, 0.5, design)
    panel, months = truth.sample.panel, truth.sample.months
    forecasts = {name: out_of_sample(truth, name == LARGE, design) for name in (SMALL, LARGE)}
    rows = slice(panel.bounds[design.first], None)
    counts = np.diff(panel.bounds)[design.first :]
    keys = pl.DataFrame(
        {
            "month": pl.Series(months[design.first - 1 : -1]).gather(np.repeat(np.arange(len(counts)), counts)),
            "target_month": pl.Series(months[design.first :]).gather(np.repeat(np.arange(len(counts)), counts)),
            "asset_id": panel.assets[rows],
        }
    )
    table = pl.concat(
        keys.with_columns(model=pl.lit(name.model), n_factors=pl.lit(name.n_factors), forecast=np.concatenate(values))
        for name, values in forecasts.items()
    )
    returns = keys.select(month="target_month", isin="asset_id", ret_excess=panel.returns[rows])
    long = forecast_moments(table, returns, months[design.first :])
    sums = monthly_sums(panel, design.first, forecasts[SMALL], forecasts[LARGE])
    assert_frame_equal(
        long.filter(pl.col("model_a") != pl.col("model_b")), moments_of(months[design.first :], sums), rel_tol=1e-12
    )


@pytest.mark.long
def test_clark_west_seldom_finds_a_memory_that_is_not_there():
    assert 0.01 <= rejections(memory=0.0, replications=500) <= 0.08


@pytest.mark.long
def test_clark_west_finds_a_memory_that_is_there():
    assert rejections(memory=0.5, replications=100) > 0.5
