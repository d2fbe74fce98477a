"""What the `format` stage has made so far, of what, and with which options: `format.jsonl`.

The first line holds the options, each further line one utterance, appended as soon as its WAV file is whole.
A later run takes an utterance as done if the options are the same, its source has the same path, size and
time of change, and the WAV file has the length noted.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from vqaudio.audio.atomic import write_whole
from vqaudio.corpus.datadir import Utterance
from vqaudio.corpus.rules import is_pipe
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)
_NAME = "format.jsonl"
_WAV_HEADER_BYTES = 44


@dataclass(frozen=True, slots=True)
class Made:
    """One utterance written: its source's stamp, its length in samples, and what the source was.

    `clipped` counts samples beyond full scale after resampling.
    """

    utterance: str
    stamp: str | None
    frames: int
    source_rate: int
    source_channels: int
    source_subtype: str
    clipped: int

    @property
    def source_form(self) -> tuple[int, int, str]:
        """Rate in Hz, number of channels and sample type of the source."""
        return self.source_rate, self.source_channels, self.source_subtype


class Journal:
    """The record of one target folder, open for adding within a `with` block.

    Raises VQAudioError where the folder or the record cannot be written.
    """

    def __init__(self, target: Path, options: dict[str, Any]) -> None:
        self._target, self._options = target, options
        self._made: dict[str, Made] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        self._made = self._read()
        # Rewritten, so that lines of a killed run that broke off do not stay, nor those of other options.
        with write_whole(self._path) as file:
            for line in chain([self._options], map(asdict, self._made.values())):
                file.write((json.dumps(line) + "\n").encode("utf-8"))
        self._file = open(self._path, "a", encoding="utf-8")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError as failed:  # what a full disk did not take: `add` has said so
            logger.debug("closing %s: %s", self._path, failed)

    @staticmethod
    def wav_name(utterance_id: str) -> str:
        """Return the name of an utterance's WAV file relative to the target folder."""
        return f"wavs/{utterance_id}.wav"

    def wav_path(self, utterance_id: str) -> Path:
        """Return the path of an utterance's WAV file."""
        return self._target / self.wav_name(utterance_id)

    @property
    def bytes_made(self) -> int:
        """What earlier runs have written, where it is still there."""
        return sum(_WAV_HEADER_BYTES + 2 * made.frames for made in self._made.values())

    def stamp(self, utterance: Utterance) -> str | None:
        """Return what identifies an utterance's source as it is now; None for a command or a missing file."""
        try:
            status = os.stat(utterance.recording) if not is_pipe(utterance.recording) else None
        except OSError:
            return None
        if status is None:
            return None
        return f"{utterance.recording}|{utterance.start}|{utterance.end}|{status.st_size}|{status.st_mtime_ns}"

    def find(self, utterance: Utterance) -> Made | None:
        """Return what an earlier run made of an utterance, if that still holds."""
        made = self._made.get(utterance.id)
        if made is None or made.stamp is None or made.stamp != self.stamp(utterance):
            return None
        try:
            size = self.wav_path(utterance.id).stat().st_size
        except OSError:
            return None
        return made if size == _WAV_HEADER_BYTES + 2 * made.frames else None

    def add(self, made: Made) -> None:
        """Note that an utterance has been written."""
        try:
            self._file.write(json.dumps(asdict(made)) + "\n")
            self._file.flush()
        except OSError as error:
            raise VQAudioError(f"cannot write {self._path}: {error.strerror}") from error

    @property
    def _path(self) -> Path:
        return self._target / _NAME

    def _read(self) -> dict[str, Made]:
        records = self._records()
        options = next(records, None)
        if options is None:
            return {}  # no earlier run
        if options != self._options:
            logger.info("%s was made with other options; all is done again", self._target)
            return {}
        return {made.utterance: made for record in records if (made := _made(record)) is not None}

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of an earlier run but those that broke off when it was killed; none without one."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                yield from (record for line in file if (record := _parse(line)) is not None)
        except OSError:
            return


def _made(record: dict[str, Any]) -> Made | None:
    """Return what a line says; None for one that says something else."""
    try:
        # Of a million records, each has its own text, but all have the same few names of sample types.
        made = Made(**{**record, "source_subtype": sys.intern(record["source_subtype"])})
    except (KeyError, TypeError):
        return None
    numbers = (made.frames, made.source_rate, made.source_channels, made.clipped)
    is_text = isinstance(made.utterance, str) and isinstance(made.stamp, str | None)
    return made if is_text and all(isinstance(number, int) for number in numbers) else None


def _parse(line: str) -> dict[str, Any] | None:
    """Parse one line; None for one that broke off when an earlier run was killed, or that a failing disk changed."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
