"""The vocabulary: what a staged table is and by what a user's files are recognised.

Belongs here: descriptions, no vendor. Does not: parsing (``reading``, ``wide``, ``tabular``) or the list of vendors
(``registry``).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dataframely as dy
import polars as pl

from pipeline.extracts.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Table:
    """One staged table.

    Attributes
    ----------
    name : str
        ``<vendor>.<table>``, e.g. ``french.factors_3``.
    key : tuple of str
        Columns that identify a row; rows are staged sorted by month and key.
    schema : type of dataframely.Schema
        Columns, types, ranges and primary key. ``month`` (first day of the month a row became known) is one of them.
    by_month : bool
        Staged as one file a month, for tables that don't fit in memory; else one file.
    snapshot : bool
        A cross-section a month: a month with fewer than half the rows of the month before is refused.
    published : mapping of str to str
        Staged column -> the vendor's name of it where they differ by more than case, for messages.
    lead : int
        Months by which the file dates a row later than ``month`` does, one number for all rows: says which staged month
        comes from which month of the file, and puts messages in the words of the file.
    """

    name: str
    key: tuple[str, ...]
    schema: type[dy.Schema]
    by_month: bool = False
    snapshot: bool = False
    published: Mapping[str, str] = field(default_factory=dict, hash=False)
    lead: int = 0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A folder whose files are each looked at, recognised by their contents, and parsed in memory.

    Attributes
    ----------
    folder : str
        Folder below the extracts' own.
    prefix : str
        What the names of all its tables begin with.
    recognise : callable
        ``(path, first rows) -> tables in the file``; empty for a file that is none of ours, ``BadExtract`` for one
        that ought to be and is not.
    read : callable
        ``(path, all rows) -> {table name: frame}`` with the columns of the tables' schemas, any order of rows.
    wants : mapping of str to str
        Table name -> the file a user is asked for; the entry ``""`` serves every other name of the prefix, with
        ``{}`` standing for what follows the prefix.
    sheets : tuple of str
        Names of the worksheet to read from a workbook, lower case, tried in order; else the first sheet.
    """

    folder: str
    prefix: str
    recognise: Callable[[Path, Rows], tuple[Table, ...]]
    read: Callable[[Path, Rows], dict[str, pl.DataFrame]]
    wants: Mapping[str, str]
    sheets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a tabular extract.

    Attributes
    ----------
    name : str
        The vendor's spelling; matched in any case and staged in lower case.
    kind : {"text", "number", "date", "time"}
        Numbers become 64-bit floats, text is stripped, a time is one of the day.
    missing : tuple of float
        Codes that mean missing in this column alone, as `Tabular.missing`.
    letters : bool
        Whether a single letter in the place of a number or a date is a missing value too, as SAS writes it.
    whole : bool
        Whether a text is a whole number that a tool may have taken for a decimal one: 12.0 is 12. A number that must
        be whole is refused where it is not.
    optional : bool
        Whether a file may lack the column, which then is null in all its rows.
    """

    name: str
    kind: Literal["text", "number", "date", "time"]
    missing: tuple[float, ...] = ()
    letters: bool = False
    whole: bool = False
    optional: bool = False


def columns(
    *,
    dates: Sequence[str] = (),
    texts: Sequence[str] = (),
    numbers: Sequence[str] = (),
    whole_numbers: Sequence[str] = (),
    optional: bool = False,
) -> tuple[Column, ...]:
    """Columns of the kinds that most are of, without codes of their own for missing."""
    return (
        *(Column(name=name, kind="date", optional=optional) for name in dates),
        *(Column(name=name, kind="text", optional=optional) for name in texts),
        *(Column(name=name, kind="number", optional=optional) for name in numbers),
        *(Column(name=name, kind="number", whole=True, optional=optional) for name in whole_numbers),
    )


@dataclass(frozen=True, kw_only=True)
class View:
    """A staged table as a function of a block (whole months of a tabular extract, columns in lower case)."""

    table: Table
    derive: Callable[[pl.DataFrame, tuple[Path, ...]], pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Tabular:
    """A plain table with named columns, one file or a folder of files, of any size.

    Attributes
    ----------
    stem : str
        File or folder name without extension, the vendor's table name.
    columns : tuple of Column
        Columns that must be there, or may be; others are ignored.
    date : str
        Name of the column that dates a row; rows are split by its month. Empty for a table without dates.
    views : tuple of View
        The staged tables it gives.
    missing : tuple of float
        Codes that mean missing in number columns, compared after rounding to four decimals (a code stored in single
        precision is still the code).
    first_day : bool
        Whether every date must be the first day of its month.
    reported : str
        Name of the date column by whose month rows are split in the place of ``date``, where it holds a day that is
        not before it; empty where there is none.
    delay : int
        Months after ``date`` by which rows are split that ``reported`` says nothing of.
    instead : tuple of str
        Date columns that are asked, in this order, where ``date`` is blank.
    undated : date, optional
        First day of the month of rows that no column dates; None where such rows are refused.
    """

    stem: str
    columns: tuple[Column, ...]
    date: str
    views: tuple[View, ...]
    missing: tuple[float, ...] = ()
    first_day: bool = False
    reported: str = ""
    delay: int = 0
    instead: tuple[str, ...] = ()
    undated: datetime.date | None = None

    @property
    def dated_by(self) -> tuple[str, ...]:
        """Columns whose first day that is not blank dates a row."""
        return tuple(name for name in (self.date, *self.instead) if name)
