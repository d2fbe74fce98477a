"""Windows cover every position once, and read no more than they must."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vqaudio.evaluation.windows import windows


@given(st.integers(0, 100), st.integers(1, 30), st.integers(0, 40))
def test_windows_cover_each_position_once_with_its_past(length, size, overlap):
    covered = []
    for begin, start, stop in windows(length, size, overlap):
        covered += range(start, stop)
        assert begin == max(0, start - overlap)
        assert 0 < stop - start <= size
    assert covered == list(range(length))
