"""Numbers that several parts of the page of bonds from trades need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from functools import cached_property
from typing import Any

import polars as pl

from pipeline.bonds.issuer_match import IssuerMatchSettings
from pipeline.bonds.trace_settings import TraceSettings
from pipeline.report import portfolio_statistics, trade_statistics
from pipeline.report.data import Figures
from pipeline.report.numbers import Numbers
from pipeline.report.trade_statistics import PRICED

#: Assets whose filters narrow the issues of FISD down to the panel, in their order.
NARROWED = ("bond_issues", "bond_prices", "bond_returns")
LINK = "bond_issuer_link"
#: Frames that say which months the page is about; issues are outstanding long before the first price.
_PRICED = ("bond_snapshot", "bond_returns", "trace_daily")


class TradeNumbers(Numbers):
    """Numbers of the bonds from trade reports to portfolios."""

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """First and last month with a price or a return; None when there is none."""
        month = pl.col("month")
        ends = [
            self.data.panel(name).select(first=month.min(), last=month.max()).collect()
            for name in _PRICED
            if self.data.has(name) and name in self.data.frames
        ]
        if not ends:
            return None
        both = pl.concat(ends)
        return both["first"].min(), both["last"].max()  # type: ignore[return-value]

    def figures(self, name: str) -> Figures:
        """Return what an asset's manifests say, from the page's first month on; empty where there are none."""
        months = self.data.figures.get(name, {})
        if self.span is None:
            return months
        return {month: months[month] for month in sorted(months) if month >= self.span[0]}

    @property
    def candidates(self) -> pl.LazyFrame:
        """Companies considered as issuers, from the page's first month on."""
        considered = self.data.panel("bond_issuer_candidates")
        return considered if self.span is None else considered.filter(pl.col("month") >= self.span[0])

    @property
    def cleaning_settings(self) -> Mapping[str, Any]:
        """Thresholds of the cleaning."""
        return self.data.settings.get("trace_daily", asdict(TraceSettings()))

    @property
    def similarity(self) -> float:
        """How alike a matched name has to be."""
        return float(self.data.settings.get("issuer_match", asdict(IssuerMatchSettings()))["similarity"])

    @cached_property
    def cleaning(self) -> pl.DataFrame:
        """Steps of the cleaning by regime."""
        return trade_statistics.cleaning(self.figures("trace_daily"), self.cleaning_settings["regime"])

    @cached_property
    def reports(self) -> pl.DataFrame:
        """Reports, clean trades and late reports by month."""
        return trade_statistics.reports_by_month(self.figures("trace_daily"))

    @cached_property
    def coverage(self) -> pl.DataFrame:
        """Bonds and amounts by month, eligible, priced and with a return."""
        return trade_statistics.coverage(
            self.panel_or_none("bond_snapshot"), self.panel_or_none("bond_returns"), self.figures("bond_issues")
        )

    @property
    def newest_coverage(self) -> dict[str, dict[str, Any]]:
        """Bonds and amounts of the newest month with a price, by kind."""
        priced = self.coverage.filter(kind=PRICED)
        newest = self.coverage.filter(pl.col("month") == priced["month"].max())
        return {row["kind"]: row for row in newest.iter_rows(named=True)}

    @cached_property
    def portfolios(self) -> pl.DataFrame:
        """Portfolio returns."""
        return self.data.frame("bond_portfolios")

    @cached_property
    def high_minus_low(self) -> pl.DataFrame:
        """What the last portfolio of each sort earns over the first."""
        return portfolio_statistics.high_minus_low(self.portfolios)

    @cached_property
    def match_shares(self) -> pl.DataFrame:
        """Share of the universe that belongs to a company."""
        return trade_statistics.match_shares(self.figures(LINK))
