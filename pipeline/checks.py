"""Asset checks: what is on disk against what was promised, for every monthly asset from its own declaration.

``stored_rows`` (keys, ranges, content equal to the manifest) and ``state_chain`` (every month of a recursive asset went
on from the month before) stop what is downstream. ``row_count_drift`` and ``coverage`` warn. Belongs here: the checks.
Does not: the schemas they check against (``assets.schemas``).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import dagster as dg
import polars as pl

from assets.building import MonthlyAsset, Workshop
from assets.contract import broken_rules
from pipeline.panel.calendar import month_runs, shift
from pipeline.panel.rules import holds
from pipeline.partitions import months_of
from resources.content import month_contents
from resources.home import HomeResource
from resources.lake import Manifest

Failures = dict[str, str]
"""Month -> what is wrong with it."""

Check = Callable[[Workshop, MonthlyAsset, dict[date, Manifest], Sequence[date]], Failures]

# A month with fewer than half, or more than twice, the rows of the month before deserves a look.
_DRIFT = 2.0


def stored_rows(
    workshop: Workshop, asset: MonthlyAsset, manifests: dict[date, Manifest], months: Sequence[date]
) -> Failures:
    """Keys are unique, values in range, and the rows are those that the manifest was written for."""
    failures: Failures = {}
    schema, lake = workshop.schemas[asset.name], workshop.home.lake
    for chunk in month_runs(months, asset.chunk_months):
        parts = {month: lake.stored(asset.name, month) for month in chunk}
        rows = pl.concat(parts.values())
        contents = month_contents(rows.sort(workshop.order(asset.name), maintain_order=True), chunk)
        holds_all = holds(schema, rows)
        for month, part in parts.items():
            if not holds_all and not holds(schema, part):
                failures[f"{month:%Y-%m}"] = broken_rules(schema, part)
            elif part.height != manifests[month].rows or contents[month] != manifests[month].content:
                failures[f"{month:%Y-%m}"] = "the rows are not those that the manifest describes; materialise it again"
    return failures


def row_count_drift(
    workshop: Workshop, asset: MonthlyAsset, manifests: dict[date, Manifest], months: Sequence[date]
) -> Failures:
    """Compare the number of rows with the month before: it may neither halve nor double."""
    failures: Failures = {}
    for month in months:
        before = manifests.get(shift(month, -1))
        if before is None or not before.rows:
            continue
        now = manifests[month].rows
        if not before.rows / _DRIFT <= now <= before.rows * _DRIFT:
            failures[f"{month:%Y-%m}"] = f"{now} rows after {before.rows}"
    return failures


def coverage(
    workshop: Workshop, asset: MonthlyAsset, manifests: dict[date, Manifest], months: Sequence[date]
) -> Failures:
    """Once an asset has values, every month has some: rows, and not all of them empty beside their keys."""
    failures: Failures = {}
    key = workshop.key(asset.name)
    started = any(manifest.rows for month, manifest in manifests.items() if month < min(months, default=date.max))
    for month in months:
        rows = manifests[month].rows
        # Only a single row can hold nothing but its key; panels leave out what has no value.
        empty = not rows or (rows == 1 and _all_null(workshop.home.lake.stored(asset.name, month).drop(key)))
        if empty and started:
            failures[f"{month:%Y-%m}"] = "every value is missing" if rows else "no rows"
        started = started or not empty
    return failures


def _all_null(values: pl.DataFrame) -> bool:
    return values.width > 0 and all(column.null_count() == values.height for column in values)


def state_chain(
    workshop: Workshop, asset: MonthlyAsset, manifests: dict[date, Manifest], months: Sequence[date]
) -> Failures:
    """Every month of the chain went on from the month before as it is now on disk."""
    failures: Failures = {}
    first = workshop.origin(asset.name)
    for month, manifest in manifests.items():
        before = manifests.get(shift(month, -1))
        if not workshop.has_state(manifest):
            failures[f"{month:%Y-%m}"] = "its state is gone; materialise it again"
        if month == first:
            continue
        if before is None:
            failures[f"{month:%Y-%m}"] = "the month before is missing"
        elif manifest.reads.get("previous") != before.digest:
            failures[f"{month:%Y-%m}"] = "it went on from another version of the month before; materialise it again"
    return failures


CHECKS: dict[str, tuple[Check, dg.AssetCheckSeverity, bool]] = {
    "stored_rows": (stored_rows, dg.AssetCheckSeverity.ERROR, True),
    "row_count_drift": (row_count_drift, dg.AssetCheckSeverity.WARN, False),
    "coverage": (coverage, dg.AssetCheckSeverity.WARN, False),
    "state_chain": (state_chain, dg.AssetCheckSeverity.ERROR, True),
}


def monthly_checks(workshop: Workshop) -> Iterator[dg.AssetChecksDefinition]:
    """All checks of every monthly asset, one step an asset."""
    for asset in workshop.assets.values():
        yield _checks(asset, checks_of(asset), tuple(workshop.assets.values()))


def checks_of(asset: MonthlyAsset) -> list[str]:
    """Names of the checks that an asset has; only a recursive one has a chain."""
    return [name for name in CHECKS if name != "state_chain" or asset.recursive]


def _checks(asset: MonthlyAsset, names: Sequence[str], everything: Sequence[MonthlyAsset]) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(name, asset=asset.name, description=CHECKS[name][0].__doc__, blocking=CHECKS[name][2])
        for name in names
    ]

    @dg.multi_asset_check(name=f"{asset.name}_checks", specs=specs)
    def check(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
        workshop = Workshop(everything, home.open())
        manifests = workshop.home.lake.manifests(asset.name)
        asked = (
            months_of(context.partition_keys) if context.has_partition_key or context.has_partition_key_range else []
        )
        months = [month for month in (asked or manifests) if month in manifests]
        for name in names:
            examine, severity, _ = CHECKS[name]
            failures = examine(workshop, asset, manifests, months)
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=asset.name,
                passed=not failures,
                severity=severity,
                metadata={
                    "months": len(months),
                    "failing": len(failures),
                    "what": dg.MetadataValue.json(dict(list(failures.items())[:50])),
                },
            )

    return check
