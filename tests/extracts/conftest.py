"""An empty extracts folder and a way to drop files into it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from resources.extracts import ExtractStore


@pytest.fixture
def store(tmp_path: Path) -> ExtractStore:
    (tmp_path / "extracts").mkdir()
    return ExtractStore(tmp_path / "extracts", tmp_path / "staged")


@pytest.fixture
def drop(store: ExtractStore) -> Callable[..., Path]:
    """Write a file below the extracts folder: text, bytes or a frame by the extension."""

    def write(name: str, content: str | bytes | pl.DataFrame) -> Path:
        path = store.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pl.DataFrame):
            if name.lower().endswith(".parquet"):
                content.write_parquet(path)
                return path
            content = content.write_csv()
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw, mtime=0) if name.lower().endswith(".gz") else raw)
        return path

    return write
