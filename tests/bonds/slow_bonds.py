"""Month-end prices and returns of bonds once more, in plain loops over trades: a second opinion.

Nothing here comes from ``pipeline.bonds``. A bond is a mapping with the columns of ``bond_issues``; trades are rows of
cusip, date, time, price (true, per 100), volume (dollars of face).
"""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import exchange_calendars
import polars as pl

ORDER = ("lehman", "trace", "mergent", "datastream")


def add_months(day: date, months: int, day_of_month: int) -> date:
    number = 12 * day.year + day.month - 1 + months
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day_of_month, calendar.monthrange(year, month + 1)[1]))


def is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def periods(bond: Mapping[str, Any], until: date) -> list[date]:
    """Coupon dates from maturity back to the last one that is not after ``until``."""
    step = 12 // bond["interest_frequency"]
    day_of_month = 31 if is_month_end(bond["maturity"]) else bond["maturity"].day
    dates = [bond["maturity"]]
    while dates[-1] > until:
        dates.append(add_months(bond["maturity"], -step * len(dates), day_of_month))
    return dates[::-1]


def days_30_360(bond: Mapping[str, Any], start: date, end: date) -> int:
    d1, d2 = start.day, end.day
    closing = is_month_end(bond["maturity"]) or bond["maturity"].day > d1
    if closing and start.month == 2 and is_month_end(start):
        if end.month == 2 and is_month_end(end):
            d2 = 30
        d1 = 30
    if d2 == 31 and d1 >= 30:
        d2 = 30
    return 360 * (end.year - start.year) + 30 * (end.month - start.month) + d2 - min(d1, 30)


def share_of_year(bond: Mapping[str, Any], start: date, end: date) -> float:
    """Share of a year's coupon that is earned from ``start`` to ``end``."""
    basis = bond["day_count"]
    if basis == "30/360":
        return days_30_360(bond, start, end) / 360
    if basis == "ACT/360":
        return (end - start).days / 360
    if basis == "ACT/365":
        return (end - start).days / 365
    dates = periods(bond, start)
    share = 0.0
    for first, last in pairwise(dates):
        inside = (min(end, last) - max(start, first)).days
        if inside > 0:
            share += inside / (last - first).days / bond["interest_frequency"]
    return share


def coupon_dates(bond: Mapping[str, Any]) -> list[date]:
    """Days on which the bond pays, the first of them the one nearest to the published first coupon."""
    if bond["interest_frequency"] == 0:
        return []
    since = bond["dated_date"] or bond["offering_date"]
    dates = [day for day in periods(bond, since) if day > since]
    first = bond["first_interest_date"]
    if first is not None:
        nearest = min(dates, key=lambda day: (abs((day - first).days), -day.toordinal()))
        dates = [day for day in dates if day >= nearest]
    return dates


def coupon_amount(bond: Mapping[str, Any], start: date, end: date) -> float:
    """Coupon of the period from ``start`` to ``end``."""
    regular = start in periods(bond, start) and end in next_of(bond, start)
    level = regular and bond["day_count"] in ("30/360", "ACT/ACT")
    share = 1 / bond["interest_frequency"] if level else share_of_year(bond, start, end)
    return bond["coupon"] * share


def next_of(bond: Mapping[str, Any], start: date) -> tuple[date, ...]:
    """The coupon date after a regular one."""
    later = [day for day in periods(bond, start) if day > start]
    return (later[0],) if later else ()


def accrued(bond: Mapping[str, Any], day: date) -> float:
    dates = coupon_dates(bond)
    since = bond["dated_date"] or bond["offering_date"]
    passed = [each for each in (since, *dates) if each <= day]
    if not dates or not passed:
        return 0.0
    return bond["coupon"] * share_of_year(bond, passed[-1], day)


def coupons_between(bond: Mapping[str, Any], after: date, through: date) -> float:
    since = bond["dated_date"] or bond["offering_date"]
    coupons = pairwise([since, *coupon_dates(bond)])
    return sum(coupon_amount(bond, start, day) for start, day in coupons if after < day <= through)


@cache
def _sessions_by_month() -> dict[tuple[int, int], list[date]]:
    found: dict[tuple[int, int], list[date]] = defaultdict(list)
    for session in exchange_calendars.get_calendar("XNYS", start="1970-01-01", end="2031-12-31").sessions:
        found[session.year, session.month].append(session.date())
    return found


def month_end(month: date, sessions: int = 5) -> tuple[date, date]:
    last = date(month.year, month.month, calendar.monthrange(month.year, month.month)[1])
    return _sessions_by_month()[month.year, month.month][-sessions], last


