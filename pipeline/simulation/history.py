"""The market as its files stood at the end of an earlier month: what became known after it taken away.

Used to append months to a market and to prove that nothing depends on later rows.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

from pipeline.simulation.layouts import INTERVAL_ENDS, UNDATED, date_column
from pipeline.simulation.listings import ACTIVE

FIRST_DAY = date(1900, 1, 1)
"""A day before every market."""

QUARTERLY_LAG = "3mo"
"""After its end a fiscal quarter without an announcement date counts as known."""


def known_day(table: str) -> pl.Expr:
    """Day on which a row of a logical table became known.

    Parameters
    ----------
    table : str
        Key in `Market.tables`.

    Returns
    -------
    Expr
        A date: for quarterly accounts the announcement, three months after the quarter where there is none or it lies
        before the quarter's end; for bonds the day of issue, where there is none that from which interest accrues; for
        tables of current values a day before every market; else the table's date column.
    """
    if table in UNDATED:
        return pl.repeat(FIRST_DAY, pl.len())
    day = pl.col(date_column(table))
    if table == "comp.fundq":
        announced = pl.col("rdq") >= day
        return pl.when(announced).then(pl.col("rdq")).otherwise(day.dt.offset_by(QUARTERLY_LAG))
    if table == "fisd.fisd_mergedissue":
        return pl.coalesce(day, "dated_date", pl.lit(FIRST_DAY))
    return day


def history(tables: Mapping[str, pl.DataFrame], month: date) -> dict[str, pl.DataFrame]:
    """Cut logical tables after a month.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        `Market.tables`.
    month : date
        Any day of the last month that stays.

    Returns
    -------
    dict of str to DataFrame
        The same tables with the rows known by the end of `month`. The index extract keeps the rows priced on the first
        day of the next month, which describe the end of `month`, without their returns, which are earned later.
        FRED-MD vintages are cut by rows, never left out. Ends of intervals after the month are not known: a link is
        open, a default not mended, a name ends with the data, and a security that was delisted later is active on the
        last day of the data.
        Adjustment factors stay relative to the end of the market; only their ratios mean anything.
    """
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return {table: _cut(table, frame, following) for table, frame in tables.items()}


def _cut(table: str, frame: pl.DataFrame, following: date) -> pl.DataFrame:
    """One table as it stood before a day."""
    if table == "bonds.index_constituents":
        day = pl.col(date_column(table))
        known = pl.when(day < following).then(pl.col("Return"))
        return frame.filter(day <= following).with_columns(known.alias("Return"))
    if table == "crsp.msedelist":
        return _active(frame, following)
    kept = frame.filter(known_day(table) < following)
    if table in INTERVAL_ENDS:
        return open_ends(table, kept, following)
    return kept


def open_ends(table: str, frame: pl.DataFrame, following: date) -> pl.DataFrame:
    """Show the ends of intervals from a day on as the vendor shows those that have not come.

    Parameters
    ----------
    table : str
        Key in `INTERVAL_ENDS`.
    frame : DataFrame
        Rows of the table.
    following : date
        First day that is not known.

    Returns
    -------
    DataFrame
        Ends before the day as they are; later ends of names on the day before, later ends of links null.
    """
    column = INTERVAL_ENDS[table]
    shown = pl.lit(following).dt.offset_by("-1d") if table == "crsp.msenames" else pl.lit(None, dtype=pl.Date)
    return frame.with_columns(pl.when(pl.col(column) < following).then(pl.col(column)).otherwise(shown).alias(column))


def _active(frame: pl.DataFrame, following: date) -> pl.DataFrame:
    """Delistings as they stood: the securities delisted later are active on the last day of the data."""
    later = pl.col("dlstdt") >= following
    return frame.with_columns(
        dlstdt=pl.when(later).then(pl.lit(following).dt.offset_by("-1d")).otherwise("dlstdt"),
        dlstcd=pl.when(later).then(pl.lit(ACTIVE, dtype=pl.Int64)).otherwise("dlstcd"),
        dlret=pl.when(later).then(None).otherwise("dlret"),
    )
