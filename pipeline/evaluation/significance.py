"""Does an instrument matter at all? Bootstrap p-values of the rows of Gamma and of Omega.

Here belong tests that a whole row of parameters is zero, from sufficient statistics alone. How much an instrument
matters stands in :mod:`pipeline.evaluation.importance`.

The appendices of the source that describe its tests are not at hand; this is our reading, after the test of single
characteristics in Kelly, Pruitt and Su (2019). Both tests hold the other side of the product B_t f_t fixed: the factors
while Gamma is estimated anew (equation 13), Gamma while the parameters of the factors are. With ranked characteristics
W_t / n_t hardly changes from month to month; then what is not a mere rotation of the other side is orthogonal to the
row tested, and holding it fixed costs the test nothing as T grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.models.managed_portfolios import SufficientStatistics

# The multipliers of the residuals, as Kelly, Pruitt and Su (2019) draw them.
_DEGREES_OF_FREEDOM = 5
_DEVIATION = float(np.sqrt(_DEGREES_OF_FREEDOM / (_DEGREES_OF_FREEDOM - 2)))

# Directions of the parameters with less curvature than this share of the largest, after each is scaled to unit
# curvature, are not identified; neither the estimates nor the draws move along them.
_FLAT = 1e-10


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """How the residuals are drawn.

    Attributes
    ----------
    n_draws : int
        Bootstrap samples; p-values are multiples of 1 / (n_draws + 1).
    other_months : bool
        Whether a month's residual portfolio returns are those of a month drawn with replacement, per asset, as Kelly,
        Pruitt and Su have it, or the month's own. Their own keep volatile months where the factors are large, which
        returns ask for, so that is the default.
    seed : int
        Of the draws.
    """

    n_draws: int = 1000
    other_months: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a bootstrap without draws."""
        if self.n_draws < 1:
            raise ValueError(f"n_draws is {self.n_draws}; give at least 1")


def characteristic_p_values(
    statistics: SufficientStatistics, gamma: np.ndarray, factors: np.ndarray, settings: BootstrapSettings | None = None
) -> pl.DataFrame:
    """Test for each instrument of the loadings that its row of Gamma is zero.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of the T months of the estimation.
    gamma : np.ndarray
        (L, K), the least squares estimate given the factors.
    factors : np.ndarray
        (T, K).
    settings : BootstrapSettings, optional
        Number and kind of draws.

    Returns
    -------
    pl.DataFrame
        `name` of the L instruments, the constant among them; `statistic` gamma_l (F'F / T) gamma_l', the mean square
        that the row adds to a loading times its factor at a characteristic of one; `p`, the share of samples under
        the null with a statistic at least as large, the sample itself counted as one. Both are null for an instrument
        that is zero throughout.

    Raises
    ------
    ValueError
        If the factors are all zero.

    Notes
    -----
    Under the null X*_t = W_t Gamma_0 f_t + q_t u_t, with Gamma_0 = Gamma but for the row tested, u_t = X_t - W_t Gamma
    f_t and q_t a Student t with 5 degrees of freedom scaled to unit variance. Re-estimation is linear in X* while W and
    f stay: Gamma* = Gamma_0 + A^-1 vec(sum_t q_t u_t f_t'), A = sum_t W_t x f_t f_t'. So the draws of the tested row do
    not depend on Gamma_0, and one solve with as many right-hand sides as draws serves every instrument.
    """
    settings = settings or BootstrapSettings()
    periods, K = factors.shape
    size = len(statistics.names)
    fitted = factors @ gamma.T
    residuals = statistics.X - np.matmul(statistics.W, fitted[:, :, None])[:, :, 0]
    products = (factors[:, :, None] * factors[:, None, :]).reshape(periods, K * K)
    curvature = (products.T @ statistics.W.reshape(periods, size * size)).reshape(K, K, size, size)
    curvature = curvature.transpose(2, 0, 3, 1).reshape(size * K, size * K)
    inverse = _inverse(curvature, "Gamma: the factors are zero in every month")
    scores = [(drawn.T @ factors).ravel() for drawn in _residual_draws(residuals, statistics.n, settings)]
    draws = (np.array(scores) @ inverse).reshape(settings.n_draws, size, K)
    metric = factors.T @ factors / periods
    statistic = np.einsum("lj,jk,lk->l", gamma, metric, gamma)
    under_null = np.einsum("blj,jk,blk->bl", draws, metric, draws)
    tested = np.count_nonzero(np.diagonal(statistics.W, axis1=1, axis2=2), axis=0) > 0
    return _table(statistics.names, statistic, under_null, tested)


