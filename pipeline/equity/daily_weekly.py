"""Weekly returns, and the characteristics that Green, Hand and Zhang (2017) take from three years of them.

Weeks run from Sunday to Saturday and bear the date of their Saturday, as in the authors' program. A week that spans two
months is stored in two pieces, each with the month of its days, so that three years of weeks can be read without three
years of daily rows. Windows of days have their own module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.daily_arrays import DailyArrays, Days, TradingCalendar, day, fit_residuals
from pipeline.panel.calendar import shift, span
from pipeline.panel.dense import Floats, Integers
from pipeline.panel.windows import window_std

WEEKLY_CHARACTERISTICS = ("gkx_beta", "gkx_betasq", "gkx_idiovol", "gkx_pricedelay")
WEEKLY_SCHEMA = {"month": pl.Date, "permno": pl.Int64, "week": pl.Date, "gross_return": pl.Float64}


@dataclass(frozen=True, kw_only=True)
class WeeklySettings:
    """How far weekly returns are looked back on.

    Attributes
    ----------
    months : int
        Calendar months; a week belongs to the month of its Saturday.
    min_weeks : int
        Fewest weekly returns.
    lags : int
        Lagged market returns that ``gkx_pricedelay`` adds.
    """

    months: int = 36
    min_weeks: int = 52
    lags: int = 4

    def __post_init__(self) -> None:
        if not (self.months >= 1 and self.min_weeks >= 3 and self.lags >= 1):
            raise ValueError(
                f"weekly regressions need months >= 1, min_weeks >= 3 and lags >= 1, not {self.months}, "
                f"{self.min_weeks} and {self.lags}"
            )


@dataclass(frozen=True, kw_only=True)
class WeeklyArrays:
    """Weekly returns as a dense array.

    Attributes
    ----------
    weeks : ndarray of datetime64[D]
        Every Saturday from the first to the last.
    permnos : ndarray of int64
        Ascending, one a column.
    returns : ndarray of shape (W, N)
        NaN where a stock has no return in a week.
    market : ndarray of shape (W,)
        Equal-weighted mean over the stocks that have one; NaN in a week without any.
    """

    weeks: Days
    permnos: Integers
    returns: Floats
    market: Floats


def saturday(days: Days) -> Days:
    """Return the Saturday that ends the week of each day, itself on a Saturday."""
    number = days.astype(np.int64)
    # Day 0, 1970-01-01, was a Thursday: two days before a Saturday.
    return (number + (2 - number) % 7).astype("datetime64[D]")


def weekly_returns(daily: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Compound daily returns to weeks, a piece a month.

    Parameters
    ----------
    daily : pl.DataFrame
        Columns month, permno, date, ret (decimal, null where missing) of at least ``months``.
    months : sequence of date
        The months to build; each needs its own rows alone.

    Returns
    -------
    pl.DataFrame
        month, permno, week (its Saturday, which may lie in the next month) and gross_return: the product of 1 + ret
        over those days of the week that lie in the month. Sorted by month, permno, week; a piece without any return
        is absent.
    """
    parts = [_month_pieces(daily.filter(pl.col("month") == month), month) for month in sorted(set(months))]
    return pl.concat([pl.DataFrame(schema=WEEKLY_SCHEMA), *parts])


def _month_pieces(rows: pl.DataFrame, month: date) -> pl.DataFrame:
    calendar = TradingCalendar.of(rows)
    stocks = DailyArrays.from_frame(rows, calendar, ["ret"])
    returns, ends = stocks.arrays["ret"], saturday(calendar.days)
    weeks = np.unique(ends)
    pieces = np.full((len(weeks), len(stocks.permnos)), np.nan)
    for values, week in zip(returns, np.searchsorted(weeks, ends), strict=True):
        piece = pieces[week]
        compounded = np.where(np.isnan(piece), 1.0, piece) * (1.0 + values)
        pieces[week] = np.where(np.isnan(values), piece, compounded)
    stock, week = np.nonzero(~np.isnan(pieces.T))
    return pl.DataFrame(
        {
            "month": pl.repeat(month, len(stock), dtype=pl.Date, eager=True),
            "permno": stocks.permnos[stock],
            "week": weeks[week],
            "gross_return": pieces[week, stock],
        },
        schema=WEEKLY_SCHEMA,
    )


