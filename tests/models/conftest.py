"""A simulated market with a known conditional factor structure, small enough for every test of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipeline.models.managed_portfolios import SufficientStatistics, managed_portfolios


@dataclass(frozen=True)
class Market:
    panel: pl.DataFrame
    instruments: list[str]
    months: list[date]
    gamma: np.ndarray
    factors: np.ndarray

    def statistics(self, months: list[date] | None = None) -> SufficientStatistics:
        frame = managed_portfolios(self.panel, self.instruments, months or self.months)
        return SufficientStatistics.from_frame(frame, self.instruments)


def _ranks(values: np.ndarray) -> np.ndarray:
    return (values.argsort(axis=0).argsort(axis=0) + 0.5) / len(values) - 0.5


def simulate(
    n_months: int = 84,
    n_assets: int = 60,
    n_characteristics: int = 6,
    n_factors: int = 3,
    noise: float = 0.05,
    alpha: float = 0.0,
    seed: int = 0,
) -> Market:
    rng = np.random.default_rng(seed)
    size = n_characteristics + 1
    gamma = np.linalg.qr(rng.normal(size=(size, n_factors)))[0]
    factors = rng.normal(size=(n_months, n_factors)) * np.linspace(0.08, 0.05, n_factors) + 0.02
    months = [date(1990 + i // 12, i % 12 + 1, 1) for i in range(n_months)]
    instruments = [f"c{i}_r" for i in range(n_characteristics)]
    latent = rng.normal(size=(n_assets, n_characteristics))
    blocks = []
    for t, month in enumerate(months):
        latent = 0.9 * latent + np.sqrt(1 - 0.81) * rng.normal(size=latent.shape)
        alive = np.sort(rng.choice(n_assets, size=rng.integers(n_assets // 2, n_assets + 1), replace=False))
        ranked = _ranks(latent[alive])
        matrix = np.column_stack([ranked, np.ones(len(alive))])
        returns = matrix @ gamma @ factors[t] + alpha * matrix[:, 0] + noise * rng.normal(size=len(alive))
        columns = {name: ranked[:, j] for j, name in enumerate(instruments)}
        isins = [f"XS{i:010d}" for i in alive]
        blocks.append(pl.DataFrame({"month": [month] * len(alive), "isin": isins, "ret_excess": returns, **columns}))
    return Market(pl.concat(blocks), instruments, months, gamma, factors)


@pytest.fixture(scope="session")
def make_market() -> Callable[..., Market]:
    return simulate


@pytest.fixture(scope="session")
def market() -> Market:
    return simulate()


@pytest.fixture(scope="session")
def market_with_alpha() -> Market:
    return simulate(alpha=0.05, seed=4)
