"""Characteristics from the issuer's accounts and equity value, as the snapshot carries them from either source.

A ratio whose denominator is zero is missing. Volatilities of these quantities are in ``moments``.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pipeline.bonds.definition import NOTEBOOK, BondMonth, Characteristic
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats


def _nonzero(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != 0.0).then(pl.col(column))


ASSETS = pl.col("debt") + pl.col("book_equity")
PROFITABILITY = pl.col("revenue") * pl.col("gross_margin") / ASSETS
ASSET_TURNOVER = pl.col("revenue") / ASSETS

TURNOVER_INPUTS = ("bond_snapshot.revenue", "bond_snapshot.debt", "bond_snapshot.book_equity")
_PROFITABILITY_INPUTS = (*TURNOVER_INPUTS, "bond_snapshot.gross_margin")


def _profitability_change(bonds: BondMonth) -> Floats:
    return 100.0 * (bonds.at("profitability") - bonds.at("profitability", bonds.settings.profitability_lag))


def _profitability_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_snapshot": settings.profitability_lag + 1}


FUNDAMENTALS = (
    Characteristic(
        name="book_to_price",
        sets=(NOTEBOOK,),
        definition="1 / price-to-book; a ratio of 0 is missing",
        unit="ratio",
        inputs=("bond_snapshot.price_to_book",),
        formula=1.0 / _nonzero("price_to_book"),
    ),
    Characteristic(
        name="debt_to_ebitda",
        sets=(NOTEBOOK,),
        definition="debt / EBITDA; an EBITDA of 0 is missing",
        unit="ratio",
        inputs=("bond_snapshot.debt", "bond_snapshot.ebitda"),
        formula=pl.col("debt") / _nonzero("ebitda"),
    ),
    Characteristic(
        name="earnings_to_price",
        sets=(NOTEBOOK,),
        definition="1 / price-to-earnings; a ratio of 0 is missing",
        unit="ratio",
        inputs=("bond_snapshot.price_to_earnings",),
        formula=1.0 / _nonzero("price_to_earnings"),
    ),
    Characteristic(
        name="marketcap",
        sets=(NOTEBOOK,),
        definition="market capitalisation of the issuer's equity",
        unit="millions of dollars; from the index as in the extract",
        inputs=("bond_snapshot.marketcap",),
        formula=pl.col("marketcap"),
    ),
    Characteristic(
        name="debt",
        sets=(NOTEBOOK,),
        definition="issuer's total debt",
        unit="millions of dollars; from the index as in the extract",
        inputs=("bond_snapshot.debt",),
        formula=pl.col("debt"),
    ),
    Characteristic(
        name="profitability",
        sets=(NOTEBOOK,),
        definition="gross profit / assets: gross profit = revenue * gross margin, assets = debt + book equity; from "
        "the index revenue = EBIT / EBIT margin, book equity = market capitalisation / price-to-book",
        unit="ratio",
        inputs=_PROFITABILITY_INPUTS,
        formula=PROFITABILITY,
    ),
    Characteristic(
        name="profitability_change",
        sets=(NOTEBOOK,),
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
        sets=(NOTEBOOK,),
        definition="growth of EBIT / growth of revenue; a growth of revenue of 0 is missing",
        unit="ratio",
        inputs=("bond_snapshot.ebit_growth", "bond_snapshot.revenue_growth"),
        formula=pl.col("ebit_growth") / _nonzero("revenue_growth"),
    ),
    Characteristic(
        name="book_leverage",
        sets=(NOTEBOOK,),
        definition="leverage ratio of the extract; from accounts, total assets / common equity",
        unit="ratio",
        inputs=("bond_snapshot.leverage_ratio",),
        formula=pl.col("leverage_ratio"),
    ),
    Characteristic(
        name="market_leverage",
        sets=(NOTEBOOK,),
        definition="debt / market capitalisation; a capitalisation of 0 is missing",
        unit="ratio",
        inputs=("bond_snapshot.debt", "bond_snapshot.marketcap"),
        formula=pl.col("debt") / _nonzero("marketcap"),
    ),
)
