"""Numbers that several parts of the page of the firm panel need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import ClassVar

import polars as pl

from pipeline.equity.definition import DG41, GKX94, KPS36
from pipeline.equity.registry import CHARACTERISTICS, NAMES, SETS, ranked
from pipeline.equity.settings import StockReturnsSettings
from pipeline.report import firm_statistics, replication, sort_statistics
from pipeline.report.numbers import Model, Numbers
from pipeline.report.sort_statistics import EQUAL, LAGS, VALUE, Clusters, Sorts

#: Assets whose filters are shown, in their order.
FILTERED = ("crsp_monthly", "stock_returns", "firm_links", "compustat_annual", "compustat_quarterly")
#: Groups in which all characteristics are shown, each in one.
GROUPS: Mapping[str, tuple[str, ...]] = {
    label: tuple(entry.name for entry in CHARACTERISTICS if (GKX94 in entry.sets) == gkx)
    for label, gkx in ((f"{DG41} and {KPS36}", False), (GKX94, True))
}
#: Rows of a chart of characteristics.
_ROWS = 48


def _model(set_name: str) -> Model:
    return Model(
        words=f"IPCA on {set_name}",
        portfolios=f"stock_managed_portfolios_{set_name}",
        forecasts=f"stock_ipca_{set_name}_forecasts",
        returns="stock_returns",
        key="permno",
        instruments=ranked(SETS[set_name]),
    )


class FirmNumbers(Numbers):
    """Numbers of the firm panel and its models."""

    models: ClassVar[Mapping[str, Model]] = {f"stock_ipca_{name}": _model(name) for name in SETS}

    @property
    def delisting(self) -> str:
        """Delisting profile of the panel's returns."""
        return str(self.data.settings.get("stock_returns", asdict(StockReturnsSettings()))["delisting"])

    @cached_property
    def universe(self) -> pl.DataFrame:
        """Stocks and market equity by month and exchange."""
        return firm_statistics.universe(self.data.panel("crsp_monthly"))

    @cached_property
    def waterfalls(self) -> pl.DataFrame:
        """Steps of the filters of every asset and month."""
        figures = {name: self.data.figures[name] for name in FILTERED if self.data.figures.get(name)}
        return firm_statistics.waterfalls(figures)

    @cached_property
    def sorts(self) -> Sorts:
        """What one pass over the panel gives."""
        panel = self.data.panel("firm_characteristics")
        return sort_statistics.sorts(panel, self.panel_or_none("stock_returns"), NAMES)

    @cached_property
    def persistence(self) -> pl.DataFrame:
        """Average rank autocorrelations."""
        return sort_statistics.average_persistence(self.sorts.persistence)

    @cached_property
    def summary(self) -> pl.DataFrame:
        """Long-short returns in figures."""
        return sort_statistics.long_short_summary(self.sorts.long_short)

    @cached_property
    def clusters(self) -> Clusters | None:
        """Characteristics whose long-short returns go together."""
        return sort_statistics.correlation_clusters(self.sorts.long_short)

    @cached_property
    def characteristics(self) -> pl.DataFrame:
        """Every characteristic in figures.

        Columns name, set, present, first, near, far (autocorrelations), and those of the long-short returns: months,
        stocks, mean_value, t_value, sharpe, mean_equal, t_equal.
        """
        held = self.sorts.missing.group_by("name", maintain_order=True).agg(
            present=1 - pl.col("missing").sum() / pl.col("n").sum(),
            first=pl.col("month").filter(pl.col("missing") < pl.col("n")).min().dt.strftime("%Y-%m"),
        )
        lags = [
            self.persistence.filter(pl.col("lag") == lag).select("name", pl.col("correlation").alias(label))
            for lag, label in zip(LAGS, ("near", "far"), strict=True)
        ]
        value, equal = (self.summary.filter(pl.col("weighting") == each) for each in (VALUE, EQUAL))
        sorted_ = [
            value.select("name", "months", "stocks", "sharpe", mean_value="mean", t_value="t"),
            equal.select("name", mean_equal="mean", t_equal="t"),
        ]
        label = {name: label for label, names in GROUPS.items() for name in names}
        frame = held.with_columns(set=pl.col("name").replace_strict(label, return_dtype=pl.String))
        for part in (*lags, *sorted_):
            frame = frame.join(part, on="name", how="left", maintain_order="left")
        return frame.select(
            "name", "set", "present", "first", "near", "far", "months", "stocks", "mean_value", "t_value", "sharpe",
            "mean_equal", "t_equal",
        )  # fmt: skip

    @cached_property
    def beside_published(self) -> pl.DataFrame:
        """Month, name, ret of every series of the panel that is published too."""
        data, parts = self.data, []
        if data.has("crsp_monthly"):
            parts.append(replication.market_return(data.panel("crsp_monthly"), self.delisting))
        if data.has("stock_returns"):
            parts.append(replication.universe_return(data.panel("stock_returns")))
        if data.has("crsp_monthly", "stock_returns", "firm_characteristics"):
            frames = (data.panel(name) for name in ("crsp_monthly", "firm_characteristics", "stock_returns"))
            parts.append(replication.size_value_factors(*frames))
        return pl.concat(parts)


def row_blocks(names: Mapping[str, tuple[str, ...]] = GROUPS, most: int = _ROWS) -> list[tuple[str, tuple[str, ...]]]:
    """Divide groups of characteristics into blocks of equal size that a chart can show: heading, names."""
    blocks = []
    for label, group in names.items():
        parts = -(-len(group) // most)
        size = -(-len(group) // parts)
        for k in range(parts):
            heading = label if parts == 1 else f"{label}, {k + 1} of {parts}"
            blocks.append((heading, group[k * size : (k + 1) * size]))
    return blocks
