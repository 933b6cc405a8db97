"""What a bond characteristic is: one registry entry, and the view of a month that its formula is given.

The entries themselves stand in ``contract``, ``fundamentals``, ``moments``, ``momentum``, ``exposures``, ``dg`` and
``sorting``; ``registry`` gathers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.panel.dense import Floats, MonthlySeries, PanelMonth
from pipeline.panel.regression import WalkForwardSettings, WindowFit, walk_forward_month
from pipeline.panel.windows import Window

NOTEBOOK, DG, ISSUER, SORTS = "notebook", "dg", "issuer", "sorts"
"""Sets: the 31 of the bond notebook; the features of single bonds in Duraj and Giesecke (2025); every fundamental of
the issuer, the three included that the second set leaves out; what portfolios are sorted by and no other set has."""

BOND_NOTEBOOK = "bond notebook"

Form = Literal["ranked", "raw"]


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

    def excess_return_on(self, factors: Sequence[str], window: Window) -> WindowFit:
        """Regress each bond's excess return on factors common to all, over the months of a window that ends with m."""
        return walk_forward_month(
            self.panel,
            self.series,
            self.month,
            self.positions,
            response="ret_excess",
            common=factors,
            settings=WalkForwardSettings(window=window),
        )


WindowFormula = Callable[[BondMonth], Floats]
Lookback = Callable[[BondCharacteristicsSettings], Mapping[str, int]]


def this_snapshot(settings: BondCharacteristicsSettings) -> Mapping[str, int]:
    """Return the lookback of a characteristic that reads the snapshot of its own month alone."""
    return {"bond_snapshot": 1}


@dataclass(frozen=True, kw_only=True)
class Characteristic:
    """One bond characteristic.

    Attributes
    ----------
    name : str
        Column name.
    sets : tuple of str
        Sets it belongs to.
    definition : str
        What it is, in one sentence.
    unit : str
        Unit of the raw value.
    inputs : tuple of str
        ``table.column`` of everything that it reads.
    timing : str
        Which months it reads, m being the month of the partition.
    formula : pl.Expr or callable
        An expression over the bonds of m (the columns of ``bond_snapshot``, ``first_month``, and those that
        :mod:`pipeline.bonds.common_columns` joins), or a function of :class:`BondMonth` giving one value a bond, NaN
        missing.
    form : str
        ``ranked``: kept raw, winsorised and ranked within the month. ``raw``: kept as it is, for what all bonds of a
        month share and for dummies, which a rank would make nothing of.
    lookback : callable
        Months of each input table, m included, as a function of the settings.
    window : str
        Field of the settings that holds its window, empty where it has none.
    source : str
        Where the definition comes from.
    """

    name: str
    sets: tuple[str, ...]
    definition: str
    unit: str
    inputs: tuple[str, ...]
    formula: pl.Expr | WindowFormula
    form: Form = "ranked"
    timing: str = "end of m"
    lookback: Lookback = this_snapshot
    window: str = ""
    source: str = BOND_NOTEBOOK
