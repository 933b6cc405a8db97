"""The level of expected returns: kappa makes it, projections do not feel it, a market whose truth is known has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.evaluation.pricing import cross_sectional_r2, explained_variation, residuals
from pipeline.evaluation.sdf_months import sdf_months
from pipeline.panel.calendar import month_range, shift
from pipeline.sdf import walk_forward
from pipeline.sdf.configurations import Grid
from pipeline.sdf.model import kernel_scale
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.search import PiecesInMemory
from pipeline.sdf.settings import SdfSettings


def test_measures_of_a_projection_do_not_feel_the_scale():
    rng = np.random.default_rng(2)
    months, assets = month_range(date(2001, 1, 1), date(2002, 12, 1)), [f"A{i}" for i in range(8)]
    rows = pl.DataFrame({"target_month": months}).join(pl.DataFrame({"asset_id": assets}), how="cross")
    beta = 0.001 * rng.normal(size=rows.height)
    returns = rows.select(month="target_month", isin="asset_id").with_columns(
        ret_excess=pl.Series(30.0 * beta + 0.02 * rng.normal(size=rows.height))
    )
    weights = rows.with_columns(objective=pl.lit("sharpe"), environment=pl.lit("full"), weight=pl.Series(beta))
    found = []
    # Another scale in every month, as kappa has when the networks are carried on, a negative one among them.
    for scale in (1.0, np.repeat(rng.uniform(-60.0, 90.0, len(months)), len(assets))):
        held = weights.with_columns(forecast=pl.Series(beta * scale))
        errors = residuals(
            held.rename({"target_month": "month", "forecast": "loading"}).with_columns(realised=returns["ret_excess"])
        )
        earned = sdf_months(held, returns, months, key="isin")
        found.append((explained_variation(errors), cross_sectional_r2(errors), earned))
    (variation, r2, earned), (scaled_variation, scaled_r2, scaled) = found
    assert 0.1 < variation < 1.0
    assert scaled_variation == pytest.approx(variation, rel=1e-12)
    assert scaled_r2 == pytest.approx(r2, rel=1e-12)
    np.testing.assert_allclose(scaled["squared_residual"], earned["squared_residual"], rtol=1e-12)
    assert scaled.drop("squared_residual").equals(earned.drop("squared_residual"))


MEAN, SD, NOISE = 0.02, 0.04, 0.03


@dataclass(frozen=True)
class OneFactor:
    """Excess returns are beta (MEAN + SD z) + NOISE e; a characteristic tells beta."""

    panel: SdfPanel
    beta: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(n,) the true expected excess return of every row."""
        return MEAN * self.beta

    def comoment(self, weights: np.ndarray) -> np.ndarray:
        """(n,) the true E[F r] of every row for weights of every row."""
        market = np.add.reduceat(weights * self.beta, self.panel.bounds[:-1])[self.panel.date_of_row]
        return market * self.beta * (MEAN**2 + SD**2) + weights * NOISE**2


def one_factor(seed: int, D: int = 460, N: int = 30) -> OneFactor:
    rng = np.random.default_rng(seed)
    told = rng.uniform(-1.0, 1.0, (D * N, 2))
    beta = 1.0 + 0.8 * told[:, 0]
    factor = np.repeat(MEAN + SD * rng.normal(size=D), N)
    panel = SdfPanel(
        months=tuple(shift(date(1980, 1, 1), d) for d in range(D)),
        bounds=N * np.arange(D + 1),
        assets=np.tile([f"A{i:02d}" for i in range(N)], D),
        names=("exposure", "nothing"),
        features=told.astype(np.float32),
        macro_names=(),
        macro=np.zeros((D, 0), dtype=np.float32),
        returns=beta * factor + NOISE * rng.normal(size=D * N),
    )
    return OneFactor(panel=panel, beta=beta)


def slope(y: np.ndarray, x: np.ndarray) -> float:
    """Of y on x through the origin."""
    return float(x @ y / (x @ x))


def test_true_comoments_times_kappa_are_expected_returns_in_level():
    """Whatever the size of the weights: those of the factor's mimicking portfolio, which sees the same of it always."""
    market = one_factor(0, D=6000, N=20)
    bounds = market.panel.bounds[:-1]
    mimicking = market.beta / np.add.reduceat(market.beta**2, bounds)[market.panel.date_of_row]
    for size in (0.01, 1.0, 7.0):
        weights = size * mimicking
        forecast = kernel_scale(np.add.reduceat(weights * market.panel.returns, bounds)) * market.comoment(weights)
        assert slope(market.mean, forecast) == pytest.approx(1.0, abs=0.05)
        errors = market.mean - forecast
        assert errors @ errors < 0.005 * market.mean @ market.mean


GRID = Grid(architectures=("shallow",), batch_sizes=(512,), rates=(5e-3,), l1=(0.0,), l2=(0.0,))


@pytest.mark.long
@pytest.mark.parametrize("objective", ["sharpe", "mispricing"])
def test_forecasts_of_a_simulated_market_are_unbiased_in_level(objective):
    """Networks find weights and betas; over markets the true mean rises one for one with what they forecast."""
    settings = SdfSettings(
        objectives=(objective,),
        environments=("no_macro",),
        grid=GRID,
        beta_grid=replace(GRID, rates=(1e-3,)),
        epochs=20,
        ensemble=(1, 2),
        bound=1.0,
    )
    found = []
    for seed in range(4):
        market = one_factor(seed)
        panel = market.panel
        month = panel.months[399]
        _, models = walk_forward.searched(panel.through(month), month, settings, PiecesInMemory())
        (model,) = models.values()
        rows = slice(int(panel.bounds[400]), None)
        test = panel.take(slice(400, None))
        beta, mean = model.betas.forecast(test), market.mean[rows]
        true = market.comoment(model.weights.weights(panel))[rows]
        found.append([slope(mean, model.kappa * true), slope(mean, model.kappa * beta), slope(mean, beta)])
    found = np.array(found)
    print(f"\n{objective}: slopes of the true mean on true betas, ours, ours without kappa\n{found.round(2)}")
    assert found[:, 0].mean() == pytest.approx(1.0, abs=0.12)
    assert found[:, 1].mean() == pytest.approx(1.0, abs=0.15)
    # Without kappa they are of another size altogether.
    assert found[:, 2].min() > 3.0 or found[:, 2].max() < 1.0 / 3.0
