"""Instrumented principal component analysis (IPCA) from managed portfolios.

Here belong the estimator and its frozen result. The linear algebra of one step stands in
:mod:`pipeline.models.ipca_steps`, the recursion over months in :mod:`pipeline.models.ipca_recursion`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.models import ipca_steps
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix
from pipeline.models.storage import load_arrays, save_arrays

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class IPCAResult:
    """Parameters and factors of one estimation.

    Attributes
    ----------
    names : tuple of str
        The L instruments, the constant last: rows of Gamma.
    months : tuple of date
        The T months that entered the estimation (see :class:`IPCA` for those that do not).
    gamma : np.ndarray
        (L, K) Gamma_beta with Gamma_beta'Gamma_beta = I.
    gamma_alpha : np.ndarray or None
        (L,) intercepts orthogonal to Gamma_beta; None in the model without.
    factors : np.ndarray
        (T, K), decimals; F'F/T diagonal and descending, every mean non-negative.
    iterations : int
        Steps taken from the starting value that was kept.
    converged : bool
        Whether the last step was a Newton step no longer than the tolerance.
    loss : float
        Sum of squared errors over the months that entered.
    """

    names: tuple[str, ...]
    months: tuple[date, ...]
    gamma: np.ndarray
    gamma_alpha: np.ndarray | None
    factors: np.ndarray
    iterations: int
    converged: bool
    loss: float

    @property
    def mean_factor(self) -> np.ndarray:
        """The (K,) time-series mean of the factors: the estimated prices of risk lambda."""
        return self.factors.mean(axis=0)

    @property
    def loadings(self) -> np.ndarray:
        """Return [Gamma_beta, Gamma_alpha], (L, K) or (L, K + 1)."""
        return self.gamma if self.gamma_alpha is None else np.column_stack([self.gamma, self.gamma_alpha])

    def multipliers(self, factors: np.ndarray) -> np.ndarray:
        """Return `factors` (..., K) with a one appended for the intercept: what multiplies :attr:`loadings`."""
        ones = np.ones((*factors.shape[:-1], self.loadings.shape[1] - factors.shape[-1]))
        return np.concatenate([factors, ones], axis=-1)

    def realised_factors(self, statistics: SufficientStatistics) -> np.ndarray:
        """Return the factors of any months under this Gamma.

        Parameters
        ----------
        statistics : SufficientStatistics
            Months with the same instruments, inside or outside the estimation window.

        Returns
        -------
        np.ndarray
            (T, K); NaN in a month whose assets do not determine K factors.

        Raises
        ------
        ValueError
            If under this Gamma the loadings of all assets of a month are exactly collinear.
        """
        K = self.gamma.shape[1]
        usable = statistics.identifies(K)
        factors = np.full((len(statistics.months), K), np.nan)
        if usable.any():
            used = statistics.take(usable)
            with _naming(used.months):
                point = ipca_steps.evaluate(_moments(used, K, self.gamma_alpha is not None), self.loadings)
            factors[usable] = point.factors
        return factors

    def forecast(self, characteristics: pl.DataFrame) -> np.ndarray:
        """Return expected excess returns of the next month, C (Gamma_beta lambda + Gamma_alpha).

        Parameters
        ----------
        characteristics : pl.DataFrame
            One row an asset; the instrument columns (without the constant) known today, no nulls.

        Returns
        -------
        np.ndarray
            (N,) decimals, in the order of the rows.

        Raises
        ------
        ValueError
            If an instrument is absent or not finite.
        """
        matrix = instrument_matrix(characteristics, self.names[:-1])
        return matrix @ (self.loadings @ self.multipliers(self.mean_factor))

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the result as named arrays and named strings, without loss of precision."""
        arrays = {
            "gamma": self.gamma,
            "factors": self.factors,
            "months": np.array([(month - _EPOCH).days for month in self.months], dtype=np.int32),
            "loss": np.array([self.loss]),
        }
        if self.gamma_alpha is not None:
            arrays["gamma_alpha"] = self.gamma_alpha
        text = {
            "names": json.dumps(self.names),
            "iterations": json.dumps(self.iterations),
            "converged": json.dumps(self.converged),
        }
        return arrays, text

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> IPCAResult:
        """Rebuild what :meth:`to_arrays` gave; other keys are ignored."""
        return cls(
            names=tuple(json.loads(text["names"])),
            months=tuple(_EPOCH + timedelta(days=int(days)) for days in arrays["months"]),
            gamma=arrays["gamma"],
            gamma_alpha=arrays.get("gamma_alpha"),
            factors=arrays["factors"],
            iterations=json.loads(text["iterations"]),
            converged=json.loads(text["converged"]),
            loss=float(arrays["loss"][0]),
        )

    def save(self, path: Path) -> None:
        """Write the result to one safetensors file."""
        save_arrays(path, *self.to_arrays())

    @classmethod
    def load(cls, path: Path) -> IPCAResult:
        """Read a result that :meth:`save` wrote, bit for bit."""
        return cls.from_arrays(*load_arrays(path))


