"""Errors that a user's input can cause, and the words that help to mend them.

Everything raised on purpose derives from `VQAudioError`: the command line prints such an error without a
traceback. A message repeats what was given, says what was expected, and names the nearest right thing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path


class VQAudioError(Exception):
    """What the user gave cannot be used; the message says why and what would be right."""


class _FileError(VQAudioError):
    """What is wrong with the file at `path`: `reason`, in one line."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path, self.reason = str(path), " ".join(reason.split())
        super().__init__(f"{printable(self.path)}: {printable(self.reason)}")

    def __reduce__(self):
        # The default would call AudioError(message) when unpickled from a worker process.
        return type(self), (self.path, self.reason)


class AudioError(_FileError):
    """An audio file that cannot be used. `path` names the file, `reason` says why in one line."""


class StorageError(_FileError):
    """A file that could not be read for no fault of its own: the disk or the network failed. It may be whole."""


class DataDirError(VQAudioError):
    """A Kaldi data directory that breaks a rule."""


class ConfigError(VQAudioError):
    """A configuration with an unknown key, or a value of the wrong type or range."""


class ModelError(VQAudioError):
    """A model folder that cannot be loaded, or a request that the model cannot serve."""


class UnitsError(VQAudioError):
    """Unit sequences that are malformed or belong to another model."""


class TrainingError(VQAudioError):
    """A training that cannot start or go on."""


def printable(text: str) -> str:
    r"""Return text as one line that any terminal and any UTF-8 file takes; `unprintable` gives back what it was.

    A backslash becomes `\\`, a tab, line feed and carriage return `\t`, `\n` and `\r`. Another character that cannot be
    printed becomes `\xNN` for each byte of its UTF-8 form, and so does a byte of a file's name that is not UTF-8.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_shown, text))


def unprintable(line: str) -> str:
    """Return the text that `printable` made `line` of."""
    pieces = re.split(r"(\\x[0-9a-f]{2}|\\[\\tnr])", line)
    codes = {"\\\\": b"\\", "\\t": b"\t", "\\n": b"\n", "\\r": b"\r"}
    pieces[1::2] = (codes[code] if code in codes else bytes.fromhex(code[2:]) for code in pieces[1::2])
    pieces[::2] = (piece.encode("utf-8") for piece in pieces[::2])
    return b"".join(pieces).decode("utf-8", "surrogateescape")


def _shown(character: str) -> str:
    if character.isprintable():
        return character.replace("\\", "\\\\")
    known = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(character)
    encoding = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return known or "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", encoding))


def nearest(word: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of `candidates` that look most like `word`, best first."""
    return difflib.get_close_matches(word, list(candidates), n=n, cutoff=0.4)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean …?' with the nearest candidates, or '' where none is near."""
    near = nearest(word, candidates)
    return f" Did you mean {' or '.join(repr(c) for c in near)}?" if near else ""
