"""Which items of an ABX task are compared, and how often each comparison errs: its cells.

Within speakers, A, B and X are of one speaker and one context; A and X are two items of one phone, B is of another.
Across speakers, A and B are as before, and X is of A's phone and context and of another speaker. A cell holds all
triples (A, B, X) of the same phones, context and speakers (Schatz et al. 2013, *Evaluating speech features with the
Minimal-Pair ABX task*).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vqaudio.evaluation.abx_tokens import Tokens


@dataclass(frozen=True)
class Cells:
    """One row for each cell, all (cells,): int64 numbers of phones and speakers as in `Tokens`."""

    phone: np.ndarray
    """Of A and X."""
    other: np.ndarray
    """Of B."""
    speaker: np.ndarray
    """Of A and B."""
    speaker_x: np.ndarray
    error: np.ndarray
    """float64: share of the triples where X is nearer to B than to A, ties counted half."""
    triples: np.ndarray
    """int64, how many there are."""


@dataclass(frozen=True)
class Group:
    """Items of one context, and of one speaker within speakers, sorted into blocks of one speaker and phone."""

    items: np.ndarray
    """int64 (n,)."""
    edges: np.ndarray
    """int64 (blocks + 1,): block k is items[edges[k] : edges[k + 1]]."""
    a: np.ndarray
    """int64 (cells,), blocks; so are b and x."""
    b: np.ndarray
    x: np.ndarray

    @property
    def triples(self) -> np.ndarray:
        """How many triples each cell has, int64 (cells,)."""
        size = np.diff(self.edges)
        return size[self.a] * size[self.b] * (size[self.x] - (self.x == self.a))

    @property
    def needed(self) -> np.ndarray:
        """Whether items of block x are compared with those of block y: bool (blocks, blocks)."""
        blocks = len(self.edges) - 1
        needed = np.zeros((blocks, blocks), dtype=bool)
        needed[self.x, self.a] = needed[self.x, self.b] = True
        return needed


def cell_groups(tokens: Tokens, across: bool) -> Iterator[Group]:
    """Yield the groups that have cells, across speakers or within them."""
    key = tokens.context if across else tokens.context * (tokens.speaker.max() + 1) + tokens.speaker
    order = np.lexsort([tokens.phone, tokens.speaker, key])
    for items in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        group = _group(items, tokens.phone[items], tokens.speaker[items], across)
        if len(group.a):
            yield group


def scored_cells(tokens: Tokens, across: bool) -> Cells:
    """Score all cells of a task; every triple counts, none are sampled."""
    from vqaudio.evaluation.abx_distances import count_errors, fill_distances  # numba takes a second to load

    rows = []
    for group in cell_groups(tokens, across):
        matrix = np.empty((len(group.items), len(group.items)), dtype=np.float32)
        fill_distances(tokens.frames, group.items, group.edges, group.needed, matrix)
        error = count_errors(matrix, group.edges, group.a, group.b, group.x) / group.triples
        a, b, x = (group.items[group.edges[blocks]] for blocks in (group.a, group.b, group.x))
        speakers = tokens.speaker[a], tokens.speaker[x]
        rows.append((tokens.phone[a], tokens.phone[b], *speakers, error, group.triples))
    return Cells(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _group(items: np.ndarray, phone: np.ndarray, speaker: np.ndarray, across: bool) -> Group:
    """Find the blocks and cells of the items of a group, which are sorted by speaker, then phone."""
    changes = np.flatnonzero(np.diff(phone) | np.diff(speaker)) + 1
    edges = np.concatenate([[0], changes, [len(items)]])
    phone, speaker = phone[edges[:-1]], speaker[edges[:-1]]  # of each block
    a, b = np.nonzero((speaker[:, None] == speaker) & (phone[:, None] != phone))
    if across:
        pair, x = np.nonzero((phone[a][:, None] == phone) & (speaker[a][:, None] != speaker))
        return Group(items, edges, a[pair], b[pair], x)
    several = np.diff(edges)[a] > 1  # an A, and an X beside it
    return Group(items, edges, a[several], b[several], a[several])
