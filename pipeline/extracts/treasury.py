"""Zero-coupon Treasury yields: the layouts of Liu and Wu (2021) and of Gurkaynak, Sack and Wright (2007).

Belongs here: the zero curve. Does not: par yields, which are FRED series (``fred``). Percent, continuously compounded;
of a daily file the last day of a month with any yield is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import Wide, find_section, long_columns, missing_columns

MISSING = (-999.99, -99.99)
_LIU_WU = re.compile(r"^(\d{1,3})\s*m$", re.IGNORECASE)
_GSW = re.compile(r"^sveny(\d{2})$", re.IGNORECASE)
NEEDED_YEARS = 11


class ZeroYields(dy.Schema):
    """Zero-coupon yields at a month's last observation; a missing yield is an absent row."""

    month = dy.Date(primary_key=True)
    date = dy.Date()
    maturity_months = dy.Int32(primary_key=True, min=1)
    zero_yield = dy.Float64()


TABLE = Table(name="treasury.zero_yields", key=("month", "maturity_months"), schema=ZeroYields)


def _maturities(path: Path, wide: Wide) -> dict[str, int]:
    """Map published columns to maturities in months; other columns (parameters, forwards) are ignored."""
    found = {}
    for name in wide.columns:
        if months := _LIU_WU.match(name):
            found[name] = int(months.group(1))
        elif years := _GSW.match(name):
            found[name] = 12 * int(years.group(1))
    absent = [year for year in range(1, NEEDED_YEARS + 1) if 12 * year not in found.values()]
    if absent:
        years_spelled = [f"zero yield of {year} years ('{12 * year} m' or 'SVENY{year:02d}')" for year in absent]
        raise missing_columns(path, wide, years_spelled)
    return found


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """Every file of the folder is the zero curve, and must reach eleven years."""
    _maturities(path, find_section(path, rows))
    return (TABLE,)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read month, date, maturity and yield; a month dated without a day gets its last day."""
    wide = find_section(path, rows)
    maturities = _maturities(path, wide)
    chosen = Wide(columns=tuple(maturities), frame=wide.frame.select("line", "date", *maturities), monthly=wide.monthly)
    long = long_columns(path, chosen, codes=MISSING)
    if not wide.monthly:
        long = long.filter(pl.col("date") == pl.col("date").max().over("month"))
    day = pl.col("date").dt.month_end() if wide.monthly else pl.col("date")
    maturity = pl.col("portfolio").replace_strict(maturities, return_dtype=pl.Int32)
    staged = long.select("month", day.alias("date"), maturity.alias("maturity_months"), zero_yield="return_pct")
    return {TABLE.name: staged}


LAYOUT = Layout(
    folder="treasury",
    prefix="treasury.",
    recognise=recognise,
    read=read,
    wants={TABLE.name: "treasury/zero_yields.csv"},
)
