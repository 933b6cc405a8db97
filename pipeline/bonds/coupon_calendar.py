"""When a bond pays coupons, and how much each pays.

Belongs here: the terms of bonds, the dates counted back from maturity, odd first coupons, the table of cash flows
that are still to come. Does not: counting days (``day_count``), what the flows are worth (``bond_math``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import polars as pl

from pipeline.bonds.day_count import (
    CODES,
    FIRST_YEAR,
    LAST_YEAR,
    LEVEL,
    MISSING,
    YEAR,
    Booleans,
    Dates,
    Floats,
    Integers,
    elapsed_days,
    first_of_month,
    month_and_day,
    month_length,
)

FREQUENCIES = (1, 2, 3, 4, 6, 12)
"""Payments a year of a bond with coupons: the whole numbers of months between coupons."""

ZERO_COUPON_FREQUENCY = 2
"""Periods a year in which a bond without coupons is counted and its yield compounded, the market's habit."""

FACE = 100.0
"""Face value that prices, coupons and accrued interest are quoted for."""

TABLE_CELLS = 1 << 18
"""Cash flows held at once: two megabytes, so that a table stays in the cache while it is read again and again."""


@dataclass(frozen=True, kw_only=True)
class BondTerms:
    """What decides the cash flows of N bonds.

    Attributes
    ----------
    coupon : (N,) float
        Percent a year.
    frequency : (N,) int
        Payments a year, one of ``FREQUENCIES``; 0 for a bond without coupons.
    dated : (N,) datetime64[D]
        The date from which interest accrues.
    first_coupon : (N,) datetime64[D]
        Date of the first coupon; NaT when unknown.
    maturity : (N,) datetime64[D]
    day_count : (N,) int
        Codes of ``day_count.CODES``, ``day_count.MISSING`` when unknown.

    Raises
    ------
    ValueError
        When the arrays are not of one length, or dates of another unit.
    """

    coupon: Floats
    frequency: Integers
    dated: Dates
    first_coupon: Dates
    maturity: Dates
    day_count: Integers

    def __post_init__(self) -> None:
        lengths = {field.name: np.shape(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) != 1 or len(self.coupon.shape) != 1:
            raise ValueError(f"the terms of bonds are arrays of one length each, not {lengths}")
        units = {name: getattr(self, name).dtype for name in ("dated", "first_coupon", "maturity")}
        if any(unit != np.dtype("datetime64[D]") for unit in units.values()):
            raise ValueError(f"the dates of bonds are datetime64[D], not {units}: convert them")

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> BondTerms:
        """Read the terms from a table of issues.

        Parameters
        ----------
        frame : DataFrame
            ``coupon`` (percent), ``interest_frequency`` (payments a year, 0 without coupons), ``dated_date``,
            ``offering_date`` (from which interest accrues where there is no dated date), ``first_interest_date``,
            ``maturity``, ``day_count`` (a name of ``day_count.DAY_COUNTS``). Null is missing.

        Returns
        -------
        BondTerms
            In the order of the rows.

        Raises
        ------
        ValueError
            When a day count has no such name.
        """
        names = frame.get_column("day_count")
        unknown = names.filter(names.is_not_null() & ~names.is_in(list(CODES)))
        if len(unknown):
            raise ValueError(
                f"column day_count has {len(unknown)} rows with names not in the registry, the first "
                f"{unknown[0]!r}: use {', '.join(CODES)} or null"
            )
        dated = pl.coalesce("dated_date", "offering_date").alias("dated")
        columns = frame.with_columns(
            dated, code=names.replace_strict(dict(CODES), default=MISSING, return_dtype=pl.Int64)
        )
        return cls(
            coupon=columns["coupon"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            frequency=columns["interest_frequency"].cast(pl.Int64).fill_null(MISSING).to_numpy(),
            dated=columns["dated"].to_numpy().astype("datetime64[D]"),
            first_coupon=columns["first_interest_date"].to_numpy().astype("datetime64[D]"),
            maturity=columns["maturity"].to_numpy().astype("datetime64[D]"),
            day_count=columns["code"].to_numpy(),
        )

    def __len__(self) -> int:
        return len(self.coupon)

    def __getitem__(self, rows: Booleans | Integers | slice) -> BondTerms:
        """Return the terms of some bonds: by mask, by slice, or by position, one as often as it is wanted."""
        return BondTerms(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @cached_property
    def _datable(self) -> Booleans:
        """Whether the dates, and the coupon dates around them, can be split into months and days, (N,)."""
        first, last = np.datetime64(f"{FIRST_YEAR + 2}-01-01"), np.datetime64(f"{LAST_YEAR - 1}-01-01")
        inside = ~(self.first_coupon < first) & ~(self.first_coupon > last)
        return (self.dated >= first) & (self.maturity <= last) & inside

    @cached_property
    def complete(self) -> Booleans:
        """Whether the cash flows of a bond are known, (N,).

        A coupon of at least zero, a maturity after the dated date, a known day count, a frequency of ``FREQUENCIES``
        or, for a bond without coupons, 0, and no date in years that no bond has.
        """
        pays = np.isin(self.frequency, FREQUENCIES) | ((self.frequency == 0) & (self.coupon == 0.0))
        known = np.isfinite(self.coupon) & (self.day_count != MISSING) & self._datable
        return known & pays & (self.coupon >= 0.0) & (self.maturity > self.dated)


@dataclass(frozen=True)
class CouponCalendar:
    """Coupon dates of complete terms, numbered back from maturity, which is number 0.

    Notes
    -----
    Date k lies k coupon periods before maturity, on maturity's day of the month or the month's last day where it has
    no such day. When maturity is the last day of its month every coupon is (the end-of-month rule), unless the first
    coupon says otherwise: maturity on 30 June and a first coupon on 30 December.

    The dates go on before the first coupon (quasi-coupon dates), in which time is counted. The first coupon is the
    date of this calendar that is nearest to the published one (the later of two), but after the dated date; without a
    published one the first date after the dated date. Weekends and holidays move no date: interest is not changed by
    them.

    A bond without coupons has the calendar of ``ZERO_COUPON_FREQUENCY`` without beginning.
    """

    terms: BondTerms

    @cached_property
    def frequency(self) -> Integers:
        """Periods a year, (N,)."""
        return np.where(self.terms.frequency == 0, ZERO_COUPON_FREQUENCY, self.terms.frequency)

    @cached_property
    def _maturity(self) -> tuple[Integers, Integers]:
        return month_and_day(self.terms.maturity)

    @cached_property
    def _published(self) -> tuple[Booleans, Dates]:
        """Whether the first coupon's date was published, and that date, elsewhere maturity."""
        known = ~np.isnat(self.terms.first_coupon) & (self.terms.frequency > 0)
        return known, np.where(known, self.terms.first_coupon, self.terms.maturity)

    @cached_property
    def month_end(self) -> Booleans:
        """Whether coupons fall on month ends, (N,)."""
        month, day = self._maturity
        known, published = self._published
        first_month, first_day = month_and_day(published)
        same_day = known & (first_day == day) & (first_day < month_length(first_month))
        return (day == month_length(month)) & ~same_day

    def date(self, number: Integers) -> Dates:
        """Return the coupon dates with these numbers, (N,) or (K, N); numbers may be negative."""
        maturity, day = self._maturity
        month = maturity - number * (12 // self.frequency)
        last = month_length(month)
        day = np.where(self.month_end, last, np.minimum(day, last))
        return first_of_month(month) + (day - 1).view("timedelta64[D]")

    def left(self, dates: Dates) -> Integers:
        """Count the coupon dates after ``dates``, quasi-coupon dates and maturity included."""
        month, _ = month_and_day(dates)
        # The last of the coupon dates, counted back, that falls into the month of the date or a later one.
        number = (self._maturity[0] - month) // (12 // self.frequency)
        return np.maximum(number + (self.date(number) > dates), 0)

    @cached_property
    def coupons(self) -> Integers:
        """Number of coupons over the bond's life, (N,); of a bond without coupons, of its half-years."""
        known, published = self._published
        count = self.left(self.terms.dated)
        rows = np.flatnonzero(known)
        part = CouponCalendar(self.terms[rows])
        later = np.maximum(part.left(published[rows] - np.timedelta64(1, "D")) - 1, 0)
        nearest = later + (published[rows] - part.date(later + 1) < part.date(later) - published[rows])
        count[rows] = np.minimum(nearest + 1, count[rows])
        return count

    @cached_property
    def odd_first(self) -> Booleans:
        """Whether the first coupon is earned over more or less than one period, (N,)."""
        return (self.terms.frequency > 0) & (self.date(self.coupons) != self.terms.dated)

    def days(self, start: Dates, end: Dates) -> Integers:
        """Days between dates, each bond by its day count."""
        _, day = month_and_day(start)
        february_end = self.month_end | (self._maturity[1] > day)
        return elapsed_days(self.terms.day_count, start, end, february_end)

    def periods_left(self, dates: Dates) -> Floats:
        """Coupon periods from ``dates`` to maturity, part of a period by actual days."""
        left = self.left(dates)
        start, end = self.date(left), self.date(left - 1)
        return left - (dates - start).view(np.int64) / (end - start).view(np.int64)

    def years(self, start: Dates, end: Dates) -> Floats:
        """Share of a year's coupon that is earned between dates, each bond by its day count."""
        year = YEAR[self.terms.day_count]
        rows = np.flatnonzero(np.isnan(year))
        part = CouponCalendar(self.terms[rows])
        years = self.days(start, end) / year
        years[rows] = (part.periods_left(start[rows]) - part.periods_left(end[rows])) / part.frequency
        return years

    @cached_property
    def first_amount(self) -> Floats:
        """Amount of the first coupon per 100 of face, by its days also where it is regular, (N,)."""
        return self.terms.coupon * self.years(self.terms.dated, self.date(self.coupons - 1))

    def at(self, dates: Dates) -> CouponPeriod:
        """Place dates, none before the dated date, in the coupon period that they lie in."""
        left = self.left(dates)
        in_odd_first = self.odd_first & (left >= self.coupons)
        start = np.where(in_odd_first, self.terms.dated, self.date(left))
        return CouponPeriod(self, dates, np.minimum(left, self.coupons), start, in_odd_first)


@dataclass(frozen=True)
class CouponPeriod:
    """Dates and the coupon period that each lies in.

    Attributes
    ----------
    calendar : CouponCalendar
    dates : (N,) datetime64[D]
    count : (N,) int
        Coupons still to come.
    start : (N,) datetime64[D]
        Since when interest has been accruing: the last coupon date, or the dated date.
    odd_first : (N,) bool
        Whether the period is an odd first one.
    """

    calendar: CouponCalendar
    dates: Dates
    count: Integers
    start: Dates
    odd_first: Booleans

    def accrued(self) -> Floats:
        """Interest accrued per 100 of face, (N,)."""
        return self.calendar.terms.coupon * self.calendar.years(self.start, self.dates)

    def to_next(self) -> Floats:
        """Coupon periods from the dates to the next coupon, (N,).

        Notes
        -----
        By 30/360 the days left of the period over 360 / frequency, a regular period having just as many, however many
        the count gives from one coupon date to the next (178 from 31 August to 28 February). By the other day counts
        actual days left over the actual days of the period, whatever year interest is earned over; in a long first
        period the quasi-coupon periods still to come are added.
        """
        calendar, dates = self.calendar, self.dates
        regular = 360 // calendar.frequency
        length = regular.copy()
        odd = np.flatnonzero(self.odd_first)
        part = CouponCalendar(calendar.terms[odd])
        length[odd] = part.days(self.start[odd], part.date(self.count[odd] - 1))
        periods = (length - calendar.days(self.start, dates)) / regular
        code = calendar.terms.day_count
        rows = np.flatnonzero(~LEVEL[code] | np.isnan(YEAR[code]))
        periods[rows] = CouponCalendar(calendar.terms[rows]).periods_left(dates[rows]) - (self.count[rows] - 1)
        return periods


@dataclass(frozen=True, kw_only=True)
class CashFlows:
    """Coupons still to come of M bonds, most coupons first.

    Attributes
    ----------
    rows : (M,) int
        Positions of the bonds in the arrays that the table was made from.
    frequency : (M,) float
        Periods a year.
    count : (M,) int
        Number of coupons to come, at least one, not increasing.
    to_next : (M,) float
        Periods to the next coupon; the coupon with number k is ``to_next + count - 1 - k`` periods away.
    coupons : (K, M) float
        Per 100 of face, by number, 0 being the one paid with the face value at maturity; 0.0 from row ``count`` on.
    """

    rows: Integers
    frequency: Floats
    count: Integers
    to_next: Floats
    coupons: Floats

    @cached_property
    def widths(self) -> list[int]:
        """For each number k, how many of the bonds have a coupon of this number: the first so many."""
        numbers = np.arange(len(self.coupons))
        return np.searchsorted(-self.count, -numbers, side="left").tolist()


def settled(terms: BondTerms, dates: Dates) -> Dates:
    """Return the dates, moved to the dated date where they lie before it: an issue bought earlier settles then."""
    return np.maximum(dates.astype("datetime64[D]"), terms.dated)


def cash_flows(terms: BondTerms, dates: Dates) -> Iterator[CashFlows]:
    """Tables of the cash flows after given dates.

    Parameters
    ----------
    terms : BondTerms
    dates : (N,) datetime64[D]

    Yields
    ------
    CashFlows
        Bonds with about as many coupons stand in one table, of at most ``TABLE_CELLS`` cells. Bonds whose terms are
        not complete, have matured, or have no date stand in none. A coupon paid on the date itself is past.
    """
    rows = np.flatnonzero(terms.complete & (dates < terms.maturity))
    calendar = CouponCalendar(terms[rows])
    period = calendar.at(settled(calendar.terms, dates[rows]))
    to_next = period.to_next()
    order = np.argsort(-period.count, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, TABLE_CELLS // int(period.count[order[start]]))
        chosen = order[start:stop]
        yield CashFlows(
            rows=rows[chosen],
            frequency=calendar.frequency[chosen].astype(np.float64),
            count=period.count[chosen],
            to_next=to_next[chosen],
            coupons=_coupons(calendar.terms[chosen], period.count[chosen]),
        )
        start = stop


def _coupons(terms: BondTerms, count: Integers) -> Floats:
    """Amounts of the last ``count`` coupons, (K, M), row 0 the one at maturity."""
    calendar = CouponCalendar(terms)
    numbers = np.arange(count[0])[:, None]
    coupons = np.where(numbers < count, terms.coupon / calendar.frequency, 0.0)
    by_days = np.flatnonzero(~LEVEL[terms.day_count])
    if len(by_days):
        part = CouponCalendar(terms[by_days])
        paid = part.date(np.arange(count[0] + 1)[:, None])
        amounts = part.terms.coupon * ((paid[:-1] - paid[1:]).view(np.int64) / YEAR[part.terms.day_count])
        coupons[:, by_days] = np.where(numbers < count[by_days], amounts, 0.0)
    first = np.flatnonzero(calendar.odd_first & (count == calendar.coupons))
    coupons[count[first] - 1, first] = CouponCalendar(terms[first]).first_amount
    return coupons
