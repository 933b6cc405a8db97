"""How many rows go into each filter of a month and how many come out.

Belongs here: counting. Does not: the filters themselves, which stand where they are applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl


def waterfall(rows: pl.DataFrame, filters: Mapping[str, pl.Expr]) -> list[dict[str, Any]]:
    """Apply filters one after another and count what each lets through.

    Parameters
    ----------
    rows : pl.DataFrame
        What goes into the first filter.
    filters : mapping of str to pl.Expr
        Name of the step -> Boolean expression, in their order; null lets nothing through.

    Returns
    -------
    list of dict
        ``step``, ``rows_in``, ``rows_out``, one entry a filter; each goes on from the rows that the one before let
        through.
    """
    steps = []
    for step, condition in filters.items():
        kept = rows.filter(condition)
        steps.append({"step": step, "rows_in": rows.height, "rows_out": kept.height})
        rows = kept
    return steps
