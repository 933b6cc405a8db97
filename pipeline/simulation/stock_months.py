"""Months of the securities as CRSP knows them, delistings included, and the value-weighted market made of them.

Which returns are codes, which months have no row, and what the return of a delisting month truly is. Vendor columns and
units belong to the tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.listings import Listings
from pipeline.simulation.paths import Array
from pipeline.simulation.shares import CODED, TRADED
from pipeline.simulation.stock_names import move_month
from pipeline.simulation.trading import NASDAQ, DailyMonth, Trading

FIRST_CODE = "C"
CODES = ("B", "-99.0", "-66.0", "-77.0", "-88.0", "-44.0")
"""Codes for a return that is not there, in turn."""

COMMON, EXCHANGES = (10, 11), (1, 2, 3)

FAILED = (500, *range(520, 585))
"""Delisting codes after which a missing delisting return is replaced."""

SHUMWAY = -0.30
OSAP = {1: -0.35, 2: -0.35, 3: -0.55}


@dataclass(frozen=True)
class StockMonths:
    """Security-month arrays of shape (T, S) unless said; NaN where there is no value.

    Parameters
    ----------
    row : ndarray of bool
        Months with a monthly row.
    prc : ndarray
        Month-end (or last) price, dollars.
    midpoint : ndarray of bool
        Prices that are bid-ask midpoints.
    ret, retx : ndarray
        Returns in the monthly row, to the last trading day, the delisting left out; decimals.
    code : ndarray of str
        Code published instead of the return; empty where there is a return or no row.
    volume : ndarray
        Published volume, shares.
    quiet_days : ndarray
        Days with a row and without a trade.
    me : ndarray
        Price times shares outstanding, millions.
    dlret : ndarray
        Delisting return applied in the month of the delisting, the replacement of a missing one included.
    total, total_ex : ndarray
        Return of the month, with and without dividends, the delisting included (Shumway 1997: -0.30 where a failure's
        is missing).
    total_osap : ndarray
        The same with -0.35 (NYSE and AMEX) and -0.55 (NASDAQ).
    universe : ndarray of bool
        Common stocks on the three exchanges at the end of the month, with a monthly row.
    """

    row: NDArray[np.bool_]
    prc: Array
    midpoint: NDArray[np.bool_]
    ret: Array
    retx: Array
    code: NDArray[np.str_]
    volume: Array
    quiet_days: Array
    me: Array
    dlret: Array
    total: Array
    total_ex: Array
    total_osap: Array
    universe: NDArray[np.bool_]


@dataclass(frozen=True)
class StockMarket:
    """Value-weighted return of all securities, weighted by market equity at the end of the month before.

    Parameters
    ----------
    total, ex : ndarray, shape (T,)
        With and without dividends, decimals; 0 in the first month.
    value : ndarray, shape (T,)
        Market equity at month end, thousands.
    total_daily, ex_daily : ndarray, shape (D,)
        Daily returns of the portfolio bought at the end of the month before and held; they compound to the monthly
        ones.
    value_daily : ndarray, shape (D,)
        Market equity, thousands.
    """

    total: Array
    ex: Array
    value: Array
    total_daily: Array
    ex_daily: Array
    value_daily: Array


def simulate_stock_months(trading: Trading) -> tuple[StockMonths, StockMarket]:
    """Publish the months of every security and weigh them into a market.

    Parameters
    ----------
    trading : Trading
        The securities day by day.

    Returns
    -------
    StockMonths, StockMarket
    """
    clock, listings = trading.clock, trading.listings
    shape = (clock.n, listings.n)
    series = {name: np.full(shape, np.nan) for name in ("prc", "ret", "retx", "volume", "quiet_days")}
    code = np.full(shape, "", dtype="<U5")
    midpoint, row = np.zeros(shape, bool), np.zeros(shape, bool)
    value_daily = np.zeros(len(clock.sessions))
    lost_returns, coded = _lost_returns(trading), 0
    for t in range(clock.n):
        block = trading.month(t)
        days = slice(int(clock.starts[t]), int(clock.starts[t + 1]))
        value_daily[days] = _value(block, listings)
        here = _month(t, block, trading)
        for name, values in series.items():
            values[t, block.columns] = here[name]
        midpoint[t, block.columns] = here["midpoint"] == 1
        row[t, block.columns] = True
        code[t, listings.first >= days.start] = FIRST_CODE
        silent = _listed(t, clock, listings) & (trading.shares.silence[t] == CODED)
        row[t, silent], series["volume"][t, silent] = True, 0.0
        for s in np.flatnonzero(silent | lost_returns[t]):
            code[t, s] = CODES[coded % len(CODES)]
            series["ret"][t, s] = series["retx"][t, s] = np.nan
            coded += 1
    lost = row & (code != "") & _in_month(listings.delisted, clock) & ~listings.active
    series["prc"][lost] = np.nan
    code[~row] = ""
    months = _with_delistings(trading, series, code, midpoint, row)
    return months, _market(trading, months, value_daily)


def _listed(t: int, clock: Clock, listings: Listings) -> NDArray[np.bool_]:
    """Securities listed at some time of a month."""
    return (listings.first < clock.starts[t + 1]) & (listings.last >= clock.starts[t])


def _in_month(session: NDArray[np.intp], clock: Clock) -> NDArray[np.bool_]:
    """Whether a session of each security falls into each month; shape (T, S)."""
    return clock.month_of_session[session] == np.arange(clock.n)[:, None]


def _lost_returns(trading: Trading) -> NDArray[np.bool_]:
    """Rows with a code although there was trading: of moves between exchanges, of some delisting months; (T, S)."""
    clock, listings = trading.clock, trading.listings
    lost = np.zeros((clock.n, listings.n), bool)
    for s, role in enumerate(listings.roles):
        if role.row == "coded":
            lost[clock.month_of_session[listings.delisted[s]], s] = True
        elif role.change == "moved":
            lost[move_month(clock, s), s] = True
    return lost


def _month(t: int, block: DailyMonth, trading: Trading) -> dict[str, Array]:
    """Return, price and volume of the securities that trade in a month; arrays of shape (k,)."""
    shares, columns = trading.shares, block.columns
    final = np.minimum(trading.listings.last[columns] - block.start, len(block.growth) - 1)
    at = (final, np.arange(len(columns)))
    whole = final == len(block.growth) - 1
    growth = np.where(whole, 1 + shares.ret[t, columns], block.growth[at])
    growth_ex = np.where(whole, 1 + shares.retx[t, columns], block.growth_ex[at])
    carried = trading.carried[t, columns]
    # Price appreciation over silent months, from prices where those months pay dividends.
    carried_ex = np.where(carried == 1, 1.0, _carried_ex(t, trading)[columns])
    opening = trading.listings.first[columns] >= block.start
    return {
        "ret": np.where(opening, np.nan, growth * carried - 1),
        "retx": np.where(opening, np.nan, growth_ex * carried_ex - 1),
        "prc": block.price[at],
        "midpoint": (~block.traded[at]).astype(float),
        "volume": block.volume.sum(axis=0),
        "quiet_days": (block.present & ~block.traded).sum(axis=0),
    }


def _carried_ex(t: int, trading: Trading) -> Array:
    """Growth without dividends over the silent months right before month t; shape (S,)."""
    shares = trading.shares
    carried = np.ones(trading.listings.n)
    open_gap = np.ones(trading.listings.n, bool)
    for before in range(t - 1, -1, -1):
        open_gap &= shares.silence[before] != TRADED
        if not open_gap.any():
            break
        carried = np.where(open_gap, carried * (1 + shares.retx[before]), carried)
    return carried


def _value(block: DailyMonth, listings: Listings) -> Array:
    """Market equity of the listed securities on every day of a month, thousands."""
    session = block.start + np.arange(len(block.price))[:, None]
    listed = (session >= listings.first[block.columns]) & (session <= listings.last[block.columns])
    return np.where(listed, block.price * block.shrout, 0.0).sum(axis=1)


def _with_delistings(
    trading: Trading, series: dict[str, Array], code: NDArray, midpoint: NDArray, row: NDArray
) -> StockMonths:
    """Put delistings and flags to the published rows."""
    clock, listings, names = trading.clock, trading.listings, trading.names
    leaves = _in_month(listings.delisted, clock) & ~listings.active
    failed = np.isin(listings.dlstcd, FAILED) & np.isnan(listings.dlret)
    # The exchange on which the security was at the end of the month before, whatever the delisting month says.
    month = np.maximum(clock.month_of_session[listings.delisted] - 1, 0)
    exchange = names.at_month_end["exchcd"][month, np.arange(listings.n)]
    osap = np.array([OSAP.get(code, OSAP[NASDAQ]) for code in exchange.tolist()])
    shumway = np.where(leaves, np.where(failed, SHUMWAY, listings.dlret), np.nan)
    shares_me = series["prc"] * trading.shares.shrout / 1000
    common = np.isin(names.at_month_end["shrcd"], COMMON) & np.isin(names.at_month_end["exchcd"], EXCHANGES)
    return StockMonths(
        row=row,
        prc=series["prc"],
        midpoint=midpoint & ~np.isnan(series["prc"]),
        ret=series["ret"],
        retx=series["retx"],
        code=code,
        volume=series["volume"],
        quiet_days=series["quiet_days"],
        me=shares_me,
        dlret=shumway,
        total=_compounded(series["ret"], shumway),
        total_ex=_compounded(series["retx"], shumway),
        total_osap=_compounded(series["ret"], np.where(leaves, np.where(failed, osap, listings.dlret), np.nan)),
        universe=common & row,
    )


def _compounded(ret: Array, dlret: Array) -> Array:
    """Return and delisting return together; either one where the other is missing."""
    both = np.where(np.isnan(dlret), ret, (1 + ret) * (1 + dlret) - 1)
    return np.where(np.isnan(ret), dlret, both)


def held_growth(trading: Trading, months: StockMonths, t: int) -> tuple[Array, Array]:
    """Daily value of a dollar in every security from the end of the month before, its delisting included.

    Parameters
    ----------
    trading : Trading
        Days.
    months : StockMonths
        Months.
    t : int
        Month index.

    Returns
    -------
    growth, growth_ex : ndarray, shape (days, S)
        With and without dividends; the last day is one plus `total` and `total_ex` where those are there.
    """
    held, listings = trading.growth(t), trading.listings
    n = len(held.total)
    growth, growth_ex = np.ones((n, listings.n)), np.ones((n, listings.n))
    growth[:, held.columns], growth_ex[:, held.columns] = held.total, held.ex
    session = held.start + np.arange(n)[:, None]
    closed = (session > listings.delisted) | (np.arange(n)[:, None] == n - 1)
    growth = np.where(closed, 1 + months.total[t], growth)
    return growth, np.where(closed, 1 + months.total_ex[t], growth_ex)


def _market(trading: Trading, months: StockMonths, value_daily: Array) -> StockMarket:
    """Weigh the securities by their market equity at the end of the month before."""
    clock = trading.clock
    total, ex = np.zeros(clock.n), np.zeros(clock.n)
    daily, daily_ex = np.zeros(len(clock.sessions)), np.zeros(len(clock.sessions))
    for t in range(1, clock.n):
        held = ~np.isnan(months.me[t - 1]) & ~np.isnan(months.total[t])
        weight = months.me[t - 1, held] / months.me[t - 1, held].sum()
        days = slice(int(clock.starts[t]), int(clock.starts[t + 1]))
        growth, growth_ex = held_growth(trading, months, t)
        total[t], daily[days] = _portfolio(weight, growth[:, held])
        ex[t], daily_ex[days] = _portfolio(weight, growth_ex[:, held])
    value = 1000 * np.nansum(np.where(months.row, months.me, np.nan), axis=1)
    return StockMarket(total, ex, value, daily, daily_ex, value_daily)


def _portfolio(weight: Array, growth: Array) -> tuple[float, Array]:
    """Monthly and daily returns of a portfolio that is bought once."""
    level = growth @ weight
    return float(level[-1] - 1), level / np.concatenate([[1.0], level[:-1]]) - 1
