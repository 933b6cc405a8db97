"""Market regimes: a Gaussian hidden Markov model of the returns of a few portfolios.

Here belongs the estimation of states, their order and their probabilities. Smoothed probabilities know the whole sample
and are for pictures; whatever is used forward takes filtered ones, under parameters estimated on the months so far, as
``pipeline.models.regime_recursion`` gives them month by month.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from hmmlearn.base import ConvergenceMonitor
from hmmlearn.hmm import GaussianHMM
from scipy.stats import multivariate_normal

from pipeline.models.linear_settings import RegimeSettings


@dataclass(frozen=True, kw_only=True)
class Regimes:
    """An estimated hidden Markov model; state 1 (row 0) has the highest mean over the portfolios, and so on down.

    Attributes
    ----------
    start : np.ndarray
        (S,) probabilities of the first month's state.
    transition : np.ndarray
        (S, S) from row to column.
    means : np.ndarray
        (S, N) in the unit of the returns.
    covariances : np.ndarray
        (S, N, N).
    log_likelihood : float
        Of the returns in their unit.
    iterations : int
        EM iterations of the kept start.
    converged : bool
        Whether the kept start ended by its tolerance.
    log_likelihoods : np.ndarray
        (n_starts,) of each start's end, NaN for one that broke down; how far they lie apart tells whether more starts
        are needed.
    n_converged : int
        Starts that ended by their tolerance.
    n_months : int
        T.
    """

    start: np.ndarray
    transition: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    log_likelihood: float
    iterations: int
    converged: bool
    log_likelihoods: np.ndarray
    n_converged: int
    n_months: int

    @property
    def n_states(self) -> int:
        """S."""
        return len(self.start)

    def filtered(self, returns: np.ndarray) -> np.ndarray:
        """Return the (T, S) probabilities of each month's state given the (T, N) returns up to that month."""
        densities = self._log_densities(returns)
        forward = np.empty_like(densities)
        with np.errstate(divide="ignore"):
            state, steps = np.log(self.start), np.log(self.transition)
        for t, density in enumerate(densities):
            if t:
                state = np.logaddexp.reduce(forward[t - 1][:, None] + steps, axis=0)
            forward[t] = state + density
            forward[t] -= np.logaddexp.reduce(forward[t])
        return np.exp(forward)

    def smoothed(self, returns: np.ndarray) -> np.ndarray:
        """Return the (T, S) probabilities of each month's state given the returns of all months."""
        return self._chain().predict_proba(returns)

    def likeliest_path(self, returns: np.ndarray) -> np.ndarray:
        """Return the (T,) states, counted from 0, of the single likeliest path."""
        return self._chain().predict(returns)

    def description(self, returns: np.ndarray) -> pl.DataFrame:
        """Return what the states are like.

        Returns
        -------
        pl.DataFrame
            `state` (from 1), `mean` over portfolios, `volatility` of the equally weighted portfolio within the state,
            `largest_eigenvalue` of the covariance (what the source calls the state's volatility), `expected_months` a
            visit lasts, `share` of the months (smoothed), in the order of the states.
        """
        n_assets = self.means.shape[1]
        return pl.DataFrame(
            {
                "state": np.arange(1, self.n_states + 1),
                "mean": self.means.mean(axis=1),
                "volatility": np.sqrt(self.covariances.sum(axis=(1, 2))) / n_assets,
                "largest_eigenvalue": np.linalg.eigvalsh(self.covariances)[:, -1],
                "expected_months": 1.0 / np.maximum(1.0 - np.diag(self.transition), np.finfo(float).tiny),
                "share": self.smoothed(returns).mean(axis=0),
            }
        )

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the result as named arrays and named strings, without loss of precision."""
        arrays = {name: getattr(self, name) for name in _ARRAYS} | {"numbers": np.array([self.log_likelihood])}
        return arrays, {"counts": json.dumps([self.iterations, self.converged, self.n_converged, self.n_months])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> Regimes:
        """Rebuild what :meth:`to_arrays` gave."""
        iterations, converged, n_converged, n_months = json.loads(text["counts"])
        return cls(
            **{name: arrays[name] for name in _ARRAYS},
            log_likelihood=float(arrays["numbers"][0]),
            iterations=iterations,
            converged=converged,
            n_converged=n_converged,
            n_months=n_months,
        )

    def _log_densities(self, returns: np.ndarray) -> np.ndarray:
        returns = np.ascontiguousarray(returns, dtype=np.float64)
        states = zip(self.means, self.covariances, strict=True)
        return np.column_stack([multivariate_normal(*state).logpdf(returns).reshape(len(returns)) for state in states])

    def _chain(self) -> GaussianHMM:
        chain = GaussianHMM(n_components=self.n_states, covariance_type="full")
        chain.startprob_, chain.transmat_, chain.means_ = self.start, self.transition, self.means
        chain.covars_ = self.covariances
        return chain


_ARRAYS = ("start", "transition", "means", "covariances", "log_likelihoods")


def estimate_regimes(returns: np.ndarray, n_states: int, settings: RegimeSettings | None = None) -> Regimes:
    """Estimate the states by EM from many starts.

    Parameters
    ----------
    returns : np.ndarray
        (T, N) returns of the portfolios, rising in time, no value missing, in any unit. Each row is taken as the month
        after the row before: where months were left out for a gap, those around it count as adjacent.
    n_states : int
        States of the chain, at least 2.
    settings : RegimeSettings, optional
        Starts, prior, stopping rule.

    Returns
    -------
    Regimes
        The end with the highest posterior density among the starts that converged; among all, with ``converged``
        false, where none did.

    Raises
    ------
    ValueError
        If a value is not finite, a portfolio's return never varies, the months are too few for the starts, or every
        start broke down.

    Notes
    -----
    The model is that of hmmlearn, which the source uses, with full covariances. With ``prior_months`` of 0 the estimate
    is maximum likelihood.
    """
    settings = settings or RegimeSettings()
    returns = np.ascontiguousarray(returns, dtype=np.float64)
    if returns.ndim != 2 or not np.isfinite(returns).all():
        raise ValueError(f"returns of shape {returns.shape} must be a table of finite numbers: fill or cut gaps first")
    needed = n_states * settings.start_months
    if n_states < 2 or len(returns) < needed:
        raise ValueError(
            f"{len(returns)} months are too few for {n_states} states: give at least two states and "
            f"{settings.start_months} months for each"
        )
    scale = returns.std(axis=0)
    if not (scale > 0.0).all():
        raise ValueError(f"the returns of the portfolios {np.flatnonzero(scale == 0.0).tolist()} never vary")
    standard = returns / scale
    rng = np.random.default_rng(settings.seed)
    ends = [_end_of_start(standard, n_states, rng, settings) for _ in range(settings.n_starts)]
    reached = [end for end in ends if end is not None]
    if not reached:
        raise ValueError(f"all {settings.n_starts} starts broke down; raise prior_months or take fewer portfolios")
    shift = len(returns) * float(np.log(scale).sum())
    best = max(reached, key=lambda end: (end.converged, end.log_posterior))
    order = np.argsort(-(best.chain.means_ * scale).mean(axis=1), kind="stable")
    return Regimes(
        start=best.chain.startprob_[order],
        transition=best.chain.transmat_[np.ix_(order, order)],
        means=(best.chain.means_ * scale)[order],
        covariances=(best.chain.covars_ * np.outer(scale, scale))[order],
        log_likelihood=best.log_likelihood - shift,
        iterations=best.iterations,
        converged=best.converged,
        log_likelihoods=np.array([np.nan if end is None else end.log_likelihood - shift for end in ends]),
        n_converged=sum(end.converged for end in reached),
        n_months=len(returns),
    )


@dataclass(frozen=True, kw_only=True)
class _End:
    """Where a start ended."""

    chain: GaussianHMM
    log_likelihood: float
    log_posterior: float
    iterations: int
    converged: bool


class _PosteriorMonitor(ConvergenceMonitor):
    """Stops EM when the posterior density settles; with a prior the likelihood alone need not rise."""

    def __init__(self, chain: GaussianHMM, overall: np.ndarray, settings: RegimeSettings) -> None:
        super().__init__(settings.tolerance, settings.max_iterations, verbose=False)
        self._chain, self._overall, self._months = chain, overall, settings.prior_months
        self._log_prior = self.log_prior()

    def log_prior(self) -> float:
        """Return the log density, up to a constant, of the states' covariances: inverse Wishart at its mode."""
        covariances = self._chain.covars_
        _, log_determinants = np.linalg.slogdet(covariances)
        ratios = np.linalg.solve(covariances, np.broadcast_to(self._overall, covariances.shape))
        return -self._months / 2.0 * float(np.sum(log_determinants + np.trace(ratios, axis1=1, axis2=2)))

    def report(self, log_prob: float) -> None:
        """Note the posterior density of the parameters that the likelihood is of: those before the last step."""
        self.history.append(log_prob + self._log_prior)
        self._log_prior = self.log_prior()
        self.iter += 1

    @property
    def settled(self) -> bool:
        """Whether the last step changed the posterior density by less than the tolerance."""
        return len(self.history) > 1 and abs(self.history[-1] - self.history[-2]) < self.tol

    @property
    def converged(self) -> bool:
        """Whether EM is to stop."""
        return self.settled or self.iter == self.n_iter


