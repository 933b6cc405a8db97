"""Bond portfolios: value-weighted returns of bonds sorted on what was known of them over a year.

Belongs here: the registry of sorts, the breakpoints, the returns. Does not: what bonds are sorted by (the registry of
bond characteristics), what is computed of a portfolio's own past (``portfolio_characteristics``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipeline.bonds.returns import PERCENT
from pipeline.panel.calendar import shift
from pipeline.panel.cross_section import finite
from pipeline.panel.dense import Floats, Integers, MonthlyPanel
from pipeline.panel.windows import Window, window_sum

QUINTILES, DECILES = 5, 10

SCHEMA = {
    "month": pl.Date(),
    "portfolio": pl.String(),
    "sort": pl.String(),
    "bin": pl.Int32(),
    "ret": pl.Float64(),
    "ret_excess": pl.Float64(),
    "n": pl.Int64(),
    "value": pl.Float64(),
}


@dataclass(frozen=True, kw_only=True)
class BondPortfolioSettings:
    """How bonds are sorted for the return of a month.

    Attributes
    ----------
    window : Window
        Months over which a characteristic is averaged, and the fewest in which the bond must have it.
    gap : int
        Months between the last of them and the month of the return.
    min_bonds : int
        A sort into k portfolios needs k times as many bonds that it can rank; with fewer its portfolios are empty.
    """

    window: Window = field(default=Window(12, 6))
    gap: int = 1
    min_bonds: int = 1

    def __post_init__(self) -> None:
        if self.gap < 0:
            raise ValueError(f"a gap of {self.gap} months would sort on what is not known when the month begins")
        if self.min_bonds < 1:
            raise ValueError(f"min_bonds must be at least 1, not {self.min_bonds}")


@dataclass(frozen=True, kw_only=True)
class Sort:
    """One characteristic that bonds are sorted by.

    Attributes
    ----------
    name : str
        First part of the names of its portfolios.
    characteristic : str
        Raw column of ``bond_characteristics``.
    definition : str
        What the last portfolio holds.
    source : str
        Who sorts bonds so.
    bins : int
        Number of portfolios.
    sign : float
        -1 where the riskiest bonds, which go to the last portfolio, have the lowest values.
    """

    name: str
    characteristic: str
    definition: str
    source: str
    bins: int = QUINTILES
    sign: float = 1.0

    @property
    def portfolios(self) -> tuple[str, ...]:
        """Names of the portfolios, from the lowest to the highest."""
        return tuple(f"{self.name}_{number}" for number in range(1, self.bins + 1))


BOND_SORTS: tuple[Sort, ...] = (
    Sort(
        name="spread",
        characteristic="spread",
        bins=DECILES,
        definition="the widest spreads",
        source="Nozawa 2017",
    ),
    Sort(
        name="hkm",
        characteristic="intermediary_beta",
        definition="the highest exposure to the capital of intermediaries",
        source="He, Kelly and Manela 2017",
    ),
    Sort(
        name="rating",
        characteristic="rating",
        definition="the worst ratings",
        source="Bai, Bali and Wen 2019",
    ),
    Sort(
        name="downside",
        characteristic="var_5pct",
        sign=-1.0,
        definition="the largest losses at the 5% quantile",
        source="Bai, Bali and Wen 2019",
    ),
    Sort(
        name="maturity",
        characteristic="tau",
        definition="the longest time to maturity",
        source="Gebhardt, Hvidkjaer and Swaminathan 2005",
    ),
    Sort(
        name="idiovol",
        characteristic="idiosyncratic_volatility",
        definition="the most volatile residuals",
        source="Chung, Wang and Wu 2019",
    ),
    Sort(
        name="reversal",
        characteristic="long_term_reversal",
        definition="those that lost most over three years to a year ago",
        source="Bali, Subrahmanyam and Wen 2021",
    ),
)

PORTFOLIOS: tuple[str, ...] = tuple(name for sort in BOND_SORTS for name in sort.portfolios)
"""Names of all portfolios, in the order in which a month has them."""

SORTED_BY: tuple[str, ...] = tuple(dict.fromkeys(sort.characteristic for sort in BOND_SORTS))
"""Columns of ``bond_characteristics`` that bonds are sorted by."""

VALUED_BY: tuple[str, str] = ("bond_price", "face_value")
"""Columns of ``bond_characteristics`` whose product is what a bond is worth: per 100 of face, and thousands of face."""


def lookback(settings: BondPortfolioSettings | None = None) -> dict[str, int]:
    """Return how many months of each input a month needs, itself included.

    Of ``bond_characteristics`` the month itself does not enter, of the ``gap`` months before it the last one's values
    alone.
    """
    settings = settings or BondPortfolioSettings()
    return {"bond_characteristics": settings.window.months + settings.gap + 1, "bond_returns": 1}


def data_dictionary() -> pl.DataFrame:
    """Describe every sort in one row: portfolios, characteristic, what the last portfolio holds, source."""
    return pl.DataFrame(
        [
            {
                "portfolios": f"{sort.portfolios[0]} to {sort.portfolios[-1]}",
                "characteristic": f"bond_characteristics.{sort.characteristic}",
                "last portfolio": sort.definition,
                "source": sort.source,
            }
            for sort in BOND_SORTS
        ]
    )


def quantile_bins(values: Floats, bins: int, min_bonds: int = 1) -> Integers:
    """Return the number of the quantile that each value lies in.

    Parameters
    ----------
    values : ndarray of shape (N,)
        NaN where missing.
    bins : int
        Number of quantiles k.
    min_bonds : int
        Fewer than ``k * min_bonds`` values are not divided.

    Returns
    -------
    ndarray of shape (N,)
        1 to k; 0 for a missing value, and for all where there are too few. The breakpoints are the linearly
        interpolated quantiles 1/k, 2/k, ... of the values, and a bin holds what is above its lower breakpoint and not
        above its upper one. Equal values are never parted, so that with many ties a bin can be empty.

    Notes
    -----
    Nothing lies between the order statistics below and above a breakpoint, so that a value is above the breakpoint
    exactly when it is above the lower of the two. That one is found in integers: no rounding decides.
    """
    known = np.isfinite(values)
    ordered = np.sort(values[known])
    numbers = np.zeros(len(values), dtype=np.int64)
    if len(ordered) >= bins * min_bonds:
        breaks = ordered[(len(ordered) - 1) * np.arange(1, bins) // bins]
        numbers[known] = 1 + np.searchsorted(breaks, values[known], side="left")
    return numbers


def _means(values: Floats, min_obs: int) -> Floats:
    """Mean over the months in which each bond has a value."""
    count = (~np.isnan(values)).sum(axis=0)
    return window_sum(values, min_obs) / np.maximum(count, 1)


def _valued(characteristics: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Bonds with a value at the end of the month before, under the month, ordered by isin within it."""
    price, face = (pl.col(name) for name in VALUED_BY)
    return (
        characteristics.select(pl.col("month").dt.offset_by("1mo"), "isin", value=price * PERCENT * face)
        .filter(pl.col("month").is_in(months), pl.col("value") > 0.0)
        .sort("month", "isin")
    )


