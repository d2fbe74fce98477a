"""Tensors over the ranks of a training: processes that each take their share of every batch.

Ranks together do what one process would do whose batch is theirs joined, rank by rank. What these functions return is,
bit for bit, the same on all ranks. Where there is one process alone they return what they are given.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def rank_count() -> int:
    """Return the number of ranks: 1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first_rank() -> bool:
    """Whether this is rank 0, or the only process."""
    return rank_count() == 1 or dist.get_rank() == 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of the ranks' tensors, of one shape."""
    if rank_count() == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """Return the mean of the ranks' tensors, of one shape."""
    ranks = rank_count()
    return tensor if ranks == 1 else sum_over_ranks(tensor) / ranks


def join_ranks(tensor: Tensor) -> Tensor:
    """Return the ranks' tensors (M, …), of one shape, one after the other (ranks · M, …)."""
    ranks = rank_count()
    if ranks == 1:
        return tensor
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(ranks)]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def copy_from_first_rank(tensor: Tensor) -> Tensor:
    """Return rank 0's tensor, which takes the place of this rank's, of the same shape."""
    if rank_count() > 1:
        dist.broadcast(tensor, src=0)
    return tensor
