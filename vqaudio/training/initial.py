"""Begin a training with the weights of a trained model: for voices that it lacks, or to let it learn on.

Weights, codes and their running means are the model's. So is the embedding of each speaker that it knows by name; one
that it does not know begins as the mean of those that it does. The optimizer begins anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vqaudio.config_files import to_dict
from vqaudio.errors import ConfigError
from vqaudio.models.folder import load_vqvae
from vqaudio.models.vqvae import VQVAE
from vqaudio.training.monitor_layout import flat

logger = logging.getLogger(__name__)
OF_TRAINING = {f"quantizer.{name}" for name in ("beta", "decay", "start_step", "init", "revive_window")} | {
    "decoder.time_jitter",
    "decoder.stack.dropout",
}
"""Settings of a model that matter while it learns alone: these may be others than it was trained with."""
EMBEDDING = "decoder.speaker.weight"
SHOWN = 5


@torch.no_grad()
def begin_with(model: VQVAE, speakers: Sequence[str], folder: str) -> None:
    """Give `model`, of `speakers`, the weights of the model in `folder`, or of that name.

    Raises ConfigError where the two are not built alike, and ModelError where `folder` cannot be loaded.
    """
    known, names = load_vqvae(folder)
    _require_alike(to_dict(model.config), to_dict(known.config), folder)
    weights = known.state_dict()
    # A published model may have its sums rounded, its codes are not.
    weights["quantizer.sums"] = weights["quantizer.codebook"] * weights["quantizer.counts"][:, None]
    weights["quantizer.idle"].zero_()
    of_name = dict(zip(names, weights[EMBEDDING], strict=True))
    mean = weights[EMBEDDING].mean(dim=0)
    weights[EMBEDDING] = torch.stack([of_name.get(name, mean) for name in speakers])
    model.load_state_dict(weights)
    new = sum(name not in of_name for name in speakers)
    old = len(speakers) - new
    logger.info("beginning with %s: %d of its %d speakers, and %d new ones", folder, old, len(names), new)


def _require_alike(wanted: Mapping[str, Any], known: Mapping[str, Any], folder: str) -> None:
    given, expected = flat(wanted), flat(known)
    differing = [
        f"model.{key}: got {given[key]}, expected {expected[key]}"
        for key in given
        if given[key] != expected[key] and key not in OF_TRAINING
    ]
    if differing:
        more = f" (and {len(differing) - SHOWN} more)" if len(differing) > SHOWN else ""
        raise ConfigError(f"init: {folder} is built otherwise. {'; '.join(differing[:SHOWN])}{more}")
