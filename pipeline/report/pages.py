"""The pages of the report: what each is about, what it reads, and its sections in their order."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipeline.bonds.registry import NAMES as BOND_NAMES
from pipeline.equity.registry import NAMES as FIRM_NAMES
from pipeline.report import sections_firms, sections_macro, sections_models, sections_panel, sections_sorts
from pipeline.report.blocks import Card, Page
from pipeline.report.numbers import Numbers
from pipeline.report.numbers_bonds import BondNumbers
from pipeline.report.numbers_firms import FILTERED, FirmNumbers
from pipeline.report.sort_statistics import VALUE


def _fit_cards(numbers: Numbers) -> Iterator[Card]:
    for name, recursion in numbers.recursions.items():
        newest = recursion.rows.row(-1, named=True)
        out = newest["oos_total_r2"]
        note = "not yet out of sample" if out is None else f"{out:.1%} out of sample"
        yield f"{newest['total_r2']:.1%}", f"total R², {numbers.words[name]}", f"{newest['n_factors']} factors, {note}"


def _bond_cards(numbers: BondNumbers) -> Iterator[Card]:
    data = numbers.data
    if data.has("bond_returns"):
        held = numbers.returns
        yield f"{held['months']:,} months", "of bond returns", f"{held['first']:%Y-%m} to {held['last']:%Y-%m}"
        yield f"{held['bonds']:,}", "bonds", "with at least one return"
        yield f"{held['bond_months']:,}", "bond-months", "with a return"
    yield f"{len(BOND_NAMES)}", "characteristics", "raw, winsorised, ranked"
    yield from _fit_cards(numbers)
    if numbers.truth is not None:
        yield f"{numbers.truth.correlations.min():.3f}", "smallest canonical correlation", "with the true factors"


BOND_PAGE = Page(
    asset="report",
    file="index.html",
    title="Bond factor report",
    subject="Bond panel, macro series and recursively estimated factor models",
    numbers=BondNumbers,
    cards=_bond_cards,
    sections=(*sections_panel.SECTIONS, *sections_macro.SECTIONS, *sections_models.SECTIONS),
    truth=sections_models.TRUTH,
    reference=sections_models.REFERENCE,
    assets=(
        "french_factors",
        "macro_factors",
        "goyal_welch",
        "treasury_curve",
        "vix_innovation",
        "bond_market_factor",
        "bond_returns",
        "bond_characteristics",
        "bond_training_panel",
        "bond_managed_portfolios",
        "bond_ipca",
        "bond_ipca_intercept",
        "bond_ipca_forecasts",
        "bond_ipca_intercept_forecasts",
    ),
    truth_tables=("gamma", "factors", "total_r2", "summary"),
)


def _firm_cards(numbers: FirmNumbers) -> Iterator[Card]:
    data = numbers.data
    if data.has("crsp_monthly") and numbers.universe.height:
        newest = numbers.universe.filter(pl.col("month") == pl.col("month").max())
        yield f"{newest['stocks'].sum():,}", "stocks in the universe", f"in {newest['month'][0]:%Y-%m}"
        yield f"${newest['me'].sum():,.2f} tn", "market equity", f"in {newest['month'][0]:%Y-%m}"
    if data.has("stock_returns"):
        yield f"{data.panel('stock_returns').select(pl.len()).collect().item():,}", "stock-months", "with a return"
    yield f"{len(FIRM_NAMES)}", "characteristics", "raw, winsorised, ranked"
    if data.has("firm_characteristics", "stock_returns") and numbers.summary.height:
        value = numbers.summary.filter(pl.col("weighting") == VALUE)
        yield f"{(value['t'].abs() > 1.96).sum()} of {value.height}", "long-short returns", "with |t| above 1.96"
    yield from _fit_cards(numbers)


FIRM_PAGE = Page(
    asset="firm_report",
    file="firms.html",
    title="Firm panel",
    subject="Stocks, their characteristics and recursively estimated factor models",
    numbers=FirmNumbers,
    cards=_firm_cards,
    sections=(*sections_firms.SECTIONS, *sections_sorts.SECTIONS),
    truth=sections_firms.TRUTH,
    reference=sections_firms.REFERENCE,
    assets=(
        "french_factors",
        "crsp_monthly",
        "stock_returns",
        "firm_links",
        "firm_characteristics",
        *(name for model in FirmNumbers.models for name in (model, f"{model}_forecasts")),
        *(model.portfolios for model in FirmNumbers.models.values()),
    ),
    tables=("crsp.msi",),
    truth_tables=("stock_returns", "stock_traps"),
    figures=FILTERED,
)
PAGES = (BOND_PAGE, FIRM_PAGE)
