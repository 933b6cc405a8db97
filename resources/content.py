"""The logical content of a frame as one hash: what manifests and month digests compare.

Two frames with the same rows in any order and the same columns in any order have one hash, whatever file, chunking or
compression they came in. Belongs here: hashing. Does not: deciding what is out of date (``assets.building``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

_DIGEST_BYTES = 16
_NUMBERS = frozenset({pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64})


def combine(parts: Iterable[str]) -> str:
    """Hash an ordered sequence of strings; no two different sequences share their encoding."""
    return combine_pieces(map(piece, parts))


def piece(part: str) -> bytes:
    """Encode one string of a sequence that :func:`combine_pieces` hashes."""
    encoded = part.encode()
    return len(encoded).to_bytes(8, "little") + encoded


def combine_pieces(pieces: Iterable[bytes]) -> str:
    """:func:`combine` of strings that are encoded already: windows of months share most of theirs."""
    return hashlib.blake2b(b"".join(pieces), digest_size=_DIGEST_BYTES).hexdigest()


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Hash nested plain settings; the order of keys does not matter."""
    return combine([json.dumps(settings, sort_keys=True, default=str)])


def content_hash(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """Hash the rows of ``frame``, sorted by ``key``, and the names and types of its columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Any frame of text, dates, numbers, flags and lists of decimal numbers; a null differs from every value.
    key : sequence of str
        Columns that identify a row. Rows with equal keys are compared in the order they have; so are all rows when
        the key is empty.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    ordered = frame.sort(list(key), maintain_order=True) if key else frame
    (digest,) = _digests(ordered, [ordered.height])
    return digest


def month_digests(frame: pl.DataFrame) -> dict[date, tuple[int, str]]:
    """Row count and content of every month of a frame, in one pass over its columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Sorted by ``month`` and key. Hashing month by month takes ten to forty times as long.

    Returns
    -------
    dict of date to (int, str)
        Month -> rows and :func:`content_hash` of them.
    """
    runs = frame.get_column("month").rle().struct.unnest()
    lengths = runs.get_column("len").to_list()
    described = zip(runs.get_column("value").to_list(), lengths, _digests(frame, lengths), strict=True)
    return {month: (rows, digest) for month, rows, digest in described}


def month_contents(frame: pl.DataFrame, months: Iterable[date]) -> dict[date, str]:
    """:func:`content_hash` of the rows of each month, also of one without rows; ``frame`` as in `month_digests`."""
    described, wanted = month_digests(frame), list(months)
    nothing = "" if described.keys() >= set(wanted) else content_hash(frame.clear(), [])
    return {month: described[month][1] if month in described else nothing for month in wanted}


def _digests(frame: pl.DataFrame, lengths: Sequence[int]) -> list[str]:
    """Digests of consecutive runs of rows, whose lengths add up to the frame's."""
    bounds = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    hashes = [hashlib.blake2b(f"{length}".encode(), digest_size=_DIGEST_BYTES) for length in lengths]
    schema = frame.schema
    names = sorted(schema)
    # Numbers without a null are their own canonical bytes, and a select of hundreds of columns takes its time.
    as_they_are = {name for name in names if schema[name] in _NUMBERS and not frame.get_column(name).null_count()}
    others = [name for name in names if name not in as_they_are]
    plain = frame.select(part for name in others for part in _canonical(name, schema[name]))
    without_null = memoryview(bytes(frame.height)), bounds.tolist()
    for name in names:
        label = f"{name}:{schema[name]}".encode()
        if name in as_they_are:
            pieces = [without_null, _bytes(frame.get_column(name), bounds)]
        else:
            pieces = [_bytes(plain.get_column(f"{name}|{part}"), bounds) for part in ("null", "value")]
        for digest, run in zip(hashes, range(len(lengths)), strict=True):
            digest.update(label)
            for values, ends in pieces:
                digest.update(values[ends[run] : ends[run + 1]])
    return [digest.hexdigest() for digest in hashes]


def _bytes(values: pl.Series, bounds: np.ndarray) -> tuple[memoryview, list[int]]:
    """Bytes of a column without nulls, and where the cells at ``bounds`` begin in them."""
    if values.dtype not in (pl.String, pl.List):
        plain = values.to_numpy()
        return plain.data.cast("B"), (bounds * plain.itemsize).tolist()
    cells = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = np.frombuffer(cells.buffers()[1] or b"", dtype=np.int64)
    at = offsets[cells.offset + bounds] if len(cells) else bounds
    if values.dtype == pl.List:
        inner = np.ascontiguousarray(cells.values.to_numpy())
        return inner.data.cast("B"), (at * inner.itemsize).tolist()
    return memoryview(cells.buffers()[2] or b""), at.tolist()


@lru_cache(maxsize=4096)
def _canonical(name: str, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """Null flags (of a list: its length, and -1 for null), and values without nulls, of a column."""
    column = pl.col(name)
    null = column.is_null().cast(pl.UInt8)
    if dtype == pl.String:
        # A mark after each cell keeps "ab", "c" apart from "a", "bc".
        value = column.fill_null("") + "\0"
    elif dtype == pl.List(pl.Float64):
        null, value = column.list.len().cast(pl.Int64).fill_null(-1), column.fill_null([])
    elif dtype == pl.Boolean:
        value = column.cast(pl.UInt8).fill_null(0)
    elif dtype.is_numeric() or dtype.is_temporal():
        value = column.to_physical().fill_null(0)
    else:
        raise TypeError(f"column {name} of type {dtype} has no canonical bytes")
    return null.alias(f"{name}|null"), value.alias(f"{name}|value")
