"""What goes wrong between an economy and a vendor's file: missing values, sentinels, zeros, outliers, private firms.

Rates are rough readings of the index extract that the bond characteristics come from. Every nuisance is one row of a
registry; the index keeps what is published, so the true betas are functions of the spoiled values.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.paths import Array

SENTINEL = -99.99

EQUITY_COLUMNS = ("PD_DRISK", "Stock_Price", "pricetobook", "pricetoearnings", "marketcap")
"""Columns that a private issuer lacks."""

MISSING: dict[str, float] = {
    "rating": 0.002, "Coupon": 0.0005, "ParAmount": 0.001, "DUR": 0.004, "oas_BOM": 0.004, "Price_BOM": 0.002,
    "PD_DRISK": 0.10, "Stock_Price": 0.01, "pricetobook": 0.02, "pricetoearnings": 0.04, "debt": 0.01, "ebitda": 0.015,
    "ebit": 0.015, "ebitmargin": 0.02, "grossmargin": 0.03, "ebitgrowth": 0.03, "revenuegrowth": 0.015,
    "leverageratio": 0.015, "marketcap": 0.01,
}  # fmt: skip
"""Probability that a bond-month's value is not there, beyond what is never there."""

NEVER_REPORTED: dict[str, float] = {
    "PD_DRISK": 0.20, "pricetobook": 0.02, "pricetoearnings": 0.03, "grossmargin": 0.06, "ebitmargin": 0.03,
}  # fmt: skip
"""Share of issuers for which the provider never has the value."""

SHOWN_AS_SENTINEL: dict[str, float] = {
    "PD_DRISK": 0.8, "oas_BOM": 0.3, "Stock_Price": 0.3, "pricetobook": 0.2, "pricetoearnings": 0.2, "grossmargin": 0.3,
    "ebitgrowth": 0.3, "revenuegrowth": 0.3, "leverageratio": 0.3, "marketcap": 0.1, "debt": 0.1,
}  # fmt: skip
"""Probability that a value which is not there is published as -99.99 instead of left empty."""

ZEROS: dict[str, float] = {
    "pricetobook": 0.04, "ebitda": 0.004, "pricetoearnings": 0.08, "revenuegrowth": 0.015, "marketcap": 0.006,
}  # fmt: skip
"""Probability that a value is published as zero."""

OUTLIERS: dict[str, tuple[float, float, float]] = {
    "oas_BOM": (0.0006, 0.0, -1000.0), "PD_DRISK": (0.002, -1.0, 0.0), "pricetobook": (0.001, 0.002, 0.0),
    "pricetoearnings": (0.001, 0.003, 0.0), "debt": (0.0005, 50.0, 0.0), "ebitda": (0.001, -0.01, 0.0),
    "grossmargin": (0.0005, 400.0, 0.0), "ebitgrowth": (0.002, 5000.0, 0.0), "revenuegrowth": (0.001, 0.001, 0.0),
    "leverageratio": (0.001, -300.0, 0.0), "marketcap": (0.0005, 0.001, 0.0), "Stock_Price": (0.0002, 10.0, 0.0),
}  # fmt: skip
"""Probability of an outlier, the factor that makes it from the true value, and what is added."""


def spoil(
    clean: dict[str, Array], private: NDArray[np.bool_], issuer: NDArray[np.intp], rng: np.random.Generator
) -> dict[str, Array]:
    """Publish a month's values the way a vendor does.

    Parameters
    ----------
    clean : dict of str to ndarray, shape (n,)
        True values, `rating` as an ordinal.
    private : ndarray of bool, shape (n,)
        Bonds whose issuer has no listed stock.
    issuer : ndarray of int, shape (n,)
        Issuer of each bond; what is never reported is a fixed property of the issuer.
    rng : numpy.random.Generator
        Source of the accidents.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Published values; NaN where the value is missing, whether empty or a sentinel in the file.
    """
    published = {}
    for position, (name, values) in enumerate(clean.items()):
        accident, zero, outlier = rng.random((3, len(values)))
        rate, factor, shift = OUTLIERS.get(name, (0.0, 1.0, 0.0))
        value = np.where(outlier < rate, values * factor + shift, values)
        value = np.where(zero < ZEROS.get(name, 0.0), 0.0, value)
        absent = accident < MISSING.get(name, 0.0)
        absent |= _share(issuer, position) < NEVER_REPORTED.get(name, 0.0)
        absent |= private & (name in EQUITY_COLUMNS)
        published[name] = np.where(absent, np.nan, value)
    return published


def show_missing(name: str, values: Array, rng: np.random.Generator) -> Array:
    """Write some of the missing values of a column as the sentinel; the others stay NaN.

    Parameters
    ----------
    name : str
        Column of the index extract.
    values : ndarray, shape (n,)
        Published values, NaN where missing.
    rng : numpy.random.Generator
        Decides which ones.

    Returns
    -------
    ndarray, shape (n,)
    """
    shown = np.isnan(values) & (rng.random(len(values)) < SHOWN_AS_SENTINEL.get(name, 0.0))
    return np.where(shown, SENTINEL, values)


def _share(issuer: NDArray[np.intp], position: int) -> Array:
    """Return a number in [0, 1) that is fixed by issuer and column: a Weyl sequence, even over issuers."""
    return (issuer * 0.6180339887498949 + position * 0.3819660112501051) % 1.0
