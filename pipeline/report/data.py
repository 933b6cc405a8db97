"""What a page reads: one frozen bundle of frames, any of which may be absent.

Belongs here: how frames are named and how an absent one is recognised. Does not: which frames a page reads (``pages``),
numbers computed from them (``*_statistics``) and what is drawn (``charts_*``, ``tables*``, ``page``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from pipeline.models.recursion import RecursionState

Panel = pl.DataFrame | pl.LazyFrame
Figures = Mapping[date, Mapping[str, Any]]

#: Beginning of the names of tables that say what is true in a simulated market.
TRUTH = "truth."


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that :func:`pipeline.report.page.render` shows.

    Attributes
    ----------
    market : str
        Which market it is, in words: the end of the page's heading.
    frames : mapping of str to pl.DataFrame or pl.LazyFrame
        Assets under their own name, sorted by month and key; extract tables as ``crsp.msi``; what is true in a
        simulated market as ``truth.gamma``. One that was not built is not there. Of a panel given lazily no more than a
        few columns are in memory at once.
    figures : mapping of str to mapping
        Figures of the partitions of an asset: name -> month -> ``rows`` and what its manifest says of the month.
    states : mapping of str to RecursionState
        Newest state of recursively estimated factor models, by asset.
    sources : mapping of str to str
        What the page was made of, in words, by name (an extract table and its file, say).
    absent : mapping of str to str
        Why a frame is not there, by name: the sentence that its part of the page ends with.
    settings : mapping of str to mapping
        Settings by section, each a mapping of field to value.
    """

    market: str
    frames: Mapping[str, Panel] = field(default_factory=dict)
    figures: Mapping[str, Figures] = field(default_factory=dict)
    states: Mapping[str, RecursionState] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether anything is known to be true."""
        return any(name.startswith(TRUTH) for name in self.frames)

    def panel(self, name: str) -> pl.LazyFrame:
        """Return a frame lazily, whatever it was given as.

        Raises
        ------
        LookupError
            If it is absent.
        """
        if name not in self.frames:
            raise LookupError(f"the report was given no {name}; check has({name!r}) first")
        return self.frames[name].lazy()

    def frame(self, name: str) -> pl.DataFrame:
        """Return a monthly series sorted by month, read into memory.

        Raises
        ------
        LookupError
            If it is absent.
        """
        return self.panel(name).collect().sort("month")

    def table(self, name: str) -> pl.DataFrame:
        """Return a whole table, in its own order.

        Raises
        ------
        LookupError
            If it is absent.
        """
        return self.panel(name).collect()

    def has(self, *names: str) -> bool:
        """Whether each of the names is a frame with a row or an asset with figures of a month."""
        return all(self._holds(name) for name in names)

    def _holds(self, name: str) -> bool:
        if name in self.frames:
            return self.frames[name].lazy().head(1).collect().height > 0
        return bool(self.figures.get(name))
