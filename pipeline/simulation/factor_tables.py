"""Published factor files of the simulated market: Ken French's, q, liquidity, intermediary, HML devil.

Returns come from the economy's own stocks (`stock_factors`), rounded as the files are; the non-traded series are made
from macro states.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.paths import Array, ar1, stream

FRENCH_MISSING = -99.99
LIQUIDITY_MISSING = -99.0
_OTHER_SORTS = 0.004
FIRST_Q_MONTH = 13
"""The q factors' file begins when a year of asset growth exists; it has no missing code."""


def french_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Three factors by month and day, five factors, momentum; percent.

    Parameters
    ----------
    economy : Economy
        Stocks.

    Returns
    -------
    Mapping of str to DataFrame
        `french/<published stem>`: date (first day of the month, or the day) and the published columns. Momentum is
        -99.99 until twelve months of returns exist. Files begin with the second month, the first that has a formation.
    """
    clock, stocks = economy.clock, economy.stocks
    percent = {name: np.round(100 * values, 2) for name, values in stocks.monthly.items()}
    market = np.round(100 * (stocks.market - economy.states.rf), 2)
    rf = np.round(100 * economy.states.rf, 2)

    def monthly(columns: dict[str, Array]) -> pl.DataFrame:
        values = {name: np.nan_to_num(v, nan=FRENCH_MISSING)[1:] for name, v in columns.items()}
        return pl.DataFrame({"date": clock.dates[1:], **values})

    return {
        "french/F-F_Research_Data_Factors": monthly(
            {"Mkt-RF": market, "SMB": percent["smb"], "HML": percent["hml"], "RF": rf}
        ),
        "french/F-F_Research_Data_5_Factors_2x3": monthly(
            {
                "Mkt-RF": market, "SMB": percent["smb_5"], "HML": percent["hml"], "RMW": percent["rmw"],
                "CMA": percent["cma"], "RF": rf,
            }
        ),
        "french/F-F_Momentum_Factor": monthly({"Mom": percent["wml"]}),
        "french/F-F_Research_Data_Factors_daily": _daily_factors(economy),
    }  # fmt: skip


def _daily_factors(economy: Economy) -> pl.DataFrame:
    """Daily three factors: the market and the portfolios of the monthly factors, day by day."""
    clock, stocks = economy.clock, economy.stocks
    rf = economy.states.rf[clock.month_of_session] / np.diff(clock.starts)[clock.month_of_session]
    columns = {"Mkt-RF": stocks.market_daily - rf, "SMB": stocks.daily["smb"], "HML": stocks.daily["hml"]}
    values = {name: np.nan_to_num(np.round(100 * v, 2), nan=FRENCH_MISSING) for name, v in columns.items()}
    return pl.DataFrame({"date": clock.sessions, **values, "RF": np.round(100 * rf, 3)})[int(clock.starts[1]) :]


def other_factor_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Factors of other authors: q (percent), liquidity, intermediary capital and HML devil (decimals).

    Parameters
    ----------
    economy : Economy
        Stocks and macro states.

    Returns
    -------
    Mapping of str to DataFrame
        `factors/<published stem>`: date and the published columns; the traded liquidity factor is -99 in its first two
        years.
    """
    rng = stream(economy.seed, "other factors")
    clock, states, stocks = economy.clock, economy.states, economy.stocks
    market = stocks.market - states.rf
    q = {"R_F": states.rf, "R_MKT": market} | {f"R_{k.upper()}": stocks.monthly[k] for k in ("me", "ia", "roe", "eg")}
    # Its authors sort otherwise than those of CMA; a factor twice would leave models nothing to tell the two apart by.
    q["R_IA"] = q["R_IA"] + _OTHER_SORTS * stream(economy.seed, "investment factor").standard_normal(clock.n)
    vix_change = np.diff(np.log(states.vix), prepend=np.log(states.vix[0]))
    innovation = -0.03 * vix_change + 0.04 * rng.standard_normal(clock.n)
    traded = 0.004 + 0.3 * innovation + 0.03 * rng.standard_normal(clock.n)
    traded[:24] = LIQUIDITY_MISSING
    liquidity = {
        "Agg Liq.": -0.03 + 0.05 * ar1(innovation / innovation.std(), 0.4),
        "Innov Liq (eq8)": innovation,
        "Traded Liq (LIQ_V)": traded,
    }
    capital_risk = 1.3 * market + 0.03 * rng.standard_normal(clock.n)
    ratio = 0.07 * np.exp(0.3 * ar1(capital_risk / capital_risk.std(), 0.97))
    intermediary = {
        "intermediary_capital_ratio": ratio,
        "intermediary_capital_risk_factor": capital_risk,
        "intermediary_value_weighted_investment_return": capital_risk + 0.004 + 0.02 * rng.standard_normal(clock.n),
        "intermediary_leverage_ratio_squared": ratio**-2.0,
    }

    def frame(columns: dict[str, Array], scale: float, digits: int, first: int) -> pl.DataFrame:
        values = {name: np.round(scale * column, digits)[first:] for name, column in columns.items()}
        return pl.DataFrame({"date": clock.dates[first:], **values}).with_columns(pl.selectors.float().fill_nan(None))

    return {
        "factors/q5_factors_monthly": frame(q, 100, 4, FIRST_Q_MONTH),
        "factors/liq_data": frame(liquidity, 1, 8, 1),
        "factors/hml_devil": frame({"hml_devil": stocks.monthly["hml_devil"]}, 1, 6, 1),
        "factors/He_Kelly_Manela_Factors_monthly": frame(intermediary, 1, 4, 1),
    }
