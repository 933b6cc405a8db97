"""What a parsed table must satisfy before it is staged.

Belongs here: keys, ranges, finite numbers, empty tables, shrunken snapshots, in sentences. Does not: parsing. The rules
are those of each table's dataframely schema; this module counts their failures over all blocks of a table and words
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.extracts.errors import SHOWN_ROWS, BadExtract
from pipeline.extracts.table import Table
from pipeline.panel.rules import holds

_RULES = {
    "nullability": ("is empty", "fill these cells or leave the rows out"),
    "inf": ("holds non-finite numbers", "correct or empty these cells"),
    "nan": ("holds NaN", "correct or empty these cells"),
    "check__gvkey": ("is no company key of up to six digits", "write the gvkey as the vendor does"),
    "check__interval": ("ends before it starts", "correct these days, or leave the rows out"),
    "check__cusip": ("is no CUSIP of eight or nine characters", "write the CUSIP as the vendor does"),
}
_OURS = ("event", "copy")
"""Key columns that staging adds and no file has: messages don't name them."""
_RETURN_REMEDY = "check the units and the codes for missing values"


class Inspection:
    """Failures of one table's schema, gathered block by block.

    Parameters
    ----------
    table : Table
        What is inspected.
    files : sequence of Path
        Its files, for the message.
    """

    def __init__(self, table: Table, files: Sequence[Path]) -> None:
        self._table = table
        self._files = tuple(files)
        self._counts: dict[str, int] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def take(self, block: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a block that satisfy the schema, columns in its order, sorted by month and key.

        Failing rows are counted; `refuse_failures` raises for them.
        """
        block = block.select(self._table.schema.column_names())
        if holds(self._table.schema, block):
            return block.sort(self._order)
        result, failure = self._table.schema.filter(block)
        if failure:
            details = failure.details()
            for rule, count in failure.counts().items():
                self._counts[rule] = self._counts.get(rule, 0) + count
                kept = self._rows.setdefault(rule, [])
                if len(kept) < SHOWN_ROWS:
                    shown = self._shown(rule)
                    wrong = details.filter(pl.col(rule).cast(pl.String) == "invalid")
                    ordered = wrong.sort(list(dict.fromkeys((*self._order, *shown))))
                    kept += ordered.select(shown).head(SHOWN_ROWS - len(kept)).to_dicts()
        return result.sort(self._order)

    def refuse_failures(self) -> None:
        """Raise `BadExtract` for the rule that most rows break."""
        if not self._counts:
            return
        # An empty key cell breaks the key too: name the cause.
        ranked = sorted(self._counts, key=lambda rule: (rule == "primary_key", -self._counts[rule], rule))
        rule = ranked[0]
        column, problem, remedy = self._worded(rule)
        raise BadExtract(
            file=self._files,
            column=column,
            problem=problem,
            count=self._counts[rule],
            rows=[self._in_words_of_file(row) for row in self._rows[rule]],
            remedy=remedy,
        )

    @property
    def _order(self) -> list[str]:
        return list(dict.fromkeys(("month", *self._table.key)))

    def _published(self, column: str) -> str:
        return self._table.published.get(column, column)

    def _in_words_of_file(self, row: Mapping[str, Any]) -> dict[str, Any]:
        dated = {name: month_in_file(self._table, value) if name == "month" else value for name, value in row.items()}
        return {self._published(name): value for name, value in dated.items()}

    def _shown(self, rule: str) -> list[str]:
        column = rule.split("|")[0]
        names = self._table.schema.column_names()
        # A table of months may hold the day that its file dates the row by: show that, as the file does.
        key = [self._published(name) if self._published(name) in names else name for name in self._table.key]
        mine = [name for name in key if name not in _OURS]
        return list(dict.fromkeys((*mine, *((column,) if "|" in rule else ()))))

    def _worded(self, rule: str) -> tuple[str, str, str]:
        if "|" not in rule:
            key = [name for name in self._table.key if name not in _OURS]
            column = ", ".join(self._published(name) for name in key)
            return column, "duplicate key", f"keep one row for each {', '.join(key)}"
        column, kind = rule.split("|", 1)
        if kind in _RULES:
            return self._published(column), *_RULES[kind]
        bound = getattr(self._table.schema.columns()[column], kind, None)
        if kind == "min" and bound in (-1.0, -100.0):
            unit = "" if bound == -1.0 else " (-100 percent)"
            return self._published(column), f"holds returns below -1{unit}", _RETURN_REMEDY
        words = {"min": "below", "min_exclusive": "at or below", "max": "above", "max_exclusive": "at or above"}
        return self._published(column), f"holds values {words.get(kind, kind)} {bound}", "correct or empty these cells"


def month_in_file(table: Table, month: date) -> date:
    """Month by which the file dates the rows staged under ``month``."""
    years, months = divmod(month.month - 1 + table.lead, 12)
    return date(month.year + years, months + 1, 1)


def refuse_empty(table: Table, rows: int, files: Sequence[Path]) -> None:
    """Raise `BadExtract` for a table without rows."""
    if rows == 0:
        raise BadExtract(
            file=tuple(files),
            problem=f"holds no rows for {table.name}",
            count=0,
            remedy="drop in a file with data, or remove it",
        )


def refuse_shrunken_months(table: Table, rows: Mapping[date, int], files: Sequence[Path]) -> None:
    """Refuse a snapshot table in which a month has fewer than half the rows of the calendar month before.

    The last month is checked too: an export that was cut short ends in such a month. A month without any row between
    two that have some counts as one with none.

    Parameters
    ----------
    table : Table
        Only a table with ``snapshot`` is checked.
    rows : mapping of date to int
        Rows a month.
    files : sequence of Path
        For the message.

    Raises
    ------
    BadExtract
        Naming the months as the file dates them.
    """
    if not table.snapshot or not rows:
        return
    months = pl.date_range(min(rows), max(rows), interval="1mo", eager=True).to_list()
    counts = [rows.get(month, 0) for month in months]
    named = table.published.get("month", "month")
    shrunken: list[dict[str, Any]] = [
        {named: month_in_file(table, month), "rows": now, "rows of the month before": before}
        for month, now, before in zip(months[1:], counts[1:], counts[:-1], strict=True)
        if now < before / 2
    ]
    if shrunken:
        raise BadExtract(
            file=tuple(files),
            column=named,
            problem=f"{len(shrunken)} month(s) of {table.name} have fewer than half the rows of the month before",
            count=sum(row["rows"] for row in shrunken),
            rows=shrunken,
            remedy="export these months again and whole",
        )
