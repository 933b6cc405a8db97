"""Characteristics that compare the end of m-2 with the end of m-6, in calendar months."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.bonds.definition import NOTEBOOK, BondMonth, Characteristic
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats
from pipeline.panel.windows import window_sum

INDUSTRY_ADJUSTED = "industry_adjusted"


def _near_and_far(bonds: BondMonth, column: str) -> tuple[Floats, Floats]:
    return bonds.at(column, bonds.settings.momentum_near), bonds.at(column, bonds.settings.momentum_far)


def _percent_change(bonds: BondMonth, column: str) -> Floats:
    near, far = _near_and_far(bonds, column)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * (near - far) / far


def _equity_momentum(bonds: BondMonth) -> Floats:
    near, far = _near_and_far(bonds, "stock")
    return np.where(near == far, _percent_change(bonds, "stock_price"), np.nan)


def _bond_momentum(bonds: BondMonth) -> Floats:
    return _percent_change(bonds, "price")


def _bond_momentum_x_rating(bonds: BondMonth) -> Floats:
    return _bond_momentum(bonds) * bonds.at("rating")


def _log_spread_momentum(bonds: BondMonth) -> Floats:
    near, far = _near_and_far(bonds, "spread")
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * (np.log(near) - np.log(far))


def _industry_adjusted_momentum(bonds: BondMonth) -> Floats:
    near, far = bonds.settings.momentum_near, bonds.settings.momentum_far
    months = far - near + 1
    return window_sum(bonds.window(INDUSTRY_ADJUSTED, months, near), months)


def _price_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_snapshot": settings.momentum_far + 1}


def _industry_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    months = settings.momentum_far + 1 + settings.industry.months
    return {"bond_returns": months, "french_factors": months}


MOMENTUM = (
    Characteristic(
        name="mom_6m_equity",
        sets=(NOTEBOOK,),
        definition="100 * (S[-2] - S[-6]) / S[-6], S the split-adjusted price of one stock; a price of 0 is missing",
        unit="percent",
        inputs=("bond_snapshot.stock_price", "bond_snapshot.permno"),
        timing="end of m-6 and of m-2",
        formula=_equity_momentum,
        lookback=_price_lookback,
    ),
    Characteristic(
        name="mom_6m_bond",
        sets=(NOTEBOOK,),
        definition="100 * (P[-2] - P[-6]) / P[-6], P the clean price",
        unit="percent",
        inputs=("bond_snapshot.price",),
        timing="end of m-6 and of m-2",
        formula=_bond_momentum,
        lookback=_price_lookback,
    ),
    Characteristic(
        name="mom_6m_bond_x_rating",
        sets=(NOTEBOOK,),
        definition="mom_6m_bond * rating",
        unit="percent times notches",
        inputs=("bond_snapshot.price", "bond_snapshot.rating"),
        timing="prices at the end of m-6 and of m-2, rating at the end of m",
        formula=_bond_momentum_x_rating,
        lookback=_price_lookback,
    ),
    Characteristic(
        name="mom_6m_log_spread",
        sets=(NOTEBOOK,),
        definition="100 * (log s[-2] - log s[-6]), s the spread; a spread of 0 or below is missing",
        unit="log points",
        inputs=("bond_snapshot.spread",),
        timing="end of m-6 and of m-2",
        formula=_log_spread_momentum,
        lookback=_price_lookback,
    ),
    Characteristic(
        name="mom_6m_industry_adj",
        sets=(NOTEBOOK,),
        definition="sum of the industry-adjusted returns of the months -6 to -2, all of which must be there; an "
        "industry-adjusted return is the return less slope * value-weighted return of the sector, the slope from a "
        "regression on market and sector over the 60 months before, at least 24",
        unit="decimal",
        inputs=("bond_returns.ret", "bond_returns.sector", "bond_returns.value_start", "french_factors.mkt"),
        timing="returns of m-6 to m-2, each with a slope from the 60 months before it",
        formula=_industry_adjusted_momentum,
        lookback=_industry_lookback,
        window="industry",
    ),
)
