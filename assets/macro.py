"""Macro assets: published factors, FRED-MD, predictors, the Treasury curve, VIX and bond-market innovations.

Every one is a function of ``pipeline.macro`` over declared windows. One row a month for the series; a value that can't
be computed is null, the month is never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset
from assets.figures import first_row
from assets.reads import Inputs, Partitions, Read, Rows, Vintages
from pipeline.macro.bond_market import bond_market_factor
from pipeline.macro.fred_md import fred_md
from pipeline.macro.french import MONTHLY_TABLES, french_factors, french_factors_daily
from pipeline.macro.goyal_welch import LOOKBACK as GOYAL_WELCH_LOOKBACK
from pipeline.macro.goyal_welch import RECIPES, goyal_welch
from pipeline.macro.goyal_welch import TABLES as GOYAL_WELCH_TABLES
from pipeline.macro.macro_factors import macro_factors
from pipeline.macro.treasury import TREASURY_SERIES, treasury_curve
from pipeline.macro.vix import vix_innovation
from resources.settings import Settings

GROUP = "macro"
_YIELD = "yield_"
_ZERO = "zero_yields"


def _optional_rows(tables: Sequence[str], lookback: int = 0) -> dict[str, Read]:
    return {table: Rows(source=table, lookback=lookback, optional=True) for table in tables}


def _french_factors(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return french_factors(inputs.present(), months)


def _french_factors_daily(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return french_factors_daily(inputs.present(), months)


def _fred_md(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return fred_md(inputs.vintages("fred_md"), months, settings.fred_md)


def _macro_factors(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return macro_factors(inputs.vintages("fred_md"), months, settings.macro_factors)


def _goyal_welch(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return goyal_welch(inputs.present(), months, settings.goyal_welch)


def _treasury_curve(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return treasury_curve(inputs.present(_YIELD), inputs.get(_ZERO), months)


def _vix_innovation(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return vix_innovation(inputs["prices"], months, settings.vix_innovation)


def _bond_market_factor(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return bond_market_factor(inputs["prices"], inputs["treasury_curve"], months, settings.bond_market_factor)


def _treasury_reads(settings: Settings) -> dict[str, Read]:
    # The changes of the month need the month before; the curve is worth having with some tenors only.
    yields: dict[str, Read] = {
        f"{_YIELD}{tenor}": Rows(source=f"fred.{series}", lookback=1, optional=True)
        for tenor, series in TREASURY_SERIES.items()
    }
    return yields | {_ZERO: Rows(source="treasury.zero_yields", optional=True)}


ASSETS = (
    MonthlyAsset(
        name="french_factors",
        group=GROUP,
        description=(
            "Monthly factor returns as published: Fama-French three and five factors, momentum, q factors, HML devil, "
            "liquidity and intermediary capital. Decimals; null where a file is not there or has ended."
        ),
        schema=schemas.french_factors,
        reads=lambda settings: _optional_rows(MONTHLY_TABLES),
        any_of=(("french.factors_3",), ("french.factors_5",)),
        compute=_french_factors,
        series=("mkt_rf", "smb", "hml", "wml"),
    ),
    MonthlyAsset(
        name="french_factors_daily",
        group=GROUP,
        description="Daily Fama-French three factors and the bill rate, decimals.",
        schema=schemas.french_factors_daily,
        reads=lambda settings: {"french.factors_3_daily": Rows(source="french.factors_3_daily")},
        compute=_french_factors_daily,
    ),
    MonthlyAsset(
        name="fred_md",
        group=GROUP,
        description=(
            "The newest transformed observation of every FRED-MD series that was published by the month's end "
            "(McCracken and Ng 2016), from the vintage of the month, else the earliest later one cut at the month."
        ),
        schema=schemas.fred_md,
        reads=lambda settings: {"fred_md": Vintages(source="fred_md")},
        compute=_fred_md,
        figures=first_row("vintage"),
        settings=("fred_md",),
    ),
    MonthlyAsset(
        name="macro_factors",
        group=GROUP,
        description=(
            "Principal components of FRED-MD estimated on what was published by the month's end: outliers removed, "
            "gaps filled by EM, the number of factors by Bai and Ng (2002)."
        ),
        schema=schemas.macro_factors,
        reads=lambda settings: {"fred_md": Vintages(source="fred_md")},
        compute=_macro_factors,
        figures=first_row("vintage", "reference_month", "n_bai_ng", "converged"),
        settings=("macro_factors",),
        code_version="2",
        series=("n_bai_ng", "n_series"),
    ),
    MonthlyAsset(
        name="goyal_welch",
        group=GROUP,
        description=(
            "Six predictors of Goyal and Welch (2008), transformed: dp, bm, ntis, tms, dfy, svar; from FRED and the "
            "CRSP index or the published file, whichever is on disk."
        ),
        schema=schemas.goyal_welch,
        reads=lambda settings: _optional_rows(GOYAL_WELCH_TABLES, GOYAL_WELCH_LOOKBACK),
        any_of=tuple(recipe.tables for recipe in RECIPES),
        compute=_goyal_welch,
        figures=first_row("source"),
        settings=("goyal_welch",),
        series=("dp", "dfy", "svar"),
    ),
    MonthlyAsset(
        name="treasury_curve",
        group=GROUP,
        description=(
            "Par yields on the month's last trading day and their changes, term spread, returns of 10-, 20- and "
            "30-year par bonds, zero yields and forward spreads."
        ),
        schema=schemas.treasury_curve,
        reads=_treasury_reads,
        any_of=tuple((f"{_YIELD}{tenor}",) for tenor in TREASURY_SERIES),
        compute=_treasury_curve,
        code_version="2",
        series=("y_1m", "y_2y", "y_10y", "y_30y"),
    ),
    MonthlyAsset(
        name="vix_innovation",
        group=GROUP,
        description="Innovation of the month-end VIX: residual of an AR(1) estimated on the 60 months before.",
        schema=schemas.vix_innovation,
        reads=lambda settings: {"prices": Rows(source="prices.VIX", lookback=settings.vix_innovation.window + 1)},
        compute=_vix_innovation,
        settings=("vix_innovation",),
        series=("vix", "vix_innovation"),
    ),
    MonthlyAsset(
        name="bond_market_factor",
        group=GROUP,
        description=(
            "Corporate bond market factor: LQD's return less what Treasury yield changes explain, slopes estimated on "
            "the 60 months before, no intercept."
        ),
        schema=schemas.bond_market_factor,
        reads=lambda settings: {
            "prices": Rows(source="prices.LQD", lookback=settings.bond_market_factor.window + 1),
            "treasury_curve": Partitions(source="treasury_curve", lookback=settings.bond_market_factor.window),
        },
        compute=_bond_market_factor,
        settings=("bond_market_factor",),
        series=("lqd_return", "bond_market_factor"),
    ),
)
