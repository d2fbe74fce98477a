"""What computes: the processor or the accelerator, by name."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from vqaudio.training.distributed import ALONE, Ranks


def describe_machine(device: torch.device, ranks: Ranks = ALONE) -> str:
    """Say what computes: 'AMD EPYC, 2 threads' or the accelerator's name; and how many such ranks."""
    cpu = device.type != "cuda"
    name = f"{processor_name()}, {torch.get_num_threads()} threads" if cpu else torch.cuda.get_device_name(device)
    if ranks.alone:
        return name
    machines = f" on {ranks.machines} machines" if ranks.machines > 1 else ""
    return f"{name}; {ranks.world_size} such ranks{machines}"


def processor_name() -> str:
    """Return what the processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the platform module knows less, but something
    return platform.processor() or platform.machine()
