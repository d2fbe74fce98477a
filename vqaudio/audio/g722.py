"""Raw G.722 files (ITU-T G.722 at 64 kbit/s): 16 kHz mono, one byte for two samples, no header.

Decoded through PyAV, which is imported only here and only when such a file is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from vqaudio.errors import AudioError

G722_RATE = 16000  # Hz
_HEAD_BYTES = 64
AUDIO = {
    "WAV": b"RIFF", "RF64": b"RF64", "AIFF": b"FORM", "FLAC": b"fLaC", "Ogg": b"OggS", "MP3": b"ID3", "AU": b".snd",
    "CAF": b"caff", "W64": b"riff", "NIST SPHERE": b"NIST_1A",
}  # fmt: skip
"""What audio of other kinds begins with."""
_OTHERS = {
    "a ZIP archive": b"PK\x03\x04", "a JPEG image": b"\xff\xd8\xff", "a PNG image": b"\x89PNG",
    "a gzip archive": b"\x1f\x8b\x08",
}  # fmt: skip


def foreign_content(file: BinaryIO) -> str | None:
    """Return what a file is that is named as G.722 but begins as something else does; None where it may be G.722.

    Any bytes can be G.722; but 64 that are all letters of a text are so in none of 10^27 recordings.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    kind = next((kind for kind, magic in (AUDIO | _OTHERS).items() if head.startswith(magic)), None)
    is_text = len(head) == _HEAD_BYTES and all(32 <= byte < 127 or byte in b"\t\n\r" for byte in head)
    return kind or ("text" if is_text else None)


def decode_blocks(file: BinaryIO, path: str, block_frames: int, start: int, wanted: int) -> Iterator[np.ndarray]:
    """Yield samples `start` to `start + wanted` as float32 blocks (n, 1) of at most `block_frames`.

    `path` is what errors call the file. The codec adapts to what came before, so decoding always begins at the first
    byte.
    """
    position = 0
    for samples in _decode(file, path):
        part = samples[max(0, start - position) : max(0, start + wanted - position)]
        position += len(samples)
        for first in range(0, len(part), block_frames):
            yield part[first : first + block_frames, None].astype(np.float32) / 32768.0
        if position >= start + wanted:
            return


def _decode(file: BinaryIO, path: str) -> Iterator[np.ndarray]:
    try:
        import av
    except ImportError as error:
        raise AudioError(path, "reading G.722 needs PyAV; install it with: pip install av") from error
    file.seek(0)
    try:
        with av.open(file, format="g722") as container:
            for frame in container.decode(audio=0):
                yield frame.to_ndarray()[0]  # (samples,) int16
    except av.error.FFmpegError as error:
        raise AudioError(path, f"unreadable: {error}") from error
