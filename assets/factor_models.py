"""Factor models side by side: every family re-estimated each month, and their forecasts in one table.

How the forecasts fare beside others says ``assets.comparisons``; only those of the direction are scored here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.reads import Inputs, Partitions, Read, Rows, States
from assets.training import set_instruments
from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import RANKED
from pipeline.bonds.registry import SETS as BOND_SETS
from pipeline.equity.definition import KPS36
from pipeline.equity.registry import SETS
from pipeline.equity.test_portfolios import test_portfolio_returns
from pipeline.evaluation.forecast_moments import classification_moments
from pipeline.models.factor_instruments import EMPIRICAL, MACRO, PREDICTORS, factor_instruments, instrument_series
from pipeline.models.factor_model import AssetReturns, CrossSection, MonthlySeries, PooledPanel, Sample
from pipeline.models.families import FAMILIES, FactorModelSettings, Family
from pipeline.models.managed_portfolios import RETURN, SufficientStatistics, instrument_matrix, instrument_names
from pipeline.models.observed_factors import OBSERVED
from pipeline.models.recursion import RecursionState, forecasts, model_month
from pipeline.panel.training import share_present
from resources.settings import Settings

MODELS, FORECASTS, EVALUATION = "models", "forecasts", "evaluation"

_OBSERVED_NAMES = tuple(dict.fromkeys(name for factors in OBSERVED.values() for name in factors))


@dataclass(frozen=True, kw_only=True)
class Characteristics:
    """Where the characteristics of a market's assets are found.

    Attributes
    ----------
    portfolios : str
        Asset with the sufficient statistics.
    source : str
        Asset with the characteristics of the month, for forecasts.
    set_name : str
        The set of characteristics.
    members, instruments : tuple of str
        Its characteristics, and the columns of their ranks.
    section : str
        Section of the settings that says who enters the models.
    """

    portfolios: str
    source: str
    set_name: str
    members: tuple[str, ...]
    instruments: tuple[str, ...]
    section: str

    def min_present(self, settings: Settings) -> float:
        """Share of the set's characteristics that an asset must have."""
        return getattr(settings, self.section).min_present


@dataclass(frozen=True, kw_only=True)
class Market:
    """Where the factor models of a market find their data.

    Attributes
    ----------
    name : str
        Beginning of the assets' names.
    words : str
        Whose returns, for descriptions.
    section : str
        Section of the settings of the models.
    panel, returns : str
        Assets: the returns that models are trained on, and all that are realised.
    key : str
        Identifier of an asset of the cross-section.
    characteristics : Characteristics or None
        None where assets have none; only models with loadings of single assets are then estimated.
    """

    name: str
    words: str
    section: str
    panel: str
    returns: str
    key: str
    characteristics: Characteristics | None = None

    def models(self, settings: Settings) -> FactorModelSettings:
        """Give the settings of the models."""
        return getattr(settings, self.section)

    def needs(self, family: Family) -> tuple[str, ...] | None:
        """Parts of the sample that a family takes here; None where it can't be estimated."""
        return family.needs if self.characteristics else family.needs_without

    @property
    def families(self) -> tuple[Family, ...]:
        """Families that can be estimated."""
        return tuple(family for family in FAMILIES.values() if self.needs(family) is not None)


MARKETS = (
    Market(
        name="bond",
        words="bond returns",
        section="bond_factor_models",
        panel="bond_training_panel",
        returns="bond_returns",
        key="isin",
        characteristics=Characteristics(
            portfolios="bond_managed_portfolios",
            source="bond_characteristics",
            set_name=NOTEBOOK,
            members=BOND_SETS[NOTEBOOK],
            instruments=RANKED,
            section="bond_models",
        ),
    ),
    Market(
        name="stock",
        words="stock returns",
        section="stock_factor_models",
        panel="stock_training_panel",
        returns="stock_returns",
        key="permno",
        characteristics=Characteristics(
            portfolios=f"stock_managed_portfolios_{KPS36}",
            source="firm_characteristics",
            set_name=KPS36,
            members=SETS[KPS36],
            instruments=set_instruments(KPS36),
            section="stock_models",
        ),
    ),
    Market(
        name="portfolio",
        words="returns of test portfolios",
        section="portfolio_factor_models",
        panel="test_portfolios",
        returns="test_portfolios",
        key="portfolio",
    ),
)


# What a family reads, and the sample made of it


def _reads(market: Market, family: Family, settings: Settings) -> dict[str, Read]:
    needs, history = market.needs(family) or (), market.models(settings).min_months
    found: dict[str, Read] = {}
    if market.characteristics:
        source = market.characteristics.portfolios
        found["portfolios"] = Partitions(source=source, lookback=None, history=history, spine=True)
    if {"returns", "panel"} & set(needs):
        alone = market.characteristics is None
        found["panel"] = Partitions(source=market.panel, lookback=None, spine=alone, history=history if alone else 1)
    if "instruments" in needs:
        found["instruments"] = Partitions(source="factor_instruments", lookback=None)
    if "observed" in needs:
        found["factors"] = Partitions(source="french_factors", lookback=None)
    return found


