"""Monthly returns of the stocks in the universe, delistings included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from pipeline.equity.delisting import PROFILES, filled_return, total_return
from pipeline.equity.settings import StockReturnsSettings
from pipeline.equity.waterfall import waterfall
from pipeline.panel.calendar import shift

SCHEMA = {
    "month": pl.Date(),
    "permno": pl.Int64(),
    "ret": pl.Float64(),
    "ret_excess": pl.Float64(),
    "me_start": pl.Float64(),
}


def _held(crsp_monthly: pl.DataFrame, months: Sequence[date]) -> pl.DataFrame:
    """Stocks in the universe at the end of the month before each of ``months``, dated by the month of the return."""
    before = pl.Series("month", [shift(month, -1) for month in sorted(set(months))], dtype=pl.Date)
    return crsp_monthly.filter(pl.col("month").is_in(before.implode()) & pl.col("in_universe")).select(
        pl.col("month").dt.offset_by("1mo"), "permno", "exchange", me_start="me"
    )


def _earned(crsp_monthly: pl.DataFrame, months: Sequence[date], settings: StockReturnsSettings) -> pl.DataFrame:
    """Return of every held stock; null where it has none."""
    realised = crsp_monthly.select("month", "permno", "layout", "ret", "delisted", "dlret", "dlstcd")
    profile = PROFILES[settings.delisting]
    rows = _held(crsp_monthly, months).join(realised, on=["month", "permno"], how="left")
    return rows.with_columns(filled=filled_return(profile), ret=total_return(profile))


def stock_returns(
    crsp_monthly: pl.DataFrame,
    french_factors: pl.DataFrame,
    months: Sequence[date],
    settings: StockReturnsSettings | None = None,
) -> pl.DataFrame:
    """Return what every stock of the universe earned in each month.

    Parameters
    ----------
    crsp_monthly : pl.DataFrame
        The asset of that name; the month before each built one says which stocks are held, with which market equity
        and on which exchange, the built month what they return.
    french_factors : pl.DataFrame
        Columns month, rf (decimal).
    months : sequence of date
        The months to build.
    settings : StockReturnsSettings, optional
        The delisting profile.

    Returns
    -------
    pl.DataFrame
        Columns month, permno, ret and ret_excess (decimals), me_start (millions, of m-1); sorted by month and permno.
        The universe is that of m-1: a return is kept whatever the row of m says of shares, exchange or trading. A
        stock without a return has no row. ``ret_excess`` is null where the riskless rate is.
    """
    earned = _earned(crsp_monthly, months, settings or StockReturnsSettings()).filter(pl.col("ret").is_not_null())
    return (
        earned.join(french_factors.select("month", "rf"), on="month", how="left")
        .with_columns(ret_excess=pl.col("ret") - pl.col("rf"))
        .select(*SCHEMA)
        .cast(SCHEMA)  # type: ignore[arg-type]
        .sort("month", "permno")
    )


def returns_figures(
    crsp_monthly: pl.DataFrame, month: date, settings: StockReturnsSettings | None = None
) -> dict[str, Any]:
    """Say how many stocks of the universe have a return in a month, and what delistings did to it.

    Parameters
    ----------
    crsp_monthly : pl.DataFrame
        The month and the one before.
    month : datetime.date
        Month of the return.
    settings : StockReturnsSettings, optional
        The delisting profile.

    Returns
    -------
    dict
        ``waterfall``: step, rows_in and rows_out; ``delisted``: stocks of the universe delisted in the month;
        ``delisting_return_reported``, ``delisting_return_filled`` and ``delisting_return_missing``: with a delisting
        return in the file, with the profile's in its place, and with neither. ``delisted_without_month_before``:
        securities of any kind delisted in the month that have no row in the month before. They have no return, since
        their market equity, and whether they were in the universe, is not known.
    """
    rows = _earned(crsp_monthly, [month], settings or StockReturnsSettings())
    delisted = rows.filter(pl.col("delisted"))
    reported = delisted.filter(pl.col("dlret").is_not_null()).height
    filled = delisted.filter(pl.col("filled").is_not_null()).height
    before = crsp_monthly.filter(pl.col("month") == shift(month, -1))
    gone = crsp_monthly.filter(pl.col("month") == month, pl.col("delisted"))
    return {
        "waterfall": waterfall(rows, {"a return, delisting included": pl.col("ret").is_not_null()}),
        "delisted": delisted.height,
        "delisting_return_reported": reported,
        "delisting_return_filled": filled,
        "delisting_return_missing": delisted.height - reported - filled,
        "delisted_without_month_before": gone.join(before, on="permno", how="anti").height,
    }
