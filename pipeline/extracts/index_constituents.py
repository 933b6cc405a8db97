"""The bond notebook's index extract: the constituents of corporate bond indices by month.

Belongs here: splitting a row into what was known and what was earned. Does not: characteristics. A row is dated by the
first day of the month its return is earned in: ``Return`` belongs to that month, every other column to the month
before. Returns are percent, -99.99 is missing in every column.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl
import stdnum.cusip
import stdnum.exceptions
import stdnum.isin

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.table import Column, Table, Tabular, View

MISSING = (-99.99,)
DATE = "Pricing_Date"
_TEXT = (
    "ISIN",
    "Cusip",
    "Description",
    "Index_Name",
    "Sector_Level_1",
    "Sector_Level_2",
    "Sector_Level_3",
    "Sector_Level_4",
    "Rating",
)
_NUMBERS = (
    "Coupon",
    "ParAmount",
    "DUR",
    "oas_BOM",
    "Price_BOM",
    "Return",
    "PD_DRISK",
    "Stock_Price",
    "pricetobook",
    "pricetoearnings",
    "debt",
    "ebitda",
    "ebit",
    "ebitmargin",
    "grossmargin",
    "ebitgrowth",
    "revenuegrowth",
    "leverageratio",
    "marketcap",
)
_SPELLED = {name.lower(): name for name in (*_TEXT, *_NUMBERS)} | {
    "return_pct": "Return",
    "stock_price_date": "Stock_Price_Date",
    "month": DATE,
}


class IndexSnapshot(dy.Schema):
    """What the index said of a bond at the end of a month."""

    month = dy.Date(primary_key=True)
    isin = dy.String(primary_key=True)
    cusip = dy.String(nullable=True)
    description = dy.String(nullable=True)
    index_name = dy.String(nullable=True)
    maturity = dy.Date(nullable=True)
    sector_level_1 = dy.String(nullable=True)
    sector_level_2 = dy.String(nullable=True)
    sector_level_3 = dy.String(nullable=True)
    sector_level_4 = dy.String(nullable=True)
    rating = dy.String(nullable=True)
    coupon = dy.Float64(nullable=True)
    paramount = dy.Float64(nullable=True)
    dur = dy.Float64(nullable=True)
    oas_bom = dy.Float64(nullable=True)
    price_bom = dy.Float64(nullable=True)
    pd_drisk = dy.Float64(nullable=True)
    stock_price = dy.Float64(nullable=True)
    stock_price_date = dy.Date(nullable=True)
    pricetobook = dy.Float64(nullable=True)
    pricetoearnings = dy.Float64(nullable=True)
    debt = dy.Float64(nullable=True)
    ebitda = dy.Float64(nullable=True)
    ebit = dy.Float64(nullable=True)
    ebitmargin = dy.Float64(nullable=True)
    grossmargin = dy.Float64(nullable=True)
    ebitgrowth = dy.Float64(nullable=True)
    revenuegrowth = dy.Float64(nullable=True)
    leverageratio = dy.Float64(nullable=True)
    marketcap = dy.Float64(nullable=True)


class IndexReturns(dy.Schema):
    """Total returns of the constituents, percent; a missing return is an absent row."""

    month = dy.Date(primary_key=True)
    isin = dy.String(primary_key=True)
    return_pct = dy.Float64(min=-100.0)


SNAPSHOT = Table(
    name="bonds.index_snapshot",
    key=("month", "isin"),
    schema=IndexSnapshot,
    by_month=True,
    snapshot=True,
    published=_SPELLED,
    lead=1,
)
RETURNS = Table(
    name="bonds.index_returns", key=("month", "isin"), schema=IndexReturns, by_month=True, published=_SPELLED
)


def isin_of_cusip(cusip: str | None) -> str | None:
    """ISIN of a United States CUSIP of nine digits, or of eight, whose check digit is completed.

    Parameters
    ----------
    cusip : str or None
        As the vendor writes it.

    Returns
    -------
    str or None
        None where the text is no CUSIP.
    """
    compact = stdnum.cusip.compact(cusip or "")
    try:
        if len(compact) == 8:
            compact += stdnum.cusip.calc_check_digit(compact)
        return str(stdnum.isin.from_natid("US", stdnum.cusip.validate(compact)))
    except (stdnum.exceptions.ValidationError, ValueError):
        return None


def _with_isin(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    """Fill an empty ISIN from the CUSIP; one that has neither is refused."""
    if block.get_column("isin").null_count():
        computed = pl.col("cusip").map_elements(isin_of_cusip, return_dtype=pl.String, skip_nulls=False)
        filled = pl.when(pl.col("isin").is_null()).then(computed).otherwise(pl.col("isin"))
        block = block.with_columns(isin=filled)
        nameless = block.filter(pl.col("isin").is_null())
        if nameless.height:
            shown = (
                nameless.sort("cusip", "description")
                .head(5)
                .select("pricing_date", "cusip", "description")
                .rename({"pricing_date": DATE, "cusip": "Cusip", "description": "Description"})
            )
            raise BadExtract(
                file=files,
                column="ISIN",
                problem="is empty and Cusip is no CUSIP of eight or nine digits to compute it from",
                count=nameless.height,
                rows=shown.to_dicts(),
                remedy="fill ISIN or Cusip, or leave these rows out",
            )
    return block.with_columns(pl.col("isin").str.to_uppercase())


def _snapshot(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    known = pl.col("pricing_date").dt.offset_by("-1mo").alias("month")
    return _with_isin(block, files).select(known, pl.exclude("pricing_date", "return"))


def _returns(block: pl.DataFrame, files: tuple[Path, ...]) -> pl.DataFrame:
    earned = _with_isin(block, files).filter(pl.col("return").is_not_null())
    return earned.select(month="pricing_date", isin="isin", return_pct="return")


INDEX_CONSTITUENTS = Tabular(
    stem="bonds.index_constituents",
    columns=(
        Column(name=DATE, kind="date"),
        Column(name="Maturity", kind="date"),
        Column(name="Stock_Price_Date", kind="date"),
        *(Column(name=name, kind="text") for name in _TEXT),
        *(Column(name=name, kind="number") for name in _NUMBERS),
    ),
    date=DATE,
    views=(View(table=SNAPSHOT, derive=_snapshot), View(table=RETURNS, derive=_returns)),
    missing=MISSING,
    first_day=True,
)
