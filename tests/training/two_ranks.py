"""Two processes (or more) as torchrun starts them, and what tests let them do."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from tests.training.sockets import listening
from vqaudio.audio.io import AudioError
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.training import distributed, loop, torchrun
from vqaudio.training.distributed import Ranks
from vqaudio.training.prior import train_prior
from vqaudio.training.signals import StopRequest
from vqaudio.training.vqvae import VQVAETask, train_vqvae

CONTEXT = get_context("forkserver")
"""Forks each rank from a process that has imported what takes seconds, and computed nothing."""
CONTEXT.set_forkserver_preload([
    "vqaudio.training.vqvae", "vqaudio.training.prior", "torch._dynamo", "torch.utils.tensorboard", "matplotlib.figure",
])  # fmt: skip


def run(job: Callable, *args: Any, patience: float = 60.0, size: int = 2, limit: float = 300.0) -> list[Any]:
    """Return what job(ranks, *args) returns in each of `size` ranks, or what it raises; EOFError where it was killed.

    `patience`: seconds that one waits for the other within a step. A rank that takes longer than `limit` seconds hangs.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    pipes, processes = [CONTEXT.Pipe(duplex=False) for _ in range(size)], []
    for rank, (_, there) in enumerate(pipes):
        given = there, rank, size, port, patience, job, args
        processes.append(CONTEXT.Process(target=_report, args=given, daemon=True))
        processes[-1].start()
        there.close()
    end = time.monotonic() + limit
    try:
        return [_received(here, end - time.monotonic()) for here, _ in pipes]
    finally:
        for process in processes:
            process.join(5)
            process.kill()


def _received(pipe: Connection, limit: float) -> Any:
    if not pipe.poll(max(0.0, limit)):
        raise TimeoutError("a rank hangs")
    try:
        return pipe.recv()
    except EOFError as ended:  # without a word
        return ended


def _report(pipe: Connection, *given: Any) -> None:
    try:
        pipe.send(_as_rank(*given))
    except BaseException as error:
        pipe.send(error)


def _as_rank(rank: int, size: int, port: int, patience: float, job: Callable, args: tuple) -> Any:
    torch.set_num_threads(1)
    distributed.COMPUTE_PATIENCE = timedelta(seconds=patience)
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in variables.items()} | {"MASTER_ADDR": "localhost"}
    with torchrun.joined() as member:
        return job(member.connect(torch.device("cpu")), *args)


# ------------------------------------------------------------------------------------------------------ jobs


def train(ranks: Ranks, config: VQVAETrainingConfig, corpus: Path, expdir: Path) -> bool:
    return train_vqvae(config, corpus / "train", corpus / "dev", expdir, ranks=ranks)


def train_on_units(ranks: Ranks, config: PriorTrainingConfig, vqvae: Path, units: Path, utt2spk: dict, expdir: Path):
    return train_prior(config, vqvae, units / "train", units / "dev", utt2spk, expdir, ranks=ranks)


def digests_of_steps(ranks: Ranks, job: Callable, *args: Any) -> list[dict[str, str]]:
    """Return, of each step of a training, digests of what it leaves."""
    found, original = [], loop.Trainer._step

    def stepping(trainer, batch):
        scalars = original(trainer, batch)
        kept = {"weights": trainer.task.modules.state_dict(), "average": trainer.average.state_dict()}
        kept |= {"optimizer": trainer.update.optimizer.state_dict(), "random": torch.get_rng_state()}
        found.append({name: digest(value) for name, value in kept.items()})
        return scalars

    with patch.object(loop.Trainer, "_step", stepping):
        assert job(ranks, *args)
    return found


def digest(value: Any) -> str:
    """Return the SHA-256 of nested tensors and plain values."""
    if isinstance(value, torch.Tensor):
        return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return digest([f"{key}: {digest(value[key])}" for key in value])
    if isinstance(value, (list, tuple)):
        return hashlib.sha256(" ".join(map(digest, value)).encode()).hexdigest()
    return repr(value)


