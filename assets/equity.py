"""Equity assets: CRSP and Compustat cleaned, linked, and turned into firm characteristics.

Functions of ``pipeline.equity`` over declared windows. CRSP comes in one of two layouts, SIZ or CIZ, whichever is on
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import polars as pl

from assets import schemas
from assets.building import MonthlyAsset, Previous, Step
from assets.figures import missing
from assets.reads import Inputs, Partitions, Read, Rows
from pipeline.equity import characteristics, daily
from pipeline.equity.common import MACRO, common_factors
from pipeline.equity.compustat import (
    ANNUAL_LAG,
    QUARTERLY_LATEST,
    annual_figures,
    compustat_annual,
    compustat_quarterly,
    quarterly_figures,
)
from pipeline.equity.coverage import compustat_history
from pipeline.equity.crsp_daily import crsp_daily
from pipeline.equity.crsp_monthly import crsp_monthly
from pipeline.equity.daily_weekly import weekly_returns
from pipeline.equity.links import firm_links, links_figures
from pipeline.equity.registry import DAILY_NAMES, NAMES
from pipeline.equity.returns import returns_figures, stock_returns
from pipeline.equity.universe import universe_figures
from resources.settings import Settings

GROUP = "equity"
# A year of every stock's daily rows and the year before it stay below six gigabytes at the size of CRSP.
_DAILY_CHUNK = 12
# Hundreds of columns a stock.
_PANEL_CHUNK = 24


def _layouts(siz: str, ciz: str, lookback: int = 0) -> dict[str, Read]:
    """One table of two layouts: the asset begins where the one on disk does."""
    return {
        siz: Rows(source=f"crsp.{siz}", lookback=lookback, optional=True, spine=True),
        ciz: Rows(source=f"crsp.{ciz}", lookback=lookback, optional=True, spine=True),
    }


def _names() -> Rows:
    """Read the starts and ends of names, all of them up to the month.

    Every month has some: the name of an active security ends with the data, so that a file which ends before the month
    is an old one.
    """
    return Rows(source="crsp.msenames", lookback=None, optional=True)


def _crsp_monthly(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return crsp_monthly(
        inputs.get("msf"),
        inputs.get("msenames"),
        inputs.get("msedelist"),
        inputs.get("msf_v2"),
        inputs.get("stkdelists"),
        months,
    )


def _crsp_daily(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return crsp_daily(inputs.get("dsf"), inputs.get("dsf_v2"), inputs.get("msenames"), months)


def _stock_returns(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return stock_returns(inputs["crsp_monthly"], inputs["french_factors"], months, settings.stock_returns)


def _stock_weekly_returns(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return weekly_returns(inputs.lazy("crsp_daily").select("month", "permno", "date", "ret").collect(), months)


def _firm_links(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return firm_links(inputs["lnkhist"], months)


def _compustat_annual(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return compustat_annual(inputs["funda"], months)


def _compustat_quarterly(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return compustat_quarterly(inputs["fundq"], months)


def _compustat_history(inputs: Inputs, month: date, settings: Settings, previous: Previous | None) -> Step:
    available = inputs.at("compustat_annual", month).select("month", "gvkey", "datadate").collect()
    return Step(compustat_history(available, month, previous.frame if previous else None))


def _announcements(quarterly: pl.LazyFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Report dates of quarters by stock, linked as of the month in which they became available."""
    reports = quarterly.select("month", "gvkey", "datadate", "rdq").collect()
    return links.join(reports, on=["month", "gvkey"]).select("permno", "rdq", "datadate", "month")


