"""Sections of the page of stochastic discount factors, one a market: performance, alphas, betas, searches, industries.

Here belong captions and what is said where a number is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import polars as pl
from great_tables import GT

from pipeline.evaluation.comparisons import LEVELS
from pipeline.report import charts_sdf as charts
from pipeline.report import tables_sdf as tables
from pipeline.report.blocks import Block, Content, Figure, Section, Table, Words
from pipeline.report.downloads import downloads
from pipeline.report.numbers_sdf import (
    BETAS,
    FACTORS,
    INDEX,
    MARKET,
    MARKETS,
    PORTFOLIOS,
    TRUE_FACTORS,
    WEIGHTS,
    Market,
    SdfNumbers,
    published,
)
from pipeline.report.sdf_statistics import ENVIRONMENTS, MODEL, attainable_sharpe
from pipeline.report.sections_shared import settings, sources
from pipeline.report.tables import html_of

LEGEND = ", ".join(f"{stars} p < {level:.0%}".replace(" ", "\u00a0") for level, stars in LEVELS) + "."
#: Months out of sample below which the page warns of its own ratios.
_FEW = 60
#: Markets whose returns the true factors drive where the data are simulated.
TRUE_MARKETS = MARKETS[:2]

MarketBuild = Callable[[Market, SdfNumbers], Sequence[Content]]


def table_of(market: Market, what: str, table: GT, numbers: pl.DataFrame, title: str, note: str) -> Table:
    """Put a table on the page with its files."""
    number = market.numbers.get(what, "")
    return Table(
        html=html_of(table),
        caption=f"Table {number}. {note}" if number else note,
        heading=title,
        downloads=downloads(f"{market.name}_sdf_{what}", numbers, table, f"{market.title}: {title}", note),
    )


def identifier(market: Market, what: str) -> str:
    """Return the identifier of a table."""
    return f"table-{market.name}-{what}"


def count_of(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def figure_of(market: Market, what: str) -> str:
    """Return the source's number of a figure as the beginning of a caption."""
    number = market.numbers.get(what, "")
    return f"Figure {number}. " if number else ""


def other_data(market: Market, what: str) -> str:
    """Say that published numbers are of other data, where there are any."""
    return "" if published(market, what) is None else " Published numbers are of other data."


def _months(market: Market, numbers: SdfNumbers) -> str:
    first, last, count = numbers.months(market)
    span = f"{first:%Y-%m}" if count == 1 else f"{first:%Y-%m} to {last:%Y-%m}"
    return f"{count_of(count, 'month')} out of sample, {span}: all since the first search."


def _few(market: Market, numbers: SdfNumbers) -> list[Content]:
    """Warn where there are few months."""
    *_, count = numbers.months(market)
    if count >= _FEW:
        return []
    told = (
        f"{_months(market, numbers)} With so few no ratio means much: the standard error of a monthly Sharpe ratio is "
        f"about {count**-0.5:.2f} even where returns are independent."
    )
    return [Words(text=told)]


