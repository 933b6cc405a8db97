"""Daily bond prices from trade reports, as known at the end of the month and as corrected since.

Belongs here: which reports a month looks at, groups of bonds, days. Does not: cleaning (``trace_trades``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from pipeline.bonds.trace_filters import RULES, marks
from pipeline.bonds.trace_prices import daily_prices, in_order
from pipeline.bonds.trace_reports import Reports, first_issues, groups, read
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import (
    TRADE,
    Counts,
    final_trades,
    judged,
    numbered,
    screened_cases,
    screened_month,
    tails,
)
from pipeline.panel.calendar import shift

SCHEMA = {
    "month": pl.Date(),
    "cusip": pl.String(),
    "date": pl.Date(),
    "price": pl.Float64(),
    "volume": pl.Float64(),
    "trades": pl.Int64(),
    "price_corrected": pl.Float64(),
    "volume_corrected": pl.Float64(),
    "trades_corrected": pl.Int64(),
}

LAST_TRADES = {
    "cusip": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "number": pl.String(),
    "price": pl.Float64(),
    "volume": pl.Float64(),
    "side": pl.String(),
}

_DAYS = {name: SCHEMA[name] for name in ("cusip", "date", "price", "volume", "trades")}
_LATE = {"cusip": pl.String(), "executed": pl.Date()}
_VALUES = ("price", "volume", "trades")
# Each late bond-month is held as known at its own end, a month ago and now.
_VERSIONS = 3


@dataclass(frozen=True)
class TraceMonth:
    """One month of ``trace_daily``.

    Attributes
    ----------
    month : datetime.date
        The month.
    daily : pl.DataFrame
        Its rows, see :func:`trace_daily`.
    figures : dict
        ``waterfall``: ``step``, ``rows_in``, ``rows_out`` of each rule, over the reports of the month about trades
        executed in it; ``decimal_shifts``: prices mended; ``late_reports``: reports of the month about earlier ones;
        ``days_changed``: earlier days that they changed.
    """

    month: date
    daily: pl.DataFrame
    figures: dict[str, Any]


def lookback(settings: TraceSettings | None = None) -> dict[str, int]:
    """Months of staged reports that one built month looks at, itself included, by table."""
    return {"trace_enhanced": (settings or TraceSettings()).correction_months + 2}


def trace_daily(
    reports: pl.DataFrame | pl.LazyFrame,
    issues: pl.DataFrame,
    months: Sequence[date],
    settings: TraceSettings | None = None,
) -> pl.DataFrame:
    """Return volume-weighted daily prices, as known at the end of the month and as corrected since.

    Parameters
    ----------
    reports : pl.DataFrame or pl.LazyFrame
        Staged ``trace.trace_enhanced``, best as a scan: a month, and of that a group of bonds, is read at a time.
        Each built month looks :func:`lookback` months back.
    issues : pl.DataFrame
        Staged ``fisd.fisd_mergedissue``: month, cusip, maturity; an issue counts from its month on.
    months : sequence of date
        The months to build.
    settings : TraceSettings, optional
        Thresholds.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month, cusip and date. ``price`` (per 100 of face, clean), ``volume``
        (dollars of face) and ``trades`` (their number) of the day as known at the end of the day's own month; with
        ``_corrected`` as known at the end of ``month``. Every day of the month with a trade has a row, where both are
        the same; so has every day of the ``correction_months`` before whose corrected values changed through reports
        of the month: its first values are null where nothing was known then, the corrected ones where nothing is left.
    """
    parts = [built.daily for built in trace_months(reports, issues, months, settings)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)


def trace_months(
    reports: pl.DataFrame | pl.LazyFrame,
    issues: pl.DataFrame,
    months: Sequence[date],
    settings: TraceSettings | None = None,
) -> Iterator[TraceMonth]:
    """Yield ``trace_daily`` month by month, with its figures; parameters as there.

    One month's reports are held at a time, and from month to month the last few trades of each bond.
    """
    tables = _Tables(reports.lazy(), first_issues(issues), settings or TraceSettings())
    last: dict[date, pl.DataFrame] = {}
    for month in sorted(set(months)):
        earlier = shift(month, -1)
        before = last[earlier] if earlier in last else tables.last_trades(earlier)
        built, own = tables.month(month, before)
        last = {month: own}
        yield built


@dataclass(frozen=True)
class _Tables:
    """What is read, under which settings."""

    reports: pl.LazyFrame
    issues: pl.DataFrame
    settings: TraceSettings

    def groups(self, reports: pl.LazyFrame, rows_at_once: int) -> Iterator[Reports]:
        """Read reports by groups of bonds."""
        for group in groups(reports, rows_at_once):
            yield read(group, self.issues, marks(self.settings), self.settings)

    def of_month(self, month: date) -> Iterator[Reports]:
        """Read the reports of a month by groups of bonds."""
        yield from self.groups(self.reports.filter(pl.col("month") == month), self.settings.rows_at_once)

    def last_trades(self, month: date) -> pl.DataFrame:
        """Return the last trades of each bond in a month, as known at its end."""
        parts = []
        for found in self.of_month(month):
            trades, _ = screened_month(found, month)
            parts.append(_named(final_trades(in_order(trades), self.settings), found))
        return pl.concat(parts) if parts else pl.DataFrame(schema=LAST_TRADES)

    def month(self, month: date, before: pl.DataFrame) -> tuple[TraceMonth, pl.DataFrame]:
        """Build a month, given the last trades of the month before; return it with its own last trades."""
        days, lasts, lates = (
            [pl.DataFrame(schema=_DAYS)],
            [pl.DataFrame(schema=LAST_TRADES)],
            [pl.DataFrame(schema=_LATE)],
        )
        waterfalls: list[Counts] = []
        shifts = 0
        for found in self.of_month(month):
            trades, counts = screened_month(found, month)
            priced, more, seen = judged(trades, _coded(before, found), self.settings)
            waterfalls.append([*counts, *more])
            days.append(_named(daily_prices(priced), found))
            lasts.append(_named(seen["last"], found))
            lates.append(self._late(found, month))
            shifts += seen["mended"]
        late = pl.concat(lates)
        changed = self._changed(late.unique(), month)
        known = pl.concat(days).with_columns(pl.col(name).alias(f"{name}_corrected") for name in _VALUES)
        daily = pl.concat([changed, known.with_columns(month=pl.lit(month)).select(*SCHEMA)]).sort("cusip", "date")
        figures = {
            "waterfall": _total(waterfalls),
            "decimal_shifts": shifts,
            "late_reports": late.height,
            "days_changed": changed.height,
        }
        return TraceMonth(month, daily, figures), pl.concat(lasts)

    def _late(self, found: Reports, month: date) -> pl.DataFrame:
        """Return cusip and month of execution of each report of a month about one of those before."""
        first = shift(month, -self.settings.correction_months)
        late = found.rows.select("bond", "date").filter(pl.col("date").is_between(first, month, closed="left"))
        return _named(late, found).select("cusip", executed=pl.col("date").dt.month_start())

    def _changed(self, late: pl.DataFrame, month: date) -> pl.DataFrame:
        """Return the earlier days whose prices changed through the reports of a month."""
        parts = [pl.DataFrame(schema=SCHEMA)]
        if late.height:
            first = shift(late["executed"].min(), -1)  # type: ignore[arg-type]
            window = self.reports.filter(
                pl.col("month").is_between(first, month), pl.col("cusip").is_in(late["cusip"].unique().implode())
            )
            for found in self.groups(window, max(self.settings.rows_at_once // _VERSIONS, 1)):
                parts.append(self._changed_of(found, late, month))
        return pl.concat(parts)

    def _changed_of(self, found: Reports, late: pl.DataFrame, month: date) -> pl.DataFrame:
        asked = late.join(_bonds(found), on="cusip").select("bond", "executed")
        own, earlier = pl.col("executed"), pl.col("executed").dt.offset_by("-1mo")
        versions = {"first": own, "before": pl.lit(shift(month, -1)), "now": pl.lit(month)}
        cases = numbered(
            pl.concat(
                [
                    asked.select("bond", executed=earlier, known=earlier),
                    *(asked.select("bond", "executed", known=known) for known in versions.values()),
                ]
            )
        )
        trades, _ = screened_cases(found, cases, pl.col("executed") < month)
        wanted = cases.join(asked, on=["bond", "executed"], how="semi")
        before = tails(trades, cases, wanted, self.settings)
        judged_trades, _, _ = judged(
            trades.join(wanted, left_on="bond", right_on="case", how="semi"), before, self.settings
        )
        daily = daily_prices(judged_trades).rename({"bond": "case"}).join(wanted, on="case")
        return _differences(
            {name: daily.filter(pl.col("known") == known).drop("case", "known") for name, known in versions.items()},
            found,
            month,
        )


def _differences(versions: dict[str, pl.DataFrame], found: Reports, month: date) -> pl.DataFrame:
    """Return the days on which a month ago and now differ, with what was known first."""
    key = ["bond", "date"]
    first, before, now = (frame.select(*key, *_VALUES) for frame in versions.values())
    both = before.join(now, on=key, how="full", coalesce=True, suffix="_corrected")
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_corrected")) for name in _VALUES)
    changed = both.filter(other).drop(_VALUES).join(first, on=key, how="left")
    return _named(changed, found).select(pl.lit(month).alias("month"), *list(SCHEMA)[1:]).cast(SCHEMA)  # type: ignore[arg-type]


def _bonds(found: Reports) -> pl.DataFrame:
    return pl.DataFrame({"cusip": found.cusips}).with_row_index("bond")


def _named(frame: pl.DataFrame, found: Reports) -> pl.DataFrame:
    """Put the CUSIP in place of the bond's number."""
    return frame.select(found.cusips.gather(frame["bond"]).alias("cusip"), pl.exclude("bond"))


def _coded(frame: pl.DataFrame, found: Reports) -> pl.DataFrame:
    """Put the bond's number in place of the CUSIP; bonds without one go."""
    return frame.join(_bonds(found), on="cusip", how="inner").select(TRADE)


def _total(waterfalls: Sequence[Counts]) -> Counts:
    """Add the waterfalls of groups of bonds, step by step; every step with 0 rows where there is no group."""
    return [
        {
            "step": rule.name,
            "rows_in": sum(each[k]["rows_in"] for each in waterfalls),
            "rows_out": sum(each[k]["rows_out"] for each in waterfalls),
        }
        for k, rule in enumerate(RULES)
    ]
