"""The page: frames in, one self-contained HTML text out.

Belongs here: the order of the sections, the header's key figures, the template. Does not: charts, tables, numbers. The
page holds no script and asks for nothing from outside; the same data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import sections_macro, sections_models, sections_panel
from pipeline.report.blocks import Section, draw
from pipeline.report.data import ReportData
from pipeline.report.numbers import MODELS, Numbers

#: Sections of every page, in their order; the truth is put in before the reference where there is one.
SECTIONS: tuple[Section, ...] = (
    *sections_panel.SECTIONS,
    *sections_macro.SECTIONS,
    *sections_models.SECTIONS,
)


def render(data: ReportData) -> str:
    """Render the report.

    Parameters
    ----------
    data : ReportData
        Frames of the lake; a section whose frames are absent says which.

    Returns
    -------
    str
        One HTML document with its style and its charts (SVG) inside, no script, no link to anything outside. Text from
        the data is escaped.
    """
    numbers = Numbers(data)
    truth = (sections_models.TRUTH,) if data.has("truth") else ()
    shown = (*SECTIONS, *truth, sections_models.REFERENCE)
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    # Altair checks every property as it is set, a third of the time; the tests draw the same charts with the checks on.
    with debug_mode(False):
        drawn = [draw(section, numbers) for section in shown]
    style, _, _ = environment.loader.get_source(environment, "style.css")  # type: ignore[union-attr]
    return environment.get_template("page.html.j2").render(
        title=data.title,
        subtitle=_subtitle(numbers),
        cards=list(_cards(numbers)),
        sections=drawn,
        style=Markup(style),
    )


def _subtitle(numbers: Numbers) -> str:
    market = "a simulated market" if numbers.data.has("truth") else "vendor data"
    if numbers.span is None:
        return f"Built from {market}; no asset holds a row yet."
    first, last = numbers.span
    return (
        f"Bond panel, macro series and recursively estimated factor models from {market}, {first:%B %Y} to "
        f"{last:%B %Y}. What is stored for a month uses nothing dated after it; figures in sample or under the newest "
        "estimates say so."
    )


def _cards(numbers: Numbers) -> Iterator[tuple[str, str, str]]:
    """Key figures: value, what it is, and a word on it."""
    data = numbers.data
    if data.has("bond_returns"):
        held = numbers.returns
        yield f"{held['months']:,} months", "of bond returns", f"{held['first']:%Y-%m} to {held['last']:%Y-%m}"
        yield f"{held['bonds']:,}", "bonds", "with at least one return"
        yield f"{held['bond_months']:,}", "bond-months", "with a return"
    yield f"{data.dictionary.height}", "characteristics", "raw, winsorised, ranked"
    for name, recursion in numbers.recursions.items():
        newest = recursion.rows.row(-1, named=True)
        out = newest["oos_total_r2"]
        note = "not yet out of sample" if out is None else f"{out:.1%} out of sample"
        yield f"{newest['total_r2']:.1%}", f"total R², {MODELS[name]}", f"{newest['n_factors']} factors, {note}"
    if numbers.truth is not None:
        yield f"{numbers.truth.correlations.min():.3f}", "smallest canonical correlation", "with the true factors"
