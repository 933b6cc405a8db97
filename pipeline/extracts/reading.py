"""Files of every accepted kind as rows of text cells.

Belongs here: extensions, compression, encodings, worksheets, truncated and corrupt files. Does not: what the cells
mean (``wide`` and the vendors' modules), nor tables that don't fit in memory (``tabular``).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

import fastexcel
import polars as pl

from pipeline.extracts.errors import BadExtract
from pipeline.extracts.rows import Rows

_SUFFIX = re.compile(r"\.(csv\.gz|csv|txt\.gz|txt|parquet|xlsx)$", re.IGNORECASE)
_BLANKS = " \t\v\f\x1c\x1d\x1e\x1f"
_CORRUPT = "export or download it again; the file is truncated or corrupt"
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


def suffix(path: Path | str) -> str | None:
    """Return the accepted extension of a file in lower case without its dot, or None."""
    found = _SUFFIX.search(_name(path))
    return found.group(1).lower() if found else None


def stem(path: Path | str) -> str:
    """Return the file's name without an accepted extension, as the user spelled it."""
    return _SUFFIX.sub("", _name(path))


def _name(path: Path | str) -> str:
    return path if isinstance(path, str) else path.name


def is_compressed(path: Path) -> bool:
    """Whether the file's extension says gzip."""
    return path.name.lower().endswith(".gz")


def read_rows(path: Path, sheets: tuple[str, ...] = ()) -> Rows:
    """Read a whole small file.

    Parameters
    ----------
    path : Path
        A file with an accepted extension.
    sheets : tuple of str
        Worksheets to prefer, lower case; else the first.

    Returns
    -------
    Rows
        Stripped cells. A Parquet file gives its column names as first row. Nulls and blanks are empty texts.

    Raises
    ------
    BadExtract
        If the file cannot be read to its end.
    """
    return _rows(path, sheets, -1)


def read_head(path: Path, sheets: tuple[str, ...], size: int) -> Rows:
    """Read the rows in the first ``size`` bytes of a file; other parameters and errors as `read_rows`."""
    return _rows(path, sheets, size)


def _rows(path: Path, sheets: tuple[str, ...], size: int) -> Rows:
    kind = suffix(path)
    if kind == "parquet":
        return _parquet_rows(path, head=size >= 0)
    if kind == "xlsx":
        return _workbook_rows(path, sheets)
    text = _text(path, size)
    if kind is not None and kind.startswith("txt"):
        separator = "\t" if "\t" in text else None
        return Rows.of([cell.strip() for cell in line.split(separator)] for line in text.splitlines())
    try:
        return _csv_rows(text)
    except csv.Error as error:
        raise BadExtract(file=path, problem=f"cannot be read as CSV ({error})", remedy=_CORRUPT) from error


def _csv_rows(text: str) -> Rows:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n") if text else []
    if '"' in text or max(map(len, lines), default=0) > csv.field_size_limit():
        return Rows.of([cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline="")))
    # Without a quotation mark a comma always parts two cells; the loop above takes ten times as long.
    cells = pl.Series(lines, dtype=pl.String).str.split(",")
    plain = text.isascii() and not any(blank in text for blank in _BLANKS)
    return Rows(cells if plain else cells.list.eval(pl.element().str.strip_chars()))


def _text(path: Path, size: int) -> str:
    opener = gzip.open if is_compressed(path) else open
    try:
        with opener(path, "rb") as stream:
            raw = stream.read(size)
    except _GZIP_ERRORS as error:
        raise BadExtract(file=path, problem=f"cannot be decompressed ({error})", remedy=_CORRUPT) from error
    except OSError as error:
        raise BadExtract(
            file=path, problem=f"cannot be read ({error})", remedy="check the file and its rights"
        ) from error
    if b"\0" in raw:
        raise BadExtract(file=path, problem="holds bytes that are no text", remedy=_CORRUPT)
    if len(raw) == size:
        raw = raw[: raw.rfind(b"\n") + 1]
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Vendors' notes name Pástor in the Windows code page; every byte the numbers need is the same there.
        return raw.decode("cp1252", errors="replace")


def _parquet_rows(path: Path, *, head: bool) -> Rows:
    try:
        frame = pl.read_parquet(path, n_rows=5000 if head else None, hive_partitioning=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadExtract(file=path, problem=f"cannot be read as Parquet ({error})", remedy=_CORRUPT) from error
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    if nested:
        raise BadExtract(
            file=path, column=nested[0], problem="holds lists or bytes", remedy="write plain numbers, text and dates"
        )
    text = frame.with_columns(pl.all().cast(pl.String).fill_null("").str.strip_chars())
    return Rows(pl.concat([Rows.of([frame.columns]).cells, *_cells(text)]))


def _workbook_rows(path: Path, sheets: tuple[str, ...]) -> Rows:
    try:
        workbook = fastexcel.read_excel(path)
        names = {name.strip().lower(): name for name in workbook.sheet_names}
        chosen = next((names[name] for name in sheets if name in names), workbook.sheet_names[0])
        frame = workbook.load_sheet(chosen, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise BadExtract(file=path, problem=f"cannot be read as a workbook ({error})", remedy=_CORRUPT) from error
    text = frame.with_columns(pl.all().fill_null("").str.strip_chars())
    return Rows(pl.concat([Rows.of([]).cells, *_cells(text)]))


def _cells(text: pl.DataFrame) -> list[pl.Series]:
    return [text.select(pl.concat_list(pl.all())).to_series()] if text.width else []


def check_gzip(path: Path) -> None:
    """Read a compressed file to its end and compare its checksum, in constant memory.

    A flipped bit often decompresses into other digits; only the checksum at the end tells.

    Raises
    ------
    BadExtract
        If the file is truncated or its checksum differs.
    """
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read(1 << 22):
                pass
    except _GZIP_ERRORS as error:
        raise BadExtract(file=path, problem=f"cannot be decompressed ({error})", remedy=_CORRUPT) from error
