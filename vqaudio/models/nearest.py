"""The nearest code of each vector: a compiled kernel where there is one (csrc/nearest.cpp), else torch.

Both take argmin_j ‖v - e_j‖² as argmax_j v·e_j - ‖e_j‖²/2, for ‖v‖² is the same for all codes. The kernel keeps the
best code of a vector while it goes through the codebook; its sums are taken in one order, whatever vectors lie around.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_int64, c_void_p
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from vqaudio.csrc import KernelsUnavailable, instruction_set, kernel

CHUNK = 8192
"""Vectors whose distances to all codes torch holds at a time: bounds memory to CHUNK · K floats."""
SHARE = 1 << 23
"""Multiply-adds that are worth a thread: some 0.15 ms of work, several times what handing it over takes."""


def nearest_codes(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return k = argmin_j ‖v - e_j‖² for vectors (M, D) and a codebook (K, D), LongTensor (M,).

    Ties go to the lowest index. A vector that holds NaN gets code 0. float32 on the CPU is computed by the kernel, on
    up to `torch.get_num_threads()` threads, in memory that does not grow with M beside the result; all else, and
    wherever no kernel was built, by torch.
    """
    if _kernel_serves(vectors, codebook):
        return search_by_kernel(vectors, codebook)
    return search_by_torch(vectors, codebook)


def over_shares(run: Callable[[int, int], None], parts: int, work: int) -> None:
    """Call run(first, count) for even shares of `parts` parts side by side, as many as `work` multiply-adds are worth.

    No more than `torch.get_num_threads()`; one share runs on the calling thread.
    """
    shares = max(1, min(torch.get_num_threads(), parts, work // SHARE))
    bounds = [parts * i // shares for i in range(shares + 1)]
    others = [_threads().submit(run, first, last - first) for first, last in pairwise(bounds[1:])]
    run(0, bounds[1])
    for other in others:
        other.result()


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads for all shares but the first, which are started when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="shares")


# A forked process has no threads but the one that forked it: it is to start its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)


@cache
def kernel_available(name: str) -> bool:
    """Say whether the kernel `name` was built and can be loaded. A library from before it was written lacks it.

    Raises VQAudioError where VQAUDIO_INSTRUCTIONS names an instruction set that is not there.
    """
    try:
        kernel(name)
    except (KernelsUnavailable, AttributeError):
        return False
    return True


def _kernel_serves(vectors: Tensor, codebook: Tensor) -> bool:
    """Say whether both are float32 in the CPU's memory and fit each other; what does not, torch explains."""
    plain = all(t.dtype == torch.float32 and t.is_cpu and t.dim() == 2 for t in (vectors, codebook))
    fit = plain and vectors.shape[1] == codebook.shape[1] and len(codebook) > 0
    return fit and kernel_available("vqaudio_nearest")


def search_by_kernel(vectors: Tensor, codebook: Tensor, instructions: str | None = None) -> Tensor:
    """Return what `nearest_codes` does of float32 matrices on the CPU, with the kernel of one instruction set."""
    floats, pack, search = _kernels(instructions or instruction_set())
    vectors, codebook = _with_whole_rows(vectors), _with_whole_rows(codebook)
    (M, D), K = vectors.shape, len(codebook)
    panels = torch.empty(floats(K, D), dtype=torch.float32)
    pack(codebook.data_ptr(), codebook.stride(0), K, D, panels.data_ptr())
    units = torch.empty(M, dtype=torch.long)

    def run(first: int, count: int) -> None:
        start, out = vectors.data_ptr() + 4 * first * vectors.stride(0), units.data_ptr() + 8 * first
        search(start, vectors.stride(0), count, D, panels.data_ptr(), K, out)

    over_shares(run, M, M * K * D)
    return units


def search_by_torch(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return what `nearest_codes` does, on any device and of any type of float."""
    half_norms = codebook.square().sum(dim=1) / 2
    chunks = [torch.addmm(half_norms, chunk, codebook.t(), alpha=-1).argmin(dim=1) for chunk in vectors.split(CHUNK)]
    return torch.cat(chunks) if chunks else vectors.new_zeros(0, dtype=torch.long)


def _with_whole_rows(matrix: Tensor) -> Tensor:
    """Return the matrix with the numbers of a row side by side; rows may lie apart."""
    return matrix if matrix.stride(1) == 1 else matrix.contiguous()


@cache
def _kernels(instructions: str) -> tuple[ctypes._NamedFuncPointer, ...]:
    """Return how many floats a codebook takes, what lays it out, and the search."""
    floats, pack, search = (kernel(f"vqaudio_nearest{part}", instructions) for part in ("_floats", "_pack", ""))
    floats.argtypes, floats.restype = [c_int64, c_int64], c_int64
    pack.argtypes = [c_void_p, c_int64, c_int64, c_int64, c_void_p]
    search.argtypes = [c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int64, c_void_p]
    return floats, pack, search
