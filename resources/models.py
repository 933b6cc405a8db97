"""The model store: the state of a model after each month, as safetensors with JSON text beside the arrays.

``models/<asset>/month=YYYY-MM/<digest>.safetensors``. Belongs here: where states lie and how they are written. Does
not: what a state means (``pipeline.models``) and whether it is up to date (the manifest in the lake names its digest).
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


class MissingState(LookupError):
    """The state that a manifest names is not in the store, or is not what it was."""


class ModelStore:
    """States of recursive models below one folder, named by month and content.

    A state is written before the manifest that names it, and its predecessor removed after: whatever a crash leaves
    behind, a manifest names a state of its own build.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, asset: str, month: date, digest: str) -> Path:
        """File of a state, whether it exists or not."""
        return self.folder / asset / f"month={month_label(month)}" / f"{digest}.safetensors"

    def save(self, asset: str, month: date, arrays: Arrays, text: Mapping[str, str]) -> str:
        """Write a state at once and return the digest of its content.

        Parameters
        ----------
        arrays : mapping of str to numpy.ndarray
            Exact to the last bit when read back.
        text : mapping of str to str
            Names, settings and flags.
        """
        digest = _digest(arrays, text)
        replace_file(self.path(asset, month, digest), lambda path: save_arrays(path, dict(arrays), dict(text)))
        return digest

    def holds(self, asset: str, month: date, digest: str) -> bool:
        """Whether a state is there."""
        return self.path(asset, month, digest).exists()

    def keep_only(self, asset: str, month: date, digest: str) -> None:
        """Remove what earlier builds of the month left."""
        kept = self.path(asset, month, digest)
        for path in kept.parent.iterdir():
            if path != kept:
                path.unlink()

    def load(self, asset: str, month: date, digest: str) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
        """Read a state as it was saved.

        Raises
        ------
        MissingState
            If it is not there, or its content is not what its name says.
        """
        path = self.path(asset, month, digest)
        if not path.exists():
            raise MissingState(
                f"{asset} has lost its state of {month_label(month)}. Materialise it for that month again."
            )
        arrays, text = load_arrays(path)
        if _digest(arrays, text) != digest:
            path.unlink()
            raise MissingState(
                f"the state of {asset} for {month_label(month)} was damaged and has been removed. Materialise it again."
            )
        return arrays, text


def _digest(arrays: Arrays, text: Mapping[str, str]) -> str:
    return combine(
        [f"{name}{array.shape}{array.dtype}{array.tobytes().hex()}" for name, array in sorted(arrays.items())]
        + [f"{name}={value}" for name, value in sorted(text.items())]
    )
