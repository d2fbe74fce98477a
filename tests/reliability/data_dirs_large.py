"""Tables of a hundred megabytes that nobody writes: validated in bounded time and memory, and messages stay short."""

from __future__ import annotations

import os
import resource
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.data_dirs_breaks import Tables
from tests.reliability.promises import HELD
from vqaudio.corpus import check

SIZE = 100_000_000
MOST_BYTES = 16
"""Bytes of memory for a byte of the file: most that is worse than text of four bytes a letter."""
FIRST = b"000-a "


@dataclass(frozen=True)
class Large:
    """A file of so many bytes, and what is wrong with it: lines by rule, or for very many, their number."""

    file: str
    content: tuple[bytes, bytes, bytes]
    """What stands before a unit, the unit, which is repeated up to SIZE, and what stands behind it."""
    expected: dict[str, int]
    size: int = SIZE

    def write(self, path: Path) -> None:
        """Write it."""
        before, unit, after = self.content
        block = unit * (1_000_000 // len(unit))
        with open(path, "wb") as file:
            file.write(before)
            for _ in range(self.size // len(block)):
                file.write(block)
            file.write(after)


OTHER = b"\n000-b some words\n001-a x\n001-b x\n"
LARGE = {
    "a long line": Large("text", (FIRST, b"words ", OTHER), {}),
    "a long line of blanks": Large("text", (FIRST, b" ", OTHER), {}),
    "a long line of Unicode's blanks": Large("text", (FIRST, "\u3000".encode(), OTHER), {}),
    "a long line of zero bytes": Large("text", (FIRST, b"\0", OTHER), {}),
    "a long line of carriage returns": Large("text", (FIRST, b"\r", OTHER), {"line-end": 1}),
    "a long line that is not UTF-8": Large("text", (FIRST, b"\xff", OTHER), {"utf-8": 1}),
    "a long id": Large("text", (b"", b"x", b" " + FIRST + OTHER), {
        "id": 1, "unsorted": 1, "missing-utterance": 1, "unknown-utterance": 1}),
    "a long blank line": Large("text", (FIRST + b"\n", b"\t", OTHER), {"blank-line": 1}),
    "a long line of fields": Large("utt2spk", (b"000-a 000\n000-b 000\n001-a 001\n001-b ", b"x ", b"\n"), {
        "fields": 1, "unknown-utterance": 5}),
    "a million blank lines": Large("text", (FIRST, b"\n", OTHER[1:]), {"blank-line": 999_999}, size=1_000_000),
}  # fmt: skip


def try_large(large: Large, folder: Path, name: str) -> str:
    """Return what is wrong with what `check` says of a large file, or with the memory that it takes."""
    Tables.valid(2, segmented=False).write(folder)
    try:
        large.write(folder / large.file)
        return _try(large, folder, name)
    finally:
        shutil.rmtree(folder)


def _try(large: Large, folder: Path, name: str) -> str:
    before = _memory()
    found = check(folder, progress=False)
    taken = _peak() - before
    if (rules := Counter(v.rule for v in found)) != large.expected:
        return f"{name}: {dict(rules)}, expected {large.expected}"
    if longest := max((len(v.message) for v in found), default=0) > 2000:
        return f"{name}: a message of {longest} characters"
    if taken > MOST_BYTES * max(large.size, 40_000_000):
        return f"{name}: took {taken / 1e6:.0f} MB of memory for {large.size / 1e6:.0f} MB"
    return HELD


def _memory() -> int:
    """Return the memory of this process, and forget its peak."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
