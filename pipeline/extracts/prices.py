"""Daily prices of an index or fund: the yfinance layout and CBOE's.

Belongs here: ``prices/VIX.csv``, ``LQD.csv``, ``SPY.csv`` and their like. Does not: CRSP (``crsp``). Without an
``Adj Close`` column the close is taken as adjusted already: yfinance's own adjusted download has none, and CBOE's
levels of an index need no adjustment. Volume is null where the layout has none.
"""

from __future__ import annotations

from pathlib import Path

import dataframely as dy
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.reading import stem
from pipeline.extracts.rows import Rows
from pipeline.extracts.table import Layout, Table
from pipeline.extracts.wide import find_section, missing_columns, tidy_columns, value_columns

_NEEDED = ("open", "high", "low", "close")
_PREAMBLE = ("ticker", "date")


class Prices(dy.Schema):
    """Daily prices; a day without any price is absent."""

    date = dy.Date(primary_key=True)
    month = dy.Date()
    open = dy.Float64(nullable=True, min_exclusive=0.0)
    high = dy.Float64(nullable=True, min_exclusive=0.0)
    low = dy.Float64(nullable=True, min_exclusive=0.0)
    close = dy.Float64(nullable=True, min_exclusive=0.0)
    adj_close = dy.Float64(nullable=True, min_exclusive=0.0)
    volume = dy.Float64(nullable=True, min=0.0)


def _table(path: Path) -> Table:
    # CBOE calls its download VIX_History.csv.
    name = stem(path).upper().removesuffix("_HISTORY")
    return Table(name=f"prices.{name}", key=("date",), schema=Prices, published={"adj_close": "Adj Close"})


def _without_preamble(rows: Rows) -> Rows:
    """Blank yfinance's second and third header lines (``Ticker,...`` and ``Date,,``), keeping line numbers."""
    begins = [cell.lower() for cell in rows.first.head(3)]
    if begins[:1] != ["price"]:
        return rows
    return rows.blanked([line for line in range(1, len(begins)) if begins[line] in _PREAMBLE])


def recognise(path: Path, rows: Rows) -> tuple[Table, ...]:
    """One table a file, named after the file in upper case."""
    if not rows.filled.any():
        raise BadExtract(file=path, problem="holds no rows", count=0, remedy="download it again")
    return (_table(path),)


def read(path: Path, rows: Rows) -> dict[str, pl.DataFrame]:
    """Read daily prices in either layout."""
    wide = find_section(path, _without_preamble(rows))
    published = tidy_columns(wide)
    absent = [name.capitalize() for name in _NEEDED if name not in published]
    if absent:
        raise missing_columns(path, wide, absent)
    names = {published[name]: name for name in (*_NEEDED, "adj_close", "volume") if name in published}
    frame = value_columns(path, wide, names)
    if "adj_close" not in published:
        frame = frame.with_columns(adj_close=pl.col("close"))
    if "volume" not in published:
        frame = frame.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    return {_table(path).name: frame.select(Prices.column_names())}


LAYOUT = Layout(folder="prices", prefix="prices.", recognise=recognise, read=read, wants={"": "prices/{}.csv"})
