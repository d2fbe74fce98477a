"""Where a verb computes: the device and the number of threads."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def set_up_compute(device: str, threads: int) -> torch.device:
    """Return the device called `device` ("auto": a GPU if there is one), and set torch's threads (0: its choice).

    Of processes that torchrun has started, each takes a GPU of its own.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if available else "cpu"
    chosen = torch.device(device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if chosen.type == "cuda" and processes > 1:
        chosen = _own_gpu(chosen, processes, available)
    elif chosen.type == "cuda" and (chosen.index or 0) >= available:
        raise VQAudioError(f"--device {device}: there is no such GPU ({_seen(available)}); expected auto or cpu")
    logger.debug("computing on %s, %d threads", chosen, torch.get_num_threads())
    return chosen


def _own_gpu(wanted: torch.device, processes: int, available: int) -> torch.device:
    import torch

    if wanted.index is not None:
        raise VQAudioError(f"--device {wanted}: {processes} processes cannot share a GPU; expected cuda, auto or cpu")
    if processes > available:
        raise VQAudioError(
            f"{processes} processes on this machine, one GPU for each: {_seen(available)}. Expected torchrun "
            f"--nproc_per_node {available or 1}, or --device cpu"
        )
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]))


def _seen(gpus: int) -> str:
    return f"torch sees {gpus} of them" if gpus else "torch sees none"
