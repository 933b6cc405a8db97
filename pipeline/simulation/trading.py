"""The securities day by day: returns that compound to the month's, prices, shares, trades and volume.

A month is a pure function of the economy before it was published, made when somebody asks for it, so that no table ever
needs the whole daily history at once. Quotes, which only the daily tables show, are drawn there.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import STOCK_FACTOR_SD, Firms
from pipeline.simulation.listings import Listings
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.shares import TRADED, Shares
from pipeline.simulation.stock_names import StockNames

DAYS = 21
"""Trading days a month by which monthly deviations are scaled to a day."""

NASDAQ = 3

DOUBLE_COUNTING: tuple[tuple[str, float], ...] = (("2001-02", 2.0), ("2002-01", 1.8), ("2004-01", 1.6))
"""Months before which NASDAQ's published volume is the factor times that of an auction market."""

UNTRADED = {"illiquid": 0.12}
"""Probability that a security's day passes without a trade, by kind of trading; half of these days keep the price."""

ABSENT = {"gappy": 0.10}
"""Probability that a day in the middle of a month has no row."""

LONG_PAUSE = slice(2, 17)
"""Days of a long gap of zero returns; each illiquid security has one every sixth month."""


@dataclass(frozen=True)
class Growth:
    """Value of one dollar in each security that trades in a month, day by day; arrays of shape (days, k) unless said.

    Parameters
    ----------
    start : int
        First session.
    columns : ndarray of int, shape (k,)
        Positions of the securities.
    ret : ndarray
        Daily returns, 0 before the listing; those after the last trading day are there too.
    total, ex : ndarray
        Value of a dollar held since the end of the month before, with and without dividends.
    untraded, absent : ndarray of bool
        Days without a trade, and without a row.
    """

    start: int
    columns: NDArray[np.intp]
    ret: Array
    total: Array
    ex: Array
    untraded: NDArray[np.bool_]
    absent: NDArray[np.bool_]


@dataclass(frozen=True)
class DailyMonth:
    """One month of the securities that trade in it; arrays of shape (days, k) unless said.

    Parameters
    ----------
    start : int
        First session.
    columns : ndarray of int, shape (k,)
        Positions of the securities.
    present : ndarray of bool
        Days with a row.
    ret : ndarray
        Return since the last day with a row, decimals; NaN without a row and on the first trading day.
    growth, growth_ex : ndarray
        Value of one dollar held since the end of the month before, with and without dividends; carried over days
        without a row.
    price : ndarray
        Closing price, or midpoint, dollars of the day; carried too.
    shrout : ndarray
        Shares outstanding, thousands.
    ahead : ndarray
        Split factor of the month still to come; 1 from the split on.
    traded : ndarray of bool
        Days with a trade.
    volume : ndarray
        Published volume, shares.
    """

    start: int
    columns: NDArray[np.intp]
    present: NDArray[np.bool_]
    ret: Array
    growth: Array
    growth_ex: Array
    price: Array
    shrout: Array
    ahead: Array
    traded: NDArray[np.bool_]
    volume: Array


