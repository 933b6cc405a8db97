"""A store of pieces whose process ends after so many: for searches that must go on where they stopped."""

from __future__ import annotations

import numpy as np

from pipeline.sdf.search import PiecesInMemory


class Killed(Exception):
    """The process ended."""


class KilledAfter(PiecesInMemory):
    """Ends the process after so many pieces are kept."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.left = pieces

    def put(self, name: str, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
        super().put(name, arrays, text)
        self.left -= 1
        if not self.left:
            raise Killed
