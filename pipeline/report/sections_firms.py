"""Sections about the rows of the firm panel: universe, filters, delistings, coverage; and its glossary."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.equity.registry import SETS, data_dictionary
from pipeline.report import charts_firms, charts_panel, firm_statistics, replication, statistics, tables_firms
from pipeline.report.blocks import Block, Content, Figure, Pairs, Section, Table, Words
from pipeline.report.charts import THIRD
from pipeline.report.numbers_firms import FILTERED, FirmNumbers, row_blocks
from pipeline.report.sections_shared import settings, sources


def _universe(numbers: FirmNumbers) -> Content:
    universe = numbers.universe
    shown = [
        charts_firms.by_exchange(universe, "stocks", "stocks", "Stocks"),
        charts_firms.by_exchange(universe, "me", "trillions of dollars", "Market equity"),
        charts_firms.by_exchange(universe, "median", "millions of dollars", "Market equity of the median stock"),
    ]
    if numbers.data.has("firm_links"):
        crsp, links = (numbers.data.panel(name) for name in ("crsp_monthly", "firm_links"))
        shown.append(charts_firms.linked(firm_statistics.linked(crsp, links)))
    return Figure(
        charts=shown if universe.height else [],
        columns=2,
        caption="Common stocks that trade on one of the three exchanges at the end of the month.",
    )


def _waterfall(numbers: FirmNumbers) -> Sequence[Content]:
    steps = numbers.waterfalls
    if steps.is_empty():
        return [Words(text="No manifest says what its filters let through.")]
    contents: list[Content] = [
        Table(
            html=tables_firms.waterfall(firm_statistics.waterfall_totals(steps)),
            caption="Rows that go into each filter and come out of it, one filter after the other. crsp_monthly drops "
            "no row: its filters are the flags that make up the universe.",
        )
    ]
    if numbers.data.figures.get("crsp_monthly"):
        counts = firm_statistics.securities(steps, "crsp_monthly")
        contents.append(Figure(charts=[charts_firms.securities(counts)], caption="Securities left by each filter."))
    return contents


def _delistings(numbers: FirmNumbers) -> Content:
    counted = firm_statistics.delistings(numbers.data.figures.get("stock_returns", {}))
    if counted["stocks"].sum() == 0:
        return Words(text="No stock of the universe has been delisted.")
    return Figure(
        charts=[charts_firms.delistings(counted)],
        caption=f"Stocks of the universe delisted, by year and by where their delisting return is from; profile "
        f"{numbers.delisting}. A delisting that was not for performance is never filled.",
    )


def _coverage(numbers: FirmNumbers) -> Sequence[Content]:
    missing = numbers.sorts.missing
    if missing.is_empty():
        return [Words(text="The panel holds no stock yet.")]
    by_year = statistics.missing_by_year(missing)
    return [
        Figure(
            charts=[charts_firms.present(firm_statistics.present_by_set(missing, SETS))],
            caption="Share of all stock-months and characteristics of a set that hold a value.",
        ),
        Figure(
            charts=[
                charts_panel.missing_heatmap(by_year, names, width=THIRD, heading=heading)
                for heading, names in row_blocks()
            ],
            columns=3,
            caption="Share of stock-months without a value, by characteristic and year, in the order of the data "
            "dictionary. Windows of up to five years fill up at the start.",
        ),
    ]


def _dictionary(numbers: FirmNumbers) -> Content:
    return Table(
        html=tables_firms.dictionary(data_dictionary()),
        caption="Every characteristic of the panel, from the registry that computes it; m is the month of the row.",
    )


def _true_returns(numbers: FirmNumbers) -> Content:
    if numbers.delisting not in replication.TRUE_RETURNS:
        return Words(text=f"The truth does not say what returns are under the delisting profile {numbers.delisting}.")
    own, truth = (numbers.data.panel(name) for name in ("stock_returns", "truth.stock_returns"))
    found = replication.true_returns(own, truth, numbers.delisting)
    largest = found["largest"]
    return Pairs(
        heading="Returns of the universe",
        pairs=[
            ("stock-months that have a true return", f"{found['true']:,}"),
            ("right in the panel", f"{found['right']:,}"),
            ("without a row in the panel", f"{found['absent']:,}"),
            ("rows without a true return", f"{found['extra']:,}"),
            ("largest absolute difference", "–" if largest is None else f"{largest:.1g}"),
        ],
    )


def _traps(numbers: FirmNumbers) -> Content:
    crsp, returns = (numbers.data.panel(name) for name in ("crsp_monthly", "stock_returns"))
    frames = dict.fromkeys(("prc", "retx", "me_permco", "volume"), crsp) | {"ret": returns}
    held = numbers.data.panel("truth.stock_returns").filter("universe_start").select("month", "permno")
    planted = numbers.data.panel("truth.stock_traps")
    if numbers.delisting != "shumway30":
        planted = planted.filter(pl.col("column") != "ret")
    return Table(
        html=tables_firms.traps(replication.traps(frames, planted, held)),
        caption="Cells in which the simulated vendor tables mislead, how many of them lie in the panel's months and, "
        "where they are about returns, in its universe, and how many of those hold the right value; fewer in orange.",
    )


SECTIONS = (
    Section(
        title="Universe",
        anchor="universe",
        intro="The stocks whose characteristics are known at the end of a month and whose returns of the next are "
        "earned. A stock stays in the month's return whatever happens to its listing during the month.",
        blocks=(Block(build=_universe, needs=("crsp_monthly",), wants=("firm_links",)),),
    ),
    Section(
        title="Filters",
        anchor="filters",
        intro="What is left of the vendors' rows, step by step, as counted when each month was built.",
        blocks=(Block(build=_waterfall, either=FILTERED, wants=FILTERED),),
    ),
    Section(
        title="Delistings",
        anchor="delistings",
        intro="A return is total only with what a stock's last owners were left with.",
        blocks=(Block(build=_delistings, needs=("stock_returns",)),),
    ),
    Section(
        title="Coverage of the characteristics",
        anchor="coverage",
        intro="Which characteristics are missing, and when. A missing value has the middle rank in the models and no "
        "place in the sorts below.",
        blocks=(Block(build=_coverage, needs=("firm_characteristics",)),),
    ),
)
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so the right values are known. No asset reads them; they are shown beside the "
    "panel's only here.",
    blocks=(
        Block(build=_traps, needs=("crsp_monthly", "stock_returns", "truth.stock_traps", "truth.stock_returns")),
        Block(build=_true_returns, needs=("stock_returns", "truth.stock_returns")),
    ),
)
REFERENCE = Section(
    title="Data dictionary and settings",
    anchor="dictionary",
    intro="What each characteristic is, and with which settings this page was made.",
    blocks=(Block(build=_dictionary), Block(build=settings), Block(build=sources)),
)
