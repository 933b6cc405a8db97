"""Charts of the market's states: an index coloured by the state, and filtered probabilities."""

from __future__ import annotations

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import FULL, PERCENT
from pipeline.report.linear_statistics import MarketStates


def state_names(n_states: int) -> dict[int, str]:
    """Return the states, numbered down from the highest mean, in words."""
    ends = {1: "state 1, highest mean", n_states: f"state {n_states}, lowest mean"}
    return {state: ends.get(state, f"state {state}") for state in range(1, n_states + 1)}


def index_by_state(found: MarketStates) -> alt.TopLevelMixin:
    """Draw the value of the equally weighted portfolio, each month in the colour of its state (figure 6)."""
    names = state_names(found.description.height)
    before = found.path.select(
        pl.col("month").dt.offset_by("-1mo").alias("from"), pl.col("value").shift(1, fill_value=1.0).alias("value_from")
    )
    steps = pl.concat([before, found.path.select("month", "value", "state")], how="horizontal")
    shown = steps.with_columns(name=pl.col("state").replace_strict(names, return_dtype=pl.String)).drop("state")
    drawn = (
        alt.Chart(charts.data(shown))
        .mark_rule(strokeWidth=2.2, strokeCap="round")
        .encode(
            x=charts.month_axis("from"),
            x2="month:T",
            y=charts.value_axis("value_from", "value of a dollar, excess returns"),
            y2="value:Q",
            color=charts.colours("name", list(names.values())),
        )
    )
    return charts.sized(drawn, FULL, 280, "Equally weighted portfolio by state, whole sample")


def filtered_probabilities(filtered: pl.DataFrame, n_states: int) -> alt.TopLevelMixin | None:
    """Draw the filtered probabilities of the states, one above the other; None without any."""
    names = state_names(n_states)
    own = filtered.filter(n_states=n_states)
    if own.is_empty():
        return None
    shown = own.select(
        "month", "probability", "state", name=pl.col("state").replace_strict(names, return_dtype=pl.String)
    )
    drawn = (
        alt.Chart(charts.data(shown))
        .mark_bar(size=max(FULL * 0.85 / own["month"].n_unique(), 1.0))
        .encode(
            x=charts.month_axis(),
            y=alt.Y(
                "probability:Q",
                title="probability",
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=PERCENT, tickCount=5),
            ),
            order=alt.Order("state:Q"),
            color=charts.colours("name", list(names.values()), symbol="square"),
        )
    )
    return charts.sized(drawn, FULL, 230, f"Filtered probabilities, {n_states} states")
