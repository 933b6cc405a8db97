"""The bond factor of Cochrane and Piazzesi: the one combination of forward rates that forecasts annual bond returns.

Here belong annual excess returns of zero-coupon bonds, their regressions on forward rates and the factor made of them,
month by month from what was known. Yields come from the asset of ``pipeline.macro.treasury``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.macro.monthly import wanted_months, without_nan
from pipeline.macro.treasury import ZERO_YEARS
from pipeline.panel.calendar import month_number, month_range
from pipeline.panel.dense import MonthlySeries

Values = NDArray[np.float64]

#: Months over which a return is earned.
HORIZON = 12


def _forward_levels(forwards: Values) -> Values:
    return forwards


def _forward_spreads(forwards: Values) -> Values:
    return forwards[:, 1:] - forwards[:, :1]


#: Regressors -> function of the (T, n) forward rates from year 0, 1, .. to the next: all of them with the one-year
#: yield first (2005), or what the others exceed it by (2008).
REGRESSORS: Mapping[str, Callable[[Values], Values]] = MappingProxyType(
    {"levels": _forward_levels, "spreads": _forward_spreads}
)


def _equal_weights(expected: Values) -> tuple[Values, float]:
    count = expected.shape[1]
    weights = np.full(count, 1.0 / count)
    total = float(np.var(expected, axis=0).sum())
    return weights, float(np.var(expected @ weights) * count) / total if total > 0.0 else np.nan


def _dominant_eigenvector(expected: Values) -> tuple[Values, float]:
    centred = expected - expected.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    weights = vectors[:, -1] * (1.0 if vectors[:, -1].sum() >= 0.0 else -1.0)
    return weights, float(values[-1] / values.sum()) if values.sum() > 0.0 else np.nan


#: Weights of the bonds in the factor -> function of the (T, N) fitted expected returns giving the (N,) weights and the
#: share of the variance of all expected returns that lies in their direction.
WEIGHTS: Mapping[str, Callable[[Values], tuple[Values, float]]] = MappingProxyType(
    {"average": _equal_weights, "eigenvector": _dominant_eigenvector}
)


@dataclass(frozen=True, kw_only=True)
class CochranePiazzesiSettings:
    """Which bonds, which regressors, and how the bonds are combined.

    Attributes
    ----------
    longest : int
        Bonds of 2 to so many years, and forward rates that end in so many years; at most the ``ZERO_YEARS`` of the
        curve's zero yields. Where the curve's source ends earlier there is no factor.
    regressors : str
        A key of ``REGRESSORS``.
    weights : str
        A key of ``WEIGHTS``: with ``eigenvector`` the factor is q'E_t[rx], q the unit eigenvector of the largest
        eigenvalue of the covariance matrix of the fitted expected returns, signed to sum to a positive number (2008);
        with ``average`` it is the fitted average of the bonds' returns (2005).
    min_months : int
        Fewest annual returns of all bonds, of overlapping years, in a regression.
    """

    longest: int = 10
    regressors: str = "spreads"
    weights: str = "eigenvector"
    min_months: int = 120

    def __post_init__(self) -> None:
        if self.regressors not in REGRESSORS or self.weights not in WEIGHTS:
            raise ValueError(
                f"regressors {self.regressors!r} must be one of {', '.join(REGRESSORS)}, weights {self.weights!r} one "
                f"of {', '.join(WEIGHTS)}"
            )
        if not 2 <= self.longest <= ZERO_YEARS or self.min_months < 2 * self.longest:
            raise ValueError(
                f"longest {self.longest} must be from 2 to {ZERO_YEARS}, the years of the curve's zero yields, and "
                f"min_months {self.min_months} at least twice as large"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The regressors: ``forward_n`` is the rate from year n - 1 to n, or what it exceeds the one-year yield by."""
        return tuple(f"forward_{n}" for n in range(2 if self.regressors == "spreads" else 1, self.longest + 1))


#: The factor of Cochrane and Piazzesi (2005): five forward rates and the average of the bonds of 2 to 5 years.
FACTOR_OF_2005 = CochranePiazzesiSettings(longest=5, regressors="levels", weights="average")


