"""All forecasts of a cross-section in one comparison: factor models, networks, trees and regressions side by side.

Belongs here: which forecasts are compared, and how each comes into the one schema. Does not: making them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset
from assets.reads import Inputs, Partitions, Read
from pipeline.evaluation.forecast_moments import forecast_moments
from pipeline.evaluation.forecasts import FACTOR_MODELS, LEARNED, REGRESSIONS, SCHEMA, network_forecasts
from resources.settings import Settings

EVALUATION = "evaluation"
NETWORKS, TREES = LEARNED


def _as_made(forecasts: pl.DataFrame) -> pl.DataFrame:
    return forecasts.select(list(SCHEMA))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Forecasts to be compared.

    Attributes
    ----------
    asset : str
        Where they are found.
    kind : str
        What they come from; the settings may leave some out.
    bring : callable
        From its rows to the columns of :data:`pipeline.evaluation.forecasts.SCHEMA`.
    """

    asset: str
    kind: str
    bring: Callable[[pl.DataFrame], pl.DataFrame] = _as_made


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Forecasts of one cross-section.

    Attributes
    ----------
    name, words : str
        Beginning of the asset's name; whose returns, for the description.
    returns, key : str
        Asset with the returns, and the identifier in it.
    sources : tuple of Source
        What is compared; those that are there. Each may begin when it will.
    """

    name: str
    words: str
    returns: str
    key: str
    sources: tuple[Source, ...]


COMPARISONS = (
    Comparison(
        name="bond",
        words="single bonds",
        returns="bond_returns",
        key="isin",
        sources=(
            Source(asset="bond_factor_forecasts", kind=FACTOR_MODELS),
            Source(asset="bond_sdf", kind=NETWORKS, bring=network_forecasts),
            Source(asset="bond_tree_forecasts", kind=TREES),
        ),
    ),
    Comparison(
        name="stock",
        words="single stocks",
        returns="stock_returns",
        key="permno",
        sources=(
            Source(asset="stock_factor_forecasts", kind=FACTOR_MODELS),
            Source(asset="stock_sdf", kind=NETWORKS, bring=network_forecasts),
        ),
    ),
    Comparison(
        name="portfolio",
        words="test portfolios",
        returns="test_portfolios",
        key="portfolio",
        sources=(Source(asset="portfolio_factor_forecasts", kind=FACTOR_MODELS),),
    ),
    Comparison(
        name="bond_portfolio",
        words="the 40 bond portfolios",
        returns="bond_portfolios",
        key="portfolio",
        sources=(
            Source(asset="bond_portfolio_predictive_forecasts", kind=REGRESSIONS),
            Source(asset="bond_portfolio_sdf", kind=NETWORKS, bring=network_forecasts),
            Source(asset="bond_portfolio_tree_forecasts", kind=TREES),
        ),
    ),
)

_FORECASTS = "forecasts "


def _reads(comparison: Comparison, settings: Settings) -> dict[str, Read]:
    return {
        "returns": Partitions(source=comparison.returns),
        **{
            f"{_FORECASTS}{source.asset}": Partitions(source=source.asset, lag=1, optional=True, spine="forecasts")
            for source in comparison.sources
            if source.kind not in settings.comparisons.leave_out
        },
    }


def _moments(comparison: Comparison, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    there = inputs.present(_FORECASTS)
    made = [source.bring(there[source.asset]) for source in comparison.sources if source.asset in there]
    return forecast_moments(pl.concat(made), inputs["returns"], months, key=comparison.key)


def _asset(comparison: Comparison) -> MonthlyAsset:
    return MonthlyAsset(
        name=f"{comparison.name}_forecast_moments",
        group=EVALUATION,
        description=(
            f"Sums of squares and products of all pairs of forecasts of {comparison.words} for this month and the "
            "returns: what tests of predictive accuracy need."
        ),
        schema=schemas.forecast_moments,
        reads=partial(_reads, comparison),
        compute=partial(_moments, comparison),
        settings=("comparisons",),
        series=("n",),
        code_version="2",
        chunk_months=24,
    )


ASSETS = tuple(_asset(comparison) for comparison in COMPARISONS)
