"""Boosted trees: a search once a year on what the networks look at, and every month's forecasts of the next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.reads import Inputs, States
from assets.sdf_markets import (
    MARKETS,
    Market,
    known_reads,
    market_panel,
    panel_reads,
    target_months,
)
from pipeline.evaluation.forecasts import SCHEMA
from pipeline.models.tree_settings import SEARCH_SCHEMA, TreesSettings
from pipeline.panel.calendar import due, shift
from pipeline.sdf.assembly import with_returns
from resources.settings import Settings

MODELS, FORECASTS = "models", "forecasts"
KINDS = frozenset({"xgboost", "parquet"})

# The source has trees on bond portfolios and single bonds.
WITH_TREES = tuple(market for market in MARKETS if market.name in ("bond_portfolio", "bond"))


def _section(market: Market) -> str:
    return f"{market.name}_trees"


def _settings(market: Market, settings: Settings) -> TreesSettings:
    return getattr(settings, _section(market))


def _search(market: Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    chosen = _settings(market, settings)
    known = inputs.once("months", lambda: target_months(market, inputs))
    if not due(known, month, chosen.min_months, chosen.search_months):
        return Step(pl.DataFrame(schema=SEARCH_SCHEMA))
    from pipeline.models import tree_search

    panel = with_returns(inputs.once("panel", lambda: market_panel(market, inputs)).through(month))
    frame, trees = tree_search.searched(panel, month, chosen)
    return Step(frame, *trees.to_arrays())


def _figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    winner = frame.select("depth", "learning_rate", "rounds", "validation_r2").head(1).to_dicts()
    return {"features": frame.height, "winner": winner, "most important": frame["feature"].head(3).to_list()}


def _forecasts(market: Market, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    from pipeline.models import tree_search
    from pipeline.models.boosted_trees import BoostedTrees

    searches, panel = inputs.states("trees"), market_panel(market, inputs, earned=False)
    made = [pl.DataFrame(schema=SCHEMA)]
    for month in months:
        newest = max((each for each in searches if each <= month), default=None)
        if newest is not None:
            trees, coming = BoostedTrees.from_arrays(*searches[newest]), shift(month, 1)
            made.append(tree_search.forecasts(trees, panel.between(coming, coming), month))
    return pl.concat(made)


def _assets(market: Market) -> tuple[MonthlyAsset, ...]:
    search = MonthlyAsset(
        name=f"{market.name}_trees",
        group=MODELS,
        description=(
            f"Boosted regression trees on {market.words}: a search once a year over all characteristics and macro "
            "series, the importance of each and the R2 of the validation months (Duraj and Giesecke 2025, A.7)."
        ),
        schema=schemas.trees,
        reads=lambda settings: panel_reads(market, _settings(market, settings).min_months),
        compute=partial(_search, market),
        figures=_figures,
        settings=(_section(market),),
        # Not because a search goes on from the last one: only such assets keep states.
        recursive=True,
        kinds=KINDS,
    )
    forecasts = MonthlyAsset(
        name=f"{market.name}_tree_forecasts",
        group=FORECASTS,
        description=(
            f"What the boosted trees of the last search expect of the next month's excess returns of {market.words}."
        ),
        schema=schemas.factor_forecasts,
        reads=lambda settings: {
            **known_reads(market, 0),
            # Searches follow each other by months with returns: in calendar months the last may lie further back.
            "trees": States(source=search.name, lookback=None),
        },
        compute=partial(_forecasts, market),
        settings=(_section(market),),
        kinds=KINDS,
        chunk_months=24,
    )
    return search, forecasts


ASSETS = tuple(asset for market in WITH_TREES for asset in _assets(market))
