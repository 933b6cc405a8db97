"""Every extract the pipeline knows: a later vendor adds a module and an entry.

Belongs here: the list, and which file a missing table wants. Does not: anything about one vendor.
"""

from __future__ import annotations

from pipeline.extracts import (
    anomalies,
    bond_sources,
    compustat,
    crsp_stocks,
    factors,
    fisd,
    fred,
    fred_md,
    french,
    goyal_welch,
    prices,
    treasury,
)
from pipeline.extracts.crsp import DSI, MSI
from pipeline.extracts.index_constituents import INDEX_CONSTITUENTS
from pipeline.extracts.table import Layout, Tabular
from pipeline.extracts.trace import TRACE_ENHANCED

TABULARS: tuple[Tabular, ...] = (
    INDEX_CONSTITUENTS,
    MSI,
    DSI,
    *crsp_stocks.TABULARS,
    *compustat.TABULARS,
    TRACE_ENHANCED,
    *fisd.TABULARS,
    *bond_sources.TABULARS,
)
"""Tables recognised by the name of their file or folder."""

LAYOUTS: tuple[Layout, ...] = (
    anomalies.LAYOUT,
    factors.LAYOUT,
    fred.LAYOUT,
    fred_md.LAYOUT,
    french.LAYOUT,
    goyal_welch.LAYOUT,
    prices.LAYOUT,
    treasury.LAYOUT,
)
"""Folders whose files are recognised by their contents."""


def known_by_contents(table: str) -> bool:
    """Whether the table's file may have any name in its folder, its columns telling what it is."""
    return any(table in layout.wants for layout in LAYOUTS)


def wanted_file(table: str) -> str:
    """File, below the extracts' folder, that a user drops in for a table.

    Parameters
    ----------
    table : str
        A table's name, or a family's prefix such as ``fred_md.``.

    Returns
    -------
    str
        E.g. ``prices/VIX.csv``; for a family the name's pattern.

    Raises
    ------
    ValueError
        If no vendor has such a table.
    """
    for tabular in TABULARS:
        if any(view.table.name == table for view in tabular.views):
            return f"{tabular.stem}.parquet"
    for layout in LAYOUTS:
        if table in layout.wants:
            return layout.wants[table]
        if table.startswith(layout.prefix) and "" in layout.wants:
            return layout.wants[""].replace("{}", table.removeprefix(layout.prefix) or "*")
    raise ValueError(f"no vendor has a table {table!r}")
