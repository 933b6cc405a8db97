"""Characteristics that bonds are sorted into portfolios by and that no other set has.

The others that portfolios are sorted by (spread, rating, value at risk, maturity) stand in ``contract``, ``moments``
and ``dg``. Belongs here: exposure to intermediaries, idiosyncratic volatility, long-term reversal. Does not: the sorts
(``portfolios``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.bonds.definition import SORTS, BondMonth, Characteristic
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.equity.price import cumulative_return
from pipeline.panel.dense import Floats
from pipeline.panel.windows import sum_months

INTERMEDIARY_REGRESSORS = ("intermediary", "mkt_rf")
IDIOSYNCRATIC_REGRESSORS = ("mkt_rf", "smb", "hml", "default_spread", "term_spread_change")


def _intermediary_beta(bonds: BondMonth) -> Floats:
    fit = bonds.excess_return_on(INTERMEDIARY_REGRESSORS, bonds.settings.intermediary_beta)
    return fit.slopes[:, 0]


def _idiosyncratic_volatility(bonds: BondMonth) -> Floats:
    window = bonds.settings.idiosyncratic_volatility
    fit = bonds.excess_return_on(IDIOSYNCRATIC_REGRESSORS, window)
    factors = bonds.series.window(IDIOSYNCRATIC_REGRESSORS, bonds.month, window.months)
    explained = sum_months(factors.T[:, :, None] * fit.slopes.T[:, None, :])
    residuals = bonds.window("ret_excess", window.months) - fit.intercepts - explained
    squares = sum_months(np.where(np.isnan(residuals), 0.0, residuals * residuals))
    freedom = fit.n_obs - len(IDIOSYNCRATIC_REGRESSORS) - 1
    known = (freedom > 0) & ~np.isnan(fit.intercepts)
    return np.where(known, np.sqrt(squares / np.where(known, freedom, 1)), np.nan)


def _long_term_reversal(bonds: BondMonth) -> Floats:
    window = bonds.settings.long_term_reversal
    # The month predicted is m+1, so that its month t-12 is our m-11.
    earned = bonds.window("ret", window.months, bonds.settings.reversal_near - 1)
    seen = ~np.isnan(earned)
    held = cumulative_return(np.where(seen, earned, 0.0))
    return np.where(seen.sum(axis=0) >= window.min_obs, -held, np.nan)


def _intermediary_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return dict.fromkeys(("bond_returns", "french_factors"), settings.intermediary_beta.months)


def _idiosyncratic_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    tables = ("bond_returns", "french_factors", "treasury_curve")
    return dict.fromkeys(tables, settings.idiosyncratic_volatility.months)


def _reversal_lookback(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    return {"bond_returns": settings.long_term_reversal.months + settings.reversal_near - 1}


SORTING = (
    Characteristic(
        name="intermediary_beta",
        sets=(SORTS,),
        definition="slope of the bond's excess return on the intermediary capital risk factor, beside Mkt-RF, over 60 "
        "months, at least 24; both, as in the two-factor model of the source, since intermediaries' capital falls with "
        "the market",
        unit="none",
        inputs=("bond_returns.ret_excess", "french_factors.intermediary", "french_factors.mkt_rf"),
        timing="m-59 to m",
        formula=_intermediary_beta,
        lookback=_intermediary_lookback,
        window="intermediary_beta",
        source="He, Kelly and Manela 2017",
    ),
    Characteristic(
        name="idiosyncratic_volatility",
        sets=(SORTS,),
        definition="sqrt(SSR / (n - 6)) of a regression of the bond's excess return on Mkt-RF, SMB, HML, default "
        "spread and change of the term spread over 60 months, at least 24",
        unit="decimal a month",
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
        ),
        timing="m-59 to m",
        formula=_idiosyncratic_volatility,
        lookback=_idiosyncratic_lookback,
        window="idiosyncratic_volatility",
        source="Chung, Wang and Wu 2019",
    ),
    Characteristic(
        name="long_term_reversal",
        sets=(SORTS,),
        definition="minus the cumulative return over t-48 to t-12, t = m+1 the month predicted; 37 calendar months, at "
        "least 24 with a return, a month without one counting as a return of zero",
        unit="decimal",
        inputs=("bond_returns.ret",),
        timing="m-47 to m-11",
        formula=_long_term_reversal,
        lookback=_reversal_lookback,
        window="long_term_reversal",
        source="Bali, Subrahmanyam and Wen 2021",
    ),
)
