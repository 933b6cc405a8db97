"""Random bonds of every convention, and what QuantLib says of each."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
import QuantLib as ql
from scipy.optimize import brentq

from pipeline.bonds.coupon_calendar import BondTerms
from pipeline.bonds.day_count import CODES

FREQUENCIES = {
    1: ql.Annual,
    2: ql.Semiannual,
    3: ql.EveryFourthMonth,
    4: ql.Quarterly,
    6: ql.Bimonthly,
    12: ql.Monthly,
}
# Long lives of many coupons take QuantLib's ICMA day count seconds.
LONGEST = {1: 40, 2: 60, 3: 60, 4: 80, 6: 90, 12: 120}


def last_day(year, month):
    return calendar.monthrange(year, month)[1]


def months_before(maturity, months, month_end):
    number = 12 * maturity.year + maturity.month - 1 - months
    year, month = number // 12, number % 12 + 1
    last = last_day(year, month)
    return date(year, month, last if month_end else min(maturity.day, last))


def quantlib_date(day):
    return ql.Date(day.day, day.month, day.year)


@dataclass(frozen=True, kw_only=True)
class DrawnBond:
    """Terms drawn so that the dates of its coupons are known without counting: a maturity and a number of coupons."""

    frequency: int
    day_count: str
    coupon: float
    dated: date
    first: date | None
    maturity: date
    month_end: bool
    life: int
    odd: bool
    on: date
    clean: float

    @property
    def periods(self):
        return self.frequency or 2

    def coupon_date(self, number):
        return months_before(self.maturity, number * 12 // self.periods, self.month_end)

    def backward(self, start, *first):
        every = ql.Period(FREQUENCIES[self.periods])
        plain = (ql.NullCalendar(), ql.Unadjusted, ql.Unadjusted, ql.DateGeneration.Backward)
        end = quantlib_date(self.maturity)
        return ql.Schedule(quantlib_date(start), end, every, *plain, self.month_end, *map(quantlib_date, first))

    @cached_property
    def regular_schedule(self):
        """The dates on which the bond would have paid had it been issued earlier."""
        number = self.life
        while self.coupon_date(number) > self.dated:
            number += 1
        return self.backward(self.coupon_date(number))

    @cached_property
    def schedule(self):
        """Dates of the coupons after the dated date; of a bond without coupons half-years."""
        if self.frequency == 0:
            return self.regular_schedule
        return self.backward(self.dated, *([self.first] if self.first else []))

    @cached_property
    def period_start(self):
        past = [day for day in self.schedule if day <= quantlib_date(self.on)]
        return past[-1] if past else self.schedule[0]

    @cached_property
    def thirty(self):
        """QuantLib's 30/360: with the rule for the end of February where the period starts on it for a 30th."""
        start = self.period_start
        closes = start.month() == 2 and start.dayOfMonth() == last_day(start.year(), 2)
        stands_for_30th = closes and (self.month_end or self.maturity.day > start.dayOfMonth())
        return ql.Thirty360(ql.Thirty360.USA if stands_for_30th else ql.Thirty360.BondBasis)

    @cached_property
    def icma(self):
        """ICMA's day count over the dates counted back from maturity.

        Given the bond's own schedule QuantLib counts the periods before an odd first coupon back from that coupon,
        which loses the day of the month after a February, and takes the only period of a bond with one odd coupon for
        both an odd first and an odd last one.
        """
        return ql.ActualActual(ql.ActualActual.ISMA, self.regular_schedule)

    @cached_property
    def accrual(self):
        rules = {"30/360": self.thirty, "ACT/ACT": self.icma, "ACT/360": ql.Actual360(), "ACT/365": ql.Actual365Fixed()}
        return rules[self.day_count]

    @cached_property
    def quantlib(self):
        return ql.FixedRateBond(0, 100.0, self.schedule, [self.coupon / 100.0], self.accrual, ql.Unadjusted)

    @cached_property
    def time(self):
        return self.thirty if self.day_count == "30/360" else self.icma

    @cached_property
    def unequal_thirty(self):
        """Whether QuantLib's 30/360 gives some regular period other than 360 / frequency days."""
        if self.day_count != "30/360":
            return False
        days = list(self.schedule)[1 if self.odd and self.frequency else 0 :]
        regular = 360 // self.periods
        return any(self.thirty.dayCount(a, b) != regular for a, b in pairwise(days))

    @cached_property
    def peer(self):
        return StreetPeer(self) if self.unequal_thirty else QuantLibPeer(self)


