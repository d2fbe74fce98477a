"""Errors that a user's input can cause, and the words that help to mend them.

Everything raised on purpose derives from `VQAudioError`: the command line prints such an error without a
traceback. A message repeats what was given, says what was expected, and names the nearest right thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class VQAudioError(Exception):
    """What the user gave cannot be used; the message says why and what would be right."""


class AudioError(VQAudioError):
    """An audio file that cannot be used. `path` names the file, `reason` says why in one line."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self):
        # The default would call AudioError(message) when unpickled from a worker process.
        return type(self), (self.path, self.reason)


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


def nearest(word: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` of `candidates` that look most like `word`, best first."""
    return difflib.get_close_matches(word, list(candidates), n=n, cutoff=0.4)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean …?' with the nearest candidates, or '' where none is near."""
    near = nearest(word, candidates)
    return f" Did you mean {' or '.join(repr(c) for c in near)}?" if near else ""
