"""Whether an Ogg file (Vorbis, Opus) is whole.

libsndfile takes an Ogg file that was cut off for a shorter one, leaves out pages that were damaged, and of several
streams joined it reads the first. Ogg itself can tell: pages have checksums and numbers, and the last one carries an
end-of-stream flag (RFC 3533, section 6).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, granule, stream, number, checksum, segments
_END_OF_STREAM = 0x04
_BACKWARDS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _Page:
    flags: int
    stream: int
    number: int


def find_damage(file: BinaryIO) -> str | None:
    """Say what is wrong with the Ogg file open in `file`; None where it is whole, and where it is no Ogg file.

    Reads it once, page by page.
    """
    file.seek(0)
    if file.read(4) != b"OggS":
        return None
    file.seek(0)
    try:
        return _check_pages(_pages(file))
    except ValueError as error:
        return str(error)


def _check_pages(pages: Iterator[_Page]) -> str | None:
    stream, ended = None, False
    for count, page in enumerate(pages):
        stream = page.stream if stream is None else stream
        if page.stream != stream:
            return "several Ogg streams in one file, of which one alone would be read"
        if ended:
            return f"Ogg page {count} comes after the end of the stream"
        if page.number != count:
            return f"damaged: Ogg page {count} is missing"
        ended = bool(page.flags & _END_OF_STREAM)
    return None if ended else "truncated: the Ogg stream breaks off before its end"


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Yield all pages; raises ValueError for one that was cut off or does not have its checksum."""
    while header := file.read(_HEADER.size):
        if len(header) < _HEADER.size:
            raise ValueError("truncated: the Ogg stream breaks off before its end")
        magic, _, flags, _, stream, number, checksum, segments = _HEADER.unpack(header)
        if magic != b"OggS":
            raise ValueError(f"damaged: no Ogg page at byte {file.tell() - len(header)}, where one should begin")
        sizes = file.read(segments)
        body = file.read(sum(sizes))
        if len(sizes) < segments or len(body) < sum(sizes):
            raise ValueError("truncated: the Ogg stream breaks off before its end")
        if page_checksum(header[:22] + bytes(4) + header[26:] + sizes + body) != checksum:
            raise ValueError(f"damaged: Ogg page {number} does not have its checksum")
        yield _Page(flags, stream, number)


def page_checksum(page: bytes) -> int:
    """Return the checksum of a page whose own field for it is 0.

    It is CRC-32 like zlib's, but of the bits of each byte the other way round, and without inversions.
    """
    turned = zlib.crc32(page.translate(_BACKWARDS), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{turned:032b}"[::-1], 2)
