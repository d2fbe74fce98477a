"""A sequence of utterances in columns is, to its user, the list of them, and takes a fraction of its memory."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.corpus.datadir import DataDir
from vqaudio.corpus.transform import split
from vqaudio.corpus.utterances import Utterance, Utterances

from .conftest import table

optional_seconds = st.none() | st.floats(0.001, 1e4)
utterances = st.builds(
    Utterance,
    id=st.text("ab-é", min_size=1, max_size=4),
    speaker=st.sampled_from(["ann", "bob", "cy"]),
    recording=st.sampled_from(["/a.wav", "/b.wav", "cat c |"]),
    start=st.none() | st.floats(0, 10),
    end=optional_seconds,
    text=st.none() | st.sampled_from(["", "good  night"]),
    duration=optional_seconds,
    recording_id=st.none() | st.sampled_from(["a", "b"]),
    num_samples=st.none() | st.integers(1, 1 << 40),
)
lists = st.lists(utterances, max_size=8)


@settings(deadline=None)
@given(lists)
def test_it_is_the_list_that_it_was_made_of(items):
    made = Utterances.of(items)
    assert made == items and items == made and list(made) == items and len(made) == len(items)
    assert made == Utterances.of(items) == pickle.loads(pickle.dumps(made))
    assert [made[i] for i in range(-len(items), 0)] == items
    assert made != [*items, Utterance("more", "ann", "/a.wav")] and made != "text"
    assert bool(made) == bool(items)


@settings(deadline=None)
@given(lists, st.slices(8))
def test_slices_are_those_of_the_list(items, part):
    assert Utterances.of(items)[part] == items[part]


@settings(deadline=None)
@given(st.lists(lists, min_size=1, max_size=3))
def test_joining_and_sorting(parts):
    joined = Utterances.join([Utterances.of(part) for part in parts])
    assert joined == [item for part in parts for item in part]
    assert joined.sorted() == sorted(joined, key=lambda utterance: utterance.id)
    assert joined.used_names == sorted({utterance.speaker for utterance in joined})


def test_beyond_the_end(data):
    loaded = DataDir.load(data).utterances
    with pytest.raises(IndexError):
        loaded[3]
    assert list(reversed(loaded)) == list(loaded)[::-1] and loaded[1] in loaded
    assert repr(loaded).startswith("<3 utterances: Utterance(id='ann-1'")


def test_an_utterance_is_frozen_and_can_be_replaced(data):
    first = DataDir.load(data).utterances[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.speaker = "bob"
    assert dataclasses.replace(first, speaker="bob").speaker == "bob"


# ----------------------------------------------------------------------------------------------- at scale


COUNT = 20_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A data directory of 20,000 utterances of 50 speakers, all of one file."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "audio.wav").touch()
    speakers = [f"speaker{i // 400:02d}" for i in range(COUNT)]
    ids = [f"{speaker}-{i:06d}" for i, speaker in enumerate(speakers)]
    pairs = list(zip(ids, speakers, strict=True))
    table(folder, "wav.scp", *(f"{id} {folder}/audio.wav" for id in ids))
    table(folder, "utt2spk", *(f"{id} {speaker}" for id, speaker in pairs))
    table(folder, "spk2utt", *(f"{s} {' '.join(id for id, own in pairs if own == s)}" for s in sorted(set(speakers))))
    table(folder, "text", *(f"{id} some words that somebody said" for id in ids))
    table(folder, "utt2dur", *(f"{id} 1.500000" for id in ids))
    table(folder, "utt2num_samples", *(f"{id} 24000" for id in ids))
    return folder


def tables_size(folder) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def traced_peak(work) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BLOCKS = 8 << 20
"""Bytes that are worked on at a time, however many utterances there are."""


def test_loading_takes_the_tables_and_some_numbers_an_utterance(large):
    # Beside the bytes of the tables: 20 bytes a line for each of 5 tables, and 50 for the columns that are not theirs.
    # Objects would take more than 1,000: a string alone takes 49 and its bytes.
    assert traced_peak(lambda: DataDir.load(large)) < tables_size(large) + 150 * COUNT + BLOCKS


def test_a_loaded_directory_is_no_object_per_utterance(large):
    gc.collect()
    before = len(gc.get_objects())
    loaded = DataDir.load(large)
    gc.collect()
    assert len(gc.get_objects()) - before < 1000 and len(loaded) == COUNT


def test_splitting_takes_little_more_than_loading(large, tmp_path):
    parts = {"train": 0.9, "dev": 0.1}
    # A part's columns anew, and one line at a time of what is written.
    assert traced_peak(lambda: split(large, tmp_path, parts)) < tables_size(large) + 250 * COUNT + BLOCKS


def test_what_is_loaded_is_right_however_much(large):
    loaded = DataDir.load(large)
    assert loaded.speakers == [f"speaker{i:02d}" for i in range(50)]
    assert loaded.utterances[12_345] == Utterance(
        "speaker30-012345", "speaker30", f"{large}/audio.wav", text="some words that somebody said",
        duration=1.5, num_samples=24000,
    )  # fmt: skip
    chosen = loaded.utterances.take(np.array([5, 19_999]))
    assert [utterance.id for utterance in chosen] == ["speaker00-000005", "speaker49-019999"]
