"""Dated rows as spells of months: what was last said of something, month by month.

A rating or an amount holds from its own date until the next row of the same issue. Belongs here: turning such rows into
spells once, and asking for those of a month. Does not: what the rows say (``ratings``, ``issues``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

UNTIL = "until"


def spells(rows: pl.DataFrame, by: Sequence[str], order: Sequence[str | pl.Expr]) -> pl.DataFrame:
    """Say until which month each dated row holds.

    Parameters
    ----------
    rows : pl.DataFrame
        Columns month (of the row's date), ``by``, that date and whatever else the rows say.
    by : sequence of str
        Columns that identify what the rows are about.
    order : sequence of str or pl.Expr
        How the rows of a key follow each other: the date from which each holds, then what decides between rows of one
        day, of which the last holds.

    Returns
    -------
    pl.DataFrame
        The rows, sorted by key and order, with ``until``: the month of the next row of the key, null for its last. Of
        several rows in one month only the last holds at its end: the others end in the month in which they start.
    """
    # The rows being sorted, a look at the next one is enough, and much faster than a window by key.
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in by)
    return rows.sort(*by, *order).with_columns(pl.when(same).then(pl.col("month").shift(-1)).alias(UNTIL))


def in_force(found: pl.DataFrame, month: date) -> pl.DataFrame:
    """Keep the row of every key that holds at the end of a month.

    Parameters
    ----------
    found : pl.DataFrame
        From :func:`spells`. Rows dated after the month change nothing: they only say that a spell ends later.
    month : datetime.date
        The month.

    Returns
    -------
    pl.DataFrame
        At most one row a key; none where the first row is dated later.
    """
    return found.filter(pl.col("month") <= month, pl.col(UNTIL).is_null() | (pl.col(UNTIL) > month))
