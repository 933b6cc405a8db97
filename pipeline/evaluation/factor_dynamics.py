"""How factors move each other: Granger tests and generalised impulse responses.

Here belongs what is read off the factors and the recursion of one estimation. The recursion itself stands in
:mod:`pipeline.models.factor_recursion`. Factors are numbered from 1, as in the published tables and figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from pipeline.models.factor_recursion import Parameters

GRANGER_SCHEMA: dict[str, pl.DataType] = {
    "response": pl.Int64(),
    "cause": pl.Int64(),
    "coefficient": pl.Float64(),
    "standard_error": pl.Float64(),
    "t": pl.Float64(),
    "p": pl.Float64(),
}

RESPONSE_SCHEMA: dict[str, pl.DataType] = {
    "impulse": pl.String(),
    "response": pl.Int64(),
    "period": pl.Int64(),
    "value": pl.Float64(),
}


def granger(factors: np.ndarray) -> pl.DataFrame:
    """Test which factor's last value helps to predict which factor (table 8).

    Parameters
    ----------
    factors : np.ndarray
        (T, K) of consecutive months, finite.

    Returns
    -------
    pl.DataFrame
        `response`, `cause` (factors numbered from 1), `coefficient` of the VAR(1) with a constant, its
        `standard_error`, `t` and two-sided `p` of the t distribution; K x K rows sorted by response and cause.

    Raises
    ------
    ValueError
        If there are too few months, or the factors are collinear or constant.

    Notes
    -----
    Granger (1969). With one lag the F-test of leaving a factor out is the t-test of its coefficient. A VAR has the same
    regressors in every equation and is least squares equation by equation, which takes K = 1 too.
    """
    periods, K = factors.shape
    if periods - 1 <= K + 1:
        raise ValueError(f"{periods} months are too few for a VAR(1) of {K} factors; give at least {K + 3}")
    lagged, current = factors[:-1], factors[1:]
    if np.linalg.matrix_rank(lagged - lagged.mean(axis=0)) < K:
        raise ValueError(f"the {K} factors are collinear or constant over {periods} months; estimate fewer")
    design = add_constant(lagged, has_constant="add")
    rows = []
    for response in range(K):
        fit = OLS(current[:, response], design).fit()
        numbers = zip(fit.params[1:], fit.bse[1:], fit.tvalues[1:], fit.pvalues[1:], strict=True)
        rows += [(response + 1, cause, *map(float, each)) for cause, each in enumerate(numbers, 1)]
    return pl.DataFrame(rows, schema=GRANGER_SCHEMA, orient="row")


def factor_responses(
    parameters: Parameters, mean_instruments: np.ndarray, factors: np.ndarray, *, periods: int = 5
) -> pl.DataFrame:
    """Return the responses of all factors to a shock of one standard deviation to each factor (figure 2).

    Parameters
    ----------
    parameters : Parameters
        Of the recursion f_{t+1} = z_{t+1} Omega + tanh(f_t) AR.
    mean_instruments : np.ndarray
        (P,) means of the instruments over the estimation, the constant's one among them: what is expected of them.
    factors : np.ndarray
        (T, K) of the estimation; the last month receives the shock, and the standard deviations (T - 1 degrees of
        freedom) give its size.
    periods : int, optional
        R, the months to look ahead.

    Returns
    -------
    pl.DataFrame
        `impulse` (number of the shocked factor, as text), `response` (number of the responding factor), `period` 1 to
        R, `value` in units of the responding factor; sorted by the three. Zero for factors without memory.

    Raises
    ------
    ValueError
        If `periods` is not positive or there are fewer than two months.

    Notes
    -----
    Koop, Pesaran and Potter (1996), equation 16 of the source. The recursion has no noise of its own and future
    instruments are held at their means, so both expectations are single paths and the response their difference.
    """
    last, sizes = factors[-1], _deviations(factors)
    names = [str(number) for number in range(1, parameters.n_factors + 1)]
    paths = _paths(parameters, mean_instruments, np.vstack([last, last + np.diag(sizes)]), periods)
    return _table(names, paths[:, 1:] - paths[:, :1], first_period=1)


def instrument_responses(
    parameters: Parameters,
    mean_instruments: np.ndarray,
    last_factor: np.ndarray,
    instruments: np.ndarray,
    names: Sequence[str],
    *,
    periods: int = 5,
) -> pl.DataFrame:
    """Return the responses of all factors to a shock of one standard deviation to each factor instrument (figure 3).

    Parameters
    ----------
    parameters : Parameters
        Of the recursion.
    mean_instruments : np.ndarray
        (P,) means of the instruments over the estimation.
    last_factor : np.ndarray
        (K,) factors of the last month of the estimation.
    instruments : np.ndarray
        (T, P) of the estimation, whose standard deviations (T - 1 degrees of freedom) give the sizes. An instrument
        that does not vary, the constant, has none and is left out.
    names : sequence of str
        The P instruments.
    periods : int, optional
        R, the months to look ahead after the shock.

    Returns
    -------
    pl.DataFrame
        As :func:`factor_responses`, with the name of the instrument as `impulse` (in the order of `names`) and a period
        0, the month after the last, when the shock arrives: its response is the standard deviation times the row of
        Omega.

    Raises
    ------
    ValueError
        If `periods` is negative, there are fewer than two months or not P names.
    """
    if instruments.shape[1] != len(names):
        raise ValueError(f"{len(names)} names for {instruments.shape[1]} instruments; give one each")
    sizes = _deviations(instruments)
    varying = np.ptp(instruments, axis=0) > 0.0
    shocked = mean_instruments + np.vstack([np.zeros(len(names)), np.diag(sizes)[varying]])
    arrival = parameters.step(shocked, np.broadcast_to(last_factor, (len(shocked), parameters.n_factors)))
    later = _paths(parameters, mean_instruments, arrival, periods) if periods else np.empty((0, *arrival.shape))
    paths = np.concatenate([arrival[None], later])
    kept = [name for name, varies in zip(names, varying, strict=True) if varies]
    return _table(kept, paths[:, 1:] - paths[:, :1], first_period=0)


def _deviations(series: np.ndarray) -> np.ndarray:
    if len(series) < 2:
        raise ValueError(f"{len(series)} months have no standard deviation; give the months of the estimation")
    return series.std(axis=0, ddof=1)


def _paths(parameters: Parameters, instruments: np.ndarray, starts: np.ndarray, periods: int) -> np.ndarray:
    """Return the factors of the months after each start (S, K) under constant instruments, (periods, S, K)."""
    if periods < 1:
        raise ValueError(f"periods is {periods}; give at least 1")
    paths, factor = [], starts
    for _ in range(periods):
        factor = np.broadcast_to(parameters.step(instruments, factor), starts.shape)
        paths.append(factor)
    return np.array(paths)


def _table(impulses: Sequence[str], responses: np.ndarray, *, first_period: int) -> pl.DataFrame:
    """Return (R, S, K) responses in long form, impulses in the order given."""
    rows = [
        (impulse, response + 1, first_period + period, float(responses[period, place, response]))
        for place, impulse in enumerate(impulses)
        for response in range(responses.shape[2])
        for period in range(len(responses))
    ]
    return pl.DataFrame(rows, schema=RESPONSE_SCHEMA, orient="row")
