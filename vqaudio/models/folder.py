"""Model folders: `config.yaml`, `model.safetensors`, `speakers.txt`. Loading one executes nothing in it.

Wherever a folder is read, the name of a model that comes with the package will do (`vqaudio.pretrained`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import nn
from torch.overrides import TorchFunctionMode

from vqaudio.audio.fileset import replace_files
from vqaudio.config import PriorConfig, VQVAEConfig
from vqaudio.config_files import from_dict, to_dict
from vqaudio.errors import ConfigError, ModelError, did_you_mean
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE
from vqaudio.models.weights import pack_weights, read_weights
from vqaudio.pretrained import find_model, hint
from vqaudio.untrusted import MIB, read_text, read_yaml, shown

FORMAT_VERSION = 1
KINDS: dict[str, tuple[type[nn.Module], type]] = {"vqvae": (VQVAE, VQVAEConfig), "prior": (UnitPrior, PriorConfig)}
M = TypeVar("M", VQVAE, UnitPrior)
MOST_SPEAKERS = 1_000_000
LARGEST_SPEAKERS = 64 * MIB


def save_model(
    folder: str | Path, model: VQVAE | UnitPrior, speakers: Sequence[str], about: dict[str, Any], halve: bool = False
) -> None:
    """Write a model folder. `about` holds plain facts to keep in config.yaml, such as a prior's unit specification.

    The weights come last: a folder with weights is whole. Where a model was there, it stays until the new one is.
    `halve` rounds to bfloat16 what gives no unit its meaning: all but the encoder and the codebook.
    """
    folder = Path(folder)
    kind = next(name for name, (cls, _) in KINDS.items() if isinstance(model, cls))
    config = {"kind": kind, "format_version": FORMAT_VERSION, **about, "model": to_dict(model.config)}
    weights = model.state_dict()
    contents = {
        "config.yaml": [yaml.safe_dump(config, sort_keys=False)],
        "speakers.txt": [f"{name}\n" for name in speakers],
        "model.safetensors": [pack_weights(weights, [name for name in weights if halve and not _defines_units(name)])],
    }
    replace_files(folder, contents)


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
    digest = hashlib.sha256(_described((model.config.sample_rate, model.config.encoder)))
    digest.update(repr((model.config.decoder.pre_emphasis, model.config.decoder.emphasis_gain)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if _defines_units(name):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _described(config: object) -> bytes:
    """Return a configuration as text, without settings that came later and are as if they were not there.

    The hashes of models, and with them the units, that were made before stay as they are.
    """
    text = repr(config)
    for later in (", level_units=()", ", condition_steps=1"):
        text = text.replace(later, "")
    return text.encode()


def _defines_units(name: str) -> bool:
    """Whether the tensor of that name has a part in what a unit means."""
    return name.startswith("encoder.") or name == "quantizer.codebook"


def weights_hash(model: nn.Module) -> str:
    """Return 16 hexadecimal digits that name all weights of a model, and their shape."""
    digest = hashlib.sha256(_described(model.config))
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
    return _read_config(find_model(folder))["kind"]


def read_speakers(folder: str | Path) -> list[str]:
    """Return the names of the speakers that the model in `folder` knows, in the order of their indices."""
    path = find_model(folder) / "speakers.txt"
    try:
        speakers = read_text(path, LARGEST_SPEAKERS).split(maxsplit=MOST_SPEAKERS)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if len(speakers) > MOST_SPEAKERS:
        raise ModelError(f"{path}: expected one speaker a line, at most {MOST_SPEAKERS:,}; found more")
    if not speakers or len(set(speakers)) != len(speakers):
        raise ModelError(f"{path}: expected one speaker a line, each once; found {len(speakers)} names")
    strange = next((name for name in speakers if not name.isprintable()), None)
    if strange is not None:
        raise ModelError(f"{path}: expected one speaker a line, without control characters; found {shown(strange)}")
    return speakers


def _load(folder: str | Path, kind: str, device: str | torch.device) -> tuple[Any, list[str], dict[str, Any]]:
    folder = find_model(folder, kind)
    about = _read_config(folder)
    if about["kind"] != kind:
        raise ModelError(f"{folder} holds a model of kind {about['kind']!r}, expected {kind!r}")
    speakers = read_speakers(folder)
    model_class, config_class = KINDS[kind]
    try:
        config = from_dict(config_class, about.pop("model", None))
    except ConfigError as error:
        raise ModelError(f"{folder / 'config.yaml'}: {error}") from error
    # On `meta` a model takes no memory; all that it will take is in the file, or the file does not fit. Building draws
    # initial weights all the same: leave the caller's generator alone.
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _Unset():
        model = model_class(config, len(speakers))
    weights = read_weights(folder / "model.safetensors", model.state_dict())
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False).to(device), speakers, about


class _Unset(TorchFunctionMode):
    """Sets no initial weights: on `meta` there are none to set, and torch would import its compiler for it."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no config.yaml (expected beside model.safetensors)."
            f"{_model_inside(folder) or hint(folder)}"
        )
    try:
        about = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(about, dict) or about.get("kind") not in list(KINDS):
        raise ModelError(
            f"{path} does not describe a model: expected `kind: vqvae` or `kind: prior`.{_model_inside(folder)}"
        )
    if about.get("format_version") != FORMAT_VERSION:
        version = shown(about.get("format_version"))
        raise ModelError(f"{path} has format version {version}; this version of vqaudio reads {FORMAT_VERSION}")
    return about


def _model_inside(folder: Path) -> str:
    """Return the hint that fits who gave the experiment folder, which holds the model's."""
    inside = sorted(weights.parent for weights in folder.glob("*/model.safetensors"))
    return f" Did you mean {inside[0]}?" if inside else ""
