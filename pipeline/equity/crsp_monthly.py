"""CRSP's monthly stock file in one form, whichever layout it came in.

Every security of the month is kept, with the flags from which the universe follows. Belongs here: prices, shares,
volume, market equity and what the month's row says of a security. Does not: returns with the delisting in them
(``returns``), which delistings are performance delistings (``delisting``), what a common stock is (``universe``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from pipeline.equity.delisting import NO_DELISTINGS, ciz_delistings, siz_delistings
from pipeline.equity.layout import SIZ, required, table_on_disk
from pipeline.equity.universe import (
    CIZ_COMMON,
    CIZ_TRADING,
    NASDAQ,
    SIZ_COMMON,
    SIZ_EXCHANGE,
    UNIVERSE_EXCHANGES,
    with_last_name,
)
from pipeline.equity.volume import nasdaq_adjusted
from pipeline.panel.calendar import shift

LOOKBACK = 1
"""Months of ``crsp.msf`` and ``crsp.msf_v2`` before the built one: a delisting month without a row takes identifiers
from the month before. ``crsp.msenames`` is read from its beginning."""

LEAST_NAMED = 0.5
"""Share of a month's rows of ``crsp.msf`` that must have a name in force: nearly all do, unless the names are old."""

SHARES_PER_LOT = 100.0
MILLIONS_PER_THOUSAND = 0.001

SCHEMA = {
    "month": pl.Date(),
    "permno": pl.Int64(),
    "permco": pl.Int64(),
    "date": pl.Date(),
    "prc": pl.Float64(),
    "ret": pl.Float64(),
    "retx": pl.Float64(),
    "dlret": pl.Float64(),
    "dlstcd": pl.Int64(),
    "delreason": pl.String(),
    "delisted": pl.Boolean(),
    "shrout": pl.Float64(),
    "volume": pl.Float64(),
    "me": pl.Float64(),
    "me_permco": pl.Float64(),
    "cfacpr": pl.Float64(),
    "cfacshr": pl.Float64(),
    "siccd": pl.Int64(),
    "exchange": pl.String(),
    "common": pl.Boolean(),
    "in_universe": pl.Boolean(),
    "ncusip": pl.String(),
    "ticker": pl.String(),
    "comnam": pl.String(),
    "layout": pl.String(),
}

_SHOWN_MONTHS = 5
_IDENTIFIERS = ("siccd", "exchange", "common", "trading", "ncusip", "ticker", "comnam")


def crsp_monthly(
    msf: pl.DataFrame | None,
    msenames: pl.DataFrame | None,
    msedelist: pl.DataFrame | None,
    msf_v2: pl.DataFrame | None,
    stkdelists: pl.DataFrame | None,
    months: Sequence[date],
) -> pl.DataFrame:
    """Return every security of each month with its price, return, size and status.

    Parameters
    ----------
    msf, msenames, msedelist : pl.DataFrame or None
        The SIZ layout. Of ``crsp.msf`` each built month and the one before are read; of ``crsp.msenames`` all events up
        to the built month (an end that is dated later makes no difference); of ``crsp.msedelist`` the built month.
    msf_v2, stkdelists : pl.DataFrame or None
        The CIZ layout, likewise. Without ``crsp.stkdelists`` no delisting is known by itself: their returns are in
        ``mthret``, and none that is missing can be filled.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month and permno. Returns are decimals as reported: in the SIZ layout
        without the delisting, in the CIZ layout with it. ``prc`` is the absolute price, null where CRSP says 0;
        ``shrout`` thousands, null where 0; ``volume`` shares, without NASDAQ's double counting; ``me`` millions;
        ``me_permco`` the sum over the securities of the company that have one. ``date`` is the row's date. A delisting
        month without a row in the file has one here, without price and return, dated by the delisting.

        ``exchange``, ``common`` and the names are the last ones in force in the month. ``in_universe`` asks for a
        common stock on NYSE, AMEX or NASDAQ that is still listed, and in the CIZ layout trading, at the row's date: a
        security delisted in the month is not in it.

    Raises
    ------
    ValueError
        When both layouts are on disk or none is, or a table is missing that the SIZ layout can't do without; in the SIZ
        layout also when fewer than :data:`LEAST_NAMED` of a month's rows have a name in force.
    """
    layout, table = table_on_disk(msf, msf_v2, siz_table="crsp.msf", ciz_table="crsp.msf_v2")
    if layout == SIZ:
        names = required(msenames, "crsp.msenames", "crsp.msf")
        delistings = siz_delistings(required(msedelist, "crsp.msedelist", "crsp.msf"))
        rows = _siz_rows(table, names, delistings, months)
    else:
        delistings = NO_DELISTINGS if stkdelists is None else ciz_delistings(stkdelists)
        rows = _ciz_rows(table, delistings, months)
    return _finished(rows.with_columns(layout=pl.lit(layout)))


