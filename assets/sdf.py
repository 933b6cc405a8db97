"""Stochastic discount factors by networks: a search once a year, a step every month, and what the portfolios earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.reads import Inputs, Partitions, Read, States
from assets.training import set_instruments
from pipeline.bonds.portfolio_characteristics import NAMES as PORTFOLIO_CHARACTERISTICS
from pipeline.bonds.registry import DG
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.evaluation.sdf_months import sdf_months
from pipeline.macro.treasury import FORWARD_YEARS
from pipeline.panel.calendar import shift
from pipeline.sdf.assembly import sdf_panel, with_returns
from pipeline.sdf.panel import SdfPanel
from pipeline.sdf.settings import SdfSettings
from pipeline.sdf.tables import SEARCH_SCHEMA
from resources.settings import Settings

if TYPE_CHECKING:
    from pipeline.sdf.walk_forward import SdfModel

MODELS, EVALUATION = "models", "evaluation"

_FORWARDS = tuple(f"forward_spread_{year}" for year in range(1, FORWARD_YEARS + 1))
_MEDIANS = tuple(name for name in BOND_SETS[DG] if name.startswith("med_"))
_BOND_OWN = tuple(name for name in BOND_SETS[DG] if name not in (*_FORWARDS, *_MEDIANS))
_INDUSTRIES = tuple(name for name in _BOND_OWN if name.startswith("industry_"))


@dataclass(frozen=True, kw_only=True)
class Market:
    """Where the networks of a market find their data.

    Attributes
    ----------
    name, words : str
        Beginning of the assets' names; whose returns, for descriptions.
    returns, characteristics : str
        Assets: returns of the month, and what is known of each asset at its end.
    key : str
        Identifier of an asset of the cross-section.
    features : tuple of str
        The assets' own characteristics.
    medians : str or None
        Asset with the medians of fundamentals.
    group : polars.Expr or None
        An asset's industry.
    """

    name: str
    words: str
    returns: str
    characteristics: str
    key: str
    features: tuple[str, ...]
    medians: str | None = None
    group: pl.Expr | None = field(default=None, hash=False)

    @property
    def section(self) -> str:
        """Section of the settings."""
        return f"{self.name}_sdf"

    def settings(self, settings: Settings) -> SdfSettings:
        """Give the market's settings."""
        return getattr(settings, self.section)


MARKETS = (
    Market(
        name="bond_portfolio",
        words="the 40 bond portfolios",
        returns="bond_portfolios",
        characteristics="bond_portfolio_characteristics",
        key="portfolio",
        features=PORTFOLIO_CHARACTERISTICS,
        medians="bond_characteristics",
    ),
    Market(
        name="bond",
        words="single bonds",
        returns="bond_returns",
        characteristics="bond_characteristics",
        key="isin",
        features=_BOND_OWN,
        medians="bond_characteristics",
        group=pl.coalesce(pl.when(pl.col(name) == 1.0).then(pl.lit(name)) for name in _INDUSTRIES),
    ),
    Market(
        name="stock",
        words="single stocks",
        returns="stock_returns",
        characteristics="firm_characteristics",
        key="permno",
        features=set_instruments("dg41"),
    ),
)


# What networks look at


def _panel_reads(market: Market, settings: Settings) -> dict[str, Read]:
    reads: dict[str, Read] = {
        "returns": Partitions(
            source=market.returns, lookback=None, spine=True, history=market.settings(settings).min_months
        ),
        "characteristics": Partitions(source=market.characteristics, lookback=None),
        "fred_md": Partitions(source="fred_md", lookback=None),
        "goyal_welch": Partitions(source="goyal_welch", lookback=None),
        "treasury_curve": Partitions(source="treasury_curve", lookback=None),
    }
    if market.medians and market.medians != market.characteristics:
        reads["medians"] = Partitions(source=market.medians, lookback=None)
    return reads


def _macro(market: Market, inputs: Inputs) -> pl.DataFrame:
    """Everything that all assets share, one row a month: what was known at its end."""
    published = inputs["fred_md"].pivot("series", index="month", values="value")
    tables = [published, inputs["goyal_welch"].drop("source"), inputs["treasury_curve"].select("month", *_FORWARDS)]
    if market.medians:
        name = "characteristics" if market.medians == market.characteristics else "medians"
        medians = inputs.lazy(name).select("month", *_MEDIANS)
        tables.append(medians.group_by("month").agg(pl.col(_MEDIANS).max()).collect())
    joined = reduce(lambda left, right: left.join(right, on="month", how="full", coalesce=True), tables)
    return joined.sort("month")


def _panel(market: Market, inputs: Inputs) -> SdfPanel:
    """All target months of a range, the one after it included."""
    columns = [pl.col(name) for name in ("month", market.key, *market.features)]
    groups = [] if market.group is None else [market.group.alias("group")]
    characteristics = inputs.lazy("characteristics").select(*columns, *groups).collect()
    months = [shift(month, 1) for month in characteristics["month"].unique().sort()]
    return sdf_panel(characteristics, inputs["returns"], _macro(market, inputs), months, **_named(market))


def _target_months(market: Market, inputs: Inputs) -> list[date]:
    """Months of a range in which any asset of the panel has a return, found without putting the panel together."""
    before = inputs.lazy("characteristics").select(pl.col("month").dt.offset_by("1mo"), market.key)
    earned = inputs.lazy("returns").filter(pl.col("ret_excess").is_finite()).select("month", market.key)
    months = earned.join(before, on=["month", market.key], how="semi").select(pl.col("month").unique()).collect()
    return months["month"].to_list()


def _named(market: Market) -> dict[str, Any]:
    return {"key": market.key, "names": market.features, "group": None if market.group is None else "group"}


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


def due(months: int, settings: SdfSettings) -> bool:
    """Whether the networks are searched for in a month that has so many months of returns.

    It depends on that number alone, never on when the pipeline ran.
    """
    since = months - settings.min_months
    return since == 0 if settings.search_months == 0 else since >= 0 and since % settings.search_months == 0


def _search(market: Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    chosen = market.settings(settings)
    known = inputs.once("months", lambda: _target_months(market, inputs))
    if not due(sum(each <= month for each in known), chosen):
        return Step(pl.DataFrame(schema=SEARCH_SCHEMA))
    panel = with_returns(inputs.once("panel", lambda: _panel(market, inputs)).through(month))
    from pipeline.sdf import walk_forward

    with _one_thread():
        frame, models = walk_forward.searched(panel, month, chosen, inputs.pieces)
    return Step(frame, *walk_forward.to_arrays(models))


def _search_figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    winners = frame.filter(pl.col("winner")).select("objective", "environment", "network", "architecture", "score")
    return {
        "configurations": frame.height,
        "endings": dict(frame["ending"].value_counts(sort=True).iter_rows()),
        "winners": [dict(row) for row in winners.to_dicts()],
    }


# Every month


def _since_search(settings: SdfSettings) -> int | None:
    """Months back in which the last search lies; None for all."""
    return settings.search_months - 1 if settings.search_months else None


def _estimate(market: Market, inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    from pipeline.sdf import walk_forward

    chosen = market.settings(settings)
    everything = inputs.once("panel", lambda: _panel(market, inputs))
    known, coming = partial(with_returns, everything.through(month)), shift(month, 1)
    with _one_thread():
        models = _models(inputs.states("search"), month, previous, known, chosen)
        frame = walk_forward.weights(models, everything.between(coming, coming), month, chosen)
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
        reads=partial(_panel_reads, market),
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
            **_panel_reads(market, settings),
            "search": States(source=search.name, lookback=_since_search(market.settings(settings))),
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
