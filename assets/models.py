"""Model assets: recursive estimations, each month going on from the state of the month before, and their forecasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.figures import first_row
from assets.reads import Inputs, Partitions, States
from assets.training import set_instruments
from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import RANKED
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.equity.registry import SETS
from pipeline.models.ipca_recursion import IPCAState, forecasts, ipca_month
from pipeline.models.managed_portfolios import SufficientStatistics
from pipeline.panel.training import share_present
from resources.settings import Settings

MODELS, FORECASTS = "models", "forecasts"


@dataclass(frozen=True, kw_only=True)
class _Market:
    """Where an IPCA finds its data.

    Attributes
    ----------
    name : str
        Name of the assets.
    section : str
        Section of the settings.
    portfolios, characteristics : str
        Assets with the sufficient statistics and with the instruments of the forecasts.
    key : str
        Identifier of an asset of the cross-section.
    instruments : tuple of str
        Columns of the instruments.
    words : str
        What is estimated, for the description.
    sections : tuple of str
        Further sections of the settings that choose the cross-section.
    members : callable
        From the settings to the condition on a row of ``characteristics`` under which it gets a forecast.
    """

    name: str
    section: str
    portfolios: str
    characteristics: str
    key: str
    instruments: tuple[str, ...]
    words: str
    sections: tuple[str, ...] = ()
    members: Callable[[Settings], pl.Expr] = lambda settings: pl.lit(True)


def _ipca(market: _Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    portfolios = inputs["portfolios"].filter(pl.col("month") <= month)
    statistics = SufficientStatistics.from_frame(portfolios, market.instruments)
    last = IPCAState.from_arrays(previous.arrays, previous.text) if previous else None
    frame, state = ipca_month(statistics, last, getattr(settings, market.section))
    return Step(frame, *state.to_arrays())


def _ipca_forecasts(market: _Market, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    states = inputs.states("states")
    rows = inputs.lazy("characteristics").filter(market.members(settings))
    characteristics = rows.select("month", market.key, *market.instruments).collect()
    return pl.concat(
        forecasts(IPCAState.from_arrays(*states[month]), characteristics, month, model=market.name, key=market.key)
        for month in months
    )


def _ipca_assets(market: _Market) -> tuple[MonthlyAsset, MonthlyAsset]:
    estimation = MonthlyAsset(
        name=market.name,
        group=MODELS,
        description=(
            f"Instrumented principal components of {market.words}, re-estimated on all months up to this one "
            "from last month's parameters (Kelly, Pruitt and Su 2019): Gamma, factors, R2 in and out of sample."
        ),
        schema=schemas.ipca,
        reads=lambda settings: {"portfolios": Partitions(source=market.portfolios, lookback=None)},
        compute=partial(_ipca, market),
        figures=first_row("status", "iterations", "converged", "total_r2", "oos_total_r2"),
        settings=(market.section,),
        recursive=True,
        kinds=frozenset({"numpy", "parquet"}),
        series=("total_r2", "predictive_r2", "oos_total_r2", "oos_predictive_r2"),
    )
    forecast = MonthlyAsset(
        name=f"{market.name}_forecasts",
        group=FORECASTS,
        description=f"Excess returns of the next month that {market.name} expects at the end of this one. Decimals.",
        schema=schemas.forecasts,
        reads=lambda settings: {
            "states": States(source=market.name),
            "characteristics": Partitions(source=market.characteristics),
        },
        compute=partial(_ipca_forecasts, market),
        settings=market.sections,
        kinds=frozenset({"numpy", "parquet"}),
    )
    return estimation, forecast


def _bonds(name: str, words: str) -> _Market:
    return _Market(
        name=name,
        section=name,
        portfolios="bond_managed_portfolios",
        characteristics="bond_characteristics",
        key="isin",
        instruments=RANKED,
        words=f"bond returns {words}",
        sections=("bond_models",),
        members=lambda settings: share_present(BOND_SETS[NOTEBOOK]) >= settings.bond_models.min_present,
    )


def _stocks(set_name: str) -> _Market:
    return _Market(
        name=f"stock_ipca_{set_name}",
        section="stock_ipca",
        portfolios=f"stock_managed_portfolios_{set_name}",
        characteristics="firm_characteristics",
        key="permno",
        instruments=set_instruments(set_name),
        words=f"stock returns on the characteristics of the set {set_name}",
        sections=("stock_models",),
        members=lambda settings: share_present(SETS[set_name]) >= settings.stock_models.min_present,
    )


MARKETS = (
    _bonds("bond_ipca", "without intercept"),
    _bonds("bond_ipca_intercept", "with an intercept in the characteristics"),
    *(_stocks(name) for name in SETS),
)
ASSETS = tuple(asset for market in MARKETS for asset in _ipca_assets(market))
