"""One page: frames in, one self-contained HTML text out, and the files that its tables can be fetched as.

Belongs here: heading, links to the other pages, the template. Does not: which pages there are (``pages``), charts,
tables, numbers. A page holds no script and asks for nothing from outside but the pages and tables beside it; the same
data give the same bytes.
"""

from __future__ import annotations

from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.blocks import Page, draw
from pipeline.report.data import ReportData
from pipeline.report.numbers import Numbers
from pipeline.report.pages import PAGES


def render(page: Page, data: ReportData) -> str:
    """Render a page; see :func:`compose`, of whose files it is the first."""
    return compose(page, data)[page.file]


def compose(page: Page, data: ReportData) -> dict[str, str]:
    """Render a page and the files of its tables.

    Parameters
    ----------
    page : Page
        Which one.
    data : ReportData
        Its frames; a section whose frames are absent says which.

    Returns
    -------
    dict of str to str
        Texts by path relative to the page. The page, first, is one HTML document with its style and its charts (SVG)
        inside, no script, no link to anything but the pages and the files beside it. Text from the data is escaped.

    Raises
    ------
    ValueError
        If data names a frame that the page does not read.
    """
    _refuse_unknown(page, data)
    numbers = page.numbers(data)
    truth = (page.truth,) if data.simulated else ()
    environment = Environment(
        loader=PackageLoader("pipeline.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    # Altair checks every property as it is set, a third of the time; the tests draw the same charts with the checks on.
    with debug_mode(False):
        drawn = [draw(section, numbers) for section in (*page.sections, *truth, page.reference)]
    style, _, _ = environment.loader.get_source(environment, "style.css")  # type: ignore[union-attr]
    text = environment.get_template("page.html.j2").render(
        title=f"{page.title}: {data.market}",
        subtitle=_subtitle(page, numbers),
        pages=[(each.file, each.title, each is page) for each in PAGES],
        cards=list(page.cards(numbers)),
        sections=drawn,
        style=Markup(style),
    )
    return {page.file: text, **{file: text for each in drawn for file, text in each.downloads.items()}}


def _refuse_unknown(page: Page, data: ReportData) -> None:
    known = {*page.frames, *page.reads}
    unknown = sorted({*data.frames, *data.figures, *data.states, *data.absent} - known)
    if unknown:
        raise ValueError(f"{page.file} does not read {', '.join(unknown)}; it reads {', '.join(sorted(known))}")


def _subtitle(page: Page, numbers: Numbers) -> str:
    market = "a simulated market" if numbers.data.simulated else "vendor data"
    if numbers.span is None:
        return f"Built from {market}; no asset holds a row yet."
    first, last = numbers.span
    return (
        f"{page.subject} from {market}, {first:%B %Y} to {last:%B %Y}. What is stored for a month uses nothing dated "
        "after it; figures in sample or under the newest estimates say so."
    )
