"""Dagster's entry: gathers assets, checks, jobs, schedule and sensor over one home; implements nothing."""

import warnings

import dagster as dg

from assets.all import MONTHLY_ASSETS
from assets.building import Workshop
from assets.exports import export_asset
from assets.extracts import observable_extracts
from assets.monthly import monthly_asset
from assets.reports import report_assets
from pipeline.checks import monthly_checks
from pipeline.jobs import monthly_refit, observe_extracts
from pipeline.schedules import monthly_refit_schedule
from pipeline.sensors import extracts_changed
from resources.home import Home, HomeResource

# Backfill policies and observable assets are in beta, which Dagster says once for each of fifty assets.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def build_defs(home: Home) -> dg.Definitions:
    """Assemble the definitions.

    Parameters
    ----------
    home : Home
        Its settings shape the windows of the lineage; its folders are what the assets read and write.
    """
    workshop = Workshop(MONTHLY_ASSETS, home)
    monthly = [monthly_asset(asset, workshop) for asset in MONTHLY_ASSETS]
    reports = report_assets(workshop)
    refit, observe = monthly_refit([*monthly, *reports]), observe_extracts()
    return dg.Definitions(
        assets=[*observable_extracts(workshop), *monthly, *reports, export_asset(workshop)],
        asset_checks=list(monthly_checks(workshop)),
        jobs=[refit, observe],
        schedules=[monthly_refit_schedule(refit, also=[report.key.to_user_string() for report in reports])],
        sensors=[extracts_changed(observe)],
        resources={"home": HomeResource(folder=str(home.folder))},
        # A chain of short steps: a process each would cost more than the work.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Definitions over the home that the environment names (``PIPELINE_HOME``)."""
    home = Home.from_environment()
    home.prepare_dagster()
    return build_defs(home)
