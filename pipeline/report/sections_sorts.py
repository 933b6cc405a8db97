"""Sections about what characteristics are worth: persistence, long-short returns, models, published factors."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.report import (
    charts_firms,
    charts_models,
    charts_sorts,
    factor_statistics,
    replication,
    sort_statistics,
    tables_firms,
)
from pipeline.report.blocks import Block, Content, Figure, Section, Table, Words
from pipeline.report.charts import THIRD
from pipeline.report.numbers_firms import GROUPS, FirmNumbers, row_blocks
from pipeline.report.sections_shared import deciles, fit
from pipeline.report.sort_statistics import LAGS, LEAST_MONTHS, VALUE

#: Characteristics shown by importance, of each model.
_IMPORTANT = 20
#: Harvey, Liu and Zhu (2016): what a new factor's t-statistic should exceed once many have been tried.
_HURDLE = 3.0
_NO_SORTS = Words(text=f"No characteristic has the {LEAST_MONTHS} months of returns yet that its mean needs.")
_MODELS = tuple(FirmNumbers.models)


def _persistence(numbers: FirmNumbers) -> Content:
    averages = numbers.persistence
    if averages.is_empty():
        return Words(text="No stock has ranks in two months yet.")
    order = averages.filter(pl.col("lag") == LAGS[0]).sort("correlation", descending=True)["name"].to_list()
    lowest = min(0.0, float(averages["correlation"].min()))  # type: ignore[arg-type]
    return Figure(
        charts=[
            charts_sorts.persistence(averages, names, heading, lowest) for heading, names in row_blocks(_ordered(order))
        ],
        columns=3,
        caption="Average over months of the correlation between a stock's rank and its own rank one month and twelve "
        "months earlier, over the stocks with a value in both; the most persistent first.",
    )


def _ordered(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the groups of characteristics with their members in the order of ``names``; others left out."""
    groups = {label: tuple(name for name in names if name in members) for label, members in GROUPS.items()}
    return {label: members for label, members in groups.items() if members}


def _long_short(numbers: FirmNumbers) -> Sequence[Content]:
    value = numbers.summary.filter(pl.col("weighting") == VALUE)
    if value.is_empty():
        return [_NO_SORTS]
    order = value.sort(["mean", "name"], descending=[True, False])["name"].to_list()
    domain = charts_sorts.block_domain(value)
    followed = sort_statistics.strongest(numbers.summary)
    returns = numbers.sorts.long_short.filter(pl.col("weighting") == VALUE)
    sizes = value["t"].abs()
    return [
        Figure(
            charts=[
                charts_sorts.long_short(value, names, heading, domain) for heading, names in row_blocks(_ordered(order))
            ],
            columns=3,
            caption="Mean return a month of the highest less the lowest tenth, value-weighted, with 95% confidence "
            f"intervals from Newey-West errors. Of {value.height} characteristics {(sizes > 1.96).sum()} have |t| "
            f"above 1.96, where chance alone would give about {0.05 * value.height:.0f}; {(sizes > _HURDLE).sum()} are "
            f"above {_HURDLE:.0f} (Harvey, Liu and Zhu 2016).",
        ),
        Figure(
            charts=[charts_sorts.cumulative(returns, followed)],
            caption="Running sums of the long-short returns with the highest and the lowest t-statistics, "
            "value-weighted, before any cost. They were chosen with the whole history in view.",
        ),
    ]


def _figures(numbers: FirmNumbers) -> Content:
    return Table(
        html=tables_firms.characteristics(numbers.characteristics),
        caption="Every characteristic in figures: share of stock-months with a value and the first month with one, "
        "average autocorrelation of the ranks, and the long-short return a month with its Newey-West t-statistic and "
        "its Sharpe ratio a year; |t| above 1.96 in bold.",
    )


