"""The numerical steps of IPCA: starting value, factors given Gamma, one damped Newton step, identification.

Here belongs linear algebra on the arrays of :class:`SufficientStatistics`; months without a usable W have been left out
before. Settings, names, dates and the loop that calls these steps stand in :mod:`pipeline.models.ipca`.

Throughout G = [Gamma_beta, Gamma_alpha] is L x M with M = K (+ 1 with an intercept), f the K factors of a month and
h = [f, 1] the M-vector that multiplies G. Losses are sums of squared errors; gradient and curvature are of half the
loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dsyrk

# Directions of the instruments that hold less than this share of the largest pooled eigenvalue are collinear: Gamma is
# not identified along them and is set to zero there (the solution of least norm).
COLLINEAR = 1e-10

# A step may raise the loss by no more than the rounding error of the sum.
ROUNDING = 1e-13

# Damping 0 is Newton's step, 1 the alternating least squares step, which always lowers the loss.
DAMPINGS = (0.0, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Moments:
    """The arrays of one estimation: X (T, L), W (T, L, L), n (T,), the total of y'y, K and whether alpha is free."""

    X: np.ndarray
    W: np.ndarray
    n: np.ndarray
    yy: float
    n_factors: int
    intercept: bool

    def compressed(self, basis: np.ndarray) -> Moments:
        """Return the moments of the instruments C V for an orthonormal basis V (L x R)."""
        size, rank = basis.shape
        half = (self.W.reshape(-1, size) @ basis).reshape(-1, size, rank)
        W = np.matmul(basis.T, half)
        return Moments(self.X @ basis, W, self.n, self.yy, self.n_factors, self.intercept)


@dataclass(frozen=True)
class Point:
    """A value of G with what follows: factors (T, K), W G (T, L, M), normal matrices A of f (T, K, K), loss."""

    gamma: np.ndarray
    factors: np.ndarray
    WG: np.ndarray
    A: np.ndarray
    loss: float

    @property
    def multipliers(self) -> np.ndarray:
        """Return h = [f, 1], (T, M)."""
        extra = self.gamma.shape[1] - self.factors.shape[1]
        return np.hstack([self.factors, np.ones((len(self.factors), extra))])


def identified_basis(W: np.ndarray, instrument_months: int) -> np.ndarray | None:
    """Return an orthonormal basis of the identified directions of the instruments.

    Parameters
    ----------
    W : np.ndarray
        (T, L, L).
    instrument_months : int
        An instrument that is zero for all assets of some months counts only when it is not in at least this many.

    Returns
    -------
    np.ndarray or None
        (L, R), with zero rows for the instruments that do not count and without the directions in which the others are
        collinear; None where all directions are identified.
    """
    present = np.count_nonzero(np.diagonal(W, axis1=1, axis2=2), axis=0) >= min(instrument_months, len(W))
    eigenvalues, vectors = np.linalg.eigh(W.sum(axis=0)[np.ix_(present, present)])
    kept = eigenvalues > COLLINEAR * eigenvalues[-1]
    if present.all() and kept.all():
        return None
    basis = np.zeros((len(present), int(kept.sum())))
    basis[present] = np.eye(len(kept)) if kept.all() else vectors[:, kept]
    return basis


