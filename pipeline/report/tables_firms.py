"""Tables of the firm panel, made with great-tables: number formats, column words, nothing computed."""

from __future__ import annotations

import polars as pl
from great_tables import GT, loc, style
from markupsafe import Markup

from pipeline.report.charts import PALETTE
from pipeline.report.tables import html_of


def waterfall(totals: pl.DataFrame) -> Markup:
    """Show filters by asset; see ``firm_statistics.waterfall_totals``."""
    labelled = totals.with_columns(
        group=pl.col("asset") + pl.format(", newest month {}", pl.col("newest")).fill_null(", no rows yet")
    ).drop("asset", "newest")
    table = (
        GT(labelled, id="table-waterfall", rowname_col="step", groupname_col="group")
        .fmt_integer(["newest_in", "newest_out", "all_in", "all_out"])
        .fmt_percent("kept", decimals=1)
        .tab_spanner("newest month", ["newest_in", "newest_out"])
        .tab_spanner("all months", ["all_in", "all_out", "kept"])
        .cols_label(newest_in="in", newest_out="out", all_in="in", all_out="out")
    )
    return html_of(table)


def characteristics(frame: pl.DataFrame) -> Markup:
    """Show every characteristic in figures: coverage, persistence, long-short returns."""
    table = (
        GT(frame, id="table-characteristics", rowname_col="name", groupname_col="set")
        .fmt_percent("present", decimals=0)
        .fmt_percent(["mean_value", "mean_equal"], decimals=2)
        .fmt_number(["near", "far", "t_value", "t_equal", "sharpe"], decimals=2)
        .fmt_integer(["months", "stocks"])
        .tab_spanner("autocorrelation of ranks", ["near", "far"])
        .tab_spanner("long-short, value-weighted", ["months", "stocks", "mean_value", "t_value", "sharpe"])
        .tab_spanner("equally weighted", ["mean_equal", "t_equal"])
        .cols_label(
            first="from", near="1 month", far="12 months", stocks="stocks a leg", mean_value="mean", t_value="t",
            mean_equal="mean", t_equal="t", sharpe="Sharpe",
        )
        .tab_style(style.text(weight="bold"), loc.body(columns="t_value", rows=pl.col("t_value").abs() > 1.96))
        .tab_style(style.text(weight="bold"), loc.body(columns="t_equal", rows=pl.col("t_equal").abs() > 1.96))
        .tab_options(data_row_padding_horizontal="3px", column_labels_padding_horizontal="3px")
    )  # fmt: skip
    return html_of(table, font_size="11.5px")


def clusters(frame: pl.DataFrame) -> Markup:
    """Show clusters and their members; see ``sort_statistics.cluster_table``."""
    table = (
        GT(frame, id="table-clusters")
        .fmt_number(["within", "t"], decimals=2)
        .cols_label(within="mean |correlation|", strongest="largest |t|")
        .cols_width({"cluster": "7%", "size": "6%", "within": "12%", "strongest": "19%", "t": "7%", "members": "49%"})
        .tab_options(table_layout="fixed")
    )
    return html_of(table)


def comparison(frame: pl.DataFrame) -> Markup:
    """Show series beside what is published; see ``replication.compare``."""
    table = (
        GT(frame, id="table-comparison", rowname_col="name")
        .fmt_integer("months")
        .fmt_percent(["mean", "published_mean"], decimals=2)
        .fmt_number("correlation", decimals=4)
        .fmt_percent(["difference", "largest"], decimals=3)
        .tab_spanner("mean a month", ["mean", "published_mean"])
        .tab_spanner("absolute difference", ["difference", "largest"])
        .cols_label(first="from", last="to", mean="panel", published_mean="published", difference="mean")
        .tab_style(style.text(color=PALETTE[0], weight="bold"), loc.body(columns="correlation"))
    )
    return html_of(table)


def traps(frame: pl.DataFrame) -> Markup:
    """Show cells that were made difficult on purpose; see ``replication.traps``."""
    table = (
        GT(frame.with_columns(pl.col("trap").str.replace_all("_", " ")), id="table-traps", rowname_col="trap")
        .fmt_integer(["planted", "looked_at", "right"])
        .cols_label(looked_at="in the panel")
        .tab_style(
            style.text(color=PALETTE[1], weight="bold"),
            loc.body(columns="right", rows=pl.col("right") < pl.col("looked_at")),
        )
    )
    return html_of(table)


def dictionary(frame: pl.DataFrame) -> Markup:
    """Show the data dictionary of the firm characteristics."""
    shown = frame.select("name", "sets", "definition", "unit", "timing", "history", "reference")
    table = (
        GT(shown, id="table-dictionary", rowname_col="name")
        .cols_width(
            {"name": "14%", "sets": "9%", "definition": "33%", "unit": "9%", "timing": "9%", "history": "11%",
             "reference": "15%"}
        )
        .tab_options(table_layout="fixed")
    )  # fmt: skip
    return html_of(table, font_size="11.5px")
