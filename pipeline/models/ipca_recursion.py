"""IPCA re-estimated every month: one month's row, the state handed to the next month, and next month's forecasts.

Here belong warming up, the warm start from last month's state, and the out-of-sample account that runs along.
Estimation stands in :mod:`pipeline.models.ipca`; where states are kept is not known here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.evaluation.r2 import r_squared, r_squared_from_statistics
from pipeline.models.ipca import IPCA, IPCAResult
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.models.storage import load_arrays, save_arrays
from pipeline.panel.calendar import month_number

WARMING_UP = "warming_up"
ESTIMATED = "estimated"

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "status": pl.String(),
    "n_months": pl.Int64(),
    "n_factors": pl.Int64(),
    "iterations": pl.Int64(),
    "converged": pl.Boolean(),
    "loss": pl.Float64(),
    "total_r2": pl.Float64(),
    "predictive_r2": pl.Float64(),
    "gamma": pl.List(pl.Float64()),
    "gamma_alpha": pl.List(pl.Float64()),
    "factors_mean": pl.List(pl.Float64()),
    "factor": pl.List(pl.Float64()),
    "oos_sse_total": pl.Float64(),
    "oos_sse_predictive": pl.Float64(),
    "oos_sst": pl.Float64(),
    "oos_total_r2": pl.Float64(),
    "oos_predictive_r2": pl.Float64(),
}

FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "target_month": pl.Date(),
    "model": pl.String(),
    "asset_id": pl.String(),
    "forecast": pl.Float64(),
}


@dataclass(frozen=True, kw_only=True)
class IPCASettings:
    """Settings of the recursive estimation.

    Attributes
    ----------
    n_factors : int
        K.
    intercept : bool
        Whether Gamma_alpha is estimated.
    min_months : int
        Months that determine K factors needed before the first estimation; earlier rows say `warming_up`.
    tolerance, max_iterations, instrument_months : float, int, int
        See :class:`pipeline.models.ipca.IPCA`.
    starts : int
        Starting values of the first estimation; later ones start from last month's state.
    """

    n_factors: int = 3
    intercept: bool = False
    min_months: int = 60
    tolerance: float = 1e-7
    max_iterations: int = 100
    starts: int = 8
    instrument_months: int = 24

    def __post_init__(self) -> None:
        """Refuse settings that no history could satisfy."""
        if self.min_months <= self.n_factors:
            raise ValueError(f"min_months is {self.min_months}; it must exceed n_factors, {self.n_factors}")
        self.estimator()

    def estimator(self) -> IPCA:
        """Return the estimator these settings describe."""
        return IPCA(
            self.n_factors,
            intercept=self.intercept,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            starts=self.starts,
            instrument_months=self.instrument_months,
        )


@dataclass(frozen=True, kw_only=True)
class IPCAState:
    """What one month hands to the next.

    Attributes
    ----------
    month : date
        Month the state belongs to.
    result : IPCAResult or None
        The estimation through `month`; None while warming up.
    oos_sums : np.ndarray
        (3,) running out-of-sample sums: squared errors of the total fit, of the predictive fit, squared returns.
    """

    month: date
    result: IPCAResult | None
    oos_sums: np.ndarray

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the state as named arrays and named strings, without loss of precision."""
        arrays, text = ({}, {}) if self.result is None else self.result.to_arrays()
        text |= {"month": self.month.isoformat(), "estimated": json.dumps(self.result is not None)}
        return arrays | {"oos_sums": self.oos_sums}, text

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], text: dict[str, str]) -> IPCAState:
        """Rebuild what :meth:`to_arrays` gave."""
        return cls(
            month=date.fromisoformat(text["month"]),
            result=IPCAResult.from_arrays(arrays, text) if json.loads(text["estimated"]) else None,
            oos_sums=arrays["oos_sums"],
        )

    def save(self, path: Path) -> None:
        """Write the state to one safetensors file."""
        save_arrays(path, *self.to_arrays())

    @classmethod
    def load(cls, path: Path) -> IPCAState:
        """Read a state that :meth:`save` wrote, bit for bit."""
        return cls.from_arrays(*load_arrays(path))


