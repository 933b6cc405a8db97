"""The monthly entries of set ``gkx94``: momentum, size and volume, and the tuple that holds the daily ones too.

Green, Hand and Zhang count lags from the month of the return they predict; a partition m predicts m+1, so that their
month t-k is our m+1-k: ``lag(ret)`` is the return of m. Windows count calendar months, and a missing month makes the
value missing. Returns are those reported (a stock that is still there has no delisting return), volume is adjusted for
NASDAQ's double counting, which they leave as it is. Belongs here: entries on monthly CRSP. Does not: the daily entries
(``gkx_daily``).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.equity.definition import FirmCharacteristic
from pipeline.equity.gkx_daily import GKX_DAILY
from pipeline.equity.gkx_form import on_stocks, over_industry, window
from pipeline.equity.price import SHROUT_UNIT, cumulative_return_between
from pipeline.panel.dense import Floats, PanelMonth
from pipeline.panel.windows import sum_months

TURNOVER_MONTHS = 3

_NEAR_HALF = cumulative_return_between(6, 1)
_FAR_HALF = cumulative_return_between(12, 7)


def _chmom(stocks: PanelMonth) -> Floats:
    return _NEAR_HALF(stocks) - _FAR_HALF(stocks)


def _dolvol(stocks: PanelMonth) -> Floats:
    traded = stocks.at("volume", 1) * stocks.at("prc", 1)
    return np.log(np.where(traded > 0.0, traded, np.nan))


def _turn(stocks: PanelMonth) -> Floats:
    shares = TURNOVER_MONTHS * SHROUT_UNIT * stocks.at("shrout")
    return sum_months(stocks.window("volume", TURNOVER_MONTHS)) / np.where(shares > 0.0, shares, np.nan)


MOM12M = window(
    "mom12m",
    "cumulative return over m-11 to m-1",
    cumulative_return_between(12, 2),
    columns=("ret",),
    months=12,
    reference="Jegadeesh 1990",
)

GKX_MONTHLY: tuple[FirmCharacteristic, ...] = (
    MOM12M,
    window(
        "mom1m",
        "return of m",
        cumulative_return_between(1, 1),
        columns=("ret",),
        months=1,
        reference="Jegadeesh and Titman 1993",
    ),
    window(
        "mom6m",
        "cumulative return over m-5 to m-1",
        cumulative_return_between(6, 2),
        columns=("ret",),
        months=6,
        reference="Jegadeesh and Titman 1993",
    ),
    window(
        "mom36m",
        "cumulative return over m-35 to m-12",
        cumulative_return_between(36, 13),
        columns=("ret",),
        months=36,
        reference="Jegadeesh and Titman 1993",
    ),
    window(
        "chmom",
        "cumulative return over m-5 to m, less that over m-11 to m-6",
        _chmom,
        columns=("ret",),
        months=12,
        reference="Gettleman and Marks 2006",
    ),
    window(
        "dolvol",
        "log of volume times price of m-1; null without volume",
        _dolvol,
        columns=("prc", "volume"),
        months=2,
        unit="log of dollars",
        reference="Chordia, Subrahmanyam and Anshuman 2001",
    ),
    window(
        "turn",
        "mean monthly volume of m-2 to m, all three of which must be there, over the shares outstanding at the end of "
        "m (the program divides by those of the month that is predicted)",
        _turn,
        columns=("shrout", "volume"),
        months=TURNOVER_MONTHS,
        unit="fraction of shares",
        reference="Datar, Naik and Radcliffe 1998",
    ),
    on_stocks(
        "indmom",
        "mean of gkx_mom12m over the stocks of the month with the same two-digit SIC code (sich of the record in use, "
        "else siccd); of the industry, also where the stock's own is missing",
        over_industry(pl.col(MOM12M.name).mean()),
        timing="monthly",
        uses=(MOM12M,),
        unit="decimal",
        reference="Moskowitz and Grinblatt 1999",
    ),
    on_stocks(
        "mvel1",
        "market equity of the stock at the end of m, not in logs",
        pl.col("me"),
        timing="monthly",
        unit="millions of dollars",
        reference="Banz 1981",
        history="1 calendar month",
    ),
    *GKX_DAILY,
)
