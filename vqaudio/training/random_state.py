"""The state of what draws random numbers in a training: on the processor, and on the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's generators, to be kept in a checkpoint."""
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return random


def set_random_state(random: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on drawing from where `random_state` was asked for."""
    torch.set_rng_state(random["cpu"].cpu())
    if "cuda" in random and device.type == "cuda":
        torch.cuda.set_rng_state(random["cuda"].cpu(), device)
