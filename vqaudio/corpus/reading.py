"""The samples of an utterance: a whole file, a stretch of one, or the output of a command."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vqaudio.audio.io import BLOCK_FRAMES, AudioInfo, iter_blocks, probe
from vqaudio.corpus.presence import is_pipe
from vqaudio.corpus.segments import SEGMENT_SLACK
from vqaudio.corpus.utterances import Utterance
from vqaudio.errors import AudioError


@dataclass(frozen=True)
class Region:
    """Where an utterance lies: `frames` samples from sample `start` of the file that `info` describes."""

    info: AudioInfo
    start: int
    frames: int

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return self.info.sample_rate

    def blocks(self, block_frames: int = BLOCK_FRAMES) -> Iterator[np.ndarray]:
        """Read the utterance as consecutive blocks, float32 mono, shape (<= block_frames,)."""
        return iter_blocks(self.info, block_frames, self.start, self.frames)

    def read(self, begin: int = 0, end: int | None = None) -> np.ndarray:
        """Read the utterance's samples `begin` to `end` (None: its end), float32 mono (end - begin,)."""
        frames = (self.frames if end is None else end) - begin
        return np.concatenate(list(iter_blocks(self.info, BLOCK_FRAMES, self.start + begin, frames)))


def find_region(utterance: Utterance) -> Region:
    """Return where an utterance lies in its audio file.

    Raises AudioError where `probe` does, for a segment outside the recording, and for a command, whose output
    is only there while `open_region` holds it.
    """
    if is_pipe(utterance.recording):
        raise AudioError(utterance.recording, "is a command, expected a file; the `format` stage writes its output")
    return _region(utterance, probe(utterance.recording))


@contextlib.contextmanager
def open_region(utterance: Utterance) -> Iterator[Region]:
    """Yield where an utterance lies, running its command first where the recording is one.

    Only utterances of a DataDir loaded with `allow_pipes` have commands. Raises AudioError like `find_region`
    and where the command fails, naming the command.
    """
    if not is_pipe(utterance.recording):
        yield find_region(utterance)
        return
    with tempfile.NamedTemporaryFile(suffix=".wav") as output:
        _run(utterance.recording, output)
        try:
            yield _region(utterance, probe(output.name))
        except AudioError as error:
            if error.path == output.name:
                raise AudioError(utterance.recording, error.reason) from error
            raise


def read_utterance(utterance: Utterance) -> tuple[np.ndarray, int]:
    """Return an utterance's waveform, float32 mono (T,), and its sample rate in Hz."""
    with open_region(utterance) as region:
        return region.read(), region.sample_rate


def utterance_seconds(utterance: Utterance) -> float:
    """Return an utterance's length in seconds, from utt2dur, segments or else the audio's header."""
    if utterance.duration is not None:
        return utterance.duration
    if utterance.end is not None:
        return utterance.end - (utterance.start or 0.0)
    with open_region(utterance) as region:
        return region.frames / region.sample_rate


def bounds(starts: np.ndarray, ends: np.ndarray, frames: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first sample and the one behind the last, int64 (n,) each, of segments of recordings.

    `starts` and `ends` are float64 (n,), in seconds, NaN for the start and end of the recording, which has `frames`
    (n,) samples. An end that rounding has put behind it is its end. Where nothing of a segment lies within its
    recording, or not all of it, both are 0.
    """
    first = np.rint(np.where(np.isnan(starts), 0.0, starts) * sample_rate).astype(np.int64)
    stop = np.where(np.isnan(ends), frames, np.rint(np.nan_to_num(ends) * sample_rate)).astype(np.int64)
    stop = np.where((stop > frames) & (stop - frames <= SEGMENT_SLACK * sample_rate + 1), frames, stop)
    within = (first >= 0) & (first < stop) & (stop <= frames)
    return np.where(within, first, 0), np.where(within, stop, 0)


def _region(utterance: Utterance, info: AudioInfo) -> Region:
    times = (np.array([np.nan if time is None else time]) for time in (utterance.start, utterance.end))
    start, end = (int(bound[0]) for bound in bounds(*times, np.array([info.frames]), info.sample_rate))
    if start == end:
        times = f"{utterance.start} to {'the end' if utterance.end is None else utterance.end} s"
        raise AudioError(info.path, f"segment {utterance.id!r} ({times}) lies outside its {info.duration:.3f} s")
    return Region(info, start, end - start)


def _run(recording: str, output) -> None:
    command = recording.rstrip().removesuffix("|")
    done = subprocess.run(command, shell=True, stdout=output, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise AudioError(recording, f"the command failed with status {done.returncode}: {words[-1] if words else ''}")
