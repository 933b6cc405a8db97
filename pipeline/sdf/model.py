"""The stochastic discount factor as a portfolio: weights and the factor they earn.

How the networks behind it were found and trained stands in :mod:`pipeline.sdf.search` and
:mod:`pipeline.sdf.ensemble`; measures of its performance are not kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from pipeline.sdf.batches import Batch
from pipeline.sdf.ensemble import Ensemble, refit
from pipeline.sdf.objectives import Bound, clipped_dates
from pipeline.sdf.panel import SdfPanel, Standardisation


@dataclass(frozen=True, kw_only=True)
class SdfResult:
    """An estimated stochastic discount factor M = 1 - kappa w'r, kappa of :func:`kernel_scale`.

    Attributes
    ----------
    ensemble : Ensemble
        Networks whose outputs are portfolio weights before the bound.
    lookback : int
        0: weights look at no earlier month than their own.
    """

    ensemble: Ensemble
    lookback: ClassVar[int] = 0

    @property
    def standardisation(self) -> Standardisation:
        """Columns and scaling of what the networks see."""
        return self.ensemble.standardisation

    def weights(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return the portfolio weights: the mean of the members' weights, each bounded month by month.

        Parameters
        ----------
        panel : SdfPanel
            Unscaled; returns are not looked at and may be missing.
        history : SdfPanel or None
            Not looked at; portfolios with a lookback need it.

        Returns
        -------
        np.ndarray
            (n,) float64, of the currency invested; they need not sum to anything. A month's weights depend on nothing
            but that month's rows.
        """
        bound = Bound(size=self.ensemble.settings.bound, batch_size=self.ensemble.configuration.batch_size)

        def bounded(outputs: Tensor, batch: Batch) -> Tensor:
            return clipped_dates(outputs, batch, bound)

        return self.ensemble.mean_output(panel, bounded)

    def factor(self, panel: SdfPanel, history: SdfPanel | None = None) -> np.ndarray:
        """Return F = w'r of each month, (D,) decimals; all returns must be known."""
        return portfolio_returns(self.weights(panel, history), panel)

    def carried_on(self, panel: SdfPanel, epochs: int) -> SdfResult:
        """Return the portfolio with its networks carried on over all months so far; see :func:`refit`."""
        return SdfResult(ensemble=refit(self.ensemble, panel, epochs))

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return everything as named arrays and named strings, without loss of precision."""
        return self.ensemble.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> SdfResult:
        """Return what :meth:`to_arrays` was called on."""
        return cls(ensemble=Ensemble.from_arrays(arrays, text))


def portfolio_returns(weights: np.ndarray, panel: SdfPanel) -> np.ndarray:
    """Return w'r of each month, (D,), from (n,) weights; each month is summed by itself."""
    products = weights * panel.known_returns()
    return np.array([products[a:b].sum() for a, b in zip(panel.bounds[:-1], panel.bounds[1:], strict=True)])


def kernel_scale(factor: np.ndarray) -> float:
    """Return kappa, with which M = 1 - kappa F prices F itself: mean(F) / mean(F^2).

    The bound on the weights and the linearised Sharpe ratio leave the size of F open. E[M F] = 0 fixes it, and with it
    the level of expected excess returns, E_t[r] = kappa E_t[F r]. It is negative where F has lost on average.

    Parameters
    ----------
    factor : np.ndarray
        (D,) returns of the portfolio, decimals.

    Raises
    ------
    ArithmeticError
        If the portfolio earned nothing in any month.
    """
    square = float(np.mean(factor**2))
    if not square > 0.0:
        raise ArithmeticError(f"the factor is zero in all {len(factor)} months; it prices nothing")
    return float(np.mean(factor)) / square
