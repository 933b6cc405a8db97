"""What a set of factors must satisfy: not too collinear, not too large, not vanishing.

Every constraint is a function of the K x K second moments of the factors, so its derivatives by any parameters follow
from how the parameters move those moments. Here belong the constraints and the penalty made of them; minimising does
not.

Source: section 3.1 of the RDCFM paper asks for variance inflation factors below 2 and for a "maximum norm of the
factors, scaled by the number of observations," below one. The second can be read in two ways, :data:`NORMS`; the
default is the root mean square, which bounds how far a typical factor reaches into the bend of tanh.

The source has no lower limit. Without one there is often no optimum: where the memory is linear, or there is none, the
loss falls for ever while the factors shrink into the straight part of tanh and the loadings grow. At :data:`SMALLEST`
tanh is straight to 0.01%, so that the limit costs nothing that could be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Relative to 1 - R2: one hundredth above a limit costs as much as 0.0001 of R2 under the stiff penalty. A search that
# starts far away begins with the soft one: along a stiff wall it crawls.
STIFF, SOFT = 1.0, 0.01

# Root mean square below which a factor may not shrink.
SMALLEST = 0.02

# A limit counts as kept up to this share of it; a quadratic penalty gives way a little.
TOLERANCE = 0.01


class Constraint(Protocol):
    """Values, one a factor, that must stay below a limit."""

    centred: bool
    """Whether it looks at the covariance matrix or at the raw second moments."""

    def values(self, moments: np.ndarray, periods: int) -> np.ndarray:
        """Return the (K,) values at (K, K) moments of so many months."""

    def slope(self, moments: np.ndarray, periods: int, k: int) -> np.ndarray:
        """Return the (K, K) symmetric derivative of the k-th value by the moments."""

    def bend(self, moments: np.ndarray, k: int, directions: np.ndarray) -> np.ndarray:
        """Return the (p, p) second derivatives of the k-th value along (p, K, K) directions."""


class VarianceInflation:
    """Variance inflation factors: Var(f_k) [Var(f)^-1]_kk, one where a factor is uncorrelated with the others."""

    centred = True

    def values(self, moments: np.ndarray, periods: int) -> np.ndarray:
        """See :class:`Constraint`; numpy.linalg.LinAlgError where the factors are collinear."""
        return np.diag(moments) * np.diag(np.linalg.inv(moments))

    def slope(self, moments: np.ndarray, periods: int, k: int) -> np.ndarray:
        """See :class:`Constraint`."""
        precision = np.linalg.inv(moments)
        result = -moments[k, k] * np.outer(precision[k], precision[k])
        result[k, k] += precision[k, k]
        return result

    def bend(self, moments: np.ndarray, k: int, directions: np.ndarray) -> np.ndarray:
        """See :class:`Constraint`."""
        precision = np.linalg.inv(moments)
        turned = directions @ precision[k]
        crossed = np.outer(directions[:, k, k], turned @ precision[k])
        return 2.0 * moments[k, k] * (turned @ precision @ turned.T) - crossed - crossed.T


class SquaredNorm:
    """Squared Euclidean norms of the factors, divided by a power of T.

    Parameters
    ----------
    power : int
        1 for the mean square, 2 for the square of the norm over T.
    """

    centred = False

    def __init__(self, power: int) -> None:
        self.power = power

    def _scale(self, periods: int) -> float:
        return float(periods) ** (1 - self.power)

    def values(self, moments: np.ndarray, periods: int) -> np.ndarray:
        """See :class:`Constraint`."""
        return np.diag(moments) * self._scale(periods)

    def slope(self, moments: np.ndarray, periods: int, k: int) -> np.ndarray:
        """See :class:`Constraint`."""
        result = np.zeros_like(moments)
        result[k, k] = self._scale(periods)
        return result

    def bend(self, moments: np.ndarray, k: int, directions: np.ndarray) -> np.ndarray:
        """See :class:`Constraint`: none, it is linear in the moments."""
        return np.zeros((len(directions), len(directions)))


class Smallness:
    """A floor for the root mean square of the factors: its square over the mean square of each."""

    centred = False

    def __init__(self, floor: float) -> None:
        self.square = floor**2

    def values(self, moments: np.ndarray, periods: int) -> np.ndarray:
        """See :class:`Constraint`."""
        return self.square / np.diag(moments)

    def slope(self, moments: np.ndarray, periods: int, k: int) -> np.ndarray:
        """See :class:`Constraint`."""
        result = np.zeros_like(moments)
        result[k, k] = -self.square / moments[k, k] ** 2
        return result

    def bend(self, moments: np.ndarray, k: int, directions: np.ndarray) -> np.ndarray:
        """See :class:`Constraint`."""
        along = directions[:, k, k]
        return 2.0 * self.square / moments[k, k] ** 3 * np.outer(along, along)


NORMS: Mapping[str, int] = {"rms": 1, "over_periods": 2}
"""Readings of the scaled norm: the norm over the square root of T, and over T."""


@dataclass(frozen=True)
class _Broken:
    """One limit that is not kept."""

    excess: float
    moved: np.ndarray
    slope: np.ndarray
    bend: Callable[[np.ndarray], np.ndarray]
    centred: bool


class PenaltyAt:
    """The penalty at (T, K) factors.

    Attributes
    ----------
    value : float
        The sum of squared excesses.
    by_factor : np.ndarray
        (T, K) derivatives.
    """

    def __init__(self, factors: np.ndarray, broken: list[_Broken], weight: float) -> None:
        self._broken, self._weight = broken, weight
        self.value = weight * sum(each.excess**2 for each in broken)
        self.by_factor = np.zeros_like(factors)
        for each in broken:
            self.by_factor += (4.0 * weight * each.excess / len(factors)) * (each.moved @ each.slope)

    def curvature(self, sensitivities: np.ndarray) -> np.ndarray:
        """Return the second derivatives by parameters on which the factors depend linearly.

        ``sensitivities`` (T, K, p) are the factors' derivatives; the result is (p, p).
        """
        periods, K, size = sensitivities.shape
        result = np.zeros((size, size))
        for each in self._broken:
            moves = sensitivities - sensitivities.mean(axis=0) if each.centred else sensitivities
            half = (each.moved.T @ moves.reshape(periods, -1)).reshape(K, K, size).transpose(2, 0, 1) / periods
            directions = half + half.transpose(0, 2, 1)
            gradient = np.tensordot(directions, each.slope, axes=2)
            turned = np.matmul(each.slope, moves).reshape(-1, size)
            second = (2.0 / periods) * (moves.reshape(-1, size).T @ turned) + each.bend(directions)
            result += 2.0 * self._weight * (np.outer(gradient, gradient) + each.excess * second)
        return result


@dataclass(frozen=True)
class Penalty:
    """The limits on factors, each with a quadratic penalty above it.

    Attributes
    ----------
    limits : tuple of (Constraint, float)
        What must stay below which value.
    weight : float
        Of the squared excess over a limit.
    """

    limits: tuple[tuple[Constraint, float], ...] = ()
    weight: float = STIFF

    def at(self, factors: np.ndarray) -> PenaltyAt:
        """Return the penalty of (T, K) factors with its derivatives."""
        return PenaltyAt(factors, list(self._broken(factors)), self.weight)

    def kept(self, factors: np.ndarray) -> bool:
        """Whether every limit is kept, up to :data:`TOLERANCE` of it."""
        return all((values <= limit * (1.0 + TOLERANCE)).all() for values, limit in self._values(factors))

    def _values(self, factors: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        for constraint, limit in self.limits:
            moved = _moved(factors, constraint)
            yield constraint.values(moved.T @ moved / len(factors), len(factors)), limit

    def _broken(self, factors: np.ndarray) -> Iterator[_Broken]:
        periods = len(factors)
        for constraint, limit in self.limits:
            moved = _moved(factors, constraint)
            moments = moved.T @ moved / periods
            values = constraint.values(moments, periods)
            for k in map(int, np.flatnonzero(values > limit)):
                slope = constraint.slope(moments, periods, k)
                yield _Broken(values[k] - limit, moved, slope, _bend(constraint, moments, k), constraint.centred)


def _moved(factors: np.ndarray, constraint: Constraint) -> np.ndarray:
    return factors - factors.mean(axis=0) if constraint.centred else factors


def _bend(constraint: Constraint, moments: np.ndarray, k: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda directions: constraint.bend(moments, k, directions)


def penalty(n_factors: int, max_inflation: float, norm: str, max_norm: float) -> Penalty:
    """Return the limits that apply to so many factors; a single one has no variance inflation."""
    sizes = ((SquaredNorm(NORMS[norm]), max_norm**2), (Smallness(SMALLEST), 1.0))
    return Penalty((*sizes, (VarianceInflation(), max_inflation)) if n_factors > 1 else sizes)
