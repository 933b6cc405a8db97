"""The pages of the report: what each is about, what it reads, and its sections in their order."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipeline.bonds.registry import NAMES as BOND_NAMES
from pipeline.equity.registry import NAMES as FIRM_NAMES
from pipeline.report import (
    sections_factor_models,
    sections_firms,
    sections_linear,
    sections_macro,
    sections_models,
    sections_panel,
    sections_sdf,
    sections_sdf_gan,
    sections_sorts,
    sections_trades,
    tables_sdf,
)
from pipeline.report.blocks import Card, Page
from pipeline.report.numbers import Numbers
from pipeline.report.numbers_bonds import BondNumbers
from pipeline.report.numbers_factor_models import INSTRUMENTS, MARKETS, Explained, FactorModelNumbers
from pipeline.report.numbers_firms import FILTERED, FirmNumbers
from pipeline.report.numbers_linear import ASSETS as LINEAR_ASSETS
from pipeline.report.numbers_sdf import FACTORS, INDEX, SdfNumbers
from pipeline.report.numbers_sdf import MARKETS as SDF_MARKETS
from pipeline.report.numbers_trades import LINK, NARROWED, TradeNumbers
from pipeline.report.sort_statistics import VALUE
from pipeline.report.tables_factor_models import number, words
from pipeline.report.trade_statistics import ELIGIBLE, PRICED


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


def _trade_cards(numbers: TradeNumbers) -> Iterator[Card]:
    data = numbers.data
    if data.has("trace_daily") and numbers.reports.height:
        reports, trades = (int(numbers.reports[name].sum()) for name in ("reports", "trades"))
        yield f"{reports:,}", "trade reports", f"{trades / max(reports, 1):.1%} are left as clean trades"
    if data.has("bond_snapshot"):
        held = numbers.newest_coverage
        priced, eligible = held[PRICED], held.get(ELIGIBLE)
        yield f"{priced['bonds']:,}", "bonds with a price", f"in {priced['month']:%Y-%m}"
        if eligible and eligible["amount"]:
            yield f"{priced['amount'] / eligible['amount']:.0%}", "of the amount eligible", "has a price then"
    if data.has("bond_returns"):
        count, months = data.panel("bond_returns").select(pl.len(), pl.col("month").n_unique()).collect().row(0)
        yield f"{count:,}", "bond-months with a return", f"in {months:,} months"
    if data.has("bond_portfolios") and numbers.high_minus_low.height:
        sorts = numbers.high_minus_low
        yield f"{(sorts['t'].abs() > 1.96).sum()} of {sorts.height}", "sorts", "with |t| above 1.96, last less first"
    if data.has(LINK) and numbers.match_shares.height:
        amount = numbers.match_shares.filter(name="amount outstanding").drop_nulls("share")["share"]
        if len(amount):
            yield f"{amount[-1]:.0%}", "of the amount eligible", "has an issuer with stock and accounts"


TRADE_PAGE = Page(
    asset="bond_report",
    file="bonds.html",
    title="Bonds from trades",
    subject="Trade reports, bonds, their issuers and portfolios",
    numbers=TradeNumbers,
    cards=_trade_cards,
    sections=sections_trades.SECTIONS,
    truth=sections_trades.TRUTH,
    reference=sections_trades.REFERENCE,
    assets=(
        "trace_daily",
        "bond_snapshot",
        "bond_returns",
        "bond_portfolios",
        LINK,
        "bond_issuer_candidates",
    ),
    truth_tables=("trace_trades", "trace_planted", "bond_days", "bond_month_prices", "bond_issuers"),
    figures=("trace_daily", *NARROWED, LINK),
)


def _factor_model_cards(numbers: FactorModelNumbers) -> Iterator[Card]:
    for market in MARKETS:
        if numbers.data.has(market.moments) and numbers.moments(market).height:
            _, errors = numbers.errors(market)
            best = errors.sort("mspe", "model", "n_factors").row(0, named=True)
            size = "" if best["model"] in ("mean", "zero") else f", K = {best['n_factors']}"
            note = f"{best['mspe']:,.2f} percent squared over {best['n_months']:,} months"
            yield f"{words(best['model'])}{size}", f"least error, {market.title.lower()}", note
        explained = numbers.explained(market) if numbers.data.has(INSTRUMENTS) else ""
        if isinstance(explained, Explained) and explained.statistics is not None:
            tested = {"characteristics": explained.characteristics} if explained.on_characteristics else {}
            tested["instruments"] = explained.factor_instruments
            for what, found in tested.items():
                count = f"{(found['p'] < 0.05).sum()} of {found.height}"
                yield count, f"{what} matter, {market.title.lower()}", f"p below 5%, {explained.name}"


FACTOR_MODEL_PAGE = Page(
    asset="factor_model_report",
    file="factor_models.html",
    title="Conditional factor models",
    subject="Factor models side by side",
    numbers=FactorModelNumbers,
    cards=_factor_model_cards,
    sections=sections_factor_models.SECTIONS,
    truth=sections_factor_models.TRUTH,
    reference=sections_factor_models.REFERENCE,
    assets=(INSTRUMENTS, *(name for market in MARKETS for name in market.assets)),
    truth_tables=("summary",),
    states=tuple(name for market in MARKETS for name in market.recurrent),
)


def _sdf_cards(numbers: SdfNumbers) -> Iterator[Card]:
    for market in SDF_MARKETS:
        if numbers.data.has(market.earned, market.search):
            objective, environment = numbers.preferred(market)
            found = numbers.performance(market).filter(objective=objective, environment=environment)
            for row in found.drop_nulls("sharpe").iter_rows(named=True):
                note = (
                    f"trained on: {tables_sdf.words(objective, environment)}; {row['n_months']:,} months out of sample"
                )
                yield str(number(row["sharpe"], 2)), f"Sharpe ratio a month, {market.title.lower()}", note


SDF_PAGE = Page(
    asset="sdf_report",
    file="sdf.html",
    title="Stochastic discount factors",
    subject="Stochastic discount factors by networks and by linear benchmarks",
    numbers=SdfNumbers,
    cards=_sdf_cards,
    sections=(*sections_sdf.SECTIONS, sections_sdf_gan.SECTION, *sections_linear.SECTIONS),
    truth=sections_sdf.TRUTH,
    reference=sections_sdf.REFERENCE,
    assets=tuple(dict.fromkeys((FACTORS, *(name for each in SDF_MARKETS for name in each.assets), *LINEAR_ASSETS))),
    tables=(INDEX,),
    truth_tables=("factors",),
)
PAGES = (BOND_PAGE, FIRM_PAGE, TRADE_PAGE, FACTOR_MODEL_PAGE, SDF_PAGE)
