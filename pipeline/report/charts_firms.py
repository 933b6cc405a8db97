"""Charts of the firm panel: universe, links, filters, delistings, and what the panel is held against."""

from __future__ import annotations

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import BLUE, FULL, HALF, NUMBER, PALE, PALETTE, PERCENT, VERMILION
from pipeline.report.firm_statistics import DELISTINGS, EXCHANGES

_ORDER = tuple(EXCHANGES.values())


def by_exchange(universe: pl.DataFrame, value: str, title: str, heading: str) -> alt.TopLevelMixin:
    """One column of :func:`pipeline.report.firm_statistics.universe` through time."""
    return charts.lines(universe, value=value, title=title, order=_ORDER, heading=heading, from_zero=True)


def linked(shares: pl.DataFrame) -> alt.TopLevelMixin:
    """Share of the universe with a company; see :func:`pipeline.report.firm_statistics.linked`."""
    return charts.lines(
        shares,
        value="share",
        title="share with a link",
        pattern=PERCENT,
        order=("stocks", "market equity"),
        heading="Linked to a company of Compustat",
        from_zero=True,
    )


def securities(counts: pl.DataFrame) -> alt.TopLevelMixin:
    """Securities left by each filter; see :func:`pipeline.report.firm_statistics.securities`."""
    order = list(dict.fromkeys(counts["name"]))
    return charts.lines(
        counts, value="rows", title="securities", order=order, size=(FULL, 240), from_zero=True, palette=PALETTE[::-1]
    )


def delistings(counted: pl.DataFrame) -> alt.TopLevelMixin:
    """Draw delistings by year; see :func:`pipeline.report.firm_statistics.delistings`."""
    years = sorted(set(counted["year"]))
    order = tuple(DELISTINGS.values())
    bars = (
        alt.Chart(charts.data(counted))
        .mark_bar()
        .encode(
            x=alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0, values=years[:: -(-len(years) // 20)])),
            y=alt.Y("stocks:Q", title="stocks", axis=alt.Axis(format=NUMBER, tickCount=5)),
            color=charts.colours("name", order, (PALE, BLUE, VERMILION), symbol="square"),
            order=alt.Order("place:Q"),
        )
        .transform_calculate(place=f"indexof({list(order)}, datum.name)")
    )
    return charts.sized(bars, FULL, 230)


def present(shares: pl.DataFrame) -> alt.TopLevelMixin:
    """Share of values that are there, by set; see :func:`pipeline.report.firm_statistics.present_by_set`."""
    return charts.lines(
        shares,
        value="present",
        title="share of values present",
        pattern=PERCENT,
        order=list(dict.fromkeys(shares["name"])),
        size=(FULL, 230),
        from_zero=True,
    )


def beside_published(both: pl.DataFrame, name: str) -> alt.TopLevelMixin:
    """Cumulative log returns of one series as published and as built from the panel: month, name, ret, published."""
    long = (
        both.filter(pl.col("name") == name)
        .sort("month")
        .select("month", pl.col("published").log1p().cum_sum(), panel=pl.col("ret").log1p().cum_sum())
        .unpivot(index="month", variable_name="kind")
    )
    base = alt.Chart(charts.data(long)).encode(
        x=charts.month_axis(), y=charts.value_axis("value", "cumulative log return")
    )
    colour = charts.colours("kind", ("published", "panel"), (PALE, BLUE))
    wide = base.transform_filter(alt.datum.kind == "published").mark_line(strokeWidth=3.2).encode(color=colour)
    thin = base.transform_filter(alt.datum.kind == "panel").mark_line(strokeWidth=1.2).encode(color=colour)
    return charts.sized(alt.layer(wide, thin), HALF, 220, name)
