"""Charts of the page of factor models: responses of the factors to impulses."""

from __future__ import annotations

import altair as alt
import polars as pl

from pipeline.report import charts
from pipeline.report.charts import THIRD
from pipeline.report.tables_factor_models import SERIES

_INK = "#2B2F36"
_MONTHS = "months after the impulse"
_DEVIATIONS = "standard deviations"


def factor_responses(responses: pl.DataFrame, factor: int) -> alt.TopLevelMixin:
    """Draw the responses of one factor to shocks to each factor (figure 2); impulse, response, period, value."""
    shown = responses.filter(response=factor).with_columns(name=pl.format("to factor {}", "impulse"))
    order = list(dict.fromkeys(shown["name"]))
    base = (
        alt.Chart(charts.data(shown.select("name", "period", "value")))
        .mark_line(strokeWidth=1.4, point=alt.OverlayMarkDef(size=18))
        .encode(
            x=alt.X("period:O", title=_MONTHS, axis=alt.Axis(labelAngle=0)),
            y=charts.value_axis("value", _DEVIATIONS, zero=True),
            color=charts.colours("name", order),
        )
    )
    return charts.sized(alt.layer(charts.zero_line(), base), THIRD, 220, f"Response of factor {factor}")


def instrument_responses(responses: pl.DataFrame, factor: int) -> alt.TopLevelMixin:
    """Draw the responses of one factor to shocks to each factor instrument (figure 3), a cell a month."""
    shown = responses.filter(response=factor).with_columns(name=pl.col("impulse").replace(dict(SERIES)))
    names = list(dict.fromkeys(shown["name"]))
    largest = float(shown["value"].abs().max() or 1.0)  # type: ignore[arg-type]
    # Rounded here, so that a response too small to show has no sign.
    text = (pl.col("value").round(2) + 0.0).map_elements(lambda value: f"{value:+.2f}" if value else "0",
                                                         return_dtype=pl.String)  # fmt: skip
    rows = shown.select("name", "period", "value", text=text.str.replace("-", "−"))
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("period:O", title=_MONTHS, axis=alt.Axis(labelAngle=0, ticks=False, domain=False)),
        y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(ticks=False, domain=False)),
    )
    cells = base.mark_rect(stroke="white", strokeWidth=0.6).encode(
        color=alt.Color("value:Q", scale=alt.Scale(scheme="blueorange", domain=[-largest, largest]), legend=None)
    )
    labels = base.mark_text(fontSize=9).encode(
        text="text:N",
        color=alt.condition(abs(alt.datum.value) > 0.75 * largest, alt.value("white"), alt.value(_INK)),
    )
    heading = f"Response of factor {factor}"
    return charts.sized(alt.layer(cells, labels), THIRD, charts.row_height(len(names), around=70), heading)
