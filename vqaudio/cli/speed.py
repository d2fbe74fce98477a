"""How fast waveforms come from a generator, without the time that its user takes for them: `generation.json`."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from vqaudio.generation import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")
SPEED_FILE = "generation.json"


@dataclass(frozen=True)
class Figures:
    """Seconds of audio, seconds of computing for it, and by what."""

    audio: float
    wall: float
    engine: str
    precision: str

    @classmethod
    def read(cls, folder: Path) -> Figures | None:
        """Return those that `write` left in a folder; None where there are none of use."""
        try:
            found = json.loads((folder / SPEED_FILE).read_text(encoding="utf-8"))
            return cls(
                float(found["seconds_of_audio"]), float(found["wall_seconds"]), found["engine"], found["precision"]
            )
        except (OSError, ValueError, TypeError, KeyError):
            logger.debug("%s: no %s to go on from", folder, SPEED_FILE)
            return None

    def plus(self, others: Iterable[Figures]) -> Figures:
        """Return the sums of these and of the `others` that are by the same engine in the same precision."""
        same = [self, *(f for f in others if (f.engine, f.precision) == (self.engine, self.precision))]
        return Figures(sum(f.audio for f in same), sum(f.wall for f in same), self.engine, self.precision)

    def write(self, folder: Path, sample_rate: int) -> None:
        """Write them into a folder, and log the real-time factor: seconds of computing per second of audio."""
        from vqaudio.audio.atomic import write_text_whole

        if not self.audio:
            return
        figures = {
            "seconds_of_audio": round(self.audio, 3),
            "wall_seconds": round(self.wall, 3),
            "rtf": self.wall / self.audio,
            "samples_per_second": self.audio * sample_rate / self.wall,
            "engine": self.engine,
            "precision": self.precision,
        }
        write_text_whole(folder / SPEED_FILE, json.dumps(figures, indent=2) + "\n")
        logger.info("%s: real-time factor %.3g (%.1f s of computing for %.1f s of audio)",
                    folder, figures["rtf"], self.wall, self.audio)  # fmt: skip


def add_up(figures: Iterable[Figures]) -> Figures | None:
    """Return the sums of those that are by one engine, the one that made most audio; None of none."""
    sums: dict[tuple[str, str], Figures] = {}
    for one in figures:
        key = one.engine, one.precision
        sums[key] = one.plus([sums[key]] if key in sums else [])
    return max(sums.values(), key=lambda total: total.audio, default=None)


class Stopwatch:
    """Measures how long the items of a generator take to come."""

    def __init__(self) -> None:
        self.samples, self.seconds = 0, 0.0

    def timed(self, stream: Iterator[T], samples: Callable[[T], int]) -> Iterator[T]:
        """Pass on the items of `stream`, of so many samples each, and measure."""
        while True:
            before = time.perf_counter()
            item = next(stream, None)
            self.seconds += time.perf_counter() - before
            if item is None:
                return
            self.samples += samples(item)
            yield item

    def figures(self, sample_rate: int, engine: Engine) -> Figures:
        """Return what was measured of an engine's audio at `sample_rate` Hz."""
        return Figures(self.samples / sample_rate, self.seconds, engine.name, engine.precision)
