"""The page of bonds from trades: its sections, what it says of what is absent, odd inputs, escaping."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from pipeline.report import blocks
from pipeline.report.blocks import Drawn
from pipeline.report.data import ReportData
from pipeline.report.numbers_trades import TradeNumbers
from pipeline.report.page import render
from pipeline.report.pages import TRADE_PAGE

_SECTIONS = (*TRADE_PAGE.sections, TRADE_PAGE.truth, TRADE_PAGE.reference)
#: What there is without reports of trades: the index extract and the panel made of it.
_FROM_INDEX = ("bond_snapshot", "bond_returns", "bond_portfolios")


def _drawn(anchor: str, data: ReportData) -> Drawn:
    (section,) = (each for each in _SECTIONS if each.anchor == anchor)
    return blocks.draw(section, TradeNumbers(data))


def test_sections_hold_what_they_are_about(trades: ReportData) -> None:
    kinds = {section.anchor: [content.kind for content, _ in _drawn(section.anchor, trades).contents]
             for section in _SECTIONS}  # fmt: skip
    assert kinds == {
        "cleaning": ["figure", "table", "figure", "figure"],
        "universe": ["table"],
        "coverage": ["figure", "figure"],
        "composition": ["figure"],
        "spreads": ["figure"],
        "portfolios": ["figure", "table", "table"],
        "issuers": ["figure", "table", "table"],
        "truth": ["table", "table", "table"],
        "settings": ["pairs", "pairs"],
    }


def test_numbers_stand_on_the_page(trades: ReportData) -> None:
    text = render(TRADE_PAGE, trades)
    reports = sum(month["waterfall"][0]["rows_in"] for month in trades.figures["trace_daily"].values())
    assert f"<strong>{reports:,}</strong>" in text
    assert "November 2011 to April 2014" in text
    assert "1990" not in text
    assert "Duraj and Giesecke (2025)" in text
    assert "The market is simulated, so the two need not agree." in text


@pytest.mark.parametrize("name", TRADE_PAGE.reads)
def test_an_absent_frame_is_named_where_it_is_missed(trades_without: Callable[..., ReportData], name: str) -> None:
    numbers = TradeNumbers(trades_without(name))
    missed = {
        each for section in _SECTIONS for block in section.blocks
        for each in (*block.lacking(numbers), *block.missed(numbers))
    }  # fmt: skip
    assert missed == {name}
    list(TRADE_PAGE.cards(numbers))
    built = [block.build(numbers) for section in _SECTIONS for block in section.blocks if not block.lacking(numbers)]
    assert len(built) > 8


def test_from_the_index_the_page_says_which_files_it_lacks(trades: ReportData) -> None:
    files = "it needs trace.trace_enhanced"
    absent = {name: files for name in TRADE_PAGE.reads if name not in _FROM_INDEX}
    index = {name: trades.frames[name] for name in _FROM_INDEX}
    index["bond_returns"] = index["bond_returns"].with_columns(source=pl.lit("index"))
    months = {month: {"rows": 1} for month in trades.figures["bond_returns"]}
    data = ReportData(market="Index", frames=index, figures={"bond_returns": months}, absent=absent)
    text = render(TRADE_PAGE, data)
    assert "truth" not in text
    assert "need not agree" not in text
    cleaning = _drawn("cleaning", data)
    assert (cleaning.contents, cleaning.lacking) == ([], [("trace_daily", files)])
    coverage = _drawn("coverage", data)
    assert [len(svgs) for _, svgs in coverage.contents] == [2, 1]
    assert "Returns, by source: index" in coverage.contents[1][1][0]
    for anchor in ("composition", "spreads", "portfolios"):
        drawn = _drawn(anchor, data)
        assert (bool(drawn.contents), drawn.lacking) == (True, [])
    cards = {what for _, what, _ in TRADE_PAGE.cards(TradeNumbers(data))}
    assert cards == {"bonds with a price", "bond-months with a return", "sorts"}


def test_manifests_without_figures_say_so(trades_without: Callable[..., ReportData], trades: ReportData) -> None:
    bare = {name: {month: {"rows": 1} for month in months} for name, months in trades.figures.items()}
    data = trades_without(figures=bare)
    for anchor, words in (
        ("cleaning", "No manifest says"), ("universe", "No manifest says"), ("issuers", "No manifest says"),
    ):  # fmt: skip
        content, _ = _drawn(anchor, data).contents[0]
        assert words in content.text
    assert [len(svgs) for _, svgs in _drawn("coverage", data).contents] == [2, 1]
    list(TRADE_PAGE.cards(TradeNumbers(data)))


def test_young_and_odd_panels_are_drawn(trades_without: Callable[..., ReportData], trades: ReportData) -> None:
    first = date(2011, 12, 1)
    young = {
        name: frame.lazy().filter(pl.col("month") <= first).collect() if "month" in frame.collect_schema() else frame
        for name, frame in trades.frames.items()
    }
    data = trades_without(frames=young)
    assert "No portfolio has the 24 months" in _drawn("portfolios", data).contents[0][0].text
    assert _drawn("truth", data).contents
    snapshot = trades.frame("bond_snapshot").with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("spread", "ytm", "duration", "face_value")
    )
    blank = trades_without(frames={**trades.frames, "bond_snapshot": snapshot})
    assert "No bond of the panel has a spread" in _drawn("spreads", blank).contents[0][0].text
    assert [len(svgs) for _, svgs in _drawn("composition", blank).contents] == [0]
    list(TRADE_PAGE.cards(TradeNumbers(blank)))


def test_the_truth_of_other_thresholds_is_not_told(trades_without: Callable[..., ReportData]) -> None:
    settings = {"trace_daily": {**TradeNumbers(trades_without()).cleaning_settings, "smallest_volume": 1.0}}
    content, _ = _drawn("truth", trades_without(settings=settings)).contents[0]
    assert "under another smallest_volume" in content.text
    memory = {"trace_daily": {**TradeNumbers(trades_without()).cleaning_settings, "rows_at_once": 7}}
    assert _drawn("truth", trades_without(settings=memory)).contents[0][0].kind == "table"


def test_names_of_companies_are_escaped(trades: ReportData) -> None:
    (table,) = [
        content.html
        for content, _ in _drawn("issuers", trades).contents
        if "ISSUER &amp; CO" in getattr(content, "html", "")
    ]
    assert "<script" not in table
    assert "&lt;script&gt;" in table
    steps, _ = _drawn("universe", trades).contents[0]
    assert "<script" not in steps.html


def test_zero_has_no_sign(trades_without: Callable[..., ReportData], trades: ReportData) -> None:
    """The last portfolio earns a little less than the first, less than can be shown."""
    first = pl.col("ret").first().over("month", "sort")
    noise = pl.when(pl.col("month").dt.month() % 2 == 0).then(1e-6).otherwise(-1e-6) - 1e-8
    even = trades.frame("bond_portfolios").with_columns(
        ret=pl.when(pl.col("bin") == 1).then(first).otherwise(first + noise)
    )
    data = trades_without(frames={**trades.frames, "bond_portfolios": even})
    assert TradeNumbers(data).high_minus_low["mean"].max() < 0
    charts = "".join(svg for _, svgs in _drawn("portfolios", data).contents for svg in svgs)
    assert "spread: 0.00%" in charts
    assert "−0.00%" not in charts
