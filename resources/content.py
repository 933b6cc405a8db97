"""The logical content of a frame as one hash: what manifests and month digests compare.

Two frames with the same rows in any order and the same columns in any order have one hash, whatever file, chunking or
compression they came in. Belongs here: hashing. Does not: deciding what is out of date (``assets.building``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
