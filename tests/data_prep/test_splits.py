"""Held-out parts: disjoint, stable, and of speakers who are trained on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.splits import hold_out, with_held_out
from vqaudio.corpus.datadir import Utterance
from vqaudio.errors import VQAudioError


def utterances(**counts: int) -> list[Utterance]:
    return [Utterance(f"{s}-{n}", s, f"/{s}/{n}.wav") for s, count in counts.items() for n in range(count)]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
)
def test_held_out_parts_are_disjoint_and_every_speaker_is_in_train(counts, dev, test):
    everything = utterances(**{f"s{number}": count for number, count in enumerate(counts)})
    try:
        parts = hold_out(everything, {"dev": dev, "test": test})
    except VQAudioError:
        wanted = sum(max(1, round(share * len(everything))) for share in (dev, test) if share)
        assert wanted > len(everything) - len(counts)  # refused only where it is impossible
        return
    assert sorted(u.id for part in parts.values() for u in part) == sorted(u.id for u in everything)
    assert {u.speaker for u in parts["train"]} == {u.speaker for u in everything}
    for name, share in (("dev", dev), ("test", test)):
        assert len(parts[name]) == (max(1, round(share * len(everything))) if share else 0)


def test_the_same_utterances_are_held_out_in_any_order():
    everything = utterances(anna=30, boris=30)
    first = hold_out(everything, {"dev": 0.1, "test": 0.1})
    again = hold_out(everything[::-1], {"dev": 0.1, "test": 0.1})
    assert first == again


@pytest.mark.parametrize("shares", [{"dev": -0.1}, {"dev": 0.5, "test": 0.5}, {"dev": float("nan")}])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(VQAudioError, match="shares of"):
        hold_out(utterances(anna=30), shares)


def test_a_part_of_a_large_corpus_is_bounded():
    parts = hold_out(utterances(anna=100), {"dev": 0.2, "test": 0.01}, most=5)
    assert {name: len(part) for name, part in parts.items()} == {"train": 94, "dev": 5, "test": 1}


def test_official_parts_of_other_speakers_stay_whole_beside_those_held_out():
    strangers = {"dev": utterances(carla=3), "test_other": utterances(david=2)}
    parts = with_held_out(utterances(anna=50, boris=50), strangers, share=0.05)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 90, "dev": 5, "test": 5, "official_dev": 3, "test_other": 2,
    }  # fmt: skip
    assert {u.speaker for u in parts["test"]} <= {"anna", "boris"}
