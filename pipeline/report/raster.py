"""Matrices as small PNG images: a pixel a cell, where a rectangle a cell would make a page too big.

Belongs here: colours and bytes. Does not: axes and labels (``charts_sorts``).
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Eight bits a channel, red, green and blue, no filter but none, not interlaced (PNG specification, 11.2.2).
_DEPTH, _RGB = 8, 2


def coloured(
    values: NDArray[np.float64], low: float, high: float, palette: Sequence[str], absent: str
) -> NDArray[np.uint8]:
    """Turn numbers into colours.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        NaN where there is none.
    low, high : float
        Values of the first and the last colour; those beyond take the same.
    palette : sequence of str
        Colours ``#RRGGBB`` at equal distances, blended in between.
    absent : str
        Colour of NaN.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
    """
    stops = np.array([_channels(colour) for colour in palette], dtype=float)
    place = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1) * (len(stops) - 1)
    blended = np.stack([np.interp(place, np.arange(len(stops)), stops[:, k]) for k in range(3)], axis=-1)
    return np.where(np.isnan(values)[..., None], _channels(absent), np.rint(blended)).astype(np.uint8)


def _channels(colour: str) -> list[int]:
    return list(bytes.fromhex(colour.removeprefix("#")))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels as a PNG file.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue, the upper row first.
    """
    rows, columns, _ = pixels.shape
    lines = b"".join(b"\x00" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", columns, rows, _DEPTH, _RGB, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_url(image: bytes) -> str:
    """Return an image as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(image).decode()
