"""Monthly series as this folder uses them: month-end sampling, lags, differences, logs.

Nothing here knows what a series means; formulas belong to the modules of the series, arithmetic on months to
``pipeline.panel.calendar``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.panel.calendar import month_number, month_of


def wanted_months(months: Sequence[date]) -> list[date]:
    """Check the months asked for, and give them in order and once each.

    Raises
    ------
    ValueError
        If there is none, or one is not the first day of a month.
    """
    if not months:
        raise ValueError("no month was asked for: pass at least one first day of a month")
    return [month_of(number) for number in sorted({month_number(m) for m in months})]


def last_of_month(daily: pl.DataFrame, column: str) -> pl.DataFrame:
    """Sample a daily series on the last day of each month that has a value.

    Parameters
    ----------
    daily : DataFrame
        Columns ``date``, ``month`` and ``column``; null is missing.
    column : str
        The series to sample.

    Returns
    -------
    DataFrame
        ``month, <column>``, sorted; a month without a value is absent.
    """
    seen = daily.filter(pl.col(column).is_not_null()).sort("date")
    return seen.group_by("month", maintain_order=True).agg(pl.col(column).last()).sort("month")


def lagged(values: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    """Values of ``by`` months earlier along the first axis; NaN before the start."""
    out = np.full_like(values, np.nan)
    if by < len(values):
        out[by:] = values[: len(values) - by]
    return out


def difference(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change from one month to the next along the first axis; NaN where either value is missing."""
    return values - lagged(values, 1)


def log_of_positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm; NaN for values that are missing or not above 0."""
    return np.log(np.where(values > 0, values, np.nan))


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn every NaN and infinity of the float columns into null."""
    floats = pl.selectors.float()
    return frame.with_columns(pl.when(floats.is_finite()).then(floats))