def _performance(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    frame = numbers.performance(market)
    if frame.is_empty():
        return [*_few(market, numbers), Words(text="A ratio needs two months.")]
    note = (
        f"{_months(market, numbers)} Each month's weights were known before it. Sharpe, Sortino and Calmar ratio are "
        "monthly, CAGR is annual; maximum drawdown, CAGR and leverage (sum of absolute weights) are decimals. Excess "
        "returns."
    )
    unpaid = numbers.unpaid(market)
    if unpaid:
        note += f" {unpaid:.1%} of the positions had no return in their month and count as zero."
    if published(market, "performance") is not None:
        note += " The published Sortino ratios are not of the usual definition, which is ours."
    note += other_data(market, "performance")
    table = tables.performance(
        frame, identifier(market, "performance"), published(market, "performance"), market.months
    )
    return [
        *_few(market, numbers),
        table_of(market, "performance", table, frame, "Performance out of sample", note),
        Figure(
            charts=[charts.cumulative_returns(numbers.cumulative(market), "Cumulative returns")],
            caption=f"{figure_of(market, 'cumulative')}Gains on a dollar at stake, excess returns reinvested.",
        ),
    ]


def _alphas(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    return alphas_of(market, numbers.alphas(market), "alphas", "Alphas out of sample", market.months)


def alphas_of(market: Market, frame: pl.DataFrame, what: str, title: str, tested: str) -> Sequence[Content]:
    """Put a table of alphas on the page, or say why there is none yet; ``tested`` are the months of the source."""
    refused = frame.drop_nulls("why_not").unique(["benchmark", "why_not"], maintain_order=True)
    told = [
        f"{tables.BENCHMARKS.get(benchmark, benchmark)}: {why}."
        for benchmark, why in refused.select("benchmark", "why_not").iter_rows()
    ]
    if frame["alpha"].is_null().all():
        return [Words(text=f"No alpha yet. {' '.join(told)}")]
    index = (
        "The market factor stands for the S&P 500, of which there is no series."
        if MARKET in set(frame["benchmark"])
        else "S&P 500: the index without dividends, less the risk-free rate."
    )
    counts = frame.drop_nulls("alpha")["n_months"].to_list()
    months = " to ".join(str(each) for each in dict.fromkeys((min(counts), max(counts))))
    note = (
        f"Monthly intercepts of {months} months, decimals, with t-statistics (Newey-West) in brackets. {LEGEND} {index}"
        f"{other_data(market, what)}"
    )
    table = tables.alphas(frame, identifier(market, what), published(market, what), tested)
    shown: list[Content] = [table_of(market, what, table, frame, title, note)]
    return [*shown, Words(text=f"Not tested against {' '.join(told)}")] if told else shown


def _pricing(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    frame = numbers.pricing(market)
    months, assets = (max(frame[column].to_list()) for column in ("n_months", "n"))
    note = (
        "EV: share of the squared returns that the betas explain, month by month; XS-R²: the same of mean returns by "
        f"asset. Up to {assets:,} returns in {count_of(months, 'month')}; the betas of a month were known before it."
        f"{other_data(market, 'pricing')}"
    )
    table = tables.pricing(frame, identifier(market, "pricing"), published(market, "pricing"), market.months)
    return [table_of(market, "pricing", table, frame, "What the betas explain", note)]


def _configurations(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    contents: list[Content] = []
    for network, title, measure in (
        (WEIGHTS, "Best networks for the weights", "the monthly Sharpe ratio"),
        (
            BETAS,
            "Best networks for the betas",
            "the mean squared error of labels (return times factor, over their root mean square in training)",
        ),
    ):
        newest = numbers.newest_search(market, network)
        winners = newest.filter("winner")
        if winners.is_empty():
            continue
        begun = min(newest["validation_from"].to_list())
        counts = newest.group_by(MODEL).len()["len"]
        few, most = min(counts.to_list()), max(counts.to_list())
        tried = count_of(most, "configuration") if few == most else f"{few:,} to {count_of(most, 'configuration')}"
        note = (
            f"Newest search, {newest['month'][0]:%Y-%m}: best of {tried} by {measure} in the months from {begun:%Y-%m} "
            "on, which no network of the search was trained on. The CSV has all configurations of all searches."
        )
        table = tables.configurations(
            winners, identifier(market, network), network, published(market, network), market.months
        )
        contents.append(table_of(market, network, table, numbers.searches(market, network), title, note))
    newest = numbers.newest_search(market, WEIGHTS)
    lost = newest["score"].null_count()
    caption = (
        "Sharpe ratio of every configuration in the months of validation, the best circled. Where many do nearly as "
        "well, which of them is best is chance."
    )
    if lost:
        caption += f" {lost} of {newest.height} configurations ended without a score."
    return [*contents, Figure(charts=[charts.validation_scores(newest)], caption=caption)]


def _industries(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    found = numbers.industries(market)
    there = set(found["environment"])
    environment = next((each for each in ENVIRONMENTS if each in there), min(there))
    found = found.filter(environment=environment)
    names = list(dict.fromkeys(found["industry"]))
    told = tables.ENVIRONMENTS.get(environment, environment)
    return [
        Figure(
            charts=[charts.industry(found, name, "cumulative", "cumulative") for name in names],
            columns=3,
            heading="Industries",
            caption=f"{figure_of(market, 'industries')}Cumulative contribution of each industry to the portfolio's "
            f"return, {told}: product of one plus weight times return, less one.",
        ),
        Figure(
            charts=[charts.industry(found, name, "share", "share") for name in names],
            columns=3,
            caption=f"{figure_of(market, 'shares')}Signed share of leverage, {told}: the industry's absolute weights "
            "over all, with the sign of its net weight. The source draws that of Enrgy.",
        ),
    ]


def _truth(numbers: SdfNumbers) -> Content:
    true = numbers.data.table(TRUE_FACTORS)
    names = [name for name in true.columns if name.startswith("factor_")]
    attainable = attainable_sharpe(true.select(names).drop_nulls())
    rows = []
    for market in TRUE_MARKETS:
        if numbers.data.has(market.earned):
            for row in numbers.performance(market).iter_rows(named=True):
                rows.append((market.title, tables.words(row["objective"], row["environment"]), row["sharpe"]))
    rows.append(("Truth", f"best fixed combination of the {len(names)} true factors, all months", attainable))
    frame = pl.DataFrame(rows, schema={"group": pl.String, "model": pl.String, "sharpe": pl.Float64}, orient="row")
    table = (
        GT(frame, id="table-truth", rowname_col="model", groupname_col="group")
        .fmt_number("sharpe", decimals=2)
        .cols_label(sharpe="monthly Sharpe ratio")
    )
    return Table(
        html=html_of(table),
        caption="The ratio of the true factors is known only afterwards. Factors cannot be held, only bonds with noise "
        "of their own; weights that move with what is expected of the factors could do better.",
    )


def _of(market: Market, build: MarketBuild, *needs: str, wants: tuple[str, ...] = ()) -> Block:
    return Block(build=partial(build, market), needs=needs, wants=wants)


def _section(market: Market, intro: str) -> Section:
    blocks = [
        _of(market, _performance, market.earned),
        _of(market, _alphas, market.earned, FACTORS, wants=(INDEX, *((PORTFOLIOS,) if market.spanned else ()))),
        _of(market, _pricing, market.earned, market.weights, market.returns),
        _of(market, _configurations, market.search),
    ]
    if market.industries:
        blocks.append(_of(market, _industries, market.earned, market.weights, market.returns, market.industries))
    return Section(title=market.title, anchor=market.name, intro=intro, blocks=tuple(blocks))


_INTROS = (
    "After Duraj and Giesecke (2025): tables, figures and equations have their numbers there. "
    "Networks give each asset a weight; one less the portfolio's return is the stochastic discount factor. "
    "They are trained on pricing errors (mispricing), on a linearised Sharpe ratio or against a second network (GAN), "
    "searched for once a year and, unless refit_epochs is 0, carried on every month. Here the assets are the 40 bond "
    "portfolios.",
    "The same with single bonds, and their issuers' accounts among the features.",
    "The same with single stocks; the source has stock portfolios alone.",
)
SECTIONS = tuple(_section(market, intro) for market, intro in zip(MARKETS, _INTROS, strict=True))
TRUTH = Section(
    title="Simulated truth",
    anchor="truth",
    intro="The market is simulated, so the factors that drive the bonds' returns are known. No asset reads them.",
    blocks=(Block(build=_truth, needs=(TRUE_FACTORS,)),),
)
REFERENCE = Section(
    title="Settings",
    anchor="settings",
    intro="With which settings this page was made. Published numbers are those of Duraj and Giesecke (2025).",
    blocks=(Block(build=settings), Block(build=sources)),
)
