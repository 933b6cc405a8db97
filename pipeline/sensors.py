"""The sensor that sees changed vendor files and has them staged.

Belongs here: noticing. Does not: deciding which partitions are out of date, which their manifests do.
"""

import json

import dagster as dg

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.extracts import members, sources
from assets.monthly import extract_key
from pipeline.jobs import AssetJob
from resources.content import combine
from resources.home import HomeResource


def fingerprints(workshop: Workshop) -> dict[str, str]:
    """Fingerprint of the files behind every source; a source without files has none."""
    store = workshop.home.extracts
    found = {}
    for source, family in sources(workshop).items():
        tables = members(store, source, family)
        if tables:
            found[source] = combine(store.fingerprint(table) for table in sorted(tables))
    return found


def extracts_changed(job: AssetJob) -> dg.SensorDefinition:
    """Every minute, have the tables whose files changed staged and versioned."""

    @dg.sensor(
        name="extracts_changed",
        job=job,
        minimum_interval_seconds=60,
        description="Have vendor tables staged when their files change.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
        before = json.loads(context.cursor) if context.cursor else {}
        now = fingerprints(Workshop(MONTHLY_ASSETS, home.open()))
        changed = sorted(source for source in now if now[source] != before.get(source))
        gone = sorted(set(before) - set(now))
        if not changed and not gone:
            return dg.SkipReason("no vendor file has changed")
        request = dg.RunRequest(
            run_key=combine(f"{source}:{fingerprint}" for source, fingerprint in sorted(now.items())),
            asset_selection=[extract_key(source) for source in (*changed, *gone)],
            tags={"changed": ", ".join((*changed, *gone))[:200]},
        )
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(now))

    return sensor