class QuantLibPeer:
    """QuantLib's own answers for its fixed-rate bond."""

    def __init__(self, drawn):
        self.drawn = drawn
        self.on = quantlib_date(drawn.on)
        ql.Settings.instance().evaluationDate = self.on

    def rate(self, ytm):
        return ql.InterestRate(ytm / 100.0, self.drawn.time, ql.Compounded, FREQUENCIES[self.drawn.periods])

    def price(self, ytm):
        rate = self.rate(ytm)
        return ql.BondFunctions.cleanPrice(self.drawn.quantlib, rate, self.on) + self.drawn.quantlib.accruedAmount(
            self.on
        )

    def ytm(self):
        price = ql.BondPrice(self.drawn.clean, ql.BondPrice.Clean)
        frequency = FREQUENCIES[self.drawn.periods]
        return 100.0 * self.drawn.quantlib.bondYield(
            price, self.drawn.time, ql.Compounded, frequency, self.on, 1e-14, 1000
        )

    def duration(self, ytm):
        return ql.BondFunctions.duration(self.drawn.quantlib, self.rate(ytm), ql.Duration.Modified, self.on)

    def convexity(self, ytm):
        return ql.BondFunctions.convexity(self.drawn.quantlib, self.rate(ytm), self.on)


class StreetPeer:
    """For 30/360 bonds of which QuantLib has periods of 178 or 183 days pay for 178 or 183.

    The market pays the same every half-year. QuantLib values those equal coupons at the next coupon date, from which
    all periods are whole, and counts the 30/360 days up to it.
    """

    def __init__(self, drawn):
        self.drawn = drawn
        ql.Settings.instance().evaluationDate = quantlib_date(drawn.on)
        after = [day for day in drawn.schedule if day > quantlib_date(drawn.on)]
        self.next = after[0]
        odd = drawn.odd and drawn.frequency and self.next == drawn.schedule[1]
        regular = 360 // drawn.periods
        days = drawn.thirty.dayCount(drawn.period_start, self.next) if odd else regular
        self.wait = (days - drawn.thirty.dayCount(drawn.period_start, quantlib_date(drawn.on))) / regular
        self.coupon = drawn.coupon * days / 360
        level = drawn.coupon / drawn.periods
        self.flows = [ql.SimpleCashFlow(level, day) for day in after[1:]]
        self.flows.append(ql.SimpleCashFlow(100.0, after[-1]))

    def parts(self, ytm):
        """Value at the next coupon date and its derivatives, growth up to it and its derivatives."""
        frequency = self.drawn.periods
        rate = ql.InterestRate(ytm / 100.0, self.drawn.icma, ql.Compounded, FREQUENCIES[frequency])
        # QuantLib has no duration of flows that are all paid on the valuation date.
        later = self.next != self.drawn.schedule[len(self.drawn.schedule) - 1]
        rest = ql.CashFlows.npv(self.flows, rate, True, self.next, self.next)
        slope = -rest * ql.CashFlows.duration(self.flows, rate, ql.Duration.Modified, True, self.next) if later else 0.0
        curve = rest * ql.CashFlows.convexity(self.flows, rate, True, self.next) if later else 0.0
        growth = 1.0 + ytm / 100.0 / frequency
        factor = growth**-self.wait
        first = -self.wait / frequency / growth
        second = self.wait * (self.wait + 1.0) / (frequency * growth) ** 2
        return rest + self.coupon, slope, curve, factor, first, second

    def price(self, ytm):
        value, _, _, factor, _, _ = self.parts(ytm)
        return value * factor

    def ytm(self):
        dirty = self.drawn.clean + self.drawn.quantlib.accruedAmount(quantlib_date(self.drawn.on))
        return brentq(lambda y: self.price(y) - dirty, -90.0, 1000.0, xtol=1e-12, rtol=1e-14)

    def duration(self, ytm):
        value, slope, _, _, first, _ = self.parts(ytm)
        return -(slope / value + first)

    def convexity(self, ytm):
        value, slope, curve, _, first, second = self.parts(ytm)
        return curve / value + 2.0 * slope / value * first + second


