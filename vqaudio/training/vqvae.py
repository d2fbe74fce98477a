"""The VQ-VAE's training: eq. 3 of van den Oord et al. 2017, and the life of the codebook."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from vqaudio.audio.mulaw import mulaw_encode
from vqaudio.audio.spectrogram import reconstruction_image
from vqaudio.config import VQVAETrainingConfig
from vqaudio.corpus.crops import CropBatch, CropCount, CropDataset, Opening, prefetch
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.rejected import MAX_SHARE, Rejections, write_rejected
from vqaudio.errors import AudioError, ConfigError, DataDirError, TrainingError
from vqaudio.evaluation.heldout import read_heldout
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.unit_statistics import code_perplexity, code_usage
from vqaudio.generation.decode import generate_waveforms
from vqaudio.models.folder import save_model
from vqaudio.models.ranks import join_ranks, rank_count, sum_over_ranks
from vqaudio.models.vqvae import VQVAE
from vqaudio.training.checkpoint import checkpoint_paths
from vqaudio.training.distributed import ALONE, Ranks
from vqaudio.training.experiment import Experiment
from vqaudio.training.figures import sorted_usage_image
from vqaudio.training.frequencies import sample_frequencies
from vqaudio.training.initial import begin_with
from vqaudio.training.loop import Trainer
from vqaudio.training.micro_batches import micro_batches
from vqaudio.training.monitor import CodeUsage, Monitor
from vqaudio.training.monitor_layout import vqvae_charts
from vqaudio.training.spectra import CepstralPredictor, MelPredictor

logger = logging.getLogger(__name__)
DEV_SECONDS = 40.0
"""Audio of the dev set that an evaluation during training takes."""
SHOWN_UTTERANCES, SHOWN_SECONDS = 4, 4.0
INITIALISATION_BATCHES = 64


class VQVAETask:
    """Crops of utterances, eq. 3, and the codebook's initialisation, running means and revival."""

    items = "samples"
    score = "dev/bits_per_sample_true"
    interruptible = nullcontext

    def __init__(
        self,
        config: VQVAETrainingConfig,
        train: DataDir,
        dev: DataDir,
        ranks: Ranks = ALONE,
        rejected: Path | None = None,
        max_rejected_share: float = MAX_SHARE,
    ) -> None:
        """Look at the data. `rejected` is where utterances are listed that turn out bad, at most the given share."""
        steps = config.training.max_steps
        start = self._start_step = config.model.quantizer.start_step if config.init is None else 0
        if steps is not None and start >= steps:
            expected = f"less than training.max_steps ({steps})"
            raise ConfigError(f"model.quantizer.start_step: got {start}, expected {expected}")
        if config.training.freeze_units and config.init is None and start >= config.training.spectral_steps:
            expected = (
                f"less than training.spectral_steps ({config.training.spectral_steps}), after which units are frozen"
            )
            raise ConfigError(f"model.quantizer.start_step: got {start}, expected {expected}")
        self.config, self.speakers = config, train.speakers
        self.model = VQVAE(config.model, len(self.speakers))
        if config.init is not None:
            begin_with(self.model, self.speakers, config.init)
        self.modules = nn.ModuleDict({"model": self.model})
        codebook = self.model.quantizer.codebook
        self.late_parameters = [codebook] if isinstance(codebook, nn.Parameter) else []
        self.idle_parameters: list[nn.Parameter] = []
        hop = self.model.hop_length
        if config.training.mel_loss:
            decoder = config.model.decoder
            rows = hop // decoder.condition_steps  # samples that one is held for
            self.modules["mel"] = MelPredictor(decoder.condition_channels, config.model.sample_rate, rows)
        if config.training.cepstral_loss:
            self.modules["cepstra"] = CepstralPredictor(
                config.model.quantizer.code_dim, len(self.speakers), config.model.sample_rate, hop,
                config.model.decoder.condition_steps,
            )  # fmt: skip
        self.frequencies = self.modules["frequencies"] = sample_frequencies(self.model.distribution)
        self._levels = self.frequencies.counts
        self.crop_length = config.training.crop_units * hop
        training = config.training
        self.items_per_step = training.crops_per_step * self.crop_length
        self.crops = CropDataset(
            train.utterances, self.speakers, config.model.sample_rate, self.crop_length,
            self.model.context, config.training.crops_per_step, config.seed, ranks.rank, ranks.world_size,
            rejections=Rejections(rejected, max_rejected_share),
            opening=Opening(training.spectral_steps, training.spectral_batch_size * training.accumulate_steps),
            voice_shift=training.voice_shift,
            # Units that no longer learn are to be those of the voice that the decoder is to give.
            shifted_after_opening=not training.freeze_units,
        )  # fmt: skip
        # A codebook that is to stay as it is learns for as long as the encoder did before it.
        self.least_spectral_steps = 2 * start if training.freeze_units else 0
        self._ranks, self._utterances, self._counted = ranks, len(train.utterances), CropCount()
        self.dev = choose_dev(dev.utterances, self.speakers)
        self.heldout: list[tuple[Tensor, int]] = []
        if ranks.first:  # who alone evaluates
            self.dev, self.heldout = read_dev(self.dev, self.speakers, config.model.sample_rate, rejected)
        self.window = CodeUsage(config.model.quantizer.codebook_size)
        self.revivals = torch.zeros(config.model.quantizer.codebook_size, dtype=torch.long)
        """How often each code (K,) was revived since the last evaluation."""
        self.charts = vqvae_charts(self.modules)
        self._samples = torch.tensor(0.0)
        self._outputs: list[tuple[Tensor, Tensor]] = []
        logger.info(
            "%d training utterances of %d speakers, %d steps per epoch; %d dev utterances",
            len(train.utterances), len(self.speakers), self.crops.steps_per_epoch, len(dev.utterances),
        )  # fmt: skip

    @property
    def spectral_steps(self) -> int:
        """Steps at the beginning that leave the samples out; what is set counts for batches not yet made."""
        return self.crops.opening.steps

    @spectral_steps.setter
    def spectral_steps(self, steps: int) -> None:
        self.crops.opening = replace(self.crops.opening, steps=steps)

    def batches(self, start_step: int) -> Iterator[CropBatch]:
        """Yield crops from a step on."""
        return prefetch(self.crops, start_step)

    def names(self, batch: CropBatch) -> str:
        """Name the utterances of a batch."""
        return ", ".join(batch.utterances)

    def begin_step(self, batch: CropBatch, step: int) -> list[CropBatch]:
        """Return the micro-batches of a step's batch; before the first step with a codebook, initialise it."""
        if self._quantizes(step) and not self.model.quantizer.initialised:
            self._initialise_codebook(step)
        training = self.config.training
        size = training.spectral_batch_size if self._is_spectral(step) else training.batch_size
        self.items_per_step = size * training.accumulate_steps * self.crop_length
        self.idle_parameters = self._idle(step)
        parts, self._outputs = micro_batches(batch, size), []
        self._levels = self.frequencies.count(self._level_of_each(batch))
        samples = batch.lengths.to(next(self.model.parameters()).device).sum()
        # Each sample has the same weight, whichever micro-batch of whichever rank has it: the mean over them is then
        # that of one large batch. Of a batch of empty utterances alone, nothing is learned.
        self._samples = sum_over_ranks(samples).clamp_min(1) / (len(parts) * rank_count())
        return parts

    def _idle(self, step: int) -> list[nn.Parameter]:
        decoder, model = self.model.decoder, self.model
        if self._is_spectral(step):
            return [*decoder.stack.parameters(), *decoder.project.parameters()]
        done = list(self.modules["cepstra"].parameters()) if "cepstra" in self.modules else []
        return done + [*model.encoder.parameters(), *model.quantizer.parameters()] if self._is_frozen(step) else done

    def _level_of_each(self, batch: CropBatch) -> Tensor:
        """Return the companded level of each sample to be predicted (B, T); their number beyond an utterance's end."""
        device, levels = next(self.model.parameters()).device, self.frequencies.symbols
        left = self.model.context[0]
        predicted = self.model.emphasise(batch.waveform.to(device))[:, left - 1 :][:, : self.crop_length]
        return mulaw_encode(predicted, levels).masked_fill(~self._valid(batch, device), levels)

    def _valid(self, batch: CropBatch, device: torch.device) -> Tensor:
        """Return which samples (B, T) are of an utterance: what lies beyond its end is not learned."""
        return torch.arange(self.crop_length, device=device) < batch.lengths.to(device)[:, None]

    def _quantizes(self, step: int) -> bool:
        return step >= self._start_step

    def _is_spectral(self, step: int) -> bool:
        return step < self.spectral_steps

    def _is_frozen(self, step: int) -> bool:
        return self.config.training.freeze_units and not self._is_spectral(step)

    def loss(self, batch: CropBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return eq. 3, the likelihood as a mean per sample, plus the auxiliary loss where there is one.

        In the spectral steps the auxiliary losses take the place of the likelihood; units learn from cepstra alone,
        where there is that loss. After them, where units are frozen, the quantizer's terms have no gradient.
        """
        device = next(self.model.parameters()).device
        waveform = batch.waveform.to(device)
        quantize, spectral = self._quantizes(step), self._is_spectral(step)
        frozen = self._is_frozen(step)
        heard = batch.heard.to(device) if self.config.training.voice_shift else None
        speakers, by_cepstra = batch.speakers.to(device), spectral and "cepstra" in self.modules
        out = self.model(
            waveform, speakers, quantize, predict=not spectral, heard=heard, frozen=frozen, apart=by_cepstra
        )
        if quantize:
            self._outputs.append((out.z_e.detach(), out.units))
        loss, scalars = out.vq_loss, {"loss/vq": out.vq_loss.detach()}
        first, spoken = self.model.context[0] - 1, self.model.emphasise(waveform)
        if by_cepstra:
            cepstra = self.modules["cepstra"](out.z_q, speakers, spoken, first)
            loss = loss + self.config.training.cepstral_loss * cepstra
            scalars["loss/cepstra"] = cepstra.detach()
        if "mel" in self.modules:
            mel = self.modules["mel"](out.features, spoken[:, first:][:, : self.crop_length])
            loss = loss + (1.0 if spectral else self.config.training.mel_loss) * mel
            scalars["loss/mel"] = mel.detach()
        if rank_count() > 1:  # which, together, want a gradient, though of zeros, from each parameter in each step
            loss = loss + 0.0 * sum(p.sum() for p in self.idle_parameters)
        if spectral:
            return loss, scalars
        nll = (out.nll * self._valid(batch, device)).sum() / self._samples
        scalars["loss/bits_per_sample"] = nll.detach() / math.log(2)
        scalars["loss/unigram_bits_per_sample"] = self.frequencies.bits(self._levels)
        return nll + loss, scalars

    def after_step(self, step: int) -> None:
        """Let the codebook learn from the step's encoder outputs."""
        self.frequencies.take(self._levels)
        if not self._outputs:
            return
        z_e, units = (torch.cat(parts) for parts in zip(*self._outputs))
        if self._is_frozen(step):
            self.window.add(units, 0)
            return
        revived = self.model.quantizer.update(z_e, units, self._generator(step))
        self.window.add(units, len(revived))
        if len(revived):
            self.revivals[revived.cpu()] += 1
        if self.config.model.quantizer.update == "gradient" and len(revived):
            self._forget_momentum(revived)

    optimizer: torch.optim.Optimizer | None = None
    """Set by whoever trains: revival under `gradient` clears the momentum of the codes that it replaces."""

    def _forget_momentum(self, codes: Tensor) -> None:
        state = self.optimizer.state.get(self.model.quantizer.codebook) if self.optimizer else None
        for name in ("exp_avg", "exp_avg_sq") if state else ():
            state[name][codes] = 0

    def window_scalars(self) -> dict[str, float]:
        """Return the codebook's usage since the last call, over all ranks; raises where too much audio was bad."""
        self._require_audio()
        if self.window.counts.any():
            self.window.counts = sum_over_ranks(self.window.counts)
        scalars = self.window.scalars()
        self.window.reset()
        return scalars

    def _require_audio(self) -> None:
        """Raise DataDirError, on all ranks alike, where too many utterances have turned out bad, or most crops now."""
        crops = self.crops
        counted, self._counted = crops.count - self._counted, crops.count
        counts, found = zip(*self._ranks.gathered((counted, list(crops.rejections.found.values()))))
        crops.rejections.require_share(self._utterances, [rejection for part in found for rejection in part])
        asked, empty = sum(count.asked for count in counts), sum(count.empty for count in counts)
        if empty > asked * max(0.5, crops.rejections.max_share):
            raise DataDirError(
                f"{empty} of the last {asked} crops could not be read: is the disk of the audio still there? "
                f"The first: {next(iter(crops.rejections.found.values()))}"
            )

    def evaluate(self, monitor: Monitor, step: int, last: bool) -> dict[str, float]:
        """Return the unit gauge on the dev set; show reconstructions at times, and the codebook."""
        scalars = {}
        device = next(self.model.parameters()).device
        heldout = self.heldout
        if self.model.quantizer.initialised:
            for kind in ("true", "shuffled", "zero"):
                scalars[f"dev/bits_per_sample_{kind}"] = bits_per_sample(self.model, heldout, device, kind)
            gain = scalars["dev/bits_per_sample_shuffled"] - scalars["dev/bits_per_sample_true"]
            scalars |= {"dev/bits_per_sample_gain": gain, **self._show_codebook(monitor, heldout, step)}
            interval = self.config.training.audio_interval
            if last or (interval and step % interval == 0):
                self._show_audio(monitor, heldout, step)
        return scalars

    def publish(self, folder: Path) -> None:
        """Write the model folder; raises TrainingError where the training ended before there was a codebook."""
        if not self.model.quantizer.initialised:
            raise TrainingError(
                f"the training ended before step {self.config.model.quantizer.start_step}, at which the codebook "
                "begins (model.quantizer.start_step): train longer, or let it begin earlier"
            )
        save_model(folder, self.model, self.speakers, about={})

    def _initialise_codebook(self, step: int) -> None:
        quantizer = self.config.model.quantizer
        with self.interruptible():  # it takes seconds; what is half set is set again as a whole
            with torch.no_grad():
                batches = islice(self.batches(step), INITIALISATION_BATCHES)
                outputs = [join_ranks(self._encoder_outputs(batch)) for batch in batches]
            vectors = torch.cat([z.reshape(-1, z.shape[-1]) for z in outputs])
            self.model.quantizer.initialise(vectors, self._generator(step))
        logger.info("step %d: %d codes initialised from %d encoder outputs (%s)",
                    step, quantizer.codebook_size, len(vectors), quantizer.init)  # fmt: skip

    def _encoder_outputs(self, batch: CropBatch) -> Tensor:
        device, size = next(self.model.parameters()).device, self.config.training.batch_size
        parts = (self.model.emphasise(waveform.to(device)) for waveform in batch.heard.split(size))
        return torch.cat([self.model.encoder(part).float() for part in parts])

    def _generator(self, step: int) -> torch.Generator:
        # A generator of its own for each step: resuming needs nothing but the step.
        return torch.Generator().manual_seed(self.config.seed * 1_000_003 + step)

    def _show_codebook(self, monitor: Monitor, heldout: list[tuple[Tensor, int]], step: int) -> dict[str, float]:
        """Show how the dev set uses the codes, and which were revived; return what it comes to."""
        usage = CodeUsage(self.config.model.quantizer.codebook_size)
        device = next(self.model.parameters()).device
        for waveform, _ in heldout:
            usage.add(self.model.encode(waveform.to(device)))
        counts, revivals = usage.counts.cpu(), self.revivals.clone()
        self.revivals.zero_()
        monitor.histogram("codebook/use_on_dev", counts, step)
        monitor.histogram("codebook/revived_codes", revivals, step)
        monitor.image("codebook/sorted_use_on_dev", lambda: sorted_usage_image(counts, revivals), step)
        monitor.codebook("codebook", self.model.quantizer.codebook, counts, revivals, step)
        return {"dev/code_usage": code_usage(counts), "dev/code_perplexity": code_perplexity(counts)}

    def _show_audio(self, monitor: Monitor, heldout: list[tuple[Tensor, int]], step: int) -> None:
        rate, device = self.config.model.sample_rate, next(self.model.parameters()).device
        count = min(SHOWN_UTTERANCES, len(heldout))
        chosen = [i * len(heldout) // count for i in range(count)]  # the list is sorted by speaker: some of each
        shown = [(heldout[i][0][: int(SHOWN_SECONDS * rate)], heldout[i][1]) for i in chosen]
        units = [self.model.encode(waveform.to(device)) for waveform, _ in shown]
        with torch.autocast(device.type, enabled=False):
            made = generate_waveforms(self.model, units, [speaker for _, speaker in shown], seed=self.config.seed)
        for index, (natural, _), sequence, audio in zip(chosen, shown, units, made):
            self._show_pair(monitor, self.dev[index].id, natural, sequence, audio[: len(natural)], step)

    def _show_pair(self, monitor: Monitor, name: str, natural: Tensor, units: Tensor, made: Tensor, step: int) -> None:
        """Show a recording (T,) and what was made (T,) of its units: to the ear, and to the eye."""
        rate, hop, group = self.config.model.sample_rate, self.model.hop_length, f"reconstruction/{name}"
        monitor.audio(f"{group}/natural", natural, rate, step)
        monitor.audio(f"{group}/reconstructed", made, rate, step)
        title = f"{name}, after {step} steps"
        monitor.image(
            f"{group}/spectrograms", lambda: reconstruction_image(natural, made, units, rate, hop, title), step
        )


def choose_dev(utterances: Sequence[Utterance], speakers: Sequence[str]) -> list[Utterance]:
    """Return utterances of known speakers, about DEV_SECONDS of them, evenly over the sorted list."""
    names = set(speakers)
    known = [u for u in utterances if u.speaker in names]
    if not known:
        found = sorted({u.speaker for u in utterances})[:5]
        raise TrainingError(
            f"none of the {len(utterances)} dev utterances is of a training speaker: dev has {', '.join(found)}, "
            f"training has {', '.join(speakers[:5])}. Split by utterance: `vqaudio data split --by utterance`"
        )
    total = sum(u.duration or 3.0 for u in known)
    count = max(1, min(len(known), round(len(known) * DEV_SECONDS / max(total, 1e-9))))
    return [known[i * len(known) // count] for i in range(count)]


def read_dev(
    utterances: Sequence[Utterance], speakers: Sequence[str], sample_rate: int, rejected: Path | None
) -> tuple[list[Utterance], list[tuple[Tensor, int]]]:
    """Return the utterances that can be read, with what `read_heldout` yields of each; list the others at `rejected`.

    What is read is kept: no evaluation depends on what becomes of the files. Raises TrainingError where nothing is.
    """
    kept, heldout, rejections = [], [], Rejections(rejected)
    for utterance in utterances:
        try:
            heldout += read_heldout([utterance], speakers, sample_rate)
            kept.append(utterance)
        except AudioError as error:
            rejections.add(utterance, error)
    if not kept:
        first = next(iter(rejections.found.values()))
        raise TrainingError(f"none of the {len(utterances)} dev utterances chosen can be read. The first: {first}")
    return kept, heldout


def train_vqvae(
    config: VQVAETrainingConfig,
    train_dir: str | Path,
    dev_dir: str | Path,
    expdir: str | Path,
    device: str | torch.device = "cpu",
    resume: str = "auto",
    ranks: Ranks = ALONE,
    max_rejected_share: float = MAX_SHARE,
) -> bool:
    """Train a VQ-VAE in the experiment folder `expdir`; False where a signal stopped it (run again to go on).

    `ranks`: this process's place among those that train together and all call this; `torchrun.joined` finds it.
    Utterances whose audio cannot be read, be it at the start or later on, are left out and listed in
    `expdir/rejected.tsv`; DataDirError is raised where they are a larger share than `max_rejected_share`.
    """
    experiment = Experiment(expdir)
    train, dev = DataDir.load(train_dir), DataDir.load(dev_dir)
    with experiment.opened(config, resume, ranks.first):
        torch.manual_seed(config.seed)
        rejected = experiment.folder / "rejected.tsv"
        if ranks.first and not checkpoint_paths(experiment.checkpoints):
            write_rejected(rejected, [])
        task = VQVAETask(config, train, dev, ranks, rejected, max_rejected_share)
        trainer = Trainer(task, config.training, experiment, config.seed, torch.device(device), ranks)
        task.optimizer = trainer.update.optimizer
        return trainer.run()
