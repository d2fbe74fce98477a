"""Kaldi data directories: the form in which a corpus enters and leaves the toolkit.

    wav.scp   <utterance or recording> <path>        utt2spk   <utterance> <speaker>
    segments  <utterance> <recording> <start> <end>  spk2utt   <speaker> <utterance> ...
    text      <utterance> <words ...>                utt2dur   <utterance> <seconds>
                                                     utt2num_samples  <utterance> <samples>

wav.scp, utt2spk and spk2utt are required. With `segments`, wav.scp is keyed by recording and utterances are
stretches of recordings. The rules are listed in `vqaudio.corpus.rules`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqaudio.corpus.loading import build_utterances
from vqaudio.corpus.rules import check, inspect
from vqaudio.corpus.tables import Violation
from vqaudio.corpus.utterances import Utterance, Utterances
from vqaudio.corpus.writing import write_tables
from vqaudio.errors import DataDirError

__all__ = ["DataDir", "Utterance", "Violation", "check", "describe", "total_seconds"]

_SHOWN_PER_RULE = 50


@dataclass(frozen=True)
class DataDir:
    """The utterances of a data directory, sorted by id, and the folder they were read from, if any.

    Those that `load` returns are made one by one as they are asked for: a million of them take some 250 MB.
    """

    utterances: Sequence[Utterance]
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def speakers(self) -> list[str]:
        """The speakers' names, sorted, each once."""
        if isinstance(self.utterances, Utterances):
            return self.utterances.used_names
        return sorted({utterance.speaker for utterance in self.utterances})

    @classmethod
    def load(cls, path: str | os.PathLike, allow_pipes: bool = False, progress: bool = True) -> DataDir:
        """Read and validate the data directory at `path`.

        With `allow_pipes`, entries of wav.scp that are commands are accepted, and run by the shell when the
        utterance is read. Where it takes more than a few seconds, a terminal shows how far it is, unless `progress`
        is off. Raises DataDirError naming every violation with file, line and rule.
        """
        inspection = inspect(path, allow_pipes, progress)
        if inspection.violations:
            raise DataDirError(describe(path, inspection.violations))
        return cls(build_utterances(inspection, Path(path)), Path(path))

    def write(self, path: str | os.PathLike, progress: bool = True) -> DataDir:
        """Write the directory to `path`, sorted; return it as it now stands there.

        A recording inside `path` is written relative to it, so that the folder can be moved as a whole; any
        other is written absolute. `text`, `utt2dur` and `utt2num_samples` are written if every utterance has them; a
        table of another kind that an earlier version left at `path` is removed. Each file is written whole or not at
        all. Raises DataDirError for no utterances, duplicate ids, or one recording id for two recordings.
        """
        utterances = Utterances.of(self.utterances).sorted()
        write_tables(utterances, Path(path), progress)
        return DataDir(utterances, Path(path))


def describe(path: str | os.PathLike, violations: Sequence[Violation]) -> str:
    """Say all that is wrong with a data directory: every rule broken, with up to 50 places each."""
    shown: Counter[str] = Counter()
    lines = []
    for violation in violations:
        shown[violation.rule] += 1
        if shown[violation.rule] <= _SHOWN_PER_RULE:
            lines.append(f"  {violation}")
    lines += [
        f"  … and {count - _SHOWN_PER_RULE} more of rule {rule}; `vqaudio data validate {path}` lists all"
        for rule, count in shown.items()
        if count > _SHOWN_PER_RULE
    ]
    rules = f"{len(violations)} violation{'s' * (len(violations) != 1)}"
    return "\n".join([f"{path} is not a valid data directory ({rules}):", *lines])


def total_seconds(utterances: Sequence[Utterance]) -> float | None:
    """Sum the utterances' durations, in seconds; None where one of them is unknown without reading audio."""
    columns = Utterances.of(utterances)
    spans = columns.ends - np.where(np.isnan(columns.starts), 0.0, columns.starts)
    seconds = np.where(np.isnan(columns.durations), spans, columns.durations)
    return None if np.isnan(seconds).any() else float(seconds.sum())
