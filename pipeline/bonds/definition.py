"""What a bond characteristic is: one registry entry, and the view of a month that its formula is given.

The entries themselves stand in ``contract``, ``fundamentals``, ``moments``, ``momentum`` and ``exposures``;
``registry`` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats, MonthlySeries, PanelMonth

NOTEBOOK = "bond notebook"


@dataclass(frozen=True, kw_only=True)
class BondMonth(PanelMonth):
    """What is known of the bonds of one month at its end.

    The panel holds snapshot columns, snapshot characteristics and returns of the bonds in the snapshot of m, ordered by
    isin.

    Attributes
    ----------
    series : MonthlySeries
        Factors common to all bonds.
    settings : BondCharacteristicsSettings
        Windows and lags.
    """

    series: MonthlySeries
    settings: BondCharacteristicsSettings


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
