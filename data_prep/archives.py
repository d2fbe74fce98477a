"""Archives of corpora: fetched, checked and unpacked, safely and once.

Only files and folders are ever made. A link within the archive becomes a copy of what it names; a path or a link that
leads out of the folder, a device, or more bytes than a corpus can hold, and the archive is refused before anything
stands under the final name. Owners and permissions are not taken over. The final name is the mark of completion: a
folder that exists is whole.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from data_prep import fetch
from data_prep.fetch import FetchError
from data_prep.members import Allowance, announced_size, members, refused
from vqaudio.audio.lock_file import locked
from vqaudio.audio.space import require_space
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

MAX_RATIO = 50
"""Bytes that a byte of an archive may become; recordings shrink to a half or, silent ones, to a tenth."""
ALLOWANCE_BYTES = 1 << 28
"""What any archive may become: transcripts shrink better than recordings."""
_NOT_THE_ARCHIVES_FAULT = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EMFILE,
}  # fmt: skip
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


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack a tar or zip archive as `folder`. Does nothing where `folder` exists.

    What a killed run has left is removed first. Whoever unpacks the same archive meanwhile is refused.

    Raises:
        FetchError: a hostile archive (see above), one with a password, a damaged one, or a folder that cannot be
            written.
        VQAudioError: no room on the disk.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    with locked(folder.parent / f".{folder.name}.lock", lambda who: _busy(folder, who), remove=True):
        if not folder.is_dir():
            _unpack_alone(archive, folder)
    return folder


def _busy(folder: Path, who: str) -> FetchError:
    return FetchError(f"{folder}: another job is unpacking it ({who}): wait for its end")


def _unpack_alone(archive: Path, folder: Path) -> None:
    scratch = folder.parent / f".{folder.name}-unpacking"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        _unpack(archive, scratch)
        scratch.rename(folder)
    except VQAudioError:
        raise
    except OSError as error:
        if error.errno in _NOT_THE_ARCHIVES_FAULT:
            raise FetchError(f"{archive} cannot be unpacked as {folder}: {error.strerror}") from error
        raise _damaged(archive, error) from error
    except Exception as error:  # what the decoders of the standard library raise over arbitrary bytes is not documented
        raise _damaged(archive, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _damaged(archive: Path, error: Exception) -> FetchError:
    reason = str(error) or type(error).__name__
    reason = reason if reason.isprintable() else repr(reason)
    return FetchError(f"{archive}: damaged, or not an archive ({reason}). Delete it and try again.")


def _unpack(archive: Path, folder: Path) -> None:
    allowance = Allowance(archive, MAX_RATIO * archive.stat().st_size + ALLOWANCE_BYTES)
    announced = announced_size(archive)
    allowance.check(announced)
    require_space(folder, announced, f"unpacking {archive.name}")
    links: dict[PurePosixPath, PurePosixPath] = {}
    files = 0
    with fetch.progress(f"unpacking {archive.name}", None) as told:
        for member, content in members(archive, allowance):
            links.pop(member.path, None)  # of members of one name the last counts
            if member.target is not None:
                links[member.path] = member.target
            elif member.is_folder:
                (folder / member.path).mkdir(parents=True, exist_ok=True)
            else:
                _write(folder / member.path, content, member.size)
                told(member.size)
                files += 1
    if not files:
        raise refused(archive, "there is no file in it")
    for path, target in links.items():
        _copy_target(archive, folder, path, _end_of_chain(archive, links, path, target), allowance)


def _write(path: Path, content: IO[bytes], size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as sink:
        shutil.copyfileobj(content, sink, fetch.BLOCK_BYTES)
        if sink.tell() != size:
            raise EOFError(f"{path.name!r} has {sink.tell()} bytes, expected {size}")


def _end_of_chain(
    archive: Path, links: Mapping[PurePosixPath, PurePosixPath], path: PurePosixPath, target: PurePosixPath
) -> PurePosixPath:
    """Return what a link to a link to a link … names in the end."""
    seen = {path}
    while target in links:
        if target in seen:
            raise refused(archive, f"{str(path)!r} is a link that leads in a circle")
        seen.add(target)
        target = links[target]
    return target


def _copy_target(archive: Path, folder: Path, path: PurePosixPath, target: PurePosixPath, allowance: Allowance) -> None:
    source = folder / target
    if not source.is_file():
        raise refused(archive, f"{str(path)!r} is a link to {str(target)!r}, which is no file in it")
    allowance.take(source.stat().st_size)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, folder / path)
