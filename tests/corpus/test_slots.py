"""Crops come in the order that NumPy's generator draws, which no later version may change: resuming relies on it."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.corpus.slots import CropSlots

LENGTHS = np.array([1000, 3999, 400, 2500, 50])


def plainly(lengths, crop_length: int, seed: int, position: int) -> tuple[int, int]:
    """Return utterance and first sample of one crop of the stream."""
    slots = [u for u, length in enumerate(lengths) for _ in range(max(1, round(length / crop_length)))]
    epoch, index = divmod(position, len(slots))
    random = np.random.default_rng([seed, epoch])
    order, places = random.permutation(len(slots)), random.random(len(slots))
    slot = order[index]
    return slots[slot], int(places[slot] * (max(0, lengths[slots[slot]] - crop_length) + 1))


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=6),
    crop_length=st.integers(1, 2000),
    seed=st.integers(0, 9),
    first=st.integers(0, 200),
    count=st.integers(1, 40),
)
def test_crops_are_those_of_permutations_and_places_drawn_plainly(lengths, crop_length, seed, first, count):
    utterances, starts = CropSlots(np.array(lengths), crop_length, seed).crops(first, count)
    expected = [plainly(lengths, crop_length, seed, position) for position in range(first, first + count)]
    assert list(zip(utterances.tolist(), starts.tolist(), strict=True)) == expected


def test_the_stream_of_earlier_versions():
    utterances, starts = CropSlots(LENGTHS, 1000, seed=7).crops(0, 16)
    assert utterances.tolist() == [4, 0, 3, 1, 1, 3, 1, 1, 2, 3, 0, 1, 1, 3, 1, 4]
    assert starts.tolist() == [0, 0, 668, 2463, 1403, 382, 2391, 909, 0, 53, 0, 2978, 977, 1174, 919, 0]
    utterances, starts = CropSlots(LENGTHS, 1000, seed=7).crops(200, 4)
    assert (utterances.tolist(), starts.tolist()) == ([1, 1, 2, 1], [2093, 1428, 0, 2313])


def test_an_epoch_takes_four_bytes_a_slot_and_two_are_kept():
    slots = CropSlots(np.full(1000, 1000 * 1000), 1000, seed=0)
    slots.crops(0, 1)
    tracemalloc.start()
    for epoch in range(1, 5):
        slots.crops(epoch * len(slots) - 4, 8)  # half in the epoch before
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(slots) == 1_000_000
    assert peak < 2 * 4 * len(slots) + (1 << 20)


def test_threads_that_want_an_epoch_draw_it_once(monkeypatch):
    slots, drawn = CropSlots(LENGTHS, 1000, seed=0), []
    draw = slots._draw
    monkeypatch.setattr(slots, "_draw", lambda number: drawn.append(number) or draw(number))
    threads = [threading.Thread(target=slots.crops, args=(0, 4)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [0]


@pytest.mark.parametrize("step", [1, 7])
def test_going_back_gives_the_same(step):
    forward, back = CropSlots(LENGTHS, 1000, 3), CropSlots(LENGTHS, 1000, 3)
    firsts = range(0, 60, step)
    there = [forward.crops(first, 5) for first in firsts]
    for first, expected in reversed(list(zip(firsts, there, strict=True))):
        np.testing.assert_array_equal(back.crops(first, 5), expected)