def _sorted_returns(month: date, sort: Sort, bonds: pl.DataFrame, ranked: Integers) -> pl.DataFrame:
    """Return of every portfolio of one sort, over the bonds in it that have one."""
    earned = bonds["ret"].is_not_null()
    bonds, numbers = bonds.filter(earned), ranked[earned.to_numpy()]
    value = bonds["value"].to_numpy()

    # bincount adds one bond after another, so that a sum does not depend on what else is built.
    def total(weights: Floats) -> Floats:
        return np.bincount(numbers, weights=weights, minlength=sort.bins + 1)[1:].astype(np.float64)

    count = np.bincount(numbers, minlength=sort.bins + 1)[1:]
    invested = np.where(count > 0, total(value), np.nan)
    return pl.DataFrame(
        {
            "month": [month] * sort.bins,
            "portfolio": sort.portfolios,
            "sort": [sort.name] * sort.bins,
            "bin": range(1, sort.bins + 1),
            "ret": total(value * bonds["ret"].to_numpy()) / invested,
            "ret_excess": total(value * bonds["ret_excess"].cast(pl.Float64).to_numpy()) / invested,
            "n": count,
            "value": invested,
        },
        schema=SCHEMA,
    )


def bond_portfolios(
    characteristics: pl.DataFrame,
    returns: pl.DataFrame,
    months: Sequence[date],
    settings: BondPortfolioSettings | None = None,
) -> pl.DataFrame:
    """Return what the portfolios of :data:`BOND_SORTS` earned in each month.

    Parameters
    ----------
    characteristics : pl.DataFrame
        ``bond_characteristics``: month, isin and the raw columns of :data:`SORTED_BY`, of m-13 to m-2 by default, and
        of :data:`VALUED_BY`, of m-1.
    returns : pl.DataFrame
        ``bond_returns``: month, isin, ret, ret_excess (decimals), of m.
    months : sequence of date
        Months of the returns.
    settings : BondPortfolioSettings, optional
        Months that are averaged, gap, fewest bonds.

    Returns
    -------
    pl.DataFrame
        Columns month, portfolio, sort, bin (1 the lowest), ret and ret_excess (decimals), n (bonds with a return),
        value (what these were worth at the end of m-1, thousands). Every portfolio has a row in every month, in the
        order of :data:`PORTFOLIOS`; one without bonds has n 0 and nulls. ``ret_excess`` is null where that of one of
        its bonds is.

    Notes
    -----
    A bond is sorted for the return of m when it has a value at the end of m-1 and the characteristic in at least 6 of
    the months m-13 to m-2, on whose mean it is sorted. Breakpoints are those of :func:`quantile_bins` over these bonds,
    whether or not a return follows: which of them trade in m is not known when the portfolios are formed. Returns are
    those of the bonds that have one, weighted by value. The gap of a month keeps the error of the price at the end of
    m-1, which is in the return of m, out of the sort.

    References
    ----------
    Elkamhi, Jo and Nozawa (2020).
    """
    settings = settings or BondPortfolioSettings()
    wanted = sorted(set(months))
    if not wanted:
        return pl.DataFrame(schema=SCHEMA)
    valued = _valued(characteristics, wanted).join(
        returns.select("month", "isin", "ret", "ret_excess"), on=["month", "isin"], how="left", maintain_order="left"
    )
    window, lag = settings.window, settings.gap + 1
    first, last = shift(wanted[0], 1 - lag - window.months), shift(wanted[-1], -lag)
    panel = MonthlyPanel.from_frame(characteristics, valued["isin"], SORTED_BY, first, last)
    by_month = valued.partition_by("month", as_dict=True, maintain_order=True)
    parts = []
    for month in wanted:
        bonds = by_month.get((month,), valued.clear())
        positions = panel.positions(bonds["isin"])
        for sort in BOND_SORTS:
            values = panel.window(sort.characteristic, month, positions, window.months, lag)
            numbers = quantile_bins(sort.sign * _means(values, window.min_obs), sort.bins, settings.min_bonds)
            parts.append(_sorted_returns(month, sort, bonds, numbers))
    return pl.concat(parts).with_columns(finite(name) for name in ("ret", "ret_excess", "value"))
