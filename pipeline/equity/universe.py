"""Which securities are common stocks, where they are listed, and which of them make up the universe.

The SIZ layout keeps names, share codes and exchanges in an interval table, ``crsp.msenames``; the CIZ layout repeats
them on every row. Belongs here: what is in force on a day and what it means. Does not: prices and returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from pipeline.equity.waterfall import waterfall
from pipeline.extracts.events import intervals

COMMON_SHARE_CODES = (10, 11)
"""CRSP share codes of ordinary common shares of companies incorporated in the US, no ADR, unit, REIT or fund."""

SIZ_EXCHANGES: dict[int, str] = {1: "N", 2: "A", 3: "Q", 4: "R"}
"""CRSP exchange codes as the letters of the CIZ layout: NYSE, AMEX (NYSE American), NASDAQ, Arca. Codes of trading that
is suspended, halted, when issued or elsewhere have none."""

NASDAQ_CODE, NASDAQ = 3, "Q"
UNIVERSE_EXCHANGES = ("N", "A", "Q")

NAMES = ("shrcd", "exchcd", "siccd", "ncusip", "ticker", "comnam")

SIZ_COMMON = pl.col("shrcd").is_in(COMMON_SHARE_CODES)
SIZ_EXCHANGE = pl.col("exchcd").replace_strict(SIZ_EXCHANGES, default=None, return_dtype=pl.String)

CIZ_COMMON = (
    (pl.col("sharetype") == "NS")
    & (pl.col("securitytype") == "EQTY")
    & (pl.col("securitysubtype") == "COM")
    & (pl.col("usincflg") == "Y")
    & pl.col("issuertype").is_in(("ACOR", "CORP"))
)
"""The CIZ layout's equivalent of share codes 10 and 11."""

CIZ_TRADING = pl.col("conditionaltype").is_in(("RW", "NW")) & (pl.col("tradingstatusflg") == "A")
"""Regular way or newly issued, and trading: what SIZ exchange codes 1 to 3 say by themselves."""


def name_spells(msenames: pl.DataFrame) -> pl.DataFrame:
    """Put the start and the end of every name into one row.

    Parameters
    ----------
    msenames : pl.DataFrame
        ``crsp.msenames`` as events: permno, namedt, event ("start" or "end"), nameendt of end events, and what start
        events say (:data:`NAMES`).

    Returns
    -------
    pl.DataFrame
        permno, namedt, nameendt (null where no end is known) and :data:`NAMES`, sorted by permno and namedt.
    """
    return intervals(msenames, ("permno", "namedt"), "nameendt", NAMES).sort("permno", "namedt")


def with_last_name(
    rows: pl.DataFrame, msenames: pl.DataFrame, day: str, columns: Sequence[str] = NAMES
) -> pl.DataFrame:
    """Add to each row the last name of its security that started on or before a day.

    A name lasts until its own end or the start of the next one, whichever comes first; whether it has ended is for the
    caller to compare, with a day that is not later: an end after that day must make no difference.

    Parameters
    ----------
    rows : pl.DataFrame
        permno and the date column ``day``.
    msenames : pl.DataFrame
        As in :func:`name_spells`; later rows make no difference.
    day : str
        The date column.
    columns : sequence of str
        What to take of :data:`NAMES`.

    Returns
    -------
    pl.DataFrame
        The rows in their order, with namedt, nameendt and ``columns``; null where no name had started.
    """
    spells = name_spells(msenames).select("permno", "namedt", "nameendt", *columns).sort("namedt")
    # On the keys alone, since it is the sorting of whole rows that takes the time.
    named = (
        rows.select("permno", day)
        .with_row_index("row")
        .sort(day)
        .join_asof(
            spells,
            left_on=day,
            right_on="namedt",
            by="permno",
            strategy="backward",
            coalesce=False,
            check_sortedness=False,
        )
        .sort("row")
    )
    return rows.hstack(named.select("namedt", "nameendt", *columns))


FILTERS: dict[str, pl.Expr] = {
    "common stock": pl.col("common"),
    "listed on NYSE, AMEX or NASDAQ": pl.col("exchange").is_in(UNIVERSE_EXCHANGES),
    "trading at the end of the month": pl.col("in_universe"),
}


def universe_figures(rows: pl.DataFrame) -> dict[str, Any]:
    """Say how the securities of a month narrow down to the universe, and how many were delisted.

    Parameters
    ----------
    rows : pl.DataFrame
        ``crsp_monthly`` of one month, whose rows are never dropped.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out of each filter, ending with the universe; ``delisted``: securities
        delisted in the month; ``delisted_without_return``: those of them without a delisting return in the file.
    """
    delisted = rows.filter(pl.col("delisted"))
    return {
        "waterfall": waterfall(rows, FILTERS),
        "delisted": delisted.height,
        "delisted_without_return": delisted["dlret"].null_count(),
    }
