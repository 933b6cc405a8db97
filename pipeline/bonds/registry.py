"""The 31 bond characteristics of set ``notebook`` in one registry, and what is generated from it.

A new characteristic is one entry in the module of its kind; columns, schema, lookback and data dictionary follow.
"""

from __future__ import annotations

from collections import defaultdict

import polars as pl

from pipeline.bonds.contract import CONTRACT
from pipeline.bonds.definition import Characteristic
from pipeline.bonds.exposures import EXPOSURES
from pipeline.bonds.fundamentals import FUNDAMENTALS
from pipeline.bonds.moments import MOMENTS
from pipeline.bonds.momentum import MOMENTUM
from pipeline.bonds.settings import BondCharacteristicsSettings

CHARACTERISTICS: tuple[Characteristic, ...] = (*CONTRACT, *FUNDAMENTALS, *MOMENTS, *MOMENTUM, *EXPOSURES)
NAMES: tuple[str, ...] = tuple(entry.name for entry in CHARACTERISTICS)
RANKED: tuple[str, ...] = tuple(f"{name}_r" for name in NAMES)


def schema() -> dict[str, pl.DataType]:
    """Return the columns of ``bond_characteristics`` and their types: keys, then raw, winsorised and ranked values."""
    values = [column for name in NAMES for column in (name, f"{name}_w", f"{name}_r")]
    return {"month": pl.Date(), "isin": pl.String(), **dict.fromkeys(values, pl.Float64())}


def lookback(settings: BondCharacteristicsSettings | None = None) -> dict[str, int]:
    """Return how many months of each input table a month needs, itself included.

    Parameters
    ----------
    settings : BondCharacteristicsSettings, optional
        The default settings when left out.

    Returns
    -------
    dict of str to int
        Keys ``index_snapshot``, ``bond_returns``, ``french_factors``, ``treasury_curve``, ``vix_innovation`` and
        ``bond_market_factor``. Exact: the oldest of these months does matter. The first month in which a bond is seen
        is looked up over the whole history and is not among them.
    """
    settings = settings or BondCharacteristicsSettings()
    longest: defaultdict[str, int] = defaultdict(int)
    for entry in CHARACTERISTICS:
        for table, months in entry.lookback(settings).items():
            longest[table] = max(longest[table], months)
    return dict(longest)


def data_dictionary(settings: BondCharacteristicsSettings | None = None) -> pl.DataFrame:
    """Describe every characteristic in one row.

    Returns
    -------
    pl.DataFrame
        Columns name, definition, unit, inputs (comma separated), timing, window (its setting and value, empty where
        there is none) and source.
    """
    settings = settings or BondCharacteristicsSettings()
    return pl.DataFrame(
        [
            {
                "name": entry.name,
                "definition": entry.definition,
                "unit": entry.unit,
                "inputs": ", ".join(entry.inputs),
                "timing": entry.timing,
                "window": f"{entry.window} = {getattr(settings, entry.window)}" if entry.window else "",
                "source": entry.source,
            }
            for entry in CHARACTERISTICS
        ]
    )
