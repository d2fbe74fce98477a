"""Training data: random crops of utterances, as a pure function of seed and step.

Epochs of crop slots (`vqaudio.corpus.slots`) joined make one endless stream; step s takes `world_size * batch_size`
crops of it (the first steps another number, where there is an `Opening`), rank by rank:

    stream   |------------ epoch 0 ------------|------------ epoch 1 ----- …
    steps    |  step 0   |  step 1   |  step 2   |  step 3   | …
    ranks    |  0  |  1  |  0  |  1  |  0  |  1  |  0  |  1  | …

So every slot is met once an epoch, resuming needs only the step, and ranks together see what one would. Of a corpus
too large for memory, only the crops themselves are read.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vqaudio.audio.io import to_int16
from vqaudio.corpus.lengths import find_lengths, region_at_rate
from vqaudio.corpus.reading import Region
from vqaudio.corpus.rejected import Rejections
from vqaudio.corpus.slots import CropSlots
from vqaudio.corpus.utterances import Utterance, Utterances
from vqaudio.errors import AudioError, DataDirError, did_you_mean

logger = logging.getLogger(__name__)
CACHE_BYTES = 1 << 30  # corpora below 1 GiB as 16-bit samples are kept in memory
_REGIONS = 1 << 15  # files of which it is remembered that they were looked at: 30 MB


@dataclass(frozen=True)
class CropCount:
    """Crops that were asked for, and those among them that could not be read."""

    asked: int = 0
    empty: int = 0

    def __sub__(self, other: CropCount) -> CropCount:
        return CropCount(self.asked - other.asked, self.empty - other.empty)


@dataclass(frozen=True)
class Opening:
    """The first steps of a training, which take batches of another size."""

    steps: int = 0
    batch_size: int = 1


@dataclass(frozen=True)
class CropBatch:
    """One batch of crops.

    waveform    float32 (B, left + crop_length + right): a crop and its context, 0 outside the utterance
    lengths     int64 (B,): samples of the utterance within the crop, at most crop_length; 0 for one that could not be
                read, whose crop is silence
    speakers    int64 (B,): index into the dataset's speakers
    utterances  the ids of the utterances, B of them
    heard       like `waveform`, in other voices where the dataset has a `voice_shift`; else the same
    """

    waveform: Tensor
    lengths: Tensor
    speakers: Tensor
    utterances: list[str]
    heard: Tensor


class CropDataset:
    """Batches of random crops at one sample rate, for rank `rank` of `world_size`.

    `context` = (left, right) samples are added around each crop of `crop_length` samples. `batch_size` counts
    the crops of one rank, as does the `opening`'s. Each crop is also heard with its frequencies times a factor of its
    own, whose logarithm is drawn evenly from ± `voice_shift` (`vqaudio.audio.voice`), where not `shifted_after_opening`
    in the opening alone.

    Corpora below `cache_bytes` as 16-bit samples are kept in memory once read; larger ones are read by seeking. How
    long the files are is known as `find_lengths` says: it may look at some of them alone, each of the others is looked
    at when it is read first. Raises DataDirError for an unknown speaker, and where `find_lengths` does: for another
    sample rate than `sample_rate`, another length than expected.

    A crop that cannot be read later on is empty, and its utterance is added to `rejections`. Whether it can is up to
    the file alone, so that a batch is a function of seed and step all the same. Where not the file but its disk fails,
    `batch` raises StorageError.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        speakers: Sequence[str],
        sample_rate: int,
        crop_length: int,
        context: tuple[int, int],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        cache_bytes: int = CACHE_BYTES,
        progress: bool = True,
        rejections: Rejections | None = None,
        opening: Opening = Opening(),
        voice_shift: float = 0.0,
        shifted_after_opening: bool = True,
    ) -> None:
        _check_sizes(crop_length, context, min(batch_size, opening.batch_size), rank, world_size)
        if not utterances:
            raise DataDirError("no utterances to crop from")
        self.crop_length, self.context, self.batch_size, self.opening = crop_length, context, batch_size, opening
        self.rank, self.world_size, self.seed = rank, world_size, seed
        self.voice_shift, self.shifted_after_opening = voice_shift, shifted_after_opening
        self._utterances, self._rate = Utterances.of(utterances), sample_rate
        self._speakers = torch.from_numpy(_speaker_indices(self._utterances, speakers))
        self.count = CropCount()
        self.rejections = Rejections() if rejections is None else rejections
        self._lengths = find_lengths(self._utterances, sample_rate, progress, self.rejections)
        self._slots = CropSlots(self._lengths.samples, crop_length, seed)
        self.is_cached = 2 * int(self._lengths.samples.sum()) < cache_bytes
        self._cache: dict[int, np.ndarray] = {}
        self._region = lru_cache(_REGIONS)(self._find_region)

    @property
    def slots(self) -> int:
        """Crop slots in an epoch, over all ranks."""
        return len(self._slots)

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every slot has been met at least once."""
        return -(-self.slots // (self.batch_size * self.world_size))

    def batch(self, step: int) -> CropBatch:
        """Return this rank's batch at `step` (0, 1, …), which no other call has any influence on."""
        left, right = self.context
        first, size = self._crops_of(step)
        waveform = np.zeros((size, left + self.crop_length + right), dtype=np.float32)
        utterances, offsets = self._slots.crops(first, size)
        lengths = np.minimum(self._lengths.samples[utterances] - offsets, self.crop_length)
        places = zip(utterances.tolist(), (offsets - left).tolist(), strict=True)
        empty = [row for row, place in enumerate(places) if not self._is_filled(waveform[row], *place)]
        waveform[empty], lengths[empty] = 0, 0
        self.count = CropCount(self.count.asked + size, self.count.empty + len(empty))
        return CropBatch(
            waveform=torch.from_numpy(waveform),
            lengths=torch.from_numpy(lengths),
            speakers=self._speakers[torch.from_numpy(utterances)],
            utterances=[self._utterances.ids[utterance] for utterance in utterances],
            heard=torch.from_numpy(self._heard(waveform, first) if self._is_shifted(step) else waveform),
        )

    def _is_shifted(self, step: int) -> bool:
        return self.voice_shift > 0 and (self.shifted_after_opening or step < self.opening.steps)

    def _heard(self, waveform: np.ndarray, first: int) -> np.ndarray:
        """Return crops (B, T), of which the first is the stream's number `first`, in the voices that are heard."""
        from vqaudio.audio.voice import shift_voice  # numba takes a second to import

        draws = [np.random.default_rng((self.seed, first + i)).uniform(-1, 1) for i in range(len(waveform))]
        factors = np.exp(self.voice_shift * np.array(draws))
        return np.stack([shift_voice(row, factor, self._rate) for row, factor in zip(waveform, factors)])

    def _crops_of(self, step: int) -> tuple[int, int]:
        """Return this rank's first crop of a step, as its place in the stream, and the number of its crops."""
        opening, ranks = self.opening, self.world_size
        if step < opening.steps:
            return (step * ranks + self.rank) * opening.batch_size, opening.batch_size
        before = opening.steps * ranks * opening.batch_size
        return before + ((step - opening.steps) * ranks + self.rank) * self.batch_size, self.batch_size

    def _is_filled(self, target: np.ndarray, utterance: int, first: int) -> bool:
        """Fill `target` as `_fill` does; False where the utterance cannot be read, which is then rejected."""
        try:
            self._fill(target, utterance, first)
        except (AudioError, DataDirError) as error:
            self.rejections.add(self._utterances[utterance], error)
            return False
        return True

    def _fill(self, target: np.ndarray, utterance: int, first: int) -> None:
        """Copy into `target` the samples from `first` on; where there are none, it stays 0."""
        begin, end = max(0, first), min(first + len(target), int(self._lengths.samples[utterance]))
        if begin >= end:
            return
        into = target[begin - first : end - first]
        if self.is_cached:
            np.multiply(self._samples(utterance)[begin:end], np.float32(1 / 32768), out=into)
        else:
            into[:] = self._region(utterance).read(begin, end)

    def _samples(self, utterance: int) -> np.ndarray:
        """Return all samples of an utterance as int16, read on first use."""
        if utterance not in self._cache:
            region, done, clipped = self._region(utterance), 0, 0
            samples = np.empty(region.frames, dtype=np.int16)
            for block in region.blocks():
                samples[done : done + len(block)], beyond = to_int16(block)
                done, clipped = done + len(block), clipped + beyond
            if clipped:
                logger.warning("%s: %d samples beyond [-1, 1] clipped", region.info.path, clipped)
            self._cache[utterance] = samples
        return self._cache[utterance]

    def _find_region(self, utterance: int) -> Region:
        """Return where an utterance lies, having looked at its file: its rate, and that it is as long as expected."""
        item = self._utterances[utterance]
        region = region_at_rate(item, self._rate)
        self._lengths.require(utterance, item, region)
        return region


