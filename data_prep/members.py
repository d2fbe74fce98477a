"""What is in an archive, tar or zip, member by member: hostile ones are refused, and memory stays small.

Members are read by the standard library's tarfile and zipfile, but never extracted by them: their own `extract` follows
links that an archive has made before, and the filter that forbids it (`filter="data"`) is missing in some versions of
Python that we support. Here a member is a path within the archive and its bytes; what makes files of them is in
`data_prep.archives`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from data_prep.fetch import BLOCK_BYTES, FetchError

MAX_DEPTH = 100
"""Folders below each other: the standard library removes folders by a recursion."""
MEMBER_BYTES = 4096
"""What a member counts besides its content, as on a disk: a million empty files are no empty archive."""
_MAX_HEADER = 1 << 16  # bytes of a tar header with its extensions: paths, times, attributes
_MAX_TARGET = 4096  # bytes of a link's target, as in Linux
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_TAIL = (1 << 16) + 200  # bytes of what ends a zip archive, a comment included
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """One entry of an archive, whatever its kind: a folder, a file of so many bytes, or a link to another entry."""

    path: PurePosixPath
    size: int = 0
    is_folder: bool = False
    target: PurePosixPath | None = None
    """What a link names, from the archive's root."""


class Allowance:
    """The bytes that an archive may become: FetchError for what is beyond."""

    def __init__(self, archive: Path, limit: int) -> None:
        self._archive, self._limit, self._left = archive, limit, limit

    def take(self, size: int) -> None:
        """Count `size` bytes and a member."""
        self._left -= size + MEMBER_BYTES
        if self._left < 0:
            self.refuse()

    def check(self, place: int) -> None:
        """Refuse an archive that goes on at the `place` of its bytes, unpacked but not divided into members."""
        if place > self._limit:
            self.refuse()

    def refuse(self) -> None:
        """Raise FetchError."""
        raise refused(self._archive, f"it holds more than {self._limit / 1e9:.1f} GB, too much for its size")


def refused(archive: Path, reason: str) -> FetchError:
    """Return the refusal of an archive."""
    return FetchError(f"{archive}: refused, because {reason}")


def announced_size(archive: Path) -> int:
    """Return the bytes that an archive says to become; where it does not say (a compressed tar), those that it has."""
    if not _is_zip(archive):
        return archive.stat().st_size
    with zipfile.ZipFile(archive) as zipped:
        return sum(entry.file_size for entry in zipped.infolist())


def members(archive: Path, allowance: Allowance) -> Iterator[tuple[Member, IO[bytes] | None]]:
    """Yield what is in an archive, a file with its content, which is to be read before the next one is asked for.

    Raises:
        FetchError: a hostile archive.
        Exception: a damaged one; the standard library's modules raise all kinds.
    """
    return _zip_members(archive, allowance) if _is_zip(archive) else _tar_members(archive, allowance)


def _is_zip(archive: Path) -> bool:
    # By how it begins: zipfile.is_zipfile also takes a tar whose last member is a zip.
    return _first_bytes(archive, 4) in _ZIP_MARKS