def weekly_arrays(weekly: pl.DataFrame, months: Sequence[date], settings: WeeklySettings) -> WeeklyArrays:
    """Join the pieces of weeks and spread them over weeks and stocks.

    Parameters
    ----------
    weekly : pl.DataFrame
        What :func:`weekly_returns` gives, over all stocks of the market: its mean is the market return.
    months : sequence of date
        The months that will be asked for; weeks are kept that end within their windows.
    settings : WeeklySettings
        The window.
    """
    weekly = span(weekly, months, settings.months + 1)
    first, after = shift(min(months), 1 - settings.months), shift(max(months), 1)
    days = np.arange(day(first), day(after))
    weeks = days[saturday(days) == days]
    pieces = weekly.filter(pl.col("week").is_between(first, after, closed="left"))
    permnos = pieces["permno"].unique().sort().to_numpy()
    gross = np.full((len(weeks), len(permnos)), np.nan)
    opening = pl.col("month") < pl.col("week").dt.month_start()
    for rows in (pieces.filter(opening), pieces.filter(~opening)):
        week = np.searchsorted(weeks, rows["week"].to_numpy().astype("datetime64[D]"))
        cells = week, np.searchsorted(permnos, rows["permno"].to_numpy())
        before = gross[cells]
        gross[cells] = np.where(np.isnan(before), 1.0, before) * rows["gross_return"].to_numpy()
    returns = gross - 1.0
    return WeeklyArrays(weeks=weeks, permnos=permnos, returns=returns, market=_market(returns))


def _market(returns: Floats) -> Floats:
    """Equal-weighted mean of each week; the exactly rounded sum does not depend on which other columns there are."""
    market = np.full(len(returns), np.nan)
    for week, values in enumerate(returns):
        seen = values[~np.isnan(values)]
        if len(seen):
            market[week] = math.fsum(seen) / len(seen)
    return market


def weekly_characteristics(
    weekly: WeeklyArrays, month: date, positions: Integers, settings: WeeklySettings
) -> dict[str, Floats]:
    """Compute beta, its square, idiosyncratic volatility and price delay of some stocks.

    Parameters
    ----------
    weekly : WeeklyArrays
        At least the weeks that end in the window.
    month : date
        First day of the month; weeks that end after it are not used.
    positions : ndarray of int64
        Columns of the stocks.
    settings : WeeklySettings
        The window.

    Returns
    -------
    dict of str to ndarray
        :data:`WEEKLY_CHARACTERISTICS`: slope of the weekly return on the equal-weighted market's; its square; the
        deviation (n - 1) of the residuals; and 1 - (adjusted R2 of that regression) / (adjusted R2 with the lagged
        market returns added). NaN with fewer than ``min_weeks`` returns.

    Notes
    -----
    The published definitions, where the authors' program departs from them: it takes the residuals of the regression
    with lags, and lags the market by rows of the stock rather than by weeks. Its lagged regression starts after the
    window's first four weeks, as here.
    """
    start = np.searchsorted(weekly.weeks, day(shift(month, 1 - settings.months)))
    stop = np.searchsorted(weekly.weeks, day(shift(month, 1)))
    returns, market = weekly.returns[start:stop].take(positions, axis=1), weekly.market[start:stop]
    fit, residuals, squares = fit_residuals(returns, market[:, None], min_obs=settings.min_weeks)
    beta = fit.slopes[:, 0].copy()
    restricted = _adjusted_r2(returns, residuals, squares, 1)
    lags, length = settings.lags, len(market) - settings.lags
    delay = np.full(len(beta), np.nan)
    if length > 0:
        lagged = np.stack([market[lags - lag : lags - lag + length] for lag in range(lags + 1)], axis=1)
        _, lagged_residuals, lagged_squares = fit_residuals(returns[lags:], lagged, min_obs=lags + 3)
        full = _adjusted_r2(returns[lags:], lagged_residuals, lagged_squares, lags + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            delay = 1.0 - restricted / full
    return {
        "gkx_beta": beta,
        "gkx_betasq": beta * beta,
        "gkx_idiovol": window_std(residuals, settings.min_weeks),
        "gkx_pricedelay": delay,
    }


def _adjusted_r2(returns: Floats, residuals: Floats, squares: Floats, regressors: int) -> Floats:
    used = ~np.isnan(residuals)
    freedom = used.sum(axis=0) - regressors - 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            1.0
            - squares / np.where(freedom > 0.0, freedom, np.nan) / window_std(np.where(used, returns, np.nan), 2) ** 2
        )
