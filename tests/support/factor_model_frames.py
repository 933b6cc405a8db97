"""Factor models of made-up bonds and stocks, estimated month by month, for the page of factor models."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.bonds.registry import RANKED
from pipeline.equity.registry import SETS, ranked
from pipeline.evaluation.forecast_moments import classification_moments, forecast_moments
from pipeline.models import recursion
from pipeline.models.conditional_factors import ConditionalFactorModel
from pipeline.models.factor_instruments import INSTRUMENTS, instrument_series
from pipeline.models.factor_model import AssetReturns, CrossSection, PooledPanel, Sample
from pipeline.models.families import FAMILIES, FactorModelSettings
from pipeline.models.managed_portfolios import SufficientStatistics, instrument_matrix, instrument_names
from pipeline.models.observed_factors import OBSERVED
from pipeline.models.recursion import RecursionState, model_month
from pipeline.report.data import ReportData

_INSTRUMENTS = INSTRUMENTS["empirical"]
_OBSERVED = tuple(dict.fromkeys(name for factors in OBSERVED.values() for name in factors))
#: Series that the models take.
SERIES = tuple(dict.fromkeys((*_INSTRUMENTS, *_OBSERVED)))
#: Two sizes, parameters estimated once and carried on for thirteen months.
_COMPARED = FactorModelSettings(
    n_factors=(1, 2), min_months=46, refit_months=60, asset_months=24, starts=1, max_iterations=8
)
_ALONE = ("cfm", "rcfm", "observed", "pca", "rp_pca", "naive")


def _bond_sample(training: pl.DataFrame, portfolios: pl.DataFrame, series: pl.DataFrame) -> Sample:
    """All parts of a sample of bonds."""
    rows = training.drop_nulls("ret_excess").sort("month", "isin")
    months = tuple(rows["month"].unique().sort())
    wide = rows.pivot("isin", index="month", values="ret_excess", sort_columns=True).sort("month").drop("month")
    return Sample(
        statistics=SufficientStatistics.from_frame(portfolios, RANKED),
        instruments=instrument_series(series, _INSTRUMENTS, months),
        observed=instrument_series(series, _OBSERVED, months),
        returns=AssetReturns(months=months, assets=tuple(wide.columns), values=wide.to_numpy()),
        panel=PooledPanel(
            months=months,
            bounds=np.append(0, np.cumsum(rows.group_by("month", maintain_order=True).len()["len"])).astype(np.int64),
            characteristics=instrument_matrix(rows, RANKED),
            returns=rows["ret_excess"].to_numpy(),
            assets=rows["isin"].to_numpy(),
            names=instrument_names(RANKED),
        ),
    )


def _estimated(
    sample: Sample, characteristics: pl.DataFrame
) -> tuple[dict[str, list], dict[str, RecursionState], list]:
    """Rows and newest state of every family, and all forecasts."""
    rows: dict[str, list] = {name: [] for name in FAMILIES}
    states: dict[str, RecursionState] = {}
    made = []
    for month in sample.months[_COMPARED.min_months - 1 :]:
        for name, family in FAMILIES.items():
            parts = Sample(**{part: sample.parts[part] for part in family.needs}).through(month)
            last = states.get(name)
            frame, states[name] = model_month(family.specifications(_COMPARED), parts, last, month, _COMPARED)
            rows[name].append(frame)
        assets = characteristics.filter(month=month)
        section = CrossSection(assets=assets["isin"].to_numpy(), characteristics=instrument_matrix(assets, RANKED))
        made.append(recursion.forecasts(list(states.values()), section, month))
    return rows, states, made


def _memory_of_firms(portfolios: pl.DataFrame, series: pl.DataFrame) -> RecursionState:
    """Return the state of one model of stocks."""
    statistics = SufficientStatistics.from_frame(portfolios, ranked(SETS["kps36"])).take(slice(0, 36))
    sample = Sample(statistics=statistics, instruments=instrument_series(series, _INSTRUMENTS, statistics.months))
    model = ConditionalFactorModel(1, recurrent=True, conditional=True, starts=1, max_iterations=5)
    return RecursionState(month=statistics.months[-1], results={"rdcfm.1": model.fit(sample)})


def factor_model_report(full: ReportData, firms: ReportData, series: pl.DataFrame, *, stand_in: str) -> ReportData:
    """Return a report of factor models with every frame.

    Parameters
    ----------
    full, firms : ReportData
        Reports of bonds and of firms.
    series : pl.DataFrame
        month and :data:`SERIES`.
    stand_in : str
        What stood in for an instrument.
    """
    characteristics, returns = (full.frame(name) for name in ("bond_characteristics", "bond_returns"))
    training, portfolios = (full.frame(name) for name in ("bond_training_panel", "bond_managed_portfolios"))
    rows, states, made = _estimated(_bond_sample(training, portfolios, series), characteristics)
    targets = [month for month in returns["month"].unique().sort() if month > made[0]["month"][0]]
    moments, directions = (
        measure(pl.concat(made), returns, targets) for measure in (forecast_moments, classification_moments)
    )
    firm_portfolios = firms.frame("stock_managed_portfolios_kps36")
    alone = ~pl.any_horizontal(pl.col("model_a", "model_b").str.contains("^(rdcfm|dcfm|ipca)$|_conditional$"))
    estimates = {name: pl.concat(frames) for name, frames in rows.items()}
    return ReportData(
        market="a market <of tests>",
        sources={"crsp.msf": "monthly <one>.parquet"},
        settings={"bond_factor_models": {"n_factors": (1, 2)}},
        states={
            **{f"bond_{name}": states[name] for name in ("rdcfm", "rcfm")},
            "portfolio_rcfm": states["rcfm"],
            "stock_rdcfm": _memory_of_firms(firm_portfolios, series),
        },
        frames={
            "factor_instruments": series.select("month", *_INSTRUMENTS, stand_in=pl.lit(stand_in)),
            "bond_forecast_moments": moments,
            "stock_forecast_moments": moments,
            "portfolio_forecast_moments": moments.filter(alone),
            "bond_direction_moments": directions,
            "stock_direction_moments": directions,
            "test_portfolios": training.select("month", "ret_excess", portfolio="isin"),
            "bond_managed_portfolios": portfolios,
            "stock_managed_portfolios_kps36": firm_portfolios,
            **{f"{market}_{name}": frame for name, frame in estimates.items() for market in ("bond", "stock")},
            **{f"portfolio_{name}": estimates[name] for name in _ALONE},
            "truth.summary": pl.DataFrame({"statistic": ["total_r2"], "value": [0.8]}),
        },
    )
