"""Charts of the page of stochastic discount factors: validation scores, cumulative returns, industries."""

from __future__ import annotations

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import FULL, PERCENT, THIRD, VERMILION
from pipeline.report.tables_sdf import ARCHITECTURES, OBJECTIVES, labelled


def validation_scores(search: pl.DataFrame) -> alt.TopLevelMixin | None:
    """Draw the validation Sharpe ratio of every configuration of a search, the winners circled; None without any."""
    shown = labelled(search.drop_nulls("score")).with_columns(
        pl.col("architecture").replace(ARCHITECTURES).alias("name")
    )
    if shown.is_empty():
        return None
    models = list(dict.fromkeys(shown["model"]))
    # Narrow marks stay apart where there are hundreds.
    base = alt.Chart(charts.data(shown.select("model", "name", "score", "winner"))).encode(
        x=alt.X("score:Q", title="Sharpe ratio in validation, monthly", axis=alt.Axis(grid=True, tickCount=8)),
        y=alt.Y("model:N", title=None, sort=models, axis=alt.Axis(ticks=False, domain=False)),
    )
    ticks = base.mark_tick(thickness=1.6, size=20, opacity=0.75).encode(
        color=charts.colours("name", sorted(set(shown["name"])), columns=4, symbol="square")
    )
    winners = base.mark_point(size=150, strokeWidth=1.6, color=VERMILION).transform_filter("datum.winner")
    heading = "All configurations of the newest search"
    return charts.sized(alt.layer(ticks, winners), FULL, charts.row_height(len(models), each=34, around=95), heading)


def cumulative_returns(cumulative: pl.DataFrame, heading: str) -> alt.TopLevelMixin:
    """Draw what a dollar gained in each portfolio."""
    shown = labelled(cumulative)
    return charts.lines(
        shown,
        value="cumulative",
        title="gain on a dollar",
        pattern=PERCENT,
        order=list(dict.fromkeys(shown["model"])),
        name="model",
        size=(FULL, 260),
        heading=heading,
        zero=True,
    )


def drawdowns(falls: pl.DataFrame, heading: str) -> alt.TopLevelMixin:
    """Draw how far each portfolio was below its highest value."""
    shown = labelled(falls)
    return charts.lines(
        shown,
        value="drawdown",
        title="fall from the highest value",
        pattern=PERCENT,
        order=list(dict.fromkeys(shown["model"])),
        name="model",
        size=(FULL, 220),
        heading=heading,
        zero=True,
    )


def industry(found: pl.DataFrame, name: str, value: str, title: str) -> alt.TopLevelMixin:
    """Draw one industry's cumulative return or signed share of leverage, a line an objective."""
    shown = found.filter(industry=name).with_columns(pl.col("objective").replace(OBJECTIVES).alias("name"))
    return charts.lines(
        shown.select("month", "name", value),
        value=value,
        title=title,
        pattern=PERCENT,
        order=list(dict.fromkeys(shown["name"])),
        size=(THIRD, 190),
        heading=name,
        zero=True,
    )
