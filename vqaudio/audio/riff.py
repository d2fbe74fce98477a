"""How many bytes of samples an uncompressed file promises, and how many it holds.

libsndfile reads a truncated file of these kinds as if it were merely shorter. Here the header is read apart, so that a
copy that was cut off can be told from a short recording, and a header that contradicts itself is found.

    WAV, RF64    Microsoft's RIFF WAVE; EBU Tech 3306. Chunks: four letters, a 32-bit size, the content
    AIFF         the same with the bytes of numbers the other way round
    W64          Sony's: 16-byte names, 64-bit sizes that count name and size too
    CAF          Apple's: four letters, a signed 64-bit size
    AU           Sun's: the size stands in a header of fixed form
    NIST         SPHERE: the header is text
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vqaudio.audio.files import open_audio
from vqaudio.errors import AudioError

# Writing to a pipe, a program cannot know the length: sox says just below 2^31 then, ffmpeg 2^32 - 1.
_UNKNOWN_LENGTH = 0x7FFF_0000
_SAMPLES = (b"data", b"SSND")  # the chunk that holds the samples, in WAV, RF64, W64 and CAF, and in AIFF
_MOST_CHUNKS = 1000
"""Chunks before the samples: a dozen is much, and each one costs time."""
# Format tags of WAV whose samples take a whole number of bytes each: PCM, float, A-law, mu-law; and "extensible".
_WHOLE_BYTES, _EXTENSIBLE = (1, 3, 6, 7), 0xFFFE


@dataclass(frozen=True)
class DataChunk:
    """The sample bytes a header promises, and those that follow it in the file.

    `frame_bytes` is what a sample of all channels takes, where the header says so and each takes as much.
    """

    promised: int
    present: int
    frame_bytes: int | None = None

    @property
    def missing(self) -> int:
        """Bytes promised but absent; 0 where the header was written to a pipe and leaves the length open."""
        return 0 if self._is_open else max(0, self.promised - self.present)

    @property
    def frames(self) -> int | None:
        """Samples per channel, where `frame_bytes` is known and nothing is missing."""
        size = self.present if self._is_open else self.promised
        return size // self.frame_bytes if self.frame_bytes else None

    @property
    def _is_open(self) -> bool:
        return self.promised >= _UNKNOWN_LENGTH and self.present < _UNKNOWN_LENGTH


def find_data_chunk(path: str | os.PathLike) -> DataChunk | None:
    """Return the chunk of samples in the file at `path`; None where it is of another kind or has none.

    Raises AudioError where the file cannot be read, or has a header that contradicts itself.
    """
    with open_audio(path) as file:
        return data_chunk_of(file, path)


def data_chunk_of(file: BinaryIO, path: str | os.PathLike) -> DataChunk | None:
    """Return the same of a file that is open; `path` is what an error calls it."""
    file.seek(0)
    head = file.read(24)
    size = os.fstat(file.fileno()).st_size
    try:
        if head[:4] in (b"RIFF", b"RF64", b"FORM") and head[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
            return _find_samples(file, size, _chunks(file, 12, ">I" if head[:4] == b"FORM" else "<I"))
        if head[:4] == b"riff" and len(head) == 24:
            return _find_samples(file, size, _w64_chunks(file))
        if head[:4] == b"caff":
            return _find_samples(file, size, _chunks(file, 8, ">Q"))
        if head[:4] in (b".snd", b"dns.") and len(head) == 24:
            start, promised = struct.unpack(">II" if head[:4] == b".snd" else "<II", head[4:12])
            return DataChunk(promised, max(0, size - start))
        return _nist(file, size) if head[:7] == b"NIST_1A" else None
    except ValueError as error:
        raise AudioError(path, f"a header that contradicts itself: {error}") from error


def _find_samples(file: BinaryIO, file_size: int, chunks: Iterator[tuple[bytes, int]]) -> DataChunk | None:
    """Return the chunk with the samples; of `chunks` (name, size) each is yielded with the file at its content."""
    size_64 = frame_bytes = None
    for count, (name, size) in enumerate(chunks):
        if name in _SAMPLES:
            return DataChunk(size if size_64 is None else size_64, file_size - file.tell(), frame_bytes)
        if name == b"ds64":
            size_64 = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        elif name == b"fmt " and size >= 16:
            frame_bytes = _frame_bytes(file.read(min(size, 40)))
        if count >= _MOST_CHUNKS:
            raise ValueError(f"more than {_MOST_CHUNKS} chunks before the samples")
    return None


def _chunks(file: BinaryIO, first: int, size_format: str) -> Iterator[tuple[bytes, int]]:
    """Step from chunk to chunk: a four-letter name, a size, and the content, padded to even size (in CAF, not)."""
    header_bytes, is_padded = 4 + struct.calcsize(size_format), size_format != ">Q"
    file.seek(first)
    while len(header := file.read(header_bytes)) == header_bytes:
        name, size, start = header[:4], struct.unpack(size_format, header[4:])[0], file.tell()
        yield name, size
        if size >= 1 << 62:  # in CAF, -1: up to the end of the file
            return
        file.seek(start + size + (size % 2 if is_padded else 0))


def _w64_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Step from chunk to chunk of a W64 file, each of which begins at a multiple of 8."""
    file.seek(40)
    while len(header := file.read(24)) == 24:
        start, size = file.tell(), struct.unpack("<Q", header[16:])[0]
        if size < 24:
            raise ValueError(f"a chunk of {size} bytes, expected at least 24")
        yield header[:4], size - 24
        if size >= 1 << 62:
            return
        file.seek(start - 24 + (size + 7) // 8 * 8)


def _frame_bytes(fmt: bytes) -> int | None:
    """Return the bytes of a sample of all channels that a WAV's `fmt ` chunk says, of samples of one size."""
    if len(fmt) < 16 or fmt[:16].count(0) == 16:
        return None
    tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", fmt[:16])
    if rate >> 24 and not rate & 0xFFFF:
        return None
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        tag = struct.unpack("<H", fmt[24:26])[0]
    if tag not in _WHOLE_BYTES or not channels:
        return None
    if block % channels or 8 * (block // channels) < bits or not block:
        raise ValueError(f"{channels} channels of {bits} bits cannot take {block} bytes together")
    return block


def _nist(file: BinaryIO, file_size: int) -> DataChunk | None:
    """Read the header of a SPHERE file: its size on the second line, then lines of `name -type value`."""
    file.seek(0)
    lines = file.read(1024).decode("latin-1").splitlines()
    values = {words[0]: words[2] for words in map(str.split, lines[2:]) if len(words) == 3}
    try:
        start = int(lines[1])
        frame_bytes = int(values["channel_count"]) * int(values["sample_n_bytes"])
        return DataChunk(int(values["sample_count"]) * frame_bytes, file_size - start)
    except (KeyError, IndexError, ValueError):
        return None