def ipca_month(
    statistics: SufficientStatistics, previous: IPCAState | None, settings: IPCASettings
) -> tuple[pl.DataFrame, IPCAState]:
    """Re-estimate with the newest month and account for what last month's parameters said about it.

    Parameters
    ----------
    statistics : SufficientStatistics
        Managed portfolios of the whole history; the last month is the one being built.
    previous : IPCAState or None
        State of the month before; None only for the first month of the recursion, which then starts cold.
    settings : IPCASettings
        K, intercept, warming up, stopping rule.

    Returns
    -------
    tuple of pl.DataFrame and IPCAState
        The month's row (see :func:`ipca_frame`) and the state for the next month.

    Raises
    ------
    ValueError
        If there is no month, or `previous` is not the state of the month before or belongs to other settings.

    Notes
    -----
    Out of sample, month m is explained with Gamma of m-1: by the factor realised in m (total) and by lambda of m-1
    (predictive), as in Kelly, Pruitt and Su (2019, section 5). A month that does not determine K factors is in neither.
    """
    if not statistics.months:
        raise ValueError("there are no managed portfolios to estimate from; build them first")
    month = statistics.months[-1]
    if previous is not None and month_number(previous.month) != month_number(month) - 1:
        raise ValueError(
            f"the state handed to {month} is of {previous.month}, not of the month before; rebuild the months between"
        )
    last = None if previous is None else previous.result
    errors = None if last is None else _out_of_sample(statistics.take(slice(-1, None)), last)
    sums = np.zeros(3) if previous is None else previous.oos_sums
    if errors is not None:
        sums = sums + errors
    used = statistics.determined(settings.n_factors)
    ready = len(used.months) >= settings.min_months
    result = settings.estimator().fit(used, start=last) if ready else None
    state = IPCAState(month=month, result=result, oos_sums=sums)
    return ipca_frame(used, state, errors, settings), state


def _out_of_sample(newest: SufficientStatistics, last: IPCAResult) -> np.ndarray | None:
    """Return one month's squared errors, total and predictive, and squared returns; None without K factors."""
    factors = last.realised_factors(newest)
    if np.isnan(factors).any():
        return None
    total = newest.loss(last.loadings, last.multipliers(factors))
    predictive = newest.loss(last.loadings, last.multipliers(last.mean_factor))
    return np.array([total, predictive, newest.yy[0]])


def ipca_frame(
    used: SufficientStatistics,
    state: IPCAState,
    errors: np.ndarray | None,
    settings: IPCASettings,
) -> pl.DataFrame:
    """Return the row that describes one month of the recursion.

    Parameters
    ----------
    used : SufficientStatistics
        The months of the history that determine K factors.
    state : IPCAState
        The month's state.
    errors : np.ndarray or None
        (3,) the month's own out-of-sample contributions.
    settings : IPCASettings
        The settings used.

    Returns
    -------
    pl.DataFrame
        One row with the columns of :data:`SCHEMA`; lists hold Gamma (L*K row major), Gamma_alpha (L), the factors' mean
        (K) and the factor realised in the month (K). Null wherever there is no estimate.
    """
    row: dict[str, object] = dict.fromkeys(SCHEMA)
    row |= {"month": state.month, "status": WARMING_UP, "n_months": len(used.months), "n_factors": settings.n_factors}
    if errors is not None:
        row |= dict(zip(("oos_sse_total", "oos_sse_predictive", "oos_sst"), errors.tolist(), strict=True))
    total, predictive, squares = state.oos_sums.tolist()
    row |= {"oos_total_r2": r_squared(total, squares), "oos_predictive_r2": r_squared(predictive, squares)}
    if state.result is not None:
        row |= {"status": ESTIMATED, **_estimates(used, state.month, state.result)}
    return pl.DataFrame([row], schema=SCHEMA)


def _estimates(used: SufficientStatistics, month: date, result: IPCAResult) -> dict[str, object]:
    return {
        "iterations": result.iterations,
        "converged": result.converged,
        "loss": result.loss,
        "total_r2": r_squared(result.loss, float(used.yy.sum())),
        "predictive_r2": r_squared_from_statistics(used, result.loadings, result.multipliers(result.mean_factor)),
        "gamma": result.gamma.ravel().tolist(),
        "gamma_alpha": None if result.gamma_alpha is None else result.gamma_alpha.tolist(),
        "factors_mean": result.mean_factor.tolist(),
        "factor": result.factors[-1].tolist() if result.months[-1] == month else None,
    }


def forecasts(
    state: IPCAState, characteristics: pl.DataFrame, month: date, *, model: str = "ipca", key: str = "isin"
) -> pl.DataFrame:
    """Return the forecasts made at the end of `month` for the month after.

    Parameters
    ----------
    state : IPCAState
        State of `month`.
    characteristics : pl.DataFrame
        Columns month, `key` and the instruments as known at the end of `month`; other months are ignored.
    month : date
        Month in which the forecast is made.
    model : str, optional
        Name under which forecasts of several models are compared.
    key : str, optional
        Asset identifier.

    Returns
    -------
    pl.DataFrame
        `month` (when made), `target_month`, `model`, `asset_id`, `forecast` (decimal excess return), sorted by asset;
        no rows while the model is warming up.

    Raises
    ------
    ValueError
        If the state is of another month or an instrument is absent or not finite.
    """
    if state.month != month:
        raise ValueError(f"forecasts of {month} need the state of that month, not of {state.month}")
    if state.result is None:
        return pl.DataFrame(schema=FORECAST_SCHEMA)
    rows = characteristics.filter(pl.col("month") == month).sort(key)
    return rows.select(
        pl.col("month"),
        pl.col("month").dt.offset_by("1mo").alias("target_month"),
        pl.lit(model).alias("model"),
        pl.col(key).cast(pl.String).alias("asset_id"),
        pl.Series("forecast", state.result.forecast(rows)),
    )
