"""Coordinates in which the search for Omega, AR and f_0 is easy.

The loadings are solved out, so any turn of the factors, f to f R, explains as much as long as tanh is nearly straight:
without memory exactly, with memory almost. In Omega and AR themselves these almost flat directions are curved, and a
search crawls along them. Here they get coordinates of their own. With g = f R^-1,

    g_t = z_t Omega_0 + tanh(g_{t-1} R) R^-1 M,

K rows of Omega_0 are held where they started, and R enters through the bend of tanh alone. Without memory there is no
R at all. Nothing here knows the loss.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg import qr

from pipeline.models.factor_recursion import Parameters


class Chart(Protocol):
    """Coordinates around a starting value."""

    origin: np.ndarray
    """Where the start lies."""

    def parameters(self, vector: np.ndarray) -> Parameters:
        """Return the parameters at some coordinates."""

    def slope(self, vector: np.ndarray) -> np.ndarray:
        """Return the derivatives of the parameters' vector (rows) by the coordinates (columns)."""

    def bend(self, vector: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the second derivatives of ``gradient @ parameters`` by the coordinates."""


def chart(initial: Parameters) -> Chart:
    """Return coordinates around a starting value."""
    return StaticChart(initial) if initial.ar is None else MemoryChart(initial)


def _free_rows(omega: np.ndarray) -> np.ndarray:
    """Return which rows of Omega stay free: all but the K that determine the rotation best."""
    held = qr(omega.T, pivoting=True, mode="r")[1][: omega.shape[1]]
    free = np.ones(len(omega), dtype=bool)
    free[held] = False
    return free


class StaticChart:
    """Coordinates of factors without memory: Omega but for K rows."""

    def __init__(self, initial: Parameters) -> None:
        self._omega = initial.omega
        self._free = np.repeat(_free_rows(initial.omega), initial.n_factors)
        self.origin = initial.vector()[self._free]

    def parameters(self, vector: np.ndarray) -> Parameters:
        """See :class:`Chart`."""
        omega = self._omega.ravel().copy()
        omega[self._free] = vector
        return Parameters(omega.reshape(self._omega.shape))

    def slope(self, vector: np.ndarray) -> np.ndarray:
        """See :class:`Chart`."""
        return np.eye(self._free.size)[:, self._free]

    def bend(self, vector: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """See :class:`Chart`."""
        return np.zeros((len(vector), len(vector)))


class MemoryChart:
    """Coordinates of factors with memory: the free rows of Omega_0, g_0, M and R."""

    def __init__(self, initial: Parameters) -> None:
        assert initial.ar is not None
        assert initial.initial is not None
        self._start = np.vstack([initial.omega, initial.initial])
        self._free = np.append(_free_rows(initial.omega), True)
        K = initial.n_factors
        self.origin = np.concatenate([self._start[self._free].ravel(), initial.ar.ravel(), np.eye(K).ravel()])

    def _split(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return [Omega_0; g_0], M and R."""
        K = self._start.shape[1]
        rows, memory, turn = np.split(vector, [len(vector) - 2 * K * K, len(vector) - K * K])
        start = self._start.copy()
        start[self._free] = rows.reshape(-1, K)
        return start, memory.reshape(K, K), turn.reshape(K, K)

    def parameters(self, vector: np.ndarray) -> Parameters:
        """See :class:`Chart`."""
        start, memory, turn = self._split(vector)
        turned = start @ turn
        return Parameters(turned[:-1], np.linalg.solve(turn, memory @ turn), turned[-1])

    def slope(self, vector: np.ndarray) -> np.ndarray:
        """See :class:`Chart`."""
        start, memory, turn = self._split(vector)
        K, rows = len(turn), len(start)
        eye, inverse = np.eye(K), np.linalg.inv(turn)
        ar = inverse @ memory @ turn
        by_rows = np.kron(np.eye(rows)[:, self._free], turn.T)
        linear = np.concatenate([by_rows, np.zeros((rows * K, K * K)), np.kron(start, eye)], axis=1)
        by_memory = np.kron(inverse, turn.T)
        by_turn = np.kron(ar @ inverse, eye) - np.kron(inverse, ar.T)
        memory_rows = np.concatenate([np.zeros((K * K, by_rows.shape[1])), by_memory, by_turn], axis=1)
        # The parameters' vector has AR between Omega and f_0.
        return np.concatenate([linear[:-K], memory_rows, linear[-K:]])

    def bend(self, vector: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """See :class:`Chart`."""
        _, memory, turn = self._split(vector)
        K, size = len(turn), len(vector)
        inverse = np.linalg.inv(turn)
        ar = inverse @ memory @ turn
        split = gradient.size - K * K - K
        by_rows = np.concatenate([gradient[:split], gradient[-K:]]).reshape(-1, K)
        by_ar = gradient[split:-K].reshape(K, K)
        result = np.zeros((size, size))
        first, second = slice(size - 2 * K * K, size - K * K), slice(size - K * K, size)
        # [Omega_0; g_0] R is bilinear.
        rows = int(self._free.sum())
        cross = np.einsum("ic,ab->iabc", by_rows[self._free], np.eye(K)).reshape(rows * K, K * K)
        result[: rows * K, second] = cross
        # R^-1 M R along dM = R D R^-1 and dR = R E bends by 2 (E E B - E B E + D E - E D), B being its value.
        units = np.eye(K * K).reshape(K * K, K, K)
        E = inverse @ units
        D = E @ turn
        weighted = by_ar.T
        result[first, second] = np.einsum("aij,bjk,ki->ab", D, E, weighted) - np.einsum(
            "bij,ajk,ki->ab", E, D, weighted
        )
        EB = E @ ar
        turning = np.einsum("aij,bjk,ki->ab", E, EB, weighted) - np.einsum("aij,bjk,ki->ab", EB, E, weighted)
        upper = result + result.T
        upper[second, second] += turning + turning.T
        return upper
