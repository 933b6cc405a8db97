"""Market return and sorted portfolios of the economy's listed securities.

Two-by-three value-weighted sorts as in Fama and French (1993, 2015) on the common stocks of the three exchanges:
formed at the end of June on NYSE breakpoints, book equity of the fiscal year that ended in the calendar year before
over December's market equity of the whole company, delisting returns included. Rounding to what is published belongs to
the tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.listings import Listings
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, daily_returns, stream
from pipeline.simulation.stock_months import StockMarket, StockMonths, held_growth
from pipeline.simulation.trading import Trading

MOMENTUM_LAGS = (2, 12)
"""Prior return of months t - 12 to t - 2 for a portfolio held in month t."""

NYSE = 1


@dataclass(frozen=True)
class StockFactors:
    """Factor returns, decimals, by month (T,) unless said; NaN in months without a formation.

    Parameters
    ----------
    market, market_ex : ndarray
        Value-weighted return of all listed securities with and without dividends.
    total_value : ndarray
        Market equity of all listed securities at month end, thousands.
    monthly : dict of str to ndarray
        smb, hml, smb_5, rmw, cma, wml; hml_devil, value on current prices; me, ia, roe, eg of the q model.
    market_daily, market_ex_daily, value_daily : ndarray, shape (D,)
        Daily market returns that compound to the monthly ones, and market equity.
    daily : dict of str to ndarray, shape (D,)
        smb, hml.
    basket, basket_ex : ndarray
        Return of a fixed basket of the firms with listed stock, whatever becomes of their listings: what the stock
        price index of the macro series and the exchange-traded fund follow.
    basket_daily, basket_ex_daily : ndarray, shape (D,)
        The same by day.
    """

    market: Array
    market_ex: Array
    total_value: Array
    monthly: dict[str, Array]
    market_daily: Array
    market_ex_daily: Array
    value_daily: Array
    daily: dict[str, Array]
    basket: Array
    basket_ex: Array
    basket_daily: Array
    basket_ex_daily: Array


@dataclass(frozen=True)
class Accounts:
    """Which accounts can be used for which security.

    Parameters
    ----------
    year_ends : ndarray of bool, shape (T, I)
        Months with the end of a fiscal year whose statement can be used.
    linked : ndarray of int, shape (T, S)
        Firm whose accounts belong to the security at the end of the month, -1 for none.
    """

    year_ends: NDArray[np.bool_]
    linked: NDArray[np.intp]


@dataclass(frozen=True)
class Sort:
    """A two-by-three sort and its portfolios.

    Parameters
    ----------
    groups : ndarray of int, shape (T, S)
        Portfolio held in the month: 0 to 2 small, 3 to 5 big, from low to high; -1 outside.
    high_low, small_big : ndarray, shape (T,)
        Long-short returns; NaN before the first formation and where one of the six portfolios is empty.
    """

    groups: NDArray[np.intp]
    high_low: Array
    small_big: Array


def stock_factors(
    trading: Trading, months: StockMonths, market: StockMarket, accounts: Accounts, states: MacroStates, seed: int
) -> StockFactors:
    """Build the market and the sorted portfolios.

    Parameters
    ----------
    trading : Trading
        Securities, firms and days.
    months : StockMonths
        Months of the securities.
    market : StockMarket
        Their value-weighted return.
    accounts : Accounts
        Fiscal years and links.
    states : MacroStates
        Volatility of the basket's days.
    seed : int
        Seed of the market.

    Returns
    -------
    StockFactors
    """
    clock, firms = trading.clock, trading.firms
    monthly, value = _sorted_portfolios(trading, months, accounts)
    basket, basket_ex = _basket(firms)
    basket_daily = daily_returns(basket, clock, states.vix / 100 / np.sqrt(252), stream(seed, "daily market"))
    per_day = ((1 + basket_ex) / (1 + basket)) ** (1 / np.diff(clock.starts))
    return StockFactors(
        market=market.total,
        market_ex=market.ex,
        total_value=market.value,
        monthly=monthly,
        market_daily=market.total_daily,
        market_ex_daily=market.ex_daily,
        value_daily=market.value_daily,
        daily=_daily(trading, months, value),
        basket=basket,
        basket_ex=basket_ex,
        basket_daily=basket_daily,
        basket_ex_daily=(1 + basket_daily) * per_day[clock.month_of_session] - 1,
    )


def _basket(firms: Firms) -> tuple[Array, Array]:
    """Return with and without dividends of all firms with listed stock, weighted by last month's equity."""
    listed = ~firms.private
    cap = firms.marketcap[:, listed]
    weights = np.vstack([cap[:1], cap[:-1]])
    total = (weights * firms.ret[:, listed]).sum(axis=1) / weights.sum(axis=1)
    return total, (weights * firms.retx[:, listed]).sum(axis=1) / weights.sum(axis=1)


