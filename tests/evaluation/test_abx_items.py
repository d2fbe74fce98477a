"""Triphone items: which are taken from an alignment, and the `.item` file."""

from __future__ import annotations

import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.abx_items import HEADER, Item, read_items, triphone_items, write_items
from vqaudio.evaluation.alignments import Segment

# The example in fastabx's documentation, from ZeroSpeech 2021's dev-clean (docs/items.rst, docs/advanced/slicing.rst).
PUBLISHED = """#file onset offset #phone prev-phone next-phone speaker
6295-244435-0009 0.2925 0.4725 IH L NG 6295
6295-244435-0009 0.3725 0.5325 NG IH K 6295
6295-244435-0009 0.4325 0.5725 K NG AH 6295
"""
# The only alignment that gives it: each boundary is an end of one of the three items.
LINKA = [
    Segment(0.2925, 0.3725, "L"),
    Segment(0.3725, 0.4325, "IH"),
    Segment(0.4325, 0.4725, "NG"),
    Segment(0.4725, 0.5325, "K"),
    Segment(0.5325, 0.5725, "AH"),
]


def labels(segments: list[Segment], **options) -> list[str]:
    return [item.phone for item in triphone_items({"u": segments}, {"u": "s"}, **options)]


def in_a_row(*names: str) -> list[Segment]:
    return [Segment(n / 10, (n + 1) / 10, name) for n, name in enumerate(names)]


def test_items_are_those_of_zerospeech(tmp_path):
    (tmp_path / "published.item").write_text(PUBLISHED, encoding="utf-8")
    utterance, speaker = "6295-244435-0009", "6295"
    assert triphone_items({utterance: LINKA}, {utterance: speaker}) == read_items(tmp_path / "published.item")


def test_silence_and_its_neighbours_are_no_items():
    assert labels(in_a_row("h#", "a", "b", "c", "SIL", "d", "e", "f", "", "g", "h")) == ["b", "e"]
    assert labels(in_a_row("a", "b", "c", "d"), silences=["D"]) == ["b"]


def test_phones_that_do_not_touch_are_no_context():
    gap = [Segment(0, 0.1, "a"), Segment(0.1, 0.2, "b"), Segment(0.202, 0.3, "c"), Segment(0.3, 0.4, "d")]
    assert labels(gap) == []
    rounded = [Segment(0, 0.1, "a"), Segment(0.1, 0.2, "b"), Segment(0.2005, 0.3, "c"), Segment(0.3, 0.4, "d")]
    assert labels(rounded) == ["b", "c"]


def test_times_are_decimal_numbers():
    (item,) = triphone_items(
        {"u": [Segment(0.1, 0.2, "a"), Segment(0.2, 0.2 + 0.1, "b"), Segment(0.3, 0.7 + 0.1, "c")]}, {"u": "s"}
    )
    assert (item.onset, item.offset) == (0.1, 0.8)  # 0.7 + 0.1 is 0.7999999999999999


def test_few_phones_make_no_item():
    assert labels([]) == labels(in_a_row("a", "b")) == []


def test_an_utterance_needs_a_speaker():
    with pytest.raises(VQAudioError, match="v is aligned but has no speaker"):
        triphone_items({"v": in_a_row("a", "b", "c")}, {"u": "s"})


def test_reading_gives_what_was_written(tmp_path):
    items = [Item("u", 0.0, 0.3, "a", "b", "c", "s"), Item("ü", 0.137188, 12.5, "ʃ", "t", "əʊ", "s-2")]
    write_items(tmp_path / "x.item", items)
    assert read_items(tmp_path / "x.item") == items
    assert (tmp_path / "x.item").read_text(encoding="utf-8").splitlines()[:2] == [
        HEADER,
        "u 0.000000 0.300000 a b c s",
    ]


@pytest.mark.parametrize("wrong", ["a b", "", "a\tb"])
def test_names_with_spaces_are_refused(tmp_path, wrong):
    with pytest.raises(VQAudioError, match="expected a name without spaces"):
        write_items(tmp_path / "x.item", [Item("u", 0.0, 0.3, wrong, "b", "c", "s")])
    assert not (tmp_path / "x.item").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.item:1: '', expected '#file onset"),
        ("#file onset offset #phone speaker\n", r"x\.item:1: '#file onset offset #phone speaker', expected"),
        (f"{HEADER}\nu 0.1 0.2 a b c\n", r"x\.item:2: 'u 0.1 0.2 a b c', expected"),
        (f"{HEADER}\nu 0.1 zwei a b c s\n", r"x\.item:2"),
        (f"{HEADER}\n\nu 0.2 0.2 a b c s\n", r"x\.item:3: from 0.2 to 0.2 s"),
        (f"{HEADER}\nu -1 0.2 a b c s\n", "from -1 to 0.2 s"),
        (f"{HEADER}\nu 0 inf a b c s\n", "from 0 to inf s"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, message):
    (tmp_path / "x.item").write_text(text, encoding="utf-8")
    with pytest.raises(VQAudioError, match=message):
        read_items(tmp_path / "x.item")
