"""Plain tables of stocks and firms for the slow characteristics: rows by key and month, fiscal periods by firm.

Shared by the modules ``slow_*``. Missing is NaN everywhere, months are pandas periods, nothing here is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import polars as pl

NAN = np.float64(np.nan)

Month = pd.Period


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Convert by way of Python lists, numbers to float with NaN for missing, dates to periods of a month."""
    result = pd.DataFrame({name: frame[name].to_list() for name in frame.columns})
    for name, dtype in frame.schema.items():
        if dtype.is_numeric():
            result[name] = result[name].astype(float)
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            result[name] = pd.PeriodIndex(pd.to_datetime(result[name]), freq="M")
    return result


def first_known(*values: float) -> float:
    """Take the first value that is not missing."""
    return next((value for value in values if not np.isnan(value)), NAN)


def or_zero(value: float) -> float:
    """Take 0 for a missing value."""
    return first_known(value, np.float64(0.0))


def finite(value: float) -> float:
    """Take NaN for anything that is not a finite number."""
    return value if np.isfinite(value) else NAN


def mean_of_known(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return np.float64(sum(known) / len(known)) if known else NAN


def deviation_of_known(values: Iterable[float], at_least: int) -> float:
    """Sample standard deviation of the finite values, missing with fewer than ``at_least``."""
    known = [value for value in values if np.isfinite(value)]
    return np.float64(np.std(known, ddof=1)) if len(known) >= at_least else NAN


class MonthlyRows:
    """A table with one row a stock and month."""

    def __init__(self, frame: pl.DataFrame):
        rows = to_pandas(frame)
        self.months = {month: block.sort_values("permno") for month, block in rows.groupby("month")}
        self.rows = {(int(row["permno"]), row["month"]): row for row in rows.to_dict("records")}

    def value(self, permno: int, month: Month, column: str) -> float:
        """Return a number, NaN where there is no row."""
        row = self.rows.get((permno, month))
        return NAN if row is None else np.float64(row[column])

    def window(self, permno: int, column: str, newest: Month, months: int) -> list[float]:
        """Return the values of the ``months`` calendar months that end with ``newest``, newest first."""
        return [self.value(permno, newest - back, column) for back in range(months)]


class Record:
    """A fiscal period of a firm: ``record.at`` is an item, ``record.lag(2).at`` the one of two fiscal periods before.

    A lag is the latest earlier statement of the firm whose fiscal period is numbered that many periods less and ended
    at most one year (annual) or two quarters (quarterly) earlier than full periods make; numbers that repeat or jump
    after a change of fiscal year would otherwise reach too far back. Where there is none, every item is missing.
    """

    def __init__(self, items: dict, firm: Firm):
        self.items, self.firm = items, firm

    def __getattr__(self, item: str) -> float:
        return np.float64(self.items[item]) if self.items else NAN

    @property
    def datadate(self) -> Month:
        return self.items["datadate"]

    def lag(self, periods: int) -> Record:
        if periods == 0 or not self.items:
            return self
        earlier = [
            record
            for record in self.firm.by_number.get(self.firm.number(self) - periods, [])
            if record.datadate < self.datadate <= record.datadate + self.firm.reach(periods)
        ]
        return max(earlier, key=lambda record: record.datadate, default=NOTHING)

    def age(self) -> float:
        """Count the firm's statements up to and including this one."""
        if not self.items:
            return NAN
        return np.float64(sum(record.datadate <= self.datadate for record in self.firm.records))


class Firm:
    """The statements of a firm that are out at the end of a month, oldest first."""

    def __init__(self, rows: Iterable[dict], annual: bool):
        self.annual = annual
        self.records = [Record(row, self) for row in sorted(rows, key=lambda row: row["datadate"])]
        self.by_number: dict[float, list[Record]] = {}
        for record in self.records:
            self.by_number.setdefault(self.number(record), []).append(record)

    def number(self, record: Record) -> float:
        """Return the number of the fiscal period, one more every year (annual) or quarter."""
        return record.fyear if self.annual else 4.0 * record.fyearq + record.fqtr

    def reach(self, periods: int) -> int:
        """Return the months before the end of a period within which a period that many periods back must have ended."""
        return 12 * (periods + 1) if self.annual else 3 * (periods + 2)

    def newest(self, usable: Callable[[Record], bool]) -> Record:
        """Return the last statement that is usable."""
        return next((record for record in reversed(self.records) if usable(record)), NOTHING)


NOTHING = Record({}, Firm((), annual=True))
"""The record of a firm that has none."""


class Statements:
    """The annual or the quarterly statements of all firms."""

    def __init__(self, frame: pl.DataFrame, annual: bool):
        self.annual = annual
        self.rows: dict[str, list[dict]] = {}
        for row in to_pandas(frame).to_dict("records"):
            self.rows.setdefault(row["gvkey"], []).append(row)

    def known(self, gvkey: str | None, month: Month) -> Firm:
        """Return the statements of a firm that are out at the end of the month."""
        return Firm((row for row in self.rows.get(gvkey, []) if row["month"] <= month), self.annual)
