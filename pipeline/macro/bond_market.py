"""The bond-market factor: what changes of the Treasury curve leave unexplained in the return of a corporate-bond fund.

The curve itself is made in ``pipeline.macro.treasury``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipeline.macro.monthly import lagged, last_of_month, wanted_months, without_nan
from pipeline.macro.treasury import TREASURY_SERIES
from pipeline.panel.calendar import month_range, shift
from pipeline.panel.dense import MonthlySeries
from pipeline.panel.time_series import walk_forward_residuals


@dataclass(frozen=True, kw_only=True)
class BondMarketSettings:
    """Settings of :func:`bond_market_factor`.

    Attributes
    ----------
    window : int
        Calendar months before m on which the regression of m is estimated.
    min_obs : int
        Fewest complete months in that window.
    tenors : tuple of str
        Tenors whose yield changes are the regressors.
    """

    window: int = 60
    min_obs: int = 8
    tenors: tuple[str, ...] = ("1m", "2y", "10y", "30y")

    def __post_init__(self) -> None:
        unknown = [t for t in self.tenors if t not in TREASURY_SERIES]
        if unknown or not self.tenors:
            raise ValueError(f"tenors {unknown or self.tenors} are not among {', '.join(TREASURY_SERIES)}")
        if not len(self.tenors) < self.min_obs <= self.window:
            raise ValueError(
                f"min_obs {self.min_obs} must exceed the {len(self.tenors)} regressors, not the window {self.window}"
            )


def fund_returns(prices: pl.DataFrame) -> pl.DataFrame:
    """Monthly total returns from adjusted closes, last trading day to last trading day.

    Parameters
    ----------
    prices : DataFrame
        ``date, month, adj_close``, adjusted for distributions; null is missing.

    Returns
    -------
    DataFrame
        ``month, lqd_return`` (decimal), on every month from the second to the last; null where either month has no
        price.
    """
    closes = last_of_month(prices.filter(pl.col("adj_close") > 0), "adj_close")
    if closes.is_empty():
        return pl.DataFrame(schema={"month": pl.Date, "lqd_return": pl.Float64})
    grid = month_range(closes["month"][0], closes["month"][-1])
    level = MonthlySeries.from_frame(closes, ["adj_close"], grid[0], grid[-1]).values[:, 0]
    frame = pl.DataFrame({"month": grid, "lqd_return": level / lagged(level, 1) - 1.0})
    return without_nan(frame[1:])


def bond_market_factor(
    prices: pl.DataFrame, treasury: pl.DataFrame, months: Sequence[date], settings: BondMarketSettings
) -> pl.DataFrame:
    """Bond-market factor from daily fund prices and the month-end Treasury curve.

    Parameters
    ----------
    prices : DataFrame
        Daily LQD: ``date, month, adj_close``. The months ``m - window - 1 .. m`` are used.
    treasury : DataFrame
        ``month`` and ``dy_<tenor>`` (percentage points over the month), as made by ``treasury_curve``; the months ``m
        - window .. m`` are used.
    months : sequence of date
        Months wanted.
    settings : BondMarketSettings
        Window and tenors.

    Returns
    -------
    DataFrame
        As :func:`bond_market_factor_of_series`.
    """
    return bond_market_factor_of_series(fund_returns(prices), treasury, months, settings)


def bond_market_factor_of_series(
    returns: pl.DataFrame, treasury: pl.DataFrame, months: Sequence[date], settings: BondMarketSettings
) -> pl.DataFrame:
    """Bond-market factor from monthly series, however they were sampled.

    The return of m less the sum of yield changes of m times coefficients of the regression, without intercept, of
    returns on yield changes over ``m - window .. m - 1``. Return and change of the same month belong together.

    Parameters
    ----------
    returns : DataFrame
        ``month, lqd_return`` (decimal), one row a month.
    treasury : DataFrame
        ``month`` and ``dy_<tenor>`` (percentage points), one row a month.
    months : sequence of date
        Months wanted.
    settings : BondMarketSettings
        Window and tenors.

    Returns
    -------
    DataFrame
        One row a month: ``month, lqd_return, bond_market_factor, beta_<tenor>..., n_obs``; null where a value or the
        window is missing.
    """
    wanted = wanted_months(months)
    grid = month_range(shift(wanted[0], -settings.window), wanted[-1])
    y = MonthlySeries.from_frame(returns, ["lqd_return"], grid[0], grid[-1]).values[:, 0]
    x = MonthlySeries.from_frame(treasury, [f"dy_{t}" for t in settings.tenors], grid[0], grid[-1]).values
    fit = walk_forward_residuals(y, x, settings.window, settings.min_obs, intercept=False)
    frame = pl.DataFrame(
        {
            "month": grid,
            "lqd_return": y,
            "bond_market_factor": fit.residual,
            **{f"beta_{t}": fit.coef[:, k] for k, t in enumerate(settings.tenors)},
            "n_obs": fit.n_obs,
        }
    )
    return without_nan(frame.filter(pl.col("month").is_in(wanted)))
