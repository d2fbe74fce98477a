"""ABX errors: by hand, at their limits, and as fastabx finds them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.abx import Averages, abx_error
from vqaudio.evaluation.abx_cells import Cells, scored_cells
from vqaudio.evaluation.abx_fastabx import fastabx_cells, has_fastabx
from vqaudio.evaluation.abx_items import Item
from vqaudio.evaluation.abx_tokens import Features, frame_range, tokens_of
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.unit_set import UnitSet

GOLDEN = json.loads((Path(__file__).parent / "golden" / "abx.json").read_text(encoding="utf-8"))
CORPORA = {corpus["rate"]: corpus for corpus in GOLDEN["corpora"]}


def said(*spoken: tuple[str, str, list[int]], context: tuple[str, str] = ("p", "n")) -> tuple[dict, list[Item]]:
    """Utterances of one item each: (speaker, phone, units), one unit a second."""
    sequences, items = {}, []
    for number, (speaker, phone, units) in enumerate(spoken):
        sequences[f"u{number}"] = np.array(units)
        items.append(Item(f"u{number}", 0.0, float(len(units)), phone, *context, speaker))
    return sequences, items


def units_of(sequences: dict, codebook: np.ndarray | None = None) -> UnitSet:
    return UnitSet(sequences, 5, 1.0, codebook)


# Units 1 to 4 as angles in a plane; 0 does not occur.
DEGREES = np.radians([45, 0, 90, 30, 180])
PLANE = np.stack([np.cos(DEGREES), np.sin(DEGREES)], axis=1).astype(np.float32)


def test_within_by_hand():
    # Phone a is 1 2 and 3 2, phone b is 1 4 2, all by one speaker. B alone cannot be A: one cell, two triples.
    sequences, items = said(("s", "a", [1, 2]), ("s", "a", [3, 2]), ("s", "b", [1, 4, 2]))
    units = units_of(sequences, PLANE)
    # one-hot: 12 to 32 costs 1 on 2 points. 12 to 142 costs 1 on 3 points, nearer: wrong.
    #          32 to 12 the same 1/2. 32 to 142 costs 2 on 3 points, farther: right.
    score = abx_error(units, items, "within", "one-hot", engine="numba")
    assert (score.error, score.cells, score.triples, score.speakers) == (0.5, 1, 2, 1)
    assert (score.items, score.left_out, score.interval, score.engine) == (3, 0, None, "numba")
    # edit: 12 to 32 one of 2; 12 to 142 one of 3: wrong. 32 to 142 two of 3: right.
    assert abx_error(units, items, "within", "edit").error == 0.5
    # angular: 12 to 32 is 30° on 2 points, 1/12; 12 to 142 is 90° on 3 points, 1/6: right.
    #          32 to 142 is 30° + 90° on 3 points, 2/9: right.
    assert abx_error(units, items, "within", "angular", engine="numba").error == 0


def test_across_by_hand():
    # X is only compared with the A and B of the other speaker, and t has no b to be one.
    sequences, items = said(("s", "a", [1, 2]), ("s", "b", [1, 4, 2]), ("t", "a", [3, 2]))
    score = abx_error(units_of(sequences), items, "across", "one-hot", engine="numba")
    assert (score.error, score.cells, score.triples, score.speakers) == (0, 1, 1, 2)  # 1/2 < 2/3, as above
    # With t's a as 1 4 2, which is s's b, that cell errs.
    sequences["u2"], items[2] = np.array([1, 4, 2]), items[2]._replace(offset=3.0)
    assert abx_error(units_of(sequences), items, "across", "one-hot", engine="numba").error == 1


def test_ties_count_half():
    sequences, items = said(("s", "a", [1, 2]), ("s", "a", [1, 2]), ("s", "b", [1, 1, 2]))
    # Durations make no difference to warping at 0, and none at all to edits.
    assert abx_error(units_of(sequences), items, "within", "one-hot", engine="numba").error == 0.5
    assert abx_error(units_of(sequences), items, "within", "edit").error == 0.5


def test_contexts_are_not_mixed():
    sequences, items = said(("s", "a", [1, 2]), ("s", "a", [3, 2]), ("s", "b", [1, 4, 2]))
    with pytest.raises(NotMeasured, match="none of 3 triphones recurs by its speaker"):
        abx_error(units_of(sequences), [items[0]._replace(next="m"), *items[1:]], "within", "one-hot")
    with pytest.raises(NotMeasured, match="none of 3 triphones recurs by another speaker"):
        abx_error(units_of(sequences), items, "across", "one-hot")


def test_averages_contexts_then_speakers_then_pairs():
    # The pair ab: speaker 0 has cells 0, 0 and 1, speaker 1 has 1. The pair ba: speaker 1 has 0.5.
    columns = [[0, 0, 0, 0, 1], [1, 1, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    cells = Cells(*map(np.array, columns), np.array([0, 0, 1, 1, 0.5]), np.array([9, 1, 1, 7, 2]))
    averages = Averages(cells)
    assert averages(np.ones(2)) == pytest.approx(((1 / 3 + 1) / 2 + 0.5) / 2, abs=1e-12)  # float64
    assert averages(np.array([2, 0])) == pytest.approx(1 / 3, abs=1e-12)
    assert averages(np.array([3, 1])) == pytest.approx(((3 / 3 + 1) / 4 + 0.5) / 2, abs=1e-12)
    assert np.isnan(averages(np.zeros(2)))
    # Across speakers, X's speakers are averaged with the contexts, and weigh as often as they are drawn.
    across = Averages(replace(cells, speaker_x=np.array([1, 2, 2, 0, 0])))
    assert across.speakers == 3
    assert across(np.array([1, 1, 1])) == pytest.approx(((1 / 3 + 1) / 2 + 0.5) / 2, abs=1e-12)
    assert across(np.array([1, 0, 4])) == pytest.approx((4 * 0 + 4 * 1) / 8, abs=1e-12)


def synthetic(units_for, speakers: int = 6, repeats: int = 3) -> tuple[dict, list[Item]]:
    """Items of 10 units: three phones in four contexts by each speaker; `units_for(phone, context)` gives the units."""
    spoken, contexts = [], []
    for speaker in range(speakers):
        for context in range(4):
            for phone in range(3):
                for _ in range(repeats):
                    spoken.append((f"s{speaker}", f"p{phone}", units_for(phone, context)))
                    contexts.append((f"c{context}", "n"))
    sequences, items = said(*spoken)
    return sequences, [
        item._replace(previous=before, next=after) for item, (before, after) in zip(items, contexts, strict=True)
    ]


@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("distance", ["angular", "one-hot", "edit"])
def test_perfect_units_make_no_error(mode, distance):
    sequences, items = synthetic(lambda phone, context: [4] * 3 + [phone] * 4 + [3] * 3)
    score = abx_error(units_of(sequences, PLANE), items, mode, distance, engine="numba", draws=100)
    assert score.error == 0 and score.interval == (0, 0)
    assert score.cells == 6 * 4 * 6 * (1 if mode == "within" else 5)  # speakers, contexts, pairs, speakers of X
    assert score.triples == score.cells * 3 * 3 * (2 if mode == "within" else 3)


@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("distance", ["angular", "one-hot", "edit"])
def test_random_units_are_at_chance(mode, distance):
    random = np.random.default_rng(0)
    sequences, items = synthetic(lambda phone, context: random.integers(5, size=10))
    score = abx_error(units_of(sequences, PLANE), items, mode, distance, engine="numba", draws=100)
    # Four standard deviations of the error over 20 seeds, the largest of the three distances'.
    assert score.error == pytest.approx(0.5, abs=4 * {"within": 0.026, "across": 0.012}[mode])
    assert score.interval[0] < score.error < score.interval[1]


def golden(rate: str) -> tuple[list[Item], UnitSet, Features]:
    corpus = CORPORA[rate]
    sequences = {name: np.array(units) for name, units in corpus["units"].items()}
    codebook = np.array(corpus["codebook"], dtype=np.float32)
    features = {name: np.array(rows, dtype=np.float32) for name, rows in corpus["features"].items()}
    units = UnitSet(sequences, len(codebook), float(rate), codebook)
    return [Item(*row) for row in corpus["items"]], units, Features(features, float(rate))


@pytest.mark.parametrize("rate", sorted(CORPORA))
@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("kind", ["units", "features", "codebook"])
def test_errors_are_those_of_fastabx(rate, mode, kind):
    items, units, features = golden(rate)
    material = features if kind == "features" else units
    score = abx_error(material, items, mode, "one-hot" if kind == "units" else "angular", engine="numba", draws=0)
    # fastabx keeps the errors of cells in float32. Its angle between a codebook vector and itself is up to 1e-4 rather
    # than 0, by rounding, which can decide ties; there are none of that kind here.
    assert score.error == pytest.approx(CORPORA[rate]["errors"][f"{mode} {kind}"], abs=1e-6)


@pytest.mark.parametrize("rate", sorted(CORPORA))
@pytest.mark.parametrize("mode", ["within", "across"])
@pytest.mark.parametrize("kind", ["units", "features", "codebook"])
def test_engines_agree_on_every_cell(rate, mode, kind):
    pytest.importorskip("fastabx")
    items, units, features = golden(rate)
    distance = "one-hot" if kind == "units" else "angular"
    tokens = tokens_of(features if kind == "features" else units, items, distance)
    rows = []
    for engine in (scored_cells, fastabx_cells):
        found = engine(tokens, mode == "across")
        keys = np.stack([found.phone, found.other, found.speaker, found.speaker_x, found.triples])
        order = np.lexsort([found.error, *keys])
        rows.append((keys[:, order], found.error[order]))
    assert np.array_equal(rows[0][0], rows[1][0])
    assert rows[0][1] == pytest.approx(rows[1][1], abs=1e-6)  # float32 there: 1 - counts / triples
    one, other = (
        abx_error(features if kind == "features" else units, items, mode, distance, engine=name, draws=50)
        for name in ("numba", "fastabx")
    )
    assert one.error == pytest.approx(other.error, abs=1e-6) and one.interval == pytest.approx(other.interval, abs=1e-6)
    assert replace(one, error=0, interval=None, engine="") == replace(other, error=0, interval=None, engine="")


def test_auto_takes_fastabx_where_it_can():
    items, units, _ = golden("50")
    expected = "fastabx" if has_fastabx() else "numba"
    assert abx_error(units, items, "within", "one-hot", draws=0).engine == expected
    assert abx_error(units, items, "within", "edit", draws=0).engine == "numba"
    with pytest.raises(NotMeasured, match="no edit distance" if has_fastabx() else "fastabx is not installed|needed"):
        abx_error(units, items, "within", "edit", engine="fastabx")


def test_interval_is_of_the_seed_and_needs_speakers():
    random = np.random.default_rng(0)
    sequences, items = synthetic(lambda phone, context: random.integers(5, size=10))
    units = units_of(sequences)
    scores = [abx_error(units, items, "within", "edit", draws=50, seed=seed) for seed in (1, 1, 2)]
    assert scores[0] == scores[1] and scores[0].interval != scores[2].interval
    assert abx_error(units, items, "within", "edit", draws=0).interval is None
    two = [item for item in items if item.speaker in ("s0", "s1")]
    assert abx_error(units, two, "within", "edit", draws=50).interval is not None
    assert abx_error(units, two, "across", "edit", draws=50).interval is None


@pytest.mark.parametrize(
    ("onset", "offset", "rate", "expected"),
    [
        (0.0, 1.0, 50, (0, 50)),
        (0.01, 0.03, 50, (0, 2)),  # centres at 10 and 30 ms are ends, and within
        (0.0101, 0.0299, 50, (1, 1)),  # none
        (0.29, 0.31, 50, (14, 16)),  # 0.29 · 50 is 14.499999999999998 in binary, and 0.29 is the centre of 14
        (0.3, 0.7, 125.0, (37, 88)),  # 37.0 and 87.0
        (0.0, 10.0, 49.95, (0, 500)),  # 499.5 - 0.5 = 499
        (0.0, 10.0, np.float64(12.5), (0, 125)),
    ],
)
def test_frames_whose_centres_lie_within(onset, offset, rate, expected):
    assert frame_range(onset, offset, rate) == expected


def test_items_without_a_frame_are_left_out_and_logged(caplog):
    sequences, items = said(("s", "a", [1, 2]), ("s", "a", [3, 2]), ("s", "b", [1, 4, 2]))
    short = [items[0]._replace(onset=0.6, offset=1.4), items[0]._replace(onset=0.0, offset=0.2)]
    past = [items[1]._replace(offset=2.05)]  # no frame there: its end is before the next centre
    with caplog.at_level(logging.INFO):
        score = abx_error(units_of(sequences), [*items, *short, *past], "within", "one-hot", engine="numba")
    assert (score.items, score.left_out) == (4, 2) and "2 of 6 ABX items left out" in caplog.text
    with pytest.raises(NotMeasured, match="none of 2 items holds a frame at 1 Hz"):
        abx_error(units_of(sequences), short, "within", "one-hot")


def test_the_last_frame_may_be_missing_but_no_more():
    sequences = {"u": np.arange(5).repeat(20)}  # 100 units at 100 Hz
    inside, last = Item("u", 0.2, 0.4, "a", "p", "n", "s"), Item("u", 0.8, 1.05, "a", "p", "n", "s")
    units = UnitSet(sequences, 5, 100.0)
    assert tokens_of(units, [inside, last], "one-hot").left_out == 1
    with pytest.raises(
        VQAudioError, match=r"ends at 1\.2 s, but 100 frames at 100 Hz end at 1\.000 s: is that the rate"
    ):
        tokens_of(units, [inside, last._replace(offset=1.2)], "one-hot")


def test_features_of_length_0_are_not_nan():
    features = Features({"u": np.array([[0.0, 0], [1, 1], [1, -1]])}, 1.0)
    frames = tokens_of(features, [Item("u", 0.0, 3.0, "a", "p", "n", "s")], "angular").frames
    assert frames.vectors == pytest.approx(np.array([[1, 1], [1, 1], [1, -1]]) / 2**0.5, abs=1e-7)  # float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "accross"}, "mode 'accross', expected within, across. Did you mean 'across'"),
        ({"engine": "fast"}, "engine 'fast', expected auto, fastabx, numba"),
        ({"distance": "onehot"}, "distance 'onehot', expected angular, one-hot, edit. Did you mean 'one-hot'"),
    ],
)
def test_unknown_names_are_refused(options, message):
    items, units, _ = golden("50")
    with pytest.raises(VQAudioError, match=message):
        abx_error(units, items, **options)


def test_material_that_does_not_fit_is_refused():
    items, units, features = golden("50")
    with pytest.raises(VQAudioError, match="of features, expected 'angular'"):
        abx_error(features, items, "within", "edit")
    with pytest.raises(NotMeasured, match="come without a codebook"):
        abx_error(replace(units, codebook=None), items)
    with pytest.raises(VQAudioError, match="items of 1 utterances that have no frames: v"):
        abx_error(units, [*items, items[0]._replace(utterance="v")])
    with pytest.raises(NotMeasured, match="no items"):
        abx_error(units, [])
    with pytest.raises(VQAudioError, match="frame rate of 0"):
        Features({}, 0)
    with pytest.raises(VQAudioError, match="expected one D for all"):
        Features({"u": np.zeros((2, 3)), "v": np.zeros((2, 4))}, 50)
    with pytest.raises(VQAudioError, match="u: features with NaN"):
        Features({"u": np.full((2, 3), np.nan)}, 50)
