"""The characteristics of stocks that come from daily rows, for chunks of months.

Belongs here: which characteristics there are, how far each input must reach back, and the walk over months and blocks
of stocks. The definitions are in ``daily_windows``, ``daily_month``, ``daily_weekly`` and ``daily_announcements``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity import daily_month
from pipeline.equity.daily_announcements import (
    ANNOUNCEMENT_CHARACTERISTICS,
    AnnouncementSettings,
    announcement_characteristics,
)
from pipeline.equity.daily_arrays import DailyArrays, TradingCalendar
from pipeline.equity.daily_month import MONTH_CHARACTERISTICS, MonthOfDays, month_characteristics
from pipeline.equity.daily_weekly import (
    WEEKLY_CHARACTERISTICS,
    WeeklyArrays,
    WeeklySettings,
    weekly_arrays,
    weekly_characteristics,
)
from pipeline.equity.daily_windows import ADJUSTED_PRICE, FACTORS, DayWindowSettings, day_window_characteristics
from pipeline.panel.calendar import span
from pipeline.panel.dense import Floats, Integers

DAY_WINDOW_CHARACTERISTICS = ("rel2high", "variance40", "suv", "capm_b_mkt", "ff3_ivol")
DAILY_CHARACTERISTICS = (
    *DAY_WINDOW_CHARACTERISTICS,
    *MONTH_CHARACTERISTICS,
    *WEEKLY_CHARACTERISTICS,
    *ANNOUNCEMENT_CHARACTERISTICS,
)
"""Every column of :func:`daily_characteristics` beside month and permno, in order."""

DAILY_COLUMNS = ("month", "permno", "date", "ret", "prc", "volume", "shrout", "bid", "ask", "high", "low", "cfacpr")
"""Columns of the daily rows that are read; a caller short of memory leaves out all others."""

# Stocks taken side by side: a block of a year's days (8 MiB) stays near the processor.
BLOCK = 4096
# Peak memory of a chunk a daily row it holds: the row itself, the dense arrays, and what spreading needs for a moment.
# 25,000 stocks that never leave take 165; stocks that come and go leave more of the arrays empty.
BYTES_A_ROW = 230


@dataclass(frozen=True, kw_only=True)
class DailySettings:
    """Windows of the characteristics from daily rows.

    Attributes
    ----------
    windows : DayWindowSettings
        Windows of trading days.
    weekly : WeeklySettings
        Three years of weeks.
    announcements : AnnouncementSettings
        Days around earnings announcements.
    """

    windows: DayWindowSettings = field(default_factory=DayWindowSettings)
    weekly: WeeklySettings = field(default_factory=WeeklySettings)
    announcements: AnnouncementSettings = field(default_factory=AnnouncementSettings)


def lookback(settings: DailySettings | None = None) -> dict[str, int]:
    """Return how many calendar months of each input one month needs, itself included.

    Keys are the frames of :func:`daily_characteristics`: daily, weekly, market, announcements.
    """
    settings = settings or DailySettings()
    days = max(settings.windows.months, settings.announcements.months)
    return {
        "daily": days,
        "weekly": settings.weekly.months + 1,  # the first week may begin in the month before
        "market": days,
        "announcements": settings.announcements.quarter_stale + 1,
    }


def chunk_months(rows_a_month: int, memory: int = 4 * 2**30, settings: DailySettings | None = None) -> int:
    """Return how many months to build at once within a memory budget.

    Parameters
    ----------
    rows_a_month : int
        Daily rows of the largest month.
    memory : int
        Bytes; the daily rows that the chunk looks at are the bulk of it.
    settings : DailySettings, optional
        The windows.

    Returns
    -------
    int
        At least 1: a single month needs its lookback whatever the budget.
    """
    held = memory // (BYTES_A_ROW * max(rows_a_month, 1))
    return max(1, held - lookback(settings)["daily"] + 1)


def daily_characteristics(
    daily: pl.DataFrame,
    weekly: pl.DataFrame,
    market: pl.DataFrame,
    announcements: pl.DataFrame,
    months: Sequence[date],
    settings: DailySettings | None = None,
) -> pl.DataFrame:
    """Compute the characteristics that come from daily rows.

    Parameters
    ----------
    daily : pl.DataFrame
        :data:`DAILY_COLUMNS`, at most one row a permno and date: ret decimal, prc positive, volume in shares, shrout in
        thousands, bid, ask, high and low in dollars; null where missing.
    weekly : pl.DataFrame
        What :func:`pipeline.equity.daily_weekly.weekly_returns` gives, over all stocks of the market.
    market : pl.DataFrame
        date, month, mkt_rf, smb, hml, rf (decimals), one row a trading day. A day on which only stocks have rows is a
        trading day too, without factors.
    announcements : pl.DataFrame
        permno, rdq, datadate, month (of availability).
    months : sequence of date
        The months to build. Each frame must reach back as :func:`lookback` says, and may hold more.
    settings : DailySettings, optional
        The windows.

    Returns
    -------
    pl.DataFrame
        month, permno and :data:`DAILY_CHARACTERISTICS` (f64, null where they cannot be computed), one row for every
        permno with a daily row in the month, sorted. The rows of a month depend on the rows within its own lookback,
        and on those of its own stocks and the market's, alone.

    Raises
    ------
    ValueError
        When a stock has two rows on a day or the market has two.

    Notes
    -----
    Peak memory is about :data:`BYTES_A_ROW` a daily row held; see :func:`chunk_months`.
    """
    settings, months = settings or DailySettings(), sorted(set(months))
    empty = pl.DataFrame(
        schema={"month": pl.Date, "permno": pl.Int64, **dict.fromkeys(DAILY_CHARACTERISTICS, pl.Float64)}
    )
    if not months:
        return empty
    needed = lookback(settings)
    daily = span(daily.select(DAILY_COLUMNS), months, needed["daily"])
    market = span(market, months, needed["market"])
    calendar = TradingCalendar.of(daily, market)
    stocks = DailyArrays.from_frame(daily, calendar, ["ret", ADJUSTED_PRICE, "volume"])
    factors = calendar.aligned(market, FACTORS)
    weeks = weekly_arrays(weekly, months, settings.weekly)
    parts = [empty]
    for month in months:
        rows = daily.filter(pl.col("month") == month)
        if rows.height:
            permnos, values = _days_of(rows)
            values |= announcement_characteristics(stocks, announcements, month, permnos, settings.announcements)
            values |= _in_blocks(stocks, factors, weeks, month, permnos, settings)
            parts.append(_frame(month, permnos, values))
    return pl.concat(parts)


def _days_of(rows: pl.DataFrame) -> tuple[Integers, dict[str, Floats]]:
    """Return the stocks of a month and their characteristics from its days."""
    days = DailyArrays.from_frame(rows, TradingCalendar.of(rows), daily_month.COLUMNS)
    counts = np.bincount(np.searchsorted(days.permnos, rows["permno"].to_numpy()), minlength=len(days.permnos))
    return days.permnos, month_characteristics(MonthOfDays(columns=days.arrays, rows=counts.astype(np.float64)))


def _in_blocks(
    stocks: DailyArrays, factors: Floats, weeks: WeeklyArrays, month: date, permnos: Integers, settings: DailySettings
) -> dict[str, Floats]:
    """Compute what looks back over days and weeks, one block of stocks after another."""
    names = (*DAY_WINDOW_CHARACTERISTICS, *WEEKLY_CHARACTERISTICS)
    values = {name: np.full(len(permnos), np.nan) for name in names}
    for start in range(0, len(permnos), BLOCK):
        block = permnos[start : start + BLOCK]
        positions = np.searchsorted(stocks.permnos, block)
        found = day_window_characteristics(stocks, factors, month, positions, settings.windows)
        for name, column in found.items():
            values[name][start : start + BLOCK] = column
        known = np.flatnonzero(np.isin(block, weeks.permnos))
        columns = np.searchsorted(weeks.permnos, block[known])
        for name, column in weekly_characteristics(weeks, month, columns, settings.weekly).items():
            values[name][start + known] = column
    return values


def _frame(month: date, permnos: Integers, values: dict[str, Floats]) -> pl.DataFrame:
    columns = {name: np.where(np.isfinite(values[name]), values[name], np.nan) for name in DAILY_CHARACTERISTICS}
    return pl.DataFrame(
        {"month": pl.repeat(month, len(permnos), dtype=pl.Date, eager=True), "permno": permnos, **columns}
    ).with_columns(pl.col(DAILY_CHARACTERISTICS).fill_nan(None))
