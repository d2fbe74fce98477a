"""How many bytes of samples a WAV file promises, and how many it holds.

libsndfile reads a truncated WAV as if it were merely shorter. Here the RIFF header is read apart, so that a
copy that was cut off can be told from a short recording. Microsoft's RIFF WAVE, and RF64 (EBU Tech 3306).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

# Writing to a pipe, a program cannot know the length: sox says just below 2^31 then, ffmpeg 2^32 - 1.
_UNKNOWN_LENGTH = 0x7FFF_0000


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
    """Return the data chunk of the WAV file at `path`; None where it is no WAV file or has no such chunk."""
    with open(path, "rb") as file:
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12))
        if riff not in (b"RIFF", b"RF64") or wave != b"WAVE":
            return None
        return _walk(file, os.fstat(file.fileno()).st_size)


def _walk(file: BinaryIO, file_size: int) -> DataChunk | None:
    """Step from chunk to chunk: a four-letter name, a 32-bit size, and the content, padded to even size."""
    size_64 = None
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            return DataChunk(promised=size if size_64 is None else size_64, present=file_size - file.tell())
        if name == b"ds64":
            size_64 = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            size -= 16
        file.seek(size + size % 2, os.SEEK_CUR)
    return None
