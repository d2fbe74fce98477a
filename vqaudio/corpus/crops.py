"""Training data: random crops of utterances, as a pure function of seed and step.

An utterance of n samples offers max(1, round(n / crop_length)) crop slots. Epoch e is a permutation of all
slots, drawn from (seed, e), and gives each slot a uniformly random place in its utterance. The epochs joined
make one endless stream; step s takes `world_size * batch_size` slots of it, rank by rank:

    stream   |------------ epoch 0 ------------|------------ epoch 1 ----- …
    steps    |  step 0   |  step 1   |  step 2   |  step 3   | …
    ranks    |  0  |  1  |  0  |  1  |  0  |  1  |  0  |  1  | …

So every slot is met once an epoch, resuming needs only the step, and ranks together see what one would.
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
from vqaudio.corpus.datadir import Utterance
from vqaudio.corpus.reading import Region, find_region
from vqaudio.errors import DataDirError, did_you_mean

logger = logging.getLogger(__name__)
CACHE_BYTES = 1 << 30  # corpora below 1 GiB as 16-bit samples are kept in memory


@dataclass(frozen=True)
class CropBatch:
    """One batch of crops.

    waveform    float32 (B, left + crop_length + right): a crop and its context, 0 outside the utterance
    lengths     int64 (B,): samples of the utterance within the crop, at most crop_length
    speakers    int64 (B,): index into the dataset's speakers
    utterances  the ids of the utterances, B of them
    """

    waveform: Tensor
    lengths: Tensor
    speakers: Tensor
    utterances: list[str]


@dataclass(frozen=True)
class _Epoch:
    """The order in which an epoch meets the slots, and each slot's place in [0, 1)."""

    order: np.ndarray
    places: np.ndarray


class CropDataset:
    """Batches of random crops at one sample rate, for rank `rank` of `world_size`.

    `context` = (left, right) samples are added around each crop of `crop_length` samples. `batch_size` counts
    the crops of one rank. Corpora below `cache_bytes` as 16-bit samples are kept in memory once read; larger
    ones are read by seeking. Headers of all audio files are read at the start: raises AudioError for a file
    that cannot be read, DataDirError for a sample rate other than `sample_rate` or an unknown speaker.
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
    ) -> None:
        _check_sizes(crop_length, context, batch_size, rank, world_size)
        if not utterances:
            raise DataDirError("no utterances to crop from")
        self.crop_length, self.context, self.batch_size = crop_length, context, batch_size
        self.rank, self.world_size, self.seed = rank, world_size, seed
        self._ids = [utterance.id for utterance in utterances]
        self._speakers = torch.tensor(_speaker_indices(utterances, speakers))
        self._regions = [_region_at_rate(utterance, sample_rate) for utterance in utterances]
        self._lengths = np.array([region.frames for region in self._regions])
        slots = np.maximum(1, np.rint(self._lengths / crop_length).astype(np.int64))
        self._slot_utterance = np.repeat(np.arange(len(slots)), slots)
        self.is_cached = 2 * int(self._lengths.sum()) < cache_bytes
        self._cache: dict[int, np.ndarray] = {}
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)  # a batch touches at most two, in order

    @property
    def slots(self) -> int:
        """Crop slots in an epoch, over all ranks."""
        return len(self._slot_utterance)

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every slot has been met at least once."""
        return -(-self.slots // (self.batch_size * self.world_size))

    def batch(self, step: int) -> CropBatch:
        """Return this rank's batch at `step` (0, 1, …), which no other call has any influence on."""
        left, right = self.context
        waveform = np.zeros((self.batch_size, left + self.crop_length + right), dtype=np.float32)
        picks = [self._pick(step, item) for item in range(self.batch_size)]
        for target, (utterance, offset) in zip(waveform, picks, strict=True):
            self._fill(target, utterance, offset - left)
        chosen = np.array([utterance for utterance, _ in picks])
        offsets = np.array([offset for _, offset in picks])
        return CropBatch(
            waveform=torch.from_numpy(waveform),
            lengths=torch.from_numpy(np.minimum(self._lengths[chosen] - offsets, self.crop_length)),
            speakers=self._speakers[torch.from_numpy(chosen)],
            utterances=[self._ids[utterance] for utterance in chosen],
        )

    def _pick(self, step: int, item: int) -> tuple[int, int]:
        """Return utterance and first sample of the crop for one item of this rank's batch."""
        position = (step * self.world_size + self.rank) * self.batch_size + item
        epoch_index, index = divmod(position, self.slots)
        epoch = self._epoch(epoch_index)
        slot = epoch.order[index]
        utterance = int(self._slot_utterance[slot])
        room = max(0, int(self._lengths[utterance]) - self.crop_length)
        return utterance, int(epoch.places[slot] * (room + 1))

    def _draw_epoch(self, epoch: int) -> _Epoch:
        random = np.random.default_rng([self.seed, epoch])
        return _Epoch(random.permutation(self.slots), random.random(self.slots))

    def _fill(self, target: np.ndarray, utterance: int, first: int) -> None:
        """Copy into `target` the samples from `first` on; where there are none, it stays 0."""
        begin, end = max(0, first), min(first + len(target), int(self._lengths[utterance]))
        if begin >= end:
            return
        into = target[begin - first : end - first]
        if self.is_cached:
            np.multiply(self._samples(utterance)[begin:end], np.float32(1 / 32768), out=into)
        else:
            into[:] = self._regions[utterance].read(begin, end)

    def _samples(self, utterance: int) -> np.ndarray:
        """Return all samples of an utterance as int16, read on first use."""
        if utterance not in self._cache:
            region = self._regions[utterance]
            samples, clipped = to_int16(region.read())
            if clipped:
                logger.warning("%s: %d samples beyond [-1, 1] clipped", region.info.path, clipped)
            self._cache[utterance] = samples
        return self._cache[utterance]


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


def _region_at_rate(utterance: Utterance, sample_rate: int) -> Region:
    region = find_region(utterance)
    if region.sample_rate != sample_rate:
        raise DataDirError(
            f"{region.info.path} (utterance {utterance.id!r}) has {region.sample_rate} Hz, "
            f"expected {sample_rate} Hz; convert the corpus first, with `vqaudio data format`"
        )
    return region


def _speaker_indices(utterances: Sequence[Utterance], speakers: Sequence[str]) -> list[int]:
    index = {speaker: i for i, speaker in enumerate(speakers)}
    for utterance in utterances:
        if utterance.speaker not in index:
            raise DataDirError(
                f"utterance {utterance.id!r} is of speaker {utterance.speaker!r}, who is not among the "
                f"{len(speakers)} speakers given.{did_you_mean(utterance.speaker, speakers)}"
            )
    return [index[utterance.speaker] for utterance in utterances]


def _check_sizes(crop_length: int, context: tuple[int, int], batch_size: int, rank: int, world_size: int) -> None:
    if crop_length < 1 or batch_size < 1 or min(context) < 0:
        raise DataDirError(
            f"crop_length {crop_length}, context {context}, batch_size {batch_size}: expected at least 1, 0 and 1"
        )
    if not 0 <= rank < world_size:
        raise DataDirError(f"rank {rank} of {world_size}: expected 0 <= rank < world_size")
