"""All firm characteristics in one registry, and what is generated from it.

A new characteristic is one entry in the module of its kind; columns, schema, windows, settings of models and the data
dictionary follow.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from pipeline.equity.annual import ANNUAL
from pipeline.equity.daily_entries import DAILY
from pipeline.equity.definition import DG41, GKX94, KPS36, FirmCharacteristic
from pipeline.equity.gkx_annual import GKX_ANNUAL
from pipeline.equity.gkx_monthly import GKX_MONTHLY
from pipeline.equity.gkx_quarterly import GKX_QUARTERLY
from pipeline.equity.price import PRICE

CHARACTERISTICS: tuple[FirmCharacteristic, ...] = (
    *ANNUAL,
    *PRICE,
    *DAILY,
    *GKX_ANNUAL,
    *GKX_QUARTERLY,
    *GKX_MONTHLY,
)
NAMES: tuple[str, ...] = tuple(entry.name for entry in CHARACTERISTICS)
BY_NAME: dict[str, FirmCharacteristic] = {entry.name: entry for entry in CHARACTERISTICS}
DAILY_NAMES: tuple[str, ...] = tuple(entry.name for entry in CHARACTERISTICS if entry.level == "daily")


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
        raise LookupError(f"no firm characteristic belongs to the set {set_name!r}; the sets are {', '.join(known)}")
    return names


SETS: dict[str, tuple[str, ...]] = {name: names_of(name) for name in (DG41, KPS36, GKX94)}
"""Sets of characteristics that models are estimated on, and the names in each."""


def ranked(names: Iterable[str]) -> tuple[str, ...]:
    """Columns that hold the ranks of characteristics."""
    return tuple(f"{name}_r" for name in names)


def schema() -> dict[str, pl.DataType]:
    """Return the columns of ``firm_characteristics`` and their types: keys, then raw, winsorised and ranked values."""
    values = [column for name in NAMES for column in (name, f"{name}_w", f"{name}_r")]
    return {"month": pl.Date(), "permno": pl.Int64(), **dict.fromkeys(values, pl.Float64())}


def data_dictionary() -> pl.DataFrame:
    """Describe every characteristic in one row.

    Returns
    -------
    pl.DataFrame
        Columns name, sets, definition, unit, timing, inputs (comma separated), history and reference.
    """
    return pl.DataFrame(
        [
            {
                "name": entry.name,
                "sets": ", ".join(entry.sets),
                "definition": entry.definition,
                "unit": entry.unit,
                "timing": entry.timing,
                "inputs": ", ".join(entry.inputs),
                "history": entry.history,
                "reference": entry.reference,
            }
            for entry in CHARACTERISTICS
        ]
    )
