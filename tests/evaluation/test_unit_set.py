"""A set of units says what it holds, and refuses what is no units."""

from __future__ import annotations

import numpy as np
import pytest

from vqaudio.errors import UnitsError
from vqaudio.evaluation.unit_set import UnitSet


def test_seconds_of_all_utterances():
    units = UnitSet({"a": np.array([0, 3, 3]), "b": np.array([1])}, 4, 50.0, np.zeros((4, 2), np.float32))
    assert units.seconds == 4 / 50


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ([0, 4], "a: holds 4, expected units from 0 to 3"),
        ([0, -1], "a: holds -1"),
        ([[0, 1]], r"a: units of shape \(1, 2\)"),
        ([0.0, 1.0], "type float64, expected integers"),
        (np.empty(0, dtype=np.int64), r"a: units of shape \(0,\)"),
    ],
)
def test_refuses_what_is_no_units(sequence, words):
    with pytest.raises(UnitsError, match=words):
        UnitSet({"a": np.array(sequence)}, 4, 50.0)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan")])
def test_refuses_a_rate_that_is_none(rate):
    with pytest.raises(UnitsError, match="a unit rate of"):
        UnitSet({"a": np.array([0])}, 4, rate)


@pytest.mark.parametrize("shape", [(3, 2), (4,)])
def test_refuses_a_codebook_of_another_size(shape):
    with pytest.raises(UnitsError, match=r"a codebook of shape .*expected \(4, D\)"):
        UnitSet({"a": np.array([0])}, 4, 50.0, np.zeros(shape))
