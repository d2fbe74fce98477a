"""The prior's training: next-unit prediction on the units of a trained VQ-VAE."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.audio.spectrogram import speech_image
from vqaudio.config import PriorTrainingConfig
from vqaudio.errors import ConfigError, TrainingError
from vqaudio.evaluation.prior import prior_bits_per_unit
from vqaudio.evaluation.unit_statistics import unigram_bits_per_unit, unit_counts
from vqaudio.generation.decode import generate_waveforms
from vqaudio.generation.prior import sample_units
from vqaudio.models.folder import load_vqvae, save_model, speaker_index
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE
from vqaudio.training.distributed import ALONE, Ranks
from vqaudio.training.experiment import Experiment
from vqaudio.training.frequencies import Frequencies
from vqaudio.training.loop import Trainer
from vqaudio.training.micro_batches import micro_batches
from vqaudio.training.monitor import Monitor
from vqaudio.training.monitor_layout import prior_charts
from vqaudio.training.unit_rows import RowBatch, UnitRows
from vqaudio.units.spec import UnitSpec, check_compatible
from vqaudio.units.text import read_frame_units

logger = logging.getLogger(__name__)
DEV_UTTERANCES = 64
SAMPLES, SAMPLE_SECONDS = 4, 4.0


class PriorTask:
    """Rows of units, cross-entropy of the next symbol."""

    items = "units"
    score = "dev/bits_per_unit"
    interruptible = nullcontext

    def __init__(
        self,
        config: PriorTrainingConfig,
        vqvae: VQVAE,
        speakers: list[str],
        spec: UnitSpec,
        train: tuple[list[np.ndarray], list[int]],
        dev: tuple[list[np.ndarray], list[int]],
        ranks: Ranks = ALONE,
    ) -> None:
        if config.training.spectral_steps:  # the schedule would set them apart
            steps = config.training.spectral_steps
            raise ConfigError(f"training.spectral_steps: got {steps}, expected 0: a prior learns no spectra")
        self.config, self.speakers, self.spec, self.vqvae = config, speakers, spec, vqvae
        self.model = UnitPrior(config.model, len(speakers))
        self.frequencies = Frequencies(config.model.codebook_size + 1)
        self.modules = nn.ModuleDict({"model": self.model, "frequencies": self.frequencies})
        self._counts = self.frequencies.counts
        self.spectral_steps = self.least_spectral_steps = 0
        self.late_parameters: list[nn.Parameter] = []
        self.idle_parameters: list[nn.Parameter] = []
        length, batch = config.training.crop_units, config.training.crops_per_step
        self.items_per_step = batch * length
        self.rows = UnitRows(*train, self.model.boundary, length, batch, config.seed, ranks.rank, ranks.world_size)
        self.dev = [torch.from_numpy(u) for u in dev[0][:DEV_UTTERANCES]], dev[1][:DEV_UTTERANCES]
        counts = (unit_counts(units, config.model.codebook_size) for units in (train[0], self.dev[0]))
        self.unigram = unigram_bits_per_unit(*counts)
        """Bits per dev unit by the frequencies of the training's units alone: what the prior is to do better than."""
        self.charts = prior_charts()
        logger.info("%d training utterances, %s units; %d dev utterances",
                    len(train[0]), f"{sum(map(len, train[0])):,}", len(dev[0]))  # fmt: skip

    def batches(self, start_step: int) -> Iterator[RowBatch]:
        """Yield rows from a step on."""
        step = start_step
        while True:
            yield self.rows.batch(step)
            step += 1

    def names(self, batch: RowBatch) -> str:
        """Name the speakers of a batch: its rows join many utterances."""
        return "rows of " + ", ".join(sorted({self.speakers[s] for s in batch.speakers.tolist()}))

    def begin_step(self, batch: RowBatch, step: int) -> list[RowBatch]:
        """Return the micro-batches of a step's batch."""
        self._counts = self.frequencies.count(batch.symbols[:, 1:].to(next(self.model.parameters()).device))
        return micro_batches(batch, self.config.training.batch_size)

    def loss(self, batch: RowBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy of the next symbol, a mean in nats."""
        device = next(self.model.parameters()).device
        symbols = batch.symbols.to(device)
        logits = self.model(symbols[:, :-1], batch.speakers.to(device)).float()
        loss = F.cross_entropy(logits.flatten(0, 1), symbols[:, 1:].flatten())
        return loss, {
            "loss/bits_per_unit": loss.detach() / math.log(2),
            "loss/unigram_bits_per_unit": self.frequencies.bits(self._counts),
        }

    def after_step(self, step: int) -> None:
        """Count the step's symbols."""
        self.frequencies.take(self._counts)

    def window_scalars(self) -> dict[str, float]:
        """There is nothing to count."""
        return {}

    def evaluate(self, monitor: Monitor, step: int, last: bool) -> dict[str, float]:
        """Return bits per unit on the dev set; at the end, let it speak."""
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, enabled=False):
            scores = prior_bits_per_unit(self.model, *self.dev)
            interval = self.config.training.audio_interval
            if last or (interval and step % interval == 0):
                self._speak(monitor, step)
        return {f"dev/{name}": value for name, value in scores.items()} | {"dev/unigram_bits_per_unit": self.unigram}

    def publish(self, folder: Path) -> None:
        """Write the model folder; it names the units that the prior knows."""
        save_model(folder, self.model, self.speakers, about={"units": dataclasses.asdict(self.spec)})

    def _speak(self, monitor: Monitor, step: int) -> None:
        rate = self.vqvae.config.sample_rate
        speakers = [i % len(self.speakers) for i in range(SAMPLES)]
        limit = round(SAMPLE_SECONDS * rate / self.vqvae.hop_length)
        units = sample_units(self.model, SAMPLES, speakers, seed=self.config.seed, max_units=limit)
        made = generate_waveforms(self.vqvae, units, speakers, seed=self.config.seed)
        for number, (speaker, sequence, audio) in enumerate(zip(speakers, units, made, strict=True)):
            self._show(monitor, number, speaker, sequence, audio, len(sequence) < limit, step)
        seconds = sum(map(len, units)) * self.vqvae.hop_length / rate / SAMPLES
        monitor.scalars({"unconditional/seconds": seconds}, step)

    def _show(
        self, monitor: Monitor, number: int, speaker: int, units: Tensor, audio: Tensor, ended: bool, step: int
    ) -> None:
        """Show a sample: to the ear, and to the eye with its units. Nothing of one that ended before its first unit."""
        if not len(units):
            return
        rate, hop, name = self.vqvae.config.sample_rate, self.vqvae.hop_length, f"unconditional/{number}"
        monitor.audio(name, audio, rate, step)
        end = "ended by itself" if ended else "cut off"
        title = f"{self.speakers[speaker]}: {len(units)} units, {len(units) * hop / rate:.2f} s, {end}"
        monitor.image(f"{name}/spectrogram", lambda: speech_image(audio, units, rate, hop, title), step)


