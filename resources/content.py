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
        Columns that identify a row. Rows with equal keys are compared in the order they have.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    ordered = frame.sort(list(key), maintain_order=True) if key else frame
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    digest.update(ordered.height.to_bytes(8, "little"))
    for name in sorted(ordered.columns):
        column = ordered.get_column(name)
        digest.update(f"{name}:{column.dtype}".encode())
        _update(digest, column)
    return digest.hexdigest()


def _update(digest: Any, column: pl.Series) -> None:
    digest.update(column.is_null().cast(pl.UInt8).to_numpy().tobytes())
    dtype = column.dtype
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).fill_null("")
        digest.update(text.str.len_bytes().to_numpy().tobytes())
        digest.update("".join(text.to_list()).encode())
    elif isinstance(dtype, pl.List):
        digest.update(column.list.len().fill_null(0).to_numpy().tobytes())
        _update(digest, column.drop_nulls().explode())
    elif dtype.is_temporal():
        digest.update(column.to_physical().fill_null(0).to_numpy().tobytes())
    elif dtype == pl.Boolean:
        digest.update(column.fill_null(False).cast(pl.UInt8).to_numpy().tobytes())
    elif dtype.is_numeric():
        digest.update(column.fill_null(0).to_numpy().tobytes())
    else:
        raise TypeError(f"column {column.name!r} has type {dtype}, which has no canonical bytes")
