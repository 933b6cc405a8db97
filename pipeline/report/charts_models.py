"""Charts of the factor models: factors, Gamma, R-squared, forecasts, and the truth of a simulated market."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import BLUE, FULL, GREY, HALF, PALE, PERCENT, THIRD, VERMILION


def _words(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``factor_1`` as ``factor 1``."""
    return frame.with_columns(pl.col("factor").str.replace("_", " "))


def _factors(frame: pl.DataFrame) -> list[str]:
    return sorted(set(frame["factor"]), key=lambda name: int(name.rsplit("_", 1)[-1].rsplit(" ", 1)[-1]))


def factor_path(factors: pl.DataFrame, column: str, place: int) -> alt.TopLevelMixin:
    """Realised values of one factor, a bar a month."""
    base = alt.Chart(charts.data(factors.select("month", column)))
    bars = base.mark_bar(color=charts.PALETTE[place % len(charts.PALETTE)], width=1.4).encode(
        x=charts.month_axis(), y=charts.value_axis(column, "return", PERCENT, zero=True)
    )
    return charts.sized(bars, THIRD, 170, column.replace("_", " "))


def cumulative_paths(factors: pl.DataFrame) -> alt.TopLevelMixin:
    """Draw running sums of the factors."""
    long = factors.unpivot(index="month", variable_name="factor").sort("factor", "month")
    running = _words(long.with_columns(total=pl.col("value").cum_sum().over("factor")))
    return charts.lines(
        running,
        value="total",
        title="sum of monthly returns",
        order=_factors(running),
        name="factor",
        zero=True,
        size=(FULL, 250),
        heading="Cumulative factors",
    )


def gamma_heatmap(gamma: pl.DataFrame) -> alt.TopLevelMixin:
    """Gamma by characteristic and factor; see :func:`pipeline.report.factor_statistics.loadings`."""
    shown = _words(gamma)
    names = list(dict.fromkeys(gamma["name"]))
    largest = float(gamma["value"].abs().max() or 1.0)  # type: ignore[arg-type]
    base = alt.Chart(charts.data(shown)).encode(
        x=alt.X(
            "factor:N",
            title=None,
            sort=_factors(shown),
            axis=alt.Axis(labelAngle=0, orient="top", ticks=False, domain=False),
        ),
        y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(ticks=False, domain=False)),
    )
    cells = base.mark_rect(stroke="white", strokeWidth=0.6).encode(
        color=alt.Color("value:Q", scale=alt.Scale(scheme="blueorange", domain=[-largest, largest]), legend=None)
    )
    text = base.mark_text(fontSize=10).encode(
        text=alt.Text("value:Q", format="+.2f"),
        color=alt.condition(abs(alt.datum.value) > 0.75 * largest, alt.value("white"), alt.value("#2B2F36")),
    )
    return charts.sized(alt.layer(cells, text), HALF, charts.row_height(len(names)), "Gamma")


def importance_bars(
    gamma: pl.DataFrame, heading: str = "Importance, return a month", *, width: int = HALF, most: int | None = None
) -> alt.TopLevelMixin:
    """Draw the importance of each characteristic, or of the ``most`` important, in the order of the heatmap."""
    shown = gamma.unique("name", maintain_order=True).select("name", "importance").head(most or gamma.height)
    chart = (
        alt.Chart(charts.data(shown))
        .mark_bar(color=BLUE, height=10)
        .encode(
            x=alt.X("importance:Q", title=None, axis=alt.Axis(format=PERCENT, orient="top", grid=True, tickCount=4)),
            y=alt.Y("name:N", title=None, sort=list(shown["name"]), axis=alt.Axis(ticks=False, domain=False)),
        )
    )
    return charts.sized(chart, width, charts.row_height(len(shown)), heading)


def alpha_bars(names: Sequence[str], alpha: Sequence[float]) -> alt.TopLevelMixin:
    """Draw intercepts by characteristic, the largest first."""
    shown = pl.DataFrame({"name": list(names), "alpha": list(alpha)}).sort(pl.col("alpha").abs(), descending=True)
    chart = (
        alt.Chart(charts.data(shown))
        .mark_bar(height=10, color=VERMILION)
        .encode(
            x=alt.X("alpha:Q", title="return a month", axis=alt.Axis(format=PERCENT, tickCount=6, grid=True)),
            y=alt.Y("name:N", title=None, sort=list(shown["name"]), axis=alt.Axis(ticks=False, domain=False)),
        )
    )
    return charts.sized(chart, FULL, charts.row_height(len(shown), each=15))


def gamma_path(paths: pl.DataFrame, name: str) -> alt.TopLevelMixin:
    """One row of Gamma through time; see :func:`pipeline.report.factor_statistics.gamma_paths`."""
    shown = _words(paths.filter(pl.col("name") == name))
    return charts.lines(
        shown,
        value="value",
        title=None,
        order=_factors(shown),
        name="factor",
        zero=True,
        size=(THIRD, 190),
        heading=name,
    )


