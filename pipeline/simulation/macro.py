"""States of the macroeconomy and the true bond factors, month by month.

The shocks of the bond factors move the Treasury curve, credit conditions, volatility and the stock market, which is
what gives macro series their information about bond returns. Vendor tables made of the states are built elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.clock import Clock
from pipeline.simulation.curve import par_yield, zero_yields
from pipeline.simulation.paths import Array, ar1, stream

FACTORS = ("factor_1", "factor_2", "factor_3")
FACTOR_MEAN = np.array([0.0012, 0.0012, 0.0010])
FACTOR_SD = np.array([0.0062, 0.0057, 0.0066])
"""Decimals a month. Variances are comparable, none equal, so that principal directions are well apart."""

FACTOR_PREMIA = np.array([[0.0, 0.0, -0.0011], [0.0010, 0.0, 0.0], [0.0, 0.0009, 0.0]])
"""Change of each factor's conditional mean (rows) by state of the month before: credit, log VIX, slope (columns)."""


@dataclass(frozen=True)
class MacroStates:
    """States by month, each of shape (T,) unless said.

    Parameters
    ----------
    factors, factor_means : ndarray, shape (T, 3)
        True bond factors of the month and their conditional means at the end of the month before, decimals.
    factor_shocks : ndarray, shape (T, 3)
        Standardised shocks of the factors.
    level, slope, curvature : ndarray
        Treasury curve states, percent.
    credit : ndarray
        Credit conditions, unit variance, high when spreads are wide.
    vix : ndarray
        Month-end VIX, percent a year.
    growth, inflation : ndarray
        Real activity and inflation, unit variance.
    market_shock : ndarray
        Standardised shock of the stock market.
    rf : ndarray
        One-month bill return of the month, decimals, with the two decimals in percent that are published.
    """

    factors: Array
    factor_means: Array
    factor_shocks: Array
    level: Array
    slope: Array
    curvature: Array
    credit: Array
    vix: Array
    growth: Array
    inflation: Array
    market_shock: Array
    rf: Array

    def zeros(self, years: Array) -> Array:
        """Zero yields, percent, shape (T, len(years))."""
        return zero_yields(self.level[:, None], self.slope[:, None], self.curvature[:, None], years[None, :])

    def par(self, years: float) -> Array:
        """Par yields of one maturity, percent, shape (T,)."""
        return par_yield(self.level, self.slope, self.curvature, years)


def simulate_macro(clock: Clock, seed: int) -> MacroStates:
    """Draw the states of the economy.

    The factors' shocks are standardised over the months in which bonds earn returns (mean zero, identity
    covariance), so that the signal in bond returns is the same for every seed.

    Parameters
    ----------
    clock : Clock
        Months of the market.
    seed : int
        Seed of the market.

    Returns
    -------
    MacroStates
    """
    rng = stream(seed, "macro")
    shocks = _standardise(rng.standard_normal((clock.n, 3)), clock.first_snapshot + 1)
    own = rng.standard_normal((clock.n, 8))
    market = 0.5 * shocks[:, 2] + 0.35 * shocks[:, 1] + 0.79 * own[:, 0]
    d_level = -0.75 * shocks[:, 0] + 0.66 * own[:, 1]
    d_credit = -0.6 * shocks[:, 1] - 0.3 * market + 0.74 * own[:, 2]
    d_vix = -0.65 * market - 0.15 * shocks[:, 1] + 0.74 * own[:, 3] + 3.0 * (rng.random(clock.n) < 0.015)
    level = 3.8 + 1.0 * ar1(d_level, 0.975)
    slope = -1.4 + 1.0 * ar1(0.4 * d_credit + 0.9 * own[:, 4], 0.97)
    curvature = -0.6 + 1.0 * ar1(own[:, 5], 0.95)
    credit, log_vix = ar1(d_credit, 0.95), ar1(d_vix, 0.84)
    states = np.column_stack([credit, log_vix, (slope + 1.4)])
    means = FACTOR_MEAN + np.vstack([np.zeros(3), states[:-1] @ FACTOR_PREMIA.T])
    bill = zero_yields(level, slope, curvature, np.array(1 / 12))
    rf = np.round(100 * np.expm1(np.concatenate([bill[:1], bill[:-1]]) / 1200), 2) / 100
    return MacroStates(
        factors=means + FACTOR_SD * shocks,
        factor_means=means,
        factor_shocks=shocks,
        level=level,
        slope=slope,
        curvature=curvature,
        credit=credit,
        vix=np.round(18.5 * np.exp(0.3 * log_vix), 2),
        growth=ar1(0.2 * market + 0.98 * own[:, 6], 0.8),
        inflation=ar1(0.3 * d_level + 0.95 * own[:, 7], 0.85),
        market_shock=market,
        rf=rf,
    )


def _standardise(shocks: Array, first: int) -> Array:
    """Give the rows from `first` on mean zero and identity covariance; earlier rows take the same map."""
    sample = shocks[first:]
    centred = sample - sample.mean(axis=0)
    whiten = np.linalg.inv(np.linalg.cholesky(centred.T @ centred / len(sample)))
    return (shocks - sample.mean(axis=0)) @ whiten.T