@dataclass(frozen=True)
class Trading:
    """What days are made from: `month` makes those of one month.

    Parameters
    ----------
    clock, states, firms, listings, names, shares
        The economy up to here.
    seed : int
        Seed of the market.
    """

    clock: Clock
    states: MacroStates
    firms: Firms
    listings: Listings
    names: StockNames
    shares: Shares
    seed: int

    @cached_property
    def own(self) -> dict[str, Array]:
        """Deviation of a day's own return, turnover a day and half spread by security, each of shape (S,)."""
        rng = stream(self.seed, "trading")
        n = self.listings.n
        return {
            "sd": 0.008 + 0.017 * rng.random(n),
            "turnover": 0.004 * np.exp(0.6 * rng.standard_normal(n)),
            "half_spread": 0.0015 * np.exp(0.8 * rng.standard_normal(n)),
        }

    @cached_property
    def carried(self) -> Array:
        """Growth over the silent months right before each month; shape (T, S), 1 in most."""
        shares = self.shares
        carried = np.ones(shares.ret.shape)
        for t in range(1, len(carried)):
            silent = shares.silence[t - 1] != TRADED
            carried[t] = np.where(silent, carried[t - 1] * (1 + shares.ret[t - 1]), 1.0)
        return carried

    def _habit(self, rates: dict[str, float]) -> Array:
        """Rate of each security by its kind of trading; shape (S,)."""
        return np.array([rates.get(role.trading, 0.0) for role in self.listings.roles])

    @cached_property
    def untraded(self) -> Array:
        """Probability of a day without a trade; shape (S,)."""
        return self._habit(UNTRADED)

    @cached_property
    def absent(self) -> Array:
        """Probability of a day without a row; shape (S,)."""
        return self._habit(ABSENT)

    def growth(self, t: int) -> Growth:
        """Days of one month as values of a dollar.

        Parameters
        ----------
        t : int
            Month index.

        Returns
        -------
        Growth
            The same whenever it is asked for.
        """
        rng = stream(self.seed, f"trading days {t}")
        start, stop = int(self.clock.starts[t]), int(self.clock.starts[t + 1])
        listings, shares = self.listings, self.shares
        trades = (listings.first < stop) & (listings.last >= start) & (shares.silence[t] == TRADED)
        columns = np.flatnonzero(trades)
        session = np.arange(start, stop)[:, None]
        untraded, still, absent = self._idleness(t, columns, session, rng)
        daily = self._returns(t, columns, still, session >= listings.first[columns], rng)
        total = np.cumprod(1 + daily, axis=0)
        payout = (1 + shares.retx[t, columns]) / (1 + shares.ret[t, columns])
        ex = total * np.where(session >= start + (stop - start) // 2, payout, 1.0)
        return Growth(start, columns, daily, total, ex, untraded, absent)

    def month(self, t: int) -> DailyMonth:
        """Days of one month as the exchange sees them.

        Parameters
        ----------
        t : int
            Month index.

        Returns
        -------
        DailyMonth
            The same whenever it is asked for.
        """
        held = self.growth(t)
        columns, shares = held.columns, self.shares
        session = held.start + np.arange(len(held.ret))[:, None]
        first, last = self.listings.first[columns], self.listings.last[columns]
        present = (session >= first) & (session <= last) & ~held.absent
        ret = _over_gaps(held.total, present)
        ret[0] = (1 + ret[0]) * self.carried[t, columns] - 1
        ret[session == first] = np.nan
        ahead = np.where(session < shares.split_session[t, columns], shares.split[t, columns], 1.0)
        price = shares.price[max(t - 1, 0), columns] * held.ex * ahead / shares.split[t, columns]
        price[-1] = shares.price[t, columns]
        shrout = np.maximum(np.round(shares.shrout[t, columns] / ahead), 1.0)
        traded = present & ~held.untraded
        return DailyMonth(
            start=held.start,
            columns=columns,
            present=present,
            ret=ret,
            growth=held.total,
            growth_ex=held.ex,
            price=price,
            shrout=shrout,
            ahead=ahead,
            traded=traded,
            volume=self._volume(t, columns, shrout, held.ret) * traded,
        )

    def _idleness(
        self, t: int, columns: NDArray[np.intp], session: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Days without a trade, days without a change of value, days without a row."""
        shape = (len(session), len(columns))
        first, last = self.listings.first[columns], self.listings.last[columns]
        edge = (session == first) | (session == last)
        u, v, w = rng.random((3, *shape))
        untraded = u < self.untraded[columns]
        pause = (self.untraded[columns] > 0) & ((columns + t) % 6 == 0)
        untraded[LONG_PAUSE, pause] = True
        unchanged = (u < self.untraded[columns] / 2) | (v < 0.01)
        unchanged[LONG_PAUSE, pause] = True
        absent = w < self.absent[columns]
        absent[:2], absent[-2:] = False, False
        absent &= ~edge
        # The first and the last day always move, so that a month's return has somewhere to be.
        unchanged[0], unchanged[-1] = False, False
        return untraded & ~edge & ~absent, unchanged | absent, absent

    def _returns(
        self, t: int, columns: NDArray[np.intp], still: NDArray[np.bool_], begun: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Array:  # fmt: skip
        """Draw daily returns that compound to the month's: factor loadings, own shocks, the rest evenly."""
        common = stream(self.seed, f"daily market {t}")
        sd = np.array([self.states.vix[t] / 100 / np.sqrt(252), *(STOCK_FACTOR_SD[1:] / np.sqrt(DAYS))])
        factors = sd * common.standard_normal((len(still), 3))
        loadings = self.firms.betas[max(t - 1, 0), self.listings.firm[columns]]
        own = self.own["sd"][columns] * rng.standard_normal(still.shape)
        moves = begun & ~still
        steps = np.where(moves, factors @ loadings.T + own, 0.0)
        missing = np.log1p(self.shares.ret[t, columns]) - steps.sum(axis=0)
        steps += np.where(moves, missing / moves.sum(axis=0), 0.0)
        return np.expm1(steps)

    def _volume(self, t: int, columns: NDArray[np.intp], shrout: Array, daily: Array) -> Array:
        """Draw the volume published if there is a trade, shares in whole hundreds."""
        noise = np.exp(0.6 * stream(self.seed, f"volume {t}").standard_normal(shrout.shape))
        lots = shrout * 10 * self.own["turnover"][columns] * noise * (1 + 8 * np.abs(daily))
        exchange = codes_in_month(self.clock, self.names, t, "exchcd")[:, columns]
        counted = np.where(exchange == NASDAQ, double_counting(self.clock.months[t]), 1.0)
        return 100 * np.maximum(np.round(lots * counted), 1.0)


def _over_gaps(growth: Array, present: NDArray[np.bool_]) -> Array:
    """Take returns since the last day with a row, NaN on days without one."""
    position = np.where(present, np.arange(1, len(growth) + 1)[:, None], 0)
    before = np.vstack([np.zeros((1, growth.shape[1]), dtype=np.intp), np.maximum.accumulate(position, axis=0)[:-1]])
    with_start = np.vstack([np.ones((1, growth.shape[1])), growth])
    return np.where(present, growth / np.take_along_axis(with_start, before, axis=0) - 1, np.nan)


def double_counting(month: np.datetime64) -> float:
    """Factor of NASDAQ's published volume in a month.

    Parameters
    ----------
    month : datetime64[M]
        Month.

    Returns
    -------
    float
        2 before February 2001, 1.8 to December 2001, 1.6 to December 2003, then 1.
    """
    for end, factor in DOUBLE_COUNTING:
        if month < np.datetime64(end, "M"):
            return factor
    return 1.0


def codes_in_month(clock: Clock, names: StockNames, t: int, code: str) -> NDArray[np.intp]:
    """Read a code of all securities on every day of a month.

    Parameters
    ----------
    clock : Clock
        Sessions.
    names : StockNames
        Spells.
    t : int
        Month index.
    code : str
        shrcd, exchcd or siccd.

    Returns
    -------
    ndarray of int, shape (days, S)
        Of the first spell before the listing, of the last one after it.
    """
    start, stop = int(clock.starts[t]), int(clock.starts[t + 1])
    table = np.repeat(names.at_month_end[code][max(t - 1, 0)][None, :], stop - start, axis=0)
    for spell in np.flatnonzero((names.start > start - 1) & (names.start < stop)):
        table[names.start[spell] - start :, names.security[spell]] = names.codes[code][spell]
    return table
