"""A stochastic discount factor linear in given factors, estimated by the generalised method of moments.

Here belongs the linear pricing kernel M_t = 1 - b'f_t on excess returns of test assets: estimates, tests of its
overidentifying restrictions and of its restricted forms. Which factors are tried side by side stands in
``pipeline.models.kernel_table``; kernels on portfolio weights that networks choose live in ``pipeline.sdf``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.stats import chi2

from pipeline.evaluation.r2 import r_squared
from pipeline.models.linear_settings import FIRST_STAGE, IDENTITY, ITERATED, SECOND_MOMENTS, TWO_STEP, GmmSettings


def _identity(returns: np.ndarray) -> np.ndarray:
    return np.eye(returns.shape[1])


def _inverse_second_moments(returns: np.ndarray) -> np.ndarray:
    return np.linalg.inv(returns.T @ returns / len(returns))


FIRST_WEIGHTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {IDENTITY: _identity, SECOND_MOMENTS: _inverse_second_moments}
)
"""Weights of the first stage: every asset alike, or the inverse second moments of Hansen and Jagannathan (1997)."""


class UnidentifiedKernel(ValueError):
    """The returns and factors can't tell the prices: too few assets or months, or dependent assets or factors."""


@dataclass(frozen=True, kw_only=True)
class LinearSdf:
    """An estimated kernel M = 1 - b'f.

    Attributes
    ----------
    names : tuple of str
        The K factors.
    b, standard_errors : np.ndarray
        (K,) prices and their standard errors.
    covariance : np.ndarray
        (K, K) of b.
    pricing_errors : np.ndarray
        (N,) mean of M R^e, decimals.
    j, p : float or None
        J statistic of all moments and its p-value; None where there are as many factors as assets.
    degrees_of_freedom : int
        N - K.
    stage : str
        As in the settings.
    iterations : int
        Estimates made: 1, 2 or as many as convergence took.
    converged : bool
        Whether the tolerance was met; True for stages that do not iterate.
    sharpe : float or None
        Mean over standard deviation (T - 1) of b'f, monthly, factors as they are given: of the factor portfolio where
        factors are excess returns, a description of the kernel otherwise. None where b'f does not vary.
    explained_variation : float or None
        Equation 8 of the residuals of the assets' time-series regressions on a constant and the factors. The source
        does not say which residuals it takes; a projection on 30 loadings in every cross-section of 40 portfolios
        would explain far more than its 0.54.
    r2 : float or None
        Mean over assets of the centred R-squared of these regressions; None where an asset's return is constant.
    cross_sectional_r2 : float or None
        1 - sum of squared pricing errors / sum of squared mean returns.
    n_months : int
        T.
    """

    names: tuple[str, ...]
    b: np.ndarray
    standard_errors: np.ndarray
    covariance: np.ndarray
    pricing_errors: np.ndarray
    j: float | None
    p: float | None
    degrees_of_freedom: int
    stage: str
    iterations: int
    converged: bool
    sharpe: float | None
    explained_variation: float | None
    r2: float | None
    cross_sectional_r2: float | None
    n_months: int


@dataclass(frozen=True, kw_only=True)
class DifferenceTest:
    """A test that some prices are zero.

    Attributes
    ----------
    statistic, p : float
        T times the rise of the criterion under the restriction, and its chi-squared p-value.
    degrees_of_freedom : int
        Restrictions.
    """

    statistic: float
    p: float
    degrees_of_freedom: int