def stop_one(ranks: Ranks, step: int, number: int, job: Callable, *args: Any) -> tuple[bool, int]:
    """Train; rank 1 alone gets the signal, while it is at `step`. Return whether it ended, and its signal."""
    return _at_step(step, lambda: ranks.rank == 1 and os.kill(os.getpid(), number), job, ranks, *args)


def insist(ranks: Ranks, step: int, job: Callable, *args: Any) -> tuple[bool, int]:
    """The same with SIGTERM to all, three times, as from a scheduler and from torchrun."""
    return _at_step(step, lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(3)], job, ranks, *args)


def _at_step(step: int, do: Callable[[], Any], job: Callable, *args: Any) -> tuple[bool, int]:
    original = loop.Trainer._step

    def stepping(trainer, batch):
        if trainer.progress.step == step:
            do()
        return original(trainer, batch)

    StopRequest.latest = None
    with patch.object(loop.Trainer, "_step", stepping):
        return job(*args), StopRequest.latest


def not_finite(ranks: Ranks, rank: int, step: int, job: Callable, *args: Any) -> None:
    """Train with a loss that is infinite, though its gradient is not, on one rank at one step."""
    original = VQVAETask.loss

    def loss(task, batch, at):
        value, scalars = original(task, batch, at)
        return value + (float("inf") if at == step and ranks.rank == rank else 0.0), scalars

    with patch.object(VQVAETask, "loss", loss):
        job(ranks, *args)


def fail(ranks: Ranks, rank: int, step: int, job: Callable, *args: Any) -> None:
    """Train; one rank meets audio that it cannot read."""

    def unreadable():
        if ranks.rank == rank:
            raise AudioError("a.wav", "ends too early")

    _at_step(step, unreadable, job, ranks, *args)


def hurry(ranks: Ranks, job: Callable, *args: Any) -> int:
    """Train by a clock that runs, on rank 1, ten times as fast; return the number of steps that were planned."""
    planned, real, original = [], time.perf_counter, loop.Trainer._plan

    def plan(trainer):
        original(trainer)
        planned.append(trainer.schedule.total_steps)

    clock = partial(lambda factor: factor * real(), 1 if ranks.first else 10)
    with patch.object(loop.time, "perf_counter", clock), patch.object(loop.Trainer, "_plan", plan):
        assert job(ranks, *args)
    return planned[-1]


def wait_long(ranks: Ranks, seconds: float, job: Callable, *args: Any) -> bool:
    """Train with evaluations that take long, on rank 0."""
    original = VQVAETask.evaluate

    def evaluate(*given):
        time.sleep(seconds)
        return original(*given)

    with patch.object(VQVAETask, "evaluate", evaluate):
        return job(ranks, *args)


def listening_after(ranks: Ranks, job: Callable, *args: Any) -> set[tuple[str, int]]:
    """Return where the rank listens when it has trained."""
    assert job(ranks, *args)
    return listening(os.getpid())


def be_late(ranks: Ranks, seconds: float) -> bool:
    """Let rank 0 come so much later to the end than rank 1, which waits for it."""
    torchrun.LOOK_EVERY, torchrun.SILENCE = 0.5, 10
    time.sleep(seconds * ranks.first)
    return True


def fall_silent(ranks: Ranks, seconds: float, note: Path) -> bool:
    """Stop rank 1 for so long, as a debugger does or a machine that is lost; rank 0 would wait for it for an hour."""
    torchrun.LOOK_EVERY, torchrun.SILENCE, torchrun.GRACE = 0.5, 10, 0.5
    os.environ["TORCHELASTIC_ERROR_FILE"] = str(note) if ranks.first else ""
    ranks.wait()
    if not ranks.first:
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


def hang(ranks: Ranks, error: Exception) -> None:
    """Raise on rank 1; rank 0 waits where it notices nothing, as in NCCL, and would for an hour."""
    torchrun.GRACE = 0.5
    if ranks.first:
        time.sleep(3600)
    raise error
