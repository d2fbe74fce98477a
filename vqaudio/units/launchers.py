"""Who encodes which parts of a plan: this process, several on this machine, the ranks of torchrun, or a Ray cluster.

    encode_here       this process; of several, `shard` says which parts are its own (`Shard`, torchrun's ranks)
    encode_in_pool    processes on this machine, each taking the next part when it is free
    encode_on_ray     the same, on the machines of a cluster (`vqaudio.units.ray_launcher`)

Each yields what became of a part as soon as it is done. A worker that dies costs the part that it was at, which another
one does again.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from vqaudio.errors import VQAudioError
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.parts import Done, Plan
from vqaudio.units.sharding import Shard

logger = logging.getLogger(__name__)
ATTEMPTS = 3
"""Times that workers may die one after the other without a part being done in between."""


class Worker:
    """Encodes parts of the plan in `folder`, one after the other, with a model that it loads once."""

    def __init__(self, folder: str, model_folder: str, device: str, threads: int) -> None:
        import torch

        from vqaudio.models.folder import load_vqvae

        if threads:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.plan = Plan.load(Path(folder))
        self.model, _ = load_vqvae(model_folder, device)

    def encode(self, number: int) -> Done:
        """Encode the part `number`."""
        return self.plan.encode(self.model, self.plan.parts[number])


def encode_here(plan: Plan, model: VQVAE, shard: Shard | None = None) -> Iterator[Done]:
    """Encode what is missing of all parts, or of those of a shard."""
    parts = plan.parts if shard is None else shard.take(plan.parts, [part.rows for part in plan.parts])
    missing = {part.number for part in plan.missing()}
    for part in parts:
        if part.number in missing:
            yield plan.encode(model, part)


def encode_in_pool(plan: Plan, model_folder: str | Path, count: int, device: str, threads: int) -> Iterator[Done]:
    """Encode what is missing by `count` processes. Raises VQAudioError where they die again and again."""
    failures = 0
    while (missing := plan.missing()) and failures < ATTEMPTS:
        arguments = str(plan.folder), str(model_folder), device, threads
        context = multiprocessing.get_context("spawn")  # a process with threads cannot be forked safely
        with ProcessPoolExecutor(count, context, initializer=_begin, initargs=arguments) as pool:
            try:
                for future in as_completed([pool.submit(_encode, part.number) for part in missing]):
                    yield future.result()
                    failures = 0
            except BrokenProcessPool:
                failures += 1
                logger.warning("a process was killed (for its memory?); what it was at is done again")
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    if missing:
        raise VQAudioError(
            f"processes were killed {failures} times without a part being done: is there memory for {count} of them? "
            f"{len(plan.parts) - len(missing)} of {len(plan.parts)} parts are done; the same command goes on from there"
        )


_worker: Worker | None = None
"""Of a process of the pool."""


def _begin(*arguments) -> None:
    global _worker
    _worker = Worker(*arguments)


def _encode(number: int) -> Done:
    return _worker.encode(number)
