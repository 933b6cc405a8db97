"""Daily bond prices from trade reports, as known at the end of the month and as corrected since.

Belongs here: which reports a month looks at, groups of bonds, days. Does not: cleaning (``trace_trades``) and what late
reports change (``trace_revisions``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import polars as pl

from pipeline.bonds.trace_filters import RULES, marks
from pipeline.bonds.trace_prices import daily_prices
from pipeline.bonds.trace_reports import Reports, ahead, first_issues, groups, read
from pipeline.bonds.trace_revisions import VALUES, revised_days
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.bonds.trace_trades import TRADE, Counts, final_trades, judge, of_executions, of_reports
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

_LAST = {"cusip": pl.String(), **{name: kind for name, kind in TRADE.items() if name != "bond"}}
_DAYS = {name: SCHEMA[name] for name in ("cusip", "date", *VALUES)}
_NO_LATE_REPORTS = {"late_reports": 0, "too_late_reports": 0}
# Months whose late reports are looked for at once: their months are then read once, those before them once a block.
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

    Two groups of bonds of a month's reports are held at a time, one that is worked on and the next, and besides the
    reports of up to a year that came late and the last few trades of each bond.
    """
    tables = _Tables(reports.lazy(), first_issues(issues), settings or TraceSettings())
    last: dict[date, pl.DataFrame] = {}
    for block in _blocks(sorted(set(months))):
        earlier = shift(block[0], -1)
        built, own = tables.block(block, last[earlier] if earlier in last else tables.last_trades(earlier))
        last = {block[-1]: own}
        yield from built


def _blocks(months: Sequence[date]) -> Iterator[list[date]]:
    block: list[date] = []
    for month in months:
        if block and (len(block) == _BLOCK or month != shift(block[-1], 1)):
            yield block
            block = []
        block.append(month)
    if block:
        yield block


@dataclass(frozen=True)
class _Month:
    """A month as known at its end: days, last trades of each bond, what later reports changed, figures."""

    days: pl.DataFrame
    last: pl.DataFrame
    changed: pl.DataFrame
    figures: dict[str, Any]