@dataclass(frozen=True, kw_only=True)
class ReturnRegressions:
    """Annual returns regressed on forward rates, and the factor that these regressions make.

    Attributes
    ----------
    intercepts : (N,) float
        Of the bonds of 2, 3, .. years.
    slopes : (N, P) float
        On the regressors.
    weights : (N,) float
        Of the bonds in the factor.
    r2 : (N,) float
        Of each bond's regression, in sample.
    factor_r2 : float
        Of the weighted bonds' return on the factor.
    dominance : float
        Share of the variance of all fitted expected returns in the direction of the weights.
    n_months : int
        Annual returns used.
    """

    intercepts: Values
    slopes: Values
    weights: Values
    r2: Values
    factor_r2: float
    dominance: float
    n_months: int

    def factor(self, regressors: Values) -> Values:
        """Return the (T,) factor of (T, P) regressors: expected annual log excess return, decimal."""
        return self.weights @ self.intercepts + regressors @ (self.weights @ self.slopes)


def forward_rates(zero_yields: Values) -> Values:
    """Return forward rates of one year.

    Parameters
    ----------
    zero_yields : (T, n) float
        Continuously compounded yields of 1 to n years, decimals; NaN is missing.

    Returns
    -------
    (T, n) float
        f_k = k y_k - (k - 1) y_{k-1}, the log rate from year k - 1 to k; the first is the one-year yield.
    """
    log_prices = zero_yields * np.arange(1, zero_yields.shape[1] + 1)
    return np.diff(log_prices, axis=1, prepend=0.0)


def annual_excess_returns(zero_yields: Values) -> Values:
    """Return annual log excess returns of zero-coupon bonds.

    Parameters
    ----------
    zero_yields : (T, n) float
        Of consecutive months, as in :func:`forward_rates`.

    Returns
    -------
    (T - 12, n - 1) float
        Row t: a bond of 2, 3, .. n years bought in month t and sold a year later, less the one-year yield of t, k y_k,t
        - (k - 1) y_{k-1},t+12 - y_1,t; NaN where a yield is missing. Known at the end of month t + 12.
    """
    years = np.arange(1, zero_yields.shape[1] + 1)
    bought, sold = zero_yields[:-HORIZON], zero_yields[HORIZON:]
    return years[1:] * bought[:, 1:] - years[:-1] * sold[:, :-1] - bought[:, :1]


def fit_return_regressions(zero_yields: Values, settings: CochranePiazzesiSettings) -> ReturnRegressions | None:
    """Regress annual excess returns on the forward rates at their start.

    Parameters
    ----------
    zero_yields : (T, n) float
        Of consecutive months, 1 to n years, decimals; NaN is missing. n is at least ``settings.longest``.
    settings : CochranePiazzesiSettings
        Bonds, regressors and weights.

    Returns
    -------
    ReturnRegressions or None
        None where fewer returns than the settings ask for are complete, or where the regressors of these are linearly
        dependent.

    References
    ----------
    Cochrane and Piazzesi (2005), Bond Risk Premia, AER 95; (2008), Decomposing the Yield Curve, section 3.
    """
    zero_yields = zero_yields[:, : settings.longest]
    returns = annual_excess_returns(zero_yields)
    X = REGRESSORS[settings.regressors](forward_rates(zero_yields))[: len(returns)]
    complete = np.isfinite(returns).all(axis=1) & np.isfinite(X).all(axis=1)
    returns, X = returns[complete], X[complete]
    if len(returns) < settings.min_months:
        return None
    mean = X.mean(axis=0)
    slopes, _, rank, _ = np.linalg.lstsq(X - mean, returns - returns.mean(axis=0), rcond=None)
    if rank < X.shape[1]:
        return None
    intercepts = returns.mean(axis=0) - mean @ slopes
    expected = intercepts + X @ slopes
    weights, dominance = WEIGHTS[settings.weights](expected)
    combined = returns @ weights
    return ReturnRegressions(
        intercepts=intercepts,
        slopes=slopes.T,
        weights=weights,
        r2=1.0 - np.var(returns - expected, axis=0) / np.var(returns, axis=0),
        factor_r2=float(1.0 - np.var(combined - expected @ weights) / np.var(combined)),
        dominance=dominance,
        n_months=len(returns),
    )


