"""Model folders: `config.yaml`, `model.safetensors`, `speakers.txt`. Loading one executes nothing in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from vqaudio.audio.atomic import write_text_whole, write_whole
from vqaudio.config import PriorConfig, VQVAEConfig, from_dict, to_dict
from vqaudio.errors import ConfigError, ModelError, did_you_mean
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE

FORMAT_VERSION = 1
KINDS: dict[str, tuple[type[nn.Module], type]] = {"vqvae": (VQVAE, VQVAEConfig), "prior": (UnitPrior, PriorConfig)}
M = TypeVar("M", VQVAE, UnitPrior)


def save_model(folder: str | Path, model: VQVAE | UnitPrior, speakers: Sequence[str], about: dict[str, Any]) -> None:
    """Write a model folder. `about` holds plain facts to keep in config.yaml, such as a prior's unit specification.

    The weights come last: a folder with weights is whole.
    """
    folder = Path(folder)
    kind = next(name for name, (cls, _) in KINDS.items() if isinstance(model, cls))
    config = {"kind": kind, "format_version": FORMAT_VERSION, **about, "model": to_dict(model.config)}
    weights = folder / "model.safetensors"
    write_text_whole(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_text_whole(folder / "speakers.txt", "".join(f"{name}\n" for name in speakers))
    with write_whole(weights) as file:
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}))


def load_vqvae(folder: str | Path, device: str | torch.device = "cpu") -> tuple[VQVAE, list[str]]:
    """Return the VQ-VAE in `folder`, in evaluation mode, and its speakers' names in the order of their indices."""
    model, speakers, _ = _load(folder, "vqvae", device)
    return model, speakers


def load_prior(folder: str | Path, device: str | torch.device = "cpu") -> tuple[UnitPrior, list[str], dict[str, Any]]:
    """Return the prior in `folder`, in evaluation mode, its speakers' names, and what was saved as `about`."""
    return _load(folder, "prior", device)


def unit_hash(model: VQVAE) -> str:
    """Return 16 hexadecimal digits that name what a model's units mean: its encoder and codebook, and their shape.

    Models with the same hash write the same units; their decoders may differ.
    """
    digest = hashlib.sha256(repr((model.config.sample_rate, model.config.encoder)).encode())
    digest.update(repr((model.config.decoder.pre_emphasis, model.config.decoder.emphasis_gain)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith("encoder.") or name == "quantizer.codebook":
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def weights_hash(model: nn.Module) -> str:
    """Return 16 hexadecimal digits that name all weights of a model, and their shape."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def speaker_index(speakers: Sequence[str], name: str) -> int:
    """Return the index of a speaker; raises ModelError with the nearest names for one that the model lacks."""
    if name not in speakers:
        shown = ", ".join(list(speakers)[:20]) + (", …" if len(speakers) > 20 else "")
        hint = did_you_mean(name, speakers)
        raise ModelError(f"speaker {name!r} is not among the model's {len(speakers)}.{hint} Speakers: {shown}")
    return list(speakers).index(name)


def read_kind(folder: str | Path) -> str:
    """Return what kind of model `folder` holds: 'vqvae' or 'prior'."""
    return _read_config(Path(folder))["kind"]


def read_speakers(folder: str | Path) -> list[str]:
    """Return the names of the speakers that the model in `folder` knows, in the order of their indices."""
    path = Path(folder) / "speakers.txt"
    try:
        speakers = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not speakers or len(set(speakers)) != len(speakers):
        raise ModelError(f"{path}: expected one speaker a line, each once; found {len(speakers)} names")
    return speakers


def _load(folder: str | Path, kind: str, device: str | torch.device) -> tuple[Any, list[str], dict[str, Any]]:
    folder = Path(folder)
    about = _read_config(folder)
    if about["kind"] != kind:
        raise ModelError(f"{folder} holds a model of kind {about['kind']!r}, expected {kind!r}")
    speakers = read_speakers(folder)
    model_class, config_class = KINDS[kind]
    try:
        config = from_dict(config_class, about.pop("model", None))
    except ConfigError as error:
        raise ModelError(f"{folder / 'config.yaml'}: {error}") from error
    with torch.random.fork_rng(devices=[]):  # building draws initial weights: leave the caller's generator alone
        model = model_class(config, len(speakers))
    _load_weights(model, folder / "model.safetensors")
    return model.eval().requires_grad_(False).to(device), speakers, about


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no config.yaml (expected beside model.safetensors)."
            f"{_model_inside(folder)}"
        )
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(about, dict) or about.get("kind") not in KINDS:
        raise ModelError(
            f"{path} does not describe a model: expected `kind: vqvae` or `kind: prior`.{_model_inside(folder)}"
        )
    if about.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path} has format version {about.get('format_version')!r}; this version of vqaudio reads {FORMAT_VERSION}"
        )
    return about


def _model_inside(folder: Path) -> str:
    """Return the hint that fits who gave the experiment folder, which holds the model's."""
    inside = sorted(weights.parent for weights in folder.glob("*/model.safetensors"))
    return f" Did you mean {inside[0]}?" if inside else ""


def _load_weights(model: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as weights: {error}") from error
    expected = model.state_dict()
    problems = [f"lacks {name}" for name in expected if name not in weights]
    problems += [f"has the unknown tensor {name}" for name in weights if name not in expected]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise ModelError(f"{path} does not fit its config.yaml: {'; '.join(problems[:5])}{more}")
    model.load_state_dict(weights)