def train_prior(
    config: PriorTrainingConfig,
    vqvae_folder: str | Path,
    train_units: str | Path,
    dev_units: str | Path,
    utt2spk: Mapping[str, str],
    expdir: str | Path,
    device: str | torch.device = "cpu",
    resume: str = "auto",
    ranks: Ranks = ALONE,
) -> bool:
    """Train a prior on extracted units; False where a signal stopped it (run again to go on).

    `utt2spk` names the speaker of each utterance of both unit folders. Collapsed units are expanded first. `ranks`: as
    of `train_vqvae`.
    """
    vqvae, speakers = load_vqvae(vqvae_folder, device)
    expected = UnitSpec.of_model(vqvae)
    loaded = {}
    for name, folder in (("train", train_units), ("dev", dev_units)):
        sequences, spec = read_frame_units(folder)
        check_compatible(spec, expected)
        loaded[name] = list(sequences.values()), _speakers_of(sequences, utt2spk, speakers, folder)
    codes = expected.codebook_size
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, codebook_size=codes))
    experiment = Experiment(expdir)
    with experiment.opened(config, resume, ranks.first):
        torch.manual_seed(config.seed)
        task = PriorTask(config, vqvae, speakers, expected, loaded["train"], loaded["dev"], ranks)
        return Trainer(task, config.training, experiment, config.seed, torch.device(device), ranks).run()


def _speakers_of(
    sequences: Mapping[str, np.ndarray], utt2spk: Mapping[str, str], speakers: list[str], folder: str | Path
) -> list[int]:
    missing = [utterance for utterance in sequences if utterance not in utt2spk]
    if missing:
        raise TrainingError(
            f"{folder}: {len(missing)} of {len(sequences)} utterances have no speaker in utt2spk, "
            f"such as {missing[0]!r}"
        )
    return [speaker_index(speakers, utt2spk[utterance]) for utterance in sequences]
