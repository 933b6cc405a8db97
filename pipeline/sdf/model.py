"""The stochastic discount factor as a portfolio: weights and the factor they earn.

How the networks behind it were found and trained stands in :mod:`pipeline.sdf.search` and
:mod:`pipeline.sdf.ensemble`; measures of its performance are not kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.sdf.batches import Batch
from pipeline.sdf.ensemble import Ensemble
from pipeline.sdf.objectives import Bound, clipped_dates
from pipeline.sdf.panel import SdfPanel


@dataclass(frozen=True, kw_only=True)
class SdfResult:
    """An estimated stochastic discount factor M = 1 - w'r.

    Attributes
    ----------
    ensemble : Ensemble
        Networks whose outputs are portfolio weights before the bound.
    """

    ensemble: Ensemble

    def weights(self, panel: SdfPanel) -> np.ndarray:
        """Return the portfolio weights: the mean of the members' weights, each bounded month by month.

        Parameters
        ----------
        panel : SdfPanel
            Unscaled; returns are not looked at and may be missing.

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

    def factor(self, panel: SdfPanel) -> np.ndarray:
        """Return F = w'r of each month, (D,) decimals; all returns must be known."""
        return portfolio_returns(self.weights(panel), panel)


def portfolio_returns(weights: np.ndarray, panel: SdfPanel) -> np.ndarray:
    """Return w'r of each month, (D,), from (n,) weights; each month is summed by itself."""
    products = weights * panel.known_returns()
    return np.array([products[a:b].sum() for a, b in zip(panel.bounds[:-1], panel.bounds[1:], strict=True)])
