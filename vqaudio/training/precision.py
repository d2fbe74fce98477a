"""What a machine computes best with: bfloat16 or float32, by measuring; and memory that is not given back."""

from __future__ import annotations

import ctypes
import logging
import math
import platform
import time
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)
WORTHWHILE = 1.1
"""bfloat16 is taken when it is faster by this factor: less would not be worth its rounding."""
REPEATS = 3
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def choose_precision(wanted: str, step: Callable[[], None], device: torch.device) -> torch.dtype:
    """Return the dtype for autocast: as wanted ('float32', 'bfloat16'), or ('auto') the faster one for `step`.

    `step` computes a loss and its gradients on a real batch, and changes nothing else.
    """
    if wanted != "auto":
        logger.info("precision: %s, as configured", wanted)
        return getattr(torch, wanted)
    if not _computes_in_bfloat16(device):  # nor is it tried: what emulates it took eighteen times as long on a Zen 3
        lacking = "processor" if device.type == "cpu" else "accelerator"
        logger.info("precision: float32; this %s lacks bfloat16", lacking)
        return torch.float32
    seconds = {torch.bfloat16: math.inf, torch.float32: math.inf}
    for _ in range(1 + REPEATS):  # by turns, and the fastest of each: other work on the machine comes and goes
        for dtype in seconds:
            seconds[dtype] = min(seconds[dtype], _time_step(step, device, dtype))
    ratio = seconds[torch.float32] / seconds[torch.bfloat16]
    chosen = torch.bfloat16 if ratio >= WORTHWHILE else torch.float32
    logger.info(
        "precision: %s; a step takes %.0f ms in bfloat16 and %.0f ms in float32 here",
        str(chosen).removeprefix("torch."),
        1000 * seconds[torch.bfloat16],
        1000 * seconds[torch.float32],
    )
    return chosen


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which matrix products are computed in `dtype`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def keep_freed_memory() -> None:
    """Let glibc's allocator keep what is freed, for as long as the process lives.

    By default it hands large blocks back to the system at once and takes new ones at the next step, whose pages are
    then zeroed again one by one. What that costs depends on the sizes: between nothing and a quarter of a step was seen
    (`benchmarks/training_speed.py`). Elsewhere this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies in bfloat16, or widens it fast enough that measuring tells."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return True


def _time_step(step: Callable[[], None], device: torch.device, dtype: torch.dtype) -> float:
    """Return the seconds that a step takes."""
    start = time.perf_counter()
    with autocast(device, dtype):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
