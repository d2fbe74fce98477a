"""What an experiment folder holds, read once; whatever is absent is None or empty, and its section says so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.listening.colours import code_colours, read_codebook
from vqaudio.evaluation.results import RESULTS_FILE, Results, read_results
from vqaudio.units import UnitSpec, read_frame_units
from vqaudio.untrusted import read_json

_NOT_LEARNED = ("quantizer.counts", "quantizer.idle", "quantizer.initialised", "quantizer.sums")


@dataclass(frozen=True)
class Experiment:
    """An experiment folder, as docs/file-formats.md describes it."""

    path: Path
    config: VQVAETrainingConfig
    prior_config: PriorTrainingConfig | None
    training: Mapping[str, Any]
    """train.json; empty where there is none."""
    prior_training: Mapping[str, Any]
    speakers: list[str]
    results: Results | None
    further_results: Mapping[str, Results] = field(default_factory=dict)
    """Of other sets of utterances, by their names: `scores/<name>/results.json`."""

    @classmethod
    def load(cls, path: Path) -> Experiment:
        """Read what is small. Raises VQAudioError for a folder that is no experiment, or a file that is broken."""
        from vqaudio.models.folder import read_speakers  # here: it loads torch

        _check_experiment(path)
        prior = path / "prior" / "config.yaml"
        further = sorted(file.parent for file in path.glob(f"scores/*/{RESULTS_FILE}"))
        return cls(
            path=path,
            config=load_config(path / "config.yaml", VQVAETrainingConfig),
            prior_config=load_config(prior, PriorTrainingConfig) if prior.is_file() else None,
            training=_read_object(path / "train.json"),
            prior_training=_read_object(path / "prior" / "train.json"),
            speakers=read_speakers(path / "model") if (path / "model" / "speakers.txt").is_file() else [],
            results=read_results(path) if (path / RESULTS_FILE).is_file() else None,
            further_results={folder.name: read_results(folder) for folder in further},
        )

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def unit_rate(self) -> float:
        """Units per second."""
        return self.config.model.unit_rate

    @property
    def codebook_size(self) -> int:
        """K."""
        return self.config.model.quantizer.codebook_size

    @cached_property
    def colours(self) -> list[str]:
        """A colour for each code."""
        return code_colours(self.codebook_size, read_codebook(self.path / "model"))

    @cached_property
    def train_counts(self) -> np.ndarray | None:
        """How often each code occurs in the units of the training set, int64 (K,)."""
        from vqaudio.evaluation.unit_statistics import unit_counts

        units = self.units("units/train")
        return unit_counts(units.values(), self.codebook_size) if units else None

    def units(self, folder: str) -> dict[str, np.ndarray]:
        """Return the units of a folder below the experiment; {} where there are none. Raises as `units_of` does."""
        path = self.path / folder
        return self.units_of(path) if (path / "units.json").is_file() else {}

    def units_of(self, path: Path) -> dict[str, np.ndarray]:
        """Return the units of any folder, one per hop length, int64 (N,) each.

        Raises VQAudioError for units of another codebook, rate or hop length.
        """
        sequences, spec = read_frame_units(path)
        self._check(spec, path)
        return sequences

    def parameters(self, kind: str = "model") -> int | None:
        """Count the learned numbers of the model folder `kind`, the codebook included; None without a model."""
        path = self.path / kind / "model.safetensors"
        if not path.is_file():
            return None
        from vqaudio.models.weights import read_shapes

        return sum(math.prod(shape) for name, shape in read_shapes(path).items() if name not in _NOT_LEARNED)

    def _check(self, spec: UnitSpec, path: Path) -> None:
        model = self.config.model
        ours = (model.sample_rate, model.encoder.hop_length, self.codebook_size)
        theirs = (spec.sample_rate, spec.hop_length, spec.codebook_size)
        if ours != theirs:
            raise VQAudioError(
                f"{path}: units of {theirs[2]} codes, {theirs[1]} samples each at {theirs[0]} Hz; "
                f"the experiment's model has {ours[2]} codes, {ours[1]} samples each at {ours[0]} Hz"
            )


def _check_experiment(path: Path) -> None:
    if not path.is_dir():
        siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        raise VQAudioError(f"{path}: no such folder.{did_you_mean(path.name, siblings)}")
    if not (path / "config.yaml").is_file():
        raise VQAudioError(f"{path}: no config.yaml in it, expected an experiment folder (`vqaudio train --expdir`)")


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise VQAudioError(f"{path}: holds a {type(content).__name__}, expected an object")
    return content