def cochrane_piazzesi(
    treasury_curve: pl.DataFrame, months: Sequence[date], settings: CochranePiazzesiSettings | None = None
) -> pl.DataFrame:
    """Bond factor of each month, from returns that were complete by its end.

    For month m the regressions use every year that ended in m or before, from the first month of the table on, and the
    factor applies their coefficients to the forward rates of m.

    Parameters
    ----------
    treasury_curve : DataFrame
        ``month, zero_1 .. zero_n`` (percent, continuously compounded), n at least ``settings.longest``; null is
        missing. Rows after m do not matter to m.
    months : sequence of date
        Months wanted.
    settings : CochranePiazzesiSettings, optional
        Bonds, regressors, weights, fewest months.

    Returns
    -------
    DataFrame
        One row a month: ``month, cochrane_piazzesi`` (decimal: expected annual log excess return of the weighted
        bonds), ``n_months``, ``factor_r2``, ``mean_r2`` (in sample, the latter over bonds), ``dominance``,
        ``intercept`` and ``slope_forward_<n>`` of the factor (slopes on forward rates as decimals). The factor is null
        where a yield of m is missing, everything but the month where there are too few returns.
    """
    settings = settings or CochranePiazzesiSettings()
    wanted = wanted_months(months)
    curve = _curve(treasury_curve, wanted[0], wanted[-1], settings)
    rows = [_month_row(m, curve, settings) for m in wanted]
    return without_nan(pl.DataFrame(rows, schema=schema(settings)))


def whole_sample_factor(
    treasury_curve: pl.DataFrame, month: date, settings: CochranePiazzesiSettings | None = None
) -> pl.DataFrame:
    """Bond factor of all months up to one, with the coefficients of that one.

    Parameters
    ----------
    treasury_curve, settings
        As in :func:`cochrane_piazzesi`.
    month : date
        Last month of the sample. Rows after it do not matter.

    Returns
    -------
    DataFrame
        ``month, cochrane_piazzesi``, one row a month from the first of the table to ``month``; null where a yield is
        missing, everywhere where there are too few returns.
    """
    settings = settings or CochranePiazzesiSettings()
    curve = _curve(treasury_curve, month, month, settings)
    yields = curve.values / 100.0
    fit = fit_return_regressions(yields, settings)
    regressors = REGRESSORS[settings.regressors](forward_rates(yields))
    factor = np.full(len(yields), np.nan) if fit is None else fit.factor(regressors)
    months = month_range(curve.first, month)
    types = {"month": pl.Date, "cochrane_piazzesi": pl.Float64}
    return without_nan(pl.DataFrame({"month": months, "cochrane_piazzesi": factor}, schema=types))


def _curve(treasury_curve: pl.DataFrame, first: date, last: date, settings: CochranePiazzesiSettings) -> MonthlySeries:
    """Zero yields, percent, from the first month of the table or ``first``, whichever is earlier, to ``last``."""
    known = treasury_curve.filter(pl.col("month") <= last)
    begin = known["month"].min() if known.height else first
    assert isinstance(begin, date)
    columns = [f"zero_{n}" for n in range(1, settings.longest + 1)]
    return MonthlySeries.from_frame(known, columns, min(begin, first), last)


def _month_row(month: date, curve: MonthlySeries, settings: CochranePiazzesiSettings) -> dict[str, object]:
    """One month's row; what it lacks becomes null."""
    yields = np.ascontiguousarray(curve.values[: month_number(month) - month_number(curve.first) + 1]) / 100.0
    fit = fit_return_regressions(yields, settings)
    if fit is None:
        return {"month": month}
    today = REGRESSORS[settings.regressors](forward_rates(yields[-1:]))
    slopes = fit.weights @ fit.slopes
    return {
        "month": month,
        "cochrane_piazzesi": float(fit.factor(today)[0]),
        "n_months": fit.n_months,
        "factor_r2": fit.factor_r2,
        "mean_r2": float(fit.r2.mean()),
        "dominance": fit.dominance,
        "intercept": float(fit.weights @ fit.intercepts),
        **{f"slope_{name}": float(slope) for name, slope in zip(settings.names, slopes, strict=True)},
    }


def schema(settings: CochranePiazzesiSettings) -> dict[str, pl.DataType]:
    """Columns of :func:`cochrane_piazzesi`."""
    return {
        "month": pl.Date(),
        "cochrane_piazzesi": pl.Float64(),
        "n_months": pl.Int64(),
        **dict.fromkeys(("factor_r2", "mean_r2", "dominance", "intercept"), pl.Float64()),
        **{f"slope_{name}": pl.Float64() for name in settings.names},
    }
