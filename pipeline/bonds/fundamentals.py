"""Characteristics from the issuer's accounts and equity value, as the index extract carries them.

A ratio whose denominator is zero is missing. Volatilities of these quantities are in ``moments``.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pipeline.bonds.definition import BondMonth, Characteristic
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats


def _nonzero(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != 0.0).then(pl.col(column))


REVENUE = pl.col("ebit") / _nonzero("ebitmargin")
ASSETS = pl.col("debt") + pl.col("marketcap") / _nonzero("pricetobook")
PROFITABILITY = REVENUE * pl.col("grossmargin") / ASSETS
ASSET_TURNOVER = REVENUE / ASSETS

_ASSET_INPUTS = ("index_snapshot.debt", "index_snapshot.marketcap", "index_snapshot.pricetobook")
_PROFITABILITY_INPUTS = (
    "index_snapshot.ebit",
    "index_snapshot.ebitmargin",
    "index_snapshot.grossmargin",
    *_ASSET_INPUTS,
)
TURNOVER_INPUTS = ("index_snapshot.ebit", "index_snapshot.ebitmargin", *_ASSET_INPUTS)


def _profitability_change(bonds: BondMonth) -> Floats:
    return 100.0 * (bonds.at("profitability") - bonds.at("profitability", bonds.settings.profitability_lag))


def _profitability_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"index_snapshot": settings.profitability_lag + 1}


FUNDAMENTALS = (
    Characteristic(
        name="book_to_price",
        definition="1 / price-to-book; a ratio of 0 is missing",
        unit="ratio",
        inputs=("index_snapshot.pricetobook",),
        formula=1.0 / _nonzero("pricetobook"),
    ),
    Characteristic(
        name="debt_to_ebitda",
        definition="debt / EBITDA; an EBITDA of 0 is missing",
        unit="ratio",
        inputs=("index_snapshot.debt", "index_snapshot.ebitda"),
        formula=pl.col("debt") / _nonzero("ebitda"),
    ),
    Characteristic(
        name="earnings_to_price",
        definition="1 / price-to-earnings; a ratio of 0 is missing",
        unit="ratio",
        inputs=("index_snapshot.pricetoearnings",),
        formula=1.0 / _nonzero("pricetoearnings"),
    ),
    Characteristic(
        name="marketcap",
        definition="market capitalisation of the issuer's equity",
        unit="as in the extract",
        inputs=("index_snapshot.marketcap",),
        formula=pl.col("marketcap"),
    ),
    Characteristic(
        name="debt",
        definition="issuer's total debt",
        unit="as in the extract",
        inputs=("index_snapshot.debt",),
        formula=pl.col("debt"),
    ),
    Characteristic(
        name="profitability",
        definition="gross profit / assets: gross profit = EBIT / EBIT margin * gross margin, "
        "assets = debt + market capitalisation / price-to-book",
        unit="ratio",
        inputs=_PROFITABILITY_INPUTS,
        formula=PROFITABILITY,
    ),
    Characteristic(
        name="profitability_change",
        definition="100 * (profitability - profitability 60 calendar months before)",
        unit="percentage points",
        inputs=_PROFITABILITY_INPUTS,
        timing="end of m and of m-60",
        formula=_profitability_change,
        lookback=_profitability_lookback,
        window="profitability_lag",
    ),
    Characteristic(
        name="operating_leverage",
        definition="growth of EBIT / growth of revenue; a growth of revenue of 0 is missing",
        unit="ratio",
        inputs=("index_snapshot.ebitgrowth", "index_snapshot.revenuegrowth"),
        formula=pl.col("ebitgrowth") / _nonzero("revenuegrowth"),
    ),
    Characteristic(
        name="book_leverage",
        definition="leverage ratio of the extract",
        unit="ratio",
        inputs=("index_snapshot.leverageratio",),
        formula=pl.col("leverageratio"),
    ),
    Characteristic(
        name="market_leverage",
        definition="debt / market capitalisation; a capitalisation of 0 is missing",
        unit="ratio",
        inputs=("index_snapshot.debt", "index_snapshot.marketcap"),
        formula=pl.col("debt") / _nonzero("marketcap"),
    ),
)