class _Source:
    """The parts of a sample, each made from what was read."""

    def __init__(self, market: Market, inputs: Inputs, settings: Settings) -> None:
        self.market, self.inputs, self.settings = market, inputs, settings
        self.characteristics = market.characteristics

    def sample(self, needs: Sequence[str]) -> Sample:
        """All months with assets that were read."""
        months = self._months()
        return Sample(**{name: getattr(self, f"{name}_of")(months) for name in needs})

    def _months(self) -> tuple[date, ...]:
        if self.characteristics is None:
            return tuple(self._rows()["month"].unique().sort())
        return tuple(self.inputs["portfolios"].filter(pl.col("n") > 0)["month"].sort())

    def statistics_of(self, months: tuple[date, ...]) -> SufficientStatistics:
        assert self.characteristics is not None
        rows = self.inputs["portfolios"].filter(pl.col("month").is_in(list(months)))
        return SufficientStatistics.from_frame(rows, self.characteristics.instruments)

    def instruments_of(self, months: tuple[date, ...]) -> MonthlySeries:
        return instrument_series(self.inputs["instruments"], self.settings.factor_instruments.names, months)

    def observed_of(self, months: tuple[date, ...]) -> MonthlySeries:
        return instrument_series(self.inputs["factors"], _OBSERVED_NAMES, months)

    def _rows(self, *columns: str) -> pl.DataFrame:
        kept = self.inputs.lazy("panel").filter(pl.col(RETURN).is_not_null())
        if self.characteristics is not None:
            enough = self.characteristics.min_present(self.settings)
            kept = kept.filter(pl.col(f"present_{self.characteristics.set_name}") >= enough)
        named = pl.col(self.market.key).cast(pl.String).alias("asset")
        return kept.select("month", named, RETURN, *columns).collect()

    def returns_of(self, months: tuple[date, ...]) -> AssetReturns:
        rows = self._rows().filter(pl.col("month").is_in(list(months)))
        assets = rows["asset"].unique().sort()
        values = np.full((len(months), len(assets)), np.nan)
        place = {month: t for t, month in enumerate(months)}
        column = rows["asset"].cast(pl.Enum(assets)).to_physical().to_numpy()
        values[rows["month"].replace_strict(place, return_dtype=pl.Int64).to_numpy(), column] = rows[RETURN].to_numpy()
        return AssetReturns(months=months, assets=tuple(assets), values=values)

    def panel_of(self, months: tuple[date, ...]) -> PooledPanel:
        assert self.characteristics is not None
        instruments = self.characteristics.instruments
        rows = self._rows(*instruments).filter(pl.col("month").is_in(list(months))).sort("month", "asset")
        held = dict(rows.group_by("month").len().iter_rows())
        return PooledPanel(
            months=months,
            bounds=np.concatenate([[0], np.cumsum([held.get(month, 0) for month in months])]).astype(np.int64),
            characteristics=instrument_matrix(rows, instruments),
            returns=rows[RETURN].to_numpy().astype(np.float64),
            assets=rows["asset"].to_numpy(),
            names=instrument_names(instruments),
        )


# Estimation


def _estimate(
    market: Market, family: Family, inputs: Inputs, month: date, settings: Settings, previous: Previous | None
) -> Step:
    models = market.models(settings)
    needs = market.needs(family) or ()
    sample = inputs.once("sample", lambda: _Source(market, inputs, settings).sample(needs)).through(month)
    last = RecursionState.from_arrays(previous.arrays, previous.text) if previous else None
    frame, state = model_month(family.specifications(models), sample, last, month, models)
    return Step(frame, *state.to_arrays())


def _figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    return {
        "specifications": frame.height,
        "estimated": int(frame["refitted"].sum()),
        "iterations": int(frame["iterations"].sum()),
        "not converged": [
            f"{model} {K}" for model, K, met in frame.select("model", "n_factors", "converged").iter_rows() if not met
        ],
    }


def _sections(market: Market, family: Family) -> tuple[str, ...]:
    needs = market.needs(family) or ()
    sections = [market.section]
    if "instruments" in needs:
        sections.append("factor_instruments")
    if market.characteristics and {"returns", "panel"} & set(needs):
        sections.append(market.characteristics.section)
    return tuple(sections)


def _estimation(market: Market, family: Family) -> MonthlyAsset:
    return MonthlyAsset(
        name=f"{market.name}_{family.name}",
        group=MODELS,
        description=(
            f"Estimates of {family.title}, on {market.words} of all months up to this one, from last month's "
            "parameters: factors, loadings, R2."
        ),
        schema=schemas.factor_models,
        reads=partial(_reads, market, family),
        compute=partial(_estimate, market, family),
        figures=_figures,
        settings=_sections(market, family),
        recursive=True,
        kinds=frozenset({"numpy", "parquet"}),
        series=("total_r2",),
        code_version="2",
    )