def _clusters(numbers: FirmNumbers) -> Sequence[Content]:
    clusters = numbers.clusters
    if clusters is None:
        return [_NO_SORTS]
    return [
        Figure(
            charts=[charts_sorts.correlations(clusters)],
            caption="Correlations of the value-weighted long-short returns, characteristics in the order of the tree "
            "of a complete-linkage clustering by absolute correlation; numbers and white lines mark its clusters.",
        ),
        Table(
            html=tables_firms.clusters(sort_statistics.cluster_table(clusters, numbers.summary)),
            caption="Members of each cluster in the order of the picture. A cluster may hold both sides of one coin: "
            "correlations count by their size.",
        ),
    ]


def _importance(numbers: FirmNumbers) -> Content:
    charts = [
        charts_models.importance_bars(
            factor_statistics.loadings(recursion), numbers.words[name], width=THIRD, most=_IMPORTANT
        )
        for name, recursion in numbers.recursions.items()
    ]
    return Figure(
        charts=charts,
        columns=3,
        caption=f"The {_IMPORTANT} most important rows of the newest Gamma: the size of the returns a month moved by a "
        "characteristic one rank unit away from the middle, √(γ E[ff'] γ'), whatever the rotation of the factors.",
    )


def _published(numbers: FirmNumbers) -> Sequence[Content]:
    french = numbers.data.frame("french_factors") if numbers.data.has("french_factors") else None
    index = numbers.data.frame("crsp.msi") if numbers.data.has("crsp.msi") else None
    own, others = numbers.beside_published, replication.published(french, index)
    found = replication.compare(own, others)
    if found.is_empty():
        return [Words(text="The panel and the published series have no two months in common yet.")]
    both = own.join(others, on=["month", "name"])
    return [
        Table(
            html=tables_firms.comparison(found),
            caption="All securities: every security of CRSP, weighted by market equity at the end of the month before, "
            "against the index of crsp.msi. Universe: the stocks of this panel, against the published market. SMB and "
            "HML: the two-by-three sort of Fama and French (1993) made from this panel, against the published ones.",
        ),
        Figure(
            charts=[charts_firms.beside_published(both, name) for name in found["name"]],
            columns=2,
            caption="The same series accumulated: published (grey) and from the panel (blue).",
        ),
    ]


SECTIONS = (
    Section(
        title="Persistence",
        anchor="persistence",
        intro="How fast stocks change places. A characteristic renewed once a year hardly moves in a month, last "
        "month's return not at all like the one before.",
        blocks=(Block(build=_persistence, needs=("firm_characteristics",)),),
    ),
    Section(
        title="Long-short returns",
        anchor="long-short",
        intro="Stocks are sorted at the end of every month on the rank of one characteristic among those that have it, "
        "and held for the next. Tenths are those of the whole universe, small stocks included; where ties leave one "
        "empty, the stocks with the highest or lowest rank stand for it.",
        blocks=(
            Block(build=_long_short, needs=("firm_characteristics", "stock_returns")),
            Block(build=_figures, needs=("firm_characteristics",)),
        ),
    ),
    Section(
        title="What goes together",
        anchor="clusters",
        intro="Many characteristics are one bet under several names.",
        blocks=(Block(build=_clusters, needs=("firm_characteristics", "stock_returns")),),
    ),
    Section(
        title="Factor models of stocks",
        anchor="fit",
        intro="Instrumented principal components (Kelly, Pruitt and Su 2019), a model a set of characteristics, "
        "estimated anew each month on all months up to it.",
        blocks=(
            Block(build=fit, either=_MODELS, wants=_MODELS),
            Block(build=_importance, either=_MODELS),
            Block(
                build=deciles,
                needs=("stock_returns",),
                either=tuple(model.forecasts for model in FirmNumbers.models.values()),
            ),
        ),
    ),
    Section(
        title="Against published series",
        anchor="published",
        intro="What others compute from the same tables the panel has to give back.",
        blocks=(
            Block(
                build=_published,
                either=("crsp_monthly", "stock_returns"),
                wants=("crsp_monthly", "stock_returns", "firm_characteristics", "french_factors", "crsp.msi"),
            ),
        ),
    ),
)
