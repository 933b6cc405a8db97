"""Arrays and text of a fitted model in one safetensors file, exactly and reproducibly.

Here belong the file format and the names of what is kept of several things at once; what a model keeps is decided by
its own ``to_arrays`` and ``from_arrays``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

_TEXT = "text"

_Value = TypeVar("_Value")


def below(values: Mapping[str, _Value], prefix: str) -> dict[str, _Value]:
    """Return the values whose names begin with a prefix, which is taken off."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def save_arrays(path: Path, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
    """Write arrays and strings; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
        File to write; its folder must exist.
    arrays : dict
        Named arrays, stored in C order and in full precision.
    text : dict
        Named strings. They share one JSON document, because the format does not order several metadata keys.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, path, metadata={_TEXT: json.dumps(text, sort_keys=True)})


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read what :func:`save_arrays` wrote.

    Raises
    ------
    ValueError
        If the file carries no text of ours.
    """
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if _TEXT not in metadata:
            raise ValueError(f"{path} is not a stored model: it has no {_TEXT!r} metadata")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata[_TEXT])  # noqa: SIM118
