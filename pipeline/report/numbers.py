"""What several parts of a page need, computed once: the bundle of frames with its derived numbers.

Belongs here: what every page has, and memory of results; each page has its own kind (``numbers_bonds``,
``numbers_firms``). Does not: how results are computed (``*_statistics``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import ClassVar

import polars as pl

from pipeline.report.data import ReportData
from pipeline.report.factor_statistics import Recursion


@dataclass(frozen=True, kw_only=True)
class Model:
    """A recursively estimated model as a page reads it; its frame has its name.

    Attributes
    ----------
    words : str
        What it is called.
    portfolios, forecasts, returns : str
        Frames with its sufficient statistics, its forecasts, and the returns they are of.
    key : str
        Identifier of an asset of the cross-section.
    instruments : tuple of str
        Ranked columns in the order of the rows of Gamma, without the constant, which comes last.
    """

    words: str
    portfolios: str
    forecasts: str
    returns: str
    key: str
    instruments: tuple[str, ...]


class Numbers:
    """Frames of a page and the numbers derived from them.

    Parameters
    ----------
    data : ReportData
        What there is. A property raises LookupError where its frame is absent.
    """

    #: Models of the page by the frame of their recursion.
    models: ClassVar[Mapping[str, Model]] = {}

    def __init__(self, data: ReportData) -> None:
        self.data = data

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """First and last month of any asset; None when there is none."""
        ends = [
            self.data.panel(name).select(first=pl.col("month").min(), last=pl.col("month").max()).collect()
            for name in self.data.frames
            if "." not in name and self.data.has(name)
        ]
        if not ends:
            return None
        both = pl.concat(ends)
        return both["first"].min(), both["last"].max()  # type: ignore[return-value]

    @cached_property
    def recursions(self) -> dict[str, Recursion]:
        """Recursions with at least one estimate, by frame."""
        held = {name: model for name, model in self.models.items() if self.data.has(name)}
        portfolios = {
            name: self.data.frame(name) for name in {model.portfolios for model in held.values()} if self.data.has(name)
        }
        read = {
            name: Recursion.from_frames(self.data.frame(name), portfolios.get(model.portfolios), model.instruments)
            for name, model in held.items()
        }
        return {name: recursion for name, recursion in read.items() if recursion is not None}

    @property
    def words(self) -> dict[str, str]:
        """Models in words."""
        return {name: model.words for name, model in self.models.items()}

    def panel_or_none(self, name: str) -> pl.LazyFrame | None:
        """Return a panel lazily, None where it is absent."""
        return self.data.panel(name) if self.data.has(name) else None
