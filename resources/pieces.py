"""Finished pieces of long work on one partition, so that what was killed goes on where it stopped.

``models/<asset>/.unfinished/month=YYYY-MM/<digest>/<name>.safetensors``. Belongs here: where pieces lie until the
partition is written. Does not: what a piece is (``pipeline``), when a partition is finished (``assets.building``).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from pipeline.models.storage import load_arrays, save_arrays
from resources.lake import month_label, replace_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]*")
_FOLDER = ".unfinished"


class PieceStore:
    """Pieces of one partition of one asset.

    Parameters
    ----------
    folder : pathlib.Path
        The model store's folder.
    asset : str
        The asset.
    month : datetime.date
        The partition.
    digest : str
        Of everything that the partition is made of. Pieces of another digest are those of other data, settings or code:
        they are never read and go with the first piece that is put.
    """

    def __init__(self, folder: Path, asset: str, month: date, digest: str) -> None:
        self._month = folder / asset / _FOLDER / f"month={month_label(month)}"
        self._folder = self._month / digest

    def get(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
        """Return the arrays and text of a finished piece; None where it is not there or cannot be read."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            return load_arrays(path)
        except SafetensorError:
            # A disk that was full: the piece is worked out again.
            path.unlink()
            return None

    def put(self, name: str, arrays: Mapping[str, np.ndarray], text: Mapping[str, str]) -> None:
        """Keep a finished piece; it is there wholly or not at all."""
        path = self._path(name)
        if not self._folder.exists():
            shutil.rmtree(self._month, ignore_errors=True)
        replace_file(path, lambda beside: save_arrays(beside, dict(arrays), dict(text)))

    def clear(self) -> None:
        """Remove all pieces of the partition, which is finished."""
        shutil.rmtree(self._month, ignore_errors=True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a piece: letters, digits, dots, hyphens and underscores only.")
        return self._folder / f"{name}.safetensors"
