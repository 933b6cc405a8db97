"""A table or a figure for every market that has what it shows: how sections of several markets are put together.

Belongs here: headings, names of files and which markets are shown. Does not: what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import polars as pl
from great_tables import GT

from pipeline.report.blocks import Block, Content, Figure, Table, Words
from pipeline.report.downloads import downloads
from pipeline.report.numbers_factor_models import MARKETS, FactorModelNumbers, Market
from pipeline.report.tables import html_of

MarketBuild = Callable[[Market, FactorModelNumbers], Sequence[Content]]


def market_table(
    market: Market, number: str, table: GT, numbers: pl.DataFrame, title: str, note: str, *, whole: GT | None = None
) -> Table:
    """Put a table on the page with its files; ``whole`` is the table of the file where the page shows less."""
    told = f"Table {number}. {title}" if number[0].isdigit() else title
    file = f"{market.name}_table_{number}" if number[0].isdigit() else f"{market.name}_{number}"
    return Table(
        html=html_of(table),
        caption=f"{told}. {note}".strip(),
        downloads=downloads(file, numbers, whole or table, f"{market.title}: {title}", note),
    )


def identifier(market: Market, number: str) -> str:
    """Name a table within the page."""
    return f"table-{market.name}-{number}"


def market_words(market: Market, text: str) -> Words:
    """Say something of a market."""
    return Words(text=f"{market.title}: {text}")


def moments_of(market: Market) -> tuple[str, ...]:
    """Give the frame that comparisons of forecasts need."""
    return (market.moments,)


def _each(
    build: MarketBuild,
    frames: Callable[[Market], Sequence[str]],
    markets: Sequence[Market],
    numbers: FactorModelNumbers,
) -> Sequence[Content]:
    """Build for each market that has one of its frames, its name above the first content."""
    contents: list[Content] = []
    for market in markets:
        if any(numbers.data.has(name) for name in frames(market)):
            built = list(build(market, numbers))
            if built and isinstance(built[0], Table | Figure):
                built[0] = replace(built[0], heading=market.title)
            contents += built
    return contents


def market_block(
    build: MarketBuild,
    frames: Callable[[Market], Sequence[str]],
    *,
    needs: tuple[str, ...] = (),
    wants: tuple[str, ...] = (),
    markets: Sequence[Market] = MARKETS,
) -> Block:
    """Show every market that has one of the frames."""
    either = tuple(name for market in markets for name in frames(market))
    return Block(build=partial(_each, build, frames, markets), needs=needs, either=either, wants=wants)
