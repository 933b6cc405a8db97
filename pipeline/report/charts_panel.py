"""Charts of the bond panel: coverage, missing values, distributions, correlations, betas."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import ANY_SIZE, BLUE, FULL, GREY, HALF, NUMBER, PALE, PERCENT, VERMILION


def coverage(counts: pl.DataFrame) -> alt.TopLevelMixin:
    """Bonds through time; see :func:`pipeline.report.statistics.coverage`."""
    order = sorted(set(counts["kind"]))
    return charts.lines(counts, value="bonds", title="bonds", order=order, name="kind", from_zero=True)


def present(shares: pl.DataFrame) -> alt.TopLevelMixin:
    """Share of characteristics that are present through time."""
    return charts.lines(shares, value="present", title="share of values present", pattern=PERCENT)


def missing_heatmap(
    shares: pl.DataFrame, names: Sequence[str], *, width: int = FULL, heading: str | None = None
) -> alt.TopLevelMixin:
    """Missing share by characteristic and year; see :func:`pipeline.report.statistics.missing_by_year`."""
    years = sorted(set(shares["year"]))
    every = -(-len(years) // max(width // 40 - (2 if width > HALF else 4), 2))
    held = shares.filter(pl.col("name").cast(pl.String).is_in(list(names)))
    chart = (
        alt.Chart(charts.data(held.with_columns(pl.col("name").cast(pl.String))))
        .mark_rect(stroke="white", strokeWidth=0.6 if width > HALF else 0.3)
        .encode(
            x=alt.X(
                "year:O", title=None, axis=alt.Axis(labelAngle=0, values=years[::every], ticks=False, domain=False)
            ),
            y=alt.Y("name:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False)),
            color=alt.Color(
                "missing:Q",
                scale=alt.Scale(range=["#EEF1F5", "#6BAED6", "#08306B"], domain=[0, 1]),
                legend=alt.Legend(
                    title="share missing",
                    format=".0%",
                    values=[0, 0.25, 0.5, 0.75, 1],
                    orient="top",
                    gradientLength=min(240, width // 2),
                    titleFontWeight="normal",
                ),
            ),
        )
    )
    return charts.sized(chart, width, charts.row_height(len(names), around=100 if heading else 80), heading)


def histogram(bars: pl.DataFrame, name: str) -> alt.TopLevelMixin:
    """Raw values as a grey area, winsorised ones as a line, over the range of the winsorised."""
    # Steps hold a value from their start on, so the last bar needs its end as one more point.
    closing = bars.tail(1).with_columns(low="high")
    base = alt.Chart(charts.data(pl.concat([bars, closing])))
    axis = alt.Axis(tickCount=4, labelExpr=ANY_SIZE)
    x = alt.X("low:Q", title=None, scale=alt.Scale(nice=False, zero=False), axis=axis)
    y = alt.Y("raw:Q", title=None, axis=None, scale=alt.Scale(nice=False))
    raw = base.mark_area(interpolate="step-after", color="#B9C0CA").encode(x=x, y=y)
    kept = base.mark_line(interpolate="step-after", color=BLUE, strokeWidth=1.2).encode(x=x, y="winsorised:Q")
    return charts.sized(alt.layer(raw, kept), 226, 128, name)


def correlation_bars(correlations: pl.DataFrame) -> alt.TopLevelMixin:
    """Average rank correlations with 95% intervals; see ``statistics.average_correlations``."""
    shown = correlations.with_columns(
        sign=pl.when(pl.col("t").abs() > 1.96).then(pl.lit("|t| > 1.96")).otherwise(pl.lit("not significant"))
    )
    base = alt.Chart(charts.data(shown))
    y = alt.Y("name:N", title=None, sort=list(correlations["name"]), axis=alt.Axis(ticks=False, domain=False))
    colour = charts.colours("sign", ("|t| > 1.96", "not significant"), (BLUE, PALE), symbol="square")
    x = alt.X(
        "mean:Q",
        title="average rank correlation with next month's excess return",
        axis=alt.Axis(format=NUMBER, grid=True),
    )
    bars = base.mark_bar(height=9).encode(x=x, y=y, color=colour)
    intervals = base.mark_rule(color="#2B2F36", strokeWidth=1).encode(x="low:Q", x2="high:Q", y=y)
    return charts.sized(alt.layer(bars, intervals), FULL, charts.row_height(len(shown), around=90))


def beta_band(bands: pl.DataFrame, name: str, heading: str) -> alt.TopLevelMixin:
    """Cross-section mean with the interquartile band; see ``statistics.cross_section_bands``."""
    rows = bands.filter(pl.col("name") == name)
    base = alt.Chart(charts.data(rows)).encode(x=charts.month_axis())
    y = charts.value_axis("p25", "beta")
    band = base.mark_area(color=BLUE, opacity=0.18).encode(y=y, y2="p75:Q")
    mean = base.mark_line(color=BLUE, strokeWidth=1.5).encode(y="mean:Q")
    median = base.mark_line(color=VERMILION, strokeWidth=1, strokeDash=[4, 3]).encode(y="p50:Q")
    return charts.sized(alt.layer(band, charts.zero_line(), mean, median), HALF, 230, heading)


def correlation_paths(monthly: pl.DataFrame, names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw the running sum of the monthly correlations of a few characteristics."""
    running = (
        monthly.filter(pl.col("name").is_in(list(names)))
        .sort("name", "month")
        .with_columns(running=pl.col("correlation").fill_null(0.0).cum_sum().over("name"))
    )
    return charts.lines(
        running,
        value="running",
        title="running sum of monthly correlations",
        order=names,
        size=(FULL, 250),
        zero=True,
        palette=(*charts.PALETTE[:6], GREY),
    )
