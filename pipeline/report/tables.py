"""Tables of the page, made with great-tables: number formats, column words, nothing computed.

Text from the data is escaped by great-tables; identifiers are fixed, so that the same numbers give the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from great_tables import GT, loc, style
from markupsafe import Markup

from pipeline.report.charts import PALETTE

_MISSING = "–"


def html_of(table: GT, font_size: str = "12.5px") -> Markup:
    """Give a table the look of the report and return it as HTML."""
    styled = (
        table.sub_missing(missing_text=_MISSING)
        .tab_options(
            table_font_size=font_size,
            table_width="100%",
            data_row_padding="3px",
            column_labels_font_weight="600",
            table_border_top_style="hidden",
            table_border_bottom_style="hidden",
            heading_border_bottom_style="hidden",
            column_labels_border_top_style="hidden",
            table_body_hlines_color="#E6E8EC",
            table_body_border_bottom_color="#C9CED6",
            column_labels_border_bottom_color="#8A8F98",
            row_group_font_weight="600",
        )
        .opt_table_font(font=["Liberation Sans", "Arial", "Helvetica", "sans-serif"])
    )
    return Markup(styled.as_raw_html())


def summary(frame: pl.DataFrame) -> Markup:
    """Summary statistics of the characteristics; see ``statistics.Distributions``."""
    values = ["mean", "std", "min", "p1", "p25", "p50", "p75", "p99", "max", "std_w", "min_w", "max_w"]
    table = (
        GT(frame, id="table-summary", rowname_col="name")
        .fmt_integer("n")
        .fmt_percent("missing", decimals=1)
        .fmt_number(values, n_sigfig=3, compact=True)
        .tab_spanner("raw values", ["mean", "std", "min", "p1", "p25", "p50", "p75", "p99", "max"])
        .tab_spanner("winsorised", ["std_w", "min_w", "max_w"])
        .cols_label(p50="median", std_w="std", min_w="min", max_w="max")
        .tab_options(data_row_padding_horizontal="3px", column_labels_padding_horizontal="3px")
    )
    return html_of(table, font_size="11.5px")


def sectors(frame: pl.DataFrame) -> Markup:
    """Sectors by size; see ``statistics.sectors``."""
    table = (
        GT(frame.with_columns(pl.col("sector").fill_null("no sector")), id="table-sectors")
        .fmt_integer(["bonds", "bond_months"])
        .fmt_percent(["mean", "std"], decimals=2)
        .cols_label(bond_months="bond-months", mean="mean excess return", std="standard deviation")
    )
    return html_of(table)


def correlations(frame: pl.DataFrame) -> Markup:
    """Average correlations with their errors; see ``statistics.average_correlations``."""
    table = (
        GT(frame.select("name", "months", "mean", "error", "t"), id="table-correlations")
        .fmt_integer("months")
        .fmt_number(["mean", "error"], decimals=4)
        .fmt_number("t", decimals=2)
        .cols_label(name="characteristic", error="standard error", t="t-statistic")
        .tab_style(style.text(weight="bold"), loc.body(columns="t", rows=pl.col("t").abs() > 1.96))
    )
    return html_of(table)


def factors(frame: pl.DataFrame) -> Markup:
    """Show published factors; see ``statistics.factor_summary``."""
    table = (
        GT(frame, id="table-factors")
        .fmt_integer("months")
        .fmt_percent(["mean", "std"], decimals=2)
        .fmt_number(["t", "sharpe"], decimals=2)
        .cols_label(
            name="factor", first="from", last="to", mean="mean a month", std="std a month", t="t-statistic",
            sharpe="Sharpe ratio a year",
        )
    )  # fmt: skip
    return html_of(table)


def r_squared(frame: pl.DataFrame, words: Mapping[str, str]) -> Markup:
    """R-squared and convergence; see ``factor_statistics.r2_table``."""
    shown = frame.with_columns(pl.col("model").replace(dict(words)))
    table = (
        GT(shown, id="table-r-squared")
        .fmt_percent(["total", "predictive", "oos_total", "oos_predictive"], decimals=2)
        .fmt_number("iterations", decimals=1)
        .tab_spanner("in sample", ["total", "predictive"])
        .tab_spanner("out of sample", ["oos_total", "oos_predictive"])
        .tab_spanner("recursion", ["estimations", "iterations", "not_converged"])
        .cols_label(
            n_factors="factors", n_months="months", oos_total="total", oos_predictive="predictive",
            iterations="mean iterations", not_converged="not converged",
        )
    )  # fmt: skip
    return html_of(table)


def truth(correlations: Sequence[float], rows: pl.DataFrame) -> Markup:
    """Truth beside estimate: statistic, true, estimated; canonical correlations as rows of their own.

    Parameters
    ----------
    correlations : sequence of float
        Descending.
    rows : pl.DataFrame
        statistic, true, estimated, shares of one.
    """
    canonical = pl.DataFrame(
        {
            "statistic": [f"canonical correlation {k + 1}" for k in range(len(correlations))],
            "true": [1.0] * len(correlations),
            "estimated": list(correlations),
        }
    )
    table = (
        GT(pl.concat([canonical.with_columns(pl.col("true", "estimated").cast(pl.Float64)), rows]), id="table-truth")
        .fmt_number(["true", "estimated"], decimals=4)
        .tab_style(style.text(color=PALETTE[0], weight="bold"), loc.body(columns="estimated"))
    )
    return html_of(table)


def dictionary(frame: pl.DataFrame) -> Markup:
    """Show the data dictionary of the characteristics; windows in words."""
    window = pl.col("window").str.replace(r"Window\(months=(\d+), min_obs=(\d+)\)", "$1 months, at least $2")
    table = (
        GT(frame.with_columns(window), id="table-dictionary", rowname_col="name")
        .cols_width(
            {"name": "19%", "definition": "25%", "unit": "10%", "inputs": "20%", "timing": "13%", "window": "13%"}
        )
        .tab_options(table_layout="fixed")
    )
    return html_of(table)
