"""Day counts: how the days between two dates, and with them the interest earned, are counted.

Belongs here: the registry of the day counts that FISD names and the counting itself. Does not: coupon dates
(``coupon_calendar``), amounts of interest (``bond_math``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

Dates = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

MISSING = -1
"""Code of a day count that is not known."""


FIRST_YEAR, LAST_YEAR = 1790, 9999
"""Years whose dates can be split: generously around any bond."""

_FIRST_DAYS: Integers = (
    np.arange(f"{FIRST_YEAR}-01", f"{LAST_YEAR + 2}-01", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
)
_ORIGIN = 12 * (1970 - FIRST_YEAR)
# Mean length of a month in the Gregorian calendar; no month starts more than a few days from where it says.
_DAYS_A_MONTH = 146097 / 4800


def month_and_day(dates: Dates) -> tuple[Integers, Integers]:
    """Split dates into months and days.

    Parameters
    ----------
    dates : datetime64[D] array
        No NaT, from ``FIRST_YEAR`` to ``LAST_YEAR``.

    Returns
    -------
    month, day : int arrays of the same shape
        Months since January 1970, days of the month from 1.
    """
    # Looked up in a table: numpy's own conversion between days and months takes ten times as long.
    days = dates.astype("datetime64[D]").view(np.int64)
    month = np.floor(days / _DAYS_A_MONTH).astype(np.int64) + _ORIGIN
    month -= _FIRST_DAYS[month] > days
    month += _FIRST_DAYS[month + 1] <= days
    return month - _ORIGIN, days - _FIRST_DAYS[month] + 1


def first_of_month(month: Integers) -> Dates:
    """Return the first days of months that are counted from January 1970."""
    return _FIRST_DAYS[month + _ORIGIN].view("datetime64[D]")


def month_length(month: Integers) -> Integers:
    """Return the number of days in months that are counted from January 1970."""
    return _FIRST_DAYS[month + _ORIGIN + 1] - _FIRST_DAYS[month + _ORIGIN]


def thirty_360_days(start: Dates, end: Dates, february_end: Booleans) -> Integers:
    """Days between dates when every month has thirty.

    Parameters
    ----------
    start, end : (N,) datetime64[D]
        No NaT.
    february_end : (N,) bool
        Whether a start on the last day of February stands for the 30th: coupons fall on month ends, or on a 29th or
        30th that this February does not have.

    Returns
    -------
    (N,) int

    Notes
    -----
    ``360 (Y2 - Y1) + 30 (M2 - M1) + (D2 - D1)`` after these changes, in this order:

    1. where ``february_end``: when both dates are the last of a February, D2 becomes 30; when the first is, D1 becomes
       30;
    2. D2 = 31 becomes 30 when D1 is 30 or 31;
    3. D1 = 31 becomes 30.

    These are the rules of the Standard Securities Calculation Methods (Securities Industry Association 1993). Without
    the first they are the bond basis of the ISDA definitions 2006, section 4.16(f), and FINRA rule 11620; with the
    first on every bond they are Excel's basis 0. The first rule is limited to coupons at month ends because
    only there does the 28th stand for a 30th: from 28 February to 28 August are 180 days, from the end of February to
    the end of August as well.
    """
    start_month, first = month_and_day(start)
    end_month, last = month_and_day(end)
    start_closes = february_end & (start_month % 12 == 1) & (first == month_length(start_month))
    both_close = start_closes & (end_month % 12 == 1) & (last == month_length(end_month))
    last = np.where(both_close, 30, last)
    first = np.where(start_closes, 30, first)
    last = np.where((last == 31) & (first >= 30), 30, last)
    return 30 * (end_month - start_month) + last - np.minimum(first, 30)


def actual_days(start: Dates, end: Dates, february_end: Booleans) -> Integers:
    """Calendar days between dates; ``february_end`` has no say."""
    return (end - start).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class DayCount:
    """One day count.

    Attributes
    ----------
    definition : str
        What share of a year's coupon is earned between two dates.
    days : callable
        ``(start, end, february_end) -> days``, as :func:`thirty_360_days`.
    year : int or None
        Days over which a year's coupon is earned; None when they are those of the coupon period, times the number of
        periods in a year.
    level : bool
        Whether every regular period earns the same, coupon / frequency, however many days it has.
    """

    definition: str
    days: Callable[[Dates, Dates, Booleans], Integers]
    year: int | None
    level: bool


DAY_COUNTS: Mapping[str, DayCount] = MappingProxyType(
    {
        "30/360": DayCount(
            definition="30-day months over 360; the end of February counts as the 30th where coupons fall on month "
            "ends; a regular period earns coupon / frequency",
            days=thirty_360_days,
            year=360,
            level=True,
        ),
        "ACT/ACT": DayCount(
            definition="days over the days of the coupon period, times the frequency (ICMA rule 251; in an odd first "
            "period, summed over the regular periods before it); a regular period earns coupon / frequency",
            days=actual_days,
            year=None,
            level=True,
        ),
        "ACT/360": DayCount(
            definition="days over 360; a coupon is paid for its days", days=actual_days, year=360, level=False
        ),
        "ACT/365": DayCount(
            definition="days over 365, in leap years too; a coupon is paid for its days",
            days=actual_days,
            year=365,
            level=False,
        ),
    }
)
"""FISD's ``day_count_basis`` -> how it counts. FISD has one more spelling, ``ACT/366``; what it
means is not documented, so that it is missing here."""

CODES: Mapping[str, int] = MappingProxyType({name: code for code, name in enumerate(DAY_COUNTS)})
"""Name -> the small integer that stands for it in arrays."""

LEVEL: Booleans = np.array([rule.level for rule in DAY_COUNTS.values()])
"""By code: :attr:`DayCount.level`."""

YEAR: Floats = np.array([np.nan if rule.year is None else rule.year for rule in DAY_COUNTS.values()])
"""By code: :attr:`DayCount.year`, NaN for the coupon period's own."""


def fisd_day_count(basis: pl.Expr, *, blank: str | None = None) -> pl.Expr:
    """Read FISD's ``day_count_basis``.

    Parameters
    ----------
    basis : pl.Expr
        The column as published.
    blank : str, optional
        Name that an empty cell stands for. FISD does not say what an empty cell means, so the default is that it is
        missing; published studies of TRACE take it for "30/360".

    Returns
    -------
    pl.Expr
        A name of ``DAY_COUNTS``; null for an empty cell and for any other text.

    Raises
    ------
    ValueError
        When ``blank`` is no name of ``DAY_COUNTS``.
    """
    if blank is not None and blank not in DAY_COUNTS:
        raise ValueError(f"no day count is called {blank!r}: use {', '.join(DAY_COUNTS)}")
    text = basis.str.strip_chars().str.to_uppercase()
    empty = text.is_null() | (text == "")
    return pl.when(empty).then(pl.lit(blank, pl.String)).when(text.is_in(list(DAY_COUNTS))).then(text)


def elapsed_days(day_count: Integers, start: Dates, end: Dates, february_end: Booleans) -> Integers:
    """Days between dates, each pair by its own day count.

    Parameters
    ----------
    day_count : (N,) int
        Codes, none missing.
    start, end : (N,) datetime64[D]
        No NaT.
    february_end : (N,) bool
        As in :func:`thirty_360_days`.

    Returns
    -------
    (N,) int
    """
    days = np.empty(len(start), np.int64)
    for code, rule in enumerate(DAY_COUNTS.values()):
        rows = np.flatnonzero(day_count == code)
        days[rows] = rule.days(start[rows], end[rows], february_end[rows])
    return days