def _maturity(rng):
    year, month = int(rng.integers(2003, 2045)), int(rng.integers(1, 13))
    last = last_day(year, month)
    day = rng.choice([int(rng.integers(1, 29)), last, min(int(rng.choice([28, 29, 30])), last)], p=[0.5, 0.3, 0.2])
    return date(year, month, int(day))


def _draw_one(rng):
    """One bond, or None when its terms would not say whether coupons fall on month ends."""
    frequency = int(rng.choice([0, 1, 2, 2, 2, 3, 4, 6, 12]))
    step = 12 // (frequency or 2)
    maturity = _maturity(rng)
    closes = maturity.day == last_day(maturity.year, maturity.month)
    month_end = closes and rng.random() < 0.7
    life = int(rng.integers(1, LONGEST[12 // step]))
    first, before, earlier = (months_before(maturity, k * step, month_end) for k in (life - 1, life, life + 1))
    opening = rng.choice(["regular", "short", "long"], p=[0.5, 0.25, 0.25])
    span = {"regular": (before, before), "short": (before, first), "long": (earlier, before)}[str(opening)]
    dated = span[0] + timedelta(int(rng.integers(1, (span[1] - span[0]).days)) if opening != "regular" else 0)
    published = first if frequency and (opening == "long" or rng.random() < 0.5) else None
    same_day = published is not None and published.day == maturity.day < last_day(published.year, published.month)
    if month_end != (closes and not same_day):
        return None
    coupon_date = months_before(maturity, step * int(rng.integers(0, life)), month_end)
    on = {
        "any": dated + timedelta(int(rng.integers(0, (maturity - dated).days))),
        "coupon": coupon_date,
        "near": coupon_date + timedelta(int(rng.choice([-2, -1, 1, 2]))),
        "first": dated + timedelta(int(rng.integers(0, (first - dated).days))),
    }[str(rng.choice(["any", "coupon", "near", "first"], p=[0.4, 0.2, 0.25, 0.15]))]
    if not dated <= on < maturity:
        return None
    # Far from par only with time to go, where a price is not an absurd yield.
    reach = min(1.0, (maturity - on).days / 1500)
    return DrawnBond(
        frequency=frequency,
        day_count=str(rng.choice(list(CODES))),
        coupon=0.0 if frequency == 0 or rng.random() < 0.03 else round(rng.uniform(0.5, 12.0), 3),
        dated=dated,
        first=published,
        maturity=maturity,
        month_end=month_end,
        life=life,
        odd=opening != "regular",
        on=on,
        clean=100.0 + reach * float(rng.uniform(-95.0, 80.0) if rng.random() < 0.3 else rng.uniform(-30.0, 20.0)),
    )


def draw_bonds(number, seed):
    """Bonds over every frequency, day count, odd or regular first coupon, day of the month, and place in time."""
    rng = np.random.default_rng(seed)
    drawn = []
    while len(drawn) < number:
        bond = _draw_one(rng)
        if bond is not None:
            drawn.append(bond)
    return drawn


def as_arrays(drawn):
    """Terms, dates and clean prices of drawn bonds."""

    def dates(values):
        return np.array(["NaT" if value is None else value for value in values], "datetime64[D]")

    terms = BondTerms(
        coupon=np.array([bond.coupon for bond in drawn]),
        frequency=np.array([bond.frequency for bond in drawn]),
        dated=dates([bond.dated for bond in drawn]),
        first_coupon=dates([bond.first for bond in drawn]),
        maturity=dates([bond.maturity for bond in drawn]),
        day_count=np.array([CODES[bond.day_count] for bond in drawn]),
    )
    return terms, dates([bond.on for bond in drawn]), np.array([bond.clean for bond in drawn])
