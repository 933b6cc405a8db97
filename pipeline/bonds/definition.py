"""What a bond characteristic is: one registry entry, and the view of a month that its formula is given.

The entries themselves stand in ``contract``, ``fundamentals``, ``moments``, ``momentum`` and ``exposures``;
``registry`` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats, Integers, MonthlyPanel, MonthlySeries

NOTEBOOK = "bond notebook"


@dataclass(frozen=True, kw_only=True)
class BondMonth:
    """What is known of the bonds of one month at its end.

    Attributes
    ----------
    month : date
        The month m.
    positions : ndarray of shape (N,)
        Array columns of the bonds in the snapshot of m, ordered by isin.
    panel : MonthlyPanel
        Snapshot columns, snapshot characteristics and returns of those bonds, one row a calendar month.
    series : MonthlySeries
        Factors common to all bonds.
    settings : BondCharacteristicsSettings
        Windows and lags.
    """

    month: date
    positions: Integers
    panel: MonthlyPanel
    series: MonthlySeries
    settings: BondCharacteristicsSettings

    def window(self, column: str, months: int, lag: int = 0) -> Floats:
        """Return the ``months`` months of a column ending ``lag`` months before m, shape (months, N)."""
        return self.panel.window(column, self.month, self.positions, months, lag)

    def at(self, column: str, lag: int = 0) -> Floats:
        """Return a column at the end of month m - lag, shape (N,)."""
        return self.window(column, 1, lag)[0]


WindowFormula = Callable[[BondMonth], Floats]
Lookback = Callable[[BondCharacteristicsSettings], Mapping[str, int]]


def this_snapshot(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    """Return the lookback of a characteristic that reads the snapshot of its own month alone."""
    return {"index_snapshot": 1}


@dataclass(frozen=True, kw_only=True)
class Characteristic:
    """One bond characteristic.

    Attributes
    ----------
    name : str
        Column name.
    definition : str
        What it is, in one sentence.
    unit : str
        Unit of the raw value.
    inputs : tuple of str
        ``table.column`` of everything that it reads.
    timing : str
        Which months it reads, m being the month of the partition.
    formula : pl.Expr or callable
        An expression over the snapshot of m, or a function of :class:`BondMonth` giving one value a bond, NaN missing.
    lookback : callable
        Months of each input table, m included, as a function of the settings.
    window : str
        Field of the settings that holds its window, empty where it has none.
    source : str
        Where the definition comes from.
    """

    name: str
    definition: str
    unit: str
    inputs: tuple[str, ...]
    formula: pl.Expr | WindowFormula
    timing: str = "end of m"
    lookback: Lookback = this_snapshot
    window: str = ""
    source: str = NOTEBOOK
