"""The Treasury curve of the economy: zero yields from three states, discount factors, par yields.

Nelson and Siegel (1987) with Diebold and Li's (2006) decay; yields are kept above zero by a softplus, so that no
simulated decade has yields below those ever printed for US Treasuries.
"""

import numpy as np

from pipeline.simulation.paths import Array

DECAY_PER_YEAR = 0.0609 * 12
"""Diebold and Li's decay of 0.0609 a month, which puts the hump of the curvature loading at 30 months."""

FLOOR_SCALE = 0.3
"""Width in percentage points over which the softplus bends yields away from zero."""


def zero_yields(level: Array, slope: Array, curvature: Array, years: Array) -> Array:
    """Zero-coupon yields, percent, continuously compounded.

    Parameters
    ----------
    level, slope, curvature : ndarray
        States, percent; the slope state is short minus long. Broadcast against `years`.
    years : ndarray
        Maturities in years, above zero.

    Returns
    -------
    ndarray
        The broadcast shape.
    """
    x = DECAY_PER_YEAR * years
    hump = -np.expm1(-x) / x
    shadow = level + slope * hump + curvature * (hump - np.exp(-x))
    return FLOOR_SCALE * np.logaddexp(0.0, shadow / FLOOR_SCALE)


def par_yield(level: Array, slope: Array, curvature: Array, years: float) -> Array:
    """Yield of a Treasury priced at par, percent, bond-equivalent.

    Parameters
    ----------
    level, slope, curvature : ndarray, shape (T,)
        States, percent.
    years : float
        Maturity; up to a year the simple yield of a bill, beyond it a semi-annual coupon bond.

    Returns
    -------
    ndarray, shape (T,)
    """
    times = np.array([years]) if years < 1 else np.arange(1, round(2 * years) + 1) / 2
    zeros = zero_yields(level[:, None], slope[:, None], curvature[:, None], times[None, :])
    discount = np.exp(-zeros / 100 * times)
    if years < 1:
        return 100 * (1 / discount[:, 0] - 1) / years
    return 200 * (1 - discount[:, -1]) / discount.sum(axis=1)
