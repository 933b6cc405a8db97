"""Jobs: what a person or a schedule launches by name.

Belongs here: selections. Does not: when they run (``pipeline.schedules``, ``pipeline.sensors``).
"""

from collections.abc import Iterable

import dagster as dg

# Dagster exports the function that makes it, not its name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob


def monthly_refit(assets: Iterable[dg.AssetsDefinition]) -> AssetJob:
    """Every monthly asset for one month, and the report after them."""
    return dg.define_asset_job(
        "monthly_refit",
        selection=dg.AssetSelection.assets(*assets),
        description="Bring one month of every asset up to date, then write the report.",
    )


def observe_extracts() -> AssetJob:
    """Stage and version vendor tables whose files changed."""
    return dg.define_asset_job(
        "observe_extracts",
        selection=dg.AssetSelection.groups("extracts", include_sources=True),
        description="Check, stage and version the vendor tables.",
    )
