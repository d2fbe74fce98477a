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
from vqaudio.corpus.rejected import Rejections
from vqaudio.corpus.utterances import Utterance, Utterances
from vqaudio.errors import AudioError, DataDirError

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


def find_lengths(
    utterances: Utterances, sample_rate: int, progress: bool = True, rejections: Rejections | None = None
) -> Lengths:
    """Return how long the utterances are, having looked at SPOT_CHECKS of them, or at all.

    A file looked at that cannot be read is added to `rejections`; where no table says its length, that is 0. Raises
    DataDirError where those are too many, for a file of another rate than `sample_rate` (Hz), and for one whose length
    is not that of utt2num_samples.
    """
    rejections = Rejections() if rejections is None else rejections
    rows = _spread(len(utterances), SPOT_CHECKS)
    looked_at = {row: region for row in rows.tolist() if (region := _look(utterances[row], sample_rate, rejections))}
    rejections.require_share(len(rows))
    if utterances.num_samples.all():
        lengths = Lengths(utterances.num_samples, "utt2num_samples")
        for row, region in looked_at.items():
            lengths.require(row, utterances[row], region)
        return lengths
    is_whole = np.isnan(utterances.starts).all() and np.isnan(utterances.ends).all()
    if is_whole and not np.isnan(utterances.durations).any():
        samples = np.rint(utterances.durations * sample_rate).astype(np.int64)
        if all(region.frames == samples[row] for row, region in looked_at.items()):
            return Lengths(samples, "utt2dur")
    lengths = Lengths(_read_lengths(utterances, sample_rate, progress, rejections), "its header before")
    rejections.require_share(len(utterances))
    return lengths


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


def _look(utterance: Utterance, sample_rate: int, rejections: Rejections) -> Region | None:
    """Return where an utterance lies; None for one that cannot be read, which is rejected."""
    try:
        return region_at_rate(utterance, sample_rate)
    except AudioError as error:
        rejections.add(utterance, error)
        return None


def _read_lengths(utterances: Utterances, sample_rate: int, progress: bool, rejections: Rejections) -> np.ndarray:
    """Return the lengths (n,) that the headers say, having read that of each recording once; 0 for a rejected one."""
    recordings, firsts = np.unique(utterances.recording_of, return_index=True)
    if len(recordings) > SPOT_CHECKS:
        logger.info("reading %d headers: there is no utt2num_samples, which `data format` writes", len(recordings))
    frames = np.zeros(len(utterances.recordings), dtype=np.int64)
    for index in bar("headers", len(firsts), progress, np.sort(firsts)):
        region = _look(utterances[index], sample_rate, rejections)
        frames[utterances.recording_of[index]] = region.info.frames if region else 0
    starts, ends = bounds(utterances.starts, utterances.ends, frames[utterances.recording_of], sample_rate)
    lengths = ends - starts
    for index in np.flatnonzero(lengths <= 0).tolist():  # a segment that lies outside, or of a recording that is bad
        region = _look(utterances[index], sample_rate, rejections)
        lengths[index] = region.frames if region else 0
    return lengths


def _spread(count: int, most: int) -> np.ndarray:
    """Return at most `most` of the numbers below `count`, evenly, with the first and the last."""
    chosen = min(count, most)
    return np.arange(chosen) * (count - 1) // max(1, chosen - 1)
