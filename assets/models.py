"""Model assets: recursive estimations, each month going on from the state of the month before, and their forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.figures import first_row
from assets.reads import Inputs, Partitions, States
from pipeline.bonds.registry import RANKED
from pipeline.models.ipca_recursion import IPCAState, forecasts, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics
from resources.settings import Settings

MODELS, FORECASTS = "models", "forecasts"


def _ipca(section: str, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    portfolios = inputs["portfolios"].filter(pl.col("month") <= month)
    statistics = SufficientStatistics.from_frame(portfolios, RANKED)
    last = IPCAState.from_arrays(previous.arrays, previous.text) if previous else None
    frame, state = ipca_month(statistics, last, getattr(settings, section))
    return Step(frame, *state.to_arrays())


def _ipca_forecasts(model: str, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    states = inputs.states("states")
    characteristics = inputs["characteristics"]
    return pl.concat(
        forecasts(IPCAState.from_arrays(*states[month]), characteristics, month, model=model) for month in months
    )


def _ipca_assets(name: str, words: str) -> tuple[MonthlyAsset, MonthlyAsset]:
    estimation = MonthlyAsset(
        name=name,
        group=MODELS,
        description=(
            f"Instrumented principal components of bond returns {words}, re-estimated on all months up to this one "
            "from last month's parameters (Kelly, Pruitt and Su 2019): Gamma, factors, R2 in and out of sample."
        ),
        schema=schemas.ipca,
        reads=lambda settings: {"portfolios": Partitions(source="bond_managed_portfolios", lookback=None)},
        compute=partial(_ipca, name),
        figures=first_row("status", "iterations", "converged", "total_r2", "oos_total_r2"),
        settings=(name,),
        recursive=True,
        kinds=frozenset({"numpy", "parquet"}),
        series=("total_r2", "predictive_r2", "oos_total_r2", "oos_predictive_r2"),
    )
    forecast = MonthlyAsset(
        name=f"{name}_forecasts",
        group=FORECASTS,
        description=f"Excess returns of the next month that {name} expects at the end of this one. Decimals.",
        schema=schemas.forecasts,
        reads=lambda settings: {
            "states": States(source=name),
            "characteristics": Partitions(source="bond_characteristics"),
        },
        compute=partial(_ipca_forecasts, name),
        kinds=frozenset({"numpy", "parquet"}),
    )
    return estimation, forecast


ASSETS = (
    *_ipca_assets("bond_ipca", "without intercept"),
    *_ipca_assets("bond_ipca_intercept", "with an intercept in the characteristics"),
)
