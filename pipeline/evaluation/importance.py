"""How much worse a factor model fits when one of its instruments is shuffled: permutation importance.

Here belong the importance of characteristics (instruments of the loadings, shuffled over the assets of each month) and
of factor instruments (shuffled over time). Whether an instrument matters at all is tested in
:mod:`pipeline.evaluation.significance`. The error is that of equation 14 in sample: the mean over months of the mean
squared error of the month, decimals squared; months without assets do not count. (The source does not say whether its
error in sample is this or the mean over all asset-months.)

Source: Breiman (2001) and section 3.3.2 of the recurrent double-conditional factor model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from pipeline.models.factor_model import MonthlySeries, PooledPanel
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.panel.calendar import month_number


def mean_squared_error(statistics: SufficientStatistics, gamma: np.ndarray, factors: np.ndarray) -> float:
    """Return the mean over months of the mean squared error of r = C Gamma f + e in the month.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of T months.
    gamma : np.ndarray
        (L, K).
    factors : np.ndarray
        (T, K).

    Returns
    -------
    float
        Decimals squared.

    Raises
    ------
    ValueError
        If no month has an asset.
    """
    counted = _counted(statistics.n)
    return float(np.mean(statistics.squared_errors(gamma, factors)[counted] / statistics.n[counted]))


def expected_characteristic_importance(
    statistics: SufficientStatistics, gamma: np.ndarray, factors: np.ndarray
) -> pl.DataFrame:
    """Return the exact expectation of the importance of characteristics over all permutations, without the panel.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of T months, the constant last.
    gamma : np.ndarray
        (L, K).
    factors : np.ndarray
        (T, K).

    Returns
    -------
    pl.DataFrame
        `name` of each characteristic (the constant cannot be permuted), `importance` (expected increase of the error),
        `standard_deviation` (of the increase from one permutation to the next), `mse` (the error as it is), `rank` (1
        for the most important), in the order of the instruments.

    Notes
    -----
    Let e be the residuals of a month, c a characteristic, b its coefficient (Gamma f) and u = e + c b. A permutation p
    of its n assets adds 2 b (u'c - u'p(c)) to the sum of squared errors. Over all permutations u'p(c) has the mean n
    mean(u) mean(c) and the variance [sum of squares of u - mean(u)] [the same of c] / (n - 1) (Hoeffding 1951), and all
    of this follows from X, W, r'r and n.
    """
    counted = _counted(statistics.n)
    used = statistics.take(counted)
    n = used.n.astype(np.float64)[:, None]
    coefficients = factors[counted] @ gamma.T
    cross = used.X - np.matmul(used.W, coefficients[:, :, None])[:, :, 0]
    squares = used.squared_errors(gamma, factors[counted])[:, None]
    b, c_c = coefficients[:, :-1], np.diagonal(used.W, axis1=1, axis2=2)[:, :-1]
    e_c, c_sum, e_sum = cross[:, :-1], used.W[:, :-1, -1], cross[:, -1:]
    u_sum, u_c, u_u = e_sum + b * c_sum, e_c + b * c_c, squares + 2.0 * b * e_c + b**2 * c_c
    increase = 2.0 * b * (u_c - u_sum * c_sum / n)
    spread = np.maximum(u_u - u_sum**2 / n, 0.0) * np.maximum(c_c - c_sum**2 / n, 0.0)
    variance = 4.0 * b**2 * spread / np.maximum(n - 1.0, 1.0)
    return _table(
        used.names[:-1],
        np.mean(increase / n, axis=0),
        np.sqrt(np.sum(variance / n**2, axis=0)) / len(n),
        mean_squared_error(statistics, gamma, factors),
    )


def characteristic_importance(
    panel: PooledPanel, gamma: np.ndarray, factors: np.ndarray, *, n_permutations: int = 100, seed: int = 0
) -> pl.DataFrame:
    """Return the importance of characteristics from sampled permutations within each month.

    Parameters
    ----------
    panel : PooledPanel
        T months, the constant the last instrument.
    gamma : np.ndarray
        (L, K).
    factors : np.ndarray
        (T, K).
    n_permutations : int, optional
        Number of draws. In a draw all characteristics of a month are shuffled by the same order, each on its own.
    seed : int, optional
        A month's orders depend on it and on the month alone.

    Returns
    -------
    pl.DataFrame
        As :func:`expected_characteristic_importance`: `importance` the mean and `standard_deviation` the dispersion of
        the increase over the draws (null for one draw).

    Raises
    ------
    ValueError
        If `n_permutations` is not positive or no month has an asset.
    """
    _refuse_no_draws(n_permutations)
    counted = _counted(np.diff(panel.bounds))
    coefficients = factors @ gamma.T
    increases = np.zeros((n_permutations, len(panel.names) - 1))
    error = 0.0
    for t in np.flatnonzero(counted):
        rows = slice(int(panel.bounds[t]), int(panel.bounds[t + 1]))
        characteristics, b = panel.characteristics[rows], coefficients[t]
        residuals = panel.returns[rows] - characteristics @ b
        error += float(np.mean(residuals**2))
        rng = np.random.default_rng([seed, month_number(panel.months[t])])
        orders = rng.permuted(np.tile(np.arange(len(residuals)), (n_permutations, 1)), axis=1)
        for place in range(len(panel.names) - 1):
            c = characteristics[:, place]
            u = residuals + c * b[place]
            increases[:, place] += 2.0 * b[place] * (u @ c - c[orders] @ u) / len(residuals)
    months = int(counted.sum())
    return _sampled_table(panel.names[:-1], increases / months, error / months)


def instrument_importance(
    instruments: MonthlySeries,
    error_of: Callable[[np.ndarray], float],
    *,
    n_permutations: int = 100,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the importance of factor instruments from sampled orders of their months.

    Parameters
    ----------
    instruments : MonthlySeries
        T months of P instruments, without the constant (which has no order to lose).
    error_of : callable
        From instruments (T, P) to the error of the model with all its parameters as they are: run the factors on them,
        then for loadings on characteristics :func:`mean_squared_error`.
    n_permutations : int, optional
        Orders drawn; the same for every instrument.
    seed : int, optional
        Of the draws.

    Returns
    -------
    pl.DataFrame
        As :func:`characteristic_importance`. Shuffling breaks the link to the returns of the month and, where the
        factors remember, to those of the months after; the importance holds both.

    Raises
    ------
    ValueError
        If `n_permutations` is not positive.
    """
    _refuse_no_draws(n_permutations)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(instruments.months)) for _ in range(n_permutations)]
    error = error_of(instruments.values)
    increases = np.empty((n_permutations, len(instruments.names)))
    for place in range(len(instruments.names)):
        shuffled = instruments.values.copy()
        for draw, order in enumerate(orders):
            shuffled[:, place] = instruments.values[order, place]
            increases[draw, place] = error_of(shuffled) - error
    return _sampled_table(instruments.names, increases, error)


def _counted(n: np.ndarray) -> np.ndarray:
    counted = n > 0
    if not counted.any():
        raise ValueError("no month has an asset; give the months of the estimation")
    return counted


def _refuse_no_draws(n_permutations: int) -> None:
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}; give at least 1")


def _sampled_table(names: tuple[str, ...], increases: np.ndarray, error: float) -> pl.DataFrame:
    deviation = increases.std(axis=0, ddof=1) if len(increases) > 1 else np.full(len(names), np.nan)
    return _table(names, increases.mean(axis=0), deviation, error)


def _table(names: tuple[str, ...], importance: np.ndarray, deviation: np.ndarray, error: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"name": names, "importance": importance, "standard_deviation": pl.Series(deviation).fill_nan(None)}
    ).select(
        "name",
        "importance",
        "standard_deviation",
        pl.lit(error).alias("mse"),
        pl.col("importance").rank("ordinal", descending=True).cast(pl.Int64).alias("rank"),
    )
