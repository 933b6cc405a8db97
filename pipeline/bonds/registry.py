"""All bond characteristics in one registry, and what is generated from it.

A new characteristic is one entry in the module of its kind; columns, schema, lookback and data dictionary follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from pipeline.bonds.contract import CONTRACT
from pipeline.bonds.definition import DG, ISSUER, NOTEBOOK, SORTS, Characteristic
from pipeline.bonds.dg import DURAJ_GIESECKE
from pipeline.bonds.exposures import EXPOSURES
from pipeline.bonds.fundamentals import FUNDAMENTALS
from pipeline.bonds.moments import MOMENTS
from pipeline.bonds.momentum import MOMENTUM
from pipeline.bonds.settings import BondCharacteristicsSettings
from pipeline.bonds.sorting import SORTING

CHARACTERISTICS: tuple[Characteristic, ...] = (
    *CONTRACT,
    *FUNDAMENTALS,
    *MOMENTS,
    *MOMENTUM,
    *EXPOSURES,
    *DURAJ_GIESECKE,
    *SORTING,
)
BY_NAME: dict[str, Characteristic] = {entry.name: entry for entry in CHARACTERISTICS}
NAMES: tuple[str, ...] = tuple(BY_NAME)
STANDARDISED: tuple[str, ...] = tuple(entry.name for entry in CHARACTERISTICS if entry.form == "ranked")
"""Characteristics that are winsorised and ranked; the others are kept raw alone."""


def names_of(set_name: str) -> tuple[str, ...]:
    """Names of the characteristics of a set, in the order of the registry.

    Raises
    ------
    LookupError
        If no characteristic belongs to the set, naming the sets there are.
    """
    names = tuple(entry.name for entry in CHARACTERISTICS if set_name in entry.sets)
    if not names:
        known = dict.fromkeys(each for entry in CHARACTERISTICS for each in entry.sets)
        raise LookupError(f"no bond characteristic belongs to the set {set_name!r}; the sets are {', '.join(known)}")
    return names


SETS: dict[str, tuple[str, ...]] = {name: names_of(name) for name in (NOTEBOOK, DG, ISSUER, SORTS)}
"""Sets of characteristics and the names in each."""


def ranked(names: Iterable[str]) -> tuple[str, ...]:
    """Columns that hold the ranks of characteristics; those that are kept raw have none."""
    return tuple(f"{name}_r" for name in names if BY_NAME[name].form == "ranked")


RANKED: tuple[str, ...] = ranked(SETS[NOTEBOOK])
"""Instruments of the bond models."""


def schema() -> dict[str, pl.DataType]:
    """Return the columns of ``bond_characteristics`` and their types: keys, then the values of each characteristic."""
    values = [
        column
        for entry in CHARACTERISTICS
        for column in (entry.name, *((f"{entry.name}_w", f"{entry.name}_r") if entry.form == "ranked" else ()))
    ]
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
        Keys ``bond_snapshot``, ``bond_returns``, ``french_factors``, ``treasury_curve``, ``vix_innovation``,
        ``bond_market_factor`` and ``firm_characteristics``. Exact: the oldest of these months does matter. The first
        month in which a bond is seen is looked up over the whole history and is not among them.
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
        Columns name, sets (comma separated), form, definition, unit, inputs (comma separated), timing, window (its
        setting and value, empty where there is none) and source.
    """
    settings = settings or BondCharacteristicsSettings()
    return pl.DataFrame(
        [
            {
                "name": entry.name,
                "sets": ", ".join(entry.sets),
                "form": entry.form,
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