def instrument_p_values(
    statistics: SufficientStatistics,
    gamma: np.ndarray,
    factors: np.ndarray,
    sensitivities: np.ndarray,
    omega: np.ndarray,
    names: Sequence[str],
    settings: BootstrapSettings | None = None,
) -> pl.DataFrame:
    """Test for each factor instrument that its row of Omega is zero.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of the T months of the estimation.
    gamma : np.ndarray
        (L, K).
    factors : np.ndarray
        (T, K).
    sensitivities : np.ndarray
        (T, K, Q) derivatives of the factors by the parameters, Omega (row major) first, then those that are estimated
        beside it, AR and f_0; see :meth:`pipeline.models.factor_recursion.FactorPath.sensitivities`.
    omega : np.ndarray
        (P, K) coefficients of the instruments, the constant's among them.
    names : sequence of str
        The P instruments.
    settings : BootstrapSettings, optional
        Number and kind of draws.

    Returns
    -------
    pl.DataFrame
        `name`, `statistic` (the squared change of all fitted returns, to first order, when the row is set to zero) and
        `p` as in :func:`characteristic_p_values`; both null for an instrument that moves no factor.

    Raises
    ------
    ValueError
        If shapes disagree or no parameter moves a fitted return.

    Notes
    -----
    A score bootstrap: with S_t the sensitivities, the parameters of a sample under the null lie, to first order, at
    H^-1 sum_t q_t S_t' Gamma' u_t from the truth, H = sum_t S_t' Gamma' W_t Gamma S_t (Gauss-Newton), u_t and q_t as in
    :func:`characteristic_p_values`. The statistic is omega_l H_ll omega_l'. Nothing is estimated anew.
    """
    settings = settings or BootstrapSettings()
    periods, K = factors.shape
    P = len(names)
    if omega.shape != (P, K) or sensitivities.shape[:2] != (periods, K) or sensitivities.shape[2] < P * K:
        raise ValueError(
            f"omega has shape {omega.shape} and the sensitivities {sensitivities.shape}; {P} instruments and {K} "
            f"factors over {periods} months ask for {(P, K)} and {(periods, K)} by at least {P * K}"
        )
    fitted = factors @ gamma.T
    residuals = (statistics.X - np.matmul(statistics.W, fitted[:, :, None])[:, :, 0]) @ gamma
    weights = gamma.T @ (statistics.W.reshape(-1, len(statistics.names)) @ gamma).reshape(periods, -1, K)
    Q = sensitivities.shape[2]
    flat = sensitivities.reshape(periods * K, Q)
    curvature = flat.T @ np.matmul(weights, sensitivities).reshape(periods * K, Q)
    inverse = _inverse(curvature, "Omega: no parameter moves a fitted return")
    scores = [drawn.ravel() @ flat for drawn in _residual_draws(residuals, statistics.n, settings)]
    draws = (np.array(scores) @ inverse)[:, : P * K].reshape(settings.n_draws, P, K)
    blocks = curvature[: P * K, : P * K].reshape(P, K, P, K)[np.arange(P), :, np.arange(P)]
    statistic = np.einsum("lj,ljk,lk->l", omega, blocks, omega)
    under_null = np.einsum("blj,ljk,blk->bl", draws, blocks, draws)
    return _table(names, statistic, under_null, np.trace(blocks, axis1=1, axis2=2) > 0.0)


def _residual_draws(residuals: np.ndarray, n: np.ndarray, settings: BootstrapSettings) -> Iterator[np.ndarray]:
    """Yield (T, .) residuals of as many bootstrap samples as the settings ask for."""
    rng = np.random.default_rng(settings.seed)
    peopled = np.flatnonzero(n)
    for _ in range(settings.n_draws):
        multipliers = rng.standard_t(_DEGREES_OF_FREEDOM, len(n)) / _DEVIATION
        if settings.other_months:
            months = peopled[rng.integers(len(peopled), size=len(n))]
            yield residuals[months] * (multipliers * n / n[months])[:, None]
        else:
            yield residuals * multipliers[:, None]


def _inverse(curvature: np.ndarray, message: str) -> np.ndarray:
    """Return the inverse of a symmetric curvature along the directions that are identified, zero along the others."""
    diagonal = np.diagonal(curvature)
    if not (diagonal > 0.0).any():
        raise ValueError(f"nothing can be tested of {message}")
    scale = np.where(diagonal > 0.0, 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0)), 0.0)
    eigenvalues, vectors = np.linalg.eigh(curvature * np.outer(scale, scale))
    kept = eigenvalues > _FLAT * eigenvalues[-1]
    root = vectors[:, kept] / np.sqrt(eigenvalues[kept]) * scale[:, None]
    return root @ root.T


def _table(names: Sequence[str], statistic: np.ndarray, under_null: np.ndarray, tested: np.ndarray) -> pl.DataFrame:
    p = (1 + (under_null >= statistic).sum(axis=0)) / (1 + len(under_null))
    return pl.DataFrame(
        {"name": list(names), "statistic": statistic, "p": p, "tested": tested}, schema_overrides={"tested": pl.Boolean}
    ).select("name", *(pl.when("tested").then(column).alias(column) for column in ("statistic", "p")))
