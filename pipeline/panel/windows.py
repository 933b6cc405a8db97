"""Statistics of windows of calendar months, one an asset.

Every function takes an array of shape (months, assets), oldest month first, NaN where a value is missing, and returns
one value an asset, NaN where fewer than ``min_obs`` values are there. The value of an asset is a function of its own
column alone, to the last bit: months are added one after another by :func:`sum_months`, because ``numpy.sum`` picks its
order of addition by the shape of the whole array. Regressions live in :mod:`pipeline.panel.regression`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.panel.dense import Floats


@dataclass(frozen=True)
class Window:
    """Length of a window and the values it needs.

    Attributes
    ----------
    months : int
        Calendar months, the last included.
    min_obs : int
        Fewest non-missing values for a statistic.
    """

    months: int
    min_obs: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_obs <= self.months:
            raise ValueError(f"a window of {self.months} months cannot ask for {self.min_obs} observations")


def sum_months(values: Floats) -> Floats:
    """Add the rows of an array (months, ...) from the oldest to the newest, without regard to missing values."""
    total = values[0].copy()
    for row in values[1:]:
        total += row
    return total


def _moments_about_mean(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (count, mean, deviations with zero where missing) of each column."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sum_months(np.where(seen, values, 0.0)) / count
        return count, mean, np.where(seen, values - mean, 0.0)


def _constant(values: Floats) -> np.ndarray:
    seen = ~np.isnan(values)
    lowest = np.where(seen, values, np.inf).min(axis=0)
    return lowest == np.where(seen, values, -np.inf).max(axis=0)


def window_sum(values: Floats, min_obs: int) -> Floats:
    """Sum of the non-missing values of each column."""
    seen = ~np.isnan(values)
    return np.where(seen.sum(axis=0) >= min_obs, sum_months(np.where(seen, values, 0.0)), np.nan)


def window_std(values: Floats, min_obs: int) -> Floats:
    """Sample standard deviation (divisor n - 1) of each column; exactly 0 where all values are equal."""
    count, _, deviations = _moments_about_mean(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.sqrt(sum_months(deviations * deviations) / (count - 1.0))
    result[_constant(values)] = 0.0
    return np.where(count >= max(min_obs, 2), result, np.nan)


def window_skewness(values: Floats, min_obs: int) -> Floats:
    """Bias-corrected skewness ``n sqrt(n-1)/(n-2) * m3 / m2**1.5`` of each column, m sums of powers of deviations.

    Missing where all values are equal, or with fewer than three.
    """
    count, _, deviations = _moments_about_mean(values)
    squares = deviations * deviations
    with np.errstate(invalid="ignore", divide="ignore"):
        second, third = sum_months(squares), sum_months(squares * deviations)
        result = count * np.sqrt(count - 1.0) / (count - 2.0) * third / (second * np.sqrt(second))
    result[_constant(values) | (count < max(min_obs, 3))] = np.nan
    return result


def window_quantile(values: Floats, level: float, min_obs: int) -> Floats:
    """Quantile of each column with linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
    count = (~np.isnan(values)).sum(axis=0)
    ordered = np.sort(np.ascontiguousarray(values.T), axis=1)  # NaN sorts behind every number
    place = (np.maximum(count, 1) - 1) * level
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count, 1) - 1)
    assets = np.arange(len(ordered))
    low, high = ordered[assets, below], ordered[assets, above]
    return np.where(count >= max(min_obs, 1), low + (high - low) * (place - below), np.nan)
