"""The memory that finding nearest codes takes beside its inputs, in a process of its own.

    python -m benchmarks.memory SIDE CODES VECTORS

prints by how many bytes the most that the process ever held grew, SIDE being a key of `quantizer.SIDES`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIES = 6
"""A side that keeps all distances may need so many arrays of them; where there is no room for that it is not tried."""


def growth(side: str, codes: int, vectors: int) -> str:
    """Return the growth in words, '+0.81 GiB', or why it is not known."""
    if side != "ours" and COPIES * 4 * codes * vectors > available():
        return "not tried"
    command = [sys.executable, "-m", "benchmarks.memory", side, str(codes), str(vectors)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        return "unknown"
    return f"+{int(result.stdout.split()[-1]) / 2**30:.2f} GiB"


def peak() -> int:
    """Return the most bytes that this process has held so far. Raises OSError where the system does not say."""
    return _kibibytes("/proc/self/status", "VmHWM")


def available() -> int:
    """Return how many bytes of memory programs could still take; 0 where the system does not say."""
    try:
        return _kibibytes("/proc/meminfo", "MemAvailable")
    except OSError:
        return 0


def _kibibytes(path: str, key: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def main(side: str, codes: int, vectors: int) -> None:
    """Print the growth of the peak by one search."""
    from benchmarks.quantizer import SIDES, search_data

    queries, codebook = search_data(codes, vectors)
    SIDES[side](queries[:1024], codebook).run()  # what is set up once does not grow with the vectors
    search = SIDES[side](queries, codebook)
    before = peak()
    search.run()
    print(peak() - before)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
