"""Characteristics that are slopes of a bond's excess return: on VIX innovations, on the bond-market factor."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.bonds.definition import NOTEBOOK, BondMonth, Characteristic
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats

VIX_REGRESSORS = (
    "mkt_rf",
    "smb",
    "hml",
    "default_spread",
    "term_spread_change",
    "vix_innovation",
    "vix_innovation_lag",
)
BOND_REGRESSORS = ("bond_market_factor",)


def _vix_beta(bonds: BondMonth) -> Floats:
    fit = bonds.excess_return_on(VIX_REGRESSORS, bonds.settings.vix_beta)
    return fit.slopes[:, -2] + fit.slopes[:, -1]


def _bond_beta(bonds: BondMonth) -> Floats:
    fit = bonds.excess_return_on(BOND_REGRESSORS, bonds.settings.bond_beta)
    return fit.slopes[:, 0]


def _vix_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    months = settings.vix_beta.months
    return {
        "bond_returns": months,
        "french_factors": months,
        "treasury_curve": months,
        "vix_innovation": months + 1,
    }


def _bond_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_returns": settings.bond_beta.months, "bond_market_factor": settings.bond_beta.months}


EXPOSURES = (
    Characteristic(
        name="vix_beta",
        sets=(NOTEBOOK,),
        definition="sum of the slopes on the VIX innovation and on its lag, from a regression of the bond's "
        "excess return on Mkt-RF, SMB, HML, default spread, change of the term spread, VIX innovation and lagged VIX "
        "innovation over 60 months, at least 12",
        unit="decimal a month per VIX point",
        inputs=(
            "bond_returns.ret",
            "bond_returns.ret_excess",
            "french_factors.mkt_rf",
            "french_factors.smb",
            "french_factors.hml",
            "treasury_curve.par_return_10y",
            "treasury_curve.par_return_20y",
            "treasury_curve.par_return_30y",
            "treasury_curve.term_spread_change",
            "vix_innovation.vix_innovation",
        ),
        timing="m-59 to m, the lagged innovation from m-60",
        formula=_vix_beta,
        lookback=_vix_lookback,
        window="vix_beta",
    ),
    Characteristic(
        name="bond_beta",
        sets=(NOTEBOOK,),
        definition="slope of the bond's excess return on the bond-market factor over 60 months, at least 8",
        unit="none",
        inputs=("bond_returns.ret_excess", "bond_market_factor.bond_market_factor"),
        timing="m-59 to m",
        formula=_bond_beta,
        lookback=_bond_lookback,
        window="bond_beta",
    ),
)
