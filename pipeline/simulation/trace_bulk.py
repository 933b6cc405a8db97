"""Trade reports by the million, without an economy: for measuring, not for judging.

Bonds, prices and habits are drawn from nothing but a seed; fates and messages are those of the market. Reports come in
pieces, each of some bonds over all months, so that memory stays bounded however many there are.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np
import polars as pl

from pipeline.simulation.bond_trading import SPREAD_OF_HABITS, bridges, draw_trades, stack
from pipeline.simulation.identifiers import bond_cusip
from pipeline.simulation.paths import stream
from pipeline.simulation.trace import Tape, Terms, reports
from pipeline.simulation.trace_errors import Days, plant
from pipeline.simulation.trace_messages import legs, messages

REPORTS_A_TRADE = 1.46
"""Rows of the file for every trade that is drawn, dealers' and agents' second reports and messages included."""

MONTHLY_SD = 0.03
"""Deviation of a bond's monthly log return."""


def random_bonds(bonds: int, months: int, seed: int = 0, end: date = date(2014, 12, 1)) -> pl.DataFrame:
    """Terms of the bonds whose reports `random_reports` makes from the same arguments.

    Parameters
    ----------
    bonds : int
        Number of bonds.
    months : int
        Months of trading.
    seed : int
        Seed.
    end : date
        Any day of the last month.

    Returns
    -------
    DataFrame
        cusip (eight characters), cusip_id (nine), coupon (percent), maturity (two years to thirty after the first
        month, so that some mature on the way).
    """
    terms = _terms(bonds, months, seed, end)
    maturity = pl.Series(terms.maturity).cast(pl.Date)
    nine = pl.Series(terms.cusips)
    return pl.DataFrame({"cusip": nine.str.head(8), "cusip_id": nine, "coupon": terms.coupon, "maturity": maturity})


def random_reports(
    rows: int, months: int, bonds: int, seed: int = 0, end: date = date(2014, 12, 1), rows_at_once: int = 500_000
) -> Iterator[pl.DataFrame]:
    """Make trade reports in TRACE Enhanced's columns.

    Parameters
    ----------
    rows : int
        Number of reports, within a few per cent.
    months : int
        Months of trading; those around February 2012 hold both reporting regimes.
    bonds : int
        Number of bonds; the busiest trades many hundred times as often as the least busy.
    seed : int
        Seed of every random number.
    end : date
        Any day of the last month.
    rows_at_once : int
        Reports in a piece, about; pieces hold whole bonds. It changes which reports are made.

    Yields
    ------
    DataFrame
        Columns of `trace.trace_tables`; message numbers of a day are distinct over all pieces.
    """
    days = _weekdays(months, end)
    terms = _terms(bonds, months, seed, end)
    habits = np.exp(SPREAD_OF_HABITS * stream(seed, "bulk habits").standard_normal(bonds))
    first = np.datetime64(end, "M") - months + 1
    traded = np.minimum((terms.maturity.astype("datetime64[M]") - first).astype(np.intp) + 1, months)
    habits *= rows / REPORTS_A_TRADE / (habits * traded).sum()
    expected = habits * traded * REPORTS_A_TRADE
    pieces = np.floor((np.cumsum(expected) - expected / 2) / rows_at_once)
    numbers = 0
    for piece in np.unique(pieces):
        tape = _tape(np.flatnonzero(pieces == piece), habits, terms, days, stream(seed, f"bulk {piece}"), numbers)
        numbers = int(tape.messages.number.max(initial=numbers))
        yield reports(tape, stream(seed, f"bulk fields {piece}"))


def _weekdays(months: int, end: date) -> Days:
    """Weekdays of the months up to that of `end`."""
    last = np.datetime64(end, "M")
    span = np.arange((last - months + 1).astype("datetime64[D]"), (last + 1).astype("datetime64[D]"))
    sessions = span[np.is_busday(span)]
    month = (sessions.astype("datetime64[M]") - (last - months + 1)).astype(np.intp)
    return Days(sessions.astype("datetime64[D]"), month, np.searchsorted(month, np.arange(months + 1)))


def _terms(bonds: int, months: int, seed: int, end: date) -> Terms:
    """Terms of the bonds."""
    rng = stream(seed, "bulk bonds")
    first = np.datetime64(end, "M") - months + 1
    maturity = (first + rng.integers(24, 360, bonds)).astype("datetime64[D]") + 14
    cusips = [bond_cusip(f"{100_000 + bond // 400:06d}", bond % 400) for bond in range(bonds)]
    return Terms(cusips, np.round(8 * (2 + 6 * rng.random(bonds))) / 8, maturity)


def _tape(
    bonds: np.ndarray, habits: np.ndarray, terms: Terms, days: Days, rng: np.random.Generator, numbers: int
) -> Tape:
    """Trades, fates and messages of some bonds."""
    lengths = np.diff(days.starts)
    level = np.log(100 + 10 * rng.standard_normal(len(bonds)))
    parts = []
    for start, length in zip(days.starts.tolist(), lengths.tolist(), strict=False):
        before, level = level, level + MONTHLY_SD * np.clip(rng.standard_normal(len(bonds)), -2, 2)
        mids = np.exp(bridges(before, level, np.full(len(bonds), 0.002), np.full(len(bonds), -1), length, rng))
        last = np.searchsorted(days.sessions[start : start + length], terms.maturity[bonds], side="right") - 1
        parts.append(draw_trades(mids, bonds, start, np.zeros_like(last), last, habits[bonds], rng))
    trades = stack(parts)
    planted = plant(trades.take(trades.order()), terms.maturity, days, rng)
    reported = legs(planted, rng)
    return Tape(terms, days, planted, reported, messages(planted, reported, days, rng, before=numbers))
