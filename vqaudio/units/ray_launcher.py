"""Parts of a plan on the machines of a Ray cluster, by Ray Data: uneven machines, lost workers and lost machines alike.

Each actor loads the model once and takes the next part when it is free, so that a fast machine does more of them. What
a dead actor was at, Ray gives to another. https://docs.ray.io/en/latest/data/data.html

A cluster runs whatever code its driver sends. One that is started here (`address` "local") hears 127.0.0.1 alone; of
another, its administrator says who reaches it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vqaudio.errors import VQAudioError
from vqaudio.units.launchers import Worker
from vqaudio.units.parts import Done, Plan

_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's name for: this node is 127.0.0.1. It keeps a cluster to the machine on any system."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


def encode_on_ray(
    plan: Plan, model_folder: str | Path, address: str, count: int | None, device: str, threads: int
) -> Iterator[Done]:
    """Encode what is missing on the cluster at `address`: "local" starts one here, "auto" finds this machine's.

    At most `count` actors (None: as many as there is room for), each with `threads` cores (0: one), and a GPU each if
    `device` is "cuda". All machines see the plan's folder, the model and the audio under the same paths, and have this
    package installed.

    Raises VQAudioError where Ray is not installed, for a cluster that cannot be reached or has no room for one actor,
    and for what `Plan.encode` raises.
    """
    with _connected(address, count) as ray:
        numbers = [part.number for part in plan.missing()]
        if not numbers:
            return
        gpus = 1 if device == "cuda" else 0
        most = _room(ray, threads or 1, gpus)
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, count or most, len(numbers)))
        arguments = str(plan.folder.absolute()), str(Path(model_folder).absolute()), device, threads or 1
        parts = ray.data.from_numpy(np.array(numbers)).repartition(len(numbers))
        done = parts.map_batches(
            _Actor, fn_constructor_args=arguments, batch_size=1, compute=pool, num_cpus=threads or 1, num_gpus=gpus
        )
        for row in done.iter_rows():
            if row["error"]:
                raise VQAudioError(row["error"])
            yield Done(**{name: value for name, value in row.items() if name != "error"})


class _Actor:
    """A worker as Ray Data calls it: with batches, columns of arrays, of one part each."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments, self._worker = arguments, None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        number = int(batch["data"][0])
        error, done = "", Done(number, 0, 0, 0, 0.0)
        try:
            self._worker = self._worker or Worker(*self._arguments)
            done = self._worker.encode(number)
        except VQAudioError as failure:  # a user's mistake is not Ray's to try again, nor to show a traceback of
            error = str(failure)
        return {**{name: [value] for name, value in vars(done).items()}, "error": [error]}


@contextmanager
def _connected(address: str, count: int | None) -> Iterator[Any]:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    if address == "local":
        os.environ.update(_LOCAL)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise VQAudioError(f"--ray needs the extra [ray] (pip install 'vqaudio[ray]'): {error}") from error
    own = {"num_cpus": count, "include_dashboard": False} if address == "local" and count else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise VQAudioError(f"--ray {address}: no cluster can be reached there: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()


def _room(ray: Any, cpus: int, gpus: int) -> int:
    """Return how many actors fit on the cluster."""
    found = ray.cluster_resources()
    room = int(min(found.get("CPU", 0) // cpus, found.get("GPU", 0) // gpus if gpus else float("inf")))
    if room < 1:
        raise VQAudioError(
            f"the cluster has {found.get('CPU', 0):g} cores and {found.get('GPU', 0):g} GPUs; an actor takes {cpus} "
            f"cores{' and a GPU' * gpus}"
        )
    return room
