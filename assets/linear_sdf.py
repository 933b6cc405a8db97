"""The linear side of the stochastic discount factor: bond factor, kernels by GMM, predictive regressions, regimes.

All of it is on the 40 bond portfolios. What is estimated in sample uses all months up to the partition's, with factors
of the whole sample so far; a forecast uses what each month knew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.figures import first_row
from assets.reads import Inputs, Partitions, Read
from pipeline.macro.cochrane_piazzesi import HORIZON, cochrane_piazzesi, whole_sample_factor
from pipeline.macro.factor_signs import aligned_factors
from pipeline.macro.published_factors import COUNTS_SCHEMA, factors_of_published, published_counts
from pipeline.models.linear_settings import LinearSdfSettings, PredictiveSettings
from pipeline.models.linear_tables import BOND_FACTOR, KERNELS_SCHEMA, REGRESSIONS_SCHEMA
from pipeline.panel.calendar import due
from resources.settings import Settings

MACRO, MODELS, FORECASTS = "macro", "models", "forecasts"

_RETURNS, _CURVE, _PUBLISHED = "bond_portfolios", "treasury_curve", "fred_md"

WHOLE_SAMPLE, REAL_TIME = "whole_sample", "real_time"
ZERO, MEAN = "zero", "mean"


def _everything(source: str, **options: Any) -> Read:
    return Partitions(source=source, lookback=None, **options)


def _months_of_returns(inputs: Inputs) -> list[date]:
    earned = inputs["returns"].filter(pl.col("ret_excess").is_not_null())
    return earned["month"].unique().sort().to_list()


def _due_months(inputs: Inputs, months: Sequence[date], chosen: LinearSdfSettings | PredictiveSettings) -> list[date]:
    known = _months_of_returns(inputs)
    return [month for month in months if due(known, month, chosen.min_months, chosen.refit_months)]


def _excess_returns(inputs: Inputs) -> pl.DataFrame:
    named = pl.col("portfolio").alias("asset_id")
    return inputs["returns"].select("month", named, pl.col("ret_excess").alias("ret"))


# The bond factor and how many macro factors there are


def _cochrane_piazzesi(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return cochrane_piazzesi(inputs["curve"], months, settings.cochrane_piazzesi)


def _counts(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    chosen = settings.linear_sdf
    blocks = [
        published_counts(inputs["published"], month, chosen.counted_most, settings.macro_factors)
        for month in _due_months(inputs, months, chosen)
    ]
    return pl.concat([pl.DataFrame(schema=COUNTS_SCHEMA), *blocks])


# Kernels


def _kernels(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    from pipeline.models.kernel_table import kernel_table

    chosen, returns = settings.linear_sdf, _excess_returns(inputs)
    blocks = [
        kernel_table(
            returns,
            factors_of_published(inputs["published"], month, max(chosen.sizes), settings.macro_factors),
            whole_sample_factor(inputs["curve"], month, settings.cochrane_piazzesi),
            month,
            chosen,
        )
        for month in _due_months(inputs, months, chosen)
    ]
    return pl.concat([pl.DataFrame(schema=KERNELS_SCHEMA), *blocks])


def _kernel_figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    if frame.is_empty():
        return {}
    left = frame.filter(pl.col("reason").is_not_null())
    return {
        "kernels": frame.height - left.height,
        "rejected at 5%": int((frame["p"] < 0.05).sum()),
        "not converged": int((~frame["converged"]).sum()),
        "not estimated": dict(left.select(pl.format("{} {}", "n_factors", "cp"), "reason").iter_rows()),
    }


# Predictive regressions


def _macro_columns(settings: Settings) -> tuple[str, ...]:
    return tuple(f"pc_{k}" for k in range(1, settings.macro_factors.n_factors + 1))


def _in_real_time(inputs: Inputs, settings: Settings) -> pl.DataFrame:
    """Predictors as each month knew them."""
    macro = aligned_factors(inputs["macro"])
    return macro.join(inputs["bond_factor"].select("month", BOND_FACTOR), on="month", how="full", coalesce=True)


def _of_whole_sample(inputs: Inputs, month: date, settings: Settings) -> pl.DataFrame:
    """Predictors of all months up to one, as estimated in that one."""
    names = _macro_columns(settings)
    macro = factors_of_published(inputs["published"], month, len(names), settings.macro_factors)
    bond_factor = whole_sample_factor(inputs["curve"], month, settings.cochrane_piazzesi)
    if macro is None:
        return bond_factor.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    return macro.frame(len(names)).join(bond_factor, on="month", how="full", coalesce=True)


def _regressions(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    from pipeline.models.predictive_regressions import log_excess_returns, regression_tables

    chosen = settings.predictive_regressions
    now = _due_months(inputs, months, chosen)
    if not now:
        return pl.DataFrame(schema=REGRESSIONS_SCHEMA)
    specifications = {"cp": (BOND_FACTOR,), "macro_cp": (BOND_FACTOR, *_macro_columns(settings))}
    returns = log_excess_returns(inputs["returns"].rename({"portfolio": "asset_id"}))
    real_time = _in_real_time(inputs, settings)
    return pl.concat(
        regression_tables(
            returns,
            {WHOLE_SAMPLE: _of_whole_sample(inputs, month, settings), REAL_TIME: real_time},
            month,
            specifications,
            chosen,
        )
        for month in now
    )


def _forecast_models(settings: Settings) -> dict[str, tuple[str, ...]]:
    macro = _macro_columns(settings)
    return {
        MEAN: (),
        "predictive_cp": (BOND_FACTOR,),
        "predictive_macro": macro,
        "predictive_macro_cp": (*macro, BOND_FACTOR),
    }


def _forecasts(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    from pipeline.models.predictive_regressions import recursive_forecasts

    predictors, models = _in_real_time(inputs, settings), _forecast_models(settings)
    made = recursive_forecasts(_excess_returns(inputs), predictors, months, models, settings.predictive_regressions)
    means = made.filter(pl.col("model") == MEAN)
    return pl.concat([made, means.with_columns(pl.lit(ZERO).alias("model"), pl.lit(0.0).alias("forecast"))])


# Regimes


def _regimes(inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    from pipeline.models.regime_recursion import from_arrays, regimes_of_month, to_arrays

    chosen = settings.regimes
    known = inputs.once("months", lambda: _months_of_returns(inputs))
    now = due(known, month, chosen.min_months, chosen.refit_months)
    carried = from_arrays(previous.arrays, previous.text) if previous else {}
    frame, carried = regimes_of_month(_excess_returns(inputs), month, carried, now, chosen)
    return Step(frame, *to_arrays(carried))


def _returns_of(section: str, settings: Settings) -> Read:
    return _everything(_RETURNS, spine=True, history=getattr(settings, section).min_months)


def _kernel_reads(settings: Settings) -> dict[str, Read]:
    return {
        "returns": _returns_of("linear_sdf", settings),
        "published": _everything(_PUBLISHED),
        "curve": _everything(_CURVE),
    }


def _real_time_reads(settings: Settings) -> dict[str, Read]:
    return {
        "returns": _returns_of("predictive_regressions", settings),
        "macro": _everything("macro_factors"),
        "bond_factor": _everything(BOND_FACTOR),
    }


ASSETS = (
    MonthlyAsset(
        name=BOND_FACTOR,
        group=MACRO,
        description=(
            "Bond factor of Cochrane and Piazzesi (2008): the combination of forward spreads that forecasts annual "
            "returns of Treasury zero-coupon bonds, from returns that were complete by the month's end. Decimal."
        ),
        schema=schemas.cochrane_piazzesi,
        reads=lambda settings: {
            "curve": _everything(_CURVE, spine=True, history=settings.cochrane_piazzesi.min_months + HORIZON)
        },
        compute=_cochrane_piazzesi,
        figures=first_row(BOND_FACTOR, "n_months", "factor_r2"),
        settings=("cochrane_piazzesi",),
        kinds=frozenset({"numpy", "parquet"}),
        series=(BOND_FACTOR, "factor_r2"),
    ),
    MonthlyAsset(
        name="macro_factor_counts",
        group=MODELS,
        description=(
            "Number of macro factors of everything published up to the month by criteria of Bai and Ng (2002), with "
            "penalties scaled down and several largest numbers, when the linear kernels are estimated."
        ),
        schema=schemas.macro_factor_counts,
        reads=lambda settings: {name: read for name, read in _kernel_reads(settings).items() if name != "curve"},
        compute=_counts,
        settings=("linear_sdf", "macro_factors"),
        kinds=frozenset({"numpy", "parquet"}),
    ),
    MonthlyAsset(
        name="bond_portfolio_linear_sdf",
        group=MODELS,
        description=(
            "Kernels linear in macro factors and the bond factor, estimated on the 40 bond portfolios by the "
            "generalised method of moments on all months up to this one: tests of their moments and fit (Duraj and "
            "Giesecke 2025, table 9). No rows in a month without estimates."
        ),
        schema=schemas.bond_portfolio_linear_sdf,
        reads=_kernel_reads,
        compute=_kernels,
        figures=_kernel_figures,
        settings=("linear_sdf", "macro_factors", "cochrane_piazzesi"),
        kinds=frozenset({"numpy", "parquet"}),
    ),
    MonthlyAsset(
        name="bond_portfolio_predictive_regressions",
        group=MODELS,
        description=(
            "Log excess returns of the 40 bond portfolios regressed on the month before's bond factor and macro "
            "factors, over all months up to this one; predictors of the whole sample and as each month knew them "
            "(Duraj and Giesecke 2025, tables A.14 to A.19). No rows in a month without estimates."
        ),
        schema=schemas.bond_portfolio_predictive_regressions,
        reads=lambda settings: {
            **_real_time_reads(settings),
            "published": _everything(_PUBLISHED),
            "curve": _everything(_CURVE),
        },
        compute=_regressions,
        settings=("predictive_regressions", "macro_factors", "cochrane_piazzesi"),
        kinds=frozenset({"numpy", "parquet"}),
    ),
    MonthlyAsset(
        name="bond_portfolio_predictive_forecasts",
        group=FORECASTS,
        description=(
            "What predictive regressions, the mean so far and zero expect of each bond portfolio's excess return in "
            "the next month, with coefficients of the months so far and predictors as each month knew them. Decimals."
        ),
        schema=schemas.factor_forecasts,
        reads=_real_time_reads,
        compute=_forecasts,
        settings=("predictive_regressions", "macro_factors"),
        kinds=frozenset({"numpy", "parquet"}),
        chunk_months=24,
    ),
    MonthlyAsset(
        name="bond_portfolio_regimes",
        group=MODELS,
        description=(
            "Regimes of the 40 bond portfolios by Gaussian hidden Markov models: probability of each state given the "
            "returns up to the month, under parameters estimated on the months so far."
        ),
        schema=schemas.bond_portfolio_regimes,
        reads=lambda settings: {"returns": _returns_of("regimes", settings)},
        compute=_regimes,
        settings=("regimes",),
        recursive=True,
        kinds=frozenset({"hmmlearn", "parquet"}),
    ),
)
