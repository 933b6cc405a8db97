from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.sdf.configurations import Grid, SearchSettings, TrainingSettings
from pipeline.sdf.ensemble import train_ensemble
from pipeline.sdf.model import SdfResult, portfolio_returns
from pipeline.sdf.objectives import sharpe_ratios
from pipeline.sdf.panel import split_months
from pipeline.sdf.search import PiecesInMemory, search
from pipeline.simulation.sdf_market import SdfMarket, SdfMarketSettings, simulate_sdf_market

DOZEN = Grid(
    architectures=("shallow", "deep", "elastic_net"), batch_sizes=(512,), rates=(1e-3, 5e-3), l1=(0.0, 0.001), l2=(0.0,)
)
FEW = replace(DOZEN, architectures=("shallow",), rates=(5e-3,))


@pytest.fixture(scope="module")
def market() -> SdfMarket:
    return simulate_sdf_market(SdfMarketSettings())


def equal_weights(market: SdfMarket) -> np.ndarray:
    return np.repeat(1.0 / market.panel.counts, market.panel.counts)


def test_the_panel_is_ragged_and_its_means_are_centred(market):
    counts = market.panel.counts
    assert (counts.min() >= 60, counts.max() <= 120, len(set(counts)) > 20) == (True, True, True)
    assert market.panel.features.shape == (counts.sum(), 10)
    assert market.panel.macro.shape == (300, 4)
    assert 0.015 < np.isnan(market.panel.features).mean() < 0.025
    assert max(abs(market.mean[rows].mean()) for rows in market.months) < 1e-15
    # Assets leave for good and others come.
    assert not set(market.panel.assets[market.months[0]]) & set(market.panel.assets[market.months[-1]])


def test_the_premium_follows_the_first_macro_series(market):
    size = [np.abs(market.mean[rows]).mean() for rows in market.months]
    assert np.corrcoef(size, np.abs(1.0 + 0.5 * market.panel.macro[:, 0]))[0, 1] > 0.95


def test_returns_have_the_true_moments(market):
    """Whitened by the true covariance, returns less their means are independent and of size one."""
    surprise = market.panel.returns - market.mean
    white = [np.linalg.solve(np.linalg.cholesky(market.covariance(rows)), surprise[rows]) for rows in market.months]
    pooled = np.concatenate(white)
    assert abs(pooled.mean()) < 4 / len(pooled) ** 0.5
    assert abs(pooled.var() - 1.0) < 4 * (2 / len(pooled)) ** 0.5
    first = np.array([each[:60] for each in white])
    correlations = np.corrcoef(first.T)[np.triu_indices(60, 1)]
    assert abs(correlations.mean()) < 4 / (300 * len(correlations)) ** 0.5
    # Without whitening the common factor is there.
    assert (
        np.corrcoef(np.array([surprise[rows][:60] for rows in market.months]).T)[np.triu_indices(60, 1)].mean() > 0.02
    )


def test_nothing_beats_the_attainable_weights(market):
    months, best = range(300), market.attainable
    attainable = market.sharpe(best, months)
    h = [market.mean[rows] @ np.linalg.solve(market.covariance(rows), market.mean[rows]) for rows in market.months]
    share = np.mean([each / (1.0 + each) for each in h])
    assert attainable == pytest.approx((share / (1.0 - share)) ** 0.5, rel=1e-10)
    rng = np.random.default_rng(0)
    for change in (rng.normal(size=len(best)), market.mean, equal_weights(market), best * rng.random(len(best))):
        step = 0.1 * np.linalg.norm(best) / np.linalg.norm(change) * change
        assert market.sharpe(best + step, months) < attainable
        assert market.sharpe(best - step, months) < attainable
    assert market.sharpe(7.0 * best, months) == pytest.approx(attainable, rel=1e-12)


def test_expected_sharpe_ratios_are_those_of_many_months():
    market = simulate_sdf_market(SdfMarketSettings(n_months=900, fewest=20, most=30, premium=0.03))
    for weights in (market.attainable, market.mean):
        expected = market.sharpe(weights, range(900))
        realised = sharpe_ratios(portfolio_returns(weights, market.panel))
        # Three standard errors of a Sharpe ratio.
        assert realised == pytest.approx(expected, abs=3 * ((1.0 + expected**2 / 2.0) / 900) ** 0.5)


def test_the_seed_decides(market):
    again, other = (simulate_sdf_market(SdfMarketSettings(seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(again.panel.returns, market.panel.returns)
    assert len(other.panel.returns) != len(market.panel.returns)


def test_markets_that_cannot_be():
    with pytest.raises(ValueError, match="five characteristics"):
        SdfMarketSettings(n_characteristics=4)


def shares(seed: int, grid: Grid, ensemble: tuple[int, ...]) -> dict[str, float]:
    """Search, train and test on one market: Sharpe ratios of the test months, realised and expected."""
    torch.set_num_threads(1)
    market = simulate_sdf_market(SdfMarketSettings(seed=seed))
    panel = market.panel
    first, second, _ = (len(part) for part in split_months(panel.months))
    training, validation = panel.take(slice(0, first)), panel.take(slice(first, first + second))
    settings = SearchSettings(grid=grid, training=TrainingSettings(objective="sharpe"), ensemble=ensemble)
    winner = search(training, validation, settings, PiecesInMemory()).winner
    result = SdfResult(ensemble=train_ensemble(training, validation, winner, ensemble, settings.training))
    test = range(first + second, len(panel.months))
    found = {}
    weights = {"attainable": market.attainable, "ours": result.weights(panel), "equal weights": equal_weights(market)}
    for name, each in weights.items():
        found[name] = float(sharpe_ratios(portfolio_returns(each, panel)[test.start :]))
        found[f"{name}, expected"] = market.sharpe(each, test)
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return found


def assert_near_the_attainable(found: dict[str, float]) -> None:
    for suffix in ("", ", expected"):
        assert found[f"ours{suffix}"] > 0.7 * found[f"attainable{suffix}"]
        assert found[f"equal weights{suffix}"] < 0.3 * found[f"attainable{suffix}"]


@pytest.mark.slow
def test_the_selected_network_comes_near_the_attainable_portfolio():
    assert_near_the_attainable(shares(0, FEW, (1, 2)))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_the_selected_network_comes_near_the_attainable_portfolio_for_five_seeds(seed):
    assert_near_the_attainable(shares(seed, DOZEN, (1, 2, 3, 4, 5, 6)))
