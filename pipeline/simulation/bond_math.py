"""Closed forms for bonds with annual coupons: price and modified duration at a yield."""

import numpy as np

from pipeline.simulation.paths import Array

LOWEST_YIELD = 0.05
"""Percent; yields below it are priced at it, which keeps the closed forms away from their limit at zero."""


def price(coupon: Array, years: Array, yields: Array) -> Array:
    """Price per 100 of face.

    Parameters
    ----------
    coupon, yields : ndarray
        Percent a year.
    years : ndarray
        Time to maturity; the coupon accrues continuously between dates, so no accrued interest appears.

    Returns
    -------
    ndarray
    """
    c, y = coupon / 100, np.maximum(yields, LOWEST_YIELD) / 100
    discount = (1 + y) ** -years
    return 100 * (c / y * (1 - discount) + discount)


def modified_duration(coupon: Array, years: Array, yields: Array) -> Array:
    """Minus the derivative of the log price with respect to the yield, years.

    Parameters
    ----------
    coupon, yields : ndarray
        Percent a year.
    years : ndarray
        Time to maturity.

    Returns
    -------
    ndarray
    """
    c, y = coupon / 100, np.maximum(yields, LOWEST_YIELD) / 100
    discount = (1 + y) ** -years
    slope = c / y**2 * (1 - discount) + (1 - c / y) * years * discount / (1 + y)
    return 100 * slope / price(coupon, years, yields)
