"""The scores of one experiment, from the model and what the other verbs have left: what `vqaudio score` writes.

train units ──▶ codebook          units, phones, speakers ──▶ what units know; baselines
audio       ──▶ decoder, agreement       resynthesis/     ──▶ reconstruction
units       ──▶ prior                    conversion/      ──▶ voice conversion
prior, decoder ──▶ unconditional samples at several temperatures
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.evaluation.agreement import batch_agreement, chunk_agreement
from vqaudio.evaluation.experiment import Experiment
from vqaudio.evaluation.heldout import choose_evenly, read_heldout, read_waveforms
from vqaudio.evaluation.likelihood import utterance_bits
from vqaudio.evaluation.material import Material
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.parts import mark_of, measure_parts
from vqaudio.evaluation.recognisers import Recogniser, load_recogniser
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.uncertainty import ratio_interval
from vqaudio.evaluation.unit_scores import score_content, unit_costs
from vqaudio.evaluation.unit_set import UnitSet
from vqaudio.models.folder import load_vqvae
from vqaudio.units.extract import extract_units
from vqaudio.units.sharding import Shard
from vqaudio.units.spec import SPEC_FILE, UnitSpec, check_compatible
from vqaudio.units.text import read_frame_units
from vqaudio.untrusted import read_json

logger = logging.getLogger(__name__)

GROUP = 64
"""Utterances in memory at a time while agreement is measured."""


@dataclass(frozen=True)
class Scope:
    """How much is measured, and with what.

    Attributes:
        seed: of everything drawn at random.
        max_seconds: audio that likelihoods and agreement are measured on, spread evenly over the sorted utterances.
        phones: the set of phones that alignments are folded to (`phone_sets.choose_phone_set`).
        asr: which recogniser reads (`recognisers.load_recogniser`); None for none.
        temperatures: of the prior, for unconditional samples.
        num_samples: unconditional samples of each temperature whose units are scored.
        num_spoken: how many of these are decoded, to be heard and scored.
        sample_seconds: longest unconditional sample.
        skip: names of parts to leave out, keys of `Scorecard.parts`.
        progress: whether to show progress bars.
    """

    seed: int = 0
    max_seconds: float = 90.0
    phones: str = "auto"
    asr: str | None = None
    temperatures: Sequence[float] = (0.7, 0.85, 1.0, 1.15)
    num_samples: int = 64
    num_spoken: int = 4
    sample_seconds: float = 5.0
    skip: Sequence[str] = ()
    progress: bool = False


class Scorecard:
    """Computes the scores of one experiment. Loading checks that its parts belong together.

    Usage, perplexity and bit rates are those of the units of the training set where there are any, so that they do
    not depend on how much is held out; everything else is measured on held-out utterances.
    """

    def __init__(self, experiment: Experiment, device: torch.device | str = "cpu", scope: Scope | None = None) -> None:
        self.experiment, self.device, self.scope = experiment, torch.device(device), scope or Scope()
        missing = experiment.missing()
        if missing:
            raise VQAudioError(f"no such {', '.join(missing)}: give the path, or make it first")
        self.model, self.speakers = load_vqvae(experiment.model, device)
        self.spec = UnitSpec.of_model(self.model)
        self.material = Material.load(experiment.data_dir, self.scope.phones)
        self.heldout = self.material.utterances
        self.units = self._heldout_units()
        self.train_units = self._read_units(experiment.train_units) if experiment.train_units else {}
        self.scored = self._with_units(choose_evenly(self.heldout, self.scope.max_seconds))

    @property
    def parts(self) -> dict[str, Callable[[], Results]]:
        """What is measured, in order: by the names that `Scope.skip` takes."""
        from vqaudio.evaluation import audio_scores, prior_scores

        return {
            "codebook": self.measure_codebook,
            "units": self.measure_units,
            "baselines": self.measure_baselines,
            "agreement": self.measure_agreement,
            "decoder": self.measure_decoder,
            "reconstruction": lambda: audio_scores.measure_reconstruction(self),
            "conversion": lambda: audio_scores.measure_conversion(self),
            "prior": lambda: prior_scores.measure_prior(self),
            "samples": lambda: prior_scores.measure_samples(self),
            "speed": self.measure_speed,
        }

    def measure(self, shard: Shard | None = None) -> Results:
        """Return all scores, or, of a shard, those of its parts, which it leaves for a later run without one."""
        parts = {}
        for name, part in self.parts.items():
            if name in self.scope.skip:
                logger.info("%s: left out", name)
            else:
                parts[name] = part
        return measure_parts(parts, self.experiment.out, self.mark, shard)

    def mark(self) -> str:
        """Return a hash of what decides the figures of each part, whichever parts there are."""
        options = {name: value for name, value in vars(self.scope).items() if name not in ("skip", "progress")}
        inputs = ("model", "data_dir", "units", "train_units", "train_dir", "prior", "training", "resynthesis",
                  "conversion")  # fmt: skip
        return mark_of(options, {name: getattr(self.experiment, name) for name in inputs}, self.heldout)

    def measure_codebook(self) -> Results:
        """Return size, rate, usage, perplexity and bit rates: of the training set's units where there are any."""
        results = Results()
        results.put_all(unit_costs(self.train_units or self.units, self.spec.codebook_size, self.spec.unit_rate))
        return results

    @functools.cached_property
    def recogniser(self) -> Recogniser | None:
        """The recogniser that reads audio; None where none is asked for. Raises NotMeasured without its package."""
        return None if self.scope.asr is None else load_recogniser(self.scope.asr)

    @property
    def unit_set(self) -> UnitSet:
        """The held-out units, with the codebook's vectors."""
        codes = self.model.quantizer.codebook.detach().float().cpu().numpy()
        return UnitSet(self.units, self.spec.codebook_size, self.spec.unit_rate, codes)

    def measure_units(self) -> Results:
        """Return what the held-out units know of phones, speakers and languages."""
        return score_content(self.unit_set, self.material, self.scope.seed)

    def measure_baselines(self) -> Results:
        """Return the scores of units from k-means over features of the same audio, at the same rate."""
        from vqaudio.evaluation.baseline_scores import score_baselines

        train = DataDir.load(self.experiment.train_dir).utterances if self.experiment.train_dir else self.heldout
        results = score_baselines(
            train, self.material, self.spec.sample_rate, self.spec.unit_rate, self.spec.codebook_size, self.scope.seed
        )
        results.about["baselines"] = f"fitted on {(self.experiment.train_dir or self.experiment.data_dir).name}"
        return results

    def measure_agreement(self) -> Results:
        """Return the shares of equal units alone, in batches and in chunks; and how much is held out in all."""
        totals, units = np.zeros(2), 0
        for number, waveforms in enumerate(self._waveform_groups()):
            count = sum(-(-len(w) // self.model.hop_length) for w in waveforms)
            seed = self.scope.seed + number
            shares = batch_agreement(self.model, waveforms), chunk_agreement(self.model, waveforms, seed)
            totals += np.multiply(shares, count)
            units += count
        # Whole units are counted back, so that full agreement is exactly 1.
        batch, chunk = (round(total) / units for total in totals)
        return Results(
            {
                "batch_agreement": batch,
                "chunk_agreement": chunk,
                "heldout_utterances": len(self.heldout),
                "heldout_seconds": round(sum(map(utterance_seconds, self.heldout)), 3),
            }
        )

    def measure_decoder(self) -> Results:
        """Return the bits per sample with the right units, with shuffled ones and without any."""
        results = Results()
        keys = {"true": "bits_per_sample", "shuffled": "bits_per_sample_shuffled_units"}
        keys["zero"] = "bits_per_sample_zero_units"
        with results.part(*keys.values()):
            self.require_known_speakers("the model")
            for kind, key in keys.items():
                heldout = read_heldout(self.scored, self.speakers, self.spec.sample_rate)
                bits, samples = utterance_bits(self.model, heldout, self.device, kind, self.scope.seed)
                results.put(key, *ratio_interval(bits, samples, seed=self.scope.seed))
        return results

    def measure_speed(self) -> Results:
        """Return what training and generation have written of their own speed."""
        results = Results()
        training, resynthesis = self.experiment.training, self.experiment.resynthesis
        for key in ("train_seconds", "train_samples_per_second"):
            results.put(key, _read_record(training).get(key))
            results.lack([key], f"{training} does not tell (`vqaudio train` writes it)")
        generation = resynthesis and resynthesis / "generation.json"
        results.put("generation_rtf", _read_record(generation).get("rtf"))
        results.lack(["generation_rtf"], f"{generation} does not tell (`vqaudio decode` writes it)")
        return results

    def require_known_speakers(self, by: str, known: Sequence[str] | None = None) -> None:
        """Raise NotMeasured unless the speakers of all scored utterances are `known`, by default to the model."""
        known = self.speakers if known is None else known
        strangers = sorted({u.speaker for u in self.scored}.difference(known))
        if strangers:
            raise NotMeasured(f"speakers unknown to {by}: {', '.join(strangers[:5])}")

    def _heldout_units(self) -> dict[str, np.ndarray]:
        folder = self.experiment.units
        if not (folder / SPEC_FILE).is_file() and folder.name != "units.txt":
            logger.info("%s holds no units: extracting them", folder)
            data = DataDir.load(self.experiment.data_dir)
            extract_units(self.model, data, folder, progress=self.scope.progress)
        return self._read_units(folder)

    def _read_units(self, folder: Path) -> dict[str, np.ndarray]:
        sequences, spec = read_frame_units(folder)
        check_compatible(spec, self.spec, folder)
        return sequences

    def _with_units(self, utterances: list[Utterance]) -> list[Utterance]:
        found = [u for u in utterances if u.id in self.units]
        if not found:
            raise UnitsError(f"{self.experiment.units} holds no units of the utterances in {self.experiment.data_dir}")
        if len(found) < len(utterances):
            left_out = len(utterances) - len(found)
            logger.warning("%d of %d utterances have no units and are left out", left_out, len(utterances))
        return found

    def _waveform_groups(self) -> Iterator[list[Tensor]]:
        """Yield the waveforms that are scored, GROUP at a time, on the model's device."""
        for start in range(0, len(self.scored), GROUP):
            members = self.scored[start : start + GROUP]
            yield [torch.from_numpy(w).to(self.device) for w in read_waveforms(members, self.spec.sample_rate)]


def _read_record(path: Path | None) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is no such file."""
    if path is None or not path.is_file():
        return {}
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise VQAudioError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise VQAudioError(f"{path}: holds a {type(record).__name__}, expected an object of figures")
    return record
