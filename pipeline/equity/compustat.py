"""Compustat's annual and quarterly files, by the month in which a row became available.

Belongs here: which of the vendor's rows count, when a record is available, book equity. Does not: which record a stock
uses in a month (``timing``), the link to a stock (``links``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from pipeline.equity.waterfall import waterfall
from pipeline.panel.calendar import month_number_expr, shift

ANNUAL_LAG = 4
"""Months from the end of a fiscal year to the month in which any timing uses it at the earliest."""

QUARTERLY_LATEST = 24
"""Months after its end by which a fiscal quarter must have become available; later it is of use to nobody, and within a
bound it can be told that no other row of the quarter came before."""

FORMAT = {"indfmt": "INDL", "datafmt": "STD", "popsrc": "D", "consol": "C"}
"""Industrial format, standardised (not restated), domestic, consolidated."""

CURRENCY = "USD"

# Columns that say which row this is, and header values, which are today's and not those of the row's date.
_NOT_ITEMS = {*FORMAT, "month", "gvkey", "datadate", "conm", "cusip", "curcd", "curcdq"}
_ANNUAL_KEYS = {"fyear": pl.Int64(), "fyr": pl.Int64(), "sich": pl.Int64(), "naicsh": pl.Int64()}
_QUARTERLY_KEYS = {"fyearq": pl.Int64(), "fqtr": pl.Int64(), "fyr": pl.Int64(), "rdq": pl.Date()}

COMMON_EQUITY = pl.coalesce("seq", pl.col("ceq") + pl.col("pstk"), pl.col("at") - pl.col("lt"))
PREFERRED_STOCK = pl.coalesce("pstkrv", "pstkl", "pstk", pl.lit(0.0))
BOOK_EQUITY = COMMON_EQUITY + pl.col("txditc").fill_null(0.0) - PREFERRED_STOCK
"""Stockholders' equity, plus deferred taxes and investment tax credit, less preferred stock (Fama and French 1992;
Davis, Fama and French 2000). Stockholders' equity is SEQ, else CEQ + PSTK, else AT - LT; preferred stock its
redemption, else liquidating, else par value. Taxes and preferred stock count as 0 where they are missing."""


def _filters(currency: str) -> dict[str, pl.Expr]:
    steps = {f"{column} {value}": pl.col(column) == value for column, value in FORMAT.items()}
    return {**steps, f"{currency} {CURRENCY}": pl.col(currency) == CURRENCY}


ANNUAL_FILTERS = _filters("curcd")
QUARTERLY_FILTERS = _filters("curcdq")


def _counted(rows: pl.DataFrame, filters: dict[str, pl.Expr], key: Sequence[str], table: str) -> pl.DataFrame:
    """Rows that pass the filters, which leave one a key.

    Raises
    ------
    ValueError
        When they leave more.
    """
    kept = rows.filter(*filters.values())
    repeated = kept.filter(pl.struct(key).is_duplicated()).select(key).unique().sort(key)
    if repeated.height:
        shown = "; ".join(", ".join(f"{name} {row[name]}" for name in key) for row in repeated.head(5).to_dicts())
        raise ValueError(
            f"{table}: {repeated.height} records occur more than once in format {' '.join(FORMAT.values())} "
            f"{CURRENCY}: {shown}. Export the table again without joining it to others, one row a {', '.join(key)}."
        )
    return kept


def _items(rows: pl.DataFrame, keys: dict[str, Any]) -> list[pl.Expr]:
    names = [name for name in rows.columns if name not in _NOT_ITEMS and name not in keys]
    return [pl.col(name).cast(pl.Float64) for name in names]


def compustat_annual(funda: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Return the annual records that become available in each month.

    Parameters
    ----------
    funda : pl.DataFrame
        ``comp.funda`` by month of ``datadate``; for a built month the rows of :data:`ANNUAL_LAG` months before.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        month (of availability), gvkey, datadate, fyear, fyr, sich, naicsh, every item in the vendor's units (f64,
        millions of dollars or shares; null where missing) and book_equity (millions, :data:`BOOK_EQUITY`); sorted by
        month, gvkey, datadate. One row a firm and datadate, in dollars; two fiscal years that end in one ``fyear``, as
        after a change of year end, both stay.

    Raises
    ------
    ValueError
        When a firm and datadate are there twice.
    """
    ended = pl.Series([shift(month, -ANNUAL_LAG) for month in sorted(set(months))], dtype=pl.Date)
    rows = funda.filter(pl.col("month").is_in(ended.implode()))
    kept = _counted(rows, ANNUAL_FILTERS, ("gvkey", "datadate"), "comp.funda")
    return kept.select(
        pl.col("month").dt.offset_by(f"{ANNUAL_LAG}mo"),
        "gvkey",
        "datadate",
        *(pl.col(name).cast(dtype) for name, dtype in _ANNUAL_KEYS.items()),
        *_items(kept, _ANNUAL_KEYS),
        book_equity=BOOK_EQUITY.cast(pl.Float64),
    ).sort("month", "gvkey", "datadate")


