"""What one core of this processor can do at most: the yardstick beside the peers.

Two limits hold for everything that is measured here. Arithmetic cannot be faster than the processor multiplies and
adds; and what uses each weight once a step cannot be faster than the weights can be read from where they lie, which
for a decoder is the second or third level of cache. Both are measured by loops in C that do nothing else. Without a
C compiler NumPy stands in: its figures are lower than what the processor can do, and are marked.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("limits.c")
READ_MULTIPLE = 8 * 64
"""Bytes that `read_again` reads at a time: 8 of the widest vectors."""
TRIALS = 25
TRIAL_SECONDS = 0.02


@dataclass(frozen=True)
class Rate:
    """`per_second` multiply-adds or bytes, and in words how that was found."""

    per_second: float
    how: str


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """Return `limits.c`, compiled for this processor; None where there is no compiler or it fails."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "limits.so"
        command = [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", str(target), str(SOURCE)]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        loaded = ctypes.CDLL(str(target))
    for precision in ("float32", "bfloat16", "int8"):
        function = getattr(loaded, f"multiply_adds_{precision}")
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_long, ctypes.c_float]
    loaded.read_again.restype = ctypes.c_uint64
    loaded.read_again.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    return loaded


@functools.lru_cache
def multiply_adds(precision: str) -> Rate:
    """Return the peak of one core in multiply-adds a second with factors in "float32", "bfloat16" or "int8".

    A processor without instructions for the two short ones is measured in float32, which is then what it computes in.
    """
    compiled = library()
    if compiled is None:
        return _numpy_multiply_adds()
    function = getattr(compiled, f"multiply_adds_{precision}")
    if not function(1, 1.0):
        return multiply_adds("float32")
    peak = _best_rate(lambda times: function(times, 1.0), most=2**22)
    return Rate(peak, f"{peak / 1e9:.3g} G {precision} multiply-adds/s")


@functools.lru_cache
def streaming(size: int) -> Rate:
    """Return how many bytes a second one core reads of `size` bytes that it reads again and again."""
    compiled = library()
    if compiled is None:
        return _numpy_streaming(size)
    data = aligned_words(size)
    rate = _best_rate(lambda times: _read(compiled, data, times), most=2**30)
    return Rate(rate, f"{size / 1e6:.3g} MB read at {rate / 1e9:.3g} GB/s")


def aligned_words(size: int) -> np.ndarray:
    """Return random 64-bit words of about `size` bytes (rounded up to READ_MULTIPLE), aligned for `read_again`."""
    size = -(-size // READ_MULTIPLE) * READ_MULTIPLE
    pages = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # fewer addresses to translate
        pages.madvise(mmap.MADV_HUGEPAGE)
    pages.write(np.random.default_rng(0).bytes(size))
    return np.frombuffer(pages, dtype=np.uint64)


def _read(compiled: ctypes.CDLL, data: np.ndarray, times: int) -> float:
    compiled.read_again(data.ctypes.data, len(data), times)
    return times * data.nbytes


def _numpy_multiply_adds() -> Rate:
    a, b = np.ones((2, 1024, 1024), dtype=np.float32)

    def multiply(times: int) -> float:
        for _ in range(times):
            a @ b
        return times * 1024.0**3

    peak = _best_rate(multiply, most=2**10)
    return Rate(peak, f"{peak / 1e9:.3g} G float32 multiply-adds/s in NumPy's matrix product, there being no compiler")


def _numpy_streaming(size: int) -> Rate:
    data = np.ones(size // 4, dtype=np.float32)

    def read(times: int) -> float:
        for _ in range(times):
            data @ data
        return times * float(data.nbytes)

    rate = _best_rate(read, most=2**20)
    return Rate(rate, f"{size / 1e6:.3g} MB read at {rate / 1e9:.3g} GB/s by NumPy, there being no compiler")


def _best_rate(work: Callable[[int], float], most: int) -> float:
    """Return the highest rate of several trials; `work(times)` returns how much it did, `times` being at most `most`.

    The highest, since whatever else the machine does can only lower it.
    """
    times = 1
    while _seconds(work, times)[0] < TRIAL_SECONDS and times < most:
        times *= 2
    trials = [_seconds(work, times) for _ in range(TRIALS)]
    return max(done / seconds for seconds, done in trials)


def _seconds(work: Callable[[int], float], times: int) -> tuple[float, float]:
    start = time.perf_counter()
    done = work(times)
    return time.perf_counter() - start, done
