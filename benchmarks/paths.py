"""All paths that can be measured, and the measuring of one."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from benchmarks import extraction, generation, prior, quantizer, training
from benchmarks.rows import Row
from benchmarks.timing import Benchmark, Effort, hold
from vqaudio.errors import VQAudioError, did_you_mean

PATHS: dict[str, Benchmark] = {
    **generation.PATHS,
    **prior.PATHS,
    **quantizer.PATHS,
    **training.PATHS,
    **extraction.PATHS,
}


def choose(names: Sequence[str]) -> list[str]:
    """Return the paths asked for, all of them where none is. Raises VQAudioError for one that there is not."""
    for name in names:
        if name not in PATHS:
            raise VQAudioError(f"path: got {name!r}, expected some of {', '.join(PATHS)}.{did_you_mean(name, PATHS)}")
    return list(names) or list(PATHS)


def measure(name: str, effort: Effort) -> Row:
    """Measure one path in this process. What goes wrong is in the row."""
    benchmark = PATHS[name]
    try:
        return hold(name, benchmark.unit, benchmark.prepare(effort), effort)
    except Exception as error:
        if not isinstance(error, VQAudioError):
            traceback.print_exc()
        return failed(name, f"{type(error).__name__}: {error}")


def failed(name: str, reason: str) -> Row:
    """Return the row of a path that could not be measured."""
    return Row(name, PATHS[name].unit.name, peer_name="", failed=" ".join(reason.split()))
