"""Whole files of every kind that the trials break: what a user would have, as small as it can be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from tests.reliability.hostile_reading import MARK
from tests.small import SPEAKERS, small_prior, small_vqvae
from vqaudio.config import OptimizationConfig, VQVAETrainingConfig
from vqaudio.config_files import save_config
from vqaudio.evaluation.results import Results, write_results
from vqaudio.models.folder import save_model
from vqaudio.training.checkpoint import save_checkpoint
from vqaudio.units.runs import collapse
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import write_units


def write_originals(folder: Path) -> dict[str, Path]:
    """Write them below `folder`; return, for each action of hostile_reading, the path that it takes."""
    model = small_vqvae()
    spec = UnitSpec.of_model(model)
    save_model(folder / "vqvae", model, SPEAKERS, {})
    save_model(folder / "prior", small_prior(), SPEAKERS, {"units": vars(spec)})
    _write_units(folder / "units", UnitSpec.of_model(model, collapsed=True))
    save_model(folder / "decoding" / "model", model, SPEAKERS, {})
    _write_units(folder / "decoding" / "units", UnitSpec.of_model(model, collapsed=True))
    _write_experiment(folder / "experiment")
    _write_checkpoint(folder / "checkpoints")
    _write_part(folder / "scores")
    return {
        "read_vqvae": folder / "vqvae",
        "read_prior": folder / "prior",
        "read_units": folder / "units",
        "decode_units": folder / "decoding",
        "read_config": folder / "experiment",
        "train": folder / "experiment",
        "read_checkpoint": folder / "checkpoints",
        "read_scores": folder / "experiment",
        "read_part": folder / "scores",
        "read_experiment": folder / "experiment",
        "inform": folder / "vqvae",
    }


def _write_units(folder: Path, spec: UnitSpec) -> None:
    random = np.random.default_rng(0)
    runs = {f"{who}-{n}": collapse(random.integers(0, 16, 12).repeat(2)) for who in SPEAKERS for n in range(3)}
    items = [(utt, values) for utt, (values, _) in runs.items()]
    write_units(folder, items, spec, {utt: durations for utt, (_, durations) in runs.items()})


def _write_experiment(folder: Path) -> None:
    model = small_vqvae()
    save_model(folder / "model", model, SPEAKERS, {})
    config = VQVAETrainingConfig(model=model.config, training=OptimizationConfig(max_steps=10))
    save_config(config, folder / "config.yaml")
    save_config(config, folder / "train.yaml")
    (folder / "train.json").write_text(json.dumps({"steps": 10, "minutes": 0.5, "device": "cpu"}))
    write_results(folder, _results())


def _results() -> Results:
    results = Results(about={"date": "2026-01-01"}, baselines={"k-means": Results({"bits_per_sample": 5.0})})
    results.put("bits_per_sample", 4.5, (4.25, 4.75))
    results.lack(["prior_bits_per_unit"], "there is no prior")
    return results


def _write_checkpoint(folder: Path) -> None:
    folder.mkdir()
    network = torch.nn.Linear(3, 4)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
    save_checkpoint(folder, 10, state, keep=2)


def _write_part(folder: Path) -> None:
    path = folder / "shards" / "1-of-2" / "units.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"mark": MARK, "results": _results().to_object()}))
