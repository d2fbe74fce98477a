"""Collapsing loses nothing; restoring refuses what cannot be restored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.units import collapse, expand

# Few distinct units, so that runs are common.
SEQUENCES = st.lists(st.integers(0, 3), max_size=60)


@given(SEQUENCES)
def test_expand_inverts_collapse(units):
    np.testing.assert_array_equal(expand(*collapse(units)), np.array(units, dtype=np.int64))


@given(SEQUENCES)
def test_collapse_is_groupby(units):
    values, durations = collapse(units)
    runs = [(value, len(list(run))) for value, run in itertools.groupby(units)]
    assert list(zip(values.tolist(), durations.tolist())) == runs


@pytest.mark.parametrize(
    ("values", "durations", "words"),
    [
        ([1, 2], [3], "one duration per value"),
        ([1, 2], [3, 0], "a duration of 0"),
        ([[1, 2]], [[3, 1]], "one duration per value"),
    ],
)
def test_expand_refuses(values, durations, words):
    with pytest.raises(UnitsError, match=words):
        expand(values, durations)


def test_collapse_refuses_a_batch():
    with pytest.raises(UnitsError, match="shape \\(2, 2\\)"):
        collapse([[1, 2], [3, 4]])
