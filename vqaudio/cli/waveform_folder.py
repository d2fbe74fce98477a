"""A folder of WAV files, one per utterance, and the record of what each was made of.

OUT/<utterance>.wav   whole or absent
OUT/made.jsonl        for each, a stamp of all that decides it: the next run with the same leaves it as it is
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)
MADE_FILE = "made.jsonl"


class WaveformFolder:
    """The files and their record. `stamps` says of each waveform, by its utterance, what decides it now."""

    def __init__(self, path: Path, stamps: dict[str, str], sample_rate: int) -> None:
        self.path, self._stamps, self._sample_rate = path, stamps, sample_rate
        self._record = MadeRecord(path)

    def has(self, utterance: str) -> bool:
        """Whether the utterance's file is there, made of what its stamp says."""
        return self._record.has(utterance, self._stamps[utterance])

    def write(self, utterance: str, waveform: Tensor) -> None:
        """Write the file of a waveform, float32 (T,), and take it down."""
        from vqaudio.audio.io import write_wav

        self._record.forget(utterance)
        write_wav(self._wav(utterance), waveform.numpy(), self._sample_rate)
        self._record.add(utterance, self._stamps[utterance])

    def take_over(self, utterance: str, other: WaveformFolder) -> None:
        """Move a file here that `other` has, without a moment in which neither has it."""
        self._record.forget(utterance)
        try:
            os.replace(other._wav(utterance), self._wav(utterance))
        except OSError as error:
            raise VQAudioError(f"cannot write {self._wav(utterance)}: {error.strerror}") from error
        self._record.add(utterance, self._stamps[utterance])

    def is_of_other_making(self) -> bool:
        """Whether there are files of these utterances, and none is made of what its stamp says."""
        made = {id: stamp for id, stamp in self._record.stamps.items() if stamp and id in self._stamps}
        return bool(made) and not any(self._stamps[id] == stamp for id, stamp in made.items())

    def others(self) -> int:
        """Return how many files there are of other utterances than those of the stamps."""
        return sum(self._record.has(id, stamp) for id, stamp in self._record.stamps.items() if id not in self._stamps)

    def tidy(self) -> None:
        """Write the record anew, sorted by utterance: it says no more in what order files were made, and by whom."""
        self._record.tidy()

    def _wav(self, utterance: str) -> Path:
        return self.path / f"{utterance}.wav"


class MadeRecord:
    """`made.jsonl`: for each WAV file of a folder, a stamp of what it was made of."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MADE_FILE
        self._broken = False
        self.stamps = self._read()

    def has(self, utterance: str, stamp: str) -> bool:
        """Whether the utterance's WAV file is there, made with these settings."""
        return self.stamps.get(utterance) == stamp and (self.path.parent / f"{utterance}.wav").is_file()

    def add(self, utterance: str, stamp: str) -> None:
        """Take down a WAV file that is now there."""
        self.stamps[utterance] = stamp
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write("\n" * self._broken + _line(utterance, stamp))
        except OSError as error:
            raise VQAudioError(f"cannot write {self.path}: {error.strerror}") from error
        self._broken = False

    def forget(self, utterance: str) -> None:
        """Take back what is said of a WAV file that is about to be replaced, in case that only half succeeds."""
        if self.stamps.get(utterance):
            self.add(utterance, "")

    def tidy(self) -> None:
        """Write the lines sorted, one of each utterance."""
        if self.stamps:
            write_text_whole(self.path, "".join(_line(*item) for item in sorted(self.stamps.items())))

    def _read(self) -> dict[str, str]:
        """Read the lines, the last one of each utterance counting; a broken line only means making its file again."""
        if not self.path.is_file():
            return {}
        text = self.path.read_text(encoding="utf-8", errors="replace")
        self._broken = bool(text) and not text.endswith("\n")  # by a kill; the next line must not join it
        stamps = {}
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                stamps[entry["utterance"]] = entry["stamp"]
            except (ValueError, TypeError, KeyError):
                logger.debug("%s: passing over %r", self.path, line)
        return stamps


def _line(utterance: str, stamp: str) -> str:
    return json.dumps({"utterance": utterance, "stamp": stamp}, ensure_ascii=False) + "\n"
