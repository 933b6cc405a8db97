"""The page: complete, self-contained, escaped, the same bytes for the same frames, and plain about what is absent."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import fields
from html.parser import HTMLParser

import altair as alt
import polars as pl
import pytest

from pipeline.report import blocks, charts, sections_models
from pipeline.report.data import FRAMES, ReportData
from pipeline.report.numbers import Numbers
from pipeline.report.page import SECTIONS, render


class _Page(HTMLParser):
    """Tags, ids, links and text of a page."""

    void = frozenset({"meta", "link", "br", "img", "col", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.classes: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name == "class" and value:
                self.classes |= set(value.split())
            if name in ("href", "src", "xlink:href", "srcset", "action") and value:
                self.links.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def text(full: ReportData) -> str:
    return render(full)


@pytest.fixture(scope="module")
def page(text: str) -> _Page:
    return _Page(text)


def test_every_section_has_contents_and_an_entry(page: _Page) -> None:
    anchors = [section.anchor for section in (*SECTIONS, sections_models.TRUTH, sections_models.REFERENCE)]
    assert [link for link in page.links if link.startswith("#")][: len(anchors)] == [f"#{each}" for each in anchors]
    assert set(anchors) <= set(page.ids)
    assert page.tags.count("section") == len(anchors)
    assert page.tags.count("svg") > 60
    assert page.tags.count("table") == 7
    assert "lacking" not in page.classes


def test_page_is_well_formed_and_asks_for_nothing_outside(page: _Page, text: str) -> None:
    assert not page.open
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 5_000_000


def test_ids_are_unique_and_references_resolve(page: _Page, text: str) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_text_of_the_data_is_escaped(page: _Page, text: str) -> None:
    assert "<script" not in text
    assert any('<script>alert("sector")</script>' in words for words in page.words)
    assert "A report <of tests>" in page.words
    assert html.escape("constituents <one>.parquet") in text


def test_malicious_names_are_escaped_in_charts() -> None:
    evil = "<script>alert(1)</script>"
    chart = charts.lines(
        pl.DataFrame({"month": ["2020-01-01"], "name": [evil], "value": [1.0]}), value="value", title=evil,
        order=(evil, "other"), heading=evil,
    )  # fmt: skip
    assert "<script" not in charts.to_svg(chart, "evil")
    assert "&lt;script" in charts.to_svg(chart, "evil")


def test_same_frames_give_the_same_bytes(full: ReportData) -> None:
    section = SECTIONS[0]
    first, second = (blocks.draw(section, Numbers(full)) for _ in range(2))
    assert first == second


def test_eager_and_lazy_frames_give_the_same_sections(full: ReportData, without: Callable[..., ReportData]) -> None:
    lazy = without(**{name: getattr(full, name).lazy() for name in FRAMES})
    for section in (SECTIONS[0], SECTIONS[3]):
        assert blocks.draw(section, Numbers(lazy)) == blocks.draw(section, Numbers(full))


def test_nothing_at_all_still_makes_a_page() -> None:
    text = render(ReportData(title="Nothing"))
    page = _Page(text)
    assert not page.open
    assert "no asset holds a row yet" in text
    for name in ("french_factors", "bond_returns", "bond_ipca"):
        assert f"<code>{name}</code>" in text
    assert "truth" not in page.ids


@pytest.mark.parametrize("name", FRAMES)
def test_an_absent_frame_is_named_where_it_is_missed(without: Callable[..., ReportData], name: str) -> None:
    reason = "it needs a <file>"
    data = without(name, absent={name: reason})
    lacking = {}
    for section in SECTIONS:
        for block in section.blocks:
            lacking |= dict.fromkeys(block.lacking(Numbers(data)))
    optional = {"bond_managed_portfolios", "bond_ipca_forecasts", "bond_ipca_intercept_forecasts"
    }  # fmt: skip
    assert (set(lacking) == {name}) or (name in optional and not lacking)


def test_the_reason_stands_in_the_section(without: Callable[..., ReportData]) -> None:
    data = without("goyal_welch", absent={"goyal_welch": "it needs a <file>"})
    (section,) = (section for section in SECTIONS if section.anchor == "macro")
    drawn = blocks.draw(section, Numbers(data))
    assert drawn.lacking == [("goyal_welch", "it needs a <file>")]
    assert len(drawn.contents) == 1


def test_frames_without_rows_count_as_absent(without: Callable[..., ReportData], full: ReportData) -> None:
    data = without(treasury_curve=full.frame("treasury_curve").clear())
    assert not data.has("treasury_curve")


@pytest.mark.parametrize("name", ["french_factors", "macro_factors", "goyal_welch", "treasury_curve", "vix_innovation"])
def test_frames_of_nulls_draw(without: Callable[..., ReportData], full: ReportData, name: str) -> None:
    """Before the first value of a series there are months of nulls."""
    nulls = full.frame(name).with_columns(pl.lit(None).cast(dtype).alias(column) for column, dtype in (
        full.frame(name).drop("month").schema.items()
    ))  # fmt: skip
    data = without(**{name: nulls})
    for section in SECTIONS:
        if any(name in block.needs for block in section.blocks):
            drawn = blocks.draw(section, Numbers(data))
            assert drawn.contents or drawn.lacking


def test_warming_up_is_said(without: Callable[..., ReportData], full: ReportData) -> None:
    warming = full.frame("bond_ipca").filter(status="warming_up")
    data = without(bond_ipca=warming, bond_ipca_intercept=warming)
    for section in (*SECTIONS[-4:-1], sections_models.TRUTH):
        content, _ = blocks.draw(section, Numbers(data)).contents[0]
        assert "warming up" in content.text


def test_charts_obey_the_grammar(full: ReportData) -> None:
    """Drawn with Altair's checks on, which the page turns off for speed."""
    numbers = Numbers(full)
    drawn = 0
    for section in (*SECTIONS, sections_models.TRUTH):
        for block in section.blocks:
            built = block.build(numbers)
            for content in built if isinstance(built, list) else [built]:
                for chart in list(getattr(content, "charts", ()))[:2]:  # the others are of the same form
                    assert isinstance(chart, alt.TopLevelMixin)
                    chart.to_dict(validate=True)
                    drawn += 1
    assert drawn > 25


def test_frames_are_fields() -> None:
    assert set(FRAMES) <= {field.name for field in fields(ReportData)}


def test_absent_must_name_frames() -> None:
    with pytest.raises(ValueError, match="bond_magic"):
        ReportData(title="x", absent={"bond_magic": "no"})


def test_settings_are_words(without: Callable[..., ReportData]) -> None:
    lags = {f"series {i}": 1 + (i == 3) for i in range(20)}
    data = without(settings={"fred_md": {"lags": lags, "window": (60, 12), "cut": {"lower": 0.01, "upper": 0.99}}})
    shown = [
        content
        for content, _ in blocks.draw(sections_models.REFERENCE, Numbers(data)).contents
        if content.kind == "pairs"
    ]
    assert shown[0].heading == "fred_md"
    assert shown[0].pairs == [
        ("lags", "20 entries: 1 (19), 2 (1)"),
        ("window", "60, 12"),
        ("cut", "lower 0.01, upper 0.99"),
    ]
