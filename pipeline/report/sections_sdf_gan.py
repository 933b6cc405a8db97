"""Section of the generative adversarial networks: beside the other objectives, in the months that all of them share.

Here belong tables A.5 to A.7 and figure 7 of the source. Tables 3 and 4, in which the GAN is a row among others, stand
in ``sections_sdf``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from pipeline.report import charts_sdf as charts
from pipeline.report import tables_sdf as tables
from pipeline.report.blocks import Block, Content, Figure, Section, Words
from pipeline.report.numbers_sdf import (
    FACTORS,
    GAN_ALPHAS,
    GAN_CUMULATIVE,
    GAN_PERFORMANCE,
    GAN_WEIGHTS,
    INDEX,
    MARKETS,
    WEIGHTS,
    Market,
    SdfNumbers,
    published,
)
from pipeline.report.sdf_statistics import GAN, cumulative_returns, drawdown_series, performance_table
from pipeline.report.sections_sdf import alphas_of, count_of, figure_of, identifier, other_data, table_of

#: Share of the months with equal weights above which the networks are said to have collapsed.
_COLLAPSED = 0.5
_STOCKS = (
    " The published stock portfolios are 10 industry portfolios; they are test assets of no asset here, so nothing of "
    "these data stands beside them."
)


def _weights(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    """Show the winners of the newest search, and say how many configurations collapsed."""
    tried = numbers.newest_search(market, WEIGHTS).filter(objective=GAN)
    if tried.is_empty():
        return [Words(text=f"{market.title}: no GAN is among the objectives that were searched.")]
    winners = tried.filter("winner")
    contents: list[Content] = []
    if winners.height:
        note = (
            f"Newest search, {tried['month'][0]:%Y-%m}, best of {count_of(tried.height, 'configuration')} by the "
            f"Sharpe ratio of the months of validation. Epochs are counted over all steps."
            f" {_collapse(tried)}{other_data(market, GAN_WEIGHTS)}"
        )
        table = tables.configurations(
            winners, identifier(market, GAN_WEIGHTS), WEIGHTS, published(market, GAN_WEIGHTS), ""
        )
        contents.append(table_of(market, GAN_WEIGHTS, table, tried, f"{market.title}: networks of the GAN", note))
    for row in winners.filter(pl.col("equal_share") > _COLLAPSED).iter_rows(named=True):
        told = (
            f"Mode collapse: the winner ({tables.words(GAN, row['environment'])}) has equal weights in "
            f"{row['equal_share']:.0%} of the months of validation. It then holds the equally weighted portfolio, long "
            "or short, which is no estimate of the stochastic discount factor."
        )
        contents.append(Words(text=told))
    return contents


def _collapse(tried: pl.DataFrame) -> str:
    """Say how often the weights of the configurations were all the same."""
    known = tried.drop_nulls("equal_share")
    collapsed = known.filter(pl.col("equal_share") > _COLLAPSED).height
    return (
        "Mode collapse (equal weights within the month in more than half of the months of validation): "
        f"{collapsed} of {count_of(known.height, 'configuration')}."
    )


def _performance(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    if not numbers.has_gan(market):
        return []
    beside = numbers.beside_gan(market)
    frame = performance_table(numbers.gan_and_sharpe(market))
    if frame.is_empty():
        return [Words(text=f"{market.title}: no two months yet that the GAN and the other objectives share.")]
    note = (
        f"The {count_of(beside['month'].n_unique(), 'month')} from {frame['first'][0]:%Y-%m} to "
        f"{frame['last'][0]:%Y-%m} in which all objectives have weights; columns as in the table of performance above."
    )
    if published(market, GAN_PERFORMANCE) is not None:
        note += _STOCKS + other_data(market, GAN_PERFORMANCE)
    table = tables.performance(frame, identifier(market, GAN_PERFORMANCE), published(market, GAN_PERFORMANCE), "")
    title = f"{market.title}: GAN and Sharpe ratio"
    return [
        table_of(market, GAN_PERFORMANCE, table, frame, title, note),
        Figure(
            charts=[
                charts.cumulative_returns(cumulative_returns(beside), "Cumulative returns in the common months"),
                charts.drawdowns(drawdown_series(beside), "Drawdowns"),
            ],
            caption=f"{figure_of(market, GAN_CUMULATIVE)}Above: gains on a dollar at stake, excess returns reinvested; "
            "below: fall from the highest value so far.",
        ),
    ]


def _alphas(market: Market, numbers: SdfNumbers) -> Sequence[Content]:
    if numbers.beside_gan(market).is_empty():
        return []
    title = f"{market.title}: alphas of GAN and Sharpe ratio"
    return alphas_of(market, numbers.gan_alphas(market), GAN_ALPHAS, title, "")


def _blocks(market: Market) -> tuple[Block, ...]:
    return (
        Block(build=partial(_weights, market), needs=(market.search,)),
        Block(build=partial(_performance, market), needs=(market.earned,)),
        Block(build=partial(_alphas, market), needs=(market.earned, FACTORS), wants=(INDEX,)),
    )


SECTION = Section(
    title="Generative adversarial networks",
    anchor="gan",
    intro="A second network looks for the test assets that the first one prices worst (equation 12 of the source). It "
    "needs macro series, so only environments that have them have a GAN; it is searched for and carried on like the "
    "other objectives.",
    blocks=tuple(block for market in MARKETS for block in _blocks(market)),
)