def rolling_r2(monthly: pl.DataFrame, heading: str, *, width: int = FULL) -> alt.TopLevelMixin:
    """R-squared of the last twelve months; see ``Recursion.monthly_r2``."""
    order = [
        kind for kind in ("in sample", "out of sample", "out of sample, predictive") if kind in set(monthly["kind"])
    ]
    return charts.lines(
        monthly,
        value="r2",
        title="R² of the last 12 months",
        pattern=PERCENT,
        order=order,
        name="kind",
        zero=True,
        size=(width, 250),
        heading=heading,
    )


def iterations(rows: pl.DataFrame, heading: str, *, width: int = HALF) -> alt.TopLevelMixin:
    """Draw the iterations of each month's estimation, those that did not converge marked."""
    base = alt.Chart(charts.data(rows.select("month", "iterations", "converged"))).encode(x=charts.month_axis())
    y = charts.value_axis("iterations", "iterations", zero=True)
    bars = base.mark_bar(width=1.6).encode(
        y=y,
        color=alt.condition(alt.datum.converged, alt.value(BLUE), alt.value(VERMILION)),
    )
    return charts.sized(bars, width, 200, heading)


def decile_bars(deciles: pl.DataFrame, heading: str, *, width: int = HALF) -> alt.TopLevelMixin:
    """Mean realised excess return by decile of the forecast, and the mean forecast as points."""
    base = alt.Chart(charts.data(deciles)).encode(
        x=alt.X("decile:O", title="decile of the forecast", axis=alt.Axis(labelAngle=0))
    )
    y = alt.Y("realised:Q", title="excess return a month", axis=alt.Axis(format=PERCENT, tickCount=5))
    bars = base.mark_bar(color=PALE, width={"band": 0.7}).encode(y=y)
    points = base.mark_point(color=VERMILION, filled=True, size=45, opacity=1).encode(y="forecast:Q")
    return charts.sized(alt.layer(bars, charts.zero_line(), points), width, 230, heading)


def true_factor(factors: pl.DataFrame, factor: str) -> alt.TopLevelMixin:
    """Draw the true and the rotated estimated factor of every month."""
    shown = factors.filter(pl.col("factor") == factor)
    base = alt.Chart(charts.data(shown.drop("factor"))).encode(
        x=charts.month_axis(), y=charts.value_axis("value", "return", PERCENT)
    )
    order = ("true", "estimated")
    true = base.transform_filter(alt.datum.kind == "true").mark_line(strokeWidth=3.2)
    estimated = base.transform_filter(alt.datum.kind == "estimated").mark_line(strokeWidth=1.2)
    colour = charts.colours("kind", order, (PALE, BLUE))
    drawn = alt.layer(true.encode(color=colour), estimated.encode(color=colour))
    return charts.sized(drawn, FULL, 210, factor.replace("_", " "))


def true_gamma(gamma: pl.DataFrame, factor: str) -> alt.TopLevelMixin:
    """Draw true and estimated loadings on one factor, by characteristic: a ring and a dot joined by a rule."""
    shown = gamma.filter(pl.col("factor") == factor).drop("factor")
    order = list(shown.sort(pl.col("true").abs(), pl.col("estimated").abs(), descending=True)["name"])
    y = alt.Y("name:N", title=None, sort=order, axis=alt.Axis(ticks=False, domain=False, grid=True))
    rules = alt.Chart(charts.data(shown)).mark_rule(color=PALE, strokeWidth=2).encode(x="true:Q", x2="estimated:Q", y=y)
    long = shown.unpivot(index="name", variable_name="kind")
    points = (
        alt.Chart(charts.data(long))
        .mark_point(filled=True, size=38, opacity=1)
        .encode(
            x=alt.X("value:Q", title="loading", scale=alt.Scale(padding=12), axis=alt.Axis(tickCount=5, grid=True)),
            y=y,
            color=charts.colours("kind", ("true", "estimated"), (GREY, BLUE), symbol="circle"),
        )
    )
    heading = factor.replace("_", " ")
    return charts.sized(alt.layer(rules, points), HALF, charts.row_height(len(order), each=15, around=90), heading)


def r2_beside_truth(months: pl.DataFrame) -> alt.TopLevelMixin:
    """Monthly total R-squared, true and estimated, averaged over twelve months: month, kind, r2."""
    return charts.lines(
        months,
        value="r2",
        title="R², mean of 12 months",
        pattern=PERCENT,
        order=("true", "estimated"),
        name="kind",
        size=(FULL, 230),
        palette=(GREY, BLUE),
    )
