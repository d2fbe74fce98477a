"""The scores of one experiment, from the model and what the other verbs have left: what `vqaudio score` writes.

train units ──▶ codebook     held-out units ──▶ prior        train.json       ──▶ training
held-out audio ──▶ decoder, agreement              generation.json, WAV files ──▶ generation
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.evaluation import unit_statistics
from vqaudio.evaluation.agreement import batch_agreement, chunk_agreement
from vqaudio.evaluation.audio_statistics import compare_audio
from vqaudio.evaluation.heldout import read_heldout
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.prior import prior_bits_per_unit
from vqaudio.evaluation.resynthesis import draw_pairs, read_pairs
from vqaudio.models.folder import load_prior, load_vqvae, speaker_index
from vqaudio.models.prior import UnitPrior
from vqaudio.units.spec import UnitSpec, check_compatible
from vqaudio.units.text import read_frame_units

logger = logging.getLogger(__name__)

Figures = dict[str, float | int | None]
"""Keys of `measures.GROUPS`; None for what could not be measured."""

GROUP = 64
"""Utterances in memory at a time while agreement is measured."""


@dataclass(frozen=True)
class Experiment:
    """Where the parts of an experiment lie; those that may be None are left out of the scores."""

    model: Path
    data_dir: Path
    units: Path
    """Units of the held-out utterances."""
    train_units: Path
    prior: Path | None = None
    training: Path | None = None
    """train.json of the VQ-VAE's training."""
    resynthesis: Path | None = None
    """Folder of reconstructed held-out utterances, with generation.json."""
    figures: Path | None = None
    """Folder for figures of reconstructions."""


