"""Look and basic forms of every chart: palette, axes, and SVG text that can stand inside a page.

Belongs here: what charts share. Does not: what a particular chart shows (``charts_panel``, ``charts_macro``,
``charts_models``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
import vl_convert as vlc
from markupsafe import Markup

#: Okabe and Ito's colours, told apart with any colour vision; black and yellow left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5B5B5B")
BLUE, VERMILION, GREEN, GREY, PALE = PALETTE[0], PALETTE[1], PALETTE[2], "#8A8F98", "#C9CED6"
_INK, _GRID = "#2B2F36", "#E6E8EC"
# Its letters are as wide as Arial's, with which the renderer measures; so no label outgrows its place in a browser.
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

#: Width of charts that share a row, and of those that fill it, in pixels; the page scales them down, never up much.
THIRD, HALF, FULL = 310, 470, 860
#: Number formats of axes: no more decimals than the ticks need.
NUMBER, PERCENT = ",~f", "~%"
#: Labels of an axis whose values may be of any size: 0.05, 250, 1.5k.
ANY_SIZE = "abs(datum.value) >= 1000 ? format(datum.value, '.3~s') : format(datum.value, '~g')"

_AXIS = {
    "labelColor": _INK,
    "titleColor": _INK,
    "gridColor": _GRID,
    "domainColor": _GRID,
    "tickColor": _GRID,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "labelLimit": 220,
    "titlePadding": 8,
}
_CONFIG: dict[str, Any] = {
    "font": _FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisX": {"grid": False},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 11,
        "symbolType": "stroke",
        "symbolStrokeWidth": 3,
        "labelLimit": 260,
        "columnPadding": 14,
        "offset": 4,
    },
    "title": {"anchor": "start", "fontSize": 12, "fontWeight": "bold", "color": _INK, "offset": 8},
    "range": {"category": list(PALETTE)},
    "aria": False,
}
_ID = re.compile(r'(\bid="|url\(#|href="#)((?:clip|gradient)[\w-]*)')


def to_svg(chart: alt.TopLevelMixin, name: str) -> Markup:
    """Render a chart as SVG text.

    Parameters
    ----------
    chart : altair chart
        Its configuration is replaced by the report's.
    name : str
        Unique in the page: the chart's clip paths and gradients are named after it and counted anew. The renderer
        counts them through the life of the process, so that the same chart would never have the same text twice.

    Returns
    -------
    Markup
        One ``<svg>`` element, the same for the same chart; text from the data is escaped by the renderer.
    """
    spec = chart.to_dict(validate=False) | {"config": _CONFIG}
    places: dict[str, int] = {}

    def named(found: re.Match[str]) -> str:
        return f"{found[1]}{name}-{places.setdefault(found[2], len(places))}"

    return Markup(_ID.sub(named, vlc.vegalite_to_svg(spec)))


def data(frame: pl.DataFrame) -> alt.InlineData:
    """Return a frame as the rows of a chart, dates as ISO text.

    As one JSON text, because Altair copies data given as objects, row by row, with every property that is set.
    """
    rows = frame.with_columns(pl.selectors.date().cast(pl.String)).write_json()
    return alt.InlineData(values=rows, format=alt.JsonDataFormat(type="json"))


def month_axis(field: str = "month") -> alt.X:
    """Time on the horizontal axis, in universal time so that a month is not drawn in the one before."""
    axis = alt.Axis(tickCount=5, labelOverlap=True, labelSeparation=8)
    return alt.X(f"{field}:T", title=None, scale=alt.Scale(type="utc"), axis=axis)


def value_axis(field: str, title: str | None, pattern: str = NUMBER, *, zero: bool = False) -> alt.Y:
    """Value on the vertical axis.

    Parameters
    ----------
    field, title, pattern : str
        Column, words with the unit, and number format of d3.
    zero : bool, optional
        Whether the axis must show zero.
    """
    return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=zero), axis=alt.Axis(format=pattern, tickCount=5))


def colours(
    field: str, order: Sequence[str], palette: Sequence[str] = PALETTE, *, columns: int = 3, symbol: str = "stroke"
) -> alt.Color:
    """Colour by a name, always the same for the same place in ``order``; no legend for a single one."""
    shape: dict[str, Any] = {"symbolType": symbol} | (
        {} if symbol == "stroke" else {"symbolStrokeWidth": 0, "symbolOpacity": 1}
    )
    legend = alt.Legend(columns=columns, **shape) if len(order) > 1 else None
    return alt.Color(
        f"{field}:N",
        sort=list(order),
        scale=alt.Scale(domain=list(order), range=[palette[i % len(palette)] for i in range(len(order))]),
        legend=legend,
    )


def sized(chart: Any, width: int, height: int, title: str | None = None) -> Any:
    """Give a single or layered chart its outer size, axes and legends included."""
    options = {"title": title} if title else {}
    return chart.properties(
        width=width, height=height, autosize=alt.AutoSizeParams(type="fit", contains="padding"), **options
    )


def zero_line() -> alt.Chart:
    """Return a thin line at zero."""
    return alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(color=GREY, strokeWidth=0.8).encode(y="zero:Q")


def lines(
    frame: pl.DataFrame,
    *,
    value: str,
    title: str | None,
    pattern: str = NUMBER,
    order: Sequence[str] = (),
    name: str = "name",
    size: tuple[int, int] = (HALF, 230),
    heading: str | None = None,
    zero: bool = False,
    from_zero: bool = False,
    palette: Sequence[str] = PALETTE,
    width: float = 1.4,
) -> alt.TopLevelMixin:
    """Lines through time, one a name.

    Parameters
    ----------
    frame : pl.DataFrame
        month, ``value`` and, with ``order``, the column ``name``; a null interrupts its line.
    value, title, pattern : str
        Column, words and format of the vertical axis.
    order : sequence of str, optional
        Names in the order of the legend; a single line when empty.
    size : tuple of int, optional
        Outer width and height.
    heading : str, optional
        Words above the chart.
    zero : bool, optional
        Whether to draw a line at zero.
    from_zero : bool, optional
        Whether the vertical axis starts at zero, as it should for counts.
    """
    chart = alt.Chart(data(frame)).mark_line(strokeWidth=width, clip=True)
    encoded = chart.encode(x=month_axis(), y=value_axis(value, title, pattern, zero=from_zero))
    if order:
        encoded = encoded.encode(
            color=colours(name, order, palette, columns=4 if len(order) == 4 else 3 if size[0] < FULL else 6)
        )
    else:
        encoded = encoded.encode(color=alt.value(palette[0]))
    drawn = alt.layer(zero_line(), encoded) if zero else encoded
    return sized(drawn, *size, heading)


def row_height(rows: int, each: int = 17, around: int = 60) -> int:
    """Height of a chart with one row a characteristic."""
    return rows * each + around
