"""Rows of symbols for the prior: every unit once an epoch, in order, of one speaker."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.errors import UnitsError
from vqaudio.training.unit_rows import UnitRows

K = 1000


def sequences(lengths, start=0):
    """Units that are all different, so that each can be recognised."""
    out, first = [], start
    for n in lengths:
        out.append(np.arange(first, first + n))
        first += n
    return out


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 99))
def test_every_transition_is_met_once_an_epoch(lengths, length, seed):
    units = sequences(lengths)
    rows = UnitRows(units, [0] * len(units), K, length, batch_size=1, seed=seed)
    seen = np.concatenate([rows.batch(i).symbols.numpy()[0, 1:] for i in range(rows.rows_per_epoch)])
    total = sum(lengths) + len(lengths)  # units and boundaries
    counts = np.bincount(seen, minlength=K + 1)
    for u in np.concatenate(units):
        assert counts[u] >= 1 or length * rows.rows_per_epoch < total
    # Filling up the last row repeats fewer symbols than a row has.
    assert total - 1 <= len(seen) < total + length


def test_rows_keep_the_order_and_the_speaker():
    units = sequences([5, 9, 3]) + sequences([7, 4], start=500)
    rows = UnitRows(units, [0, 0, 0, 1, 1], K, length=4, batch_size=3, seed=1)
    after = {int(a): int(b) for u in units for a, b in pairwise(u)}
    for step in range(30):
        batch = rows.batch(step)
        assert batch.symbols.shape == (3, 5)
        for row, speaker in zip(batch.symbols.tolist(), batch.speakers.tolist()):
            assert all((s >= 500) == bool(speaker) for s in row if s != K)
            for a, b in pairwise(row):
                assert K in (a, b) or after.get(a) == b


def test_batches_depend_on_seed_and_step_alone():
    units = sequences([20, 30, 10])
    make = lambda seed: UnitRows(units, [0, 1, 0], K, 8, 2, seed)  # noqa: E731
    first = make(1)
    expected = [first.batch(step).symbols for step in range(12)]
    again = make(1)
    for step in (11, 3, 7, 0):
        assert (again.batch(step).symbols == expected[step]).all()
    assert any((make(2).batch(step).symbols != expected[step]).any() for step in range(12))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_would(world_size):
    units, speakers = sequences([20, 30, 10]), [0, 1, 0]
    alone = UnitRows(units, speakers, K, 8, 2 * world_size, 1)
    ranks = [UnitRows(units, speakers, K, 8, 2, 1, rank, world_size) for rank in range(world_size)]
    for step in range(8):
        batches = [rank.batch(step) for rank in ranks]
        assert np.array_equal(np.concatenate([b.symbols for b in batches]), alone.batch(step).symbols)
        assert np.array_equal(np.concatenate([b.speakers for b in batches]), alone.batch(step).speakers)


def test_no_units_are_refused():
    with pytest.raises(UnitsError, match="no unit sequences"):
        UnitRows([], [], K, 8, 2, 0)