def estimate_linear_sdf(
    returns: np.ndarray, factors: np.ndarray, names: Sequence[str], settings: GmmSettings | None = None
) -> LinearSdf:
    """Estimate the prices b from E[(1 - b'f) R^e] = 0.

    Parameters
    ----------
    returns : np.ndarray
        (T, N) excess returns of the test assets, decimals.
    factors : np.ndarray
        (T, K) factors of the same months, K at most N.
    names : sequence of str
        Of the K factors.
    settings : GmmSettings, optional
        Stage, weights, demeaning.

    Returns
    -------
    LinearSdf
        Prices, tests and fit.

    Raises
    ------
    UnidentifiedKernel
        If there are fewer assets than factors or no more months than assets, or the returns of the assets or the
        factors' covariances with them are linearly dependent.
    ValueError
        If shapes disagree or a number is not finite.

    Notes
    -----
    With D = sum_t R_t f_t' / T and mu the mean returns, b = (D'W D)^-1 D'W mu. Covariance of b: the sandwich with the
    moments' covariance S at b. J of an efficient stage is T g'W g with the W that b was estimated with; of the first
    stage T g' V^+ g with V = P S P', P = I - D (D'W D)^-1 D'W (Hansen 1982; Cochrane 2005, chapter 11).
    """
    settings = settings or GmmSettings()
    problem = _Problem.of(returns, factors, names, settings)
    weight = FIRST_WEIGHTS[settings.first_weight](problem.returns)
    b, iterations, converged = problem.prices(weight), 1, True
    if settings.stage != FIRST_STAGE:
        most = 2 if settings.stage == TWO_STEP else settings.max_iterations
        b, weight, iterations, converged = _reweighted(problem, b, most)
        converged = converged or settings.stage == TWO_STEP
    covariance = problem.covariance(b, weight)
    errors = problem.errors(b)
    excess = problem.D.shape[0] - problem.D.shape[1]
    j = _j_statistic(problem, b, weight, efficient=settings.stage != FIRST_STAGE) if excess else None
    explained, r2 = _time_series_fit(problem.returns, np.asarray(factors, dtype=np.float64))
    return LinearSdf(
        names=tuple(names),
        b=b,
        standard_errors=np.sqrt(np.diag(covariance)),
        covariance=covariance,
        pricing_errors=errors,
        j=j,
        p=None if j is None else float(chi2.sf(j, excess)),
        degrees_of_freedom=excess,
        stage=settings.stage,
        iterations=iterations,
        converged=converged,
        sharpe=_sharpe(np.asarray(factors, dtype=np.float64) @ b),
        explained_variation=explained,
        r2=r2,
        cross_sectional_r2=r_squared(float(errors @ errors), float(problem.mean @ problem.mean)),
        n_months=len(problem.returns),
    )


