"""One job of several: the option that says which, and the device that it takes."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from vqaudio.cli.compute import set_up_compute
from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    import torch

    from vqaudio.units.sharding import Shard


def add_shard_option(parser: argparse.ArgumentParser) -> None:
    """Add which part of the work to do."""
    parser.add_argument(
        "--shard", type=shard, metavar="I/N",
        help="do the I-th of N parts of the work, for the same command without --shard to complete; "
        "rank: the I and N of torchrun",
    )  # fmt: skip


def shard(text: str) -> Shard:
    """Return the shard that an option's value names."""
    from vqaudio.units.sharding import Shard

    try:
        return Shard.parse(text, os.environ)
    except VQAudioError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def set_up_job(options: argparse.Namespace) -> torch.device:
    """Return the device that the options ask for, as `set_up_compute`, and make it the current one, if it is a GPU."""
    import torch

    device = set_up_compute(options.device, options.threads)
    if device.index is not None:  # one of several: kernels of our own run on the current one
        torch.cuda.set_device(device)
    return device
