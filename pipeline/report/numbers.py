"""What several parts of the page need, computed once: the bundle of frames with its derived numbers.

Belongs here: memory of results. Does not: how they are computed (``statistics``, ``factor_statistics``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cached_property
from typing import TypeVar

import polars as pl

from pipeline.report import factor_statistics, statistics
from pipeline.report.data import FRAMES, ReportData
from pipeline.report.factor_statistics import Recursion, TruthComparison

#: Models by the frame of their recursion, in words.
MODELS: dict[str, str] = {"bond_ipca": "IPCA", "bond_ipca_intercept": "IPCA with intercept"}

Result = TypeVar("Result")


class Numbers:
    """Frames of a report and the numbers derived from them.

    Parameters
    ----------
    data : ReportData
        What the lake holds. A property raises LookupError where its frame is absent.
    """

    def __init__(self, data: ReportData) -> None:
        self.data = data

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """First and last month of any frame; None when there is none."""
        ends = [
            self.data.panel(name).select(first=pl.col("month").min(), last=pl.col("month").max()).collect()
            for name in FRAMES
            if self.data.has(name)
        ]
        if not ends:
            return None
        both = pl.concat(ends)
        return both["first"].min(), both["last"].max()  # type: ignore[return-value]

    @cached_property
    def returns(self) -> dict[str, object]:
        """Months, bonds and bond-months of the returns: first, last, months, bonds, bond_months."""
        month = pl.col("month")
        return (
            self.data.panel("bond_returns")
            .select(
                first=month.min(),
                last=month.max(),
                months=month.n_unique(),
                bonds=pl.col("isin").n_unique(),
                bond_months=pl.len(),
            )
            .collect()
            .row(0, named=True)
        )

    @cached_property
    def missing(self) -> pl.DataFrame:
        """Missing counts by month and characteristic."""
        return statistics.missing_shares(self.data.panel("bond_characteristics"), self.data.names)

    @cached_property
    def distributions(self) -> statistics.Distributions:
        """Distributions of all characteristics."""
        return statistics.distributions(self.data.panel("bond_characteristics"), self.data.names)

    @cached_property
    def monthly_correlations(self) -> pl.DataFrame:
        """Rank correlations with the next return by month and characteristic."""
        return statistics.monthly_rank_correlations(self.data.panel("bond_training_panel"), self.data.instruments)

    @cached_property
    def correlations(self) -> pl.DataFrame:
        """Average rank correlations with Newey-West errors."""
        return statistics.average_correlations(self.monthly_correlations)

    @cached_property
    def recursions(self) -> dict[str, Recursion]:
        """Recursions with at least one estimate, by frame."""
        portfolios = self._optional("bond_managed_portfolios", self.data.frame)
        read = {
            name: Recursion.from_frames(self.data.frame(name), portfolios, self.data.instruments)
            for name in MODELS
            if self.data.has(name)
        }
        return {name: recursion for name, recursion in read.items() if recursion is not None}

    @cached_property
    def gamma(self) -> pl.DataFrame:
        """Newest loadings of the model without intercept, by importance."""
        return factor_statistics.loadings(self.recursions["bond_ipca"])

    @cached_property
    def truth(self) -> TruthComparison | None:
        """Estimates beside the truth; None without a truth or an estimate."""
        if not self.data.has("truth") or "bond_ipca" not in self.recursions or self.data.truth is None:
            return None
        return factor_statistics.compare_with_truth(
            self.recursions["bond_ipca"], self.data.truth["gamma"], self.data.truth["factors"]
        )

    def _optional(self, name: str, read: Callable[[str], Result]) -> Result | None:
        return read(name) if self.data.has(name) else None

    def panel_or_none(self, name: str) -> pl.LazyFrame | None:
        """Return a panel lazily, None where it is absent."""
        return self._optional(name, self.data.panel)
