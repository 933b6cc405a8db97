"""Which fiscal quarters and years of which firms the accounting tables hold, on a grid of calendar quarters.

Fiscal years end in March, June, September or December, so that one grid of quarter ends serves all firms. What a firm
reports for its quarters is the business of `compustat_accounts`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.clock import Clock
from pipeline.simulation.firms import Firms
from pipeline.simulation.fiscal import FiscalCalendar, fiscal_calendar
from pipeline.simulation.listings import Listings

Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]

FINAL_MONTHS = 6
"""A firm that has failed files for quarters that end up to this many months after its default or delisting."""

BACKFILL_MONTHS = 24
"""Statements of a firm that goes public begin with the fiscal year that ends this many months before, or the next."""

MERGERS = (200, 299)
"""Delisting codes of firms that another one has bought: they file nothing for quarters that end after the delisting."""


@dataclass(frozen=True)
class Coverage:
    """Fiscal quarters on the grid of Q calendar quarters and I firms.

    Parameters
    ----------
    calendar : FiscalCalendar
        Fiscal year ends that the grid was made from.
    months : ndarray of int, shape (Q,)
        Month index of every quarter end.
    dates : ndarray of datetime64[D], shape (Q,)
        Last calendar day of every quarter.
    year_end : ndarray of bool, shape (Q, I)
        Whether a fiscal year ends with the quarter.
    previous : ndarray of int, shape (Q, I)
        Position of the year end before the fiscal year that holds the quarter; negative where it lies before the clock.
    closing : ndarray of int, shape (Q, I)
        Position of the year end of the fiscal year that holds the quarter; Q or more where it lies after the clock.
    fyear, fqtr, fyr : ndarray of int, shape (Q, I)
        Fiscal year as the vendor counts it (years that end in January to May belong to the calendar year before),
        quarter 1 to 4 of the calendar that the year ends under, and month in which the year ends.
    quarterly, annual : ndarray of bool, shape (Q, I)
        Quarters and fiscal years with a statement.
    canadian : ndarray of bool, shape (Q, I)
        Statements in Canadian dollars, which are of no use.
    listed : ndarray of bool, shape (Q, I)
        Firms whose stock trades on the last day of the quarter.
    """

    calendar: FiscalCalendar
    months: Integers
    dates: NDArray[np.datetime64]
    year_end: Flags
    previous: Integers
    closing: Integers
    fyear: Integers
    fqtr: Integers
    fyr: Integers
    quarterly: Flags
    annual: Flags
    canadian: Flags
    listed: Flags

    @property
    def length(self) -> Integers:
        """Quarters in the fiscal year: 4, or 1 to 3 in a transition year; shape (Q, I)."""
        return self.closing - self.previous


def compustat_coverage(clock: Clock, firms: Firms, listings: Listings, seed: int) -> Coverage:
    """Lay out the statements of a market.

    Listed firms are covered, and two of three private ones. Firms that go public have statements of two years before
    it; the vendor finds one firm in sixteen late, lacks a fiscal year of one in twenty-five, and has one in forty in
    Canadian dollars at first. Bought and failed firms stop filing. The first fiscal year that begins within the clock
    is the first one with statements.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    firms : Firms
        Private and defaulted firms.
    listings : Listings
        First and last trading days, delisting codes.
    seed : int
        Seed of the market.

    Returns
    -------
    Coverage
    """
    n = len(firms.names)
    calendar = fiscal_calendar(clock, n, seed)
    months = np.flatnonzero(clock.months.astype(int) % 3 == 2)
    year_end = calendar.ends[months]
    closing = _closing(clock, months, year_end, calendar.second)
    previous = _previous(year_end)
    # Of the fiscal year that holds the quarter: the month in which it ends, which may lie after the clock.
    last = clock.months[months[0]].astype(int) + 3 * closing
    fyr = last % 12 + 1
    inside = (previous >= 0) & _covered(clock, months, closing, firms, listings)
    return Coverage(
        calendar=calendar,
        months=months,
        dates=clock.month_ends[months],
        year_end=year_end,
        previous=previous,
        closing=closing,
        fyear=1970 + last // 12 - (fyr <= 5),
        fqtr=4 - (closing - np.arange(len(months))[:, None]),
        fyr=fyr,
        quarterly=inside,
        annual=year_end & inside,
        canadian=(np.arange(n) % 40 == 7) & (months[:, None] < 0.4 * clock.n),
        listed=_listed(clock, months, firms, listings),
    )


def usable_years(clock: Clock, firms: Firms, listings: Listings, seed: int) -> Flags:
    """Firm-months in which a usable annual statement is dated: standard, in US dollars.

    Parameters
    ----------
    clock, firms, listings, seed
        As for `compustat_coverage`.

    Returns
    -------
    ndarray of bool, shape (T, I)
        Fama-French book equity of such a statement is `firms.book_equity` of the month, to three decimals.
    """
    coverage = compustat_coverage(clock, firms, listings, seed)
    usable = np.zeros(firms.book_equity.shape, bool)
    usable[coverage.months] = coverage.annual & ~coverage.canadian
    return usable


def _previous(year_end: Flags) -> Integers:
    """Year end before each quarter's fiscal year; before the first one on the grid, four quarters earlier."""
    position = np.arange(len(year_end))[:, None]
    first = np.argmax(year_end, axis=0)
    latest = np.maximum.accumulate(np.where(year_end, position, -1), axis=0)
    before = np.vstack([np.full((1, year_end.shape[1]), -1), latest[:-1]])
    return np.where(before < 0, first - 4, before)


