"""The tables A.5 to A.7 of the source for ten industry portfolios and FRED-MD of 2023-01: two networks compete."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from industries import DATA, figures

from pipeline.evaluation.alphas import FACTOR_SETS
from pipeline.evaluation.performance import Performance
from pipeline.sdf.configurations import Configuration, Grid
from pipeline.sdf.gan import OFTEN, collapse, estimate_gan, search_gan
from pipeline.sdf.gan_settings import GanSearchSettings, GanTrainingSettings
from pipeline.sdf.objectives import sharpe_ratios
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.search import PiecesInMemory

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the public data of ../shared/data are not here"),
    pytest.mark.long,
]

# Sums in the order of one thread, so that a figure can be looked up again.
torch.set_num_threads(1)

SOURCE = "Sharpe 0.14, Sortino 1.85, Calmar 0.01, max DD 0.52, CAGR 0.07, leverage 1.91 max, 0.95 mean, alphas -0.001"
SOURCES_WINNER = Configuration(architecture="separate", batch_size=1024, rate=5e-3, l1=0.01, l2=0.0)
TRAINING = GanTrainingSettings(bound=1.0)
SEEDS = (1, 2, 3)


def _printed(
    title: str, configuration: Configuration, parts: list[SdfPanel], factors: pl.DataFrame, published: pl.DataFrame
) -> tuple[Performance, float]:
    """Estimate a configuration, print its figures beside the source's; the test's and the share of equal weights."""
    training, validation, test = parts
    model = estimate_gan(training, validation, configuration, SEEDS, TRAINING)
    weights, returns = model.weights(test, validation), model.factor(test, validation)
    found = figures(weights, returns, test, factors, published)
    measured, equality = found["performance"], collapse(weights, test)
    print(f"\n{title}: {configuration}")
    print(f"validation Sharpe of members {model.scores.round(3)}, after step 1 {model.unconditional_scores.round(3)}")
    print(f"epochs {model.epochs}, {model.endings}; source: {SOURCE}")
    print(f"test: {measured}; without its first year, as the source's: Sharpe {sharpe_ratios(returns[12:]):.3f}")
    for name in FACTOR_SETS:
        print(f"{name}: alpha {found[name].alpha:.4f} (t {found[name].t:.2f})")
    print(f"equal weights in {equality.equal_share:.2f} of test months, {model.equality.equal_share:.2f} of validation")
    assert all(np.isfinite(found[name].t) for name in FACTOR_SETS)
    return measured, equality.equal_share


def test_a_small_grid(industry_parts: list[SdfPanel], factors: pl.DataFrame, published: pl.DataFrame) -> None:
    grid = Grid(
        architectures=("joined", "separate"), batch_sizes=(512, 1024), rates=(1e-3, 5e-3), l1=(0.0, 0.01), l2=(0.0,)
    )
    settings = GanSearchSettings(grid=grid, training=TRAINING, ensemble=SEEDS)
    result = search_gan(*industry_parts[:2], settings, PiecesInMemory())
    assert result.usable.all()
    assert result.score == result.scores.max()
    quantiles = np.quantile(result.scores, [0.0, 0.5, 1.0]).round(3)
    print(f"\nvalidation Sharpe: least, median and largest of {len(result.scores)}: {quantiles}")
    print(f"with equal weights in most months: {int((result.equal_shares > OFTEN).sum())}")
    measured, equal_share = _printed("winner", result.winner, industry_parts, factors, published)
    # The bound of a month is the root of 10 / n, and Cauchy-Schwarz bounds its leverage.
    assert 0.0 < measured.maximum_leverage <= 10 / np.sqrt(result.winner.batch_size) + 1e-9
    assert measured.n_months == 132
    assert equal_share <= OFTEN


def test_the_winner_of_the_source(
    industry_parts: list[SdfPanel], factors: pl.DataFrame, published: pl.DataFrame
) -> None:
    theirs, _ = _printed("the source's winner", SOURCES_WINNER, industry_parts, factors, published)
    free, _ = _printed("without its penalty", replace(SOURCES_WINNER, l1=0.0), industry_parts, factors, published)
    # A penalty on the weights of layers keeps positions small.
    assert theirs.mean_leverage < free.mean_leverage
