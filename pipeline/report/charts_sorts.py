"""Charts of characteristics one by one: persistence, long-short returns, and how those go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import altair as alt
import numpy as np
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import BLUE, FULL, GREY, PALE, PERCENT, THIRD, VERMILION
from pipeline.report.raster import coloured, data_url, png
from pipeline.report.sort_statistics import LAGS, Clusters

_INK = "#2B2F36"
#: Colours of correlations from -1 to 1, of none, and the height of a matrix in pixels.
_DIVERGING, _ABSENT, _MATRIX = ("#2166AC", "#92C5DE", "#F7F7F7", "#F4A582", "#B2182B"), "#FFFFFF", 660
_SIGNIFICANT = ("|t| > 1.96", "not significant")


def _rows(names: Sequence[str], *, grid: bool = False) -> alt.Y:
    return alt.Y("name:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, grid=grid))


def persistence(averages: pl.DataFrame, names: Sequence[str], heading: str, lowest: float) -> alt.TopLevelMixin:
    """Draw average rank autocorrelations, a dot a lag.

    Parameters
    ----------
    averages : pl.DataFrame
        name, lag, correlation.
    names : sequence of str
        Characteristics in the order of the rows.
    heading : str
        Words above the chart.
    lowest : float
        Where the horizontal axis begins, the same for charts beside each other.
    """
    words = {lag: f"{lag} month{'s' if lag > 1 else ''}" for lag in LAGS}
    shown = averages.filter(pl.col("name").is_in(list(names))).with_columns(
        kind=pl.col("lag").replace_strict(words, return_dtype=pl.String)
    )
    wide = shown.pivot(on="kind", index="name", values="correlation")
    y = _rows(names, grid=True)
    points = (
        alt.Chart(charts.data(shown))
        .mark_point(filled=True, size=34, opacity=1)
        .encode(
            x=alt.X("correlation:Q", title=None, scale=alt.Scale(domain=[lowest, 1]), axis=alt.Axis(tickCount=4)),
            y=y,
            color=charts.colours("kind", tuple(words.values()), (BLUE, VERMILION), symbol="circle"),
        )
    )
    layers = [points]
    if set(words.values()) <= set(wide.columns):
        first, last = (f"datum['{words[lag]}']" for lag in LAGS)
        rules = (
            alt.Chart(charts.data(wide)).transform_calculate(near=first, far=last).mark_rule(color=PALE, strokeWidth=2)
        )
        layers.insert(0, rules.encode(x="near:Q", x2="far:Q", y=y))
    return charts.sized(alt.layer(*layers), THIRD, charts.row_height(len(names), each=15, around=80), heading)


def long_short(
    summary: pl.DataFrame, names: Sequence[str], heading: str, domain: tuple[float, float]
) -> alt.TopLevelMixin:
    """Draw mean long-short returns with 95% intervals.

    Parameters
    ----------
    summary : pl.DataFrame
        name, mean, low, high, t of one weighting.
    names : sequence of str
        Characteristics in the order of the rows.
    heading : str
        Words above the chart.
    domain : tuple of float
        Ends of the horizontal axis, the same for charts beside each other.
    """
    shown = summary.filter(pl.col("name").is_in(list(names))).with_columns(
        sign=pl.when(pl.col("t").abs() > 1.96).then(pl.lit(_SIGNIFICANT[0])).otherwise(pl.lit(_SIGNIFICANT[1]))
    )
    base = alt.Chart(charts.data(shown)).encode(y=_rows(names))
    x = alt.X(
        "mean:Q",
        title=None,
        scale=alt.Scale(domain=list(domain), nice=False),
        axis=alt.Axis(format=PERCENT, grid=True, tickCount=4),
    )
    bars = base.mark_bar(height=8).encode(
        x=x, color=charts.colours("sign", _SIGNIFICANT, (BLUE, PALE), symbol="square")
    )
    intervals = base.mark_rule(color=_INK, strokeWidth=0.9).encode(x="low:Q", x2="high:Q")
    return charts.sized(alt.layer(bars, intervals), THIRD, charts.row_height(len(names), each=15, around=80), heading)


def cumulative(returns: pl.DataFrame, names: Sequence[str]) -> alt.TopLevelMixin:
    """Draw running sums of a few long-short returns: month, name, ret; a month without one adds nothing."""
    running = (
        returns.filter(pl.col("name").is_in(list(names)))
        .sort("name", "month")
        .with_columns(total=pl.col("ret").fill_null(0.0).cum_sum().over("name"))
    )
    return charts.lines(
        running,
        value="total",
        title="sum of monthly returns",
        order=names,
        size=(FULL, 290),
        zero=True,
        palette=(*charts.PALETTE, GREY),
    )


def correlations(clusters: Clusters) -> alt.TopLevelMixin:
    """Draw the correlations of long-short returns as an image, with lines between clusters and their numbers."""
    n = len(clusters.names)
    image = data_url(png(coloured(clusters.correlation, -1.0, 1.0, _DIVERGING, _ABSENT)))
    starts = [0, *(k + 1 for k, (a, b) in enumerate(pairwise(clusters.cluster)) if a != b), n]
    labels = pl.DataFrame(
        {
            "middle": [(a + b) / 2 for a, b in pairwise(starts)],
            "cluster": [str(clusters.cluster[a]) for a in starts[:-1]],
        }
    )
    across = alt.Scale(domain=[0, n], nice=False, zero=False)
    down = alt.Scale(domain=[n, 0], nice=False, zero=False)
    picture = (
        alt.Chart(alt.InlineData(values=[{"url": image, "at": 0}]))
        .mark_image(width=_MATRIX, height=_MATRIX, aspect=False, smooth=False, align="left", baseline="top")
        .encode(x=alt.X("at:Q", scale=across, axis=None), y=alt.Y("at:Q", scale=down, axis=None), url="url:N")
    )
    edges = pl.DataFrame({"edge": starts[1:-1]}, schema={"edge": pl.Int64})
    lines = alt.Chart(charts.data(edges)).mark_rule(color="white", strokeWidth=1.2)
    text = alt.Chart(charts.data(labels)).mark_text(fontSize=11, color=_INK).encode(text="cluster:N")
    # Never seen: it carries the legend, which an image has none of.
    key = (
        alt.Chart(charts.data(labels.head(1)))
        .transform_calculate(value="0")
        .mark_point(opacity=0)
        .encode(
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(domain=[-1, 1], range=list(_DIVERGING)),
                legend=alt.Legend(title="correlation", orient="top", gradientLength=240, titleFontWeight="normal"),
            )
        )
    )
    layers = alt.layer(
        picture,
        lines.encode(x=alt.X("edge:Q", scale=across, axis=None)),
        lines.encode(y=alt.Y("edge:Q", scale=down, axis=None)),
        text.encode(x=alt.value(-12), y=alt.Y("middle:Q", scale=down, axis=None)),
        text.encode(y=alt.value(_MATRIX + 12), x=alt.X("middle:Q", scale=across, axis=None)),
        key,
    )
    return layers.properties(width=_MATRIX, height=_MATRIX)


def block_domain(summary: pl.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis that holds every interval, zero among them."""
    low, high = np.array([0.0, *summary["low"]]).min(), np.array([0.0, *summary["high"]]).max()
    room = 0.03 * (high - low)
    return float(low - room), float(high + room)
