"""Characteristics that are moments of a bond's, its issuer's stock's, or its issuer's turnover's own past.

Windows end at m, its return included: what is predicted is the return of m+1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.bonds.definition import NOTEBOOK, BondMonth, Characteristic
from pipeline.bonds.fundamentals import TURNOVER_INPUTS
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats
from pipeline.panel.windows import window_quantile, window_skewness, window_std


def _turnover_volatility(bonds: BondMonth) -> Floats:
    window = bonds.settings.turnover_volatility
    return window_std(bonds.window("asset_turnover", window.months), window.min_obs)


def _stock_volatility(bonds: BondMonth) -> Floats:
    window = bonds.settings.stock_volatility
    prices, stocks = (bonds.window(name, window.months + 1) for name in ("stock_price", "stock"))
    returns = prices[1:] / prices[:-1] - 1.0
    return window_std(np.where(stocks[1:] == stocks[:-1], returns, np.nan), window.min_obs)


def _bond_volatility(bonds: BondMonth) -> Floats:
    window = bonds.settings.bond_volatility
    return window_std(bonds.window("ret", window.months), window.min_obs)


def _bond_skew(bonds: BondMonth) -> Floats:
    window = bonds.settings.bond_skew
    return window_skewness(bonds.window("ret", window.months), window.min_obs)


def _value_at_risk(bonds: BondMonth) -> Floats:
    window = bonds.settings.value_at_risk
    return window_quantile(bonds.window("ret", window.months), bonds.settings.value_at_risk_level, window.min_obs)


def _turnover_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_snapshot": settings.turnover_volatility.months}


def _stock_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_snapshot": settings.stock_volatility.months + 1}


def _volatility_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_returns": settings.bond_volatility.months}


def _skew_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_returns": settings.bond_skew.months}


def _value_at_risk_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_returns": settings.value_at_risk.months}


MOMENTS = (
    Characteristic(
        name="turnover_volatility",
        sets=(NOTEBOOK,),
        definition="standard deviation of revenue / assets over 12 months, at least 6",
        unit="ratio",
        inputs=TURNOVER_INPUTS,
        timing="m-11 to m",
        formula=_turnover_volatility,
        lookback=_turnover_lookback,
        window="turnover_volatility",
    ),
    Characteristic(
        name="stock_volatility",
        sets=(NOTEBOOK,),
        definition="standard deviation of the issuer's monthly stock returns over 60 months, at least 6; "
        "a price of 0 is missing, a return needs the prices of one stock in two adjoining months",
        unit="decimal a month",
        inputs=("bond_snapshot.stock_price", "bond_snapshot.permno"),
        timing="m-59 to m",
        formula=_stock_volatility,
        lookback=_stock_lookback,
        window="stock_volatility",
    ),
    Characteristic(
        name="bond_volatility",
        sets=(NOTEBOOK,),
        definition="standard deviation of monthly bond returns over 60 months, at least 6",
        unit="decimal a month",
        inputs=("bond_returns.ret",),
        timing="m-59 to m",
        formula=_bond_volatility,
        lookback=_volatility_lookback,
        window="bond_volatility",
    ),
    Characteristic(
        name="bond_skew",
        sets=(NOTEBOOK,),
        definition="bias-corrected skewness of monthly bond returns over 60 months, at least 6",
        unit="none",
        inputs=("bond_returns.ret",),
        timing="m-59 to m",
        formula=_bond_skew,
        lookback=_skew_lookback,
        window="bond_skew",
    ),
    Characteristic(
        name="var_5pct",
        sets=(NOTEBOOK,),
        definition="5% quantile, linearly interpolated, of monthly bond returns over 36 months, at least 12",
        unit="decimal a month",
        inputs=("bond_returns.ret",),
        timing="m-35 to m",
        formula=_value_at_risk,
        lookback=_value_at_risk_lookback,
        window="value_at_risk",
    ),
)
