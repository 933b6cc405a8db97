"""What accrues on a bond and what it pays, once defaults and a source's own figures are minded.

Belongs here: which of two figures holds, and that nothing accrues or is paid from the default date. Does not: day
counts and coupon calendars (``bond_math``).
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.bonds.bond_math import accrued_interest, coupons_paid
from pipeline.bonds.coupon_calendar import BondTerms

Days = NDArray[np.datetime64]
Floats = NDArray[np.float64]

TERMS = (
    *("coupon", "interest_frequency", "day_count"),
    *("offering_date", "dated_date", "first_interest_date", "maturity"),
)
"""Columns of ``bond_issues`` that say what a bond pays and when."""

A_DAY = np.timedelta64(1, "D")


def days_of(column: pl.Series) -> Days:
    """Return a date column as days, NaT where null."""
    return column.to_numpy().astype("datetime64[D]")


def numbers_of(column: pl.Series) -> Floats:
    """Return a number column as an array, NaN where null."""
    return column.cast(pl.Float64).to_numpy().astype(np.float64)


def accrued(terms: BondTerms, dates: Days, stated: Floats, default: Days) -> Floats:
    """Accrued interest that goes with clean prices.

    Parameters
    ----------
    terms : BondTerms
        Terms of n bonds.
    dates : ndarray of datetime64[D], shape (n,)
        Days of the prices.
    stated : ndarray, shape (n,)
        What the source itself says, per 100 of face; NaN where it says nothing.
    default : ndarray of datetime64[D], shape (n,)
        Default dates as known at the end of the price's month; NaT where there is none.

    Returns
    -------
    ndarray, shape (n,)
        Per 100 of face: 0 from the default date, on which the bond begins to trade flat, else what the source says,
        else what the terms say; NaN where they say nothing.
    """
    own = accrued_interest(terms, dates)
    return np.where(is_flat(dates, default), 0.0, np.where(np.isnan(stated), own, stated))


def is_flat(dates: Days, default: Days) -> NDArray[np.bool_]:
    """Whether a price is that of a bond in default; False where there is no default date."""
    return dates >= default


def paid(terms: BondTerms, after: Days, through: Days, stated: Floats, default: Days) -> Floats:
    """Coupons that a holder got between two prices.

    Parameters
    ----------
    terms : BondTerms
        Terms of n bonds.
    after, through : ndarray of datetime64[D], shape (n,)
        Days of the two prices: coupons in (after, through].
    stated : ndarray, shape (n,)
        What the source says it paid in the month of the later price, per 100 of face; NaN where it says nothing.
    default : ndarray of datetime64[D], shape (n,)
        Default dates as known at the end of the later price's month; NaT where there is none.

    Returns
    -------
    ndarray, shape (n,)
        Per 100 of face: what falls due by the terms, the source's own figure in place of what falls due in its month
        where something does by ``through``: a coupon that it pays after the day of its price belongs to the next
        return. Of a bond that is in default by ``through``, the coupons due before the default date, whatever the
        source says. Where the terms say nothing, the source's figure, NaN where there is none.
    """
    defaulted = is_flat(through, default)
    last = np.maximum(np.where(defaulted, default - A_DAY, through), after)
    due = coupons_paid(terms, after, last)
    month_before = np.maximum(through.astype("datetime64[M]").astype("datetime64[D]") - A_DAY, after)
    split = np.minimum(month_before, last)
    due_earlier, due_now = coupons_paid(terms, after, split), coupons_paid(terms, split, last)
    own = np.where(np.isnan(due), stated, np.where(due_now > 0.0, due_earlier + stated, due))
    return np.where(defaulted | np.isnan(stated), due, own)