# Forecasts


def _cross_sections(
    market: Market, inputs: Inputs, months: Sequence[date], settings: Settings
) -> Iterator[CrossSection]:
    held = market.characteristics
    rows, instruments = inputs.lazy("assets"), () if held is None else held.instruments
    if held is not None:
        rows = rows.filter(share_present(held.members) >= held.min_present(settings))
    sections = rows.select("month", market.key, *instruments).sort("month", market.key).collect()
    by_month = sections.partition_by("month", as_dict=True)
    for month in months:
        assets = by_month.get((month,), sections.clear())
        yield CrossSection(
            assets=assets[market.key].cast(pl.String).to_numpy(),
            characteristics=None if held is None else instrument_matrix(assets, instruments),
        )


def _forecast(market: Market, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    states = [inputs.states(family.name) for family in market.families]
    return pl.concat(
        forecasts([RecursionState.from_arrays(*each[month]) for each in states], section, month)
        for month, section in zip(months, _cross_sections(market, inputs, months, settings), strict=True)
    )


def _scores(market: Market, inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return classification_moments(inputs["forecasts"], inputs["returns"], months, key=market.key)


def _directions(market: Market) -> MonthlyAsset:
    return MonthlyAsset(
        name=f"{market.name}_direction_moments",
        group=EVALUATION,
        description="Log loss, Brier score and hits of the forecasts of this month's direction.",
        schema=schemas.direction_moments,
        reads=lambda settings: {
            "forecasts": Partitions(source=f"{market.name}_factor_forecasts", lag=1),
            "returns": Partitions(source=market.returns),
        },
        compute=partial(_scores, market),
        series=("n",),
        chunk_months=24,
    )


def _forecasts(market: Market) -> MonthlyAsset:
    assets = market.characteristics.source if market.characteristics else market.returns
    return MonthlyAsset(
        name=f"{market.name}_factor_forecasts",
        group=FORECASTS,
        description=(
            "What every factor model expects of the next month at the end of this one: excess returns, decimals; "
            "for models of the direction the probability of a positive one."
        ),
        schema=schemas.factor_forecasts,
        reads=lambda settings: {
            **{family.name: States(source=f"{market.name}_{family.name}") for family in market.families},
            "assets": Partitions(source=assets),
        },
        compute=partial(_forecast, market),
        settings=(market.characteristics.section,) if market.characteristics else (),
        kinds=frozenset({"numpy", "parquet"}),
        chunk_months=12,
    )


def _assets(market: Market) -> Iterator[MonthlyAsset]:
    for family in market.families:
        yield _estimation(market, family)
    yield _forecasts(market)
    if market.characteristics:
        yield _directions(market)


# What several markets share


_SOURCES = {EMPIRICAL: "french_factors", MACRO: "fred_md", PREDICTORS: "goyal_welch"}


def _factor_instruments(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    chosen = settings.factor_instruments
    series = inputs["series"]
    if chosen.source == MACRO:
        series = series.filter(pl.col("series").is_in(chosen.names)).pivot("series", index="month", values="value")
    return factor_instruments(series, months, chosen)


def _test_portfolios(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    tables = inputs.present("table ")
    named = {name: tables[name] for name in sorted(tables)}
    return test_portfolio_returns(named, inputs["factors"], months, settings.test_portfolios)


def _test_portfolio_reads(settings: Settings) -> dict[str, Read]:
    chosen = settings.test_portfolios
    tables = (*chosen.long_short, *chosen.long_only)
    return {
        "factors": Partitions(source="french_factors"),
        **{f"table {name}": Rows(source=name, optional=True, spine="table") for name in tables},
    }


INSTRUMENTS = MonthlyAsset(
    name="factor_instruments",
    group="macro",
    description=(
        "The series that factors of conditional models are functions of: ten empirical asset pricing factors, or macro "
        "predictors, as the settings say. Decimals."
    ),
    schema=schemas.factor_instruments,
    reads=lambda settings: {
        "series": Partitions(source=_SOURCES[settings.factor_instruments.source], lookback=None),
    },
    compute=_factor_instruments,
    settings=("factor_instruments",),
    code_version="2",
)

PORTFOLIOS = MonthlyAsset(
    name="test_portfolios",
    group="training",
    description="Excess returns of portfolios that models are tested on: anomalies and sorts, as published. Decimals.",
    schema=schemas.test_portfolios,
    reads=_test_portfolio_reads,
    compute=_test_portfolios,
    settings=("test_portfolios",),
)

ASSETS = (INSTRUMENTS, PORTFOLIOS, *(asset for market in MARKETS for asset in _assets(market)))