def company_equity(months: StockMonths, listings: Listings) -> Array:
    """Market equity summed over the securities of each one's company.

    Parameters
    ----------
    months : StockMonths
        Market equity by security.
    listings : Listings
        Which security belongs to which company.

    Returns
    -------
    ndarray, shape (T, S)
        Millions, NaN where the security itself has none.
    """
    position = np.unique(listings.permco, return_inverse=True)[1]
    sums = np.zeros((len(months.me), position.max() + 1))
    for s in range(listings.n):
        sums[:, position[s]] += np.nan_to_num(months.me[:, s])
    return np.where(np.isnan(months.me), np.nan, sums[:, position])


def last_fiscal_year(values: Array, year_ends: NDArray[np.bool_], clock: Clock) -> Array:
    """Value at the last fiscal year end in the calendar year before, as used from June to May.

    Parameters
    ----------
    values : ndarray, shape (T, I)
        Firm-month values.
    year_ends : ndarray of bool, shape (T, I)
        Months with the end of a fiscal year whose statement can be used.
    clock : Clock
        Months.

    Returns
    -------
    ndarray, shape (T, I)
        For June of year y to May of y + 1 the value at the last fiscal year end in y - 1, NaN where there is none. As
        long as no firm has one, the value of the first month stands in, so that portfolios exist from the start.
    """
    years = clock.months.astype("datetime64[Y]").astype(int)
    june_year = (clock.months - 5).astype("datetime64[Y]").astype(int)
    known = np.broadcast_to(values[0], values.shape).copy()
    begun = False
    for year in np.unique(june_year):
        ends = year_ends & (years == year - 1)[:, None]
        begun |= bool(ends.any())
        if begun:
            last = len(ends) - 1 - np.argmax(ends[::-1], axis=0)
            known[june_year == year] = np.where(ends.any(axis=0), values[last, np.arange(values.shape[1])], np.nan)
    return known


def _last_december(values: Array, clock: Clock) -> Array:
    """Value of December of the year before, as used from June to May; before there is one, of the first month."""
    june_year = (clock.months - 5).astype("datetime64[Y]")
    december = (june_year.astype("datetime64[M]") - 1 - clock.months[0]).astype(int)
    return np.where((december >= 0)[:, None], values[np.maximum(december, 0)], values[0])


def _sorted_portfolios(trading: Trading, months: StockMonths, accounts: Accounts) -> tuple[dict[str, Array], Sort]:
    """Every long-short portfolio of the published factor files, and the sort on value."""
    clock, firms, listings = trading.clock, trading.firms, trading.listings
    firm = listings.firm

    def annual(values: Array) -> Array:
        return last_fiscal_year(values, accounts.year_ends, clock)[:, firm]

    nyse = trading.names.at_month_end["exchcd"] == NYSE
    # Who leaves on the last day of June can't be held in July.
    listed = (clock.month_of_session[listings.delisted] > np.arange(clock.n)[:, None]) | listings.active
    eligible = months.universe & listed & (accounts.linked == firm)
    book = annual(firms.book_equity)
    total = firms.debt + firms.book_equity
    # In the first year nothing has grown yet; the growth to come keeps the first sort from being one of ties.
    growth = annual(np.vstack([np.repeat(total[12:13] / total[:1], 12, axis=0), total[12:] / total[:-12]]) - 1)
    ebit = annual(firms.revenue * firms.ebit_margin)
    positive = np.where(book > 0, book, np.nan)
    june = (clock.months.astype(int) % 12 == 5) | (np.arange(clock.n) == 0)
    every = np.ones(clock.n, dtype=bool)
    company = company_equity(months, listings)
    reported = firms.net_income[:, firm] / np.where(firms.book_equity > 0, firms.book_equity, np.nan)[:, firm]
    momentum = _momentum(months.total)

    def sort(characteristic: Array, formation: NDArray[np.bool_]) -> Sort:
        return long_short(np.where(eligible, characteristic, np.nan), months.me, months.total, nyse, formation)

    value = sort(positive / _last_december(company, clock), june)
    profit, invest = sort(ebit / positive, june), sort(-growth, june)
    earnings = sort(reported, every)
    expected = sort(reported + 0.1 * np.nan_to_num(momentum), every)
    return {
        "hml_devil": sort(positive / company, every).high_low,
        "smb": value.small_big,
        "hml": value.high_low,
        "smb_5": (value.small_big + profit.small_big + invest.small_big) / 3,
        "rmw": profit.high_low,
        "cma": invest.high_low,
        "wml": sort(momentum, every).high_low,
        "me": (earnings.small_big + invest.small_big) / 2,
        "ia": invest.high_low,
        "roe": earnings.high_low,
        "eg": expected.high_low,
    }, value


