"""Reading ahead: the same blocks, in order; errors in their place; an end to the thread, and bounds."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import numpy as np
import pytest

from vqaudio.audio.io import BLOCK_FRAMES, write_wav
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.prefetch import in_background, read_ahead
from vqaudio.corpus.reading import read_utterance
from vqaudio.errors import AudioError

from .conftest import RATE, noise


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert reading_threads() == []


@pytest.fixture
def long(data) -> DataDir:
    """Three utterances, the second one of several blocks."""
    write_wav(data / "wavs/ann-2.wav", noise(3 * BLOCK_FRAMES + 17), RATE)
    return DataDir.load(data)


def test_blocks_are_those_of_the_utterances(long):
    seen = []
    for utterance, blocks in read_ahead(long.utterances):
        blocks = list(blocks)
        seen.append(utterance)
        assert {block.sample_rate for block in blocks} == {RATE}
        assert all(block.samples.size <= BLOCK_FRAMES for block in blocks)
        np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks]), read_utterance(utterance)[0])
    assert seen == list(long.utterances)


def test_segments(segmented):
    for utterance, blocks in read_ahead(DataDir.load(segmented).utterances):
        np.testing.assert_array_equal(next(blocks).samples, read_utterance(utterance)[0])


def test_bad_audio_is_raised_in_its_place_and_the_rest_read(long):
    with open(long.utterances[1].recording, "r+b") as file:
        file.truncate(4 * BLOCK_FRAMES)  # half of its samples
    missing = Utterance("none", "x", str(long.utterances[0].recording) + ".gone")
    outcomes = {}
    for utterance, blocks in read_ahead([missing, *long.utterances]):
        try:
            outcomes[utterance.id] = sum(len(block.samples) for block in blocks)
        except AudioError as error:
            outcomes[utterance.id] = error.reason
    assert list(outcomes) == ["none", "ann-1", "ann-2", "bob-1"]
    assert "no such file" in outcomes["none"] and "truncated" in outcomes["ann-2"]
    assert (outcomes["ann-1"], outcomes["bob-1"]) == (4000, 5600)


def test_blocks_that_are_not_taken_are_skipped(long):
    read = {}
    for utterance, blocks in read_ahead(long.utterances):
        read[utterance.id] = len(next(blocks).samples)
    assert read == {"ann-1": 4000, "ann-2": BLOCK_FRAMES, "bob-1": 5600}


def test_no_utterances():
    assert list(read_ahead([])) == []


def test_an_interrupted_user_ends_the_thread(long):
    with pytest.raises(KeyboardInterrupt), closing(read_ahead(long.utterances)) as readings:
        for _, blocks in readings:
            next(blocks)
            assert len(reading_threads()) == 1
            raise KeyboardInterrupt
    assert reading_threads() == []  # although the blocks are still held


def test_items_are_taken_by_a_thread_no_more_than_so_many_ahead():
    taken, closed = [], []

    def items():
        try:
            for i in range(100):
                taken.append((i, threading.get_ident()))
                yield i
        finally:
            closed.append(True)

    with closing(in_background(items(), 3)) as numbers:
        for i in range(10):
            assert next(numbers) == i
            time.sleep(0.01)
            assert len(taken) <= i + 1 + 3
    assert closed == [True]
    assert threading.get_ident() not in {thread for _, thread in taken}
    assert len(taken) > 10  # ahead at all


def test_what_items_raise_comes_after_what_they_yielded():
    def items():
        yield from (1, 2)
        raise RuntimeError("after two")

    numbers = in_background(items(), 5)
    assert (next(numbers), next(numbers)) == (1, 2)
    with pytest.raises(RuntimeError, match="after two"):
        next(numbers)
