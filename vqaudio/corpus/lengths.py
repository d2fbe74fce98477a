"""How long the utterances are, in samples, before training reads them.

    utt2num_samples    says it
    utt2dur            says it where it is exact, in seconds of six digits: it is, where `vqaudio data format` wrote it
    neither            the header of each file is read

Where a table says it, some files spread over the corpus are looked at nevertheless: whether they are there, and have
the rate and the length expected. Every other file is looked at when it is read first (`CropDataset`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from vqaudio.corpus.progress import bar
from vqaudio.corpus.reading import Region, bounds, find_region
from vqaudio.corpus.utterances import Utterance, Utterances
from vqaudio.errors import DataDirError

logger = logging.getLogger(__name__)
SPOT_CHECKS = 256
"""Files that are looked at although a table says how long they are."""


@dataclass(frozen=True)
class Lengths:
    """Samples of each utterance, int64 (n,), and who says so."""

    samples: np.ndarray
    source: str

    def require(self, row: int, utterance: Utterance, region: Region) -> None:
        """Raise DataDirError, naming file and both lengths, unless an utterance's file is as long as expected."""
        if region.frames != self.samples[row]:
            raise DataDirError(
                f"{region.info.path} (utterance {utterance.id!r}) holds {region.frames} samples, {self.source} says "
                f"{self.samples[row]}: the audio was changed after that was written. Format the data again "
                "(`vqaudio data format`), or delete utt2num_samples and utt2dur: then every header is read at the start"
            )


def find_lengths(utterances: Utterances, sample_rate: int, progress: bool = True) -> Lengths:
    """Return how long the utterances are, having looked at SPOT_CHECKS of them, or at all.

    Raises AudioError for a file looked at that cannot be read, DataDirError for one of another rate than
    `sample_rate` (Hz), and for one whose length is not that of utt2num_samples.
    """
    rows = _spread(len(utterances), SPOT_CHECKS)
    looked_at = [(utterances[row], region_at_rate(utterances[row], sample_rate)) for row in rows]
    if utterances.num_samples.all():
        lengths = Lengths(utterances.num_samples, "utt2num_samples")
        for row, (utterance, region) in zip(rows, looked_at, strict=True):
            lengths.require(row, utterance, region)
        return lengths
    is_whole = np.isnan(utterances.starts).all() and np.isnan(utterances.ends).all()
    if is_whole and not np.isnan(utterances.durations).any():
        samples = np.rint(utterances.durations * sample_rate).astype(np.int64)
        if [region.frames for _, region in looked_at] == samples[rows].tolist():
            return Lengths(samples, "utt2dur")
    return Lengths(_read_lengths(utterances, sample_rate, progress), "its header before")


def region_at_rate(utterance: Utterance, sample_rate: int) -> Region:
    """Return where an utterance lies in its file, which must have `sample_rate` Hz.

    Raises AudioError like `find_region`, and DataDirError for another rate, naming both and the remedy.
    """
    region = find_region(utterance)
    if region.sample_rate != sample_rate:
        raise DataDirError(
            f"{region.info.path} (utterance {utterance.id!r}) has {region.sample_rate} Hz, "
            f"expected {sample_rate} Hz; convert the corpus first, with `vqaudio data format`"
        )
    return region


def _read_lengths(utterances: Utterances, sample_rate: int, progress: bool) -> np.ndarray:
    """Return the lengths (n,) that the headers say, having read that of each recording once."""
    recordings, firsts = np.unique(utterances.recording_of, return_index=True)
    if len(recordings) > SPOT_CHECKS:
        logger.info("reading %d headers: there is no utt2num_samples, which `data format` writes", len(recordings))
    frames = np.zeros(len(utterances.recordings), dtype=np.int64)
    for index in bar("headers", len(firsts), progress, np.sort(firsts)):
        frames[utterances.recording_of[index]] = region_at_rate(utterances[index], sample_rate).info.frames
    starts, ends = bounds(utterances.starts, utterances.ends, frames[utterances.recording_of], sample_rate)
    outside = np.flatnonzero(starts >= ends)
    if len(outside):
        find_region(utterances[outside[0]])  # which says so
    return ends - starts


def _spread(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the numbers below `count`, evenly, with the first and the last."""
    chosen = min(count, most)
    return np.arange(chosen) * (count - 1) // max(1, chosen - 1)