def prefetch(dataset: CropDataset, start_step: int, workers: int = 1) -> Iterator[CropBatch]:
    """Yield the batches of steps start_step, start_step + 1, … without end, prepared ahead by threads.

    The order, and each batch, are those of `dataset.batch`. Reading errors are raised at their step.
    """
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="crops") as pool:
        step = start_step
        ahead = deque(pool.submit(dataset.batch, step + i) for i in range(2 * workers))
        try:
            while True:
                yield ahead.popleft().result()
                ahead.append(pool.submit(dataset.batch, step + 2 * workers))
                step += 1
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _speaker_indices(utterances: Utterances, speakers: Sequence[str]) -> np.ndarray:
    """Return the place of each utterance's speaker in `speakers`, int64 (n,)."""
    index = {speaker: i for i, speaker in enumerate(speakers)}
    places = np.array([index.get(name, -1) for name in utterances.names])[utterances.speakers]
    if (places < 0).any():
        stranger = utterances[int(np.argmax(places < 0))]
        raise DataDirError(
            f"utterance {stranger.id!r} is of speaker {stranger.speaker!r}, who is not among the "
            f"{len(speakers)} speakers given.{did_you_mean(stranger.speaker, speakers)}"
        )
    return places


def _check_sizes(crop_length: int, context: tuple[int, int], batch_size: int, rank: int, world_size: int) -> None:
    if crop_length < 1 or batch_size < 1 or min(context) < 0:
        raise DataDirError(
            f"crop_length {crop_length}, context {context}, batch_size {batch_size}: expected at least 1, 0 and 1"
        )
    if not 0 <= rank < world_size:
        raise DataDirError(f"rank {rank} of {world_size}: expected 0 <= rank < world_size")
