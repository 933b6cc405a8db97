"""Volume and return around earnings announcements, after Green, Hand and Zhang (2017).

Belongs here: which announcement counts at the end of a month, and the days around it. Accounting items do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.daily_arrays import DailyArrays, Days, day
from pipeline.panel.calendar import month_number, month_number_expr, shift
from pipeline.panel.dense import Floats, Integers

ANNOUNCEMENT_CHARACTERISTICS = ("gkx_aeavol", "gkx_ear")


@dataclass(frozen=True, kw_only=True)
class AnnouncementSettings:
    """Which announcement counts, and which days around it.

    Attributes
    ----------
    quarter_lag : int
        Months from the fiscal quarter's end to the first month in which it counts.
    quarter_stale : int
        Months from the fiscal quarter's end to the last month in which it counts.
    event : tuple of int
        First and last weekday of the announcement's days, counted from ``rdq``.
    normal : tuple of int
        First and last weekday of the days that say what volume is normal.
    """

    quarter_lag: int = 4
    quarter_stale: int = 9
    event: tuple[int, int] = (-1, 1)
    normal: tuple[int, int] = (-30, -10)

    def __post_init__(self) -> None:
        if not 0 <= self.quarter_lag <= self.quarter_stale:
            raise ValueError(f"quarters count from {self.quarter_lag} to {self.quarter_stale} months: no month is left")
        if not self.normal[0] <= self.normal[1] < self.event[0] <= self.event[1]:
            raise ValueError(f"normal days {self.normal} must lie before the announcement's {self.event}")

    @property
    def months(self) -> int:
        """Calendar months of daily rows that one month needs, itself included."""
        return self.quarter_stale + 1 - (self.normal[0] // 5 * 7) // 28


def weekdays_from(dates: Days, offset: int) -> Days:
    """Move dates by Mondays to Fridays; a Saturday or Sunday counts as the Friday before it."""
    return np.busday_offset(dates, offset, roll="backward")


def counting_announcements(announcements: pl.DataFrame, month: date, settings: AnnouncementSettings) -> pl.DataFrame:
    """Pick the announcement of each stock that counts at the end of a month.

    Parameters
    ----------
    announcements : pl.DataFrame
        permno, rdq, datadate, month (of availability).
    month : date
        First day of the month.
    settings : AnnouncementSettings
        The ages at which a quarter counts.

    Returns
    -------
    pl.DataFrame
        permno, rdq: the newest quarter whose age is within the settings and the last of whose announcement days is
        not after the month's end. Quarters without ``rdq``, or announced before they ended, are left out.
    """
    age = month_number(month) - month_number_expr("datadate")
    known = announcements.filter(
        (pl.col("month") <= month)
        & (pl.col("rdq") >= pl.col("datadate"))
        & (pl.col("rdq") < shift(month, 1))
        & age.is_between(settings.quarter_lag, settings.quarter_stale)
    ).select("permno", "datadate", "rdq")
    closes = weekdays_from(known["rdq"].to_numpy().astype("datetime64[D]"), settings.event[1])
    known = known.filter(pl.Series(closes < day(shift(month, 1)), dtype=pl.Boolean))
    newest = known.sort("permno", "datadate", "rdq").unique("permno", keep="last", maintain_order=True)
    return newest.select("permno", "rdq")


def announcement_characteristics(
    stocks: DailyArrays, announcements: pl.DataFrame, month: date, permnos: Integers, settings: AnnouncementSettings
) -> dict[str, Floats]:
    """Compute abnormal volume and return around the announcement that counts.

    Parameters
    ----------
    stocks : DailyArrays
        Arrays ``ret`` and ``volume`` over the months that the settings need.
    announcements : pl.DataFrame
        As in :func:`counting_announcements`.
    month : date
        First day of the month.
    permnos : ndarray of int64
        The stocks asked for, ascending, each in ``stocks``.
    settings : AnnouncementSettings
        The days around an announcement.

    Returns
    -------
    dict of str to ndarray
        ``gkx_aeavol``, the mean volume of the announcement's days over that of the normal days, less 1, and
        ``gkx_ear``, the sum of the returns of the announcement's days; NaN without announcement or without any value.
    """
    chosen = counting_announcements(announcements, month, settings)
    chosen = chosen.filter(pl.col("permno").is_in(permnos))
    events, columns = chosen["rdq"].to_numpy().astype("datetime64[D]"), chosen["permno"].to_numpy()
    columns = np.searchsorted(stocks.permnos, columns)
    normal, normal_days = _sum_between(stocks, "volume", columns, events, settings.normal)
    around, around_days = _sum_between(stocks, "volume", columns, events, settings.event)
    returns, return_days = _sum_between(stocks, "ret", columns, events, settings.event)
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = normal / normal_days
        abnormal = (around / around_days - usual) / np.where(usual > 0.0, usual, np.nan)
    values = {name: np.full(len(permnos), np.nan) for name in ANNOUNCEMENT_CHARACTERISTICS}
    place = np.searchsorted(permnos, chosen["permno"].to_numpy())
    values["gkx_aeavol"][place] = abnormal
    values["gkx_ear"][place] = np.where(return_days > 0.0, returns, np.nan)
    return values


def _sum_between(
    stocks: DailyArrays, name: str, columns: Integers, events: Days, offsets: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Sum a column over the trading days between two weekdays around each event, oldest first, and count values."""
    days = stocks.calendar.days
    first = np.searchsorted(days, weekdays_from(events, offsets[0]))
    after = np.searchsorted(days, weekdays_from(events, offsets[1]), side="right")
    total, count = np.zeros(len(events)), np.zeros(len(events))
    for step in range(int((after - first).max(initial=0))):
        inside = np.flatnonzero(first + step < after)
        values = stocks.arrays[name][first[inside] + step, columns[inside]]
        seen = ~np.isnan(values)
        total[inside] += np.where(seen, values, 0.0)
        count[inside] += seen
    return total, count
