"""Distances of items: warping against a plain walk and against all paths, edits against their definition."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqaudio.evaluation.abx_distances import count_errors, edits, fill_distances, warped
from vqaudio.evaluation.abx_tokens import EDITS, IDENTICAL, TABLE, VECTORS, Frames

NO_TABLE, NO_CODES = np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.int64)

# Few values, so that paths tie: of those the walk back has to choose one.
lattices = st.integers(1, 7).flatmap(
    lambda n: st.integers(1, 7).flatmap(
        lambda m: st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=n * m, max_size=n * m).map(
            lambda values: np.array(values, dtype=np.float32).reshape(n, m)
        )
    )
)
sequences = st.lists(st.integers(0, 3), min_size=1, max_size=7)


def plain_warp(lattice: np.ndarray) -> float:
    """Cheapest path, by recursion; ties go to the step in both, then to the one in the second sequence."""
    n, m = lattice.shape

    @functools.cache
    def total(i: int, j: int) -> float:
        if i < 0 or j < 0:
            return 0.0 if i == j == -1 else float("inf")
        return float(lattice[i, j]) + min(total(i - 1, j - 1), total(i, j - 1), total(i - 1, j))

    points, here = 0, (n - 1, m - 1)
    while here != (-1, -1):
        points += 1
        i, j = here
        # At the border the only step is along it; min takes the first of those that tie.
        here = min([(i - 1, j - 1), (i, j - 1), (i - 1, j)], key=lambda place: total(*place))
    return total(n - 1, m - 1) / points


def paths(n: int, m: int) -> list[list[tuple[int, int]]]:
    """All paths from (0, 0) to (n - 1, m - 1)."""
    if (n, m) == (1, 1):
        return [[(0, 0)]]
    before = [(n - 1, m - 1), (n, m - 1), (n - 1, m)]
    return [[*path, (n - 1, m - 1)] for a, b in before if a and b for path in paths(a, b)]


def warp(lattice: np.ndarray) -> float:
    n, m = lattice.shape
    return warped(lattice.copy(), n, m)


@given(lattices)
@settings(deadline=None)  # the first call compiles
def test_warping_is_the_plain_walk(lattice):
    # Multiples of 1/4 are summed without rounding: only the division's float32 rounding is left.
    assert warp(lattice) == np.float32(plain_warp(lattice))


@given(lattices.filter(lambda lattice: lattice.size <= 16))
@settings(deadline=None)
def test_warping_takes_a_cheapest_path(lattice):
    totals = [(sum(float(lattice[place]) for place in path), len(path)) for path in paths(*lattice.shape)]
    least = min(total for total, _ in totals)
    assert warp(lattice) in [np.float32(total / points) for total, points in totals if total == least]


def test_warping_agrees_with_torchdtw():
    torch = pytest.importorskip("torch")
    torchdtw = pytest.importorskip("torchdtw")
    random = np.random.default_rng(0)
    for number in range(200):
        lattice = random.random((random.integers(1, 12), random.integers(1, 12)), dtype=np.float32)
        lattice = lattice.round(1) if number % 2 else lattice  # half of them with ties
        sizes = [torch.tensor([size]) for size in lattice.shape]
        theirs = torchdtw.dtw_batch(torch.from_numpy(lattice)[None, None], *sizes, symmetric=False)
        assert warp(lattice) == theirs.item()  # the same operations in float32: to the bit


@given(sequences, sequences)
@settings(deadline=None)
def test_edits_are_levenshteins(x, y):
    @functools.cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        same = distance(i - 1, j - 1) + (x[i - 1] != y[j - 1])
        return min(same, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    work = np.empty((8, 8), dtype=np.float32)
    assert edits(np.array(x), np.array(y), work) == distance(len(x), len(y))


def matrix_of(frames: Frames) -> np.ndarray:
    """Distances between all items, each a block of its own."""
    n = len(frames.bounds) - 1
    matrix = np.full((n, n), np.nan, dtype=np.float32)
    fill_distances(frames, np.arange(n), np.arange(n + 1), np.ones((n, n), dtype=bool), matrix)
    return matrix


def test_kinds_of_frames():
    codes, bounds = np.array([0, 1, 2, 1]), np.array([0, 2, 3, 4])  # items 01, 2 and 1
    table = np.array([[0, 0.5, 1], [0.5, 0, 0.25], [1, 0.25, 0]], dtype=np.float32)
    identical = matrix_of(Frames(IDENTICAL, codes, NO_TABLE, NO_TABLE, bounds))
    assert identical.tolist() == [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]]
    looked_up = matrix_of(Frames(TABLE, codes, table, NO_TABLE, bounds))
    assert looked_up.tolist() == [[0, 0.625, 0.25], [0.625, 0, 0.25], [0.25, 0.25, 0]]
    edited = matrix_of(Frames(EDITS, codes, NO_TABLE, NO_TABLE, bounds))
    assert edited.tolist() == [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]]


def test_angles_of_vectors():
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [3**0.5 / 2, 0.5]], dtype=np.float32)
    angles = matrix_of(Frames(VECTORS, NO_CODES, NO_TABLE, vectors, np.arange(5)))
    # float32 knows a cosine near 1 to 1e-7, and with it an angle near 0 to the root of that, 3e-4 rad or 1e-4 of π.
    assert angles == pytest.approx(
        np.array([[0, 90, 180, 30], [90, 0, 90, 60], [180, 90, 0, 150], [30, 60, 150, 0]]) / 180, abs=2e-4
    )


def test_only_what_is_needed_is_filled():
    frames = Frames(IDENTICAL, np.array([0, 1, 2]), NO_TABLE, NO_TABLE, np.arange(4))
    matrix = np.full((3, 3), np.nan, dtype=np.float32)
    needed = np.array([[False, True], [False, False]])
    fill_distances(frames, np.array([2, 0, 1]), np.array([0, 1, 3]), needed, matrix)
    assert np.isnan(matrix).tolist() == [[True, False, False], [True] * 3, [True] * 3]


def test_errors_are_counted_by_triple():
    matrix = np.array([[9, 1, 2, 1], [3, 9, 2, 3], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    edges = np.array([0, 2, 4])  # A and X: items 0 and 1; B: items 2 and 3
    zero, one = np.array([0]), np.array([1])
    # x = 0: A at 1 against B at 2 and 1: right, tie. x = 1: A at 3 against B at 2 and 3: wrong, tie.
    assert count_errors(matrix, edges, zero, one, zero).tolist() == [0.5 + 1 + 0.5]
