"""Characteristics of the sets ``dg41`` and ``kps36`` that are read off monthly prices, returns, dividends and volume.

Lags count from the predicted month m+1, as the names do: ``r12_2`` of partition m is earned over m-11 to m-1.
A cumulative return is a product over calendar months, each of which must have a return. French's momentum sorts are
milder: a month inside the window may lack one if only its price is missing, since CRSP's next return then runs from the
last price, up to ten months before. The codes that tell such a month from others are missing values in our tables, so
that a window with any gap has no value.
Belongs here: windows of months. Does not: windows of days (``daily_entries``), accounting (``annual``).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.equity.definition import DG41, KPS36, FirmCharacteristic, WindowFormula
from pipeline.panel.dense import Floats, PanelMonth

BOTH = (DG41, KPS36)

# Shares outstanding are counted in thousands, volume in shares.
SHROUT_UNIT = 1000.0


def cumulative_return(returns: Floats) -> Floats:
    """Compound returns month by month.

    Parameters
    ----------
    returns : ndarray of shape (months, N)
        Decimal returns, oldest first, NaN where missing.

    Returns
    -------
    ndarray of shape (N,)
        ``prod(1 + r) - 1``, NaN where a month has no return.
    """
    growth = 1.0 + returns[0]
    for month in returns[1:]:
        growth *= 1.0 + month
    return growth - 1.0


def cumulative_return_between(first: int, last: int) -> WindowFormula:
    """Return the formula of the cumulative return over months -first to -last, counted from the predicted month."""

    def formula(stocks: PanelMonth) -> Floats:
        return cumulative_return(stocks.window("ret", first - last + 1, last - 1))

    return formula


def _market_equity(stocks: PanelMonth) -> Floats:
    return stocks.at("me")


def _turnover(stocks: PanelMonth) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return stocks.at("volume") / (SHROUT_UNIT * stocks.at("shrout"))


def _past_return(
    *, name: str, sets: tuple[str, ...], first: int, last: int, definition: str, reference: str
) -> FirmCharacteristic:
    return FirmCharacteristic(
        name=name,
        sets=sets,
        definition=definition,
        unit="decimal",
        timing="monthly",
        inputs=("crsp_monthly.ret",),
        level="window",
        formula=cumulative_return_between(first, last),
        months=first,
        history=f"a return in each of the {first - last + 1} months" if first > last else "a return in m",
        reference=reference,
    )


PRICE: tuple[FirmCharacteristic, ...] = (
    FirmCharacteristic(
        name="d2p",
        sets=(DG41,),
        definition="dividends, each month's (ret - retx) * market equity at the end of the month before, of July t-1 "
        "to June t, per dollar of June t market equity, June t opening the partition's accounting year (lag profiles: "
        "the twelve months to m, market equity of m); months without both returns or without a market equity before "
        "count as nothing",
        unit="ratio",
        timing="annual",
        inputs=(
            "crsp_monthly.ret",
            "crsp_monthly.retx",
            "crsp_monthly.prc",
            "crsp_monthly.shrout",
            "crsp_monthly.me",
        ),
        level="stock",
        formula=pl.col("dividends") / pl.col("me_june"),
        history="one month with both returns and market equity before it among the twelve",
        reference="Litzenberger and Ramaswamy 1979",
    ),
    FirmCharacteristic(
        name="lme",
        sets=BOTH,
        definition="market equity |prc| * shrout of the share class at the end of m",
        unit="millions of dollars",
        timing="monthly",
        inputs=("crsp_monthly.me",),
        level="window",
        formula=_market_equity,
        history="a price in m",
        reference="Fama and French 1992",
    ),
    FirmCharacteristic(
        name="lturnover",
        sets=BOTH,
        definition="volume of m / shares outstanding at its end, both in shares; NASDAQ volume adjusted",
        unit="fraction a month",
        timing="monthly",
        inputs=("crsp_monthly.volume", "crsp_monthly.shrout"),
        level="window",
        formula=_turnover,
        history="volume in m",
        reference="Datar Naik and Radcliffe 1998",
    ),
    _past_return(
        name="lt_rev",
        sets=(DG41,),
        first=60,
        last=13,
        definition="cumulative return over months -60 to -13 counted from the predicted month (returns of m-59 to "
        "m-12), as earned, not reversed in sign",
        reference="Jegadeesh and Titman 1993",
    ),
    _past_return(
        name="r12_2",
        sets=BOTH,
        first=12,
        last=2,
        definition="cumulative return over months -12 to -2 counted from the predicted month (returns of m-11 to m-1)",
        reference="Fama and French 1996",
    ),
    _past_return(
        name="r12_7",
        sets=BOTH,
        first=12,
        last=7,
        definition="cumulative return over months -12 to -7 counted from the predicted month (returns of m-11 to m-6)",
        reference="Novy-Marx 2012",
    ),
    _past_return(
        name="r2_1",
        sets=BOTH,
        first=1,
        last=1,
        definition="return of m",
        reference="Jegadeesh and Titman 1993",
    ),
    _past_return(
        name="r36_13",
        sets=BOTH,
        first=36,
        last=13,
        definition="cumulative return over months -36 to -13 counted from the predicted month (returns of m-35 to "
        "m-12)",
        reference="De Bondt and Thaler 1985",
    ),
)