def _closing(clock: Clock, months: Integers, year_end: Flags, month_of_end: Integers) -> Integers:
    """Year end at or after each quarter; after the last one on the grid, by the firm's final calendar."""
    position = np.arange(len(year_end))[:, None]
    missing = len(year_end) + 4
    following = np.minimum.accumulate(np.where(year_end, position, missing)[::-1], axis=0)[::-1]
    calendar_month = clock.months[months].astype(int)[:, None] % 12 + 1
    return np.where(following < missing, following, position + (month_of_end - calendar_month) % 12 // 3)


def _listed(clock: Clock, months: Integers, firms: Firms, listings: Listings) -> Flags:
    """Quarter ends on which the firm's first class of shares trades."""
    main = ~listings.second
    close = clock.starts[months + 1][:, None] - 1
    listed = np.zeros((len(months), len(firms.names)), bool)
    listed[:, listings.firm[main]] = (listings.first[main] <= close) & (close <= listings.last[main])
    return listed


def _covered(clock: Clock, months: Integers, closing: Integers, firms: Firms, listings: Listings) -> Flags:
    """Fiscal years, by their quarters, that the vendor has."""
    firm = np.arange(len(firms.names))
    end = months[0] + 3 * closing
    start = np.where(firm % 16 == 6, clock.n * (0.15 + 0.004 * (firm * 37 % 100)), 0.0)
    final = np.where(firms.defaulted.any(axis=0), firms.defaulted.argmax(axis=0) + FINAL_MONTHS, clock.n)
    main = ~listings.second
    listed, entered = listings.firm[main], clock.month_of_session[listings.first[main]]
    start[listed] = np.where(listings.first[main] > 0, entered - BACKFILL_MONTHS, start[listed])
    bought = (listings.dlstcd[main] >= MERGERS[0]) & (listings.dlstcd[main] <= MERGERS[1])
    left = clock.month_of_session[listings.delisted[main]] + np.where(bought, 0, FINAL_MONTHS)
    final[listed] = np.where(listings.active[main], final[listed], np.minimum(final[listed], left))
    gap = np.where(firm % 25 == 11, clock.n * (0.55 + 0.002 * (firm * 13 % 100)), np.inf)
    in_gap = (end >= gap) & (end < gap + 12)
    unseen = firms.private & (firm % 20 % 3 == 2)
    return (end >= start) & ~in_gap & (months[:, None] <= final) & ~unseen