def starts(moments: Moments, number: int) -> Iterator[np.ndarray]:
    """Yield starting values of G: principal components of the whitened portfolios, then random mixtures of them.

    Were W_t = n_t Omega in every month, the loss would be sum_t n_t |x_t - Omega^(1/2) G h_t|^2 up to a constant, with
    x_t = Omega^(-1/2) X_t / n_t, and its minimum the principal components of x_t weighted by n_t (around the weighted
    mean with an intercept). W_t is close to that with ranked characteristics, so few steps remain. The loss can have
    several minima when K exceeds what the data hold; the random mixtures (normal, with the covariance of the x_t, the
    same in every call) look for the others.
    """
    eigenvalues, vectors = np.linalg.eigh(moments.W.sum(axis=0) / moments.n.sum())
    root = (vectors / np.sqrt(eigenvalues)) @ vectors.T
    portfolios = (moments.X / moments.n[:, None]) @ root
    weights = moments.n[:, None]
    mean = (weights * portfolios).sum(axis=0) / weights.sum()
    centred = portfolios - mean if moments.intercept else portfolios
    variances, components = np.linalg.eigh(centred.T @ (weights * centred))
    alpha = mean[:, None] if moments.intercept else np.empty((len(mean), 0))
    beta = components[:, ::-1][:, : moments.n_factors]
    yield orthonormal(root @ np.hstack([beta, alpha]), moments.n_factors)
    rng = np.random.default_rng(0)
    for _ in range(number - 1):
        draws = rng.standard_normal((len(mean), moments.n_factors))
        beta = (components * np.sqrt(np.maximum(variances, 0.0))) @ draws
        yield orthonormal(root @ np.hstack([beta, alpha]), moments.n_factors)


def orthonormal(gamma: np.ndarray, n_factors: int) -> np.ndarray:
    """Return G with Gamma_beta'Gamma_beta = I and Gamma_alpha orthogonal to it; the fitted returns do not change."""
    beta, _ = np.linalg.qr(gamma[:, :n_factors])
    alpha = gamma[:, n_factors:]
    return np.hstack([beta, alpha - beta @ (beta.T @ alpha)])


def evaluate(moments: Moments, gamma: np.ndarray) -> Point:
    """Return the factors that minimise the loss for this G, and the loss there.

    Month by month f solves (B'W B) f = B'(X - W a) with B = Gamma_beta, a = Gamma_alpha.

    Raises
    ------
    numpy.linalg.LinAlgError
        If B'W B is exactly singular in some month.
    """
    size, columns = gamma.shape
    K = moments.n_factors
    WG = (moments.W.reshape(-1, size) @ gamma).reshape(-1, size, columns)
    quadratic = np.matmul(gamma.T, WG)
    A = quadratic[:, :K, :K]
    linear = moments.X @ gamma
    right = linear[:, :K] - quadratic[:, :K, K:].sum(axis=2)
    factors = np.linalg.solve(A, right[:, :, None])[:, :, 0]
    explained = np.sum(right * factors)
    if moments.intercept:
        explained += np.sum(2.0 * linear[:, K] - quadratic[:, K, K])
    return Point(gamma, factors, WG, A, float(moments.yy - explained))


