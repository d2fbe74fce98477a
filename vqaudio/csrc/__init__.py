"""The compiled kernels: one library without dependencies, with a copy of each kernel per instruction set.

`kernel("vqaudio_advance")` is the copy for the best instruction set that this processor has, or for the one that the
environment variable VQAUDIO_INSTRUCTIONS names (baseline, avx2, avx512 on x86; neon on Arm).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from vqaudio.errors import VQAudioError, did_you_mean

INSTRUCTION_SETS = ("baseline", "neon", "avx2", "avx512")
"""From the slowest to the fastest."""
CHOICE = "VQAUDIO_INSTRUCTIONS"


class KernelsUnavailable(VQAudioError):
    """The library was not built, or cannot be loaded."""


@cache
def library() -> ctypes.CDLL:
    """Return the library. Raises KernelsUnavailable where there is none."""
    folder = Path(__file__).parent
    for path in (folder / f"_kernels{suffix}" for suffix in EXTENSION_SUFFIXES):
        if path.exists():
            try:
                return ctypes.CDLL(str(path))
            except OSError as error:
                raise KernelsUnavailable(f"{path} cannot be loaded: {error}") from error
    raise KernelsUnavailable(f"the kernels in {folder} are not built: install a C++ compiler, then vqaudio again")


@cache
def available() -> tuple[str, ...]:
    """Return the instruction sets that the library was built for and this processor has, the slowest first."""
    built = [name for name in INSTRUCTION_SETS if hasattr(library(), f"vqaudio_advance_{name}")]
    return tuple(name for name in built if library().vqaudio_supports(name.encode()))


def instruction_set() -> str:
    """Return the instruction set in use. Raises VQAudioError where VQAUDIO_INSTRUCTIONS names one that is not there."""
    wanted = os.environ.get(CHOICE) or available()[-1]
    if wanted not in available():
        here = ", ".join(available())
        raise VQAudioError(f"{CHOICE}: got {wanted!r}, expected one of {here}.{did_you_mean(wanted, available())}")
    return wanted


def kernel(name: str, instructions: str | None = None) -> ctypes._NamedFuncPointer:
    """Return a kernel's copy for `instructions` (by default `instruction_set()`)."""
    return getattr(library(), f"{name}_{instructions or instruction_set()}")
