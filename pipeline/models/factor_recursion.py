"""Factors driven by instruments and by their own past: f_t = z_t Omega + tanh(f_{t-1}) AR.

Here belong the parameters of that recursion, its path, the derivatives of the path and the two ways of pulling
derivatives of a loss in the factors back to the parameters: backward through time for gradients, forward
sensitivities for curvature. What the factors are good for (loadings, losses) does not.

Source: the recurrent double-conditional factor model, equations 4 and 5; without AR the recursion is f_t = z_t Omega.
Vectors of parameters are ordered [Omega (P x K), AR (K x K), f_0 (K)], row major.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parameters:
    """Omega (P, K), AR (K, K) and f_0 (K,); the last two are None for factors without memory."""

    omega: np.ndarray
    ar: np.ndarray | None = None
    initial: np.ndarray | None = None

    @property
    def n_factors(self) -> int:
        """K."""
        return self.omega.shape[1]

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return sum(array.size for array in (self.omega, self.ar, self.initial) if array is not None)

    def vector(self) -> np.ndarray:
        """Return all parameters as one vector."""
        return np.concatenate([array.ravel() for array in (self.omega, self.ar, self.initial) if array is not None])

    @classmethod
    def from_vector(cls, vector: np.ndarray, n_instruments: int, n_factors: int) -> Parameters:
        """Read what :meth:`vector` gave."""
        split = n_instruments * n_factors
        omega, rest = vector[:split].reshape(n_instruments, n_factors), vector[split:]
        if not rest.size:
            return cls(omega)
        return cls(omega, rest[: n_factors**2].reshape(n_factors, n_factors), rest[n_factors**2 :])

    def step(self, instruments: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Return the (K,) factors after ``factor`` under the (P,) ``instruments``; equation 15 with their mean."""
        driven = instruments @ self.omega
        return driven if self.ar is None else driven + np.tanh(factor) @ self.ar


@dataclass(frozen=True)
class FactorPath:
    """Factors of T months and what their derivatives need.

    Attributes
    ----------
    instruments : np.ndarray
        (T, P), the constant among them.
    parameters : Parameters
        Of the recursion.
    factors : np.ndarray
        (T, K).
    lagged : np.ndarray
        (T, K) tanh(f_{t-1}); zeros without memory.
    """

    instruments: np.ndarray
    parameters: Parameters
    factors: np.ndarray
    lagged: np.ndarray

    @property
    def _slopes(self) -> np.ndarray:
        """(T, K) derivatives of tanh at f_{t-1}."""
        return 1.0 - self.lagged**2

    def gradient(self, by_factor: np.ndarray) -> np.ndarray:
        """Pull the derivatives of a loss by each f_t back to the parameters, backward through time.

        Parameters
        ----------
        by_factor : np.ndarray
            (T, K) partial derivatives, all else equal.

        Returns
        -------
        np.ndarray
            In the order of :meth:`Parameters.vector`.
        """
        ar = self.parameters.ar
        if ar is None:
            return (self.instruments.T @ by_factor).ravel()
        total = self.adjoint(by_factor)
        initial = (total[0] @ ar.T) * self._slopes[0]
        return np.concatenate([(self.instruments.T @ total).ravel(), (self.lagged.T @ total).ravel(), initial])

    def adjoint(self, by_factor: np.ndarray) -> np.ndarray:
        """Return the (T, K) total derivatives by each f_t, what it does to later factors included."""
        ar = self.parameters.ar
        if ar is None:
            return by_factor
        total, slopes, transposed = by_factor.copy(), self._slopes, np.ascontiguousarray(ar.T)
        for t in range(len(total) - 2, -1, -1):
            total[t] += (total[t + 1] @ transposed) * slopes[t + 1]
        return total

    def sensitivities(self) -> np.ndarray:
        """Return d f_t / d parameters, (T, K, size)."""
        periods, K = self.factors.shape
        P, ar = self.instruments.shape[1], self.parameters.ar
        result = np.zeros((periods, K, self.parameters.size))
        each = np.arange(K)
        driven = result[:, :, : P * K].reshape(periods, K, P, K)
        driven[:, each, :, each] = self.instruments
        if ar is None:
            return result
        memory = result[:, :, P * K : P * K + K * K].reshape(periods, K, K, K)
        memory[:, each, :, each] = self.lagged
        steps = ar.T * self._slopes[:, None, :]
        result[0, :, P * K + K * K :] = steps[0]
        for t in range(1, periods):
            result[t] += steps[t] @ result[t - 1]
        return result

    def bending(self, by_factor: np.ndarray, sensitivities: np.ndarray) -> np.ndarray:
        """Return what the second derivatives of the path add to the Hessian of a loss.

        Parameters
        ----------
        by_factor : np.ndarray
            (T, K) partial derivatives of the loss by each f_t.
        sensitivities : np.ndarray
            What :meth:`sensitivities` gave.

        Returns
        -------
        np.ndarray
            (size, size), sum over t of the adjoint times d2 f_t: from the bend of tanh, and from AR times f_{t-1}.
        """
        ar, size = self.parameters.ar, self.parameters.size
        if ar is None:
            return np.zeros((size, size))
        K, P = self.parameters.n_factors, self.instruments.shape[1]
        total, slopes = self.adjoint(by_factor), self._slopes
        # d f_{t-1} / d parameters, of f_0 itself for the first month.
        before = np.concatenate([np.zeros((1, K, size)), sensitivities[:-1]])
        before[0, :, P * K + K * K :] = np.eye(K)
        weights = (total @ ar.T) * (-2.0 * self.lagged * slopes)
        result = (before * weights[:, :, None]).reshape(-1, size).T @ before.reshape(-1, size)
        moved = (before * slopes[:, :, None]).reshape(len(before), K * size)
        cross = (total.T @ moved).reshape(K, K, size).transpose(1, 0, 2).reshape(K * K, size)
        block = slice(P * K, P * K + K * K)
        result[block] += cross
        result[:, block] += cross.T
        return result


def run(instruments: np.ndarray, parameters: Parameters) -> FactorPath:
    """Run the recursion over T months.

    Parameters
    ----------
    instruments : np.ndarray
        (T, P), the constant among them.
    parameters : Parameters
        Omega, AR and f_0.

    Returns
    -------
    FactorPath
        Factors of the T months.
    """
    factors = instruments @ parameters.omega
    lagged = np.zeros_like(factors)
    if parameters.ar is not None and parameters.initial is not None:
        last = np.tanh(parameters.initial)
        for t in range(len(factors)):
            lagged[t] = last
            factors[t] += last @ parameters.ar
            last = np.tanh(factors[t])
    return FactorPath(instruments, parameters, factors, lagged)
