"""The ways to the weights of a portfolio, by objective: how each is found, stored and carried on.

Here belongs what an objective is to those who walk through the months. How its networks learn stands in the modules of
the networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from pipeline.sdf.ensemble import train_ensemble
from pipeline.sdf.gan import GanResult, estimate_gan, search_gan
from pipeline.sdf.model import SdfResult
from pipeline.sdf.panel import SdfPanel, Standardisation
from pipeline.sdf.search import PieceProgress, Pieces, SearchResult, search
from pipeline.sdf.settings import GAN, MISPRICING, SHARPE, SdfSettings

Parts = tuple[SdfPanel, SdfPanel]
"""Training and validation months, unscaled."""


class Portfolio(Protocol):
    """Weights w of an estimated stochastic discount factor M = 1 - kappa w'r."""

    @property
    def lookback(self) -> int:
        """Months before a month whose macro series its weights look at."""

    @property
    def standardisation(self) -> Standardisation:
        """Columns and scaling of what the networks see."""

    def weights(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return (n,) weights; ``history`` holds the months of the lookback."""

    def factor(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return (D,) returns w'r; ``history`` holds the months of the lookback."""

    def carried_on(self, panel: SdfPanel, epochs: int) -> Portfolio:
        """Return the portfolio with its networks carried on over all months so far."""

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return everything as named arrays and named strings, without loss of precision."""


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """How the weights of one objective are found.

    Attributes
    ----------
    estimate : callable
        From training and validation months, settings, pieces and progress to the ensemble of the winner and the search
        that it won.
    restored : callable
        From what the portfolio's ``to_arrays`` gave back to the portfolio.
    """

    estimate: Callable[[Parts, SdfSettings, Pieces, PieceProgress], tuple[Portfolio, SearchResult]]
    restored: Callable[[dict[str, np.ndarray], dict[str, str]], Portfolio]


def _by_networks(
    objective: str, parts: Parts, settings: SdfSettings, pieces: Pieces, progress: PieceProgress
) -> tuple[SdfResult, SearchResult]:
    wanted = settings.of_weights(objective)
    chosen = search(*parts, wanted, pieces, progress)
    return SdfResult(ensemble=train_ensemble(*parts, chosen.winner, wanted.ensemble, wanted.training)), chosen


def _by_gan(
    parts: Parts, settings: SdfSettings, pieces: Pieces, progress: PieceProgress
) -> tuple[GanResult, SearchResult]:
    wanted = settings.of_gan()
    chosen = search_gan(*parts, wanted, pieces, progress)
    return estimate_gan(*parts, chosen.winner, wanted.ensemble, wanted.training), chosen


ESTIMATORS: dict[str, Estimator] = {
    MISPRICING: Estimator(estimate=partial(_by_networks, MISPRICING), restored=SdfResult.from_arrays),
    SHARPE: Estimator(estimate=partial(_by_networks, SHARPE), restored=SdfResult.from_arrays),
    GAN: Estimator(estimate=_by_gan, restored=GanResult.from_arrays),
}
"""By objective of :class:`pipeline.sdf.settings.SdfSettings`."""
