"""What a trial has done with a file of a stranger: each action reads it as users do, and returns what it made of it.

Everything that is returned is plain, so that it can be compared, in another process, with what should have come of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vqaudio
import vqaudio.cli.info_experiment  # it defines classes, which is to execute: before anyone listens
from tests.small import HOP, sound
from vqaudio.cli.main import main
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import load_config, to_dict
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.parts import measure_parts
from vqaudio.evaluation.report import render_report
from vqaudio.evaluation.results import Results, read_results
from vqaudio.training.checkpoint import load_newest
from vqaudio.units.text import read_frame_units

SOUND = sound(20 * HOP)
MARK = "0" * 64


def read_vqvae(path: Path) -> Any:
    """Load a VQ-VAE and encode with it."""
    model = vqaudio.load(path)
    units = model.encode(SOUND, model.sample_rate).tolist()
    assert all(0 <= unit < model.codebook_size for unit in units)
    return {"config": to_dict(model.network.config), "speakers": model.speakers, "weights": hash_of(model.network)}


def read_prior(path: Path) -> Any:
    """Load a prior, and the spec of its units."""
    prior = vqaudio.load_prior(path)
    config = {**to_dict(prior.network.config), "units": vars(prior.unit_spec)}
    return {"config": config, "speakers": prior.speakers, "weights": hash_of(prior.network)}


def read_units(path: Path) -> Any:
    """Read units, runs restored."""
    sequences, spec = read_frame_units(path)
    return {"spec": vars(spec), "units": {utt: units.tolist() for utt, units in sequences.items()}}


def decode_units(path: Path) -> Any:
    """Have the command decode units/ with model/, into a folder beside them."""
    words = ["decode", "--model", path / "model", "--units", path / "units", "--out", path / "out"]
    return run([*words, "--speaker", "anna", "--quiet"])


def read_config(path: Path) -> Any:
    """Read the configuration of a training."""
    return to_dict(load_config(path / "train.yaml", VQVAETrainingConfig))


def train(path: Path) -> Any:
    """Have the command begin a training of the configuration, whose data directory does not exist."""
    words = ["train", "--config", path / "train.yaml", "--train_dir", path / "none", "--dev_dir", path / "none"]
    return run([*words, "--expdir", path / "exp", "--quiet"])


def read_checkpoint(path: Path) -> Any:
    """Load the newest checkpoint."""
    found = load_newest(path)
    return None if found is None else {"file": found[0].name, "state": hash_of_values(found[1])}


def read_scores(path: Path) -> Any:
    """Read results, and render them."""
    results = read_results(path)
    render_report(path, results)
    return results.to_object()


def read_part(path: Path) -> Any:
    """Take a part of a scorecard from what a shard has left."""
    results = measure_parts({"units": Results}, path, lambda: MARK)
    return results.to_object()


def read_experiment(path: Path) -> Any:
    """Read an experiment for its listening page."""
    experiment = Experiment.load(path)
    return {"parameters": experiment.parameters(), "colours": experiment.colours, "speakers": experiment.speakers}


def inform(path: Path) -> Any:
    """Have the command say what a path is."""
    return run(["info", path])


ACTIONS: dict[str, Callable[[Path], Any]] = {
    action.__name__: action
    for action in (
        read_vqvae, read_prior, read_units, decode_units, read_config, train, read_checkpoint, read_scores, read_part,
        read_experiment, inform,
    )
}  # fmt: skip
COMMANDS = ("decode_units", "train", "inform")
"""Actions that return {"status", "said"} and raise nothing."""


def run(words: list[str | Path]) -> dict[str, Any]:
    """Run a command in this process; return its exit status, and what it said on standard error."""
    said, printed = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # as strict as a real one
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        status = main([str(word) for word in words])
    return {"status": status, "said": said.getvalue()}


def hash_of(network: torch.nn.Module) -> str:
    """Return a hash of all weights, by names, types, shapes and bytes."""
    return hash_of_values(dict(sorted(network.state_dict().items())))


def hash_of_values(value: Any) -> str:
    """Return a hash of nested mappings and lists of tensors and plain values."""
    digest = hashlib.sha256()

    def take(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            array = np.ascontiguousarray(part.numpy())
            digest.update(repr((array.dtype.str, array.shape)).encode() + array.tobytes())
        elif isinstance(part, dict):
            for key, inner in part.items():
                digest.update(repr(key).encode())
                take(inner)
        elif isinstance(part, (list, tuple)):
            digest.update(b"list")
            for inner in part:
                take(inner)
        else:
            digest.update(repr(part).encode())

    take(value)
    return digest.hexdigest()
