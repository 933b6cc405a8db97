"""Anomaly returns of the simulated market, in the wide layout of Open Source Asset Pricing: test portfolios.

Each is a mixture of the economy's own long-short factors and noise, so that factor models have something to explain.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from pipeline.simulation.economy import Economy
from pipeline.simulation.factor_tables import FIRST_Q_MONTH
from pipeline.simulation.paths import stream

NAMES = ("AM", "Accruals", "AssetGrowth", "BM", "Beta", "Cash", "GP", "Mom12m", "NetIssue", "ROE", "STreversal", "Size")
LATE = ("Beta", "Cash", "NetIssue")
"""Signals whose data begin two years after the others, as some do."""

_LEGS = ("smb", "hml", "rmw", "cma", "wml", "me", "ia", "roe", "eg")
_NOISE = 0.015
_LATER = 24


def anomaly_tables(economy: Economy) -> Mapping[str, pl.DataFrame]:
    """Long-short returns of a dozen signals; percent.

    Parameters
    ----------
    economy : Economy
        Stocks, whose factor portfolios are mixed.

    Returns
    -------
    Mapping of str to DataFrame
        ``anomalies/PredictorLSretWide``: date (first day of the month) and a column a signal; null before a signal
        begins.
    """
    rng = stream(economy.seed, "anomalies")
    clock = economy.clock
    legs = np.column_stack([np.nan_to_num(economy.stocks.monthly[name]) for name in _LEGS])
    mixtures = rng.standard_normal((len(_LEGS), len(NAMES))) / np.sqrt(len(_LEGS))
    returns = np.round(100 * (legs @ mixtures + _NOISE * rng.standard_normal((clock.n, len(NAMES)))), 4)
    returns[: FIRST_Q_MONTH + _LATER, [NAMES.index(name) for name in LATE]] = np.nan
    columns = {name: returns[FIRST_Q_MONTH:, k] for k, name in enumerate(NAMES)}
    frame = pl.DataFrame({"date": clock.dates[FIRST_Q_MONTH:], **columns})
    return {"anomalies/PredictorLSretWide": frame.with_columns(pl.selectors.float().fill_nan(None))}