@dataclass(frozen=True)
class _Tables:
    """What is read, under which settings."""

    reports: pl.LazyFrame
    issues: pl.DataFrame
    settings: TraceSettings

    def read(self, reports: pl.LazyFrame) -> Reports:
        """Read reports as the filters need them."""
        return read(reports, self.issues, marks(self.settings), self.settings)

    def of_months(self, months: Sequence[date]) -> Iterator[tuple[date, Reports]]:
        """Read the reports of each month by groups of bonds."""
        for month in months:
            for group in groups(self.reports.filter(pl.col("month") == month), self.settings.rows_at_once):
                yield month, self.read(group)

    def last_trades(self, month: date) -> pl.DataFrame:
        """Return the last trades of each bond in a month, as known at its end."""
        parts = [pl.DataFrame(schema=_LAST)]
        for _, found in self.of_months([month]):
            alive, _ = of_reports(found.rows, month, month)
            trades, _ = of_executions(found.rows, alive, month, month)
            parts.append(_named(final_trades(trades, self.settings), found.cusips))
        return pl.concat(parts)

    def block(self, months: Sequence[date], before: pl.DataFrame) -> tuple[list[TraceMonth], pl.DataFrame]:
        """Build consecutive months, given the last trades of the month before; return the last month's also."""
        late, counts = self.late(months[0], months[-1])
        changed = [self.older(late.filter(pl.col("executed") < months[0]), months[0])]
        parts = []
        for month, found in groupby(ahead(self.of_months(months)), key=itemgetter(0)):
            about = late.filter(pl.col("executed") == month)
            parts.append(self.month(month, (each for _, each in found), before, about))
            before = parts[-1].last
            changed.append(parts[-1].changed)
        changes = pl.concat(changed)
        built = []
        for month, part in zip(months, parts, strict=True):
            own = part.days.with_columns(pl.col(name).alias(f"{name}_corrected") for name in VALUES)
            revised = changes.filter(pl.col("month") == month)
            daily = pl.concat([revised, own.with_columns(month=pl.lit(month)).select(*SCHEMA)]).sort("cusip", "date")
            late_figures = {**counts.get(month, _NO_LATE_REPORTS), "days_changed": revised.height}
            built.append(TraceMonth(month, daily, part.figures | late_figures))
        return built, before

    def month(self, month: date, parts: Iterable[Reports], before: pl.DataFrame, late: pl.DataFrame) -> _Month:
        """Clean a month, given its reports, the last trades of the month before and later reports about it."""
        days, lasts = [pl.DataFrame(schema=_DAYS)], [pl.DataFrame(schema=_LAST)]
        changed, seen = [pl.DataFrame(schema=SCHEMA)], [pl.Series("cusip", [], dtype=pl.String)]
        waterfalls: list[Counts] = []
        shifts = 0
        for found in parts:
            alive, counts = of_reports(found.rows, month, month)
            trades, more = of_executions(found.rows, alive, month, month)
            judged = judge(trades, _coded(before, found.cusips).select(*TRADE), self.settings)
            daily = daily_prices(judged.trades)
            waterfalls.append([*counts, *more, *judged.counts])
            shifts += judged.mended
            days.append(_named(daily, found.cusips))
            lasts.append(_named(judged.last, found.cusips))
            changed.append(self.changes(late, found.cusips, found.rows, alive, trades, daily, before))
            seen.append(found.cusips)
        rest = late.filter(~pl.col("cusip").is_in(pl.concat(seen).implode()))
        changed.append(self.changes_of_unseen(rest, before))
        figures = {"waterfall": _total(waterfalls), "unmatched": _unmatched(waterfalls), "decimal_shifts": shifts}
        return _Month(pl.concat(days), pl.concat(lasts), pl.concat(changed), figures)

    def late(self, first: date, last: date) -> tuple[pl.DataFrame, dict[date, dict[str, int]]]:
        """Return the reports of some months about trades of earlier ones that may change, and figures by month.

        They passed the filters within a report date; the figures count them before. In the old regime these pair
        reports, so that all of a bond's reports of such a day are read, whatever they are about.
        """
        window = self.reports.filter(pl.col("month").is_between(first, last))
        earlier = pl.col("trd_exctn_dt") < pl.col("month")
        parts = [window.filter(earlier)]
        if first < self.settings.regime:
            day = ["cusip", "trd_rpt_dt"]
            old = window.filter(pl.col("trd_rpt_dt") < self.settings.regime)
            days = old.filter(earlier).select(day).unique().collect()
            parts.append(
                old.filter(~earlier, pl.col("trd_rpt_dt").is_in(days["trd_rpt_dt"].unique().implode())).join(
                    days.lazy(), on=day, how="semi"
                )
            )
        found = self.read(pl.concat(parts))
        alive, _ = of_reports(found.rows, first, last)
        longest = pl.col("month").dt.offset_by(f"-{self.settings.correction_months}mo")
        is_late = found.rows.select(pl.col("date").is_between(longest, pl.col("month"), closed="left")).to_series()
        counts = (
            found.rows.filter(pl.col("date") < pl.col("month"))
            .group_by("month")
            .agg(late_reports=(pl.col("date") >= longest).sum(), too_late_reports=(pl.col("date") < longest).sum())
        )
        figures = {row.pop("month"): row for row in counts.to_dicts()}
        late = _named(found.rows.filter(alive & is_late), found.cusips)
        return late.with_columns(executed=pl.col("date").dt.month_start()), figures

    def older(self, late: pl.DataFrame, first: date) -> pl.DataFrame:
        """Return what late reports, known by or after ``first``, change about the months before it.

        Of those months only the bonds and months are read that late reports are about, the months before these, other
        reports that came late and those of the old regime, which pair reports of a day whatever they are about.
        """
        changed = [pl.DataFrame(schema=SCHEMA)]
        seen = [pl.Series("cusip", [], dtype=pl.String)]
        for group in groups(self._about(late, first), self.settings.rows_at_once) if late.height else ():
            found = self.read(group)
            alive, _ = of_reports(found.rows, first, first)
            rows = found.rows.filter(alive)
            for (month,), about in late.group_by("executed", maintain_order=True):
                changed.append(self._older_of(rows, found.cusips, about, month))
            seen.append(found.cusips)
        for _, about in late.filter(~pl.col("cusip").is_in(pl.concat(seen).implode())).group_by("executed"):
            changed.append(self.changes_of_unseen(about, pl.DataFrame(schema=_LAST)))
        return pl.concat(changed)

    def _about(self, late: pl.DataFrame, first: date) -> pl.LazyFrame:
        pairs = late.select("cusip", month="executed").unique()
        wanted = pl.concat([pairs, pairs.with_columns(pl.col("month").dt.offset_by("-1mo"))]).unique()
        window = self.reports.filter(
            pl.col("month").is_between(wanted["month"].min(), shift(first, -1)),
            pl.col("cusip").is_in(pairs["cusip"].unique().implode()),
        )
        flagged = window.join(wanted.lazy().with_columns(wanted=pl.lit(True)), on=["cusip", "month"], how="left")
        own = pl.col("wanted").fill_null(False)
        linked = pl.col("trd_rpt_dt") < self.settings.regime
        return flagged.filter(own | linked | (pl.col("trd_exctn_dt") < pl.col("month"))).drop("wanted")

    def _older_of(self, rows: pl.DataFrame, cusips: pl.Series, late: pl.DataFrame, month: date) -> pl.DataFrame:
        """Return what late reports change about one month, from all reports about it and the month before."""
        earlier, bonds = shift(month, -1), _coded(late, cusips).select("bond").unique()
        dated = rows.filter(pl.col("date").is_between(earlier, shift(month, 1), closed="left"))
        dated = dated.join(bonds, on="bond", how="semi")
        everything = pl.repeat(True, dated.height, eager=True)
        trades, _ = of_executions(dated, everything, month, month)
        before, _ = of_executions(dated, everything, earlier, earlier)
        last = final_trades(before, self.settings)
        daily = daily_prices(judge(trades, last, self.settings).trades)
        return self.changes(late, cusips, dated, everything, trades, daily, _named(last, cusips))

    def changes_of_unseen(self, late: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
        """Return what late reports change about bonds of which nothing was known."""
        cusips = late["cusip"].unique().sort()
        nothing, rows = pl.DataFrame(schema=TRADE), _coded(late, cusips).clear()
        alive = pl.Series(dtype=pl.Boolean)
        return self.changes(late, cusips, rows, alive, nothing, daily_prices(nothing), before)

    def changes(
        self,
        late: pl.DataFrame,
        cusips: pl.Series,
        rows: pl.DataFrame,
        alive: pl.Series,
        trades: pl.DataFrame,
        daily: pl.DataFrame,
        before: pl.DataFrame,
    ) -> pl.DataFrame:
        """Return the days of one month of execution that late reports change, as rows of ``trace_daily``.

        Parameters
        ----------
        late : pl.DataFrame
            Late reports about the month, of any bonds.
        cusips : pl.Series
            What the numbers of bonds in the other frames stand for; other bonds' late reports are left out.
        rows, alive : pl.DataFrame, pl.Series
            Other reports, and which of them passed the filters within a report date.
        trades, daily : pl.DataFrame
            Trades and daily prices of the month as known at its end.
        before : pl.DataFrame
            The last trades of the month before, by CUSIP.
        """
        about = _coded(late, cusips)
        if about.is_empty():
            return pl.DataFrame(schema=SCHEMA)
        month = about["executed"][0]
        bonds, about = about.select("bond").unique(), about.select(rows.columns)
        places = rows.select("bond", "date", "month").with_row_index("row").filter(alive)
        places = places.filter(pl.col("date").is_between(month, shift(month, 1), closed="left"))
        ahead = places.filter(pl.col("month") > month).join(bonds, on="bond", how="semi")
        days = pl.concat([frame.select("bond", "date") for frame in (about, ahead)]).unique()
        places = places.filter(pl.col("month") >= month).join(days, on=["bond", "date"], how="semi")
        reports = pl.concat([about, rows[places["row"]]])
        found = revised_days(
            trades.join(bonds, on="bond", how="semi"),
            daily,
            reports.with_columns(late=pl.col("month") > month),
            _coded(before, cusips).select(*TRADE),
            self.settings,
        )
        return _named(found, cusips).select(*SCHEMA).cast(SCHEMA)  # type: ignore[arg-type]


def _named(frame: pl.DataFrame, cusips: pl.Series) -> pl.DataFrame:
    """Put the CUSIP in place of the bond's number."""
    return frame.select(cusips.gather(frame["bond"]).alias("cusip"), pl.exclude("bond"))


def _coded(frame: pl.DataFrame, cusips: pl.Series) -> pl.DataFrame:
    """Put the bond's number in place of the CUSIP; other bonds go."""
    return frame.join(pl.DataFrame({"cusip": cusips}).with_row_index("bond"), on="cusip", how="inner").drop("cusip")


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