def _window(table: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Rows of the built months and of the one before each."""
    wanted = {each for month in months for each in (month, shift(month, -LOOKBACK))}
    return table.filter(pl.col("month").is_in(pl.Series(sorted(wanted), dtype=pl.Date).implode()))


def _with_delistings(
    rows: pl.DataFrame, delistings: pl.DataFrame, months: Sequence[date], kept: Sequence[str]
) -> pl.DataFrame:
    """Rows of the built months with the delistings, and one for every delisting month that has none.

    An added row takes the columns ``kept`` from the month before.
    """
    wanted = pl.Series(sorted(set(months)), dtype=pl.Date).implode()
    delistings = delistings.filter(pl.col("month").is_in(wanted))
    present = rows.filter(pl.col("month").is_in(wanted)).join(delistings, on=["month", "permno"], how="left")
    before = rows.select(pl.col("month").dt.offset_by(f"{LOOKBACK}mo"), "permno", *kept)
    added = (
        delistings.join(present, on=["month", "permno"], how="anti")
        .join(before, on=["month", "permno"], how="left")
        .with_columns(date="delisted_on")
    )
    return pl.concat([present, added], how="diagonal_relaxed").with_columns(
        delisted=pl.col("delisted_on").is_not_null()
    )


def _siz_rows(
    msf: pl.DataFrame, msenames: pl.DataFrame, delistings: pl.DataFrame, months: Sequence[date]
) -> pl.DataFrame:
    rows = _window(msf, months).select(
        "month", "permno", "permco", "date", "prc", "ret", "retx", "shrout", "cfacpr", "cfacshr",
        volume=pl.col("vol") * SHARES_PER_LOT,
    )  # fmt: skip
    rows = _with_delistings(rows, delistings, months, ["permco"])
    # A name counts that was in force on any day of the month, so that a security that left has its last one; whether
    # it is still in force is asked at the date of the row, since CRSP ends a name on a trading day.
    named = with_last_name(rows.with_columns(month_end=pl.col("month").dt.month_end()), msenames, "month_end")
    known = pl.col("nameendt").is_null() | (pl.col("nameendt") >= pl.col("month"))
    named = named.with_columns(exchange=SIZ_EXCHANGE, common=SIZ_COMMON).with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name in _IDENTIFIERS if name != "trading"
    )
    named = named.with_columns(trading=pl.col("nameendt").is_null() | (pl.col("nameendt") >= pl.col("date")))
    _refuse_old_names(named)
    return named


def _refuse_old_names(rows: pl.DataFrame) -> None:
    """Refuse a month whose universe would be empty, and nobody told, because the names end before it.

    Securities delisted in the month are not counted: theirs end in it.
    """
    in_force = pl.col("namedt").is_not_null() & pl.col("trading")
    counted = rows.filter(~pl.col("delisted")).group_by("month").agg(rows=pl.len(), named=in_force.sum())
    wrong = counted.filter(pl.col("named") < LEAST_NAMED * pl.col("rows")).sort("month").head(_SHOWN_MONTHS).to_dicts()
    if wrong:
        said = "; ".join(f"{each['month']:%Y-%m}: {each['named']} of {each['rows']}" for each in wrong)
        raise ValueError(
            f"crsp.msenames: fewer than half of the rows of crsp.msf have a name in force ({said} rows). Export "
            "crsp.msenames again, to the same day as crsp.msf."
        )


def _ciz_rows(msf_v2: pl.DataFrame, delistings: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    rows = _window(msf_v2, months).select(
        "month", "permno", "permco", "shrout", "siccd", "ticker",
        date="mthcaldt", prc="mthprc", ret="mthret", retx="mthretx", volume="mthvol", cfacpr="mthcumfacpr",
        cfacshr="mthcumfacshr", exchange="primaryexch", ncusip="cusip", comnam="issuernm", common=CIZ_COMMON,
        trading=CIZ_TRADING,
    )  # fmt: skip
    return _with_delistings(rows, delistings, months, ["permco", *_IDENTIFIERS])


def _positive(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != 0.0).then(pl.col(column).abs()).alias(column)


def _finished(rows: pl.DataFrame) -> pl.DataFrame:
    """Make prices, volume, size and flags of both layouts."""
    in_universe = (
        pl.col("common") & pl.col("trading") & pl.col("exchange").is_in(UNIVERSE_EXCHANGES) & ~pl.col("delisted")
    )
    finished = (
        rows.with_columns(_positive("prc"), _positive("shrout"))
        .with_columns(
            # Multiplied, not divided: the quotient by a constant depends on how many rows a frame has.
            me=pl.col("prc") * pl.col("shrout") * MILLIONS_PER_THOUSAND,
            volume=nasdaq_adjusted(pl.col("volume"), pl.col("exchange") == NASDAQ, pl.col("month")),
            common=pl.col("common").fill_null(False),
            in_universe=in_universe.fill_null(False),
        )
        .sort("month", "permno")
    )
    return _with_company_size(finished).select(*SCHEMA).cast(SCHEMA).sort("month", "permno")  # type: ignore[arg-type]


def _with_company_size(rows: pl.DataFrame) -> pl.DataFrame:
    """Add me_permco: the sum of me over the securities of a company in a month, added up in the order of permno."""
    ordered = rows.sort("month", "permco", "permno")
    company = ordered.select(pl.struct("month", "permco").rle_id()).to_series().to_numpy()
    # bincount adds one value after another, so that a sum depends on its own addends and their order alone.
    total = np.bincount(company, weights=ordered["me"].fill_null(0.0).to_numpy())[company]
    valued = np.bincount(company, weights=ordered["me"].is_not_null().cast(pl.Float64).to_numpy())[company] > 0
    known = pl.Series(valued) & ordered["permco"].is_not_null()
    return ordered.with_columns(me_permco=pl.when(known).then(pl.Series(total, dtype=pl.Float64)))
