"""Entries of the characteristics of the sets ``dg41`` and ``kps36`` that are computed from daily rows.

Windows count trading days of the market and end with the last one of m, but for the estimation of ``suv``.
Belongs here: their place in the registry. Does not: their computation (:mod:`pipeline.equity.daily`), whose windows
are settings; the definitions give the defaults.
"""

from __future__ import annotations

from pipeline.equity.definition import DG41, KPS36, FirmCharacteristic

BOTH = (DG41, KPS36)

MARKET = ("french_factors_daily.mkt_rf", "french_factors_daily.rf")
THREE_FACTORS = (*MARKET, "french_factors_daily.smb", "french_factors_daily.hml")

DAILY: tuple[FirmCharacteristic, ...] = (
    FirmCharacteristic(
        name="rel2high",
        sets=BOTH,
        definition="last daily |prc| of m / highest daily |prc| of the 252 trading days to the end of m, both "
        "split-adjusted",
        unit="ratio",
        timing="daily",
        inputs=("crsp_daily.prc", "crsp_daily.cfacpr"),
        level="daily",
        history="a daily price in m",
        reference="George and Hwang 2004",
    ),
    FirmCharacteristic(
        name="spread",
        sets=(KPS36,),
        definition="mean over the days of m of (ask - bid) / midpoint at the close; days need bid > 0, ask > bid and "
        "a spread below half the midpoint",
        unit="ratio",
        timing="daily",
        inputs=("crsp_daily.bid", "crsp_daily.ask"),
        level="daily",
        history="a valid quote in m",
        reference="Chung and Zhang 2014",
    ),
    FirmCharacteristic(
        name="variance40",
        sets=(DG41,),
        definition="variance of daily returns over the 40 trading days to the end of m",
        unit="decimal squared a day",
        timing="daily",
        inputs=("crsp_daily.ret",),
        level="daily",
        history="20 returns in 40 trading days",
        reference="Ang et al. 2006",
    ),
    FirmCharacteristic(
        name="suv",
        sets=(KPS36,),
        definition="standardised unexplained volume: daily volume regressed on the absolute positive and negative "
        "returns of the 60 trading days before m; mean over the days of m of residual / standard deviation (n - 3) of "
        "the regression's",
        unit="standard deviations",
        timing="daily",
        inputs=("crsp_daily.volume", "crsp_daily.ret"),
        level="daily",
        history="40 of the 60 trading days before m",
        reference="Garfinkel 2009",
    ),
    FirmCharacteristic(
        name="capm_b_mkt",
        sets=BOTH,
        definition="slope of the daily excess return on the market's over 252 trading days",
        unit="ratio",
        timing="daily",
        inputs=("crsp_daily.ret", *MARKET),
        level="daily",
        history="126 returns in 252 trading days",
        reference="Fama and MacBeth 1973",
    ),
    FirmCharacteristic(
        name="ff3_ivol",
        sets=BOTH,
        definition="sqrt(SSR / (n - 4)) of daily excess returns regressed on the three Fama-French factors over 252 "
        "trading days",
        unit="decimal a day",
        timing="daily",
        inputs=("crsp_daily.ret", *THREE_FACTORS),
        level="daily",
        history="126 returns in 252 trading days",
        reference="Ang et al. 2006",
    ),
)
