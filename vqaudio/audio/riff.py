"""How many bytes of samples a WAV or AIFF file promises, and how many it holds.

libsndfile reads a truncated file of these kinds as if it were merely shorter. Here the header is read apart,
so that a copy that was cut off can be told from a short recording. Microsoft's RIFF WAVE, RF64 (EBU Tech
3306), and AIFF, which is the same with the bytes of numbers the other way round.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

# Writing to a pipe, a program cannot know the length: sox says just below 2^31 then, ffmpeg 2^32 - 1.
_UNKNOWN_LENGTH = 0x7FFF_0000
_SIZES = {b"RIFF": "<I", b"RF64": "<I", b"FORM": ">I"}  # how each kind of file writes the size of a chunk
_CONTENTS = (b"WAVE", b"AIFF", b"AIFC")
_SAMPLES = (b"data", b"SSND")  # the chunk that holds the samples, in WAV and in AIFF


@dataclass(frozen=True)
class DataChunk:
    """The sample bytes a header promises, and those that follow it in the file."""

    promised: int
    present: int

    @property
    def missing(self) -> int:
        """Bytes promised but absent; 0 where the header was written to a pipe and leaves the length open."""
        if self.promised >= _UNKNOWN_LENGTH and self.present < _UNKNOWN_LENGTH:
            return 0
        return max(0, self.promised - self.present)


def find_data_chunk(path: str | os.PathLike) -> DataChunk | None:
    """Return the chunk of samples in the file at `path`; None where it is no WAV or AIFF or has none."""
    with open(path, "rb") as file:
        kind, _, content = struct.unpack("<4sI4s", file.read(12).ljust(12))
        if kind not in _SIZES or content not in _CONTENTS:
            return None
        return _walk(file, _SIZES[kind], os.fstat(file.fileno()).st_size)


def _walk(file: BinaryIO, size_format: str, file_size: int) -> DataChunk | None:
    """Step from chunk to chunk: a four-letter name, a 32-bit size, and the content, padded to even size."""
    size_64 = None
    while len(header := file.read(8)) == 8:
        name, size = header[:4], struct.unpack(size_format, header[4:])[0]
        if name in _SAMPLES:
            return DataChunk(promised=size if size_64 is None else size_64, present=file_size - file.tell())
        if name == b"ds64":
            size_64 = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            size -= 16
        file.seek(size + size % 2, os.SEEK_CUR)
    return None
