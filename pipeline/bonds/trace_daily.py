"""Daily bond prices from trade reports, as known at the end of the month and as corrected since.

Belongs here: blocks of months, groups of bonds, putting them together. Does not: the months of a group of bonds
(``trace_group``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any

import polars as pl

from pipeline.bonds.trace_filters import RULES
from pipeline.bonds.trace_group import GroupMonth, group_months
from pipeline.bonds.trace_reports import first_issues, groups
from pipeline.bonds.trace_revisions import VALUES
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import Counts
from pipeline.panel.calendar import month_runs, shift

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

# Months that are built together: they are read once, those before them once a block.
_BLOCK = 12


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
        executed in it; ``unmatched``: step -> how many of those reports cancel, correct or reverse one that is not
        there; ``decimal_shifts``: prices mended; ``late_reports``: rows of the month, repeated ones included, about
        trades of the ``correction_months`` before it; ``too_late_reports``: about trades before these, which change
        nothing; ``days_changed``: earlier days that late reports changed.
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

    Bonds are worked on in groups. Of a group two months of reports are held at a time, one that is worked on and the
    next, besides what is left of a month and of the reports that came late; of all bonds, the days of up to a year.
    """
    settings, known = settings or TraceSettings(), first_issues(issues)
    for block in month_runs(sorted(set(months)), _BLOCK):
        window = reports.lazy().filter(pl.col("month").is_between(shift(block[0], -1), block[-1]))
        parts: list[dict[date, GroupMonth]] = []
        changed = [pl.DataFrame(schema=SCHEMA)]
        for bonds in groups(window, known, settings.rows_at_once * (len(block) + 1)):
            built, frames = group_months(reports.lazy(), bonds, block, settings)
            parts.append(built)
            changed.extend(frame.select(*SCHEMA).cast(SCHEMA) for frame in frames)  # type: ignore[arg-type]
        changes = pl.concat(changed)
        for month in block:
            yield _together(month, [built.pop(month) for built in parts], changes.filter(pl.col("month") == month))


def _together(month: date, parts: Sequence[GroupMonth], changed: pl.DataFrame) -> TraceMonth:
    """Join the groups of bonds of one month and the earlier days that it changes."""
    waterfalls = [part.waterfall for part in parts]
    days = pl.concat(part.days for part in parts)
    days = days.with_columns(*(pl.col(name).alias(f"{name}_corrected") for name in VALUES), month=pl.lit(month))
    figures = {
        "waterfall": _total(waterfalls),
        "unmatched": _unmatched(waterfalls),
        "decimal_shifts": sum(part.decimal_shifts for part in parts),
        "late_reports": sum(part.late_reports for part in parts),
        "too_late_reports": sum(part.too_late_reports for part in parts),
        "days_changed": changed.height,
    }
    return TraceMonth(month, pl.concat([changed, days.select(*SCHEMA)]).sort("cusip", "date"), figures)


def _total(waterfalls: Sequence[Counts]) -> Counts:
    """Add the waterfalls of groups of bonds, step by step."""
    return [
        {
            "step": rule.name,
            "rows_in": sum(each[k]["rows_in"] for each in waterfalls),
            "rows_out": sum(each[k]["rows_out"] for each in waterfalls),
        }
        for k, rule in enumerate(RULES)
    ]


def _unmatched(waterfalls: Sequence[Counts]) -> dict[str, int]:
    """Add up what found nothing to take back, by the name of the filter that looked for it."""
    found: dict[str, int] = {}
    for row in chain.from_iterable(waterfalls):
        if "unmatched" in row:
            found[row["step"]] = found.get(row["step"], 0) + row["unmatched"]
    return found
