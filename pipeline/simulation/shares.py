"""What every security is worth month by month: the firm's return, price, shares, splits, and months without trading.

These are the values of the economy. What CRSP publishes of them, codes and gaps included, is in `stock_months`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.listings import Listings
from pipeline.simulation.paths import Array, stream
from pipeline.simulation.stock_names import halt_months

SPLITS: tuple[tuple[float, float], ...] = (
    (2.0, 2.0), (1.5, 1.5), (1.1, 1.1), (0.2, 0.2), (3.0, 3.0), (1.05, 1.0), (1.25, 1.25), (2.0, 2.0),
)  # fmt: skip
"""Factors by which price and shares change: splits, stock dividends, a reverse split, rights (price only)."""

CODED_MONTHS, SILENT_MONTHS = 9, 4
"""Months with a code for a return, and without any row, of each security that has such months."""

TRADED, CODED, SILENT = 0, 1, 2


@dataclass(frozen=True)
class Shares:
    """Security-month arrays of shape (T, S) unless said.

    Parameters
    ----------
    ret, retx : ndarray
        Return of the firm with and without dividends, decimals, whether or not the security is listed then.
    price : ndarray
        Month-end price in dollars of that day, after the splits up to then.
    shrout : ndarray
        Shares outstanding, whole thousands.
    split : ndarray
        Factor by which the price is divided in the month; 1 in most.
    split_session : ndarray of int
        Session on which that happens; the first session of the month where there is no split.
    cfacpr, cfacshr : ndarray
        Cumulative adjustment factors, 1 at the end of the market.
    silence : ndarray of int
        `TRADED`, `CODED` (no trade, a row with a code) or `SILENT` (no trade, no row).
    """

    ret: Array
    retx: Array
    price: Array
    shrout: Array
    split: Array
    split_session: NDArray[np.intp]
    cfacpr: Array
    cfacshr: Array
    silence: NDArray[np.intp]


def simulate_shares(clock: Clock, firms: Firms, listings: Listings, seed: int) -> Shares:
    """Split the firms' equity into securities.

    Parameters
    ----------
    clock : Clock
        Months and sessions.
    firms : Firms
        Returns and market equity.
    listings : Listings
        Securities.
    seed : int
        Seed of the market.

    Returns
    -------
    Shares
    """
    rng = stream(seed, "shares")
    firm = listings.firm
    silence = _silence(clock, listings)
    split_price, split_shares, session = _splits(clock, listings, silence, rng)
    ratio = np.where(listings.second, np.round(0.7 + 0.5 * rng.random(listings.n), 2), 1.0)
    price = (firms.marketcap / firms.shares)[:, firm] * ratio / np.cumprod(split_price, axis=0)
    cap = firms.marketcap[:, firm] * _equity_share(clock, listings)
    return Shares(
        ret=firms.ret[:, firm],
        retx=firms.retx[:, firm],
        price=price,
        shrout=np.maximum(np.round(1000 * cap / price), 1.0),
        split=split_price,
        split_session=session,
        cfacpr=_later_factors(split_price),
        cfacshr=_later_factors(split_shares),
        silence=silence,
    )


def _equity_share(clock: Clock, listings: Listings) -> Array:
    """Fraction of the firm's equity by security and month end; a first class is what listed second classes leave."""
    month_end = clock.starts[1:, None] - 1
    listed = (listings.first <= month_end) & ((listings.delisted > month_end) | listings.active)
    share = np.broadcast_to(np.where(listings.second, listings.weight, 1.0), (clock.n, listings.n)).copy()
    first_of = {int(f): s for s, f in enumerate(listings.firm.tolist()) if not listings.second[s]}
    for s in np.flatnonzero(listings.second).tolist():
        share[:, first_of[int(listings.firm[s])]] -= listed[:, s] * listings.weight[s]
    return share


def _silence(clock: Clock, listings: Listings) -> NDArray[np.intp]:
    """Months in which a listed security doesn't trade."""
    silence = np.zeros((clock.n, listings.n), dtype=np.intp)
    for s, role in enumerate(listings.roles):
        if role.trading == "suspended":
            silence[_spread(clock, s, CODED_MONTHS), s] = CODED
        elif role.trading == "silent":
            months = _spread(clock, s, SILENT_MONTHS)
            # One of the gaps lasts two months.
            silence[np.append(months, months[-1] + 1), s] = SILENT
        elif role.change == "halted":
            silence[list(halt_months(clock, listings, s)), s] = CODED
    return silence


def _spread(clock: Clock, s: int, n: int) -> NDArray[np.intp]:
    """`n` single months, evenly over the last three quarters of the clock and apart from one another."""
    step = (clock.n * 3 // 4) // (n + 1)
    return clock.n // 4 + step * np.arange(1, n + 1) + s % 3 - 2


def _splits(
    clock: Clock, listings: Listings, silence: NDArray[np.intp], rng: np.random.Generator
) -> tuple[Array, Array, NDArray[np.intp]]:
    """Price and share factors and sessions of up to two splits a security."""
    by_price, by_shares = np.ones((clock.n, listings.n)), np.ones((clock.n, listings.n))
    session = np.broadcast_to(clock.starts[:-1, None], (clock.n, listings.n)).copy()
    first, last = clock.month_of_session[listings.first] + 2, clock.month_of_session[listings.last] - 2
    kind = 0
    for s in range(listings.n):
        count = int(rng.choice(3, p=[0.4, 0.4, 0.2]))
        places, days = rng.random(2), rng.random(2)
        for place, day in zip(places[:count], days[:count], strict=True):
            t = int(first[s] + place * (last[s] - first[s]))
            # The month after a silent one carries its return; a split in either would be a puzzle without an answer.
            quiet = not silence[max(t - 1, 0) : t + 2, s].any()
            if last[s] > first[s] and quiet and by_price[t, s] == 1.0:
                by_price[t, s], by_shares[t, s] = SPLITS[kind % len(SPLITS)]
                begin, end = int(clock.starts[t]), int(clock.starts[t + 1])
                session[t, s] = begin + 4 + int(day * (end - begin - 8))
                kind += 1
    return by_price, by_shares, session


def _later_factors(factor: Array) -> Array:
    """Product of the factors of later months: 1 in the last month."""
    following = np.vstack([factor[1:], np.ones((1, factor.shape[1]))])
    return np.asarray(np.cumprod(following[::-1], axis=0)[::-1], dtype=float)
