"""The pages: complete, self-contained, escaped, the same bytes for the same frames, and plain about what is absent."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

import altair as alt
import polars as pl
import pytest

from pipeline.report import blocks, charts, sections_models
from pipeline.report.blocks import Page, Section
from pipeline.report.data import ReportData
from pipeline.report.downloads import FOLDER
from pipeline.report.numbers_bonds import BondNumbers
from pipeline.report.numbers_firms import FirmNumbers, row_blocks
from pipeline.report.page import render
from pipeline.report.pages import BOND_PAGE, FACTOR_MODEL_PAGE, FIRM_PAGE, PAGES, SDF_PAGE, TRADE_PAGE

SECTIONS = BOND_PAGE.sections
FILES = [page.file for page in PAGES]
_FIXTURES = {
    BOND_PAGE.file: "full",
    FIRM_PAGE.file: "firms",
    TRADE_PAGE.file: "trades",
    FACTOR_MODEL_PAGE.file: "factor_models",
    SDF_PAGE.file: "sdf",
}
#: Frames without which less is shown and nothing is missed.
_OPTIONAL = {
    *(model.portfolios for page in PAGES for model in page.numbers.models.values()),
    *(model.forecasts for page in PAGES for model in page.numbers.models.values()),
}


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


@pytest.fixture(scope="module", params=PAGES, ids=FILES)
def which(request: pytest.FixtureRequest) -> Page:
    return request.param


@pytest.fixture(scope="module")
def data_of(request: pytest.FixtureRequest) -> Callable[[Page], ReportData]:
    """Return every frame of a page; frames of the others are not made."""
    return lambda page: request.getfixturevalue(_FIXTURES[page.file])


@pytest.fixture(scope="module")
def text(which: Page, data_of: Callable[[Page], ReportData]) -> str:
    return render(which, data_of(which))


@pytest.fixture(scope="module")
def parsed(text: str) -> _Page:
    return _Page(text)


def _inner(links: list[str]) -> list[str]:
    """Return the links that lead neither to another page nor to the file of a table."""
    beside = ("data:image/png;base64,", f"{FOLDER}/")
    return [link for link in links if link not in FILES and not link.startswith(beside)]


def test_every_section_has_contents_and_an_entry(which: Page, parsed: _Page) -> None:
    anchors = [section.anchor for section in (*which.sections, which.truth, which.reference)]
    assert _inner(parsed.links)[: len(anchors)] == [f"#{each}" for each in anchors]
    assert set(anchors) <= set(parsed.ids)
    assert parsed.tags.count("section") == len(anchors)
    svgs = {BOND_PAGE.file: 60, FIRM_PAGE.file: 30, TRADE_PAGE.file: 20, FACTOR_MODEL_PAGE.file: 9, SDF_PAGE.file: 17}
    assert parsed.tags.count("svg") > svgs[which.file]
    found = {BOND_PAGE.file: 7, FIRM_PAGE.file: 7, TRADE_PAGE.file: 9, FACTOR_MODEL_PAGE.file: 32, SDF_PAGE.file: 27}
    assert parsed.tags.count("table") == found[which.file]
    # The frames of one hold a kernel that could not be estimated and a GAN in one market alone, those of the other no
    # forecasts of networks and trees; both pages say so.
    assert ("lacking" in parsed.classes) == (which in (SDF_PAGE, FACTOR_MODEL_PAGE))


def test_pages_lead_to_each_other(which: Page, parsed: _Page, text: str) -> None:
    assert parsed.links[: len(PAGES)] == FILES
    assert text.count('aria-current="page"') == 1
    assert f'<a href="{which.file}" aria-current="page">' in text


def test_page_is_well_formed_and_asks_for_nothing_outside(parsed: _Page, text: str) -> None:
    assert not parsed.open
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags
    assert all(link.startswith("#") for link in _inner(parsed.links))
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 4_000_000


def test_ids_are_unique_and_references_resolve(parsed: _Page, text: str) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(parsed.ids)
    assert {link[1:] for link in _inner(parsed.links)} <= set(parsed.ids)


def test_text_of_the_data_is_escaped(which: Page, parsed: _Page, text: str) -> None:
    assert "<script" not in text
    assert any('<script>alert("sector")</script>' in words for words in parsed.words)
    assert f"{which.title}: a market <of tests>" in parsed.words
    assert html.escape({BOND_PAGE.file: "constituents <one>.parquet"}.get(which.file, "monthly <one>.parquet")) in text


def test_malicious_names_are_escaped_in_charts() -> None:
    evil = "<script>alert(1)</script>"
    chart = charts.lines(
        pl.DataFrame({"month": ["2020-01-01"], "name": [evil], "value": [1.0]}), value="value", title=evil,
        order=(evil, "other"), heading=evil,
    )  # fmt: skip
    assert "<script" not in charts.to_svg(chart, "evil")
    assert "&lt;script" in charts.to_svg(chart, "evil")


def _section(page: Page, anchor: str) -> Section:
    (found,) = (section for section in (*page.sections, page.truth, page.reference) if section.anchor == anchor)
    return found


def test_same_frames_give_the_same_bytes(full: ReportData, firms: ReportData) -> None:
    for page, data, anchors in ((BOND_PAGE, full, ["coverage"]), (FIRM_PAGE, firms, ["universe", "clusters"])):
        for anchor in anchors:
            first, second = (blocks.draw(_section(page, anchor), page.numbers(data)) for _ in range(2))
            assert first == second
            assert first.contents


def test_eager_and_lazy_frames_give_the_same_sections(full: ReportData, firms: ReportData) -> None:
    for page, data, anchors in (
        (BOND_PAGE, full, ["coverage"]),
        (FIRM_PAGE, firms, ["universe", "published"]),
    ):
        lazy = ReportData(
            market=data.market,
            frames={name: frame.lazy() for name, frame in data.frames.items()},
            figures=data.figures,
            settings=data.settings,
        )
        for anchor in anchors:
            eager, late = (blocks.draw(_section(page, anchor), page.numbers(each)) for each in (data, lazy))
            assert eager == late


@pytest.mark.parametrize("page", PAGES, ids=FILES)
def test_nothing_at_all_still_makes_a_page(page: Page) -> None:
    text = render(page, ReportData(market="Nothing"))
    parsed = _Page(text)
    assert not parsed.open
    assert "no asset holds a row yet" in text
    asked = {name for section in page.sections for block in section.blocks for name in (*block.needs, *block.either)}
    assert asked > set(page.assets) - _OPTIONAL - {"french_factors", "bond_forecast_moments"}
    for name in asked:
        assert f"<code>{name}</code>" in text
    assert "truth" not in parsed.ids


def test_frames_of_another_page_are_refused(full: ReportData) -> None:
    with pytest.raises(ValueError, match=r"firms.html does not read bond_characteristics.*crsp_monthly"):
        render(FIRM_PAGE, full)


def _missed(page: Page, data: ReportData) -> set[str]:
    numbers = page.numbers(data)
    sections = (*page.sections, page.truth, page.reference)
    held = [block for section in sections for block in section.blocks]
    return {name for block in held for name in (*block.lacking(numbers), *block.missed(numbers))}


@pytest.mark.parametrize("name", BOND_PAGE.assets)
def test_an_absent_frame_is_named_where_it_is_missed(without: Callable[..., ReportData], name: str) -> None:
    assert _missed(BOND_PAGE, without(name)) == ({name} - _OPTIONAL)


@pytest.mark.parametrize("name", [*FIRM_PAGE.reads, *FIRM_PAGE.tables])
def test_an_absent_frame_of_firms_is_named(firms_without: Callable[..., ReportData], name: str) -> None:
    assert _missed(FIRM_PAGE, firms_without(name)) == ({name} - _OPTIONAL)


@pytest.mark.parametrize("name", ["crsp_monthly", "stock_returns", "firm_characteristics"])
def test_firms_without_a_frame_are_drawn_all_the_same(firms_without: Callable[..., ReportData], name: str) -> None:
    data = firms_without(name, absent={name: "it needs a <file>"})
    numbers = FirmNumbers(data)
    list(FIRM_PAGE.cards(numbers))
    said = set()
    for anchor in ("universe", "filters", "delistings", "clusters", "published", "truth"):
        said |= set(blocks.draw(_section(FIRM_PAGE, anchor), numbers).lacking)
    assert said == {(name, "it needs a <file>")}


def test_the_reason_stands_in_the_section(without: Callable[..., ReportData]) -> None:
    data = without("goyal_welch", absent={"goyal_welch": "it needs a <file>"})
    drawn = blocks.draw(_section(BOND_PAGE, "macro"), BondNumbers(data))
    assert drawn.lacking == [("goyal_welch", "it needs a <file>")]
    assert len(drawn.contents) == 1


def test_frames_without_rows_count_as_absent(without: Callable[..., ReportData], full: ReportData) -> None:
    data = without(frames={**full.frames, "treasury_curve": full.frame("treasury_curve").clear()})
    assert not data.has("treasury_curve")


@pytest.mark.parametrize("name", ["french_factors", "macro_factors", "goyal_welch", "treasury_curve", "vix_innovation"])
def test_frames_of_nulls_draw(without: Callable[..., ReportData], full: ReportData, name: str) -> None:
    """Before the first value of a series there are months of nulls."""
    nulls = full.frame(name).with_columns(pl.lit(None).cast(dtype).alias(column) for column, dtype in (
        full.frame(name).drop("month").schema.items()
    ))  # fmt: skip
    data = without(frames={**full.frames, name: nulls})
    for section in SECTIONS:
        if any(name in block.needs for block in section.blocks):
            drawn = blocks.draw(section, BondNumbers(data))
            assert drawn.contents or drawn.lacking


def test_warming_up_is_said(without: Callable[..., ReportData], full: ReportData) -> None:
    warming = full.frame("bond_ipca").filter(status="warming_up")
    data = without(frames={**full.frames, "bond_ipca": warming, "bond_ipca_intercept": warming})
    for section in (*SECTIONS[-4:-1], sections_models.TRUTH):
        content, _ = blocks.draw(section, BondNumbers(data)).contents[0]
        assert "warming up" in content.text


@pytest.mark.parametrize("page", PAGES, ids=FILES)
def test_charts_obey_the_grammar(page: Page, data_of: Callable[[Page], ReportData]) -> None:
    """Drawn with Altair's checks on, which the page turns off for speed."""
    numbers = page.numbers(data_of(page))
    drawn = 0
    for section in (*page.sections, page.truth):
        for block in section.blocks:
            built = block.build(numbers)
            for content in built if isinstance(built, list) else [built]:
                for chart in list(getattr(content, "charts", ()))[:2]:  # the others are of the same form
                    assert isinstance(chart, alt.TopLevelMixin)
                    chart.to_dict(validate=True)
                    drawn += 1
    least = {BOND_PAGE.file: 25, FIRM_PAGE.file: 16, TRADE_PAGE.file: 13, FACTOR_MODEL_PAGE.file: 8, SDF_PAGE.file: 9}
    assert drawn > least[page.file]


