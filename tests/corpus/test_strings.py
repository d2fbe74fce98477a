"""Columns of strings give back what they were made of, and are found, sorted and joined as single strings would be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.corpus import strings
from vqaudio.corpus.strings import BLOCK, Index, Strings, as_keys, likely

# NumPy does not count zero bytes at the end of a string; no id has any.
texts = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), max_size=30)


@settings(deadline=None)
@given(st.lists(st.none() | st.text("aé中😀 ", max_size=4)))
def test_they_give_back_what_they_were_made_of(items):
    made = Strings.of(items)
    assert list(made) == items == [made[i] for i in range(len(items))]
    assert [None if raw is None else raw.decode() for raw in made.raws()] == items


@settings(deadline=None)
@given(texts, st.data())
def test_taking_some_is_taking_from_the_list(items, data):
    rows = data.draw(st.lists(st.integers(0, len(items) - 1))) if items else []
    assert list(Strings.of(items).take(np.array(rows, dtype=int))) == [items[row] for row in rows]


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_joining_is_adding_lists(parts):
    assert list(Strings.join([Strings.of(part) for part in parts])) == [item for part in parts for item in part]


def test_absent_ones_are_none_and_can_be_joined():
    joined = Strings.join([Strings.of(["a"]), Strings.absent(2)])
    assert list(joined) == ["a", None, None] and list(joined.take(np.array([2, 0]))) == [None, "a"]


@pytest.mark.parametrize("longest", [10, 1000])  # beyond 256 bytes they are not padded
@settings(deadline=None)
@given(items=texts)
def test_they_compare_as_their_bytes_do(longest, items):
    items = [*items, "é" * longest]
    keys = Strings.of(items).padded()
    order = np.argsort(keys, kind="stable")
    assert [items[i] for i in order] == sorted(items, key=lambda item: item.encode())


@pytest.mark.parametrize("longest", [10, 1000])
@settings(deadline=None)
@given(have=texts, wanted=texts)
def test_an_index_finds_what_a_dictionary_would(longest, have, wanted):
    have, wanted = [*have, "é" * longest], [*wanted, *have[:3]]
    found = Index(Strings.of(have).padded()).find(as_keys([item.encode() for item in wanted]))
    for item, place in zip(wanted, found, strict=True):
        assert have[place] == item if item in have else place == -1


def test_nothing_is_found_in_nothing():
    empty = Strings.of([]).padded()
    assert Index(empty).find(Strings.of(["a"]).padded()).tolist() == [-1]
    assert Index(Strings.of(["a"]).padded()).find(empty).tolist() == []


def test_more_than_one_block():
    items = [f"utterance-{i}" for i in range(2 * BLOCK + 3)]
    made = Strings.of(items)
    assert list(made) == items and made.padded().tolist() == [item.encode() for item in items]


def test_what_a_wrong_name_is_compared_with_is_bounded(monkeypatch):
    names = Strings.of(sorted(f"s{i:05d}" for i in range(10_000)))
    near = list(likely("s0500x", names))
    assert len(near) == 2000 and "s05000" in near and "s05009" in near
    assert len(likely("zzz", names)) == len(likely("a", names)) == 2000
    monkeypatch.setattr(strings, "_COMPARED", 10_000)
    assert likely("s0500x", names) is names
