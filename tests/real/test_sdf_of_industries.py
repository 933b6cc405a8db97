"""The tables A.5 to A.7 of the source for ten industry portfolios and FRED-MD of 2023-01: Sharpe ratio maximised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl
import pytest
import torch
from industries import DATA, END, figures

from pipeline.evaluation.alphas import FACTOR_SETS
from pipeline.sdf.configurations import GRID, Grid, SearchSettings, TrainingSettings
from pipeline.sdf.ensemble import train_ensemble
from pipeline.sdf.model import SdfResult
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.search import PiecesInMemory, SearchResult, search

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the public data of ../shared/data are not here")

# Sums in the order of one thread, so that a figure can be looked up again.
torch.set_num_threads(1)


def test_the_panel_is_that_of_the_source(industries: SdfPanel, industry_parts: list[SdfPanel]) -> None:
    assert [len(part.months) for part in industry_parts] == [183, 122, 132]
    assert (industry_parts[2].months[0], industry_parts[2].months[-1]) == (date(2008, 1, 1), END)
    assert (industries.counts == 10).all()
    assert np.isfinite(industries.features).all()
    # The vintage of 2023-01 has 127 series, all of which had begun by 1982, and six of Goyal and Welch.
    assert len(industries.macro_names) == 133


def _chosen(parts: list[SdfPanel], grid: Grid, seeds: tuple[int, ...]) -> tuple[SearchResult, SdfResult]:
    settings = SearchSettings(grid=grid, training=TrainingSettings(objective="sharpe", bound=1.0), ensemble=seeds)
    result = search(parts[0], parts[1], settings, PiecesInMemory())
    ensemble = train_ensemble(parts[0], parts[1], result.winner, settings.ensemble, settings.training)
    return result, SdfResult(ensemble=ensemble)


def _figures(model: SdfResult, test: SdfPanel, factors: pl.DataFrame, published: pl.DataFrame) -> Mapping[str, object]:
    return figures(model.weights(test), model.factor(test), test, factors, published)


def test_a_dozen_configurations(industry_parts: list[SdfPanel], factors: pl.DataFrame, published: pl.DataFrame) -> None:
    grid = Grid(batch_sizes=(512,), rates=(1e-3, 5e-3), l1=(0.0,), l2=(0.0,), architectures=("shallow", "elastic_net"))
    result, model = _chosen(industry_parts, grid, (1, 2))
    assert result.usable.all()
    found = _figures(model, industry_parts[2], factors, published)
    measured = found["performance"]
    # Ten portfolios and a norm of at most sqrt(10 / 512): Cauchy-Schwarz bounds the leverage.
    assert 0.0 < measured.maximum_leverage <= 10 / np.sqrt(512) + 1e-9
    assert all(np.isfinite(found[name].t) for name in FACTOR_SETS)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["sharpe", "mispricing"])
def test_the_full_grid(
    objective: str, industry_parts: list[SdfPanel], factors: pl.DataFrame, published: pl.DataFrame
) -> None:
    settings = SearchSettings(grid=GRID, training=TrainingSettings(objective=objective, bound=1.0))
    result = search(industry_parts[0], industry_parts[1], settings, PiecesInMemory())
    assert len(result.configurations) == 768
    ensemble = train_ensemble(industry_parts[0], industry_parts[1], result.winner, settings.ensemble, settings.training)
    found = _figures(SdfResult(ensemble=ensemble), industry_parts[2], factors, published)
    quantiles = np.nanquantile(result.scores, [0.0, 0.25, 0.5, 0.75, 1.0])
    print(f"\n{objective}: winner {result.winner}, validation Sharpe {result.score:.3f}, of all {quantiles.round(3)}")
    print(f"unusable {int((~result.usable).sum())}; test: {found['performance']}")
    for name in FACTOR_SETS:
        print(f"{name}: alpha {found[name].alpha:.4f} (t {found[name].t:.2f})")
    assert result.usable.mean() > 0.9
    # The validation months choose among 768, so that the winner's score there is above what the test months give.
    assert found["performance"].sharpe < result.score
