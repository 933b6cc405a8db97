"""Accrued interest and coupons of the simulated bonds by plain arithmetic, for the truth and for vendors' own figures.

Coupon days count back from the maturity by whole months; every maturity is the 1st or the 15th, so that no month is too
short for one. Knows nothing of prices.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.bond_terms import BondTerms, Days, month_number, month_place, on_day
from pipeline.simulation.paths import Array

_QUASI_PERIODS = 4
"""Coupon periods, of a bond with monthly ones, between the earliest day of accrual and its first coupon, and one."""


def accrued_interest(terms: BondTerms, bond: NDArray[np.intp], day: Days) -> Array:
    """Interest accrued since the last coupon, or the day from which it accrues.

    Parameters
    ----------
    terms : BondTerms
        Issues with a maturity.
    bond : ndarray of int, shape (n,)
        Positions among them.
    day : ndarray of datetime64[D], shape (n,)
        Days up to the maturity.

    Returns
    -------
    ndarray, shape (n,)
        Per 100 of face; 0 without coupons and before any interest.
    """
    last = _coupon_day(terms, bond, day)
    start = np.where(last >= terms.first_coupon[bond], last, terms.dated[bond])
    return _interest(terms, bond, np.minimum(start, day), day)


def coupons(terms: BondTerms, bond: NDArray[np.intp], after: Days, through: Days) -> Array:
    """Sum of the coupons that are due in (after, through].

    Parameters
    ----------
    terms : BondTerms
        Issues with a maturity.
    bond : ndarray of int, shape (n,)
        Positions among them.
    after, through : ndarray of datetime64[D], shape (n,)
        Days up to the maturity.

    Returns
    -------
    ndarray, shape (n,)
        Per 100 of face; a coupon is the interest accrued on its day.
    """
    total = np.zeros(len(bond))
    due = _coupon_day(terms, bond, through)
    while (open_ := (due > after) & (due >= terms.first_coupon[bond])).any():
        earlier = _back(due, _period(terms, bond))
        start = np.where(due == terms.first_coupon[bond], terms.dated[bond], earlier)
        total += np.where(open_, _interest(terms, bond, np.minimum(start, due), due), 0.0)
        due = earlier
    return total


def _period(terms: BondTerms, bond: NDArray[np.intp]) -> NDArray[np.intp]:
    """Months from one coupon to the next; 12 where there is none."""
    return 12 // np.maximum(terms.frequency[bond], 1)


def _coupon_day(terms: BondTerms, bond: NDArray[np.intp], day: Days) -> Days:
    """Last day of the coupon calendar, which goes back without end, at or before a day."""
    maturity, period = terms.maturity[bond], _period(terms, bond)
    begun = month_number(day) - (month_place(day) < month_place(maturity))
    periods = -(-(month_number(maturity) - begun) // period)
    return _back(maturity, periods * period)


def _back(day: Days, months: NDArray[np.intp]) -> Days:
    """Go back by whole months, to the same day of the month."""
    return on_day(month_number(day) - months, month_place(day))


def _interest(terms: BondTerms, bond: NDArray[np.intp], start: Days, end: Days) -> Array:
    """Interest of a stretch of days that spans a few coupon periods at most."""
    coupon, count = terms.coupon[bond], terms.day_count[bond]
    days = (end - start).astype(np.int64)
    by_count = {
        "30/360": coupon * _days_30_360(start, end) / 360,
        "ACT/360": coupon * days / 360,
        "ACT/365": coupon * days / 365,
        "ACT/ACT": _interest_by_period(terms, bond, start, end),
    }
    return np.where(
        terms.frequency[bond] > 0, np.select([count == name for name in by_count], list(by_count.values())), 0
    )


def _days_30_360(start: Days, end: Days) -> NDArray[np.int64]:
    """Days of the bond basis: a 31st counts as a 30th at the start, and at the end after such a start."""
    first, last = month_place(start) + 1, month_place(end) + 1
    first = np.minimum(first, 30)
    last = np.where((last == 31) & (first == 30), 30, last)
    return 30 * (month_number(end) - month_number(start)) + last - first


def _interest_by_period(terms: BondTerms, bond: NDArray[np.intp], start: Days, end: Days) -> Array:
    """Interest by shares of the coupon periods that a stretch touches, each worth the same."""
    period = _period(terms, bond)
    each = terms.coupon[bond] * period / 12
    total = np.zeros(len(bond))
    begin = _coupon_day(terms, bond, end)
    finish = _back(begin, -period)
    for _ in range(_QUASI_PERIODS):
        inside = (np.minimum(end, finish) - np.maximum(start, begin)).astype(np.int64)
        total += each * np.maximum(inside, 0) / (finish - begin).astype(np.int64)
        begin, finish = _back(begin, period), begin
    return total
