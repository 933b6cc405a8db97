"""Monthly panels and series as dense arrays, from which windows of calendar months are cut.

A long frame leaves a month out where an asset was absent; here every calendar month has its row and an absent value is
NaN, so that a window counts calendar months and not rows. Statistics over the windows live in
:mod:`pipeline.panel.windows` and :mod:`pipeline.panel.regression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.panel.calendar import month_number, month_number_expr

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def _rows(first: date, count: int, month: date, length: int, lag: int) -> slice:
    stop = month_number(month) - month_number(first) - lag + 1
    if stop - length < 0 or stop > count:
        raise ValueError(
            f"the window of {length} months ending {lag} months before {month:%Y-%m} leaves the {count} months "
            f"from {first:%Y-%m}: build the array from an earlier month on"
        )
    return slice(stop - length, stop)


@dataclass(frozen=True, kw_only=True)
class MonthlySeries:
    """Series common to all assets, one row per calendar month.

    Attributes
    ----------
    first : date
        Month of row 0.
    values : ndarray of shape (T, K)
        NaN where a value is missing.
    names : tuple of str
        The K column names.
    """

    first: date
    values: Floats
    names: tuple[str, ...]

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, columns: Sequence[str], first: date, last: date) -> MonthlySeries:
        """Read ``columns`` of a frame with one row a month; months without a row become NaN.

        Raises
        ------
        ValueError
            When a month occurs twice.
        """
        rows = frame.filter(pl.col("month").is_between(first, last))
        if rows["month"].is_duplicated().any():
            raise ValueError(f"months occur twice in a monthly series with the columns {list(columns)}")
        values = np.full((month_number(last) - month_number(first) + 1, len(columns)), np.nan)
        index = rows.select(month_number_expr()).to_series().to_numpy() - month_number(first)
        for position, column in enumerate(columns):
            values[index, position] = rows[column].cast(pl.Float64).to_numpy()
        return cls(first=first, values=values, names=tuple(columns))

    def window(self, names: Sequence[str], month: date, length: int, lag: int = 0) -> Floats:
        """Return the ``length`` months ending ``lag`` months before ``month``, oldest first, shape (length, K)."""
        columns = [self.names.index(name) for name in names]
        return self.values[_rows(self.first, len(self.values), month, length, lag)][:, columns]


@dataclass(frozen=True, kw_only=True)
class MonthlyPanel:
    """An unbalanced panel as one (month x asset) array a column.

    Attributes
    ----------
    first : date
        Month of row 0.
    assets : tuple of str
        Sorted identifiers, one a column of the arrays.
    arrays : dict of str to ndarray of shape (T, A)
        NaN where a value is missing or the asset was absent.
    """

    first: date
    assets: tuple[str, ...]
    arrays: dict[str, Floats]

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, assets: pl.Series, columns: Sequence[str], first: date, last: date, key: str = "isin"
    ) -> MonthlyPanel:
        """Spread a long frame over calendar months and assets.

        Parameters
        ----------
        frame : pl.DataFrame
            Columns ``month``, ``key`` and ``columns``; at most one row a month and asset.
        assets : pl.Series
            Identifiers to keep; rows of other assets are left out.
        columns : sequence of str
            Value columns, read as f64.
        first, last : date
            Months of the first and last row of the arrays; rows dated outside are left out.
        key : str
            Name of the identifier column.
        """
        names = assets.unique().sort()
        codes = pl.col(key).cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64).alias("__asset")
        rows = frame.filter(pl.col("month").is_between(first, last)).select(
            (month_number_expr() - month_number(first)).alias("__month"), codes, *columns
        )
        rows = rows.filter(pl.col("__asset").is_not_null())
        index = rows["__month"].to_numpy(), rows["__asset"].to_numpy()
        arrays = {}
        for column in columns:
            array = np.full((month_number(last) - month_number(first) + 1, len(names)), np.nan)
            array[index] = rows[column].cast(pl.Float64).to_numpy()
            arrays[column] = array
        return cls(first=first, assets=tuple(names.to_list()), arrays=arrays)

    def positions(self, assets: pl.Series) -> Integers:
        """Return the array columns of ``assets``, in their order.

        Raises
        ------
        polars.exceptions.InvalidOperationError
            When an asset is not in the panel.
        """
        return assets.cast(pl.Enum(self.assets)).to_physical().cast(pl.Int64).to_numpy()

    def window(self, column: str, month: date, positions: Integers, length: int, lag: int = 0) -> Floats:
        """Return a copy of the ``length`` months ending ``lag`` months before ``month``, shape (length, N)."""
        array = self.arrays[column]
        return array[_rows(self.first, len(array), month, length, lag)].take(positions, axis=1)

    def merged(self, other: MonthlyPanel) -> MonthlyPanel:
        """Return the panel with the arrays of another one over the same months and assets added."""
        if (self.first, self.assets) != (other.first, other.assets):
            raise ValueError("panels over different months or assets cannot be merged")
        return replace(self, arrays=self.arrays | other.arrays)

    def with_array(self, name: str, values: Floats) -> MonthlyPanel:
        """Return the panel with one more array of shape (T, A)."""
        return replace(self, arrays={**self.arrays, name: values})


@dataclass(frozen=True, kw_only=True)
class PanelMonth:
    """A panel as seen at the end of one month, by the assets of that month.

    Attributes
    ----------
    month : date
        The month m.
    positions : ndarray of shape (N,)
        Array columns of the assets of m, in their order.
    panel : MonthlyPanel
        Their columns, one row a calendar month.
    """

    month: date
    positions: Integers
    panel: MonthlyPanel

    def window(self, column: str, months: int, lag: int = 0) -> Floats:
        """Return the ``months`` months of a column ending ``lag`` months before m, shape (months, N)."""
        return self.panel.window(column, self.month, self.positions, months, lag)

    def at(self, column: str, lag: int = 0) -> Floats:
        """Return a column at the end of month m - lag, shape (N,)."""
        return self.window(column, 1, lag)[0]
