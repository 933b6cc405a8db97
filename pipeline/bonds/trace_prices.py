"""Trades in the order of execution: prices beside their neighbours, and the day's volume-weighted price.

Belongs here: decimal shifts, bounce-backs, daily prices. Does not: which reports are trades (``trace_filters``).
Everything is counted within a bond, row by row in a fixed order, so that no other bond and no number of rows matters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.bonds.trace_settings import TraceSettings

_SECONDS = 86_400
_NANOSECONDS = 1_000_000_000


class Mended(NamedTuple):
    """Prices after decimal shifts were mended, which were, and which are bounce-backs."""

    price: np.ndarray
    corrected: np.ndarray
    bounced: np.ndarray


def in_order(trades: pl.DataFrame) -> np.ndarray:
    """Order trades by bond, day and time of execution and message number.

    Parameters
    ----------
    trades : pl.DataFrame
        bond (unsigned), date, time (null first), number (by value, then as text), price, volume, side; the last three
        decide between rows that agree in all the others, so that the order of the rows that come in never matters.

    Returns
    -------
    ndarray, shape (rows,)
        Positions of the rows, the first trade first.
    """
    if trades.is_empty():
        return np.array([], dtype=np.intp)
    day = trades["date"].to_physical().to_numpy().astype(np.int64)
    second = trades["time"].to_physical().fill_null(-_NANOSECONDS).to_numpy() // _NANOSECONDS + 1
    days = int(day.max() - day.min()) + 1
    instant = (trades["bond"].to_numpy().astype(np.int64) * days + day - day.min()) * (_SECONDS + 1) + second
    order = np.argsort(instant, kind="stable")
    ordered = instant[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
    rest = trades.select("time", "number", "price", "volume", "side")[order[tied]]
    rest = rest.with_columns(instant=ordered[tied], row=order[tied])
    number = pl.col("number").cast(pl.Int64, strict=False)
    order[tied] = rest.sort("instant", "time", number, "number", "price", "volume", "side")["row"].to_numpy()
    return order


def mended(bond: np.ndarray, reported: np.ndarray, settings: TraceSettings) -> Mended:
    """Mend decimal shifts and find bounce-backs.

    A price that is ``shift_factors`` times or one such part of the median of its neighbours, within ``shift_tolerance``
    of that median, is divided or multiplied accordingly. Neighbours are the reported prices of up to
    ``shift_neighbours`` trades of the bond before and as many after it; fewer than ``shift_least`` in all say nothing,
    and neither do those of one side alone. Where the trade just before or just after is nearer, in ratio, to the price
    as reported than to the mended one, the level has changed in truth and the price stays. Then a price at least
    ``bounce_away`` away from the trade before and from the trade after it, which lie within ``bounce_agreement`` of
    each other (of the earlier one), is a bounce-back; a trade with nothing before or nothing after it is none. Neither
    is repeated. Where the design is silent (how many neighbours, on which sides, which side of a bound) this is what it
    means here; thresholds are those of the design.

    Parameters
    ----------
    bond, reported : ndarray, shape (rows,)
        Bonds and prices (per 100 of face, above 0) of trades in the order of :func:`in_order`.
    settings : TraceSettings
        Thresholds.

    Returns
    -------
    Mended
        One value a row.
    """
    price = reported.copy()
    corrected = np.zeros(len(price), dtype=bool)
    suspects = _suspects(bond, reported, settings)
    suspects = suspects[_amid(bond, suspects)]
    median = _neighbour_median(bond, reported, suspects, settings)
    for factor in settings.shift_factors:
        for candidate in (reported[suspects] / factor, reported[suspects] * factor):
            right = np.abs(candidate - median) <= settings.shift_tolerance * median
            for beside in (reported[suspects - 1], reported[suspects + 1]):
                right &= _distance(beside, candidate) <= _distance(beside, reported[suspects])
            price[suspects[right]], corrected[suspects[right]] = candidate[right], True
    return Mended(price, corrected, _bounced(bond, price, settings))


def _suspects(bond: np.ndarray, price: np.ndarray, settings: TraceSettings) -> np.ndarray:
    """Positions whose price can be a decimal shift at all.

    A price so far from a median of neighbours is as far from one of them, hence one of the steps in between, of which
    there are at most ``shift_neighbours``, is at least that root of it.
    """
    far = min(settings.shift_factors, default=np.inf) * (1.0 - settings.shift_tolerance)
    step = 0.999 * far ** (1.0 / settings.shift_neighbours)
    jumps = (bond[1:] == bond[:-1]) & ((price[1:] > step * price[:-1]) | (price[:-1] > step * price[1:]))
    near = np.flatnonzero(jumps)
    found = np.zeros(len(price), dtype=bool)
    for steps in range(1 - settings.shift_neighbours, settings.shift_neighbours + 1):
        found[np.clip(near + steps, 0, len(price) - 1)] = True
    return np.flatnonzero(found)


def _amid(bond: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether the bond trades both before and after each of ``rows``."""
    before, after = np.maximum(rows - 1, 0), np.minimum(rows + 1, len(bond) - 1)
    inside = (rows > 0) & (rows < len(bond) - 1)
    return inside & (bond[before] == bond[rows]) & (bond[after] == bond[rows])


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Ratio of the higher to the lower price."""
    return np.maximum(one, other) / np.minimum(one, other)


def _neighbour_median(bond: np.ndarray, price: np.ndarray, rows: np.ndarray, settings: TraceSettings) -> np.ndarray:
    """Median price of the trades around each of ``rows``; NaN where they are too few."""
    reach = np.arange(1, settings.shift_neighbours + 1)
    around = rows[:, None] + np.r_[-reach, reach]
    there = (around >= 0) & (around < len(price))
    around = np.where(there, around, 0)
    there &= bond[around] == bond[rows][:, None]
    ordered = np.sort(np.where(there, price[around], np.inf), axis=1)
    count = there.sum(axis=1)
    row = np.arange(len(rows))
    low, high = ordered[row, np.maximum(count - 1, 0) // 2], ordered[row, np.minimum(count // 2, len(reach) * 2 - 1)]
    return np.where(count >= settings.shift_least, (low + high) * 0.5, np.nan)


def _bounced(bond: np.ndarray, price: np.ndarray, settings: TraceSettings) -> np.ndarray:
    bounced = np.zeros(len(price), dtype=bool)
    rows = np.flatnonzero(np.abs(price[1:-1] - price[:-2]) >= settings.bounce_away * price[:-2]) + 1
    before, here, after = price[rows - 1], price[rows], price[rows + 1]
    bounced[rows] = (
        (bond[rows - 1] == bond[rows + 1])
        & (np.abs(here - after) >= settings.bounce_away * after)
        & (np.abs(after - before) <= settings.bounce_agreement * before)
    )
    return bounced


def last_of_each(bond: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the last ``count`` rows of each bond, from rows in which a bond's lie together."""
    ends = np.append(np.flatnonzero(bond[1:] != bond[:-1]), len(bond) - 1)
    from_end = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(bond))
    return np.flatnonzero(from_end < count)


def daily_prices(trades: pl.DataFrame) -> pl.DataFrame:
    """Return one row a bond and day.

    Parameters
    ----------
    trades : pl.DataFrame
        bond, date, price, volume (above 0) in the order of :func:`in_order`, in which each day is summed.

    Returns
    -------
    pl.DataFrame
        bond, date, price (weighted by volume), volume (their sum), trades (their number, Int64).
    """
    if trades.is_empty():
        return trades.select("bond", "date", "price", "volume", trades=pl.lit(0, dtype=pl.Int64))
    bond, date = trades["bond"].to_numpy(), trades["date"].to_physical().to_numpy()
    price, volume = trades["price"].to_numpy(), trades["volume"].to_numpy()
    starts = np.r_[True, (bond[1:] != bond[:-1]) | (date[1:] != date[:-1])]
    day = np.cumsum(starts) - 1
    total = np.bincount(day, weights=volume)
    return (
        trades.select("bond", "date")
        .filter(pl.Series(starts))
        .with_columns(price=np.bincount(day, weights=price * volume) / total, volume=total, trades=np.bincount(day))
    )
