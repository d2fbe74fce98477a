"""Work dealt to several jobs: which part of it is whose, and where each job leaves what it has done.

OUT/shards/2-of-8/    what the second of eight jobs has done; each job writes into its own folder alone
OUT/…                 the results, written by one job that takes over what shards have done and does what is missing
"""

from __future__ import annotations

import heapq
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vqaudio.audio.atomic import cannot_write
from vqaudio.corpus import Utterance
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.errors import VQAudioError

Item = TypeVar("Item")
SHARDS_FOLDER = "shards"


@dataclass(frozen=True, order=True)
class Shard:
    """The `index`-th of `count` jobs, from 1 on."""

    count: int
    index: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise VQAudioError(f"shard {self.index} of {self.count}: expected I/N with 1 ≤ I ≤ N, such as 1/4")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Shard:
        """Return the shard "I/N", or, for "rank", the one that torchrun has put into the environment.

        Raises VQAudioError for anything else, and for "rank" where torchrun has not started this.
        """
        if text == "rank":
            return cls._of_rank(environment)
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if match is None:
            raise VQAudioError(f"got {text!r}, expected I/N with 1 ≤ I ≤ N, such as 1/4, or rank")
        return cls(index=int(match[1]), count=int(match[2]))

    @classmethod
    def _of_rank(cls, environment: Mapping[str, str]) -> Shard:
        # https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
        rank, size = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
        if not (rank.isdecimal() and size.isdecimal()):
            raise VQAudioError("rank takes RANK and WORLD_SIZE from the environment, where torchrun puts them; "
                               "expected to be started by torchrun, or I/N, such as 1/4")  # fmt: skip
        return cls(index=int(rank) + 1, count=int(size))

    def folder(self, out: Path) -> Path:
        """Return the folder of this shard's own."""
        return out / SHARDS_FOLDER / f"{self.index}-of-{self.count}"

    def take(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> list[Item]:
        """Return this shard's items, in their order; `weights` say how long each takes (None: all as long).

        Every item is in exactly one of the `count` shards. See `deal`.
        """
        owners = deal([1.0] * len(items) if weights is None else weights, self.count)
        return [item for item, owner in zip(items, owners, strict=True) if owner == self.index]


def deal(weights: Sequence[float], count: int) -> list[int]:
    """Return for each weight the shard, 1 to `count`, that it goes to, so that shards weigh about the same.

    The heaviest first, each to the shard that has least so far (the lowest of equals): none has more than the mean and
    one item. Graham, "Bounds on multiprocessing timing anomalies", 1969. Equal weights go round in turn.
    """
    loads = [(0.0, shard) for shard in range(1, count + 1)]
    owners = [0] * len(weights)
    for item in sorted(range(len(weights)), key=lambda item: -weights[item]):  # stable: deterministic
        load, owners[item] = loads[0]
        heapq.heapreplace(loads, (load + weights[item], owners[item]))
    return owners


def known_seconds(utterances: Iterable[Utterance]) -> list[float] | None:
    """Return the utterances' lengths in seconds; None where one of them is unknown without opening its audio."""
    seconds = []
    for utterance in utterances:
        if utterance.duration is None and utterance.end is None:
            return None
        seconds.append(utterance_seconds(utterance))
    return seconds


def find_shards(out: Path) -> dict[Shard, Path]:
    """Return the folders that shards have left in `out`, in order."""
    found = {}
    for path in (out / SHARDS_FOLDER).glob("*-of-*"):
        match = re.fullmatch(r"([0-9]+)-of-([0-9]+)", path.name)
        if match and 1 <= int(match[1]) <= int(match[2]):
            found[Shard(index=int(match[1]), count=int(match[2]))] = path
    return dict(sorted(found.items()))


def other_shards(out: Path, shard: Shard | None) -> dict[Shard, Path]:
    """Return the folders whose work may be part of this job's: of all shards, or, for a shard, of other divisions."""
    return {other: path for other, path in find_shards(out).items() if shard is None or other.count != shard.count}


def remove_shards(out: Path, keep: Collection[Path] = ()) -> None:
    """Remove what shards have left, but for the folders in `keep`: all else stands in `out` itself by now."""
    whole = [out / SHARDS_FOLDER] if (out / SHARDS_FOLDER).is_dir() else []
    try:
        for path in [found for found in find_shards(out).values() if found not in keep] if keep else whole:
            shutil.rmtree(path)
    except OSError as error:
        raise cannot_write(error.filename or out / SHARDS_FOLDER, error) from error
