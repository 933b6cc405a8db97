"""Entries of set ``gkx94`` that compare a firm's annual record with its industry.

The industry of a stock is its two-digit SIC code by date, and the industry's mean, median or sum runs over the stocks
of the month in the universe, each with its record in use. Green, Hand and Zhang group their annual file by header code
and fiscal year, which looks at firms that report later and at codes of today. Belongs here: entries of level ``stock``
on annual records. Does not: industry momentum (``gkx_monthly``).
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from pipeline.equity.definition import FirmCharacteristic
from pipeline.equity.gkx_accounts import AVERAGE_ASSETS, MARKET_EQUITY, TAX_TO_BOOK, capital_expenditure
from pipeline.equity.gkx_changes import HIRE
from pipeline.equity.gkx_form import average, flag, growth, item, joint, on_stocks, over_industry, ratio
from pipeline.equity.gkx_quarterly import ROAVOL, RSUP
from pipeline.equity.gkx_ratios import BM, CFP

_AMONG = "mean over the stocks of the month with the same two-digit SIC code (sich of the record in use, else siccd)"


def _less_mean(name: str) -> pl.Expr:
    return pl.col(name) - over_industry(pl.col(name).mean())


def _change_of(term: Callable[[int], pl.Expr]) -> pl.Expr:
    return term(0) - term(1)


def _profit_margin(lag: int) -> pl.Expr:
    return ratio(item("ib", lag), item("sale", lag))


def _asset_turnover(lag: int) -> pl.Expr:
    return ratio(item("sale", lag), average("at", lag))


def _adjusted(base: FirmCharacteristic, name: str, reference: str, unit: str = "ratio") -> FirmCharacteristic:
    return on_stocks(
        name, f"{base.name} less its {_AMONG}", _less_mean(base.name), uses=(base,), reference=reference, unit=unit
    )


def _carried(
    name: str, words: str, column: str, term: pl.Expr, reference: str, unit: str = "ratio"
) -> FirmCharacteristic:
    return on_stocks(
        name, f"{words}, less its {_AMONG}", _less_mean(column), carries={column: term}, reference=reference, unit=unit
    )


def _sales_concentration() -> pl.Expr:
    sale = pl.col("gkx_sale")
    total = over_industry(sale.sum())
    return ratio(over_industry((sale * sale).sum()), total * total)


def _above_median(column: str) -> pl.Expr:
    return flag(pl.col(column) > over_industry(pl.col(column).median()))


def _below_median(column: str) -> pl.Expr:
    return flag(pl.col(column) < over_industry(pl.col(column).median()))


_MOHANRAM = {
    "gkx_roa": ratio(item("ni"), AVERAGE_ASSETS),
    "gkx_cfroa": ratio(pl.coalesce(item("oancf"), item("ib") + item("dp")), AVERAGE_ASSETS),
    "gkx_cash_above_income": flag(item("oancf") > item("ni")),
    "gkx_xrdint": ratio(item("xrd"), AVERAGE_ASSETS),
    "gkx_capxint": ratio(capital_expenditure(0), AVERAGE_ASSETS),
    "gkx_xadint": ratio(item("xad"), AVERAGE_ASSETS),
    "gkx_fyear": item("fyear"),
}
_ON_RECORD = pl.col("gkx_fyear").is_not_null() & pl.col("gkx_fyearq").is_not_null() & pl.col("sic2").is_not_null()
_SIGNALS = (
    *(_above_median(name) for name in ("gkx_roa", "gkx_cfroa", "gkx_xrdint", "gkx_capxint", "gkx_xadint")),
    pl.col("gkx_cash_above_income"),
    _below_median(ROAVOL.name),
    _below_median("gkx_sgrvol"),
)

_ALCOHOL, _TOBACCO = pl.col("sic").is_between(2080, 2085), pl.col("sic").is_between(2100, 2199)
# Carried columns are decimal numbers.
_GAMING = pl.col("gkx_naicsh").is_in([7132.0, 71312.0, 713210.0, 71329.0, 713290.0, 72112.0, 721120.0])

INDUSTRY = (
    _adjusted(BM, "bm_ia", "Asness, Porter and Stevens 2000"),
    _adjusted(CFP, "cfp_ia", "Asness, Porter and Stevens 2000"),
    _adjusted(HIRE, "chempia", "Asness, Porter and Stevens 1994", unit="decimal"),
    _carried(
        "chatoia",
        "change of sale / mean of at at the end and at the beginning of the fiscal year",
        "gkx_chato",
        _change_of(_asset_turnover),
        "Soliman 2008",
    ),
    _carried("chpmia", "change of ib / sale", "gkx_chpm", _change_of(_profit_margin), "Soliman 2008"),
    _carried(
        "mve_ia",
        "fiscal-year-end market equity, csho * |prcc_f|",
        "gkx_mve_f",
        MARKET_EQUITY,
        "Asness, Porter and Stevens 2000",
        unit="millions of dollars",
    ),
    _carried(
        "pchcapx_ia",
        "percent change of capital expenditure from the fiscal year before; it is capx, or where that is missing the "
        "change of ppent from the fiscal year before",
        "gkx_pchcapx",
        growth(capital_expenditure),
        "Abarbanell and Bushee 1998",
        unit="decimal",
    ),
    _carried(
        "tb",
        "tax / highest federal rate of the fiscal year / ib, where tax is txfo + txfed, or txt - txdi where either is "
        "missing; 1 where txfo + txfed or txt - txdi is positive and ib is not (the program counts a missing number as "
        "less than any other, which makes that 1 for want of data: here it is no number); the rate is 0.48 to 1978, "
        "0.46 to 1986, 0.40 in 1987, 0.34 to 1992, 0.35 to 2017, 0.21 since (the program, written before, has no later "
        "change)",
        "gkx_tax_to_book",
        TAX_TO_BOOK,
        "Lev and Nissim 2004",
    ),
    on_stocks(
        "herf",
        "sum of squared shares in the sales of the industry: sum of sale^2 / (sum of sale)^2 over the stocks of the "
        "month with the same two-digit SIC code; of the industry, also where the stock's own sale is missing",
        _sales_concentration(),
        carries={"gkx_sale": item("sale")},
        unit="fraction",
        reference="Hou and Robinson 2006",
    ),
    on_stocks(
        "ms",
        "number of eight signals that hold: above the industry's median are ni, oancf (ib + dp where missing), xrd, "
        "capital expenditure (as in gkx_grcapx) and xad, each over the mean of at at the end and at the beginning of "
        "the fiscal year; oancf > ni; below the industry's median are gkx_roavol and the standard deviation of rsup "
        "over 15 quarters, under the rule of gkx_roavol. Medians run over the stocks of the month with the same "
        "two-digit SIC code. A signal with a missing input does not hold; null without an annual and a quarterly "
        "record in use, or without an industry",
        pl.when(_ON_RECORD).then(joint(_SIGNALS)),
        carries=_MOHANRAM,
        uses=(ROAVOL, RSUP),
        unit="signals, 0 to 8",
        reference="Mohanram 2005",
        history="one fiscal year and one fiscal quarter; the signals look further back",
    ),
    on_stocks(
        "sin",
        "1 if the SIC code (sich of the record in use, else siccd) is 2080 to 2085 (alcohol) or 2100 to 2199 "
        "(tobacco), or the NAICS code (naicsh of the record in use) one of gaming: 7132, 71312, 713210, 71329, 713290, "
        "72112, 721120; else 0; null without a SIC code unless the other one says gaming",
        pl.when(_GAMING).then(1.0).when(pl.col("sic").is_not_null()).then(flag(_ALCOHOL | _TOBACCO)),
        carries={"gkx_naicsh": item("naicsh")},
        unit="1 or 0",
        reference="Hong and Kacperczyk 2009",
        history="none",
    ),
)
