"""Stochastic discount factors by networks: a search once a year, a step every month, and what the portfolios earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.reads import Inputs, Partitions, Read, States
from assets.sdf_markets import (
    MARKETS,
    Market,
    issuer_reads,
    market_panel,
    panel_reads,
    target_months,
)
from pipeline.evaluation.sdf_months import sdf_months
from pipeline.panel.calendar import due, shift
from pipeline.sdf.assembly import with_returns
from pipeline.sdf.environments import NO_FINANCIALS
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.settings import LOOKBACK, SdfSettings
from pipeline.sdf.tables import SEARCH_SCHEMA
from resources.settings import Settings

if TYPE_CHECKING:
    from pipeline.sdf.walk_forward import SdfModel

MODELS, EVALUATION = "models", "evaluation"


def _grouped(market: Market, settings: Settings) -> bool:
    """Whether rows need the group of their issuer."""
    return market.issuers is not None and NO_FINANCIALS in market.settings(settings).environments


def _reads(market: Market, settings: Settings) -> dict[str, Read]:
    reads = panel_reads(market, market.settings(settings).min_months)
    return reads | issuer_reads(market) if _grouped(market, settings) else reads


def _panel(market: Market, inputs: Inputs, settings: Settings) -> SdfPanel:
    """All target months of a range, the one after it included."""
    return inputs.once("panel", lambda: market_panel(market, inputs, grouped=_grouped(market, settings)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sum in one order, so that the files are the same whatever the number of processors."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# The search


def _search(market: Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    chosen = market.settings(settings)
    known = inputs.once("months", lambda: target_months(market, inputs))
    if not due(known, month, chosen.min_months, chosen.search_months):
        return Step(pl.DataFrame(schema=SEARCH_SCHEMA))
    panel = with_returns(_panel(market, inputs, settings).through(month))
    from pipeline.sdf import walk_forward

    with _one_thread():
        frame, models = walk_forward.searched(panel, month, chosen, inputs.pieces)
    return Step(frame, *walk_forward.to_arrays(models))


def _search_figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    about = ("objective", "environment", "network", "architecture", "score", "equal_share")
    winners = frame.filter(pl.col("winner")).select(about)
    return {
        "configurations": frame.height,
        "endings": dict(frame["ending"].value_counts(sort=True).iter_rows()),
        "winners": [dict(row) for row in winners.to_dicts()],
    }


# Every month


def _estimate(market: Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    from pipeline.sdf import walk_forward

    chosen = market.settings(settings)
    everything = _panel(market, inputs, settings)
    known, coming = partial(with_returns, everything.through(month)), shift(month, 1)
    with _one_thread():
        models = _models(inputs.states("search"), month, previous, known, chosen)
        window = everything.between(shift(coming, -LOOKBACK), coming)
        frame = walk_forward.weights(models, window, month, chosen)
    return Step(frame, *walk_forward.to_arrays(models))


def _models(
    searches: Mapping[date, Any],
    month: date,
    previous: Previous | None,
    known: Callable[[], SdfPanel],
    settings: SdfSettings,
) -> dict[str, SdfModel]:
    """Take what a search of this month found, else carry on what there was a month ago."""
    from pipeline.sdf import walk_forward

    arrays, text = searches.get(month, ({}, {}))
    if text:
        return walk_forward.from_arrays(arrays, text)
    if previous is None or not previous.text:
        return {}
    return walk_forward.carried_on(walk_forward.from_arrays(previous.arrays, previous.text), known(), settings)


def _earned(market: Market, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return sdf_months(inputs["weights"], inputs["returns"], months, key=market.key)


def _assets(market: Market) -> tuple[MonthlyAsset, ...]:
    search = MonthlyAsset(
        name=f"{market.name}_sdf_search",
        group=MODELS,
        description=(
            f"Search for the networks whose weights on {market.words} make the stochastic discount factor, and for the "
            "networks of the betas on it: every configuration with its validation score, once a year (Duraj and "
            "Giesecke 2025)."
        ),
        schema=schemas.sdf_search,
        reads=partial(_reads, market),
        compute=partial(_search, market),
        figures=_search_figures,
        settings=(market.section,),
        recursive=True,
        kinds=frozenset({"pytorch", "parquet"}),
    )
    estimate = MonthlyAsset(
        name=f"{market.name}_sdf",
        group=MODELS,
        description=(
            f"Weights on {market.words} of the portfolio that is the stochastic discount factor of the next month, and "
            "the returns that its beta networks expect: the winners of the last search, carried on with every month."
        ),
        schema=schemas.sdf_weights,
        reads=lambda settings: {
            **_reads(market, settings),
            "search": States(source=search.name),
        },
        compute=partial(_estimate, market),
        settings=(market.section,),
        recursive=True,
        kinds=frozenset({"pytorch", "parquet"}),
    )
    earned = MonthlyAsset(
        name=f"{market.name}_sdf_returns",
        group=EVALUATION,
        description=(
            f"What the stochastic discount factor portfolios of {market.words} earned in the month, their leverage, "
            "and how much of the returns their betas explain."
        ),
        schema=schemas.sdf_returns,
        reads=lambda settings: {
            "weights": Partitions(source=estimate.name, lag=1),
            "returns": Partitions(source=market.returns),
        },
        compute=partial(_earned, market),
        series=("factor",),
        chunk_months=24,
    )
    return search, estimate, earned


ASSETS = tuple(asset for market in MARKETS for asset in _assets(market))
