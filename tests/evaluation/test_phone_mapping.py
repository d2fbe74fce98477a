"""Codes as phones: by hand, in the limits, and against a plain dictionary of counts."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.phone_mapping import confusions, joint_counts, likeliest_phones, phone_accuracy, shuffle_in_time
from vqaudio.evaluation.unit_set import UnitSet


def unit_set(sequences: dict[str, list[int]], size: int = 8) -> UnitSet:
    return UnitSet({id: np.array(units) for id, units in sequences.items()}, size, unit_rate=1.0)


def aligned(labels: dict[str, str]) -> dict[str, list[Segment]]:
    """One segment of a second for each letter, ' ' for none; units of one a second have one each."""
    return {
        id: [Segment(n, n + 1.0, letter) for n, letter in enumerate(row) if letter != " "] for id, row in labels.items()
    }


def own_speakers(ids) -> dict[str, str]:
    return {id: id for id in ids}


def test_counts_by_hand():
    units = unit_set({"x": [0, 0, 1, 2], "y": [2, 1], "unaligned": [0]}, size=4)
    counts, labels = joint_counts(units, aligned({"x": "ab a", "y": "bb", "without units": "c"}))
    assert labels == ["a", "b"] and counts.dtype == np.int64
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1], [1, 1], [0, 0]])


def test_counts_in_columns_of_ones_own():
    counts, labels = joint_counts(unit_set({"x": [0, 0, 1]}, 2), aligned({"x": "abc"}), labels=["c", "q", "a"])
    assert labels == ["c", "q", "a"]
    np.testing.assert_array_equal(counts, [[0, 0, 1], [1, 0, 0]])


def test_accuracy_by_hand():
    # Speakers in order: s1 and s3 are one half, s2 the other.
    units = unit_set({"s1": [0, 0, 1, 5], "s2": [0, 1, 1, 2], "s3": [1, 1]})
    alignments = aligned({"s1": "aab ", "s2": "abac", "s3": "ab"})
    # Of s1 and s3: code 0 is a twice; code 1 is b twice, a once. On s2: a right, b right, a wrong; the unseen code 2
    # stands for the commonest, a: wrong. Of s2: 0 is a; 1 is a or b once each, so the commonest, a; 2 is c. On s1:
    # a a right, b wrong; on s3: a right, b wrong. Together 5 of 9. Always a: s2 2 of 4, s1 2 of 3, s3 1 of 2.
    figures = phone_accuracy(units, alignments, own_speakers(alignments))
    assert (figures.accuracy, figures.majority, figures.units_scored) == (5 / 9, 5 / 9, 9)
    assert figures.interval[0] <= 5 / 9 <= figures.interval[1]
    counts, labels = confusions(units, alignments, own_speakers(alignments))
    assert labels == ["a", "b", "c"]
    np.testing.assert_array_equal(counts, [[4, 1, 0], [2, 1, 0], [1, 0, 0]])


def test_likeliest_phones_and_their_ties():
    # Columns sum to 3, 5, 5: the tie of code 1 goes to the second column, as does the code that never occurs.
    np.testing.assert_array_equal(
        likeliest_phones(np.array([[3, 0, 0], [0, 2, 2], [0, 0, 0], [0, 3, 3]])), [0, 1, 1, 1]
    )
    np.testing.assert_array_equal(likeliest_phones(np.array([[1, 1, 0], [0, 0, 9]])), [0, 2])


def random_material(seed: int, speakers: int = 5, length: int = 60, size: int = 8):
    generator = np.random.default_rng(seed)
    ids = [f"s{n}_{take}" for n in range(speakers) for take in "ab"]
    labels = {id: "".join(generator.choice(list("aaabbcd "), length)) for id in ids}
    return {id: generator.integers(size, size=length) for id in ids}, labels, {id: id[:2] for id in ids}


def by_dictionary(sequences, labels, speakers) -> tuple[float, float]:
    """Accuracy and majority by the definition, with counts of pairs in dictionaries."""
    order = sorted(set(speakers.values()))
    right = base = total = 0
    for half in (order[::2], order[1::2]):
        pairs = [
            (int(c), p)
            for id in labels
            if speakers[id] not in half
            for c, p in zip(sequences[id], labels[id])
            if p != " "
        ]
        overall, by_code = Counter(p for _, p in pairs), defaultdict(Counter)
        for code, phone in pairs:
            by_code[code][phone] += 1
        ranked = sorted(overall, key=lambda p: (-overall[p], p))
        for id in (id for id in labels if speakers[id] in half):
            for code, phone in zip(sequences[id], labels[id]):
                if phone != " ":
                    seen = by_code[int(code)]
                    guess = min(ranked, key=lambda p: (-seen[p], ranked.index(p)))
                    right, base, total = right + (guess == phone), base + (ranked[0] == phone), total + 1
    return right / total, base / total


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_accuracy_is_that_of_the_definition(seed, count):
    sequences, labels, speakers = random_material(seed, count)
    figures = phone_accuracy(UnitSet(sequences, 8, 1.0), aligned(labels), speakers)
    assert (figures.accuracy, figures.majority) == pytest.approx(by_dictionary(sequences, labels, speakers), abs=1e-12)


def test_units_that_are_the_phones_are_always_right_and_shuffled_they_are_not():
    _, labels, speakers = random_material(0)
    units = UnitSet({id: np.array([" abcd".index(p) for p in row]) for id, row in labels.items()}, 5, 1.0)
    figures = phone_accuracy(units, aligned(labels), speakers)
    assert figures.accuracy == 1 and figures.interval == (1, 1)
    # Independent of the phones, units are right as often as the majority; 525 units leave a standard error of 2%.
    assert figures.shuffled == pytest.approx(figures.majority, abs=0.08)
    counts, _ = confusions(units, aligned(labels), speakers)
    assert np.count_nonzero(counts - np.diag(np.diag(counts))) == 0


def test_one_code_for_everything_is_the_majority():
    _, labels, speakers = random_material(1)
    units = UnitSet({id: np.zeros(len(row), dtype=int) for id, row in labels.items()}, 4, 1.0)
    figures = phone_accuracy(units, aligned(labels), speakers)
    assert figures.accuracy == figures.majority == figures.shuffled


def test_codes_of_one_speaker_alone_tell_nothing_of_another():
    # Each speaker's own codes are perfect phones, and would score 1 were the halves of utterances instead.
    labels = {"s1_a": "abab", "s1_b": "abab", "s2_a": "abab", "s2_b": "abab"}
    units = unit_set({"s1_a": [0, 1, 0, 1], "s1_b": [0, 1, 0, 1], "s2_a": [2, 3, 2, 3], "s2_b": [2, 3, 2, 3]})
    assert phone_accuracy(units, aligned(labels), {id: id[:2] for id in labels}).accuracy == 0.5


def test_the_names_of_codes_do_not_matter():
    sequences, labels, speakers = random_material(2)
    names = np.random.default_rng(0).permutation(8)
    renamed = {id: names[units] for id, units in sequences.items()}
    first, second = (phone_accuracy(UnitSet(s, 8, 1.0), aligned(labels), speakers) for s in (sequences, renamed))
    assert first == second


def test_shuffling_keeps_the_units_of_each_utterance():
    units = unit_set({"x": list(range(8)) * 4, "y": [1, 2, 3]})
    shuffled = shuffle_in_time(units, seed=3)
    assert {id: sorted(row) for id, row in shuffled.sequences.items()} == {"x": sorted([*range(8)] * 4), "y": [1, 2, 3]}
    assert list(shuffled.sequences["x"]) != list(units.sequences["x"])
    alone = shuffle_in_time(unit_set({"x": list(range(8)) * 4}), seed=3)
    np.testing.assert_array_equal(alone.sequences["x"], shuffled.sequences["x"])
    assert list(shuffle_in_time(units, seed=4).sequences["x"]) != list(shuffled.sequences["x"])


def test_one_speaker_is_not_enough_even_if_another_has_units_without_phones():
    units = unit_set({"s1": [0, 1], "s2": [0, 1]})
    with pytest.raises(NotMeasured, match="1 speaker"):
        phone_accuracy(units, aligned({"s1": "ab", "s2": "  "}), own_speakers(["s1", "s2"]))


def test_nothing_in_common_is_said_in_numbers():
    with pytest.raises(NotMeasured, match=r"2 utterances with units, 1 with an alignment, 0 with both"):
        joint_counts(unit_set({"x": [0], "y": [1]}), aligned({"z": "a"}))
    with pytest.raises(NotMeasured, match="no unit has a phone"):
        joint_counts(unit_set({"x": [0]}), aligned({"x": "a"}), labels=["b"])


def test_an_utterance_without_a_speaker_is_named():
    with pytest.raises(VQAudioError, match="1 utterances have no speaker: y"):
        phone_accuracy(unit_set({"x": [0], "y": [1]}), aligned({"x": "a", "y": "a"}), {"x": "s1"})