def test_a_young_panel_says_so(firms: ReportData, firms_without: Callable[..., ReportData]) -> None:
    """Before there are enough months for any mean, and with no universe at all."""
    first = firms.frame("stock_returns")["month"].min()
    young = {
        name: frame.lazy().filter(pl.col("month") <= first).collect()
        for name, frame in firms.frames.items()
        if name in ("crsp_monthly", "stock_returns", "firm_characteristics", "french_factors", "crsp.msi")
    }
    numbers = FirmNumbers(firms_without(frames=young, figures={}))
    for anchor, words in (
        ("long-short", "No characteristic has the 24 months"),
        ("clusters", "No characteristic has the 24 months"),
        ("delistings", "No stock of the universe has been delisted"),
        ("published", "no two months in common"),
    ):
        content, _ = blocks.draw(_section(FIRM_PAGE, anchor), numbers).contents[0]
        assert words in content.text
    outside = {"crsp_monthly": firms.frame("crsp_monthly").with_columns(in_universe=pl.lit(value=False))}
    assert blocks.draw(_section(FIRM_PAGE, "universe"), FirmNumbers(firms_without(frames=outside, figures={}))).contents


def test_other_delisting_profiles_are_not_held_against_the_wrong_truth(
    firms_without: Callable[..., ReportData],
) -> None:
    numbers = FirmNumbers(firms_without(settings={"stock_returns": {"delisting": "none"}}))
    drawn = blocks.draw(FIRM_PAGE.truth, numbers)
    assert "delisting profile none" in drawn.contents[-1][0].text


