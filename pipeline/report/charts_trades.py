"""Charts of bonds from trades: cleaning, coverage, composition, spreads, portfolios, issuers."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import BLUE, FULL, GREY, HALF, NUMBER, PALE, PALETTE, PERCENT, THIRD, VERMILION
from pipeline.report.trade_statistics import COVERAGE

_INK = "#2B2F36"
#: Classes from safe to risky, then what has none.
_GRADES = ("#08519C", "#4292C6", "#9ECAE1", "#FDD0A2", "#FD8D3C", "#A63603", PALE)
#: Basis points below which no line is drawn on the logarithmic axis, and width of a chart of one sort in pixels.
_LOWEST_SPREAD, _QUARTER = 20, 226


def dropped(steps: pl.DataFrame, names: Sequence[str], order: Sequence[str]) -> alt.TopLevelMixin:
    """Draw which share of the reports of each regime every step drops.

    Parameters
    ----------
    steps : pl.DataFrame
        See :func:`pipeline.report.trade_statistics.cleaning`.
    names : sequence of str
        Steps in the order of the rows.
    order : sequence of str
        Regimes in theirs.
    """
    digits = (pl.col("share") * 100).round(2)
    text = pl.when(digits > 0).then(digits.cast(pl.String) + "%").otherwise(pl.lit(""))
    base = alt.Chart(charts.data(steps.select("step", "era", "share", text=text))).encode(
        y=alt.Y("step:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, labelLimit=280)),
        yOffset=alt.YOffset("era:N", sort=list(order)),
        x=alt.X("share:Q", title="share of all reports", axis=alt.Axis(format=PERCENT, grid=True, tickCount=6)),
    )
    bars = base.mark_bar().encode(color=charts.colours("era", order, (PALE, BLUE), symbol="square"))
    labels = base.mark_text(align="left", dx=4, fontSize=9.5, color=_INK).encode(text="text:N")
    return charts.sized(alt.layer(bars, labels), FULL, charts.row_height(len(names), each=25, around=80))


def reports(monthly: pl.DataFrame) -> alt.TopLevelMixin:
    """Draw reports and what is left of them; see :func:`pipeline.report.trade_statistics.reports_by_month`."""
    long = monthly.select("month", "reports", pl.col("trades").alias("clean trades")).unpivot(
        index="month", variable_name="name", value_name="count"
    )
    return charts.lines(
        long,
        value="count",
        title="reports a month",
        order=("reports", "clean trades"),
        size=(FULL, 240),
        from_zero=True,
        palette=(GREY, BLUE),
    )


def event(monthly: pl.DataFrame, column: str, heading: str) -> alt.TopLevelMixin:
    """Draw one count of :func:`pipeline.report.trade_statistics.reports_by_month` through time."""
    return charts.lines(monthly, value=column, title=None, size=(THIRD, 190), heading=heading, from_zero=True)


def coverage(counts: pl.DataFrame, value: str, title: str, heading: str) -> alt.TopLevelMixin | None:
    """Draw one column of :func:`pipeline.report.trade_statistics.coverage`; None without a value."""
    if not counts[value].sum():
        return None
    present = set(counts["kind"])
    order = [kind for kind in COVERAGE if kind in present]
    palette = dict(zip(COVERAGE, (GREY, BLUE, VERMILION), strict=True))
    return charts.lines(
        counts,
        value=value,
        title=title,
        order=order,
        name="kind",
        heading=heading,
        from_zero=True,
        palette=[palette[kind] for kind in order],
    )


def stacked(
    frame: pl.DataFrame,
    value: str,
    *,
    title: str | None,
    heading: str,
    pattern: str = NUMBER,
    palette: Sequence[str] = PALETTE,
    columns: int = 3,
) -> alt.TopLevelMixin | None:
    """Draw areas upon each other, the first name lowest; None where there is nothing.

    Parameters
    ----------
    frame : pl.DataFrame
        month, name, ``value``, a row of every name in every month.
    value, title, heading, pattern : str
        Column, words of the axis, words above, number format.
    palette : sequence of str, optional
        Colours by place.
    columns : int, optional
        Of the legend.
    """
    order = list(dict.fromkeys(frame["name"]))
    if not order:
        return None
    place = {name: k for k, name in enumerate(order)}
    # A single name has no legend.
    heading = heading if len(order) > 1 else f"{heading}: {order[0]}"
    top = 1.0 if pattern == PERCENT else None
    scale = alt.Scale(domain=[0, top]) if top else alt.Scale()
    areas = (
        alt.Chart(charts.data(frame.with_columns(place=pl.col("name").replace_strict(place))))
        .mark_area(opacity=0.92)
        .encode(
            x=charts.month_axis(),
            y=alt.Y(f"{value}:Q", title=title, stack="zero", scale=scale, axis=alt.Axis(format=pattern, tickCount=5)),
            color=charts.colours("name", order, palette, columns=columns, symbol="square"),
            order=alt.Order("place:Q"),
        )
    )
    return charts.sized(areas, HALF, 260, heading)


def composition(shares: pl.DataFrame, heading: str, order: Sequence[str]) -> alt.TopLevelMixin | None:
    """Draw shares of amounts by buckets from safe to risky, the last of ``order`` having none."""
    palette = dict(zip(order, _GRADES, strict=True))
    return stacked(
        shares,
        "share",
        title="share of the amount outstanding",
        heading=heading,
        pattern=PERCENT,
        palette=[palette[name] for name in dict.fromkeys(shares["name"])],
        columns=4,
    )


def band(bands: pl.DataFrame, name: str, heading: str, unit: str) -> alt.TopLevelMixin | None:
    """Draw the median with the quartiles around it; see ``statistics.cross_section_bands``."""
    rows = bands.filter(pl.col("name") == name)
    if rows.is_empty():
        return None
    base = alt.Chart(charts.data(rows.select("month", "p25", "p50", "p75"))).encode(x=charts.month_axis())
    quartiles = base.mark_area(color=BLUE, opacity=0.2).encode(y=charts.value_axis("p25", unit), y2="p75:Q")
    median = base.mark_line(color=BLUE, strokeWidth=1.5).encode(y="p50:Q")
    return charts.sized(alt.layer(quartiles, median), HALF, 230, heading)


def spread_by_rating(medians: pl.DataFrame, order: Sequence[str]) -> alt.TopLevelMixin | None:
    """Draw the median spread of every class of ratings on a logarithmic axis; None without one to draw."""
    shown = medians.with_columns(spread=pl.when(pl.col("spread") > 0).then(pl.col("spread")))
    present = [name for name in order if name in set(shown.drop_nulls("spread")["name"])]
    if not present:
        return None
    palette = dict(zip(order, (*_GRADES[: len(order) - 1], GREY), strict=True))
    highest = float(shown["spread"].max())  # type: ignore[arg-type]
    lines = (
        alt.Chart(charts.data(shown.filter(pl.col("name").is_in(present))))
        .mark_line(strokeWidth=1.4, clip=True)
        .encode(
            x=charts.month_axis(),
            y=alt.Y(
                "spread:Q",
                title="basis points, logarithmic",
                scale=alt.Scale(type="log", domain=[_LOWEST_SPREAD, max(highest, 10 * _LOWEST_SPREAD)]),
                axis=alt.Axis(format=NUMBER, values=[20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]),
            ),
            color=charts.colours("name", present, [palette[name] for name in present], columns=4),
        )
    )
    return charts.sized(lines, HALF, 230, "Median spread by rating")


def bins(means: pl.DataFrame, heading: str, domain: tuple[float, float]) -> alt.TopLevelMixin:
    """Draw mean excess returns by bin with 95% intervals; see ``portfolio_statistics.mean_returns``."""
    base = alt.Chart(charts.data(means.select("bin", "mean", "low", "high"))).encode(
        x=alt.X("bin:O", title=None, axis=alt.Axis(labelAngle=0, ticks=False))
    )
    y = alt.Y(
        "mean:Q",
        title=None,
        scale=alt.Scale(domain=list(domain), nice=False),
        axis=alt.Axis(format=PERCENT, tickCount=5),
    )
    bars = base.mark_bar(color=BLUE).encode(y=y)
    intervals = base.mark_rule(color=_INK, strokeWidth=0.9).encode(y="low:Q", y2="high:Q")
    return charts.sized(alt.layer(charts.zero_line(), bars, intervals), _QUARTER, 170, heading)


def match_shares(shares: pl.DataFrame) -> alt.TopLevelMixin:
    """Draw which share belongs to a company; see :func:`pipeline.report.trade_statistics.match_shares`."""
    return charts.lines(
        shares,
        value="share",
        title="share matched",
        pattern=PERCENT,
        order=("issuers", "bonds", "amount outstanding"),
        size=(FULL, 240),
        from_zero=True,
    )
