"""Daily rows as dense arrays of trading days by stocks, and the windows of trading days cut from them.

Belongs here: the trading calendar, the spreading of a long frame, the regression that also gives residuals. Does not:
any characteristic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.panel.calendar import shift
from pipeline.panel.dense import Floats, Integers
from pipeline.panel.regression import WindowFit, fit_window
from pipeline.panel.windows import window_sum

Days = NDArray[np.datetime64]

TRADING_DAYS_A_MONTH = 21


@dataclass(frozen=True)
class DayWindow:
    """Length of a window in trading days and the values it needs.

    Attributes
    ----------
    days : int
        Trading days of the market.
    min_obs : int
        Fewest non-missing values for a statistic.
    """

    days: int
    min_obs: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_obs <= self.days:
            raise ValueError(f"a window of {self.days} days cannot ask for {self.min_obs} observations")

    @property
    def months(self) -> int:
        """Calendar months that surely hold the window: one more than it fills at 21 trading days a month."""
        return -(-self.days // TRADING_DAYS_A_MONTH) + 1


def day(value: date) -> np.datetime64:
    """Return a date as numpy counts days."""
    return np.datetime64(value, "D")


@dataclass(frozen=True)
class TradingCalendar:
    """The market's trading days.

    Attributes
    ----------
    days : ndarray of datetime64[D]
        Ascending, each once.
    """

    days: Days

    @classmethod
    def of(cls, *frames: pl.DataFrame) -> TradingCalendar:
        """Return the days on which any of the frames has a row (column ``date``)."""
        dates = pl.concat([frame["date"].unique() for frame in frames]).unique().sort()
        return cls(dates.to_numpy().astype("datetime64[D]"))

    def month_rows(self, month: date) -> slice:
        """Return the rows of the days of a month."""
        first, after = np.searchsorted(self.days, [day(month), day(shift(month, 1))])
        return slice(int(first), int(after))

    def window_rows(self, month: date, window: DayWindow, *, before: bool = False) -> slice:
        """Return the rows of the last days up to the end of a month.

        Parameters
        ----------
        month : date
            First day of the month.
        window : DayWindow
            How many days; fewer at the start of the calendar. Never further back than ``window.months`` months (not
            counting ``month`` when ``before``), so that a window is the same whatever else was loaded.
        before : bool
            Whether the window ends before the month begins.
        """
        own = self.month_rows(month)
        last, stop = (shift(month, -1), own.start) if before else (month, own.stop)
        earliest = int(np.searchsorted(self.days, day(shift(last, 1 - window.months))))
        return slice(max(stop - window.days, earliest), stop)

    def aligned(self, frame: pl.DataFrame, columns: Sequence[str]) -> Floats:
        """Return columns of a frame with one row a date as (days, columns), NaN where a day has no value.

        Raises
        ------
        ValueError
            When a date occurs twice.
        """
        if frame["date"].is_duplicated().any():
            twice = frame.filter(pl.col("date").is_duplicated())["date"].unique().sort().head(5).to_list()
            raise ValueError(f"column date of the market's daily rows: {twice} occur twice; keep one row a trading day")
        values = np.full((len(self.days), len(columns)), np.nan)
        index = np.searchsorted(self.days, frame["date"].to_numpy().astype("datetime64[D]"))
        for position, column in enumerate(columns):
            values[index, position] = frame[column].cast(pl.Float64).to_numpy()
        return values


@dataclass(frozen=True, kw_only=True)
class DailyArrays:
    """Daily rows of stocks as one (days, stocks) array a column.

    Attributes
    ----------
    calendar : TradingCalendar
        Days of the rows of the arrays.
    permnos : ndarray of int64
        Ascending, one a column of the arrays.
    arrays : dict of str to ndarray of shape (D, N)
        NaN where a value is missing or the stock has no row.
    """

    calendar: TradingCalendar
    permnos: Integers
    arrays: dict[str, Floats]

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, calendar: TradingCalendar, columns: Sequence[str | pl.Expr]
    ) -> DailyArrays:
        """Spread a long frame over trading days and stocks.

        Parameters
        ----------
        frame : pl.DataFrame
            Columns permno, date and whatever ``columns`` need; every date a day of the calendar.
        calendar : TradingCalendar
            The rows of the arrays.
        columns : sequence of str or pl.Expr
            What to spread, read as f64; spread one after another, to hold one column twice and not all of them.

        Raises
        ------
        ValueError
            When a stock has two rows on one day.
        """
        permnos = frame["permno"].unique().sort().to_numpy()
        shape = len(calendar.days), len(permnos)
        cells = np.searchsorted(calendar.days, frame["date"].to_numpy().astype("datetime64[D]")) * shape[1]
        cells += np.searchsorted(permnos, frame["permno"].to_numpy())
        _refuse_doubles(frame, cells, shape[0] * shape[1])
        arrays = {}
        for column in columns:
            values = frame.select(column).to_series().cast(pl.Float64)
            array = np.full(shape[0] * shape[1], np.nan)
            array[cells] = values.to_numpy()
            arrays[values.name] = array.reshape(shape)
        return cls(calendar=calendar, permnos=permnos, arrays=arrays)

    def window(self, name: str, rows: slice, positions: Integers) -> Floats:
        """Return a copy of some days of some stocks, C-contiguous, shape (days, stocks)."""
        return self.arrays[name][rows].take(positions, axis=1)


def _refuse_doubles(frame: pl.DataFrame, cells: Integers, size: int) -> None:
    taken = np.zeros(size, dtype=bool)
    taken[cells] = True
    if np.count_nonzero(taken) == len(cells):
        return
    keys = frame.select("permno", "date")
    twice = keys.filter(keys.is_duplicated()).unique().sort("permno", "date").head(5).rows()
    raise ValueError(f"columns permno, date of the daily rows: {twice} occur twice; keep one row a stock and day")


def fit_residuals(
    y: Floats, common: Floats, own: Sequence[Floats] = (), *, min_obs: int
) -> tuple[WindowFit, Floats, Floats]:
    """Regress each column of y on a constant and its regressors, and square the residuals.

    Parameters
    ----------
    y, common, own, min_obs
        As in :func:`pipeline.panel.regression.fit_window`.

    Returns
    -------
    tuple
        The coefficients, the residuals (w, N), NaN outside an asset's observations, and their sum of squares (N,).
    """
    fit = fit_window(y, common, own, min_obs=min_obs)
    residuals = y - fit.intercepts
    for position, values in enumerate(common.T):
        residuals -= values[:, None] * fit.slopes[:, position]
    for position, column in enumerate(own, start=common.shape[1]):
        residuals -= column * fit.slopes[:, position]
    return fit, residuals, window_sum(residuals * residuals, 1)
