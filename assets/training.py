"""Training assets: where the characteristics of one month meet the returns of the next, and what models need of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset
from assets.reads import Inputs, Partitions
from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import RANKED
from pipeline.bonds.training import bond_training_panel
from pipeline.equity.registry import NAMES, SETS, ranked
from pipeline.equity.training import stock_training_panel
from pipeline.models.managed_portfolios import managed_portfolios
from resources.settings import Settings

GROUP = "training"


def set_instruments(set_name: str) -> tuple[str, ...]:
    """Instrument columns of a set of firm characteristics."""
    return ranked(SETS[set_name])


def _bond_training_panel(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_training_panel(inputs.lazy("bond_characteristics"), inputs["bond_returns"], months)


def _bond_managed_portfolios(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    enough = pl.col(f"present_{NOTEBOOK}") >= settings.bond_models.min_present
    panel = inputs.lazy("bond_training_panel").filter(enough).select("month", "isin", "ret_excess", *RANKED)
    return managed_portfolios(panel.collect(), RANKED, months)


def _stock_training_panel(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return stock_training_panel(inputs.lazy("firm_characteristics"), inputs["stock_returns"], NAMES, SETS, months)


def _stock_managed_portfolios(
    set_name: str, inputs: Inputs, months: Sequence[date], settings: Settings
) -> pl.DataFrame:
    instruments = set_instruments(set_name)
    enough = pl.col(f"present_{set_name}") >= settings.stock_models.min_present
    panel = inputs.lazy("stock_training_panel").filter(enough).select("month", "permno", "ret_excess", *instruments)
    return managed_portfolios(panel.collect(), instruments, months, key="permno")


def _portfolios_of_set(set_name: str) -> MonthlyAsset:
    return MonthlyAsset(
        name=f"stock_managed_portfolios_{set_name}",
        group=GROUP,
        description=(
            f"Sufficient statistics of the month for factor models of stocks with loadings in the set {set_name}: "
            "X = C'r, W = C'C, r'r and the number of stocks, of those that have enough of the set's characteristics "
            "(Kelly, Pruitt and Su 2019)."
        ),
        schema=schemas.managed_portfolios,
        reads=lambda settings: {"stock_training_panel": Partitions(source="stock_training_panel")},
        compute=partial(_stock_managed_portfolios, set_name),
        settings=("stock_models",),
        series=("n",),
        chunk_months=24,
    )


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
        chunk_months=24,
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
        settings=("bond_models",),
        series=("n",),
    ),
    MonthlyAsset(
        name="stock_training_panel",
        group=GROUP,
        description=(
            "The excess return of the month beside the ranked characteristics of the month before, and the share of "
            "each set's characteristics that the stock has."
        ),
        schema=schemas.stock_training_panel,
        reads=lambda settings: {
            "firm_characteristics": Partitions(source="firm_characteristics", lag=1),
            "stock_returns": Partitions(source="stock_returns"),
        },
        compute=_stock_training_panel,
        chunk_months=24,
    ),
    *(_portfolios_of_set(name) for name in SETS),
)
