"""Uniform random numbers that belong to an utterance, however it is batched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniform_stream(seed: int, purpose: str, key: str) -> np.random.Generator:
    """Return the generator of the utterance `key`: a function of the three arguments alone.

    A counter-based generator (Philox; Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*) whose
    key is a hash of the arguments. `purpose` keeps apart what is drawn for the same key, such as its
    units and its samples.
    """
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def next_uniforms(streams: Sequence[np.random.Generator], steps: int, per_step: int) -> Tensor:
    """Return the next float32 uniforms in [0, 1) of B streams: (B, steps, per_step).

    Taking them in blocks of any size gives the same numbers.
    """
    return torch.from_numpy(np.stack([s.random((steps, per_step), dtype=np.float32) for s in streams]))
