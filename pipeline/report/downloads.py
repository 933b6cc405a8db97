"""Tables as files beside a page: numbers in full as CSV, the table as it is shown as LaTeX.

Here belongs making the text of a file. Which tables there are stands in ``tables_*``; writing files is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from great_tables import GT

#: Folder of the files, beside the pages.
FOLDER = "tables"

# What PDFLaTeX has no glyph for in its ordinary text fonts.
_GLYPHS = {"−": "$-$", "²": "\\textsuperscript{2}", "–": "--", "\u00a0": "~"}


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file beside the page.

    Attributes
    ----------
    file : str
        Path relative to the page.
    label : str
        Words of its link.
    text : str
        What it holds.
    """

    file: str
    label: str
    text: str


def downloads(name: str, numbers: pl.DataFrame, table: GT, title: str, note: str) -> tuple[Download, Download]:
    """Make both files of a table.

    Parameters
    ----------
    name : str
        Of the files, without an ending.
    numbers : pl.DataFrame
        What the table shows, a row a number, unrounded; a null becomes an empty cell.
    table : GT
        The table, without title.
    title, note : str
        Words above and below the LaTeX table; none below where the note is empty.

    Returns
    -------
    tuple of Download
        CSV and LaTeX; the same numbers give the same texts.
    """
    return (
        Download(file=f"{FOLDER}/{name}.csv", label="CSV", text=numbers.write_csv()),
        Download(file=f"{FOLDER}/{name}.tex", label="LaTeX", text=latex(table, title, note)),
    )


def latex(table: GT, title: str, note: str) -> str:
    """Return a table as LaTeX for the packages booktabs, longtable (it may break over pages) and caption.

    Text is escaped by great-tables; characters without a glyph in LaTeX's text fonts become commands.
    """
    titled = table.tab_header(title).tab_options(table_font_size="12px").sub_missing(missing_text="–")
    noted = titled.tab_source_note(note) if note else titled
    text = noted.as_latex(use_longtable=True)
    for glyph, command in _GLYPHS.items():
        text = text.replace(glyph, command)
    return f"% needs \\usepackage{{booktabs,longtable,caption}}\n{text.strip()}\n"