def _alternating_curvature(moments: Moments, multipliers: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return sum_t (h h') x (N'W_t N) as (M, P, M, P): the curvature in G with the factors held fixed."""
    columns, size = multipliers.shape[1], moments.X.shape[1]
    i, j = np.triu_indices(columns)
    pairs = (multipliers[:, i] * multipliers[:, j]).T @ moments.W.reshape(-1, size * size)
    blocks = np.matmul(normal.T, pairs.reshape(-1, size, size) @ normal)
    width = normal.shape[1]
    curvature = np.empty((columns, width, columns, width))
    for block, a, b in zip(blocks, i, j, strict=True):
        curvature[a, :, b, :] = block
        curvature[b, :, a, :] = block
    return curvature


def _factor_response(point: Point, errors: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the curvature that the factors take away as they follow G, (MP, MP), lower triangle.

    It is sum_t B_t A_t^-1 B_t' with the cross derivative B_t[(m, l), j] = h_m (N'W G)_lj - delta_mj (N'e)_l; with the
    Cholesky factor A_t = R R' the rows summed over are the columns of B_t R'^-1.
    """
    multipliers = point.multipliers
    periods, K = point.factors.shape
    columns, width = multipliers.shape[1], normal.shape[1]
    inverse_root = np.linalg.inv(np.linalg.cholesky(point.A))
    loadings = np.matmul(inverse_root, point.WG[:, :, :K].transpose(0, 2, 1)).reshape(periods * K, -1) @ normal
    rows = loadings.reshape(periods, K, 1, width) * multipliers[:, None, :, None]
    rows[:, :, :K] -= inverse_root[:, :, :, None] * (errors @ normal)[:, None, None, :]
    return dsyrk(1.0, rows.reshape(periods * K, columns * width).T, lower=1)


def steps(moments: Moments, point: Point) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (damping, step in G) from Newton's step to the alternating least squares step.

    Steps lie in the orthogonal complement of Gamma_beta: along it the loss does not change (rotations of the factors,
    shifts of alpha into the factors). A damping whose curvature is not positive definite is passed over.

    Notes
    -----
    With the factors concentrated out, the curvature in G is the alternating least squares curvature H less the factors'
    response S; damping d uses H - (1 - d) S. At d = 1 it is the least squares step for G given the factors.
    """
    K = moments.n_factors
    columns = point.gamma.shape[1]
    multipliers = point.multipliers
    normal = np.linalg.qr(point.gamma[:, :K], mode="complete")[0][:, K:]
    if normal.shape[1] == 0:  # Gamma_beta spans every instrument: all values of G fit alike
        yield 0.0, np.zeros_like(point.gamma)
        return
    errors = moments.X - np.matmul(point.WG, multipliers[:, :, None])[:, :, 0]
    descent = (multipliers.T @ errors @ normal).ravel()
    dimension = columns * normal.shape[1]
    alternating = _alternating_curvature(moments, multipliers, normal).reshape(dimension, dimension)
    response = _factor_response(point, errors, normal)
    for damping in DAMPINGS:
        try:
            factor = cho_factor(alternating - (1.0 - damping) * response, lower=True, check_finite=False)
        except LinAlgError:
            continue
        move = cho_solve(factor, descent, check_finite=False).reshape(columns, normal.shape[1])
        yield damping, normal @ move.T


def advance(
    moments: Moments, point: Point, dampings: tuple[float, ...] = DAMPINGS
) -> tuple[Point, float, float] | None:
    """Take the least damped step that doesn't raise the loss.

    Parameters
    ----------
    moments : Moments
        What to fit.
    point : Point
        Where to start from.
    dampings : tuple of float, optional
        Dampings that may be used; `(1.0,)` gives plain alternating least squares.

    Returns
    -------
    tuple or None
        The new point, the damping used, and the length of the step (largest entry; alpha in units of the factors' root
        mean square, as it has their scale). None where no step lowers the loss.
    """
    K = moments.n_factors
    scale = np.sqrt(np.mean(point.factors**2)) or 1.0
    for damping, step in steps(moments, point):
        if damping not in dampings:
            continue
        candidate = evaluate(moments, orthonormal(point.gamma + step, K))
        if candidate.loss <= point.loss + ROUNDING * moments.yy:
            length = max(np.abs(step[:, :K]).max(), np.abs(step[:, K:]).max(initial=0.0) / scale)
            return candidate, damping, float(length)
    return None


def identify(gamma: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotate to the identified form of Kelly, Pruitt and Su (2019).

    Parameters
    ----------
    gamma : np.ndarray
        (L, M) with orthonormal Gamma_beta first and, with an intercept, Gamma_alpha orthogonal to it.
    factors : np.ndarray
        (T, K).

    Returns
    -------
    tuple of np.ndarray
        Gamma and factors such that F'F/T is diagonal, descending, and every factor's mean is not negative.
    """
    K = factors.shape[1]
    rotation = np.linalg.eigh(factors.T @ factors)[1][:, ::-1]
    signs = np.where((factors @ rotation).mean(axis=0) < 0.0, -1.0, 1.0)
    rotation = rotation * signs
    return np.hstack([gamma[:, :K] @ rotation, gamma[:, K:]]), factors @ rotation