class IPCA:
    """Least squares estimator of r_i,t+1 = c_it' (Gamma_alpha + Gamma_beta f_t+1) + e_i,t+1.

    Parameters
    ----------
    n_factors : int
        K, the number of latent factors.
    intercept : bool, optional
        Whether Gamma_alpha is estimated (anomaly intercepts) or zero.
    tolerance : float, optional
        Largest entry of the last Newton step in Gamma. Convergence is quadratic, so the error that remains is of the
        order of its square: 1e-7 leaves Gamma exact to about 1e-13.
    max_iterations : int, optional
        Steps after which the estimation stops with `converged` False.
    starts : int, optional
        Starting values of a fit without an earlier result; the one that ends in the lowest loss is kept.
    instrument_months : int, optional
        Months in which an instrument must not be zero for all assets before it has loadings, unless it never is zero.
        Fewer than K such months leave its row of Gamma undetermined, a few more let it fit noise.

    Notes
    -----
    Kelly, Pruitt and Su (2019, Journal of Financial Economics 134) minimise the sum of squared errors over all assets
    and months by alternating least squares; every asset-month weighs the same. The loss depends on the panel through X,
    W and y'y of each month alone. Alternating steps converge linearly; here the factors are concentrated out and each
    step is Newton's on the loss in Gamma, damped toward the alternating step wherever Newton's would not lower the
    loss. Both have the same fixed points.

    Identification: Gamma_beta'Gamma_beta = I, F'F/T diagonal with descending entries, factor means non-negative, and
    Gamma_alpha'Gamma_beta = 0.

    Months whose assets do not determine K factors (fewer than K assets, or collinear ones) say nothing about Gamma and
    are left out. An instrument seen in fewer than `instrument_months` has a zero row of Gamma; directions in which
    instruments are collinear in every month get the solution of least norm.
    """

    def __init__(
        self,
        n_factors: int,
        *,
        intercept: bool = False,
        tolerance: float = 1e-7,
        max_iterations: int = 100,
        starts: int = 1,
        instrument_months: int = 24,
    ) -> None:
        if n_factors < 1:
            raise ValueError(f"n_factors is {n_factors}; at least one factor is needed")
        if max_iterations < 1 or starts < 1 or tolerance < 0.0:
            raise ValueError(
                f"max_iterations ({max_iterations}) and starts ({starts}) must be positive, "
                f"tolerance ({tolerance}) not negative"
            )
        self.n_factors = n_factors
        self.intercept = intercept
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.starts = starts
        self.instrument_months = instrument_months

    def fit(self, statistics: SufficientStatistics, start: IPCAResult | None = None) -> IPCAResult:
        """Estimate from the months given, all of them and no others.

        Parameters
        ----------
        statistics : SufficientStatistics
            Managed portfolios of the estimation window.
        start : IPCAResult, optional
            Earlier result to start from (same instruments, K and intercept). Without it, principal components of the
            whitened managed portfolios and `starts` - 1 random mixtures of them.

        Returns
        -------
        IPCAResult
            Identified parameters; `converged` says whether the tolerance was met.

        Raises
        ------
        ValueError
            If fewer than K + 1 months determine K factors, fewer than K instruments are linearly independent, `start`
            belongs to another model, or the loadings of some month become exactly collinear.
        """
        used = statistics.determined(self.n_factors)
        self._check(used, start)
        moments = _moments(used, self.n_factors, self.intercept)
        basis = ipca_steps.identified_basis(used.W, self.instrument_months)
        if basis is not None:
            moments = moments.compressed(basis)
        if moments.X.shape[1] < self.n_factors:
            raise ValueError(f"{moments.X.shape[1]} independent instruments cannot span {self.n_factors} factors")
        with _naming(used.months):
            point, iterations, converged = self._best(moments, self._initial(moments, basis, start))
        gamma, factors = ipca_steps.identify(point.gamma, point.factors)
        loadings = gamma if basis is None else basis @ gamma
        return IPCAResult(
            names=used.names,
            months=used.months,
            gamma=np.ascontiguousarray(loadings[:, : self.n_factors]),
            gamma_alpha=np.ascontiguousarray(loadings[:, self.n_factors]) if self.intercept else None,
            factors=np.ascontiguousarray(factors),
            iterations=iterations,
            converged=converged,
            loss=point.loss,
        )

    def _check(self, used: SufficientStatistics, start: IPCAResult | None) -> None:
        if len(used.months) <= self.n_factors:
            raise ValueError(
                f"{len(used.months)} months determine {self.n_factors} factors; more than {self.n_factors} are needed: "
                "lengthen the window or estimate fewer factors"
            )
        shape = (used.names, self.n_factors, self.intercept)
        if start is not None and (start.names, start.gamma.shape[1], start.gamma_alpha is not None) != shape:
            raise ValueError("the starting state has other instruments, factors or intercept; rebuild it or start cold")

    def _initial(
        self, moments: ipca_steps.Moments, basis: np.ndarray | None, start: IPCAResult | None
    ) -> Iterable[np.ndarray]:
        if start is None:
            return ipca_steps.starts(moments, self.starts)
        gamma = start.loadings if basis is None else basis.T @ start.loadings
        return [ipca_steps.orthonormal(gamma, self.n_factors)]

    def _best(self, moments: ipca_steps.Moments, initial: Iterable[np.ndarray]) -> tuple[ipca_steps.Point, int, bool]:
        # Minima that differ by rounding only count as one, and the first start that found it stands.
        outcomes = [self._minimise(moments, gamma) for gamma in initial]
        lowest = min(point.loss for point, _, _ in outcomes)
        return next(each for each in outcomes if each[0].loss <= lowest + ipca_steps.ROUNDING * moments.yy)

    def _minimise(self, moments: ipca_steps.Moments, gamma: np.ndarray) -> tuple[ipca_steps.Point, int, bool]:
        point = ipca_steps.evaluate(moments, gamma)
        for iteration in range(1, self.max_iterations + 1):
            moved = ipca_steps.advance(moments, point)
            if moved is None:
                return point, iteration, False
            point, damping, length = moved
            if damping == 0.0 and length <= self.tolerance:
                return point, iteration, True
        return point, self.max_iterations, False


@contextmanager
def _naming(months: Sequence[date]) -> Iterator[None]:
    """Turn a singular matrix into an error that says where to look."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"Gamma'W Gamma is singular in a month of {months[0]} to {months[-1]}: the loadings of all its assets are "
            "collinear; estimate fewer factors or leave the month out"
        ) from error


def _moments(statistics: SufficientStatistics, n_factors: int, intercept: bool) -> ipca_steps.Moments:
    return ipca_steps.Moments(
        statistics.X, statistics.W, statistics.n, float(statistics.yy.sum()), n_factors, intercept
    )
