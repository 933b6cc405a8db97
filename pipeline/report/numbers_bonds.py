"""Numbers that several parts of the page of the bond factors need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import polars as pl

from pipeline.bonds.definition import NOTEBOOK
from pipeline.bonds.registry import RANKED, SETS
from pipeline.report import factor_statistics, statistics
from pipeline.report.factor_statistics import TruthComparison
from pipeline.report.numbers import Model, Numbers

PLAIN, INTERCEPT = "bond_ipca", "bond_ipca_intercept"
TRUE_FACTORS = ("truth.gamma", "truth.factors")


def _model(name: str, words: str) -> Model:
    return Model(
        words=words,
        portfolios="bond_managed_portfolios",
        forecasts=f"{name}_forecasts",
        returns="bond_returns",
        key="isin",
        instruments=RANKED,
    )


class BondNumbers(Numbers):
    """Numbers of the bond panel and its models."""

    models: ClassVar[Mapping[str, Model]] = {
        PLAIN: _model(PLAIN, "IPCA"),
        INTERCEPT: _model(INTERCEPT, "IPCA with intercept"),
    }

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
        return statistics.missing_shares(self.data.panel("bond_characteristics"), SETS[NOTEBOOK])

    @cached_property
    def distributions(self) -> statistics.Distributions:
        """Distributions of all characteristics."""
        return statistics.distributions(self.data.panel("bond_characteristics"), SETS[NOTEBOOK])

    @cached_property
    def monthly_correlations(self) -> pl.DataFrame:
        """Rank correlations with the next return by month and characteristic."""
        return statistics.monthly_rank_correlations(self.data.panel("bond_training_panel"), RANKED)

    @cached_property
    def correlations(self) -> pl.DataFrame:
        """Average rank correlations with Newey-West errors."""
        return statistics.average_correlations(self.monthly_correlations)

    @cached_property
    def gamma(self) -> pl.DataFrame:
        """Newest loadings of the model without intercept, by importance."""
        return factor_statistics.loadings(self.recursions[PLAIN])

    @cached_property
    def truth(self) -> TruthComparison | None:
        """Estimates beside the truth; None without a truth or an estimate."""
        if PLAIN not in self.recursions or not self.data.has(*TRUE_FACTORS):
            return None
        gamma, factors = (self.data.table(name) for name in TRUE_FACTORS)
        return factor_statistics.compare_with_truth(self.recursions[PLAIN], gamma, factors)
