"""Whether an Ogg file (Vorbis, Opus) has its end.

Ogg says nowhere how long a stream is: a file that was cut off reads as a shorter one. But its last page
carries an end-of-stream flag (RFC 3533, section 6).
"""

from __future__ import annotations

import os

_MAX_PAGE_BYTES = 27 + 255 + 255 * 255  # header, segment table, segments
_END_OF_STREAM = 0x04


def lacks_end(path: str | os.PathLike) -> bool:
    """Tell whether the file at `path` is an Ogg file that breaks off before the end of its stream."""
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return False
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MAX_PAGE_BYTES))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    return len(page) < _page_length(page) or not page[5] & _END_OF_STREAM


def _page_length(page: bytes) -> int:
    """Return how many bytes a page has: a header of 27, the sizes of its segments, and the segments."""
    if len(page) < 27:
        return 27
    segments = page[26]
    return 27 + segments + sum(page[27 : 27 + segments])
