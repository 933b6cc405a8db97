"""Images of matrices, decoded by the PNG specification written out here."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from pipeline.report.raster import coloured, data_url, png


def _decoded(image: bytes) -> np.ndarray:
    """Pixels of an unfiltered eight-bit RGB file; checks signature, lengths and checksums."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(image):
        (length,) = struct.unpack(">I", image[place : place + 4])
        kind, content = image[place + 4 : place + 8], image[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", image[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + content)
        chunks[kind], place = content, place + 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    columns, rows, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 2, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(rows, 1 + 3 * columns)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(rows, columns, 3)


def test_png_holds_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    image = png(pixels)
    np.testing.assert_array_equal(_decoded(image), pixels)
    assert base64.b64decode(data_url(image).removeprefix("data:image/png;base64,")) == image


def test_colours_are_blended_and_clipped() -> None:
    values = np.array([[-1.0, 0.0, 1.0], [-5.0, 0.5, np.nan]])
    found = coloured(values, -1.0, 1.0, ("#000000", "#646464", "#C80000"), "#FFFFFF")
    assert found[0].tolist() == [[0, 0, 0], [100, 100, 100], [200, 0, 0]]
    assert found[1].tolist() == [[0, 0, 0], [150, 50, 50], [255, 255, 255]]
