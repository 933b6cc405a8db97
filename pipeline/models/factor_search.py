"""The function that an estimation of factors with or without memory minimises, with its exact derivatives.

Here belongs putting together what a point needs: the path of the factors, the loss in them, the penalty, the chart on
which the search moves. Where a search starts and which result counts stands in
:mod:`pipeline.models.conditional_factors`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.models import factor_recursion
from pipeline.models.concentrated_loss import ConcentratedLoss, Profile
from pipeline.models.factor_chart import chart
from pipeline.models.factor_constraints import Penalty
from pipeline.models.factor_model import Sample
from pipeline.models.factor_recursion import FactorPath, Parameters

Found = tuple[float, Parameters, int, bool]
"""Of a search: the lowest value, where it was found, the steps taken, whether the gradient vanished."""


class Search:
    """The function of (Omega, AR, f_0) that is minimised: 1 - R2 plus the penalty; see :mod:`factor_chart`.

    Parameters
    ----------
    instruments : np.ndarray
        (T, P), the constant among them.
    loss : ConcentratedLoss
        Loss in the factors.
    n_factors : int
        K.
    limits : Penalty
        Of the factors.
    """

    def __init__(self, instruments: np.ndarray, loss: ConcentratedLoss, n_factors: int, limits: Penalty) -> None:
        self.instruments, self.loss, self.n_factors, self.limits = instruments, loss, n_factors, limits

    def begin(self, initial: Parameters, weight: float) -> np.ndarray:
        """Return the starting vector around ``initial``, and set the weight of the limits."""
        self._chart = chart(initial)
        self._at: np.ndarray | None = None
        self.limits = replace(self.limits, weight=weight)
        return self._chart.origin

    def parameters(self, vector: np.ndarray) -> Parameters:
        """Return the parameters that a vector stands for."""
        return self._chart.parameters(vector)

    def visit(self, parameters: Parameters) -> tuple[FactorPath, Profile]:
        """Return the factors and the best loadings."""
        path = factor_recursion.run(self.instruments, parameters)
        return path, self.loss.at(path.factors)

    def _arrive(self, vector: np.ndarray) -> bool:
        """Compute everything at a point; False where it is undefined, as with collinear factors."""
        # The optimiser asks for value and curvature of the same point in turn.
        if self._at is None or not np.array_equal(vector, self._at):
            self._at = vector.copy()
            try:
                self._path, self._profile = self.visit(self.parameters(vector))
                self._penalty = self.limits.at(self._path.factors)
            except np.linalg.LinAlgError:
                self._defined = False
                return False
            self._defined = True
            self._by_factor = (2.0 / self.loss.squares) * self._profile.by_factor + self._penalty.by_factor
            self._gradient = self._path.gradient(self._by_factor)
        return self._defined

    def value_and_gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return what is minimised with its gradient; infinite where it is undefined."""
        if not self._arrive(vector):
            return np.inf, np.zeros_like(vector)
        value = self._profile.loss / self.loss.squares + self._penalty.value
        return value, self._chart.slope(vector).T @ self._gradient

    def hessian(self, vector: np.ndarray) -> np.ndarray:
        """Return the exact second derivatives."""
        if not self._arrive(vector):
            return np.eye(len(vector))
        slope = self._chart.slope(vector)
        sensitivities = self._path.sensitivities()
        moves = sensitivities @ slope
        curved = (2.0 / self.loss.squares) * self._profile.curvature(moves) + self._penalty.curvature(moves)
        bent = slope.T @ self._path.bending(self._by_factor, sensitivities) @ slope
        return curved + bent + self._chart.bend(vector, self._gradient)

    def reduced_rank(self, sample: Sample) -> np.ndarray:
        """Return the (P, K) Omega of the reduced rank regression of the mean managed portfolios on the instruments."""
        responses = _responses(sample)
        slopes, *_ = np.linalg.lstsq(self.instruments, responses, rcond=None)
        fitted = self.instruments @ slopes
        directions = np.linalg.svd(fitted, full_matrices=False)[2][: self.n_factors].T
        return slopes @ directions


def _responses(sample: Sample) -> np.ndarray:
    """Return (T, ...) means of managed portfolios, or returns with what is missing at zero."""
    if sample.statistics is not None:
        return sample.statistics.X / np.maximum(sample.statistics.n, 1)[:, None]
    return np.nan_to_num(sample.returns.values)