def _daily_characteristics(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return daily.daily_characteristics(
        inputs.lazy("crsp_daily").select(daily.DAILY_COLUMNS).collect(),
        inputs["stock_weekly_returns"],
        inputs["french_factors_daily"],
        _announcements(inputs.lazy("compustat_quarterly"), inputs["firm_links"]),
        months,
        settings.stock_daily_characteristics,
    )


def _daily_reads(settings: Settings) -> dict[str, Read]:
    back = {frame: months - 1 for frame, months in daily.lookback(settings.stock_daily_characteristics).items()}
    return {
        "crsp_daily": Partitions(source="crsp_daily", lookback=back["daily"], spine=True),
        "stock_weekly_returns": Partitions(source="stock_weekly_returns", lookback=back["weekly"]),
        "french_factors_daily": Partitions(source="french_factors_daily", lookback=back["market"]),
        "compustat_quarterly": Partitions(source="compustat_quarterly", lookback=back["announcements"]),
        "firm_links": Partitions(source="firm_links", lookback=back["announcements"]),
    }


def _firm_characteristics(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    return characteristics.firm_characteristics(
        inputs["crsp_monthly"],
        inputs["compustat_annual"],
        inputs["compustat_quarterly"],
        inputs["compustat_history"],
        inputs["firm_links"],
        inputs["stock_daily_characteristics"],
        months,
        settings.firm_characteristics,
    )


def _characteristics_reads(settings: Settings) -> dict[str, Read]:
    back = {asset: months - 1 for asset, months in characteristics.lookback().items()}
    return {
        "crsp_monthly": Partitions(source="crsp_monthly", lookback=back["crsp_monthly"], spine=True),
        **{
            asset: Partitions(source=asset, lookback=back[asset])
            for asset in ("compustat_annual", "compustat_quarterly")
        },
        **{
            asset: Partitions(source=asset)
            for asset in ("compustat_history", "firm_links", "stock_daily_characteristics")
        },
    }


def _common_factors(inputs: Inputs, months: Sequence[date], settings: Settings) -> pl.DataFrame:
    columns = ("month", "permno", *(f"{name}_w" for name in NAMES))
    stocks = inputs.lazy("firm_characteristics").select(columns).collect()
    macro = {asset: frame for asset in MACRO if (frame := inputs.get(asset)) is not None}
    return common_factors(stocks, macro, months)


def _figures_of(read: str, figures: Callable[..., dict[str, Any]], *sections: str) -> Callable[..., dict[str, Any]]:
    """Figures that count what was left out, and so look at what was read."""

    def counted(rows: pl.DataFrame, inputs: Inputs, month: date, settings: Settings) -> dict[str, Any]:
        return figures(inputs[read], month, *(getattr(settings, section) for section in sections))

    return counted


ASSETS = (
    MonthlyAsset(
        name="crsp_monthly",
        group=GROUP,
        description=(
            "Every security of CRSP in the month, from either layout: price, return as reported, size, volume without "
            "double counting, names and flags in force, delisting. The universe is a flag; no row is dropped."
        ),
        schema=schemas.crsp_monthly,
        reads=lambda settings: {
            **_layouts("msf", "msf_v2", lookback=1),
            "msenames": _names(),
            # An active security stands in it with the last day of the data.
            "msedelist": Rows(source="crsp.msedelist", optional=True),
            "stkdelists": Rows(source="crsp.stkdelists", optional=True, sparse=True),
        },
        any_of=(("msf", "msenames", "msedelist"), ("msf_v2",)),
        compute=_crsp_monthly,
        figures=lambda rows, *_: universe_figures(rows),
    ),
    MonthlyAsset(
        name="crsp_daily",
        group=GROUP,
        description="Every trading day of every security in the month, from either layout.",
        schema=schemas.crsp_daily,
        reads=lambda settings: {**_layouts("dsf", "dsf_v2"), "msenames": _names()},
        any_of=(("dsf", "msenames"), ("dsf_v2",)),
        compute=_crsp_daily,
        chunk_months=_DAILY_CHUNK,
    ),
    MonthlyAsset(
        name="stock_returns",
        group=GROUP,
        description=(
            "What every stock that was in the universe a month ago earned, delisting included, total and above the "
            "bill rate, with its market equity at the start. Decimals; never winsorised."
        ),
        schema=schemas.stock_returns,
        reads=lambda settings: {
            "crsp_monthly": Partitions(source="crsp_monthly", lookback=1),
            "french_factors": Partitions(source="french_factors"),
        },
        compute=_stock_returns,
        figures=_figures_of("crsp_monthly", returns_figures, "stock_returns"),
        settings=("stock_returns",),
    ),
    MonthlyAsset(
        name="stock_weekly_returns",
        group=GROUP,
        description="Daily returns compounded to weeks that end on Saturdays; a week over two months has two pieces.",
        schema=schemas.stock_weekly_returns,
        reads=lambda settings: {"crsp_daily": Partitions(source="crsp_daily")},
        compute=_stock_weekly_returns,
        chunk_months=_DAILY_CHUNK,
    ),
    MonthlyAsset(
        name="firm_links",
        group=GROUP,
        description="The company of Compustat to which each stock belongs at the end of the month.",
        schema=schemas.firm_links,
        reads=lambda settings: {"lnkhist": Rows(source="crsp.ccmxpf_lnkhist", lookback=None, sparse=True, spine=True)},
        compute=_firm_links,
        figures=_figures_of("lnkhist", links_figures),
    ),
    MonthlyAsset(
        name="compustat_annual",
        group=GROUP,
        description=(
            f"Annual accounts that become available in the month, {ANNUAL_LAG} months after the fiscal year's end: the "
            "earliest at which any timing uses them."
        ),
        schema=schemas.compustat_annual,
        reads=lambda settings: {"funda": Rows(source="comp.funda", lag=ANNUAL_LAG, spine=True, sparse=True)},
        compute=_compustat_annual,
        figures=_figures_of("funda", annual_figures),
    ),
    MonthlyAsset(
        name="compustat_quarterly",
        group=GROUP,
        description="Quarterly accounts reported in the month; three months after the quarter's end without a date.",
        schema=schemas.compustat_quarterly,
        reads=lambda settings: {"fundq": Rows(source="comp.fundq", lookback=QUARTERLY_LATEST, spine=True, sparse=True)},
        compute=_compustat_quarterly,
        figures=lambda rows, inputs, month, settings: quarterly_figures(inputs["fundq"], rows, month),
    ),
    MonthlyAsset(
        name="compustat_history",
        group=GROUP,
        description="For how many fiscal years each firm has been covered by the month.",
        schema=schemas.compustat_history,
        reads=lambda settings: {"compustat_annual": Partitions(source="compustat_annual")},
        compute=_compustat_history,
        recursive=True,
    ),
    MonthlyAsset(
        name="stock_daily_characteristics",
        group=GROUP,
        description="Characteristics of stocks from daily and weekly returns, volume and spreads, as of the month end.",
        schema=schemas.stock_daily_characteristics,
        reads=_daily_reads,
        compute=_daily_characteristics,
        figures=missing(DAILY_NAMES),
        settings=("stock_daily_characteristics",),
        chunk_months=_DAILY_CHUNK,
    ),
    MonthlyAsset(
        name="firm_characteristics",
        group=GROUP,
        description=(
            "The characteristics of every stock of the universe as known at the end of the month: raw, winsorised and "
            "ranked within the month. What each is stands in the data dictionary."
        ),
        schema=schemas.firm_characteristics,
        reads=_characteristics_reads,
        compute=_firm_characteristics,
        figures=missing(NAMES),
        settings=("firm_characteristics",),
        chunk_months=_PANEL_CHUNK,
    ),
    MonthlyAsset(
        name="common_factors",
        group=GROUP,
        description="Macroeconomic series and the mean of each winsorised characteristic over the stocks of the month.",
        schema=schemas.common_factors,
        reads=lambda settings: {
            "firm_characteristics": Partitions(source="firm_characteristics", spine=True),
            **{asset: Partitions(source=asset, optional=True) for asset in MACRO},
        },
        compute=_common_factors,
        chunk_months=_PANEL_CHUNK,
    ),
)
