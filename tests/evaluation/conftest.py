from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
import pytest

from pipeline.models.factor_model import MonthlySeries, PooledPanel
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.panel.calendar import shift

MADE = date(2000, 1, 1)


@dataclass(frozen=True)
class Forecasts:
    """Random returns and forecasts of several models, each with assets of its own left out."""

    forecasts: pl.DataFrame
    returns: pl.DataFrame
    months: list[date]

    @cached_property
    def _values(self) -> dict[tuple, dict[str, float]]:
        values: dict[tuple, dict[str, float]] = {}
        for month, asset, value in self.returns.select("month", "permno", "ret_excess").drop_nulls().iter_rows():
            values.setdefault((month,), {})[str(asset)] = value
        columns = self.forecasts.select("target_month", "model", "n_factors", "asset_id", "forecast").drop_nulls()
        for month, model, n_factors, asset, value in columns.iter_rows():
            values.setdefault((month, model, n_factors), {})[asset] = value
        return values

    def common(self, month: date, *keys: tuple[str, int]) -> tuple[np.ndarray, ...]:
        """Realised returns and the forecasts of `keys` for the assets that all cover, looked up one by one."""
        columns = [self._values[(month,)], *(self._values[(month, *key)] for key in keys)]
        assets = [asset for asset in columns[0] if all(asset in column for column in columns)]
        return tuple(np.array([column[asset] for asset in assets]) for column in columns)


@pytest.fixture(scope="session")
def make_forecasts():
    def make(*, models=(("cfm", 1), ("rdcfm", 1), ("rdcfm", 2), ("zero", 0)), n_months=20, n_assets=30, seed=0):
        rng = np.random.default_rng(seed)
        months = [shift(MADE, 1 + t) for t in range(n_months)]
        returns = pl.DataFrame(
            {
                "month": [month for month in months for _ in range(n_assets)],
                "permno": np.tile(np.arange(10001, 10001 + n_assets), n_months),
                "ret_excess": 0.1 * rng.normal(size=n_assets * n_months) + 0.01,
            }
        )
        missing = rng.random(returns.height) < 0.1
        returns = returns.with_columns(pl.when(~pl.Series(missing)).then("ret_excess").alias("ret_excess"))
        blocks = []
        for model, n_factors in models:
            drawn = 0.02 * rng.normal(size=returns.height) + 0.01
            forecast = np.zeros(returns.height) if model == "zero" else drawn
            if model.endswith("_logit"):
                forecast = rng.random(returns.height)
            kept = pl.Series(rng.random(returns.height) > 0.15)
            blocks.append(
                returns.select(
                    pl.col("month").dt.offset_by("-1mo").alias("month"),
                    pl.col("month").alias("target_month"),
                    pl.lit(model).alias("model"),
                    pl.lit(n_factors, dtype=pl.Int64).alias("n_factors"),
                    pl.col("permno").cast(pl.String).alias("asset_id"),
                    pl.Series("forecast", forecast),
                ).filter(kept)
            )
        return Forecasts(pl.concat(blocks).sample(fraction=1.0, shuffle=True, seed=seed), returns, months)

    return make


@dataclass(frozen=True)
class FactorPanel:
    """A panel of r = C Gamma f + e with three ranked characteristics and a constant, in every shape that is read."""

    panel: PooledPanel
    statistics: SufficientStatistics
    gamma: np.ndarray
    factors: np.ndarray
    instruments: MonthlySeries


def statistics_of(panel: PooledPanel) -> SufficientStatistics:
    """Sufficient statistics month by month, written out."""
    blocks = [slice(first, last) for first, last in zip(panel.bounds[:-1], panel.bounds[1:], strict=True)]
    C, y = [panel.characteristics[rows] for rows in blocks], [panel.returns[rows] for rows in blocks]
    return SufficientStatistics(
        months=panel.months,
        n=np.diff(panel.bounds),
        yy=np.array([each @ each for each in y]),
        X=np.array([each.T @ r for each, r in zip(C, y, strict=True)]),
        W=np.array([each.T @ each for each in C]),
        names=panel.names,
    )


@pytest.fixture(scope="session")
def make_panel():
    def make(*, n_months=24, sizes=None, n_factors=2, noise=0.1, seed=0, gamma=None):
        rng = np.random.default_rng(seed)
        months = tuple(shift(MADE, t) for t in range(n_months))
        if sizes is None:
            sizes = rng.integers(10, 40, n_months)
            sizes[3:5] = 1, 0
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        characteristics = np.column_stack([rng.uniform(-0.5, 0.5, (bounds[-1], 3)), np.ones(bounds[-1])])
        if gamma is None:
            gamma = np.array([1.0, 0.5, 0.2, 0.7])[:, None] * rng.choice([-1.0, 1.0], (4, n_factors))
        factors = 0.1 * rng.normal(size=(n_months, gamma.shape[1]))
        fitted = np.sum((characteristics @ gamma) * np.repeat(factors, sizes, axis=0), axis=1)
        panel = PooledPanel(
            months=months,
            bounds=bounds,
            characteristics=characteristics,
            returns=fitted + noise * rng.normal(size=bounds[-1]),
            assets=np.array([f"A{row}" for row in range(bounds[-1])]),
            names=("size", "beta", "momentum", "constant"),
        )
        instruments = MonthlySeries(
            months=months, names=("mkt_rf", "smb", "hml"), values=0.05 * rng.normal(size=(n_months, 3))
        )
        return FactorPanel(panel, statistics_of(panel), gamma, factors, instruments)

    return make