class Scorecard:
    """Computes the scores of one experiment. Loading checks that its parts belong together.

    Likelihoods are measured on `max_seconds` of held-out audio, spread evenly over the sorted utterances; agreement
    on all of it; usage, perplexity and bitrate on the units of the training set.
    """

    def __init__(
        self, experiment: Experiment, device: torch.device | str = "cpu", seed: int = 0, max_seconds: float = 600.0
    ) -> None:
        self.experiment, self.device, self.seed, self.max_seconds = experiment, torch.device(device), seed, max_seconds
        self.model, self.speakers = load_vqvae(experiment.model, device)
        self.spec = UnitSpec.of_model(self.model)
        self.heldout = DataDir.load(experiment.data_dir).utterances
        self.units = self._read_units(experiment.units)
        self.train_units = self._read_units(experiment.train_units)
        self.scored = self._with_units(choose_evenly(self.heldout, max_seconds))

    def measure(self) -> Figures:
        """Return all figures, saying in the log what is being measured."""
        figures: Figures = {}
        for part in (
            self.measure_codebook,
            self.measure_agreement,
            self.measure_decoder,
            self.measure_audio,
            self.measure_prior,
            self.measure_speed,
        ):
            measured = part()
            logger.info("%s", "  ".join(f"{key} {_shown(value)}" for key, value in measured.items()))
            figures |= measured
        return figures

    def measure_codebook(self) -> Figures:
        """Return size, rate, usage, perplexity and bitrates, over all units of the training set."""
        codes, rate = self.spec.codebook_size, self.spec.unit_rate
        counts = unit_statistics.unit_counts(self.train_units.values(), codes)
        return {
            "codebook_size": codes,
            "unit_rate_hz": rate,
            "code_usage": unit_statistics.code_usage(counts),
            "code_perplexity": unit_statistics.code_perplexity(counts),
            "bitrate_nominal": unit_statistics.nominal_bitrate(rate, codes),
            "bitrate_entropy": unit_statistics.entropy_bitrate(counts, rate),
        }

    def measure_agreement(self) -> Figures:
        """Return the shares of equal units alone, in batches and in chunks, over all held-out utterances."""
        totals, units, seconds = np.zeros(2), 0, 0.0
        for number, waveforms in enumerate(self._waveform_groups()):
            count = sum(-(-len(w) // self.model.hop_length) for w in waveforms)
            shares = batch_agreement(self.model, waveforms), chunk_agreement(self.model, waveforms, self.seed + number)
            totals += np.multiply(shares, count)
            units += count
            seconds += sum(map(len, waveforms)) / self.spec.sample_rate
        # Whole units are counted back, so that full agreement is exactly 1.
        batch, chunk = (round(total) / units for total in totals)
        return {
            "batch_agreement": batch,
            "chunk_agreement": chunk,
            "heldout_utterances": len(self.heldout),
            "heldout_seconds": round(seconds, 3),
        }

    def measure_decoder(self) -> Figures:
        """Return the bits per sample with the right units, with shuffled ones and without any."""
        figures: Figures = {}
        for kind, suffix in (("true", ""), ("shuffled", "_shuffled_units"), ("zero", "_zero_units")):
            heldout = read_heldout(self.scored, self.speakers, self.spec.sample_rate)
            figures[f"bits_per_sample{suffix}"] = bits_per_sample(self.model, heldout, self.device, kind, self.seed)
        return figures

    def measure_audio(self) -> Figures:
        """Return level, silence, clipping and distance of the reconstructions that there are, and draw a few."""
        folder = self.experiment.resynthesis
        pairs = read_pairs(self.heldout, folder, self.spec.sample_rate, self.max_seconds) if folder else []
        if not pairs:
            logger.warning("no reconstruction of a held-out utterance in %s (`vqaudio decode` makes them)", folder)
            return {}
        if self.experiment.figures:
            drawn = [pair for pair in pairs if pair.id in self.units]
            draw_pairs(self.experiment.figures, drawn, self.units, self.spec.sample_rate, self.spec.hop_length)
        return compare_audio([p.natural for p in pairs], [p.reconstructed for p in pairs], self.spec.sample_rate)

    def measure_prior(self) -> Figures:
        """Return the bits per held-out unit of the prior and, as its yardstick, of the unigram model."""
        sequences = [self.units[u.id] for u in self.scored]
        codes = self.spec.codebook_size
        counts = [unit_statistics.unit_counts(s, codes) for s in (self.train_units.values(), sequences)]
        figures: Figures = {"unigram_bits_per_unit": unit_statistics.unigram_bits_per_unit(*counts)}
        if self.experiment.prior is None:
            return {"prior_bits_per_unit": None, **figures}
        prior, speakers = self._load_prior(self.experiment.prior)
        indices = [speaker_index(speakers, u.speaker) for u in self.scored]
        scores = prior_bits_per_unit(prior, [torch.from_numpy(s) for s in sequences], indices)
        return {
            "prior_bits_per_unit": scores["bits_per_unit"],
            **figures,
            "prior_end_bits_per_utterance": scores["end_bits_per_utterance"],
        }

    def measure_speed(self) -> Figures:
        """Return what training and generation have written of their own speed."""
        resynthesis = self.experiment.resynthesis
        training = _read_record(self.experiment.training, "`vqaudio train` writes it")
        generation = _read_record(resynthesis and resynthesis / "generation.json", "`vqaudio decode` writes it")
        return {
            "generation_rtf": generation.get("rtf"),
            "train_seconds": training.get("train_seconds"),
            "train_samples_per_second": training.get("train_samples_per_second"),
        }

    def _load_prior(self, folder: Path) -> tuple[UnitPrior, list[str]]:
        prior, speakers, about = load_prior(folder, self.device)
        check_compatible(UnitSpec.of_prior(about, folder), self.spec, f"the units that the prior {folder} learned")
        return prior, speakers

    def _read_units(self, folder: Path) -> dict[str, np.ndarray]:
        sequences, spec = read_frame_units(folder)
        check_compatible(spec, self.spec, folder)
        return sequences

    def _with_units(self, utterances: list[Utterance]) -> list[Utterance]:
        """Return the utterances that have units; those without were rejected when units were extracted."""
        found = [u for u in utterances if u.id in self.units]
        if not found:
            raise UnitsError(f"{self.experiment.units} has no units of the utterances in {self.experiment.data_dir}")
        if len(found) < len(utterances):
            left_out = len(utterances) - len(found)
            logger.warning("%d of %d utterances have no units and are left out", left_out, len(utterances))
        return found

    def _waveform_groups(self) -> Iterator[list[Tensor]]:
        """Yield the held-out waveforms, GROUP at a time, on the model's device."""
        for start in range(0, len(self.heldout), GROUP):
            members = self.heldout[start : start + GROUP]
            yield [w.to(self.device) for w, _ in read_heldout(members, self.speakers, self.spec.sample_rate)]


def choose_evenly(utterances: Sequence[Utterance], max_seconds: float) -> list[Utterance]:
    """Return utterances of about `max_seconds` in all, evenly over the list; all of them where they last less."""
    total = sum(map(utterance_seconds, utterances))
    count = len(utterances) if total <= max_seconds else max(1, int(len(utterances) * max_seconds / total))
    return [utterances[i * len(utterances) // count] for i in range(count)]


def _shown(value: float | int | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _read_record(path: Path | None, origin: str) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one, with a warning, where there is no such file."""
    if path is None or not path.is_file():
        logger.warning("there is no %s: what it would tell is not measured (%s)", path, origin)
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise VQAudioError(f"{path}: holds a {type(record).__name__}, expected an object of figures")
    return record
