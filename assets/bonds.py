"""Bond assets: returns, the universe, characteristics. Functions of ``pipeline.bonds`` over declared windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.figures import missing
from assets.reads import Inputs, Partitions, Read, Rows
from pipeline.bonds.characteristics import bond_characteristics
from pipeline.bonds.registry import NAMES, lookback
from pipeline.bonds.returns import bond_returns
from pipeline.bonds.universe import bonds_seen
from resources.settings import Settings

GROUP = "bonds"


def _bond_returns(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_returns(inputs["index_returns"], inputs["index_snapshot"], inputs["french_factors"], months)


def _bond_universe(inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    present = inputs.at("index_snapshot", month).select("month", "isin").collect()
    return Step(bonds_seen(present, month, previous.frame if previous else None))


def _bond_characteristics(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    universe = inputs.lazy("bond_universe").filter(pl.col("month") == months[-1])
    return bond_characteristics(
        inputs["index_snapshot"],
        inputs["bond_returns"],
        inputs["french_factors"],
        inputs["treasury_curve"],
        inputs["vix_innovation"],
        inputs["bond_market_factor"],
        universe.select("isin", pl.col("first_seen").alias("month")).collect(),
        months,
        settings.bond_characteristics,
    )


def _characteristics_reads(settings: Settings) -> dict[str, Read]:
    back = {table: months - 1 for table, months in lookback(settings.bond_characteristics).items()}
    return {
        "index_snapshot": Rows(source="bonds.index_snapshot", lookback=back["index_snapshot"], spine=True),
        "bond_universe": Partitions(source="bond_universe"),
        **{
            asset: Partitions(source=asset, lookback=back[asset])
            for asset in ("bond_returns", "french_factors", "treasury_curve", "vix_innovation", "bond_market_factor")
        },
    }


ASSETS = (
    MonthlyAsset(
        name="bond_returns",
        group=GROUP,
        description=(
            "What every bond earned in the month, total and above the bill rate, with its sector and value at the "
            "start of the month. Decimals; never winsorised."
        ),
        schema=schemas.bond_returns,
        reads=lambda settings: {
            "index_returns": Rows(source="bonds.index_returns", spine=True),
            "index_snapshot": Rows(source="bonds.index_snapshot", lag=1),
            "french_factors": Partitions(source="french_factors"),
        },
        compute=_bond_returns,
    ),
    MonthlyAsset(
        name="bond_universe",
        group=GROUP,
        description="Every bond seen up to the month and the month in which it was first seen.",
        schema=schemas.bond_universe,
        reads=lambda settings: {"index_snapshot": Rows(source="bonds.index_snapshot")},
        compute=_bond_universe,
        recursive=True,
    ),
    MonthlyAsset(
        name="bond_characteristics",
        group=GROUP,
        description=(
            "The characteristics of every bond of the month's snapshot as known at its end: raw, winsorised and ranked "
            "within the month. What each is stands in the data dictionary."
        ),
        schema=schemas.bond_characteristics,
        reads=_characteristics_reads,
        compute=_bond_characteristics,
        figures=missing(NAMES),
        settings=("bond_characteristics",),
    ),
)
