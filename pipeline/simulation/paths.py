"""Stochastic processes that the economy is made of: autoregressions, daily bridges, cross-sectional ranks.

Plain functions of arrays and a generator; nothing here knows what the numbers mean.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import rankdata

from pipeline.simulation.clock import Clock

Array = NDArray[np.floating]


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of one part of the economy.

    Each part draws from its own stream, so that a new part leaves the numbers of the others alone.

    Parameters
    ----------
    seed : int
        Seed of the market.
    name : str
        Name of the part.

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng([seed, *name.encode()])


def ar1(shocks: Array, phi: float) -> Array:
    """Autoregression of order one with unit stationary variance, from unit-variance shocks along the first axis.

    Parameters
    ----------
    shocks : ndarray, shape (T, ...)
        Unit-variance shocks; the first one sets the start, drawn from the stationary distribution.
    phi : float
        Persistence, in (-1, 1).

    Returns
    -------
    ndarray, shape (T, ...)
    """
    scaled = shocks * np.sqrt(1.0 - phi**2)
    scaled[0] = shocks[0]
    return lfilter([1.0], [1.0, -phi], scaled, axis=0)


def bridge(levels: Array, clock: Clock, daily_sd: Array, rng: np.random.Generator) -> Array:
    """Daily path that meets a given level on the last session of every month.

    Parameters
    ----------
    levels : ndarray, shape (T,)
        Month-end levels; the first month starts from its own month-end level.
    clock : Clock
        Months and sessions.
    daily_sd : ndarray, shape (T,)
        Standard deviation of a daily change, by month.
    rng : numpy.random.Generator
        Source of the daily changes.

    Returns
    -------
    ndarray, shape (D,)
        One level a session.
    """
    noise = rng.standard_normal(len(clock.sessions))
    path = np.empty(len(clock.sessions))
    for t in range(clock.n):
        days = slice(clock.starts[t], clock.starts[t + 1])
        start = levels[max(t - 1, 0)]
        steps = daily_sd[t] * noise[days]
        steps += (levels[t] - start - steps.sum()) / len(steps)
        path[days] = start + np.cumsum(steps)
        path[clock.starts[t + 1] - 1] = levels[t]
    return path


def daily_returns(monthly: Array, clock: Clock, daily_sd: Array, rng: np.random.Generator) -> Array:
    """Daily simple returns that compound to a given monthly return.

    Parameters
    ----------
    monthly : ndarray, shape (T,)
        Simple returns, decimals, above -1.
    clock : Clock
        Months and sessions.
    daily_sd : ndarray, shape (T,)
        Standard deviation of a daily log return, by month.
    rng : numpy.random.Generator
        Source of the daily returns.

    Returns
    -------
    ndarray, shape (D,)
        Simple returns, decimals.
    """
    noise = rng.standard_normal(len(clock.sessions))
    logs = np.empty(len(clock.sessions))
    for t in range(clock.n):
        days = slice(clock.starts[t], clock.starts[t + 1])
        steps = daily_sd[t] * noise[days]
        logs[days] = steps + (np.log1p(monthly[t]) - steps.sum()) / len(steps)
    return np.expm1(logs)


def month_means(daily: Array, clock: Clock) -> Array:
    """Average of a daily series over the sessions of each month; shape (T,)."""
    return np.add.reduceat(daily, clock.starts[:-1]) / np.diff(clock.starts)


def centred_ranks(values: Array) -> Array:
    """Ranks of a cross-section in [-0.5, 0.5].

    `(rank - 0.5) / N - 0.5` with ties averaged and N the number of values that are there; a missing value gets 0.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Values, NaN where missing.

    Returns
    -------
    ndarray, shape (n,)
    """
    ranks = np.zeros(len(values))
    there = ~np.isnan(values)
    if there.any():
        ranks[there] = (rankdata(values[there]) - 0.5) / there.sum() - 0.5
    return ranks
