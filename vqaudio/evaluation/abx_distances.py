"""How far two stretches of speech lie apart, compiled by numba: frame by frame with dynamic time warping, or by edits.

The warping is that of Libri-Light, ZeroSpeech 2021 and fastabx: steps of one frame in either sequence or both, the sum
of distances along the cheapest path divided by the number of its points. Where several paths are cheapest, their
number of points may differ; the one that counts is found from the end, and prefers a step in both, then one in the
second sequence. All is in float32 and in the same order, so that ties of two distances are ties there as well.

numba keeps what it has compiled until this file changes, so that all that it compiles has to be in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numba
import numpy as np

from vqaudio.evaluation.abx_tokens import EDITS, IDENTICAL, TABLE


def kernel(function: Callable) -> Callable:
    """Have numba compile a function when it is first called, and keep the result where it can write."""
    compiled = functools.partial(numba.njit, error_model="numpy", nogil=True)
    try:
        return compiled(cache=True)(function)
    except RuntimeError:  # numba can write neither beside the source nor into the user's cache folder
        return compiled()(function)


@kernel
def fill_distances(frames, items, edges, needed, matrix):
    """Write the distances from each item x (row) to each y (column) of the blocks that are compared.

    Args:
        frames: `Frames`.
        items: int64 (n,), the items of a group, block by block.
        edges: int64 (blocks + 1,), block k is items[edges[k] : edges[k + 1]].
        needed: bool (blocks, blocks): whether distances from the items of one to those of the other are needed.
        matrix: float32 (n, n), written over where needed.
    """
    longest = 1
    for item in items:
        longest = max(longest, frames.bounds[item + 1] - frames.bounds[item])
    work = np.empty((longest + 1, longest + 1), dtype=np.float32)
    for first in range(len(edges) - 1):
        for second in range(len(edges) - 1):
            if needed[first, second]:
                for row in range(edges[first], edges[first + 1]):
                    for column in range(edges[second], edges[second + 1]):
                        matrix[row, column] = item_distance(frames, items[row], items[column], work)


@kernel
def item_distance(frames, x, y, work):
    """Return the distance between the items x and y; `work` has room for a table of their frames, and one more."""
    x_start, y_start = frames.bounds[x], frames.bounds[y]
    n, m = frames.bounds[x + 1] - x_start, frames.bounds[y + 1] - y_start
    if frames.kind == EDITS:
        return np.float32(edits(frames.codes[x_start : x_start + n], frames.codes[y_start : y_start + m], work)) / (
            np.float32(max(n, m))
        )
    for i in range(n):
        for j in range(m):
            work[i, j] = frame_distance(frames, x_start + i, y_start + j)
    return warped(work, n, m)


@kernel
def frame_distance(frames, i, j):
    """Return the distance between two frames, in [0, 1]."""
    if frames.kind == IDENTICAL:
        return np.float32(frames.codes[i] != frames.codes[j])
    if frames.kind == TABLE:
        return frames.table[frames.codes[i], frames.codes[j]]
    cosine = np.float32(0)
    for d in range(frames.vectors.shape[1]):
        cosine += frames.vectors[i, d] * frames.vectors[j, d]
    return np.arccos(min(np.float32(1), max(np.float32(-1), cosine))) / np.float32(np.pi)


@kernel
def warped(work, n, m):
    """Return the mean distance along the cheapest path through work[:n, :m], which is written over by sums."""
    for i in range(1, n):
        work[i, 0] += work[i - 1, 0]
    for j in range(1, m):
        work[0, j] += work[0, j - 1]
    for i in range(1, n):
        for j in range(1, m):
            work[i, j] += min(work[i - 1, j], work[i - 1, j - 1], work[i, j - 1])
    return work[n - 1, m - 1] / np.float32(path_points(work, n, m))


@kernel
def path_points(sums, n, m):
    """Return how many points the cheapest path through n rows and m columns has, walking back from its end."""
    i, j, points = n - 1, m - 1, 1
    while i > 0 and j > 0:
        up, left, both = sums[i - 1, j], sums[i, j - 1], sums[i - 1, j - 1]
        if both <= left and both <= up:
            i, j = i - 1, j - 1
        elif left <= up:
            j -= 1
        else:
            i -= 1
        points += 1
    return points + i + j


@kernel
def edits(x, y, work):
    """Return the fewest insertions, deletions and substitutions that make x, (n,), into y, (m,)."""
    n, m = len(x), len(y)
    for i in range(n + 1):
        work[i, 0] = i
    for j in range(m + 1):
        work[0, j] = j
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            substituted = work[i - 1, j - 1] + np.float32(x[i - 1] != y[j - 1])
            work[i, j] = min(substituted, work[i - 1, j] + 1, work[i, j - 1] + 1)
    return work[n, m]


@kernel
def count_errors(matrix, edges, a_blocks, b_blocks, x_blocks):
    """Return, for each cell, how many triples err, float64 (cells,): 1 where X is nearer to B than to A, 1/2 in a tie.

    Args:
        matrix: as `fill_distances` leaves it.
        edges: of its blocks.
        a_blocks, b_blocks, x_blocks: int64 (cells,), the blocks of A, B and X. Where A and X are of one block, they
            are two different items of it.
    """
    errors = np.zeros(len(a_blocks))
    for cell in range(len(a_blocks)):
        for x in range(edges[x_blocks[cell]], edges[x_blocks[cell] + 1]):
            for a in range(edges[a_blocks[cell]], edges[a_blocks[cell] + 1]):
                if a == x:
                    continue
                for b in range(edges[b_blocks[cell]], edges[b_blocks[cell] + 1]):
                    if matrix[x, a] > matrix[x, b]:
                        errors[cell] += 1
                    elif matrix[x, a] == matrix[x, b]:
                        errors[cell] += 0.5
    return errors
