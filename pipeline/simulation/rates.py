"""Interest rates as published: daily constant-maturity yields and the monthly averages made of them.

The curve itself is a matter of the macro states; rounding, floors and credit spreads of the published series are here.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.clock import Clock
from pipeline.simulation.macro import MacroStates
from pipeline.simulation.paths import Array, bridge, month_means, stream

TENORS = {
    "DGS1MO": 1 / 12, "DGS3MO": 0.25, "DGS6MO": 0.5, "DGS1": 1.0, "DGS2": 2.0, "DGS3": 3.0, "DGS5": 5.0, "DGS7": 7.0,
    "DGS10": 10.0, "DGS20": 20.0, "DGS30": 30.0,
}  # fmt: skip
"""Constant-maturity series and their maturities in years."""

DAILY_SD = 0.05
"""Deviation of a daily change of a yield, percentage points."""


@dataclass(frozen=True)
class Rates:
    """Published yields, percent with two decimals.

    Parameters
    ----------
    daily : dict of str to ndarray, shape (D,)
        Constant-maturity Treasury yields; month ends lie on the curve of the month.
    monthly : dict of str to ndarray, shape (T,)
        Monthly averages: GS1, GS5, GS10, TB3MS, TB6MS, FEDFUNDS, AAA, BAA, and T10YFFM, the ten-year yield less the
        federal funds rate.
    """

    daily: dict[str, Array]
    monthly: dict[str, Array]


def published_rates(clock: Clock, states: MacroStates, seed: int) -> Rates:
    """Make the published yields of an economy.

    Parameters
    ----------
    clock : Clock
        Months and sessions.
    states : MacroStates
        Curve and credit conditions.
    seed : int
        Seed of the market.

    Returns
    -------
    Rates
    """
    rng = stream(seed, "rates")
    sd = np.full(clock.n, DAILY_SD)
    paths = {name: bridge(states.par(years), clock, sd, rng) for name, years in TENORS.items()}
    daily: dict[str, Array] = {name: np.round(np.maximum(path, 0.01), 2) for name, path in paths.items()}
    means = {name: month_means(path, clock) for name, path in daily.items()}
    ten = means["DGS10"]
    monthly: dict[str, Array] = {
        "GS1": means["DGS1"],
        "GS5": means["DGS5"],
        "GS10": ten,
        "TB3MS": np.maximum(means["DGS3MO"] - 0.05, 0.01),
        "TB6MS": np.maximum(means["DGS6MO"] - 0.07, 0.01),
        "FEDFUNDS": np.maximum(means["DGS1MO"] + 0.1, 0.05),
        "AAA": ten + 1.0 * np.exp(0.25 * states.credit + 0.05 * rng.standard_normal(clock.n)),
        "BAA": ten + 2.0 * np.exp(0.30 * states.credit + 0.05 * rng.standard_normal(clock.n)),
    }
    monthly = {name: np.round(values, 2) for name, values in monthly.items()}
    monthly["T10YFFM"] = np.round(monthly["GS10"] - monthly["FEDFUNDS"], 2)
    return Rates(daily, monthly)
