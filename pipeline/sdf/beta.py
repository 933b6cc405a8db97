"""Beta networks: the same networks on the label F r, whose expectation is the expected excess return.

E_t[M r] = 0 with M = 1 - kappa F gives E_t[r] = kappa E_t[F r] (equations 1 and 6), kappa being what prices the factor
itself (:func:`pipeline.sdf.model.kernel_scale`). The networks here know F alone and nothing of kappa.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.sdf.configurations import SearchSettings
from pipeline.sdf.ensemble import Ensemble, train_ensemble
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.search import PieceProgress, Pieces, SearchResult, quiet_pieces, search

OBJECTIVE = "squared_error"


@dataclass(frozen=True, kw_only=True)
class BetaResult:
    """Networks that forecast F r.

    Attributes
    ----------
    ensemble : Ensemble
        Networks whose outputs are forecasts of the label over its scale.
    scale : float
        Root mean square of the label in the training months.
    """

    ensemble: Ensemble
    scale: float

    def forecast(self, panel: SdfPanel) -> np.ndarray:
        """Return E_t[F r] of every row, (n,) float64; returns are not looked at and may be missing."""
        return self.scale * self.ensemble.mean_output(panel)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return everything as named arrays and named strings, without loss of precision."""
        arrays, text = self.ensemble.to_arrays()
        return arrays | {"label_scale": np.array([self.scale])}, text

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> BetaResult:
        """Return what :meth:`to_arrays` was called on."""
        return cls(ensemble=Ensemble.from_arrays(arrays, text), scale=float(arrays["label_scale"][0]))


def labels(panel: SdfPanel, factor: np.ndarray) -> np.ndarray:
    """Return F r of every row, (n,), from the (D,) returns of the factor."""
    return factor[panel.date_of_row] * panel.known_returns()


def estimate_betas(
    parts: Sequence[SdfPanel],
    factors: Sequence[np.ndarray],
    settings: SearchSettings,
    pieces: Pieces,
    progress: PieceProgress = quiet_pieces,
) -> tuple[BetaResult, SearchResult]:
    """Search for the best beta network by the validation's mean squared error and train its ensemble.

    Labels are divided by their root mean square over the training months, so that learning rates and penalties mean
    the same whatever the size of the factor; scores are of these labels.

    Parameters
    ----------
    parts : sequence of SdfPanel
        Training and validation months.
    factors : sequence of np.ndarray
        (D,) returns of the stochastic discount factor in the months of both.
    settings : SearchSettings
        With the objective ``squared_error``.
    pieces : Pieces
        Where the search keeps its pieces.
    progress : callable
        Told of the pieces.

    Raises
    ------
    ValueError
        If the objective is another, or the factor is zero throughout.
    """
    if settings.training.objective != OBJECTIVE:
        raise ValueError(f"beta networks are trained for {OBJECTIVE!r}, not for {settings.training.objective!r}")
    found = [labels(panel, factor) for panel, factor in zip(parts, factors, strict=True)]
    scale = float(np.sqrt(np.mean(found[0] ** 2)))
    if not scale > 0.0:
        raise ValueError("the factor is zero in all training months; there is nothing to learn")
    training, validation = (replace(panel, returns=label / scale) for panel, label in zip(parts, found, strict=True))
    chosen = search(training, validation, settings, pieces, progress)
    ensemble = train_ensemble(training, validation, chosen.winner, settings.ensemble, settings.training)
    return BetaResult(ensemble=ensemble, scale=scale), chosen
