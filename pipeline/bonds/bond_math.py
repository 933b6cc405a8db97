"""What a bond's cash flows are worth: accrued interest, coupons, price and yield, and how price answers to yield.

Prices, coupons and accrued interest are per 100 of face, yields percent a year. Everything is computed bond by bond
from additions, multiplications and functions evaluated one number at a time, so that no result depends on which other
bonds are in the arrays, to the last bit.

Belongs here: valuation at the bond's own yield; calls, puts and sinking funds are ignored throughout. Does not: dates
and amounts of coupons (``coupon_calendar``), valuation off a curve (``credit_spread``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expm1, log1p

from pipeline.bonds.coupon_calendar import FACE, BondTerms, CashFlows, CouponCalendar, cash_flows, settled
from pipeline.bonds.day_count import LEVEL, Dates, Floats

BUMP = 0.25
"""Percentage points up and down by which yields move for an effective duration."""

MAX_GROWTH = 30.0
"""Largest logarithm, either way, of one plus the yield a period: a yield beyond it is not told from -100% or is of
thirteen digits, of a price far from what is paid within days."""

MAX_STEPS = 100
"""Newton steps; a dozen suffice."""

CONVERGED = 1e-9
"""Change of the log price at which a Newton step is the last: what it leaves is of the order of its square."""


def accrued_interest(terms: BondTerms, dates: Dates) -> Floats:
    """Interest earned since the last coupon.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]

    Returns
    -------
    (N,) float
        Per 100 of face; 0 on a coupon date, on or before the dated date, and for a bond without coupons. NaN where
        the terms are not complete, the date is missing or the bond has matured.

    Notes
    -----
    ``c * a(s, d)`` with c the coupon, s the last coupon date or, in the first period, the dated date, and a the share
    of a year by the bond's day count (:data:`pipeline.bonds.day_count.DAY_COUNTS`). Dates are the dates of prices; no
    days to settlement are added.
    """
    accrued = np.full(len(terms), np.nan)
    rows = np.flatnonzero(terms.complete & (dates < terms.maturity))
    calendar = CouponCalendar(terms[rows])
    accrued[rows] = calendar.at(settled(calendar.terms, dates[rows])).accrued()
    return accrued


def coupons_paid(terms: BondTerms, after: Dates, through: Dates) -> Floats:
    """Coupons with dates in ``(after, through]``.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    after, through : (N,) datetime64[D]

    Returns
    -------
    (N,) float
        Per 100 of face, the face value at maturity not included; 0 where none is paid, after maturity too. NaN where
        the terms are not complete or a date is missing.

    Raises
    ------
    ValueError
        When ``through`` lies before ``after``.

    Notes
    -----
    A regular coupon is the coupon rate / frequency by 30/360 and ACT/ACT, and the rate times the days since the coupon
    before over 360 or 365 by ACT/360 and ACT/365. An odd first coupon is the rate times the share of a year from the
    dated date, by the day count.
    """
    backwards = np.flatnonzero(through < after)
    if len(backwards):
        row = backwards[0]
        raise ValueError(
            f"through lies before after in {len(backwards)} rows, the first {row} ({after[row]} to {through[row]}): "
            "pass the earlier date first"
        )
    paid = np.full(len(terms), np.nan)
    rows = np.flatnonzero(terms.complete & ~np.isnat(after) & ~np.isnat(through))
    calendar = CouponCalendar(terms[rows])
    part = calendar.terms
    # Matured bonds have nothing to come at either date.
    first = calendar.at(np.minimum(settled(part, after[rows]), part.maturity))
    left = np.minimum(calendar.left(np.minimum(settled(part, through[rows]), part.maturity)), first.count)
    number = first.count - left
    odd = first.odd_first & (number > 0)
    level = part.coupon / calendar.frequency * (number - odd) + np.where(odd, calendar.first_amount, 0.0)
    # Coupons paid for their days add up to the days from the start of the first to the end of the last.
    by_days = part.coupon * calendar.years(first.start, np.maximum(calendar.date(left), first.start))
    paid[rows] = np.where(LEVEL[part.day_count], level, np.where(number > 0, by_days, 0.0))
    return paid


@dataclass(frozen=True)
class _Moments:
    """Sums over the cash flows of a table, as seen from the next coupon date.

    With flows C_t, t periods away, and the discount factor v of a period: the value ``sum C_t v**t``, and the same
    sums with t and t**2 before each term.
    """

    value: Floats
    first: Floats
    second: Floats

    @classmethod
    def of(cls, flows: CashFlows, discount: Floats) -> _Moments:
        """Fold the flows from maturity back to the next coupon, one period and one coupon at a time."""
        value = np.full(len(discount), FACE)
        first, second = np.zeros_like(value), np.zeros_like(value)
        value += flows.coupons[0]
        for coupon, width in zip(flows.coupons[1:], flows.widths[1:], strict=True):
            v, p, f, s = discount[:width], value[:width], first[:width], second[:width]
            s += 2.0 * f + p
            s *= v
            f += p
            f *= v
            p *= v
            p += coupon[:width]
        return cls(value, first, second)

    def mean_periods(self, flows: CashFlows) -> Floats:
        """Return the mean time of the flows by present value, in periods: Macaulay duration times frequency."""
        return self.first / self.value + flows.to_next

    def mean_square_periods(self, flows: CashFlows) -> Floats:
        """Return the mean squared time of the flows by present value."""
        return self.second / self.value + flows.to_next * (2.0 * self.first / self.value + flows.to_next)


def _growth(flows: CashFlows, ytm: Floats) -> Floats:
    """Log of one plus the yield a period; NaN where the yield is -100% a period or less."""
    rate = ytm / (100.0 * flows.frequency)
    return log1p(np.where(rate > -1.0, rate, np.nan))


def _discount(growth: Floats) -> Floats:
    return 1.0 + expm1(-growth)


def _present_value(flows: CashFlows, ytm: Floats) -> Floats:
    growth = _growth(flows, ytm)
    return _Moments.of(flows, _discount(growth)).value * _discount(flows.to_next * growth)


def dirty_price(terms: BondTerms, dates: Dates, ytm: Floats) -> Floats:
    """Price at a yield, accrued interest included.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    ytm : (N,) float
        Percent a year, compounded as in :func:`yield_to_maturity`.

    Returns
    -------
    (N,) float
        Per 100 of face. NaN where the terms are not complete, an input is missing, the bond has matured, or the yield
        is -100% a period or less.

    Notes
    -----
    ``P(y) = sum_k C_k (1 + y/f)**-(w + k)`` over the coupons and the face value still to come, k = 0, 1, ..., with w
    the coupon periods to the next coupon (:meth:`CouponCalendar.to_next_coupon`) and f the periods a year: the street
    convention, kept in the last coupon period too (no simple interest).
    """
    price = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        price[flows.rows] = _present_value(flows, ytm[flows.rows])
    return price


def yield_to_maturity(terms: BondTerms, dates: Dates, clean: Floats) -> Floats:
    """Yield at which the cash flows are worth the price.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    clean : (N,) float
        Price per 100 of face without accrued interest.

    Returns
    -------
    (N,) float
        Percent a year, compounded as often as coupons are paid, twice a year for a bond without coupons. NaN where
        the terms are not complete, an input is missing, the bond has matured, or there is no such yield: the price
        with accrued interest is not above zero, or not above what is paid at once, or so far from the face value
        within days of maturity that the growth of a period leaves ``exp(-MAX_GROWTH)`` to ``exp(MAX_GROWTH)``.

    Notes
    -----
    Solves ``P(y) = clean + accrued`` with P of :func:`dirty_price` by Newton's method on ``h(x) = log P - log p``, x =
    log(1 + y/f). h is decreasing and convex in x, a log-sum-exp, so every Newton step lands at or below the root and
    the next goes up from there. The first step, from x = 0, is ``log(sum C / p) / mean t`` in closed form: a lower
    bound of the root that every later point raises. There is nothing to overshoot and no upper bound to keep.
    """
    return yield_of_dirty_price(terms, dates, clean + accrued_interest(terms, dates))


def yield_of_dirty_price(terms: BondTerms, dates: Dates, dirty: Floats) -> Floats:
    """Return :func:`yield_to_maturity` of prices with accrued interest."""
    ytm = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        ytm[flows.rows] = 100.0 * flows.frequency * expm1(_solve_growth(flows, dirty[flows.rows]))
    return ytm


def _solve_growth(flows: CashFlows, dirty: Floats) -> Floats:
    """Log of one plus the yield a period, NaN where there is none."""
    price = np.where(dirty > 0.0, dirty, np.nan)
    growth = np.zeros(len(price))
    open_ = np.isfinite(price)
    for _ in range(MAX_STEPS):
        moments = _Moments.of(flows, _discount(growth))
        mean = moments.mean_periods(flows)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (log1p((moments.value - price) / price) - flows.to_next * growth) / mean
            done = np.abs(step) * mean <= CONVERGED
        growth = np.where(open_, growth + step, growth)
        open_ = open_ & ~done & (growth < MAX_GROWTH)
        if not open_.any():
            break
    solved = np.isfinite(price) & ~open_ & (np.abs(growth) < MAX_GROWTH)
    return np.where(solved, growth, np.nan)


def modified_duration(terms: BondTerms, dates: Dates, ytm: Floats) -> Floats:
    """Relative fall of the price in the yield.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    ytm : (N,) float
        Percent a year, as of :func:`yield_to_maturity`.

    Returns
    -------
    (N,) float
        Years; NaN as in :func:`dirty_price`.

    Notes
    -----
    ``-P'(y) / P(y) = sum t C v**t / (f P (1 + y/f))`` with t in periods, v = 1 / (1 + y/f), P the price with accrued
    interest: Macaulay duration over 1 + y/f.
    """
    duration = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        discount = _discount(_growth(flows, ytm[flows.rows]))
        moments = _Moments.of(flows, discount)
        duration[flows.rows] = moments.mean_periods(flows) * discount / flows.frequency
    return duration


def convexity(terms: BondTerms, dates: Dates, ytm: Floats) -> Floats:
    """Relative second derivative of the price in the yield.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    ytm : (N,) float
        Percent a year, as of :func:`yield_to_maturity`.

    Returns
    -------
    (N,) float
        Years squared; NaN as in :func:`dirty_price`.

    Notes
    -----
    ``P''(y) / P(y) = sum t (t + 1) C v**(t + 2) / (f**2 P)``, t in periods.
    """
    result = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        discount = _discount(_growth(flows, ytm[flows.rows]))
        moments = _Moments.of(flows, discount)
        spread_of_times = moments.mean_square_periods(flows) + moments.mean_periods(flows)
        result[flows.rows] = spread_of_times * (discount / flows.frequency) * (discount / flows.frequency)
    return result


def effective_duration(terms: BondTerms, dates: Dates, ytm: Floats) -> Floats:
    """Relative price change when the yield moves a quarter of a percentage point up and down.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    ytm : (N,) float
        Percent a year, as of :func:`yield_to_maturity`.

    Returns
    -------
    (N,) float
        Years; NaN as in :func:`dirty_price`.

    Notes
    -----
    ``(P(y - b) - P(y + b)) / (2 b P(y))`` with b = ``BUMP`` and prices with accrued interest. A call is ignored, so
    that the cash flows are the same at all three yields.
    """
    duration = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        at = ytm[flows.rows]
        fall = _present_value(flows, at - BUMP) - _present_value(flows, at + BUMP)
        duration[flows.rows] = fall / _present_value(flows, at) / (2.0 * BUMP / 100.0)
    return duration
