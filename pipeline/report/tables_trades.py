"""Tables of the page of bonds from trades, made with great-tables: number formats, column words, nothing computed.

Text from the data is escaped by great-tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from great_tables import GT, loc, style
from markupsafe import Markup

from pipeline.report.charts import PALETTE
from pipeline.report.portfolio_statistics import MOMENTS
from pipeline.report.tables import html_of

_TIGHT = "4px"


def cleaning(frame: pl.DataFrame, old: str, new: str) -> Markup:
    """Show what each step of the cleaning drops in the two regimes; see ``trade_statistics.cleaning_by_era``."""
    counts = ["old_in", "old_dropped", "new_in", "new_dropped"]
    table = (
        GT(frame.drop("place"), id="table-cleaning", rowname_col="step")
        .fmt_integer(counts)
        .fmt_percent(["old_share", "new_share"], decimals=2)
        .tab_spanner(old, ["old_in", "old_dropped", "old_share"])
        .tab_spanner(new, ["new_in", "new_dropped", "new_share"])
        .cols_move_to_end(["drops", "source"])
        .cols_label(
            drops="what goes", source="after", old_in="in", old_dropped="dropped", old_share="of all", new_in="in",
            new_dropped="dropped", new_share="of all",
        )
        .cols_width(
            {"step": "130px", "old_in": "72px", "old_dropped": "62px", "old_share": "54px", "new_in": "72px",
             "new_dropped": "62px", "new_share": "54px", "drops": "215px", "source": "160px"}
        )
        .tab_options(data_row_padding_horizontal=_TIGHT, column_labels_padding_horizontal=_TIGHT)
    )  # fmt: skip
    return html_of(table, font_size="11.5px")


def portfolios(frame: pl.DataFrame) -> Markup:
    """Show portfolios beside the published ones; see ``portfolio_statistics.portfolio_summary``."""
    published = [f"{name}_published" for name in MOMENTS]
    table = (
        GT(frame, id="table-portfolios", rowname_col="portfolio", groupname_col="sort")
        .fmt_number("bonds", decimals=1)
        .fmt_integer("months")
        .fmt_number([*MOMENTS, *published], decimals=3)
        .tab_spanner("this panel", ["bonds", "months", *MOMENTS])
        .tab_spanner("published", published)
        .cols_label(
            p25="25th", p75="75th", median_published="median", std_published="std", p25_published="25th",
            p75_published="75th",
        )
        .tab_options(data_row_padding_horizontal=_TIGHT, column_labels_padding_horizontal=_TIGHT)
    )  # fmt: skip
    return html_of(table)


def high_minus_low(frame: pl.DataFrame) -> Markup:
    """Show what the last portfolio of each sort earns over the first, with what it holds and who sorts so."""
    table = (
        GT(frame, id="table-high-minus-low", rowname_col="sort")
        .fmt_integer("months")
        .fmt_percent(["mean", "low", "high"], decimals=2)
        .fmt_number("t", decimals=2)
        .cols_label(
            last="the last portfolio holds", source="after", mean="mean a month", t="t-statistic", low="from", high="to"
        )
        .tab_spanner("95% confidence", ["low", "high"])
        .tab_style(style.text(weight="bold"), loc.body(columns="t", rows=pl.col("t").abs() > 1.96))
    )
    return html_of(table)


def match_outcomes(frame: pl.DataFrame) -> Markup:
    """Show how bonds were matched and why others were not; see ``trade_statistics.match_outcomes``."""
    table = (
        GT(frame, id="table-match", rowname_col="outcome")
        .fmt_integer(["newest", "all"])
        .fmt_percent(["newest_share", "all_share"], decimals=1)
        .tab_spanner("newest month", ["newest", "newest_share"])
        .tab_spanner("all months", ["all", "all_share"])
        .cols_label(meaning="", newest="bonds", newest_share="share", all="bond-months", all_share="share")
    )
    return html_of(table)


def rejected(frame: pl.DataFrame) -> Markup:
    """Show rejected candidates; see ``trade_statistics.nearest_rejected``."""
    shown = frame.select(
        "issuer_name",
        "name",
        "similarity",
        pl.when("in_force").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("in_force"),
        pl.coalesce("meaning", "rejection").alias("reason"),
        pl.col("month").dt.strftime("%Y-%m"),
        "n_bonds",
    )
    table = (
        GT(shown, id="table-rejected")
        .fmt_number("similarity", decimals=3)
        .fmt_integer("n_bonds")
        .cols_label(
            issuer_name="issuer of the bond", name="company of CRSP", in_force="name at the offering",
            reason="rejected", month="last in", n_bonds="bonds",
        )
        .cols_width(
            {"issuer_name": "185px", "name": "185px", "similarity": "70px", "in_force": "75px", "reason": "245px",
             "month": "62px", "n_bonds": "50px"}
        )
        .tab_options(data_row_padding_horizontal=_TIGHT, column_labels_padding_horizontal=_TIGHT)
    )  # fmt: skip
    return html_of(table, font_size="11.5px")


def planted(frame: pl.DataFrame) -> Markup:
    """Show cleaned days beside the true ones; see ``trade_truth.days_by_kind``."""
    table = (
        GT(frame.with_columns(pl.col("kind").str.replace_all("_", " ")), id="table-planted", rowname_col="kind")
        .fmt_integer(["planted", "days", "right", "right_finally"])
        .tab_spanner("days that are right", ["right", "right_finally"])
        .cols_label(
            outcome="right answer", planted="reports", days="days with one", right="at once", right_finally="finally"
        )
    )
    return html_of(_short(table, {"right": "days", "right_finally": "days"}))


def returns(frame: pl.DataFrame) -> Markup:
    """Show returns beside the true ones; see ``trade_truth.returns_beside_truth``."""
    table = (
        GT(frame, id="table-true-returns", rowname_col="source")
        .fmt_integer("bond_months")
        .fmt_number("correlation", decimals=4)
        .fmt_percent(["difference", "median", "p95", "largest"], decimals=3)
        .tab_spanner("absolute difference", ["median", "p95", "largest"])
        .cols_label(bond_months="bond-months", difference="mean difference", p95="95th percentile")
    )
    return html_of(table)


def issuers(frame: pl.DataFrame) -> Markup:
    """Show issuers beside the true ones; see ``trade_truth.issuer_match``."""
    table = (
        GT(frame, id="table-true-issuers", rowname_col="kind")
        .fmt_integer(["bond_months", "matched", "right", "findable", "found"])
        .fmt_percent(["precision", "recall"], decimals=1)
        .cols_label(bond_months="bond-months", right="matched right", findable="can be found")
    )
    return html_of(_short(table, {"right": "matched", "found": "findable"}))


def _short(table: GT, of: Mapping[str, str]) -> GT:
    """Mark counts that fall short of what they should be."""
    for column, whole in of.items():
        short = pl.col(column) < pl.col(whole)
        table = table.tab_style(style.text(color=PALETTE[1], weight="bold"), loc.body(columns=column, rows=short))
    return table
