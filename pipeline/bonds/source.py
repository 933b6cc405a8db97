"""Where the bond panel comes from: trade reports, or the index extract.

Belongs here: the choice. Does not: how either is read (``snapshot``, ``trade_returns``, ``returns``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

AUTO, TRADES, INDEX = "auto", "trades", "index"
SOURCES = (AUTO, TRADES, INDEX)

TRADE_TABLES = ("trace.trace_enhanced", "fisd.fisd_mergedissue")
"""Extracts without which there is no panel from trades."""


@dataclass(frozen=True, kw_only=True)
class BondSourceSettings:
    """Which extracts the bond panel is made of.

    Attributes
    ----------
    bond_source : str
        ``trades`` (TRACE and FISD), ``index`` (the index extract), or ``auto``: trades where their files are there.
    """

    bond_source: str = AUTO

    def __post_init__(self) -> None:
        if self.bond_source not in SOURCES:
            raise ValueError(f"bond_source is one of {', '.join(SOURCES)}, not {self.bond_source!r}")

    def resolved(self, on_disk: Collection[str]) -> BondSourceSettings:
        """Decide what ``auto`` leaves open.

        Parameters
        ----------
        on_disk : collection of str
            Extract tables that are there.
        """
        if self.bond_source != AUTO:
            return self
        there = all(table in on_disk for table in TRADE_TABLES)
        return replace(self, bond_source=TRADES if there else INDEX)

    @property
    def trades(self) -> bool:
        """Whether the panel is made of trades; where nothing was decided by the files on disk, it is."""
        return self.bond_source != INDEX
