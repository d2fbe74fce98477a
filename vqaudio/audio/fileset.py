"""Text files that belong together, written whole and all or none of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vqaudio.audio.atomic import Aside, cannot_write, sync_folder, unfinished_name
from vqaudio.errors import VQAudioError


def replace_files(
    folder: str | Path, contents: Mapping[str, Iterable[str] | Iterable[bytes]], stale: Iterable[str] = ()
) -> None:
    """Write files (name to lines, each with its newline) into `folder`, and delete the `stale` ones.

    Every file is first written in full under a temporary name, so that a full disk is met while all that
    stood there before is still whole. The last name is the mark of completeness: it is taken away before the
    others get their names and comes after them, so that nobody reads a mixture of old and new. Where a disk fails
    in between, all names get back what they had.

    Raises:
        VQAudioError: the folder cannot be written; the message names the path.
    """
    folder = Path(folder)
    if folder.is_file():
        raise VQAudioError(f"cannot write into {folder}: it is a file, expected a folder")
    asides: list[Aside] = []
    try:
        for name, lines in contents.items():
            with _told(folder / name):
                asides.append(Aside(folder / name))
                asides[-1].file.writelines(line if isinstance(line, bytes) else line.encode("utf-8") for line in lines)
                asides[-1].finish(durable=True)
        _put_in_place(asides, [folder / name for name in stale])
        sync_folder(folder)
    finally:
        for aside in asides:
            aside.remove()


def _put_in_place(asides: list[Aside], stale: list[Path]) -> None:
    *others, mark = asides
    with _given_back([*(aside.path for aside in others), *stale, mark.path]):
        _delete(mark.path)
        for aside in others:
            _put(aside)
        for path in stale:
            _delete(path)
        _put(mark)


@contextmanager
def _given_back(paths: list[Path]) -> Iterator[None]:
    """Where the block fails, let `paths` be again what they were, in their order.

    By hard links, which take no room on a full disk. Where there are none, the mark stays away: then what there is does
    not count.
    """
    links: dict[Path, Path] = {}
    try:
        with suppress(OSError):
            for path in filter(Path.exists, paths):
                link = unfinished_name(path)
                os.link(path, link)
                links[path] = link
        whole = links.keys() == set(filter(Path.exists, paths))
        try:
            yield
        except BaseException:
            if whole:
                _give_back(paths, links)
            raise
    finally:
        for link in links.values():
            with suppress(OSError):
                link.unlink()


def _give_back(paths: list[Path], links: Mapping[Path, Path]) -> None:
    with suppress(OSError):  # what comes after a failure here, the mark in the end, stays away
        for path in paths:
            path.unlink(missing_ok=True)
            if path in links:
                os.link(links[path], path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into an error that names the path."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def _put(aside: Aside) -> None:
    with _told(aside.path):
        aside.put()


def _delete(path: Path) -> None:
    with _told(path):
        path.unlink(missing_ok=True)
