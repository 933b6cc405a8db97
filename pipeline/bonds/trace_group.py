"""The months of a group of bonds, from the last to the first and on to those that late reports are about.

Going backwards, every report is read once: when a month is reached, all that came later about it is known. Its prices
wait until the month before has been cleaned, whose last trades are their neighbours. Belongs here: which reports a
month looks at. Does not: cleaning (``trace_trades``) and what late reports change (``trace_revisions``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

import numpy as np
import polars as pl

from pipeline.bonds.trace_filters import marks
from pipeline.bonds.trace_prices import daily_prices
from pipeline.bonds.trace_reports import Bonds, ahead, read
from pipeline.bonds.trace_revisions import revised_days
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import Counts, final_trades, judge, of_executions, of_reports
from pipeline.panel.calendar import shift

_PARTS = 8
"""Late reports and their neighbours are gone through so many times finer than a month's reports."""


@dataclass(frozen=True, kw_only=True)
class GroupMonth:
    """One month of a group of bonds.

    Attributes
    ----------
    days : pl.DataFrame
        Its days: cusip, date, price, volume, trades.
    waterfall : list of dict
        Of each rule, see ``trace_filters.applied``.
    decimal_shifts, late_reports, too_late_reports : int
        As in ``trace_daily.TraceMonth``.
    """

    days: pl.DataFrame
    waterfall: Counts
    decimal_shifts: int
    late_reports: int
    too_late_reports: int


@dataclass(frozen=True, kw_only=True)
class _Cleaned:
    """A month whose prices wait for those of the month before.

    Attributes
    ----------
    trades : pl.DataFrame
        Trades in order, as known at the month's end.
    touched : pl.DataFrame
        Reports about days about which some came ``late``, these included; they passed the filters within a report date.
    """

    month: date
    trades: pl.DataFrame
    touched: pl.DataFrame
    waterfall: Counts
    late_reports: int
    too_late_reports: int


def group_months(
    reports: pl.LazyFrame, bonds: Bonds, months: Sequence[date], settings: TraceSettings
) -> tuple[dict[date, GroupMonth], list[pl.DataFrame]]:
    """Build consecutive months of some bonds.

    Parameters
    ----------
    reports : pl.LazyFrame
        Staged ``trace.trace_enhanced``.
    bonds : Bonds
        All that have reports in ``months`` or the month before, from the first CUSIP to the last.
    months : sequence of date
        Consecutive months.
    settings : TraceSettings
        Thresholds.

    Returns
    -------
    tuple
        The months, and frames of the days of earlier months that reports of each ``month`` change: month, the columns
        of ``GroupMonth.days``, and price, volume and trades as corrected (``_corrected``).
    """
    group = _Group(reports, bonds, months, settings)
    newer: _Cleaned | None = None
    for month, rows in chain(ahead(group.whole()), group.older()):
        cleaned = group.cleaned(month, rows)
        if newer is not None:
            group.finish(newer, final_trades(cleaned.trades, settings))
        newer = cleaned
    return group.built, group.changed


