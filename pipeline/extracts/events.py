"""Tables of intervals as events, so that the end of one is known only from the month in which it comes.

Belongs here: turning rows with a start and an end into rows of single days, and back. Does not: any vendor's table.
"""

from __future__ import annotations

from collections.abc import Sequence

import dataframely as dy
import polars as pl

from pipeline.extracts.parsing import month_of

START, END = "start", "end"


def events(intervals: pl.DataFrame, key: Sequence[str], start: str, end: str) -> pl.DataFrame:
    """Split intervals into what is known at their start and what is known at their end.

    Parameters
    ----------
    intervals : pl.DataFrame
        One row an interval.
    key : sequence of str
        Columns that identify an interval, ``start`` among them.
    start, end : str
        Days on which it begins and ends; an interval without an end goes on.

    Returns
    -------
    pl.DataFrame
        The columns of ``intervals``, ``event`` (``start`` or ``end``) and ``month``, that of the event's day. A start
        holds every column but the end; an end holds the key and the end alone.
    """
    starts = intervals.with_columns(
        pl.lit(None, dtype=pl.Date).alias(end), event=pl.lit(START), month=month_of(pl.col(start))
    )
    ends = intervals.filter(pl.col(end).is_not_null()).select(*key, end, event=pl.lit(END), month=month_of(pl.col(end)))
    return pl.concat([starts, ends], how="diagonal")


def end_column(start: str) -> dy.Date:
    """Column of a schema of events that holds the end of an interval and refuses one before its start."""
    return dy.Date(nullable=True, check={"interval": lambda end: end >= pl.col(start)})


def intervals(known: pl.DataFrame, key: Sequence[str], end: str, columns: Sequence[str]) -> pl.DataFrame:
    """Put the start and the end of every interval back into one row, as far as they are known.

    Parameters
    ----------
    known : pl.DataFrame
        What :func:`events` gave, up to some month.
    key : sequence of str
        Columns that identify an interval.
    end : str
        Day on which it ends.
    columns : sequence of str
        What to take of the start.

    Returns
    -------
    pl.DataFrame
        ``key``, ``columns`` and ``end``, null where no end is known.
    """
    ends = known.filter(pl.col("event") == END).select(*key, end)
    starts = known.filter(pl.col("event") == START).select(*key, *columns)
    return starts.join(ends, on=list(key), how="left")