def difference_j(
    returns: np.ndarray,
    factors: np.ndarray,
    names: Sequence[str],
    restricted: Sequence[str],
    settings: GmmSettings | None = None,
) -> DifferenceTest:
    """Test that factors outside the restricted model have prices of zero.

    Parameters
    ----------
    returns, factors, names, settings
        Of the unrestricted model, as in :func:`estimate_linear_sdf`; a first stage cannot be tested so.
    restricted : sequence of str
        Factors that the restricted model keeps, fewer than all.

    Returns
    -------
    DifferenceTest
        Both models weighted with the moments' covariance that the unrestricted one was estimated with.

    Raises
    ------
    ValueError
        If the restricted model is not a part of the unrestricted one, or the stage is the first.

    Notes
    -----
    Newey and West (1987), the D test; the moments being linear it equals the Wald test with the same weights.
    """
    settings = settings or GmmSettings()
    kept = [place for place, name in enumerate(names) if name in set(restricted)]
    if len(kept) != len(restricted) or not 0 < len(kept) < len(names):
        raise ValueError(f"the restricted factors {list(restricted)} must be some, not all, of {list(names)}")
    if settings.stage == FIRST_STAGE:
        raise ValueError(f"the difference of J statistics needs efficient weights: choose {TWO_STEP} or {ITERATED}")
    whole = _Problem.of(returns, factors, names, settings)
    first = whole.prices(FIRST_WEIGHTS[settings.first_weight](whole.returns))
    b, weight, _, _ = _reweighted(whole, first, 2 if settings.stage == TWO_STEP else settings.max_iterations)
    part = _Problem.of(returns, np.asarray(factors)[:, kept], [names[place] for place in kept], settings)
    above, below = part.errors(part.prices(weight)), whole.errors(b)
    rise = len(whole.returns) * float(above @ weight @ above - below @ weight @ below)
    degrees = len(names) - len(kept)
    return DifferenceTest(statistic=rise, p=float(chi2.sf(rise, degrees)), degrees_of_freedom=degrees)


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Returns, factors as they enter the kernel, and the moments' derivative D with the mean returns."""

    returns: np.ndarray
    factors: np.ndarray
    D: np.ndarray
    mean: np.ndarray
    settings: GmmSettings

    @classmethod
    def of(cls, returns: np.ndarray, factors: np.ndarray, names: Sequence[str], settings: GmmSettings) -> _Problem:
        R, F = np.asarray(returns, dtype=np.float64), np.asarray(factors, dtype=np.float64)
        if R.ndim != 2 or F.shape != (len(R), len(names)) or not np.isfinite(R).all() or not np.isfinite(F).all():
            raise ValueError(
                f"returns {R.shape} and factors {F.shape} of {len(names)} names must be finite with one row a month"
            )
        if not 0 < F.shape[1] <= R.shape[1] < len(R):
            raise UnidentifiedKernel(
                f"{F.shape[1]} factors, {R.shape[1]} assets, {len(R)} months: the moments ask for at least one factor, "
                "no more factors than assets and more months than assets"
            )
        # The rank of the second moments, not of the returns: they are what the weights invert.
        unit = R / np.linalg.norm(R, axis=0).clip(min=np.finfo(float).tiny)
        rank = int(np.linalg.matrix_rank(unit.T @ unit, hermitian=True))
        if rank < R.shape[1]:
            raise UnidentifiedKernel(
                f"the returns of the {R.shape[1]} assets are linearly dependent (rank {rank}), so that their moments "
                f"have no inverse to weight them with; leave out {R.shape[1] - rank} of the assets that others make up"
            )
        if settings.demean_factors:
            F = F - F.mean(axis=0)
        D = R.T @ F / len(R)
        scaled = D / np.linalg.norm(D, axis=0).clip(min=np.finfo(float).tiny)
        if np.linalg.matrix_rank(scaled) < F.shape[1]:
            raise UnidentifiedKernel(
                f"the returns' moments with {list(names)} are linearly dependent; leave a factor out"
            )
        return cls(returns=R, factors=F, D=D, mean=R.mean(axis=0), settings=settings)

    def prices(self, weight: np.ndarray) -> np.ndarray:
        weighted = self.D.T @ weight
        return np.linalg.solve(weighted @ self.D, weighted @ self.mean)

    def errors(self, b: np.ndarray) -> np.ndarray:
        return self.mean - self.D @ b

    def moment_covariance(self, b: np.ndarray) -> np.ndarray:
        moments = self.returns * (1.0 - self.factors @ b)[:, None]
        if self.settings.centre_moments:
            moments = moments - moments.mean(axis=0)
        S = moments.T @ moments
        for lag in range(1, self.settings.lags + 1):
            cross = moments[lag:].T @ moments[:-lag]
            S = S + (1.0 - lag / (self.settings.lags + 1)) * (cross + cross.T)
        return S / len(moments)

    def covariance(self, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
        weighted = self.D.T @ weight
        bread = np.linalg.inv(weighted @ self.D)
        return bread @ weighted @ self.moment_covariance(b) @ weighted.T @ bread / len(self.returns)


def _reweighted(problem: _Problem, first: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Re-estimate with the inverse covariance of the moments until b settles or `most` estimates are made.

    Returns b, the weights it was estimated with, the estimates made (the first counted) and whether b settled.
    """
    b, precision = first, np.empty(0)
    for made in range(2, most + 1):
        weight = np.linalg.inv(problem.moment_covariance(b))
        before, b = b, problem.prices(weight)
        if made == 2:
            precision = len(problem.returns) * problem.D.T @ weight @ problem.D
        settled = bool((b - before) @ precision @ (b - before) <= problem.settings.tolerance)
        if settled or made == most:
            return b, weight, made, settled
    raise AssertionError("at least one re-estimate is made: most is at least 2")


def _j_statistic(problem: _Problem, b: np.ndarray, weight: np.ndarray, *, efficient: bool) -> float:
    errors = problem.errors(b)
    if efficient:
        return float(len(problem.returns) * errors @ weight @ errors)
    n_assets, K = problem.D.shape
    weighted = problem.D.T @ weight
    P = np.eye(n_assets) - problem.D @ np.linalg.solve(weighted @ problem.D, weighted)
    values, vectors = np.linalg.eigh(P @ problem.moment_covariance(b) @ P.T)
    # The K smallest eigenvalues are zero but for rounding: the first-order conditions set that many moments to zero.
    directions = vectors[:, K:].T @ errors
    return float(len(problem.returns) * np.sum(directions**2 / values[K:]))


def _time_series_fit(returns: np.ndarray, factors: np.ndarray) -> tuple[float | None, float | None]:
    """Explained variation and mean R-squared of the assets' regressions on a constant and the factors."""
    design = np.column_stack([np.ones(len(factors)), factors])
    coefficients, *_ = np.linalg.lstsq(design, returns, rcond=None)
    squared = np.sum((returns - design @ coefficients) ** 2, axis=0)
    spread = np.sum((returns - returns.mean(axis=0)) ** 2, axis=0)
    r2 = float(np.mean(1.0 - squared / spread)) if (spread > 0.0).all() else None
    return r_squared(float(squared.sum()), float(np.sum(returns**2))), r2


def _sharpe(series: np.ndarray) -> float | None:
    deviation = float(series.std(ddof=1))
    return float(series.mean()) / deviation if deviation > 0.0 else None
