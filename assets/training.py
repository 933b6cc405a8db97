"""Training assets: where the characteristics of one month meet the returns of the next, and what models need of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset
from assets.reads import Inputs, Partitions
from pipeline.bonds.registry import RANKED
from pipeline.bonds.training import bond_training_panel
from pipeline.models.managed_portfolios import managed_portfolios
from resources.settings import Settings

GROUP = "training"


def _bond_training_panel(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_training_panel(inputs["bond_characteristics"], inputs["bond_returns"], months)


def _bond_managed_portfolios(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return managed_portfolios(inputs["bond_training_panel"], RANKED, months)


ASSETS = (
    MonthlyAsset(
        name="bond_training_panel",
        group=GROUP,
        description="The excess return of the month beside the ranked characteristics of the month before.",
        schema=schemas.bond_training_panel,
        reads=lambda settings: {
            "bond_characteristics": Partitions(source="bond_characteristics", lag=1),
            "bond_returns": Partitions(source="bond_returns"),
        },
        compute=_bond_training_panel,
    ),
    MonthlyAsset(
        name="bond_managed_portfolios",
        group=GROUP,
        description=(
            "Sufficient statistics of the month for factor models with characteristic loadings: X = C'r, W = C'C, r'r "
            "and the number of bonds (Kelly, Pruitt and Su 2019)."
        ),
        schema=schemas.managed_portfolios,
        reads=lambda settings: {"bond_training_panel": Partitions(source="bond_training_panel")},
        compute=_bond_managed_portfolios,
        series=("n",),
    ),
)
