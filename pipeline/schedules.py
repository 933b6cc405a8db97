"""The monthly refit: on every day, the last closed month, as soon as everything it reads is there.

The run key is the month and the version of its data, so that a month is refitted once however often the clock ticks,
and again when a vendor restates. Belongs here: when, and why
not yet. Does not: what a refit is (``pipeline.jobs``).
"""

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg
import exchange_calendars

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.reads import Rows, Vintages
from pipeline.jobs import AssetJob
from pipeline.panel.calendar import last_closed_month, shift
from pipeline.partitions import key_of
from resources.content import combine
from resources.extracts import ExtractStore
from resources.home import HomeResource

# A table with so many rows a month is one of days.
_DAILY_ROWS = 15


def why_not_yet(workshop: Workshop, month: date) -> list[str]:
    """Reasons why a month can't be refitted: extracts that end before it, states that are missing.

    Parameters
    ----------
    workshop : Workshop
        Assets over a home whose extracts are staged.
    month : datetime.date
        Month to refit.

    Returns
    -------
    list of str
        Sentences; empty when nothing stands in the way.
    """
    names = workshop.buildable()
    if not names:
        return ["no asset has its extracts on disk"]
    checks = (_late_extracts, _missing_state)
    reasons = [reason for name in names for check in checks for reason in check(workshop, name, month)]
    reasons += [reason for name in set(workshop.assets) - set(names) for reason in _gone(workshop, name, month)]
    return sorted(set(reasons))


def _late_extracts(workshop: Workshop, name: str, month: date) -> list[str]:
    """Find tables that end before what the month reads; optional ones count while they held the month before."""
    store, on_disk = workshop.home.extracts, set(workshop.on_disk)
    reasons = []
    for read in workshop.reads(name).values():
        wanted = shift(month, -read.lag)
        if isinstance(read, Rows) and not read.sparse and read.source in on_disk:
            newest = store.last_month(read.source)
            ended = read.optional and newest < shift(wanted, -1)
            if newest < wanted and not ended:
                reasons.append(f"{read.source} ends in {newest:%Y-%m}, before {wanted:%Y-%m}")
            elif newest == wanted:
                reasons += _half_month(store, read.source, wanted)
        elif isinstance(read, Vintages):
            newest_vintage = max(workshop.family(read.source))
            if newest_vintage < f"{read.source}.{month:%Y-%m}":
                reasons.append(f"the newest vintage is {newest_vintage}, older than {month:%Y-%m}")
    return reasons


def _half_month(store: ExtractStore, table: str, month: date) -> list[str]:
    """Find a daily table whose newest month is ``month`` and that stops before its last trading day."""
    newest, rows = store.last_day(table), store.rows(table)
    daily = rows.get(shift(month, -1), 0) >= _DAILY_ROWS
    if newest is None or not daily or newest >= last_trading_day(month):
        return []
    return [f"{table} ends on {newest:%Y-%m-%d}, before the last trading day of {month:%Y-%m}"]


def last_trading_day(month: date) -> date:
    """Last day of a month on which the New York Stock Exchange was open."""
    calendar = exchange_calendars.get_calendar("XNYS", start=str(month), end=str(shift(month, 1) - timedelta(days=1)))
    return calendar.last_session.date()


def _gone(workshop: Workshop, name: str, month: date) -> list[str]:
    """Find an asset that was built for the month before and whose file has since gone."""
    if workshop.home.lake.manifest(name, shift(month, -1)) is None:
        return []
    return [f"{name} was built for {shift(month, -1):%Y-%m} and now lacks {', '.join(workshop.lacking(name))}"]


def _missing_state(workshop: Workshop, name: str, month: date) -> list[str]:
    origin = workshop.origin(name)
    if not workshop.assets[name].recursive or origin is None or month <= origin:
        return []
    before = shift(month, -1)
    manifest = workshop.home.lake.manifest(name, before)
    if manifest is None or not workshop.has_state(manifest):
        return [f"{name} has no state for {before:%Y-%m}; backfill it up to there first"]
    return []


def _data_version(workshop: Workshop, names: Iterable[str]) -> str:
    tables = sorted({table for name in names for table in workshop.tables(name)})
    return combine(f"{table}:{workshop.home.extracts.version(table)}" for table in tables)


def monthly_refit_schedule(job: AssetJob, also: list[str]) -> dg.ScheduleDefinition:
    """Tick every day at six; run when the last closed month is complete, skip with the reason until then.

    Parameters
    ----------
    job : UnresolvedAssetJobDefinition
        The refit.
    also : list of str
        Unpartitioned assets to materialise after the monthly ones.
    """

    @dg.schedule(
        name="monthly_refit",
        job=job,
        cron_schedule="0 6 * * *",
        execution_timezone="America/New_York",
        description="Refit the last closed month once all that it reads is on disk.",
    )
    def monthly_refit(context: dg.ScheduleEvaluationContext, home: HomeResource) -> dg.RunRequest | dg.SkipReason:
        month = last_closed_month(context.scheduled_execution_time.date())
        workshop = Workshop(MONTHLY_ASSETS, home.open())
        buildable = workshop.buildable()
        workshop.refresh(buildable)
        reasons = why_not_yet(workshop, month)
        if reasons:
            return dg.SkipReason(f"{month:%Y-%m} waits: " + "; ".join(reasons))
        return dg.RunRequest(
            run_key=f"monthly_refit {month:%Y-%m} {_data_version(workshop, buildable)}",
            partition_key=key_of(month),
            asset_selection=[dg.AssetKey(name) for name in (*buildable, *also)],
        )

    return monthly_refit
