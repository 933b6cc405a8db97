"""Charts of the macro assets: published factors, VIX, bond-market factor, Treasury curve, macro factors, predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import altair as alt
import polars as pl

from pipeline.panel.calendar import shift
from pipeline.report import charts
from pipeline.report.charts import BLUE, HALF, THIRD

#: Columns of ``french_factors`` in words.
EQUITY_FACTORS: Mapping[str, str] = {
    "mkt_rf": "market",
    "smb": "size",
    "hml": "value",
    "rmw": "profitability",
    "cma": "investment",
    "wml": "momentum",
}
OTHER_FACTORS: Mapping[str, str] = {
    "q_me": "q size",
    "q_ia": "q investment",
    "q_roe": "q return on equity",
    "q_eg": "q expected growth",
    "hml_devil": "HML devil",
    "liq_traded": "traded liquidity",
}
PREDICTOR_WORDS: Mapping[str, str] = {
    "dp": "dp: dividend to price, change of log",
    "bm": "bm: book to market, change of log",
    "ntis": "ntis: net issues, change",
    "tms": "tms: term spread, points",
    "dfy": "dfy: default yield, change",
    "svar": "svar: variance, change of log",
}
_TENOR_YEARS: Mapping[str, float] = {
    "1m": 1 / 12, "3m": 0.25, "6m": 0.5, "1y": 1, "2y": 2, "3y": 3, "5y": 5, "7y": 7, "10y": 10, "20y": 20, "30y": 30,
}  # fmt: skip
_CURVE_TICKS = [1 / 12, 0.25, 0.5, 1, 2, 5, 10, 30]
_TENOR_LABEL = "datum.value < 1 ? round(12 * datum.value) + 'm' : datum.value + 'y'"
_YIELDS = ("3m", "2y", "10y", "30y")


def _long(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """Columns that hold a value anywhere, under their words: month, name, value."""
    held = {column: words for column, words in columns.items() if frame[column].null_count() < frame.height}
    long = frame.select("month", *held).unpivot(index="month", variable_name="name")
    return long.with_columns(pl.col("name").replace(held))


def _held_order(long: pl.DataFrame, words: Sequence[str]) -> list[str]:
    present = set(long["name"])
    return [each for each in words if each in present]


def cumulative_factors(french: pl.DataFrame, columns: Mapping[str, str], heading: str) -> alt.TopLevelMixin | None:
    """Cumulative log returns of factors; None where none of them has a value."""
    long = _long(french, columns).sort("name", "month")
    if long.is_empty():
        return None
    running = long.with_columns(total=pl.col("value").log1p().cum_sum().over("name"))
    return charts.lines(
        running,
        value="total",
        title="cumulative log return",
        order=_held_order(long, tuple(columns.values())),
        zero=True,
        heading=heading,
        size=(HALF, 270),
    )


def vix_level(vix: pl.DataFrame) -> alt.TopLevelMixin:
    """VIX on the last trading day of the month."""
    return charts.lines(vix, value="vix", title="VIX, percent", from_zero=True, heading="VIX at month end")


def vix_innovation(vix: pl.DataFrame) -> alt.TopLevelMixin:
    """Walk-forward innovation of VIX."""
    return charts.lines(vix, value="vix_innovation", title="percentage points", zero=True, heading="VIX innovation")


def bond_market(factor: pl.DataFrame) -> alt.TopLevelMixin | None:
    """Cumulative bond-fund return and the part Treasuries do not explain; None before the first value."""
    words = {"lqd_return": "bond fund", "bond_market_factor": "factor (residual)"}
    return cumulative_factors(factor, words, "Investment-grade bond fund and bond-market factor")


def bond_market_betas(factor: pl.DataFrame) -> alt.TopLevelMixin:
    """Slopes of the bond fund on Treasury changes."""
    columns = [column for column in factor.columns if column.startswith("beta_")]
    long = _long(factor, {column: column.removeprefix("beta_") for column in columns})
    return charts.lines(
        long,
        value="value",
        title="return per point of yield",
        order=_held_order(long, [column.removeprefix("beta_") for column in columns]),
        zero=True,
        heading="Slopes on changes of Treasury yields",
        size=(HALF, 270),
    )


def yields(curve: pl.DataFrame) -> alt.TopLevelMixin:
    """Par yields of four tenors."""
    long = _long(curve, {f"y_{tenor}": tenor for tenor in _YIELDS})
    return charts.lines(long, value="value", title="percent", order=_held_order(long, _YIELDS), heading="Par yields")


def term_spread(curve: pl.DataFrame) -> alt.TopLevelMixin:
    """Ten years less one month."""
    return charts.lines(
        curve,
        value="term_spread",
        title="percentage points",
        zero=True,
        heading="Term spread: 10 years less 1 month",
    )


def newest_curves(curve: pl.DataFrame) -> alt.TopLevelMixin | None:
    """Par curve of the newest month with a ten-year yield, and of one and five years earlier; None without any."""
    quoted = curve.filter(pl.col("y_10y").is_not_null())
    if quoted.is_empty():
        return None
    newest: date = quoted["month"].max()  # type: ignore[assignment]
    months = [newest, shift(newest, -12), shift(newest, -60)]
    shown = curve.filter(pl.col("month").is_in(months)).sort("month", descending=True)
    long = (
        shown.select("month", *(f"y_{tenor}" for tenor in _TENOR_YEARS))
        .unpivot(index="month", variable_name="tenor")
        .drop_nulls()
        .with_columns(
            years=pl.col("tenor").str.strip_prefix("y_").replace_strict(_TENOR_YEARS, return_dtype=pl.Float64),
            name=pl.col("month").dt.strftime("%Y-%m"),
        )
        .drop("month")
    )
    chart = (
        alt.Chart(charts.data(long))
        .mark_line(point=alt.OverlayMarkDef(size=22), strokeWidth=1.5)
        .encode(
            x=alt.X(
                "years:Q",
                title="maturity",
                scale=alt.Scale(type="log", domain=[1 / 12, 30], nice=False),
                axis=alt.Axis(values=_CURVE_TICKS, labelExpr=_TENOR_LABEL),
            ),
            y=charts.value_axis("value", "percent"),
            color=charts.colours("name", [f"{month:%Y-%m}" for month in months if month in set(shown["month"])]),
        )
    )
    return charts.sized(chart, HALF, 230, "Par curves")


def forward_spreads(curve: pl.DataFrame) -> alt.TopLevelMixin | None:
    """Forward spreads of three maturities; None without zero yields."""
    long = _long(curve, {f"forward_spread_{year}": f"year {year}" for year in (1, 4, 9)})
    if long.is_empty():
        return None
    return charts.lines(
        long,
        value="value",
        title="percentage points",
        order=_held_order(long, ("year 1", "year 4", "year 9")),
        zero=True,
        heading="Forward rates less the one-year yield",
    )


def _components(factors: pl.DataFrame, stem: str, shown: int) -> tuple[pl.DataFrame, list[str]]:
    """Columns ``<stem>_1`` to ``<stem>_<shown>`` that are there, long, and their names in order."""
    columns = {f"{stem}_{k}": f"component {k}" for k in range(1, shown + 1) if f"{stem}_{k}" in factors.columns}
    long = _long(factors, columns)
    return long, _held_order(long, tuple(columns.values()))


def macro_components(factors: pl.DataFrame, shown: int = 3) -> alt.TopLevelMixin | None:
    """First principal components at each month, as estimated then; None before the first estimate."""
    long, order = _components(factors, "pc", shown)
    if long.is_empty():
        return None
    return charts.lines(
        long,
        value="value",
        title="standardised score",
        order=order,
        zero=True,
        heading="Macro factors at the newest reference month",
        size=(HALF, 250),
    )


def bai_ng(factors: pl.DataFrame) -> alt.TopLevelMixin | None:
    """Bai-Ng number of factors and the share that the first component explains."""
    held = factors.filter(pl.col("n_bai_ng").is_not_null())
    if held.is_empty():
        return None
    base = alt.Chart(charts.data(held.select("month", "n_bai_ng"))).encode(x=charts.month_axis())
    steps = base.mark_line(interpolate="step-after", color=BLUE, strokeWidth=1.6).encode(
        y=alt.Y("n_bai_ng:Q", title="factors", scale=alt.Scale(zero=True), axis=alt.Axis(format="d", tickMinStep=1))
    )
    return charts.sized(steps, HALF, 250, "Number of factors chosen by Bai and Ng")


def explained(factors: pl.DataFrame, shown: int = 3) -> alt.TopLevelMixin | None:
    """Share of variance that the first components explain; None before the first estimate."""
    long, order = _components(factors, "explained", shown)
    if long.is_empty():
        return None
    return charts.lines(
        long,
        value="value",
        title="share of variance",
        pattern=charts.PERCENT,
        order=order,
        heading="Variance explained",
        from_zero=True,
        size=(HALF, 250),
    )


def series_used(factors: pl.DataFrame) -> alt.TopLevelMixin:
    """Series in the estimation sample at each month."""
    return charts.lines(
        factors, value="n_series", title="series", heading="Series used", from_zero=True, size=(HALF, 250)
    )


def predictor(goyal_welch: pl.DataFrame, column: str) -> alt.TopLevelMixin | None:
    """One Goyal-Welch series; None where it has no value."""
    if goyal_welch[column].null_count() == goyal_welch.height:
        return None
    return charts.lines(
        goyal_welch,
        value=column,
        title=None,
        zero=True,
        heading=PREDICTOR_WORDS[column],
        size=(THIRD, 170),
        width=1.1,
    )
