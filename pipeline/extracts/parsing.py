"""Text cells as dates and numbers, refusing what is neither.

Belongs here: the spellings of dates and of missing numbers that vendors use. Does not: which columns a table has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.rows import LINE

MISSING_TEXT = ("", ".", "na", "n/a", "nan", "none", "null", "#n/a")
DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%m/%d/%Y")
FIRST_DAY, LAST_DAY = date(1800, 1, 1), date(2200, 12, 31)
"""No vendor's table holds a day outside these: such a date is a slip of the pen (0202 for 2020)."""


def date_of(text: pl.Series) -> pl.Series:
    """Parse dates written as yyyymm, yyyy-mm, yyyymmdd, ISO, yyyy/m/d or m/d/yyyy; a time of day is cut off.

    A month without a day gives its first day; anything else, and a day outside `FIRST_DAY` to `LAST_DAY`, gives null.
    """
    # A file writes its dates in one way, nearly always, and the first cell shows which; the general way below, which
    # takes every cell apart, takes twenty times as long.
    alike = next((one for shape, one in _SHAPES.items() if text.len() and re.match(shape, text[0] or "")), None)
    if alike is not None:
        parsed = text.to_frame("text").select(_plausible(alike)).to_series().alias(text.name)
        if not parsed.null_count():
            return parsed
    return text.to_frame("text").select(_plausible(_ANY)).to_series().alias(text.name)


def _plausible(day: pl.Expr) -> pl.Expr:
    return pl.when(day.is_between(FIRST_DAY, LAST_DAY)).then(day)


def _any_of_the_formats() -> pl.Expr:
    day = pl.col("text").str.strip_chars().str.replace(r"[ T]\d{1,2}:.*$", "").str.replace(r"\.0$", "")
    month = day.str.replace(r"^(\d{4})-?(\d{2})$", "${1}-${2}-01")
    return pl.coalesce(month.str.to_date(form, strict=False) for form in DATE_FORMATS)


_ANY = _any_of_the_formats()
_YYYYMM = pl.when(pl.col("text").str.len_bytes() == 6).then(pl.col("text") + "01")
_SHAPES = {
    r"\d{4}-\d{1,2}-\d{1,2}$": pl.col("text").str.to_date("%Y-%m-%d", strict=False),
    r"\d{6}$": _YYYYMM.str.to_date("%Y%m%d", strict=False),
    r"\d{8}$": pl.col("text").str.to_date("%Y%m%d", strict=False),
    r"\d{4}/\d{1,2}/\d{1,2}$": pl.col("text").str.to_date("%Y/%m/%d", strict=False),
    r"\d{1,2}/\d{1,2}/\d{4}$": pl.col("text").str.to_date("%m/%d/%Y", strict=False),
}


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
    numbers = frame.with_columns(pl.col(columns).cast(pl.Float64, strict=False))
    blank = frame.select((pl.col(columns) == "").sum())
    infinite = numbers.select(pl.col(columns).is_infinite().any())
    for name in columns:
        # A column whose cells are all plain numbers or empty, as nearly all are, needs no second look.
        plain = numbers.get_column(name).null_count() == blank.get_column(name).item()
        if not plain or infinite.get_column(name).item():
            numbers = numbers.with_columns(_spelled_out(frame, name, file))
    return numbers.with_columns(missing_code(pl.col(name).fill_nan(None), codes).alias(name) for name in columns)


def _spelled_out(frame: pl.DataFrame, name: str, file: Path) -> pl.Series:
    """Numbers of a column with thousands separators and marks for missing."""
    text = pl.col(name).str.strip_chars().str.replace_all(",", "", literal=True)
    absent = text.str.to_lowercase().is_in(MISSING_TEXT)
    number = pl.when(absent).then(None).otherwise(text.cast(pl.Float64, strict=False))
    parsed = frame.select(number.alias(name), wrong=~absent & number.is_null())
    wrong = frame.filter(parsed.get_column("wrong"))
    _refuse(wrong, name, file, "holds what is no number", "correct or empty these cells")
    infinite = frame.filter(parsed.get_column(name).is_infinite())
    _refuse(infinite, name, file, "holds non-finite numbers", "correct or empty these cells")
    return parsed.get_column(name)


def with_dates(frame: pl.DataFrame, column: str, file: Path) -> pl.DataFrame:
    """Turn a text column into dates; a cell that is none raises ``BadExtract``, a blank one included."""
    days = date_of(frame.get_column(column))
    if days.null_count():
        spelled = "write dates as YYYY-MM-DD, YYYYMMDD, YYYYMM, YYYY/MM/DD or MM/DD/YYYY"
        _refuse(frame.filter(days.is_null()), column, file, "holds unparseable dates", spelled)
    return frame.with_columns(days)


def _refuse(wrong: pl.DataFrame, column: str, file: Path, problem: str, remedy: str) -> None:
    if wrong.height:
        shown = wrong.head(5).select(LINE, column).to_dicts()
        raise BadExtract(file=file, column=column, problem=problem, count=wrong.height, rows=shown, remedy=remedy)