def _first_bytes(path: Path, count: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


# -------------------------------------------------------------------------------------------------- tar


def _tar_members(archive: Path, allowance: Allowance) -> Iterator[tuple[Member, IO[bytes] | None]]:
    opener = _OPENERS.get(_first_bytes(archive, 2), open)
    with opener(archive, "rb") as stream:
        source = _Forwards(stream, allowance)
        with source.header():
            tar = tarfile.TarFile(fileobj=source)
        while (entry := _next_entry(tar, source)) is not None:
            member = _tar_member(archive, entry)
            allowance.take(max(0, member.size))
            yield member, tar.extractfile(entry) if entry.isfile() else None
            tar.members.clear()  # it would keep them all
        if source.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError("it breaks off, or has a damaged header")
        while source.read(BLOCK_BYTES):
            pass  # the checksum of what is compressed comes last


def _next_entry(tar: tarfile.TarFile, source: _Forwards) -> tarfile.TarInfo | None:
    with source.header():
        entry = tar.next()
    if entry is not None and entry.size < 0:
        raise tarfile.ReadError(f"{entry.name!r} has {entry.size} bytes")
    return entry


def _tar_member(archive: Path, entry: tarfile.TarInfo) -> Member:
    path = _inside(archive, entry.name)
    if entry.isdir():
        return Member(path, is_folder=True)
    if entry.isfile():
        return Member(path, entry.size)
    if entry.issym():
        return Member(path, target=_inside(archive, f"{path.parent}/{entry.linkname}", entry.linkname))
    if entry.islnk():
        return Member(path, target=_inside(archive, entry.linkname))
    raise refused(archive, f"its member {entry.name!r} is neither file nor folder")


class _Forwards(io.RawIOBase):
    """A stream as tarfile wants it, that is read forwards alone, and only so far for a header.

    tarfile reads a header's extensions into memory, however large they say to be, and goes back where sizes are
    negative, for ever.
    """

    def __init__(self, stream: IO[bytes], allowance: Allowance) -> None:
        super().__init__()
        self._stream, self._allowance = stream, allowance
        self._place, self._header_left = 0, None
        self.last = b""
        """What was read last."""

    @contextmanager
    def header(self) -> Iterator[None]:
        """Let a header be read in the block, and nothing that is longer."""
        self._header_left = _MAX_HEADER
        yield
        self._header_left = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Skip bytes up to `place`."""
        if whence != io.SEEK_SET or place < self._place:
            raise tarfile.ReadError("a header leads backwards")
        while place > self._place and self._take(min(place - self._place, BLOCK_BYTES)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        if size < 0 or (self._header_left is not None and size > self._header_left):
            raise tarfile.ReadError(f"a header of more than {_MAX_HEADER} bytes")
        if self._header_left is not None:
            self._header_left -= size
        self.last = self._take(size)
        return self.last

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._place += len(data)
        self._allowance.check(self._place)
        return data


# -------------------------------------------------------------------------------------------------- zip


def _zip_members(archive: Path, allowance: Allowance) -> Iterator[tuple[Member, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as zipped:
        entries = zipped.infolist()
        if (stated := _stated_count(archive)) != len(entries):  # a damaged list may pass over some of them
            raise zipfile.BadZipFile(f"it lists {len(entries)} members, and says that it has {stated}")
        for entry in entries:
            path = _inside(archive, entry.filename)
            _check_zip_entry(archive, entry)
            is_link = stat.S_ISLNK(entry.external_attr >> 16)
            allowance.take(0 if is_link or entry.is_dir() else entry.file_size)
            if entry.is_dir():
                yield Member(path, is_folder=True), None
                continue
            with zipped.open(entry) as content:
                if not is_link:
                    yield Member(path, entry.file_size), content
                    continue
                target = content.read(_MAX_TARGET).decode("utf-8", "surrogateescape")
            yield Member(path, target=_inside(archive, f"{path.parent}/{target}", target)), None


def _stated_count(archive: Path) -> int:
    """Return how many members a zip archive says that it has, at its end (PKWARE, APPNOTE.TXT 4.3.14, 4.3.16)."""
    with open(archive, "rb") as file:
        file.seek(max(0, archive.stat().st_size - _ZIP_TAIL))
        tail = file.read()
    (count,) = struct.unpack_from("<H", tail, tail.rindex(b"PK\x05\x06") + 10)
    if count == 0xFFFF and b"PK\x06\x06" in tail:  # zip64: too many for two bytes
        (count,) = struct.unpack_from("<Q", tail, tail.rindex(b"PK\x06\x06") + 32)
    return count


def _check_zip_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & 0x1:
        raise FetchError(f"{archive}: its member {entry.filename!r} has a password; unpack it by hand")
    if entry.compress_type not in _PLAIN_METHODS:  # zipfile unpacks bzip2 and LZMA without a bound on its memory
        raise refused(
            archive, f"{entry.filename!r} is compressed by method {entry.compress_type}, expected 'deflate' or none"
        )


# ------------------------------------------------------------------------------------------------ paths


def _inside(archive: Path, name: str, shown: str | None = None) -> PurePosixPath:
    """Return a member's path without '.' and '..'; FetchError where it leads out of the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    shown = name if shown is None else shown
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or path.is_absolute():
            raise refused(archive, f"{shown!r} would lie outside the folder")
        elif part != ".":
            parts.append(part)
    if PurePosixPath(shown.replace("\\", "/")).is_absolute():
        raise refused(archive, f"a link leads to {shown!r}, outside the folder")
    if "\0" in name:
        raise refused(archive, f"the name {shown!r} holds a zero byte")
    if len(parts) > MAX_DEPTH:
        raise refused(archive, f"a path of it is {len(parts)} folders deep")
    return PurePosixPath(*parts)