def _momentum(total: Array) -> Array:
    """Compounded log return of months t - 11 to t - 1, the prior return for a portfolio held in t + 1; shape (T, S)."""
    first, last = MOMENTUM_LAGS
    logs = np.log1p(np.maximum(total, -0.999))
    momentum = np.full(total.shape, np.nan)
    for t in range(last, len(total)):
        momentum[t] = logs[t - last + 1 : t - first + 2].sum(axis=0)
    return momentum


def long_short(
    characteristic: Array, size: Array, ret: Array, nyse: NDArray[np.bool_], formation: NDArray[np.bool_]
) -> Sort:
    """High minus low and small minus big of an independent two-by-three sort.

    Size is split at the NYSE median, the characteristic at its NYSE 30% and 70% quantiles; portfolios are weighted by
    market equity at the end of the month before, over the securities that have a return.

    Parameters
    ----------
    characteristic, size, ret : ndarray, shape (T, S)
        Month-end characteristic (NaN: not sorted), market equity, and the month's return.
    nyse : ndarray of bool, shape (T, S)
        Securities on the NYSE at month end.
    formation : ndarray of bool, shape (T,)
        Month ends at which groups are formed; they hold until the next formation.

    Returns
    -------
    Sort
    """
    high_low, small_big = np.full(len(ret), np.nan), np.full(len(ret), np.nan)
    groups = np.full(ret.shape, -1)
    held = groups[0]
    for t in range(1, len(ret)):
        value, equity = characteristic[t - 1], size[t - 1]
        sortable = ~np.isnan(value) & ~np.isnan(equity)
        breaks = sortable & nyse[t - 1]
        if formation[t - 1] and breaks.any():
            low, high = np.quantile(value[breaks], [0.3, 0.7])
            third = (value > low).astype(int) + (value > high)
            held = np.where(sortable, 3 * (equity > np.median(equity[breaks])) + third, -1)
        groups[t] = held
        inside = (held >= 0) & ~np.isnan(equity) & ~np.isnan(ret[t])
        weight = np.bincount(held[inside], equity[inside], minlength=6)
        if (weight > 0).all():
            means = np.bincount(held[inside], (equity * ret[t])[inside], minlength=6) / weight
            high_low[t], small_big[t] = _spreads(means)
    return Sort(groups, high_low, small_big)


def _spreads(means: Array) -> tuple[Array, Array]:
    """High minus low and small minus big from the six portfolios along the first axis."""
    return (means[2] + means[5] - means[0] - means[3]) / 2, means[:3].mean(axis=0) - means[3:].mean(axis=0)


def _daily(trading: Trading, months: StockMonths, sort: Sort) -> dict[str, Array]:
    """Daily SMB and HML from the six portfolios, each bought at the end of the month before and held."""
    clock = trading.clock
    smb, hml = np.full(len(clock.sessions), np.nan), np.full(len(clock.sessions), np.nan)
    for t in np.flatnonzero(~np.isnan(sort.high_low)).tolist():
        equity, group = months.me[t - 1], sort.groups[t]
        growth, _ = held_growth(trading, months, t)
        inside = (group >= 0) & ~np.isnan(equity) & ~np.isnan(months.total[t])
        level = np.stack(
            [
                growth[:, chosen] @ equity[chosen] / equity[chosen].sum()
                for chosen in (inside & (group == g) for g in range(6))
            ]
        )
        daily = level / np.hstack([np.ones((6, 1)), level[:, :-1]]) - 1
        days = slice(int(clock.starts[t]), int(clock.starts[t + 1]))
        hml[days], smb[days] = _spreads(daily)
    return {"smb": smb, "hml": hml}
