"""Raw G.722 files (ITU-T G.722 at 64 kbit/s): 16 kHz mono, one byte for two samples, no header.

Decoded through PyAV, which is imported only here and only when such a file is met.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from vqaudio.errors import AudioError

G722_RATE = 16000  # Hz


def count_frames(path: str | os.PathLike) -> int:
    """Return the number of samples in a G.722 file, which its size alone decides."""
    return 2 * os.path.getsize(path)


def decode_blocks(path: str | os.PathLike, block_frames: int, start: int, wanted: int) -> Iterator[np.ndarray]:
    """Yield samples `start` to `start + wanted` as float32 blocks of at most `block_frames`.

    The codec adapts to what came before, so decoding always begins at the first byte.
    """
    position = 0
    for samples in _decode(path):
        part = samples[max(0, start - position) : max(0, start + wanted - position)]
        position += len(samples)
        for first in range(0, len(part), block_frames):
            yield part[first : first + block_frames].astype(np.float32) / 32768.0
        if position >= start + wanted:
            return


def _decode(path: str | os.PathLike) -> Iterator[np.ndarray]:
    try:
        import av
    except ImportError as error:
        raise AudioError(path, "reading G.722 needs PyAV; install it with: pip install av") from error
    try:
        with av.open(str(path), format="g722") as container:
            for frame in container.decode(audio=0):
                yield frame.to_ndarray()[0]  # (samples,) int16
    except av.error.FFmpegError as error:
        raise AudioError(path, f"unreadable: {error}") from error
