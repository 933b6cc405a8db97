"""What a page is made of: sections of figures, tables and words, each knowing which frames it needs.

Belongs here: the kinds of content, and how a page and a section are described. Does not: which pages (``pages``) and
sections (``sections_*``) there are, and the HTML (``page``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import altair as alt
from markupsafe import Markup

from pipeline.report.charts import to_svg
from pipeline.report.data import TRUTH
from pipeline.report.downloads import Download
from pipeline.report.numbers import Numbers


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Charts that belong together, under one caption; None stands for a chart without a value and is left out."""

    charts: Sequence[alt.TopLevelMixin | None]
    caption: str
    columns: int = 1
    heading: str = ""
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table, already HTML, and the files that hold it."""

    html: Markup
    caption: str
    heading: str = ""
    downloads: Sequence[Download] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, kw_only=True)
class Words:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "words"


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Names and values, a line each, under a heading."""

    heading: str
    pairs: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "pairs"


Content = Figure | Table | Words | Pairs
Build = Callable[[Any], Content | Sequence[Content]]
"""From the page's :class:`pipeline.report.numbers.Numbers` to content."""
Card = tuple[str, str, str]
"""A key figure: its value, what it is, and a word on it."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Content that is built when its frames are there.

    Attributes
    ----------
    build : callable
        Makes the content.
    needs : tuple of str
        Frames without which it cannot.
    either : tuple of str
        Frames of which at least one must be there.
    wants : tuple of str
        Frames that it shows where they are there, and whose absence is worth saying where they are not.
    """

    build: Build
    needs: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()

    def lacking(self, numbers: Numbers) -> tuple[str, ...]:
        """Return the frames that are absent and without which the block is not shown."""
        lacking = tuple(name for name in self.needs if not numbers.data.has(name))
        if self.either and not any(numbers.data.has(name) for name in self.either):
            lacking += self.either
        return lacking

    def missed(self, numbers: Numbers) -> tuple[str, ...]:
        """Return the frames that are absent and without which less of the block is shown."""
        return tuple(name for name in self.wants if not numbers.data.has(name))


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the page: its heading, its place in links, what its numbers mean, its blocks."""

    title: str
    anchor: str
    intro: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the report.

    Attributes
    ----------
    asset : str
        Name of the asset that writes it.
    file : str
        Its file, beside those of the other pages.
    title, subject : str
        Heading, and what it is about as the beginning of a sentence.
    numbers : type
        Kind of :class:`pipeline.report.numbers.Numbers` that its blocks are given.
    cards : callable
        Key figures of its head, from those numbers.
    sections : tuple of Section
        In their order.
    truth : Section
        Shown before the reference where the market is simulated.
    reference : Section
        The last one.
    assets : tuple of str
        Assets whose rows it reads.
    tables : tuple of str
        Extract tables that it reads.
    truth_tables : tuple of str
        Tables of the truth that it reads.
    figures : tuple of str
        Assets of which it reads what the manifests say.
    states : tuple of str
        Assets of which it reads the newest state.
    """

    asset: str
    file: str
    title: str
    subject: str
    numbers: type[Numbers]
    cards: Callable[[Any], Iterator[Card]]
    sections: tuple[Section, ...]
    truth: Section
    reference: Section
    assets: tuple[str, ...]
    tables: tuple[str, ...] = ()
    truth_tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Assets that it depends on."""
        return tuple(dict.fromkeys((*self.assets, *self.figures, *self.states)))

    @property
    def frames(self) -> tuple[str, ...]:
        """Names under which frames may be given."""
        return (*self.assets, *self.tables, *(TRUTH + name for name in self.truth_tables))


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A section ready for the template: contents with their SVG texts, and the frames it had to do without."""

    title: str
    anchor: str
    intro: str
    contents: list[tuple[Content, list[Markup]]] = field(default_factory=list)
    lacking: list[tuple[str, str]] = field(default_factory=list)

    @property
    def lacking_by_reason(self) -> list[tuple[str, list[str]]]:
        """Reasons in the order of their first frame, with their frames."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.lacking:
            reasons.setdefault(reason, []).append(name)
        return list(reasons.items())

    @property
    def downloads(self) -> dict[str, str]:
        """Texts of the files that its tables offer, by path relative to the page."""
        offered = (each for content, _ in self.contents if isinstance(content, Table) for each in content.downloads)
        return {each.file: each.text for each in offered}


def draw(section: Section, numbers: Numbers) -> Drawn:
    """Build every block of a section that can be built, and name the frames that the others lack."""
    drawn = Drawn(title=section.title, anchor=section.anchor, intro=section.intro)
    lacking: dict[str, None] = {}
    for block in section.blocks:
        absent = block.lacking(numbers)
        if absent:
            lacking |= dict.fromkeys(absent)
            continue
        lacking |= dict.fromkeys(block.missed(numbers))
        built = block.build(numbers)
        for content in built if isinstance(built, Sequence) else (built,):
            place = f"{section.anchor}-{len(drawn.contents)}"
            drawn.contents.append((content, list(_svgs(content, place))))
    drawn.lacking.extend((name, numbers.data.absent.get(name, "")) for name in lacking)
    return drawn


def _svgs(content: Content, place: str) -> Iterable[Markup]:
    if isinstance(content, Figure):
        for i, chart in enumerate(content.charts):
            if chart is not None:
                yield to_svg(chart, f"{place}-{i}")
