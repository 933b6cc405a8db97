"""Sections about the macro assets: published factors, market series, Treasury curve, macro factors, predictors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.report import charts_macro, statistics, tables
from pipeline.report.blocks import Block, Build, Content, Figure, Section, Table
from pipeline.report.charts_macro import EQUITY_FACTORS, OTHER_FACTORS, PREDICTOR_WORDS
from pipeline.report.numbers import Numbers

#: Columns of ``french_factors`` that are no excess returns.
_NO_RETURNS = frozenset({"rf", "liq_innov", "intermediary"})


def _published(numbers: Numbers) -> Sequence[Content]:
    french = numbers.data.frame("french_factors")
    columns = [column for column in french.columns if column not in ("month", "mkt")]
    return [
        Figure(
            charts=[
                charts_macro.cumulative_factors(french, EQUITY_FACTORS, "Fama-French factors and momentum"),
                charts_macro.cumulative_factors(french, OTHER_FACTORS, "Other published factors"),
            ],
            columns=2,
            caption="Cumulative log returns of published equity factors, each from its first month on.",
        ),
        Table(
            html=tables.factors(statistics.factor_summary(french, columns, _NO_RETURNS)),
            caption="Monthly means with Newey-West t-statistics. No Sharpe ratio for the bill rate rf and for "
            "liq_innov and intermediary, which are innovations.",
        ),
    ]


def _figure(name: str, caption: str, *makers: Callable[..., object], columns: int = 2) -> Build:
    """Build a figure whose charts all take one frame."""

    def build(numbers: Numbers) -> Content:
        frame = numbers.data.frame(name)
        return Figure(charts=[make(frame) for make in makers], columns=columns, caption=caption)  # type: ignore[misc]

    return build


def _predictors(numbers: Numbers) -> Content:
    frame = numbers.data.frame("goyal_welch")
    sources = sorted({source for row in frame["source"].drop_nulls() for source in row.split()})
    origin = f" Sources: {', '.join(sources)}." if sources else ""
    return Figure(
        charts=[charts_macro.predictor(frame, column) for column in PREDICTOR_WORDS],
        columns=3,
        caption=f"The six series as used, transformed to be stationary.{origin}",
    )


_VIX = _figure(
    "vix_innovation",
    "VIX on the last trading day (left) and its innovation (right): what an autoregression on the 60 months before did "
    "not expect.",
    charts_macro.vix_level,
    charts_macro.vix_innovation,
)
_BOND_MARKET = _figure(
    "bond_market_factor",
    "The bond-market factor is the return of an investment-grade bond fund less what the changes of Treasury yields "
    "explain, with slopes from the 60 months before.",
    charts_macro.bond_market,
    charts_macro.bond_market_betas,
)
_TREASURY = _figure(
    "treasury_curve",
    "Treasury yields on the last trading day of the month.",
    charts_macro.yields,
    charts_macro.term_spread,
    charts_macro.newest_curves,
    charts_macro.forward_spreads,
)
_MACRO = _figure(
    "macro_factors",
    "Principal components of the transformed macro series, estimated anew each month on the vintage known then; signs "
    "are fixed, but a component may change its composition when the vintage does.",
    charts_macro.macro_components,
    charts_macro.explained,
    charts_macro.bai_ng,
    charts_macro.series_used,
)

SECTIONS = (
    Section(
        title="Published factors",
        anchor="factors",
        intro="Equity factors as their authors publish them, in decimals, null where a file is not there or has ended.",
        blocks=(Block(build=_published, needs=("french_factors",)),),
    ),
    Section(
        title="Market series",
        anchor="market",
        intro="Innovations that bond returns are regressed on. The value of a month is realised in that month.",
        blocks=(
            Block(build=_VIX, needs=("vix_innovation",)),
            Block(build=_BOND_MARKET, needs=("bond_market_factor",)),
            Block(build=_TREASURY, needs=("treasury_curve",)),
        ),
    ),
    Section(
        title="Macro factors and predictors",
        anchor="macro",
        intro="The state of the economy as it could be known at the end of each month.",
        blocks=(
            Block(build=_MACRO, needs=("macro_factors",)),
            Block(build=_predictors, needs=("goyal_welch",)),
        ),
    ),
)
