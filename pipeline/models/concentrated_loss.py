"""Least squares in the factors alone: for any factors the best loadings are known, so they are solved out.

Half the sum of squared errors is minimised over the loadings in closed form (equation 13); what remains is a function
of the factors, whose derivatives hold the loadings fixed (envelope theorem), with a curvature that does not. Two
cases: loadings on characteristics, from the managed portfolios X = C'r and W = C'C, and a free loading for every
asset, from its own returns. How the factors arise from parameters stands in :mod:`pipeline.models.factor_recursion`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pipeline.models.factor_model import AssetReturns
from pipeline.models.ipca_steps import COLLINEAR, identified_basis
from pipeline.models.managed_portfolios import SufficientStatistics

# Assets whose curvature is computed at once: bounds memory at K x parameters x this many numbers.
_ASSETS_AT_ONCE = 2_048


class Profile(Protocol):
    """The best loadings for given factors."""

    loss: float
    """Sum of squared errors."""

    by_factor: np.ndarray
    """(T, K) derivatives of half the loss by the factors."""

    loadings: np.ndarray
    """(L, K) Gamma, or (N, K) betas."""

    def curvature(self, sensitivities: np.ndarray) -> np.ndarray:
        """Return the second derivatives of half the loss by parameters on which the factors depend linearly.

        ``sensitivities`` (T, K, p) are the factors' derivatives by the parameters; the result is (p, p).
        """


class ConcentratedLoss(Protocol):
    """A loss in the factors, the loadings solved out."""

    squares: float
    """The loss of factors that are zero."""

    @property
    def width(self) -> int:
        """Managed portfolios, or assets, that have loadings."""

    def at(self, factors: np.ndarray) -> Profile:
        """Solve for the loadings given (T, K) factors."""


# Loadings on characteristics


class CharacteristicLoss:
    """Squared errors of r = C Gamma f + e from the managed portfolios.

    Parameters
    ----------
    statistics : SufficientStatistics
        T months.
    instrument_months : int
        Characteristics seen in fewer months have a zero row of Gamma; see
        :func:`pipeline.models.ipca_steps.identified_basis`.
    """

    def __init__(self, statistics: SufficientStatistics, instrument_months: int) -> None:
        self.squares = float(statistics.yy.sum())
        self._basis = identified_basis(statistics.W, instrument_months)
        self.X, self.W = statistics.X, statistics.W
        if self._basis is not None:
            half = (self.W.reshape(-1, len(self._basis)) @ self._basis).reshape(len(self.W), *self._basis.shape)
            self.X, self.W = self.X @ self._basis, np.matmul(self._basis.T, half)
        self._flat = np.ascontiguousarray(self.W.reshape(len(self.W), -1))

    @property
    def width(self) -> int:
        """See :class:`ConcentratedLoss`."""
        return self.X.shape[1]

    def at(self, factors: np.ndarray) -> CharacteristicProfile:
        """Solve equation 13 for Gamma given (T, K) factors.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the factors are collinear.
        """
        K, L = factors.shape[1], self.X.shape[1]
        first, second = np.triu_indices(K)
        sums = ((factors[:, first] * factors[:, second]).T @ self._flat).reshape(-1, L, L)
        normal = np.empty((K, K, L, L))
        normal[first, second] = sums
        normal[second, first] = sums
        matrix = normal.transpose(2, 0, 3, 1).reshape(L * K, L * K)
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        right = self.X.T @ factors
        gamma = cho_solve(factor, right.ravel(), check_finite=False).reshape(L, K)
        loss = self.squares - float(np.sum(right * gamma))
        return CharacteristicProfile(self.X, self.W, factors, gamma, factor, loss, self._basis)


class CharacteristicProfile:
    """Gamma given factors; see :class:`Profile`."""

    def __init__(
        self,
        X: np.ndarray,
        W: np.ndarray,
        factors: np.ndarray,
        gamma: np.ndarray,
        normal: tuple[np.ndarray, bool],
        loss: float,
        basis: np.ndarray | None,
    ) -> None:
        self.loss, self._factors, self._gamma, self._normal = loss, factors, gamma, normal
        self.loadings = gamma if basis is None else basis @ gamma
        self._W = W
        self._errors = X - np.matmul(W, (factors @ gamma.T)[:, :, None])[:, :, 0]
        self.by_factor = -self._errors @ gamma

    def curvature(self, sensitivities: np.ndarray) -> np.ndarray:
        """See :meth:`Profile.curvature`."""
        periods, K, size = sensitivities.shape
        L, gamma = len(self._gamma), self._gamma
        W_gamma = (self._W.reshape(-1, L) @ gamma).reshape(periods, L, K)
        moved = np.matmul(W_gamma, sensitivities)
        explained = np.matmul(gamma.T, moved)
        own = sensitivities.reshape(-1, size).T @ explained.reshape(-1, size)
        cross = (self._factors.T @ moved.reshape(periods, -1)).reshape(K, L, size).transpose(1, 0, 2)
        cross = cross - (self._errors.T @ sensitivities.reshape(periods, -1)).reshape(L, K, size)
        cross = cross.reshape(L * K, size)
        result = own - cross.T @ cho_solve(self._normal, cross, check_finite=False)
        return 0.5 * (result + result.T)


# Loadings of single assets


def assets_with_loadings(returns: AssetReturns, instruments: np.ndarray, asset_months: int) -> np.ndarray:
    """Return which assets have loadings of their own, whatever the factors will be.

    Parameters
    ----------
    returns : AssetReturns
        T months by N assets, NaN where absent.
    instruments : np.ndarray
        (T, P) factor instruments, the constant among them.
    asset_months : int
        Returns an asset needs.

    Returns
    -------
    np.ndarray
        (N,) bool. False with fewer returns, and where the instruments are collinear over the asset's own months:
        factors made of them could then be too, and at each such point of a search the loss would jump.
    """
    there = ~np.isnan(returns.values)
    enough = there.sum(axis=0) >= asset_months
    periods, P = instruments.shape
    products = (instruments[:, :, None] * instruments[:, None, :]).reshape(periods, P * P)
    moments = (there[:, enough].astype(np.float64).T @ products).reshape(-1, P, P)
    lengths = np.sqrt(np.diagonal(moments, axis1=1, axis2=2))
    lengths = np.where(lengths > 0.0, lengths, 1.0)
    eigenvalues = np.linalg.eigvalsh(moments / (lengths[:, :, None] * lengths[:, None, :]))
    enough[enough] = eigenvalues[:, 0] > COLLINEAR * eigenvalues[:, -1]
    return enough


class AssetLoss:
    """Squared errors of r_i = f b_i + e_i over the months in which asset i has a return.

    Parameters
    ----------
    returns : AssetReturns
        T months by N assets, NaN where absent.
    enough : np.ndarray
        (N,) bool, what :func:`assets_with_loadings` gives; the other assets do not enter.
    """

    def __init__(self, returns: AssetReturns, enough: np.ndarray) -> None:
        there = ~np.isnan(returns.values)
        self.enough = enough
        self._seen = np.ascontiguousarray(there[:, self.enough], dtype=np.float64)
        self._returns = np.where(there, returns.values, 0.0)[:, self.enough]
        self.squares = float(np.sum(self._returns**2))

    @property
    def width(self) -> int:
        """See :class:`ConcentratedLoss`."""
        return self._returns.shape[1]

    def at(self, factors: np.ndarray) -> AssetProfile:
        """Regress each asset on (T, K) factors, without an intercept.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the factors are collinear over the months of an asset.
        """
        return AssetProfile(self._seen, self._returns, factors, self.enough, self.squares)


class AssetProfile:
    """Betas given factors; see :class:`Profile`."""

    def __init__(
        self, seen: np.ndarray, returns: np.ndarray, factors: np.ndarray, enough: np.ndarray, squares: float
    ) -> None:
        periods, K = factors.shape
        self._seen, self._factors = seen, factors
        products = (factors[:, :, None] * factors[:, None, :]).reshape(periods, K * K)
        self._normal = (seen.T @ products).reshape(-1, K, K)
        right = returns.T @ factors
        # Cholesky refuses what solve would let pass: factors that are collinear over an asset's months.
        np.linalg.cholesky(self._normal)
        self._betas = np.linalg.solve(self._normal, right[:, :, None])[:, :, 0]
        self.loss = squares - float(np.sum(right * self._betas))
        self._errors = returns - seen * (factors @ self._betas.T)
        self.by_factor = -self._errors @ self._betas
        self.loadings = np.full((len(enough), K), np.nan)
        self.loadings[enough] = self._betas

    def curvature(self, sensitivities: np.ndarray) -> np.ndarray:
        """See :meth:`Profile.curvature`."""
        periods, K, size = sensitivities.shape
        outer = (self._betas[:, :, None] * self._betas[:, None, :]).reshape(-1, K * K)
        explained = np.matmul((self._seen @ outer).reshape(periods, K, K), sensitivities)
        result = sensitivities.reshape(-1, size).T @ explained.reshape(-1, size)
        by_factor = np.ascontiguousarray(sensitivities.transpose(1, 0, 2))
        for start in range(0, len(self._betas), _ASSETS_AT_ONCE):
            some = slice(start, start + _ASSETS_AT_ONCE)
            cross = self._cross(some, by_factor)
            result -= np.tensordot(cross, np.linalg.solve(self._normal[some], cross), axes=([0, 1], [0, 1]))
        return 0.5 * (result + result.T)

    def _cross(self, some: slice, by_factor: np.ndarray) -> np.ndarray:
        """Second derivatives by the loadings of some assets and the parameters, (assets, K, parameters)."""
        K, _, size = by_factor.shape
        betas, seen, errors = self._betas[some], self._seen[:, some], self._errors[:, some]
        cross = np.empty((len(betas), K, size))
        for j in range(K):
            weighted = (seen * self._factors[:, [j]]).T
            cross[:, j] = sum(betas[:, [k]] * (weighted @ by_factor[k]) for k in range(K)) - errors.T @ by_factor[j]
        return cross
