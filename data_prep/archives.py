"""Archives of corpora: fetched, checked and unpacked, safely and once.

Only files and folders are ever made. A link within the archive becomes a copy of what it names; a path or a link that
leads out of the folder, a device, or more bytes than a corpus can hold, and the archive is refused before anything
stands under the final name. That name is the mark of completion: a folder that exists is whole.
"""

from __future__ import annotations

import logging
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from data_prep import fetch
from data_prep.fetch import FetchError

logger = logging.getLogger(__name__)

MAX_RATIO = 50
"""Bytes that a byte of an archive may become; recordings shrink to a half or, silent ones, to a tenth."""
ALLOWANCE_BYTES = 1 << 28
"""What any archive may become: transcripts shrink better than recordings."""
SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")


@dataclass(frozen=True)
class Archive:
    """A file that a publisher offers.

    `digest` is the publisher's, as "md5:…"; `mirrors` are tried in turn after `url`; `folder` is what it is unpacked
    as, by default its name without the suffix.
    """

    url: str
    digest: str | None = None
    mirrors: tuple[str, ...] = ()
    folder: str = ""

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2].partition("?")[0]

    @property
    def name(self) -> str:
        """Name of the folder that it is unpacked as."""
        suffix = next((suffix for suffix in SUFFIXES if self.file.endswith(suffix)), "")
        return self.folder or self.file.removesuffix(suffix)


def obtain(wanted: Sequence[Archive], downloads: str | Path, keep: bool = False) -> Path:
    """Fetch and unpack archives as `downloads`/<name> each, where they are absent, and return `downloads`.

    An archive is deleted when it is unpacked, unless `keep` says otherwise.

    Raises:
        FetchError: one cannot be fetched from any of its addresses, has another digest, or is refused.
    """
    downloads = Path(downloads)
    for archive in wanted:
        if (downloads / archive.name).is_dir():
            continue
        file = _fetch(archive, downloads)
        unpack(file, downloads / archive.name)
        if not keep:
            file.unlink()
    return downloads


def _fetch(archive: Archive, downloads: Path) -> Path:
    reasons = []
    for url in (archive.url, *archive.mirrors):
        try:
            return fetch.http_file(url, downloads / archive.file, archive.digest)
        except FetchError as error:
            logger.warning("%s", error)
            reasons.append(str(error))
    raise FetchError(
        f"{archive.file} cannot be fetched:\n  " + "\n  ".join(reasons) + f"\nWhere you can get it otherwise, put it "
        f"into {downloads} under that name; what you have unpacked already is named by --corpus_dir."
    )


@dataclass(frozen=True)
class Member:
    """One entry of an archive, whatever its kind: a folder, a file of so many bytes, or a link to another entry."""

    path: PurePosixPath
    size: int = 0
    is_folder: bool = False
    target: PurePosixPath | None = None
    """What a link names, from the archive's root."""


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a tar or zip archive as `folder`. Does nothing where `folder` exists.

    Raises:
        FetchError: a hostile archive (see above), one with a password, a damaged one, or no room on the disk.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    limit = MAX_RATIO * archive.stat().st_size + ALLOWANCE_BYTES
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        unpacked = Path(scratch) / "unpacked"
        unpacked.mkdir()
        try:
            _unpack(archive, unpacked, limit)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise FetchError(f"{archive}: damaged, or not an archive ({error}). Delete it and try again.") from error
        unpacked.rename(folder)
    return folder


def _unpack(archive: Path, folder: Path, limit: int) -> None:
    reader = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    links: list[Member] = []
    written = 0
    with fetch.progress(f"unpacking {archive.name}", None) as told:
        for member, content in reader(archive):
            written += member.size
            if written > limit:
                raise FetchError(
                    f"{archive}: refused, because it holds more than {limit / 1e9:.1f} GB, {MAX_RATIO} times its size"
                )
            if member.target is not None:
                links.append(member)
            elif member.is_folder:
                (folder / member.path).mkdir(parents=True, exist_ok=True)
            else:
                _write(folder / member.path, content)
                told(member.size)
    for link in links:
        _copy_target(archive, folder, link)


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as sink:
        shutil.copyfileobj(content, sink, fetch.BLOCK_BYTES)


def _copy_target(archive: Path, folder: Path, link: Member) -> None:
    source = folder / link.target
    if not source.is_file():
        raise FetchError(f"{archive}: refused, because {link.path} is a link to {link.target}, which is no file in it")
    (folder / link.path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / link.path)


def _tar_members(archive: Path) -> Iterator[tuple[Member, IO[bytes] | None]]:
    with tarfile.open(archive, "r:*") as tar:
        for entry in tar:
            path = _inside(archive, entry.name)
            if entry.isdir():
                yield Member(path, is_folder=True), None
            elif entry.isfile():
                yield Member(path, entry.size), tar.extractfile(entry)
            elif entry.issym():
                yield Member(path, target=_inside(archive, f"{path.parent}/{entry.linkname}", entry.linkname)), None
            elif entry.islnk():
                yield Member(path, target=_inside(archive, entry.linkname)), None
            else:
                raise FetchError(f"{archive}: refused, because its member {entry.name!r} is neither file nor folder")


def _zip_members(archive: Path) -> Iterator[tuple[Member, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            path, mode = _inside(archive, entry.filename), entry.external_attr >> 16
            if entry.flag_bits & 0x1:
                raise FetchError(f"{archive}: its member {entry.filename!r} has a password; unpack it by hand")
            if entry.is_dir():
                yield Member(path, is_folder=True), None
            elif stat.S_ISLNK(mode):
                target = zipped.read(entry).decode("utf-8", "replace")
                yield Member(path, target=_inside(archive, f"{path.parent}/{target}", target)), None
            else:
                with zipped.open(entry) as content:
                    yield Member(path, entry.file_size), content


def _inside(archive: Path, name: str, shown: str | None = None) -> PurePosixPath:
    """Return a member's path without '.' and '..'; FetchError where it leads out of the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or path.is_absolute():
            raise FetchError(f"{archive}: refused, because {shown or name!r} would lie outside the folder")
        elif part != ".":
            parts.append(part)
    if shown is not None and PurePosixPath(shown).is_absolute():
        raise FetchError(f"{archive}: refused, because a link leads to {shown!r}, outside the folder")
    return PurePosixPath(*parts)
