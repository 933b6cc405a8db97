"""Market return and sorted portfolios of the economy's listed stocks.

Two-by-three value-weighted sorts as in Fama and French (1993, 2015), with breakpoints over all listed stocks (there is
no NYSE subset here). Rounding to what is published belongs to the tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, daily_returns, stream

MOMENTUM_LAGS = (2, 12)
"""Prior return of months t - 12 to t - 2 for a portfolio held in month t."""


@dataclass(frozen=True)
class StockFactors:
    """Factor returns, decimals, by month (T,) unless said; NaN in months without a formation.

    Parameters
    ----------
    market, market_ex : ndarray
        Value-weighted return of all listed stocks with and without dividends.
    total_value : ndarray
        Market equity of all listed stocks at month end, thousands.
    monthly : dict of str to ndarray
        smb, hml, smb_5, rmw, cma, wml; hml_devil, value on current prices; me, ia, roe, eg of the q model.
    market_daily, market_ex_daily : ndarray, shape (D,)
        Daily market returns that compound to the monthly ones.
    """

    market: Array
    market_ex: Array
    total_value: Array
    monthly: dict[str, Array]
    market_daily: Array
    market_ex_daily: Array


def stock_factors(clock: Clock, firms: Firms, states: MacroStates, seed: int) -> StockFactors:
    """Build the market and the sorted portfolios.

    Parameters
    ----------
    clock : Clock
        Months and sessions.
    firms : Firms
        Stocks and what they are sorted on.
    states : MacroStates
        Volatility of the daily market.
    seed : int
        Seed of the market.

    Returns
    -------
    StockFactors
    """
    listed = ~firms.private
    ret, cap = firms.ret[:, listed], firms.marketcap[:, listed]
    weights = np.vstack([cap[:1], cap[:-1]])
    market = (weights * ret).sum(axis=1) / weights.sum(axis=1)
    ex = (weights * firms.retx[:, listed]).sum(axis=1) / weights.sum(axis=1)
    sd = states.vix / 100 / np.sqrt(252)
    rng = stream(seed, "daily market")
    daily = daily_returns(market, clock, sd, rng)
    sessions = np.diff(clock.starts)
    per_day = ((1 + ex) / (1 + market)) ** (1 / sessions)
    return StockFactors(
        market=market,
        market_ex=ex,
        total_value=1000 * cap.sum(axis=1),
        monthly=_sorted_portfolios(clock, firms, listed),
        market_daily=daily,
        market_ex_daily=(1 + daily) * per_day[clock.month_of_session] - 1,
    )


def _sorted_portfolios(clock: Clock, firms: Firms, listed: NDArray[np.bool_]) -> dict[str, Array]:
    """Every long-short portfolio of the published factor files."""
    ret, cap = firms.ret[:, listed], firms.marketcap[:, listed]
    book, assets = firms.book_equity[:, listed], (firms.debt + firms.book_equity)[:, listed]
    income = firms.net_income[:, listed]
    calendar_month = clock.months.astype(int) % 12
    june = (calendar_month == 5) | (np.arange(clock.n) == 0)
    every = np.ones(clock.n, dtype=bool)
    ebit = (firms.revenue * firms.ebit_margin)[:, listed]
    growth = assets / _lag(assets, 12) - 1
    growth[:12] = assets[:12] / assets[0] - 1
    first, last = MOMENTUM_LAGS
    logs = np.cumsum(np.log1p(ret), axis=0)
    momentum = _lag(logs, first - 1) - _lag(logs, last)
    value = long_short(book / cap, cap, ret, june)
    profit = long_short(ebit / np.abs(book), cap, ret, june)
    invest = long_short(-growth, cap, ret, june)
    trend = long_short(momentum, cap, ret, every)
    earnings = long_short(income / np.abs(book), cap, ret, every)
    expected = long_short(ebit / np.abs(assets) + 0.1 * np.nan_to_num(momentum), cap, ret, every)
    return {
        "hml_devil": long_short(book / cap, cap, ret, every)[0],
        "smb": value[1],
        "hml": value[0],
        "smb_5": (value[1] + profit[1] + invest[1]) / 3,
        "rmw": profit[0],
        "cma": invest[0],
        "wml": trend[0],
        "me": (earnings[1] + invest[1]) / 2,
        "ia": long_short(-growth, cap, ret, every)[0],
        "roe": earnings[0],
        "eg": expected[0],
    }


def long_short(characteristic: Array, cap: Array, ret: Array, formation: NDArray[np.bool_]) -> tuple[Array, Array]:
    """High minus low and small minus big of an independent two-by-three sort.

    Size is split at the median, the characteristic at its 30% and 70% quantiles; portfolios are weighted by market
    equity at the end of the month before.

    Parameters
    ----------
    characteristic, cap, ret : ndarray, shape (T, I)
        Month-end characteristic (NaN: not sorted) and market equity, and the month's return.
    formation : ndarray of bool, shape (T,)
        Month ends at which groups are formed; they hold until the next formation.

    Returns
    -------
    high_minus_low, small_minus_big : ndarray, shape (T,)
        NaN before the first formation with sortable stocks, and where one of the six portfolios is empty.
    """
    high_low, small_big = np.full(len(ret), np.nan), np.full(len(ret), np.nan)
    groups = np.full(ret.shape[1], -1)
    for t in range(1, len(ret)):
        known = characteristic[t - 1]
        if formation[t - 1] and not np.isnan(known).all():
            low, high = np.nanquantile(known, [0.3, 0.7])
            third = (known > low).astype(int) + (known > high)
            groups = np.where(np.isnan(known), -1, 3 * (cap[t - 1] > np.median(cap[t - 1])) + third)
        held = groups >= 0
        weight = np.bincount(groups[held], cap[t - 1, held], minlength=6)
        if (weight > 0).all():
            means = np.bincount(groups[held], (cap[t - 1] * ret[t])[held], minlength=6) / weight
            high_low[t] = (means[2] + means[5] - means[0] - means[3]) / 2
            small_big[t] = means[:3].mean() - means[3:].mean()
    return high_low, small_big


def _lag(values: Array, months: int) -> Array:
    """Values of `months` months before, NaN where there is none."""
    lagged = np.full(values.shape, np.nan)
    lagged[months:] = values[:-months]
    return lagged
