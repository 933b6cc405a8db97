"""The logical content of a frame as one hash: what manifests and month digests compare.

Two frames with the same rows in any order and the same columns in any order have one hash, whatever file, chunking or
compression they came in. Belongs here: hashing. Does not: deciding what is out of date (``assets.building``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

_DIGEST_BYTES = 16


def combine(parts: Iterable[str]) -> str:
    """Hash an ordered sequence of strings; no two different sequences share their encoding."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Hash nested plain settings; the order of keys does not matter."""
    return combine([json.dumps(settings, sort_keys=True, default=str)])


def content_hash(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """Hash the rows of ``frame``, sorted by ``key``, and the names and types of its columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Any frame; a null differs from every value, NaN equals NaN.
    key : sequence of str
        Columns that identify a row. Rows with equal keys are compared in the order they have; so are all rows when
        the key is empty.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    ordered = frame.sort(list(key), maintain_order=True) if key else frame
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    digest.update(ordered.height.to_bytes(8, "little"))
    for column in sorted(ordered.get_columns(), key=lambda series: series.name):
        digest.update(f"{column.name}:{column.dtype}".encode())
        _update(digest, column.rechunk().to_arrow())
    return digest.hexdigest()


def _update(digest: Any, column: pa.Array) -> None:
    """Hash validity and values; what lies under a null is nobody's business."""
    digest.update(column.is_valid().cast(pa.uint8()).to_numpy())
    kind = column.type
    if pa.types.is_large_list(kind):
        digest.update(pc.fill_null(pc.list_value_length(column), 0).to_numpy())
        _update(digest, column.drop_null().flatten())
    elif pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        text = pc.fill_null(column.cast(pa.large_string()), "")
        digest.update(pc.binary_length(text).to_numpy())
        digest.update("".join(text.to_pylist()).encode())
    elif pa.types.is_boolean(kind):
        digest.update(pc.fill_null(column, False).cast(pa.uint8()).to_numpy())
    elif pa.types.is_temporal(kind):
        digest.update(pc.fill_null(column.view(f"int{kind.bit_width}"), 0).to_numpy())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        digest.update(pc.fill_null(column, 0).to_numpy())
    else:
        raise TypeError(f"a column of type {kind} has no canonical bytes")


def month_digests(frame: pl.DataFrame) -> dict[str, tuple[int, str]]:
    """Row count and digest of every month of a staged table, in one pass over its columns.

    Parameters
    ----------
    frame : polars.DataFrame
        Sorted by ``month`` and key; columns are text, dates and numbers. Hashing month by month with
        :func:`content_hash` takes ten to forty times as long.

    Returns
    -------
    dict of str to (int, str)
        Month ``YYYY-MM`` -> rows and 32 hexadecimal digits. A null differs from every value.
    """
    hashes: dict[str, Any] = {}
    runs = frame.get_column("month").rle().struct.unnest()
    months = [f"{month:%Y-%m}" for month in runs.get_column("value")]
    ends = runs.get_column("len").cum_sum().to_list()
    bounds = list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []
    for month, (start, end) in zip(months, bounds, strict=True):
        hashes[month] = hashlib.blake2b(f"{end - start}".encode(), digest_size=_DIGEST_BYTES)
    schema = frame.schema
    names = sorted(schema)
    plain = frame.select(_canonical(name, schema[name], part) for name in names for part in _PARTS)
    for name in names:
        label = f"{name}:{schema[name]}".encode()
        nulls = plain.get_column(f"{name}|null").to_numpy().tobytes()
        values = plain.get_column(f"{name}|value")
        if values.dtype == pl.String:
            text = "".join(values.to_list()).encode()
            at = np.concatenate(([0], plain.get_column(f"{name}|bytes").cum_sum().to_numpy()))
        else:
            text = values.to_numpy().tobytes()
            at = np.arange(frame.height + 1) * (len(text) // max(frame.height, 1))
        for month, (start, end) in zip(months, bounds, strict=True):
            hashes[month].update(label + nulls[start:end] + text[at[start] : at[end]])
    return {month: (end - start, hashes[month].hexdigest()) for month, (start, end) in zip(months, bounds, strict=True)}


_PARTS = ("null", "value", "bytes")


def _canonical(name: str, dtype: pl.DataType, part: str) -> pl.Expr:
    """Null flags, values without nulls, and bytes a value takes, of a column."""
    column = pl.col(name)
    if dtype == pl.String:
        # A mark after each cell keeps "ab", "c" apart from "a", "bc".
        value = column.fill_null("") + "\0"
        parts = {"null": column.is_null().cast(pl.UInt8), "value": value, "bytes": value.str.len_bytes().cast(pl.Int64)}
    else:
        value = column.to_physical().fill_null(0)
        parts = {"null": column.is_null().cast(pl.UInt8), "value": value, "bytes": pl.lit(0, dtype=pl.Int64)}
    return parts[part].alias(f"{name}|{part}")
