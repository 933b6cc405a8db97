"""Figures of one partition for people: kept in its manifest, shown in the UI.

Belongs here: what is worth saying of a month, as functions of its rows and of what was read for it. Does not: previews
and plots (``assets.metadata``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import polars as pl

Figures = Callable[..., dict[str, Any]]
"""``figures(rows of the month, inputs, month, settings)``."""


def nothing(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
    """Say nothing beyond the number of rows."""
    return {}


def first_row(*columns: str) -> Figures:
    """Values of some columns in the first row, for partitions whose rows share them."""

    def figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
        row = {name: frame.get_column(name)[0] for name in columns} if frame.height else {}
        return {name: str(value) if isinstance(value, date) else value for name, value in row.items()}

    return figures


def missing(columns: Sequence[str]) -> Figures:
    """Count missing values by column: a rank of 0 does not tell a missing value from the middle one."""

    def figures(frame: pl.DataFrame, *_: Any) -> dict[str, Any]:
        return {"missing": {name: frame.get_column(name).null_count() for name in columns}}

    return figures
