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
    passed = [pl.all_horizontal(list(filters.values())[: k + 1]).fill_null(False).sum() for k in range(len(filters))]
    counts = (
        rows.select(step.alias(str(k)) for k, step in enumerate(passed)).row(0) if rows.height else [0] * len(passed)
    )
    return [
        {"step": step, "rows_in": before, "rows_out": after}
        for step, before, after in zip(filters, [rows.height, *counts], counts, strict=False)
    ]
