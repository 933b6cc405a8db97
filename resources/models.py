"""The model store: the state of a model after each month, as safetensors with JSON text beside the arrays.

``models/<asset>/month=YYYY-MM.safetensors``. Belongs here: where states lie and how they are written. Does not: what a
state means (``pipeline.models``) and whether it is up to date (the manifest in the lake names its digest).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.models.storage import load_arrays, save_arrays
from resources.content import combine
from resources.lake import month_label, replace_file

Arrays = Mapping[str, NDArray[np.float64]]


class ModelStore:
    """States of recursive models below one folder, one file a month."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, asset: str, month: date) -> Path:
        """File of a state, whether it exists or not."""
        return self.folder / asset / f"month={month_label(month)}.safetensors"

    def save(self, asset: str, month: date, arrays: Arrays, text: Mapping[str, str]) -> str:
        """Write a state at once and return the digest of its content.

        Parameters
        ----------
        arrays : mapping of str to numpy.ndarray
            Exact to the last bit when read back.
        text : mapping of str to str
            Names, settings and flags.
        """
        replace_file(self.path(asset, month), lambda path: save_arrays(path, dict(arrays), dict(text)))
        return combine(
            [f"{name}{array.shape}{array.dtype}{array.tobytes().hex()}" for name, array in sorted(arrays.items())]
            + [f"{name}={value}" for name, value in sorted(text.items())]
        )

    def load(self, asset: str, month: date) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
        """Read a state as it was saved.

        Raises
        ------
        FileNotFoundError
            If no state of that month was saved.
        """
        path = self.path(asset, month)
        if not path.exists():
            raise FileNotFoundError(
                f"{asset} has no state for {month_label(month)}. Materialise it for that month before the next."
            )
        return load_arrays(path)
