"""CRSP's daily stock file in one form, whichever layout it came in.

Belongs here: prices, quotes and volume of a day. Does not: the universe, which is monthly (``crsp_monthly``), or
anything computed from several days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipeline.equity.layout import SIZ, required, table_on_disk
from pipeline.equity.universe import NASDAQ, NASDAQ_CODE, with_last_name
from pipeline.equity.volume import COUNTED_ONCE, nasdaq_adjusted

SCHEMA = {
    "month": pl.Date(),
    "permno": pl.Int64(),
    "date": pl.Date(),
    "ret": pl.Float64(),
    "prc": pl.Float64(),
    "volume": pl.Float64(),
    "shrout": pl.Float64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "cfacpr": pl.Float64(),
}

_POSITIVE = ("prc", "shrout", "bid", "ask", "high", "low")


def crsp_daily(
    dsf: pl.DataFrame | None, dsf_v2: pl.DataFrame | None, msenames: pl.DataFrame | None, months: Sequence[date]
) -> pl.DataFrame:
    """Return every trading day of every security in each month.

    Parameters
    ----------
    dsf, dsf_v2 : pl.DataFrame or None
        ``crsp.dsf`` or ``crsp.dsf_v2``; only the built months are read.
    msenames : pl.DataFrame or None
        ``crsp.msenames``, needed beside ``crsp.dsf``: the exchange of a day is that of the name in force on it, which
        matters to volume before 2004 alone.
    months : sequence of date
        The months to build.

    Returns
    -------
    pl.DataFrame
        The columns of :data:`SCHEMA`, sorted by month, permno and date. ``ret`` is a decimal, null where missing;
        ``prc``, ``bid``, ``ask``, ``high`` and ``low`` are absolute, null where CRSP says 0; ``volume`` is in shares,
        without NASDAQ's double counting; ``shrout`` in thousands, null where 0.

    Raises
    ------
    ValueError
        When both layouts are on disk or none is, or ``crsp.dsf`` without ``crsp.msenames``.
    """
    layout, table = table_on_disk(dsf, dsf_v2, siz_table="crsp.dsf", ciz_table="crsp.dsf_v2")
    rows = table.filter(pl.col("month").is_in(pl.Series(sorted(set(months)), dtype=pl.Date).implode()))
    rows = _siz_days(rows, required(msenames, "crsp.msenames", "crsp.dsf")) if layout == SIZ else _ciz_days(rows)
    return (
        rows.with_columns(
            *(pl.when(pl.col(name) != 0.0).then(pl.col(name).abs()).alias(name) for name in _POSITIVE),
            volume=nasdaq_adjusted(pl.col("volume"), pl.col("nasdaq"), pl.col("date")),
        )
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
        .sort("month", "permno", "date")
    )


def _siz_days(dsf: pl.DataFrame, msenames: pl.DataFrame) -> pl.DataFrame:
    rows = dsf.rename({"vol": "volume", "askhi": "high", "bidlo": "low"})
    double = pl.col("date") < COUNTED_ONCE
    early = with_last_name(rows.filter(double), msenames, "date", ["exchcd"])
    in_force = pl.col("nameendt").is_null() | (pl.col("nameendt") >= pl.col("date"))
    return pl.concat(
        [
            early.with_columns(nasdaq=(pl.col("exchcd") == NASDAQ_CODE) & in_force).select(*rows.columns, "nasdaq"),
            rows.filter(~double).with_columns(nasdaq=pl.lit(False)),
        ]
    )


def _ciz_days(dsf_v2: pl.DataFrame) -> pl.DataFrame:
    return dsf_v2.select(
        "month", "permno", "shrout", nasdaq=pl.col("primaryexch") == NASDAQ, date="dlycaldt", ret="dlyret",
        prc="dlyprc", volume="dlyvol", bid="dlybid", ask="dlyask", high="dlyhigh", low="dlylow", cfacpr="dlycumfacpr",
    )  # fmt: skip
