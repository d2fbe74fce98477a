"""PNG files of one byte a pixel, with a palette: small, exact, and written without another package."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # colour type: each pixel is an index into PLTE


def encode_png(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """Return the PNG of an image, uint8 (H, W) of indices into `palette`, uint8 (P, 3) sRGB, P of at most 256."""
    height, width = indices.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # a filter byte before each row: 0, as it is
    rows[:, 1:] = indices
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette.astype(np.uint8).tobytes())]
    chunks += [(b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def png_uri(indices: np.ndarray, palette: np.ndarray) -> str:
    """Return the same as a data URI."""
    return "data:image/png;base64," + base64.b64encode(encode_png(indices, palette)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