def previous_month(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def daily_prices(trades: pl.DataFrame) -> dict[tuple[str, date], tuple[float, float, int]]:
    """Volume-weighted price, volume and number of trades of each bond and day."""
    days: dict[tuple[str, date], list[tuple[float, float]]] = defaultdict(list)
    for row in trades.sort("cusip", "date", "time").iter_rows(named=True):
        days[row["cusip"], row["date"]].append((row["price"], row["volume"]))
    found = {}
    for key, trades_of_day in days.items():
        volume = sum(v for _, v in trades_of_day)
        found[key] = sum(p * v for p, v in trades_of_day) / volume, volume, len(trades_of_day)
    return found


def last_prices(trades: pl.DataFrame, month: date) -> dict[str, tuple[date, float, None, None]]:
    first, last = month_end(month)
    days = daily_prices(trades.filter(pl.col("date").is_between(first, last)))
    return {cusip: (day, price, None, None) for (cusip, day), (price, _, _) in sorted(days.items())}


def last_quotes(rows: pl.DataFrame, month: date) -> dict[str, tuple[date, float, float | None, float | None]]:
    first, last = month_end(month)
    found = {}
    for row in rows.sort("cusip", "date").iter_rows(named=True):
        if row["price"] is not None and first <= row["date"] <= last:
            found[row["cusip"]] = (row["date"], row["price"], row["accrued_interest"], row["coupon_paid"])
    return found


def _value(bond: Mapping[str, Any], day: date, price: float, stated: float | None, default: date | None) -> float:
    if default is not None and day >= default:
        return price
    return price + (accrued(bond, day) if stated is None else stated)


def _coupons(bond: Mapping[str, Any], after: date, through: date, stated: float | None, default: date | None) -> float:
    if default is not None and through >= default:
        return coupons_between(bond, after, default - timedelta(days=1))
    found, counted = 0.0, False
    since = bond["dated_date"] or bond["offering_date"]
    for start, day in pairwise([since, *coupon_dates(bond)]):
        if not after < day <= through:
            continue
        if stated is not None and (day.year, day.month) == (through.year, through.month):
            # What the source says of the month stands for all coupons of the month, once.
            found, counted = found + (0.0 if counted else stated), True
        else:
            found += coupon_amount(bond, start, day)
    return found


def _months_apart(one: date, other: date) -> int:
    return abs(12 * (one.year - other.year) + one.month - other.month)


def slow_returns(
    issues: Mapping[date, Iterable[Mapping[str, Any]]],
    known: Callable[[date], pl.DataFrame],
    quotes: Mapping[str, pl.DataFrame],
    recovery: Iterable[Mapping[str, Any]],
    month: date,
    bounds: tuple[float, float] = (5.0, 1000.0),
    recovery_months: int = 2,
) -> dict[str, dict[str, Any]]:
    """Return isin -> ret, source, value_start of one month.

    Parameters
    ----------
    issues : mapping of date to rows
        ``bond_issues`` by month.
    known : callable
        Clean trades as known at the end of a month.
    quotes : mapping of str to DataFrame
        Other sources.
    recovery : rows
        ``bonds.recovery``.
    month : date
        The month.
    bounds : tuple of float
        Of the first price, as known when the month begins.
    recovery_months : int
        Most months between the two default dates.
    """
    before = previous_month(month)
    trades = known(month)
    at_first = {source: last_quotes(quotes[source], before) for source in quotes}
    at_first["trace"] = last_prices(known(before), before)
    prices = {source: (last_quotes(quotes[source], before), last_quotes(quotes[source], month)) for source in quotes}
    prices["trace"] = (last_prices(trades, before), last_prices(trades, month))
    now = {row["cusip"]: row["default_date"] for row in issues[month]}
    fetched = {}
    for row in sorted(recovery, key=lambda row: row["default_date"]):
        ours, theirs = now.get(row["cusip"]), row["default_date"]
        # In the month at whose end both dates are known for the first time.
        if ours and _months_apart(ours, theirs) <= recovery_months and max(ours, theirs).replace(day=1) == month:
            fetched[row["cusip"]] = (theirs, row["recovery_price"])
    found = {}
    for bond in issues[before]:
        if not bond["eligible"]:
            continue
        cusip, default = bond["cusip"], now.get(bond["cusip"])
        starts = {s: prices[s][0][cusip] for s in ORDER if s in prices and cusip in prices[s][0]}
        first_known = [(s, at_first[s][cusip][1]) for s in ORDER if s in at_first and cusip in at_first[s]]
        admitted = {s: price for s, price in first_known if bounds[0] <= price <= bounds[1]}
        starts = {s: price for s, price in starts.items() if s in admitted}
        ends = {s: prices[s][1][cusip] for s in ORDER if s in prices and cusip in prices[s][1]}
        both = [source for source in ORDER if source in starts and source in ends]
        if both:
            source = label = both[0]
            day, price, stated, coupon = ends[source]
        elif starts and cusip in fetched:
            source, label = next(s for s in ORDER if s in starts), "recovery"
            (day, price), stated, coupon = fetched[cusip], None, None
            default = min(default, day)
        else:
            continue
        first_day, first_price, first_stated, _ = starts[source]
        paid = _coupons(bond, first_day, day, coupon, default)
        end = _value(bond, day, price, stated, default)
        start = _value(bond, first_day, first_price, first_stated, bond["default_date"])
        amount = bond["amount_outstanding"]
        found[bond["isin"]] = {
            "ret": (end + paid) / start - 1,
            "source": label,
            "value_start": None if amount is None else next(iter(admitted.values())) / 100 * amount,
        }
    return found
