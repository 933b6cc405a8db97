"""Characteristics from windows of trading days: beta, idiosyncratic and total variance, high, unexplained volume.

Belongs here: what looks back over a fixed number of trading days of the market. Does not: what needs the days of the
month alone (:mod:`pipeline.equity.daily_month`), weekly returns, announcements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.daily_arrays import DailyArrays, DayWindow, fit_residuals
from pipeline.panel.dense import Floats, Integers
from pipeline.panel.regression import fit_window
from pipeline.panel.windows import window_std, window_sum

FACTORS = ("mkt_rf", "smb", "hml", "rf")
# A residual deviation below this fraction of the largest volume is rounding: the regression fits exactly.
EXACT_FIT = 1e-12

ADJUSTED_PRICE = (
    pl.when((pl.col("prc") > 0.0) & (pl.col("cfacpr") > 0.0)).then(pl.col("prc") / pl.col("cfacpr")).alias("price")
)
"""Split-adjusted price; meaningful only in ratios between two days, as every split restarts the factor."""


@dataclass(frozen=True, kw_only=True)
class DayWindowSettings:
    """Windows of the characteristics that look back over trading days.

    Attributes
    ----------
    beta : DayWindow
        Of ``capm_b_mkt`` and ``ff3_ivol``.
    high : DayWindow
        Of ``rel2high``.
    variance : DayWindow
        Of ``variance40``.
    volume : DayWindow
        In which ``suv`` learns what volume to expect; ends before the month.
    """

    beta: DayWindow = field(default=DayWindow(252, 126))
    high: DayWindow = field(default=DayWindow(252, 1))
    variance: DayWindow = field(default=DayWindow(40, 20))
    volume: DayWindow = field(default=DayWindow(60, 40))

    @property
    def months(self) -> int:
        """Calendar months of daily rows that one month needs, itself included."""
        return max(self.beta.months, self.high.months, self.variance.months, self.volume.months + 1)


def day_window_characteristics(
    stocks: DailyArrays, factors: Floats, month: date, positions: Integers, settings: DayWindowSettings
) -> dict[str, Floats]:
    """Compute the characteristics of some stocks at the end of one month.

    Parameters
    ----------
    stocks : DailyArrays
        Arrays ``ret`` (decimal), ``price`` (:data:`ADJUSTED_PRICE`) and ``volume`` (shares).
    factors : ndarray of shape (days, 4)
        :data:`FACTORS` on the days of the calendar, decimals; NaN where missing.
    month : date
        First day of the month.
    positions : ndarray of int64
        Array columns of the stocks.
    settings : DayWindowSettings
        The windows.

    Returns
    -------
    dict of str to ndarray
        ``capm_b_mkt``, ``ff3_ivol``, ``variance40``, ``rel2high``, ``suv``; NaN where there are too few observations.
    """
    return {
        **market_models(stocks, factors, month, positions, settings.beta),
        "variance40": _variance(stocks, month, positions, settings.variance),
        "rel2high": _relative_to_high(stocks, month, positions, settings.high),
        "suv": _unexplained_volume(stocks, month, positions, settings.volume),
    }


def market_models(
    stocks: DailyArrays, factors: Floats, month: date, positions: Integers, window: DayWindow
) -> dict[str, Floats]:
    """Regress the excess returns of some stocks on the market, and on the three factors of Fama and French.

    Parameters
    ----------
    stocks, factors, month, positions
        As in :func:`day_window_characteristics`; of the arrays, ``ret`` alone.
    window : DayWindow
        Trading days up to the end of the month, and the fewest with a return and the factors.

    Returns
    -------
    dict of str to ndarray
        ``capm_b_mkt``, the slope on the market; ``ff3_ivol``, the deviation of the three-factor residuals with n - 4
        degrees of freedom (Ang et al. 2006).
    """
    rows = stocks.calendar.window_rows(month, window)
    common = factors[rows]
    excess = stocks.window("ret", rows, positions) - common[:, 3:]
    capm = fit_window(excess, common[:, :1], min_obs=window.min_obs)
    fit, _, squares = fit_residuals(excess, common[:, :3], min_obs=window.min_obs)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(squares / (fit.n_obs - 4.0))
    return {"capm_b_mkt": capm.slopes[:, 0].copy(), "ff3_ivol": np.where(fit.n_obs > 4, deviation, np.nan)}


def _variance(stocks: DailyArrays, month: date, positions: Integers, window: DayWindow) -> Floats:
    rows = stocks.calendar.window_rows(month, window)
    deviation = window_std(stocks.window("ret", rows, positions), window.min_obs)
    return deviation * deviation


def _relative_to_high(stocks: DailyArrays, month: date, positions: Integers, window: DayWindow) -> Floats:
    """Return the last price of the month over the highest of the window (George and Hwang 2004)."""
    prices = stocks.window("price", stocks.calendar.window_rows(month, window), positions)
    own = stocks.calendar.month_rows(month)
    last = np.full(len(positions), np.nan)
    for row in prices[len(prices) - min(own.stop - own.start, len(prices)) :]:
        last = np.where(np.isnan(row), last, row)
    enough = (~np.isnan(prices)).sum(axis=0) >= window.min_obs
    return np.where(enough, last / np.fmax.reduce(prices, axis=0), np.nan)


def _unexplained_volume(stocks: DailyArrays, month: date, positions: Integers, window: DayWindow) -> Floats:
    """Return the mean over the month of volume's residual over its deviation (Garfinkel 2009).

    The regression of volume on the positive and the negative part of the return, both absolute, is estimated before
    the month; the deviation of its residuals has n - 3 degrees of freedom.
    """
    rows = stocks.calendar.window_rows(month, window, before=True)
    if rows.stop - rows.start < window.min_obs:
        return np.full(len(positions), np.nan)
    volume, returns = (stocks.window(name, rows, positions) for name in ("volume", "ret"))
    none = np.empty((len(volume), 0))
    fit, _, squares = fit_residuals(volume, none, _signed_parts(returns), min_obs=window.min_obs)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(squares / (fit.n_obs - 3.0))
    inexact = (fit.n_obs > 3) & (deviation > EXACT_FIT * np.fmax.reduce(volume, axis=0))
    own = stocks.calendar.month_rows(month)
    rise, fall = _signed_parts(stocks.window("ret", own, positions))
    expected = fit.intercepts + rise * fit.slopes[:, 0] + fall * fit.slopes[:, 1]
    surprise = (stocks.window("volume", own, positions) - expected) / np.where(inexact, deviation, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return window_sum(surprise, 1) / (~np.isnan(surprise)).sum(axis=0)


def _signed_parts(returns: Floats) -> list[Floats]:
    return [np.maximum(returns, 0.0), np.maximum(-returns, 0.0)]
