"""The parts of a scorecard, each measured here or, before, by one of several jobs.

OUT/shards/1-of-3/<part>.json     the figures of a part, and a mark of what they were measured on
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import vqaudio
from vqaudio.audio.atomic import write_text_whole
from vqaudio.corpus import Utterance
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.results import Results
from vqaudio.units.partial import fingerprint
from vqaudio.units.sharding import Shard, other_shards
from vqaudio.untrusted import read_json

logger = logging.getLogger(__name__)

Parts = Mapping[str, Callable[[], Results]]
COSTS = {
    "reconstruction": 60, "baselines": 40, "samples": 40, "conversion": 30, "units": 20, "decoder": 20, "prior": 8,
    "agreement": 4,
}  # fmt: skip
"""About how long parts take beside one another; those that are not named, 1."""


def measure_parts(parts: Parts, out: Path, mark: Callable[[], str], shard: Shard | None = None) -> Results:
    """Measure parts, or, of a shard, its own; return their results, merged in order.

    What shards have measured before with the same `mark` (see `mark_of`) is not measured again. The results of a shard
    are kept in its folder, each as soon as there is one. The log says what is measured, and how long it takes.
    """
    left = _Left(out, mark, shard)
    results = Results()
    for name in parts if shard is None else shard.take(list(parts), [COSTS.get(name, 1) for name in parts]):
        measured = left.find(name)
        if measured is None:
            started = time.monotonic()
            measured = parts[name]()
            logger.info("%s (%.1f s): %s", name, time.monotonic() - started, _shown(measured))
            left.keep(name, measured)
        results.merge(measured)
    return results


def mark_of(options: Mapping[str, Any], paths: Mapping[str, Path | None], utterances: Iterable[Utterance] = ()) -> str:
    """Return a hash of what decides figures: options, the files at or in `paths`, and the utterances and their audio.

    Of files it is name, size and time of change that count; subfolders and hidden files do not.
    """
    files = {name: list(_files(path)) for name, path in paths.items()}
    text = repr((vqaudio.__version__, sorted(options.items()), sorted(files.items()), fingerprint(utterances)))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class _Left:
    """What shards have left in their folders; and, of a shard, where it leaves its own."""

    def __init__(self, out: Path, mark: Callable[[], str], shard: Shard | None) -> None:
        self._own = None if shard is None else shard.folder(out)
        self._folders = [*other_shards(out, shard).values(), *filter(None, [self._own])]
        self._mark = mark() if self._folders else ""

    def find(self, name: str) -> Results | None:
        for path in (folder / f"{name}.json" for folder in self._folders):
            found = _read(path)
            if found is None:
                continue
            if found.get("mark") == self._mark:
                logger.info("%s: as %s has it", name, path.parent)
                return Results.from_object(found.get("results"), path)
            logger.warning("%s: measured with other options or other inputs; it does not count", path)
        return None

    def keep(self, name: str, results: Results) -> None:
        if self._own is not None:
            content = {"mark": self._mark, "results": results.to_object()}
            write_text_whole(self._own / f"{name}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _files(path: Path | None) -> Iterator[tuple[str, int, int]]:
    if path is None or not path.exists():
        return
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            status = file.stat()
            yield file.name, status.st_size, status.st_mtime_ns


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path} cannot be read: {error}; delete it to measure this part again") from error
    return content if isinstance(content, dict) else {}


def _shown(results: Results) -> str:
    figures = [f"{key} {value:.4g}" for key, value in results.figures.items() if value is not None]
    missing = [key for key, value in results.figures.items() if value is None]
    return "  ".join(figures) + (f"  (not measured: {', '.join(missing)})" if missing else "")