@dataclass
class _Group:
    """What is read, and what has been found so far on the way back."""

    reports: pl.LazyFrame
    bonds: Bonds
    months: Sequence[date]
    settings: TraceSettings
    late: list[pl.DataFrame] = field(default_factory=list)
    built: dict[date, GroupMonth] = field(default_factory=dict)
    changed: list[pl.DataFrame] = field(default_factory=list)

    def whole(self) -> Iterator[tuple[date, pl.DataFrame]]:
        """Read the months and the one before, the last first."""
        first, last = (pl.lit(end, dtype=pl.String) for end in (self.bonds.cusips.min(), self.bonds.cusips.max()))
        which = pl.col("cusip").is_between(first, last)
        for month in (*reversed(self.months), shift(self.months[0], -1)):
            yield month, self._read(month, which)

    def older(self) -> Iterator[tuple[date, pl.DataFrame]]:
        """Read months before these as far as late reports are about them or the month after, and only those bonds."""
        first = self.months[0]
        late = pl.concat(each.select("bond", "date", "month") for each in self.late)
        late = late.filter(pl.col("month") >= first, pl.col("date") < first)
        month = shift(first, -2)
        while (about := late.filter(pl.col("date") < shift(month, 2))).height:
            sought = self.bonds.cusips.gather(about["bond"].unique())
            yield month, self._read(month, pl.col("cusip").is_in(sought.implode()))
            month = shift(month, -1)

    def _read(self, month: date, which: pl.Expr) -> pl.DataFrame:
        reports = self.reports.filter(pl.col("month") == month, which)
        return read(reports, self.bonds, marks(self.settings), self.settings)

    def cleaned(self, month: date, rows: pl.DataFrame) -> _Cleaned:
        """Apply the filters to the reports of a month, and keep those about earlier ones."""
        alive, counts = of_reports(rows, month, month)
        trades, more = of_executions(rows, alive, month, month)
        earlier = rows["date"] < month
        recent = earlier & (rows["date"] >= shift(month, -self.settings.correction_months))
        touched = self._touched(month, rows, alive)
        self.late.append(rows.filter(alive & recent))
        late = int(recent.sum())
        return _Cleaned(
            month=month,
            trades=trades,
            touched=touched,
            waterfall=[*counts, *more],
            late_reports=late,
            too_late_reports=int(earlier.sum()) - late,
        )

    def _touched(self, month: date, rows: pl.DataFrame, alive: pl.Series) -> pl.DataFrame:
        """Return the reports about days of a month that came late, and its own about the same days."""
        executed = pl.col("date").is_between(month, shift(month, 1), closed="left")
        late = pl.concat([rows.clear(), *(each.filter(executed) for each in self.late)])
        if month < self.months[0]:
            built = late.filter(pl.col("month") >= self.months[0]).select("bond").unique()
            late = late.join(built, on="bond", how="semi")
        own = rows.select("bond", "date").with_row_index("row").filter(alive)
        own = own.join(late.select("bond", "date").unique(), on=["bond", "date"], how="semi")
        return pl.concat([late.with_columns(late=True), rows[own["row"]].with_columns(late=False)])

    def finish(self, cleaned: _Cleaned, before: pl.DataFrame) -> None:
        """Judge the prices of a month beside the last ones of the month before, now and as known later."""
        month = cleaned.month
        if month < self.months[0] and cleaned.touched.is_empty():
            return
        judged = judge(cleaned.trades, before, self.settings)
        daily = daily_prices(judged.trades)
        for touched in self._parts(cleaned.touched):
            changed = revised_days(cleaned.trades, daily, touched, before, self.settings)
            self.changed.append(self._named(changed.filter(pl.col("month") >= self.months[0])))
        if month >= self.months[0]:
            self.built[month] = GroupMonth(
                days=self._named(daily),
                waterfall=[*cleaned.waterfall, *judged.counts],
                decimal_shifts=judged.mended,
                late_reports=cleaned.late_reports,
                too_late_reports=cleaned.too_late_reports,
            )

    def _parts(self, touched: pl.DataFrame) -> list[pl.DataFrame]:
        """Split reports by bond: each comes back in every version of its day, so that few are held at a time."""
        bonds = touched["bond"].to_numpy()
        ends = np.sort(bonds)[:: max(1, self.settings.rows_at_once // _PARTS)]
        part = pl.Series(np.searchsorted(ends, bonds, side="right"))
        return touched.with_columns(part=part).partition_by("part", include_key=False)

    def _named(self, days: pl.DataFrame) -> pl.DataFrame:
        """Put the CUSIP in place of the bond's number."""
        return days.select(self.bonds.cusips.gather(days["bond"]).alias("cusip"), pl.exclude("bond"))
