"""The monthly refit: on every day, the last closed month, as soon as everything it reads is there.

The run key is the month, so that a month is refitted once however often the clock ticks. Belongs here: when, and why
not yet. Does not: what a refit is (``pipeline.jobs``).
"""

from datetime import date

import dagster as dg

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.reads import Rows, Vintages
from pipeline.jobs import AssetJob
from pipeline.panel.calendar import last_closed_month, shift
from pipeline.partitions import key_of
from resources.home import HomeResource


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
    reasons = [reason for name in names for reason in _late_extracts(workshop, name, month)]
    reasons += [reason for name in names for reason in _missing_state(workshop, name, month)]
    return list(dict.fromkeys(reasons))


def _late_extracts(workshop: Workshop, name: str, month: date) -> list[str]:
    store = workshop.home.extracts
    reasons = []
    for read in workshop.reads(name).values():
        if read.optional:
            continue
        if isinstance(read, Rows):
            newest = store.last_month(read.source)
            if newest < shift(month, -read.lag):
                reasons.append(f"{read.source} ends in {newest:%Y-%m}, before {shift(month, -read.lag):%Y-%m}")
        elif isinstance(read, Vintages):
            newest_vintage = max(store.family(f"{read.source}."))
            if newest_vintage < f"{read.source}.{month:%Y-%m}":
                reasons.append(f"the newest vintage is {newest_vintage}, older than {month:%Y-%m}")
    return reasons


def _missing_state(workshop: Workshop, name: str, month: date) -> list[str]:
    origin = workshop.origin(name)
    if not workshop.assets[name].recursive or origin is None or month <= origin:
        return []
    before = shift(month, -1)
    if workshop.home.lake.manifest(name, before) is None:
        return [f"{name} has no state for {before:%Y-%m}; backfill it up to there first"]
    return []


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
            run_key=f"monthly_refit {month:%Y-%m}",
            partition_key=key_of(month),
            asset_selection=[dg.AssetKey(name) for name in (*buildable, *also)],
        )

    return monthly_refit