def compustat_quarterly(fundq: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Return the quarterly records that become available in each month.

    Parameters
    ----------
    fundq : pl.DataFrame
        ``comp.fundq`` by month of availability: that of ``rdq``, or three months after ``datadate`` where ``rdq`` is
        missing or before ``datadate``. For a built month its rows and those of :data:`QUARTERLY_LATEST` months before.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        month (of availability), gvkey, datadate, fyearq, fqtr, fyr, rdq and every item in the vendor's units (f64, null
        where missing); sorted by month, gvkey, datadate. ``rdq`` is null where it is before ``datadate``.

        One row a firm and datadate over all months: a firm that changes its fiscal year has rows under the old and the
        new one, of which the first to become available counts; in the same month the one with a report date, then the
        one with more items, then the one with the later quarter of its fiscal year: a change cuts the year short, so
        that this is the row of the fiscal year that came to be, and not of the one that was given up; then the one with
        the later fiscal year-end month. A quarter that became available more than :data:`QUARTERLY_LATEST` months after
        its end is left out.

    Raises
    ------
    ValueError
        When a firm, datadate and fiscal year end are there twice.
    """
    first_rows = _first_of_quarter(fundq, months)
    return first_rows.select(
        "month",
        "gvkey",
        "datadate",
        *(pl.col(name).cast(dtype) for name, dtype in _QUARTERLY_KEYS.items()),
        *_items(first_rows, _QUARTERLY_KEYS),
    ).sort("month", "gvkey", "datadate")


_AGE = month_number_expr() - month_number_expr("datadate")
_IN_TIME = _AGE <= QUARTERLY_LATEST


def _first_of_quarter(fundq: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Rows of the built months of which no other row of the quarter counts before."""
    if not months:
        return fundq.clear()
    rows = fundq.filter(pl.col("month").is_between(shift(min(months), -QUARTERLY_LATEST), max(months)))
    kept = _counted(rows, QUARTERLY_FILTERS, ("gvkey", "datadate", "fyr"), "comp.fundq").filter(_IN_TIME)
    kept = kept.with_columns(rdq=pl.when(pl.col("rdq") >= pl.col("datadate")).then(pl.col("rdq")))
    filled = pl.sum_horizontal(item.is_not_null() for item in _items(kept, _QUARTERLY_KEYS))
    ordered = kept.sort(
        "gvkey", "datadate", "month", pl.col("rdq").is_null(), filled, pl.col("fqtr").fill_null(0), "fyr",
        descending=[False, False, False, False, True, True, True],
    )  # fmt: skip
    first = ordered.unique(["gvkey", "datadate"], keep="first", maintain_order=True)
    return first.filter(pl.col("month").is_in(pl.Series(sorted(set(months)), dtype=pl.Date).implode()))


def annual_figures(funda: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how the vendor's rows narrow down to the annual records that become available in a month.

    Parameters
    ----------
    funda : pl.DataFrame
        ``comp.funda`` as :func:`compustat_annual` reads it.
    month : datetime.date
        Month of availability.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out of each filter.
    """
    return {"waterfall": waterfall(funda.filter(pl.col("month") == shift(month, -ANNUAL_LAG)), ANNUAL_FILTERS)}


def quarterly_figures(fundq: pl.DataFrame, records: pl.DataFrame, month: date) -> dict[str, Any]:
    """Say how the vendor's rows narrow down to the quarterly records that become available in a month.

    Parameters
    ----------
    fundq : pl.DataFrame
        ``comp.fundq`` of the month at least.
    records : pl.DataFrame
        What :func:`compustat_quarterly` made of the month.
    month : datetime.date
        Month of availability.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out of each filter; ``without_rdq``: records without a usable report date,
        available three months after their end.
    """
    rows = fundq.filter(pl.col("month") == month)
    steps = waterfall(rows, {**QUARTERLY_FILTERS, f"available within {QUARTERLY_LATEST} months": _IN_TIME})
    steps.append({"step": "first row of its quarter", "rows_in": steps[-1]["rows_out"], "rows_out": records.height})
    return {"waterfall": steps, "without_rdq": records["rdq"].null_count()}
