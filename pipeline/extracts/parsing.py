"""Text cells as dates and numbers, refusing what is neither.

Belongs here: the spellings of dates and of missing numbers that vendors use. Does not: which columns a table has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from pipeline.extracts.errors import BadExtract

MISSING_TEXT = ("", ".", "na", "n/a", "nan", "none", "null", "#n/a")
DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%m/%d/%Y")
FIRST_DAY, LAST_DAY = date(1800, 1, 1), date(2200, 12, 31)
"""No vendor's table holds a day outside these: such a date is a slip of the pen (0202 for 2020)."""
LINE = "line"
"""Name of the helper column that holds a cell's row number in its file, from 1."""


def date_of(text: pl.Expr) -> pl.Expr:
    """Parse dates written as yyyymm, yyyy-mm, yyyymmdd, ISO, yyyy/m/d or m/d/yyyy; a time of day is cut off.

    A month without a day gives its first day; anything else, and a day outside `FIRST_DAY` to `LAST_DAY`, gives null.
    """
    day = text.str.strip_chars().str.replace(r"[ T]\d{1,2}:.*$", "").str.replace(r"\.0$", "")
    month = day.str.replace(r"^(\d{4})-?(\d{2})$", "${1}-${2}-01")
    parsed = pl.coalesce(month.str.to_date(form, strict=False) for form in DATE_FORMATS)
    return pl.when(parsed.is_between(FIRST_DAY, LAST_DAY)).then(parsed)


def month_of(day: pl.Expr) -> pl.Expr:
    """First day of the month of a date."""
    return day.dt.truncate("1mo")


def missing_code(value: pl.Expr, codes: Sequence[float]) -> pl.Expr:
    """Null where the value, rounded to four decimals, is one of the vendor's codes for missing."""
    return pl.when(value.round(4).is_in(list(codes))).then(None).otherwise(value) if codes else value


def with_numbers(
    frame: pl.DataFrame, columns: Sequence[str], file: Path, *, codes: Sequence[float] = ()
) -> pl.DataFrame:
    """Turn text columns into 64-bit floats.

    Parameters
    ----------
    frame : polars.DataFrame
        Text columns and ``line``.
    columns : sequence of str
        Columns to turn; thousands separators are removed.
    file : Path
        For the message.
    codes : sequence of float
        Values that mean missing.

    Returns
    -------
    polars.DataFrame
        Missing texts, codes and NaN are null.

    Raises
    ------
    BadExtract
        If a cell is neither a number nor a missing mark, or is infinite.
    """
    text = {name: pl.col(name).str.strip_chars().str.replace_all(",", "", literal=True) for name in columns}
    absent = {name: cell.str.to_lowercase().is_in(MISSING_TEXT) for name, cell in text.items()}
    parsed = frame.with_columns(
        pl.when(absent[name]).then(None).otherwise(text[name].cast(pl.Float64, strict=False)).alias(f"{name}\0")
        for name in columns
    )
    for name in columns:
        wrong = parsed.filter(~absent[name] & pl.col(f"{name}\0").is_null())
        _refuse(wrong, name, file, "holds what is no number", "correct or empty these cells")
        infinite = parsed.filter(pl.col(f"{name}\0").is_infinite())
        _refuse(infinite, name, file, "holds non-finite numbers", "correct or empty these cells")
    numbers = [missing_code(pl.col(f"{name}\0").fill_nan(None), codes).alias(name) for name in columns]
    return parsed.with_columns(numbers).select(frame.columns)


def with_dates(frame: pl.DataFrame, column: str, file: Path) -> pl.DataFrame:
    """Turn a text column into dates; a cell that is none raises ``BadExtract``, a blank one included."""
    parsed = frame.with_columns(date_of(pl.col(column)).alias(f"{column}\0"))
    wrong = parsed.filter(pl.col(f"{column}\0").is_null())
    spelled = "write dates as YYYY-MM-DD, YYYYMMDD, YYYYMM, YYYY/MM/DD or MM/DD/YYYY"
    _refuse(wrong, column, file, "holds unparseable dates", spelled)
    return parsed.with_columns(pl.col(f"{column}\0").alias(column)).select(frame.columns)


def _refuse(wrong: pl.DataFrame, column: str, file: Path, problem: str, remedy: str) -> None:
    if wrong.height:
        shown = wrong.head(5).select(LINE, column).to_dicts()
        raise BadExtract(file=file, column=column, problem=problem, count=wrong.height, rows=shown, remedy=remedy)
