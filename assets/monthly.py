"""Monthly assets as Dagster assets: partitions, lineage, checks of the chain, metadata.

Belongs here: the translation of :class:`assets.building.MonthlyAsset` into Dagster, once for all of them. Does not:
what is out of date or how a partition is written (``assets.building``).
"""

import time
from collections.abc import Iterable
from datetime import date

import dagster as dg

from assets.building import MonthlyAsset, Outcome, Workshop
from assets.metadata import month_metadata, newest_metadata
from assets.reads import Partitions, Read, Vintages
from pipeline.partitions import MONTHS, key_of, months_of, window
from resources.home import HomeResource

OWNERS = ["team:research"]
REBUILD_TAG = "rebuild_from"
# Progress of a long step is reported this often.
_REPORT_SECONDS = 5.0


def extract_key(source: str) -> dg.AssetKey:
    """Asset key of a vendor table, or of a family of tables such as the vintages of FRED-MD."""
    return dg.AssetKey(["extracts", source.replace(".", "_")])


def _dependency(read: Read) -> dg.AssetDep:
    if not isinstance(read, Partitions):
        return dg.AssetDep(extract_key(read.source))
    # A recursive model's state of last month stands for the history before it.
    lookback = 0 if read.lookback is None else read.lookback
    return dg.AssetDep(read.source, partition_mapping=window(lookback, read.lag))


def _dependencies(asset: MonthlyAsset, reads: Iterable[Read]) -> list[dg.AssetDep]:
    found: dict[dg.AssetKey, dg.AssetDep] = {}
    for read in reads:
        dependency = _dependency(read)
        found[dependency.asset_key] = dependency
    if asset.recursive:
        found[dg.AssetKey(asset.name)] = dg.AssetDep(asset.name, partition_mapping=window(0, lag=1))
    return list(found.values())


def rebuild_from(tags: dict[str, str]) -> date | None:
    """Month from which a run rebuilds partitions that are up to date, from its tag ``rebuild_from: YYYY-MM``.

    Raises
    ------
    ValueError
        If the tag is not a month.
    """
    text = tags.get(REBUILD_TAG)
    if text is None:
        return None
    try:
        return date.fromisoformat(f"{text[:7]}-01")
    except ValueError:
        raise ValueError(f"run tag {REBUILD_TAG}={text!r} is not a month: write it as 2008-07.") from None


def monthly_asset(asset: MonthlyAsset, workshop: Workshop) -> dg.AssetsDefinition:
    """Make the Dagster asset of a monthly asset.

    Parameters
    ----------
    asset : MonthlyAsset
        What to build.
    workshop : Workshop
        Gives the reads under the home's settings, from which come lineage and partition windows.
    """
    reads = workshop.reads(asset.name).values()
    everything = tuple(workshop.assets.values())

    @dg.asset(
        name=asset.name,
        group_name=asset.group,
        description=asset.description,
        owners=OWNERS,
        kinds=set(asset.kinds),
        partitions_def=MONTHS,
        # One run for a range: a run a month costs half a minute each before it has done anything.
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=_dependencies(asset, reads),
        code_version=asset.code_version,
        metadata={"reads": dg.MetadataValue.md(_reads_table(reads)), "settings": ", ".join(asset.settings) or "none"},
    )
    def materialise(context: dg.AssetExecutionContext, home: HomeResource) -> None:
        months = months_of(context.partition_keys)
        opened = Workshop(everything, home.open())
        outcomes = _build(context, opened, asset.name, months)
        for outcome in outcomes:
            context.add_asset_metadata(month_metadata(outcome), partition_key=key_of(outcome.month))
        newest = newest_metadata(asset, opened.home.lake, months[-1], opened.schemas[asset.name].columns())
        context.add_asset_metadata(newest, partition_key=key_of(months[-1]))

    return materialise


def _build(context: dg.AssetExecutionContext, workshop: Workshop, name: str, months: list[date]) -> list[Outcome]:
    """Build the months; when one fails, report those that were finished before it as materialised."""
    outcomes: list[Outcome] = []
    reported = time.monotonic()

    def progress(asset: str, done: int, total: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > _REPORT_SECONDS:
            context.log.info(f"{asset}: {done} of {total} months")
            reported = time.monotonic()

    try:
        for outcome in workshop.build(
            name, months, rebuild_from=rebuild_from(dict(context.run.tags)), progress=progress
        ):
            outcomes.append(outcome)
    except BaseException:
        for outcome in outcomes:
            context.log_event(
                dg.AssetMaterialization(name, partition=key_of(outcome.month), metadata=month_metadata(outcome))
            )
        raise
    built = sum(outcome.status == "built" for outcome in outcomes)
    rest = f", {len(outcomes) - built} were up to date or before the data" if built < len(outcomes) else ""
    context.log.info(f"{name}: {built} of {len(outcomes)} months built{rest}")
    return outcomes


def _reads_table(reads: Iterable[Read]) -> str:
    lines = ["| reads | months |", "|---|---|"]
    for read in reads:
        if isinstance(read, Vintages):
            months = "the vintage of m, cut at m"
        elif read.lookback is None:
            months = "all up to m"
        else:
            last = "m" if read.lag == 0 else f"m-{read.lag}"
            months = last if read.lookback == 0 else f"m-{read.lookback + read.lag} .. {last}"
        lines.append(f"| {read.source}{' (optional)' if read.optional else ''} | {months} |")
    return "\n".join(lines)
