"""Hostile, broken and interrupted archives: unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep import archives
from data_prep.fetch import FetchError
from tests.reliability.archives_hostile import GOOD, Hostile, entry, hostile, sound_archives, tar
from tests.reliability.data_dirs_large import _memory, _peak
from tests.reliability.promises import HELD
from vqaudio.errors import VQAudioError

MOST_BYTES = 400 << 20
"""Memory that an archive may take: xz alone takes 100 MB, as publishers use it."""
ALLOWANCE = 1 << 24  # in place of 256 MB, for bombs not to fill the disk that they are tried on


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Return the files of a folder, and what else there is, by its kind."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and not mode & 0o7000:
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif not stat.S_ISDIR(mode):
            found[str(path.relative_to(folder))] = f"a file of mode {mode:o}"
    return found


class Room:
    """A folder for one archive, with neighbours that nobody may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.canary = folder, {"neighbour/file": b"untouched", "out-of/file": b"untouched"}
        for name, content in self.canary.items():
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(content)
        (folder / "in").mkdir()
        self.out = folder / "in" / "out"
        self.most_written = 0

    def archive(self, name: str, data: bytes) -> Path:
        """Write an archive."""
        (self.folder / "in" / name).write_bytes(data)
        return self.folder / "in" / name

    def unpack(self, archive: Path) -> str | None:
        """Unpack; return the words of a refusal, None where there was none."""
        remove = shutil.rmtree

        def measure(path: Path, *args: object, **kwargs: object) -> None:
            if path.is_dir():
                self.most_written = max(
                    self.most_written, sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
                )
            remove(path, *args, **kwargs)

        archives.shutil.rmtree = measure
        try:
            archives.unpack(archive, self.out)
        except (FetchError, VQAudioError) as error:
            return str(error)
        finally:
            archives.shutil.rmtree = remove
        return None

    def strays(self, archive: Path) -> str:
        """Return what lies where nothing should, or was changed; '' for nothing."""
        now = {name: content for name, content in snapshot(self.folder).items() if not name.startswith("in/out/")}
        now.pop(str(archive.relative_to(self.folder)), None)
        escaped = [path for path in (Path("/tmp/vqaudio-escaped"), Path("executed")) if os.path.lexists(path)]
        odd = [name for name, content in snapshot(self.folder).items() if isinstance(content, str)]
        return "" if now == self.canary and not escaped and not odd else f"left {sorted(now)}, {escaped}, {odd}"


@dataclass(frozen=True)
class Unpacking:
    """A case: a hostile archive by its number, or a sound one that is cut at a byte, or has one changed."""

    hostile: int | None = None
    kind: str = ""
    cut: int | None = None
    flip: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.hostile is not None:
            return str(HOSTILE[self.hostile])
        return f"{self.kind} cut at {self.cut}" if self.flip is None else f"{self.kind} with byte {self.flip} changed"


HOSTILE: list[Hostile] = hostile()
SOUND_ARCHIVES = sound_archives()


def unpacking_cases(random: np.random.Generator, cuts: int, flips: int) -> list[Unpacking]:
    """Return all hostile archives; sound ones cut at this many places each, and changed at as many others."""
    cases = [Unpacking(hostile=number) for number in range(len(HOSTILE))]
    for kind, data in SOUND_ARCHIVES.items():
        # Each boundary of blocks and the bytes beside it first, as far as there are, then places anywhere.
        edges = sorted({edge + d for edge in range(0, len(data), 512) for d in (-1, 0, 1) if 0 <= edge + d < len(data)})
        places = random.permutation(edges)[: cuts // 2].tolist()
        rest = np.setdiff1d(np.arange(len(data)), places)
        places += random.choice(rest, cuts - len(places), replace=False).tolist()
        cases += [Unpacking(kind=kind, cut=place) for place in places]
        places = random.integers(len(data), size=flips)
        cases += [Unpacking(kind=kind, flip=(int(place), int(random.integers(1, 256)))) for place in places]
    return cases


def try_unpacking(case: Unpacking, folder: Path) -> str:
    """Return what is wrong with what becomes of an archive."""
    archives.ALLOWANCE_BYTES = ALLOWANCE
    room = Room(folder)
    data = HOSTILE[case.hostile].make() if case.hostile is not None else _broken(case)
    suffix = HOSTILE[case.hostile].suffix if case.hostile is not None else case.kind
    archive = room.archive(f"a.{suffix}", data)
    before = _memory()
    refusal = room.unpack(archive)
    taken = _peak() - before
    if stray := room.strays(archive):
        return f"{case}: {stray}"
    if taken > MOST_BYTES:
        return f"{case}: took {taken / 1e6:.0f} MB of memory"
    if room.most_written > (most := archives.MAX_RATIO * len(data) + ALLOWANCE):
        return f"{case}: wrote {room.most_written} bytes, more than {most}"
    if refusal is not None:
        return _refusal_fault(case, room, refusal)
    return _content_fault(case, room)


def _broken(case: Unpacking) -> bytes:
    data = bytearray(SOUND_ARCHIVES[case.kind])
    if case.flip is None:
        return bytes(data[: case.cut])
    data[case.flip[0]] ^= case.flip[1]
    return bytes(data)


def _refusal_fault(case: Unpacking, room: Room, refusal: str) -> str:
    if os.path.lexists(room.out):
        return f"{case}: refused, but {room.out.name} is there"
    if case.hostile is not None and HOSTILE[case.hostile].becomes is not None:
        return f"{case}: refused without need: {refusal}"
    if not ("refused" in refusal or "damaged" in refusal or "password" in refusal) or not refusal.isprintable():
        return f"{case}: nobody learns anything from {refusal!r}"
    return HELD


def _content_fault(case: Unpacking, room: Room) -> str:
    expected = GOOD if case.hostile is None else HOSTILE[case.hostile].becomes
    if expected is None:
        return f"{case}: was unpacked"
    if case.kind == "tar" and case.flip is not None:
        return HELD  # a tar has sums of its headers alone; that nothing escaped has been looked at
    found = snapshot(room.out)
    return HELD if found == expected else f"{case}: unpacked as {sorted(found)}, expected {sorted(expected)}"


# -------------------------------------------------------------------------------------------- interruptions


@dataclass(frozen=True)
class Killing:
    """A case: unpacking that is killed at this share of the time that it takes."""

    share: float


def try_killing(case: Killing, folder: Path) -> str:
    """Kill an unpacking, look at what is there, and do it again."""
    room = Room(folder)
    files = {f"corpus/{i:03d}.wav": bytes([i % 256]) * 3000 for i in range(150)}
    archive = room.archive("a.tar.gz", sound_archives_of(files))
    started = time.monotonic()
    archives.unpack(archive, room.folder / "in" / "whole")
    seconds = time.monotonic() - started
    shutil.rmtree(room.folder / "in" / "whole")
    child = os.fork()
    if child == 0:
        try:
            archives.unpack(archive, room.out)
        finally:
            os._exit(0)
    time.sleep(case.share * seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if room.out.exists() and snapshot(room.out) != files:
        return f"{case}: half an archive counts as done"
    archives.unpack(archive, room.out)
    (room.folder / "in" / ".out.lock").unlink(missing_ok=True)  # of a run that was killed when all was done
    if snapshot(room.out) != files:
        return f"{case}: the second run made something else"
    return f"{case}: {stray}" if (stray := room.strays(archive)) else HELD


def sound_archives_of(files: dict[str, bytes]) -> bytes:
    """Return files as a tar.gz."""
    import gzip

    return gzip.compress(tar(*((entry(name), content) for name, content in files.items()), good=False))
