"""Credit spreads: how much more a bond yields than a Treasury with the same cash flows.

Belongs here: valuation off the zero curve. Does not: the curve itself (``pipeline.macro.treasury``), valuation at the
bond's own yield (``bond_math``).
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from scipy.special import expm1

from pipeline.bonds.bond_math import yield_of_dirty_price, yield_to_maturity
from pipeline.bonds.coupon_calendar import FACE, BondTerms, CashFlows, cash_flows
from pipeline.bonds.day_count import Dates, Floats, Integers

BASIS_POINTS = 100.0
"""Basis points in a percentage point."""


def credit_spread(terms: BondTerms, dates: Dates, clean: Floats, curve: pl.DataFrame) -> Floats:
    """Yield of a bond over the yield of a Treasury with the same cash flows.

    Parameters
    ----------
    terms : BondTerms
        N bonds.
    dates : (N,) datetime64[D]
    clean : (N,) float
        Price per 100 of face without accrued interest.
    curve : DataFrame
        ``month`` and zero yields ``zero_1`` ... ``zero_K`` of 1 ... K years (percent, continuously compounded), one
        row a month, as ``treasury_curve`` has them. A bond is set against the row of its date's month. Null is
        missing.

    Returns
    -------
    (N,) float
        Basis points, in the bond's own compounding. NaN where the bond has no yield
        (:func:`~pipeline.bonds.bond_math.yield_to_maturity`) or its month no zero yield at all.

    Raises
    ------
    ValueError
        When the curve has no column of zero yields, leaves out a year between 1 and K, or has a month twice.

    Notes
    -----
    ``y - y*``: y solves ``P(y) = clean + accrued``, y* solves ``P(y*) = sum_k C_k exp(-z(t_k) t_k)``, both over the
    same flows (Gilchrist and Zakrajsek 2012; Nozawa 2017). t_k are the times of the bond's yield, in years, so that a
    bond priced off a flat curve has a spread of exactly nothing. z is linear between the years that the curve has and
    flat beyond both ends: a curve to eleven years discounts a thirty-year bond's later flows at its eleven-year yield.
    """
    treasury = yield_of_dirty_price(terms, dates, curve_price(terms, dates, curve))
    return BASIS_POINTS * (yield_to_maturity(terms, dates, clean) - treasury)


def curve_price(terms: BondTerms, dates: Dates, curve: pl.DataFrame) -> Floats:
    """Value of the bonds' cash flows off the zero curve of the date's month.

    Parameters
    ----------
    terms, dates, curve
        As for :func:`credit_spread`.

    Returns
    -------
    (N,) float
        Per 100 of face, accrued interest included; NaN where the terms are not complete, the date is missing, the bond
        has matured, or the month has no zero yield.

    Raises
    ------
    ValueError
        As :func:`credit_spread`.
    """
    zeros = _zero_yields(curve)
    months = curve.get_column("month").to_numpy().astype("datetime64[M]")
    order = np.argsort(months, kind="stable")
    at = np.searchsorted(months[order], dates.astype("datetime64[M]"))
    # One more row, without yields, for the months that the curve does not have.
    zeros = np.vstack([zeros[order], np.full(zeros.shape[1], np.nan)])
    found = np.append(months[order], np.datetime64("NaT", "M"))[at] == dates.astype("datetime64[M]")
    rows = np.where(found, at, len(zeros) - 1)
    price = np.full(len(terms), np.nan)
    for flows in cash_flows(terms, dates):
        price[flows.rows] = _discounted(flows, zeros, rows[flows.rows])
    return price


def _zero_yields(curve: pl.DataFrame) -> Floats:
    """Zero yields as decimals, (T, K), gaps filled by the line between their neighbours or the nearest end."""
    years = sorted(int(found[1]) for name in curve.columns if (found := re.fullmatch(r"zero_(\d+)", name)))
    if not years or years != list(range(1, len(years) + 1)):
        raise ValueError(f"the curve has zero yields of the years {years}: give it zero_1, zero_2, ... without a gap")
    twice = curve.filter(pl.col("month").is_duplicated())
    if twice.height:
        raise ValueError(
            f"column month of the curve has {twice.height} rows of months that occur twice, the first "
            f"{twice['month'][0]}: one row a month"
        )
    zeros = curve.select(pl.col(f"zero_{n}").cast(pl.Float64).fill_null(np.nan) for n in years).to_numpy() / 100.0
    grid = np.arange(len(years), dtype=np.float64)
    for row in zeros:
        known = np.isfinite(row)
        if known.any():
            row[:] = np.interp(grid, grid[known], row[known])
    return zeros


def _discounted(flows: CashFlows, zeros: Floats, rows: Integers) -> Floats:
    """Present value of the flows of a table, each bond by its row of the curve."""
    last = zeros.shape[1] - 1
    value = np.zeros(len(rows))
    for number, (coupon, width) in enumerate(zip(flows.coupons, flows.widths, strict=True)):
        away = flows.to_next[:width] + (flows.count[:width] - 1 - number)
        years = away / flows.frequency[:width]
        place = np.clip(years - 1.0, 0.0, last)
        below = np.minimum(place.astype(np.int64), max(last - 1, 0))
        low = zeros[rows[:width], below]
        high = zeros[rows[:width], np.minimum(below + 1, last)]
        zero = low + (place - below) * (high - low)
        amount = coupon[:width] + FACE if number == 0 else coupon[:width]
        value[:width] += amount * (1.0 + expm1(-zero * years))
    return value
