"""Arithmetic on months.

A month is a ``datetime.date`` on its first day, everywhere; a month *number* is the integer ``12 * year + month - 1``,
in which windows are counted. Trading days, partitions and the reading of vendor dates do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date

import polars as pl

FIRST_MONTH = date(1926, 1, 1)
"""The first month of CRSP, and of every asset; older rows of an extract serve windows only."""


def month_number(month: date) -> int:
    """Return the integer ``12 * year + month - 1`` of a month given as its first day.

    Raises
    ------
    ValueError
        When the date is not the first day of a month.
    """
    if month.day != 1:
        raise ValueError(f"{month} is not the first day of a month: pass {month.replace(day=1)}")
    return 12 * month.year + month.month - 1


def month_of(number: int) -> date:
    """Return the first day of the month with this number, the inverse of :func:`month_number`."""
    return date(number // 12, number % 12 + 1, 1)


def shift(month: date, months: int) -> date:
    """Return the month that lies ``months`` calendar months later (earlier when negative)."""
    return month_of(month_number(month) + months)


def month_range(first: date, last: date) -> list[date]:
    """Return every month from ``first`` to ``last``, both included; empty when ``last`` is earlier."""
    return [month_of(number) for number in range(month_number(first), month_number(last) + 1)]


def month_runs(months: Iterable[date], longest: int) -> Iterator[list[date]]:
    """Split ascending months into runs of consecutive ones, none longer than ``longest``."""
    run: list[date] = []
    for month in months:
        if run and (len(run) == longest or month != shift(run[-1], 1)):
            yield run
            run = []
        run.append(month)
    if run:
        yield run


def last_closed_month(today: date) -> date:
    """Return the month before the one that ``today`` lies in."""
    return shift(today.replace(day=1), -1)


def month_number_expr(column: str = "month") -> pl.Expr:
    """Return :func:`month_number` of a date column as an Int32 Polars expression; null stays null."""
    return pl.col(column).dt.year().cast(pl.Int32) * 12 + pl.col(column).dt.month().cast(pl.Int32) - 1


def span(frame: pl.DataFrame, months: Sequence[date], lookback: int = 1) -> pl.DataFrame:
    """Keep the rows that any of ``months`` may look at.

    Parameters
    ----------
    frame : pl.DataFrame
        Any frame with a date column ``month``.
    months : sequence of date
        The months being built; must not be empty.
    lookback : int
        Months that one built month sees, itself included.

    Returns
    -------
    pl.DataFrame
        Rows dated from ``lookback - 1`` months before the first of ``months`` to the last of them.
    """
    return frame.filter(pl.col("month").is_between(shift(min(months), 1 - lookback), max(months)))


def due(known: Collection[date], month: date, first: int, every: int) -> bool:
    """Say whether something is estimated in a month, by how many months with data there are up to it.

    It depends on that number alone, never on when the pipeline ran; a month without data is never one.

    Parameters
    ----------
    known : collection of date
        Months with data.
    month : date
        The month in question.
    first : int
        Months with data at the first estimate.
    every : int
        Months with data from one estimate to the next; 0 for the first alone.
    """
    since = sum(each <= month for each in known) - first
    if month not in known or since < 0:
        return False
    return since % every == 0 if every else since == 0
