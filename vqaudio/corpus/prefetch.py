"""Reading ahead: the audio of one utterance after the other, decoded by a thread while its user computes.

thread      read u1 │ u1 │ u2 │ u2 │ u2 │ u3 …      at most AHEAD blocks before they are used
user                    u1 │ u1 │ u2 │ …            in the same order; what failed fails here, in its place
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from vqaudio.corpus.datadir import Utterance
from vqaudio.corpus.reading import open_region
from vqaudio.errors import AudioError

Item = TypeVar("Item")
AHEAD = 4
"""Blocks that are read before they are used: 256 KiB each."""


@dataclass(frozen=True)
class Block:
    """Samples of an utterance, float32 mono (T,), that follow those of the block before, and their rate in Hz."""

    samples: np.ndarray
    sample_rate: int


def read_ahead(utterances: Iterable[Utterance]) -> Iterator[tuple[Utterance, Iterator[Block]]]:
    """Yield each utterance with its blocks, which raise AudioError where its audio cannot be read.

    The blocks of one utterance are to be taken before the next one is; those that are not are skipped. Closing the
    iterator (`contextlib.closing`) ends the thread.
    """
    with closing(in_background(_pieces(utterances), AHEAD)) as pieces:
        for utterance, own in groupby(pieces, key=lambda piece: piece[0]):
            yield utterance, _blocks(own)


def in_background(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """Yield what `items` yields, and raise what it raises, in order; a thread takes up to `ahead` items before.

    Closing this iterator waits for the item being taken, ends the thread and closes `items`.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        taken = deque(pool.submit(next, iterator, end) for _ in range(ahead))
        try:
            while (item := taken.popleft().result()) is not end:
                taken.append(pool.submit(next, iterator, end))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
            if hasattr(iterator, "close"):
                iterator.close()


def _pieces(utterances: Iterable[Utterance]) -> Iterator[tuple[Utterance, Block | AudioError]]:
    for utterance in utterances:
        try:
            with open_region(utterance) as region:
                for samples in region.blocks():
                    yield utterance, Block(samples, region.sample_rate)
        except AudioError as error:
            yield utterance, error


def _blocks(pieces: Iterable[tuple[Utterance, Block | AudioError]]) -> Iterator[Block]:
    for _, piece in pieces:
        if isinstance(piece, AudioError):
            raise piece
        yield piece