def test_row_blocks_hold_every_name_once_and_are_of_a_size() -> None:
    groups = {"a": tuple(f"a{k}" for k in range(5)), "b": tuple(f"b{k}" for k in range(94))}
    found = row_blocks(groups, most=48)
    assert [heading for heading, _ in found] == ["a", "b, 1 of 2", "b, 2 of 2"]
    assert [len(names) for _, names in found] == [5, 47, 47]
    assert [name for _, names in found for name in names] == [*groups["a"], *groups["b"]]


def test_pages_have_files_and_assets_of_their_own() -> None:
    for part in ("file", "asset", "title"):
        assert len({getattr(page, part) for page in PAGES}) == len(PAGES)
    for page in PAGES:
        anchors = [section.anchor for section in (*page.sections, page.truth, page.reference)]
        assert len(set(anchors)) == len(anchors)
        named = {
            name
            for section in (*page.sections, page.truth, page.reference)
            for block in section.blocks
            for name in (*block.needs, *block.either, *block.wants)
        }
        assert named <= {*page.frames, *page.reads}


def test_settings_are_words(without: Callable[..., ReportData]) -> None:
    lags = {f"series {i}": 1 + (i == 3) for i in range(20)}
    data = without(settings={"fred_md": {"lags": lags, "window": (60, 12), "cut": {"lower": 0.01, "upper": 0.99}}})
    shown = [
        content
        for content, _ in blocks.draw(sections_models.REFERENCE, BondNumbers(data)).contents
        if content.kind == "pairs"
    ]
    assert shown[0].heading == "fred_md"
    assert shown[0].pairs == [
        ("lags", "20 entries: 1 (19), 2 (1)"),
        ("window", "60, 12"),
        ("cut", "lower 0.01, upper 0.99"),
    ]