def _end_of_start(
    standard: np.ndarray, n_states: int, rng: np.random.Generator, settings: RegimeSettings
) -> _End | None:
    """Run EM from one random start; None where it breaks down because a state dies or its covariance does."""
    first = rng.integers(0, len(standard) - settings.start_months + 1, n_states)
    windows = [standard[begin : begin + settings.start_months] for begin in first]
    overall = _covariance(standard)
    try:
        chain = _chain_at(windows, overall, settings)
        monitor = chain.monitor_ = _PosteriorMonitor(chain, overall, settings)
        chain.fit(standard)
        log_likelihood = float(chain.score(standard))
    except (ValueError, np.linalg.LinAlgError):
        return None
    if not np.isfinite(log_likelihood):
        return None
    return _End(
        chain=chain,
        log_likelihood=log_likelihood,
        log_posterior=log_likelihood + monitor.log_prior(),
        iterations=monitor.iter,
        converged=monitor.settled,
    )


def _chain_at(windows: Sequence[np.ndarray], overall: np.ndarray, settings: RegimeSettings) -> GaussianHMM:
    """Return a chain whose states start from windows of months."""
    n_states = len(windows)
    chain = GaussianHMM(
        n_components=n_states,
        covariance_type="full",
        covars_prior=settings.prior_months * overall,
        covars_weight=len(overall) + settings.prior_months,
        n_iter=settings.max_iterations,
        init_params="",
    )
    chain.n_features = len(overall)
    others = (1.0 - settings.persistence) / (n_states - 1)
    chain.startprob_ = np.full(n_states, 1.0 / n_states)
    chain.transmat_ = np.where(np.eye(n_states, dtype=bool), settings.persistence, others)
    chain.means_ = np.array([window.mean(axis=0) for window in windows])
    chain.covars_ = np.array([(_covariance(window) + overall) / 2.0 for window in windows])
    return chain


def _covariance(values: np.ndarray) -> np.ndarray:
    """Covariance of (T, N) values, (N, N) for a single portfolio too."""
    return np.cov(values.T).reshape(values.shape[1], values.shape[1])
