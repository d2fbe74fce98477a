"""Where a verb computes: the device and the number of threads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)


def set_up_compute(device: str, threads: int) -> torch.device:
    """Return the device called `device` ("auto": a GPU if there is one), and set torch's threads (0: its choice)."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if available else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= available:
        there = f"torch sees {available} of them" if available else "torch sees none"
        raise VQAudioError(f"--device {device}: there is no such GPU ({there}); expected auto or cpu")
    logger.debug("computing on %s, %d threads", chosen, torch.get_num_threads())
    return chosen
