"""The toolkit from Python: a trained model as an audio tokenizer, and the prior that speaks through it.

import vqaudio

model = vqaudio.load("recipes/asterisk/exp/vqvae_8k/model")
units = model.encode(waveform, sample_rate)               # LongTensor (N,)
audio = model.decode(units, speaker=model.speakers[0])    # float32 (N · hop_length,) at model.sample_rate

prior = vqaudio.load_prior("recipes/asterisk/exp/vqvae_8k/prior/model")
speech = model.sample(prior, n=4, seconds=5)              # four waveforms that nobody said
"""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vqaudio.audio.resample import resample
from vqaudio.audio.waveform import as_waveform
from vqaudio.errors import ModelError, UnitsError, VQAudioError
from vqaudio.generation.decode import generate_waveforms
from vqaudio.generation.precision_gate import LIMITS, PrecisionRecord, require_gate
from vqaudio.generation.prior import sample_units
from vqaudio.generation.stream import stream_waveform
from vqaudio.models import folder as model_folder
from vqaudio.models.folder import speaker_index
from vqaudio.models.prior import UnitPrior
from vqaudio.models.stream_encoder import StreamEncoder
from vqaudio.models.vqvae import VQVAE
from vqaudio.units.spec import UnitSpec, check_compatible

logger = logging.getLogger(__name__)

Waveform: TypeAlias = np.ndarray | Tensor
"""Mono samples (T,), floats in [-1, 1]."""
Units: TypeAlias = Tensor | np.ndarray | Sequence[int]
"""One unit sequence (N,), integers in [0, codebook_size)."""


def load(folder: str | Path, device: str | torch.device = "cpu") -> Model:
    """Load the VQ-VAE in a model folder, or one that comes with the package, by its name.

    The same as `Model.from_pretrained`.
    """
    return Model.from_pretrained(folder, device)


def load_prior(folder: str | Path, device: str | torch.device = "cpu") -> Prior:
    """Load the prior in a model folder, or that of a model which comes with the package, by the model's name.

    The same as `Prior.from_pretrained`.
    """
    return Prior.from_pretrained(folder, device)


class Prior:
    """What usually follows what: a prior over the units of one model, for `Model.sample`."""

    def __init__(self, network: UnitPrior, speakers: Sequence[str], unit_spec: UnitSpec) -> None:
        self.network, self.speakers, self.unit_spec = network, list(speakers), unit_spec

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Prior:
        """Load the prior in a model folder. Raises ModelError saying what is wrong with it."""
        network, speakers, about = model_folder.load_prior(folder, device)
        return cls(network, speakers, UnitSpec.of_prior(about, folder))

    def save_pretrained(self, folder: str | Path, halve: bool = False) -> None:
        """Write a model folder, which `from_pretrained` can load; `halve` rounds the weights to bfloat16."""
        about = {"units": asdict(self.unit_spec)}
        model_folder.save_model(folder, self.network, self.speakers, about, halve=halve)

    def require_model(self, model: Model) -> None:
        """Raise UnitsError, naming both sides, unless the prior learned the units of `model`."""
        check_compatible(self.unit_spec, model.unit_spec, "the units that the prior learned")


class Model:
    """A trained VQ-VAE: waveforms to units, and units to waveforms in the voice of a speaker it knows.

    `network` is the module itself. Everything that is returned lies on the CPU.
    """

    def __init__(
        self, network: VQVAE, speakers: Sequence[str], precision_record: PrecisionRecord | None = None
    ) -> None:
        self.network, self.speakers, self.precision_record = network, list(speakers), precision_record

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Model:
        """Load the VQ-VAE in a model folder. Raises ModelError saying what is wrong with it."""
        return cls(*model_folder.load_vqvae(folder, device), PrecisionRecord.read(folder))

    def save_pretrained(self, folder: str | Path, halve: bool = False) -> None:
        """Write a model folder, which `from_pretrained` and every verb of the command can load.

        `halve` rounds the weights to bfloat16, but for those of encoder and codebook: it encodes to the same units.
        """
        model_folder.save_model(folder, self.network, self.speakers, about={}, halve=halve)
        if self.precision_record is not None and not halve:  # which is of these very weights
            self.precision_record.write(folder)

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that `decode` returns, in Hz; `encode` converts to it."""
        return self.network.config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per unit."""
        return self.network.hop_length

    @property
    def unit_rate(self) -> float:
        """Units per second."""
        return self.network.config.unit_rate

    @property
    def codebook_size(self) -> int:
        """K: units are integers in [0, K)."""
        return self.network.config.quantizer.codebook_size

    @property
    def codebook(self) -> Tensor:
        """A copy of the codes, float32 (K, D): row k is what unit k stands for."""
        return self.network.quantizer.codebook.detach().cpu().clone()

    @property
    def unit_spec(self) -> UnitSpec:
        """What `units.json` says of this model's units; equal for models whose units mean the same."""
        return UnitSpec.of_model(self.network)

    def encode(self, waveform: Waveform | Sequence[Waveform], sample_rate: int) -> Tensor | list[Tensor]:
        """Return the units of a waveform at `sample_rate` Hz, LongTensor (N,); of a list of them, a list.

        N = ceil(T / hop_length), T being the samples at the model's rate. A waveform of another rate is resampled,
        and the log says so. Each one's units are the same alone and in a list.

            units = model.encode(np.zeros(16000, dtype=np.float32), sample_rate=16000)

        Raises VQAudioError for a waveform that is not mono, empty, not float, or holds NaN or infinite samples.
        """
        if isinstance(waveform, (list, tuple)):
            return [self._encode(one, sample_rate, f"waveform {i}") for i, one in enumerate(waveform)]
        return self._encode(waveform, sample_rate, "waveform")

    def decode(
        self,
        units: Units | Sequence[Units],
        speaker: str | Sequence[str] | None = None,
        length: int | Sequence[int] | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        engine: str = "auto",
        precision: str = "float32",
        force_precision: bool = False,
    ) -> Tensor | list[Tensor]:
        """Return the waveform that units (N,) stand for, float32 (N·hop_length,); for a list of them, a list.

            audio = model.decode(units, speaker="allison", length=len(waveform))

        Args:
            speaker: the voice, one of `speakers`; may be left out where the model knows one alone. For a list of
                unit sequences, one name for all or one each.
            length: samples at the model's rate to trim the waveform to; for a list, one each.
            temperature, top_k, top_p: of each sample's distribution; below 1 is tamer.
            seed: the same seed gives the same waveform, whatever other sequences are in the list.
            engine, precision: what generates, and what it keeps weights in: see `generation.choose_engine`. All
                engines draw the same samples in float32; another precision is another waveform.
            force_precision: use a precision that the model has not passed the gate for: see `require_precision`.

        Raises UnitsError for units outside the codebook, ModelError for a speaker whom the model does not know.
        """
        self.require_precision(precision, force_precision)
        one = _is_one_sequence(units)
        sequences = [_as_units(sequence) for sequence in ([units] if one else units)]
        waveforms = generate_waveforms(
            self.network,
            sequences,
            self._speaker_indices(speaker, len(sequences)),
            keys=["0"] * len(sequences),
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            engine=engine,
            precision=precision,
        )
        lengths = [length] if one or length is None else length
        trimmed = [_trim(w, wanted) for w, wanted in zip(waveforms, _for_each(lengths, len(waveforms), "lengths"))]
        return trimmed[0] if one else trimmed

    def stream(
        self,
        units: Units | Iterable[int | Units],
        speaker: str | None = None,
        *,
        chunk_units: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        engine: str = "auto",
        precision: str = "float32",
        force_precision: bool = False,
    ) -> Iterator[Tensor]:
        """Return an iterator over the waveform that units stand for, which comes in chunks while it is made.

            for chunk in model.stream(units, speaker="allison"):
                loudspeaker.write(chunk.numpy())

        Chunks are float32 tensors. Joined, they are exactly what `decode` returns with the same options.

        Args:
            units: one sequence (N,), or a generator of units, or of short sequences of them, as they become known:
                `StreamEncoder.push` returns such. A sample is then made as soon as the units after its own that the
                decoder looks at are known (`network.decoder.reach` of them), and a chunk when all its samples are.
            speaker: the voice, one of `speakers`; may be left out where the model knows one alone.
            chunk_units: units a chunk, hop_length samples each; by default about 40 ms. The first chunks are
                shorter, so that the first one comes sooner.

        The other arguments are those of `decode`, and so is what is raised: at once, but for units that come later.
        The log says how long the first chunk took, and the real-time factor.
        """
        self.require_precision(precision, force_precision)
        (index,) = self._speaker_indices(speaker, 1)
        return stream_waveform(
            self.network,
            _as_units(units) if _is_known(units) else _live_units(units),
            index,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            engine=engine,
            precision=precision,
            chunk_units=chunk_units,
        )

    def stream_encoder(self, step_units: int = 1) -> StreamEncoder:
        """Return what encodes one waveform at the model's rate as it comes, piece by piece.

            encoder = model.stream_encoder()
            for samples in microphone:              # float (T,), any T
                units = encoder.push(samples)       # LongTensor (M,), M ≥ 0: those that became known
            units = encoder.finish()                # the rest

        All units together are exactly those that `encode` returns for the whole. A unit comes
        `encoder.latency_samples` (`latency_seconds`) after its first sample. `step_units`: how many to gather before
        computing, which costs the same for one as for many.
        """
        return StreamEncoder(self.network, step_units)

    def convert(self, waveform: Waveform, sample_rate: int, speaker: str, **options: Any) -> Tensor:
        """Return what is said in a waveform at `sample_rate` Hz in another voice, at the model's rate, as long.

        `options` are those of `decode`.
        """
        samples = self.at_model_rate(waveform, sample_rate)
        return self.decode(self.encode(samples, self.sample_rate), speaker, len(samples), **options)

    def at_model_rate(self, waveform: Waveform, sample_rate: int) -> Tensor:
        """Return a waveform at `sample_rate` Hz as float32 (T,) at the model's, checked as by `encode`."""
        return torch.from_numpy(self._at_model_rate(waveform, sample_rate, "waveform"))

    def sample(
        self,
        prior: Prior,
        n: int = 1,
        speaker: str | Sequence[str] | None = None,
        seconds: float = 10.0,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        prior_temperature: float = 1.0,
        prior_top_k: int | None = None,
        prior_top_p: float | None = None,
        seed: int = 0,
        engine: str = "auto",
        precision: str = "float32",
        force_precision: bool = False,
    ) -> list[Tensor]:
        """Return `n` waveforms of speech that nobody said: units from the prior, samples from the decoder.

        An utterance ends where the prior says, or after `seconds`; the prior may end one at once, and its waveform
        is then empty. Without `speaker` the speakers take turns. The options `prior_…` are of the units'
        distribution, those without of the samples'; `engine` is of both, and the prior, little beside the decoder, is
        in float32 always. Raises UnitsError for the prior of another model.
        """
        self.require_precision(precision, force_precision)
        names = list(islice(cycle(self.speakers), n)) if speaker is None else _for_each(speaker, n, "speakers")
        common = {"seed": seed, "engine": engine}
        units = self.sample_units(
            prior, names, seconds, temperature=prior_temperature, top_k=prior_top_k, top_p=prior_top_p, **common
        )
        indices = [speaker_index(self.speakers, name) for name in names]
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "precision": precision}
        return generate_waveforms(self.network, units, indices, **options, **common)

    def sample_units(self, prior: Prior, speakers: Sequence[str], seconds: float, **options: Any) -> list[Tensor]:
        """Return one sequence of units, LongTensor (N_i,), for each of `speakers`, drawn from the prior alone.

        None lasts more than `seconds`; `options` are those of `generation.sample_units`.
        """
        prior.require_model(self)
        max_units = math.floor(seconds * self.unit_rate)
        if max_units < 1:
            raise VQAudioError(f"seconds: got {seconds!r}, expected at least one unit, {1 / self.unit_rate:g} s")
        indices = [speaker_index(prior.speakers, name) for name in speakers]
        return sample_units(prior.network, len(indices), indices, max_units=max_units, **options)

    def require_precision(self, precision: str, force: bool = False) -> None:
        """Raise ModelError unless the model has passed the gate of `precision` or it is forced (`precision_gate`)."""
        if precision in LIMITS and not force:
            require_gate(self.precision_record, model_folder.weights_hash(self.network), precision)

    def _encode(self, waveform: Waveform, sample_rate: int, name: str) -> Tensor:
        samples = torch.from_numpy(self._at_model_rate(waveform, sample_rate, name))
        return self.network.encode(samples.to(next(self.network.parameters()).device)).cpu()

    def _at_model_rate(self, waveform: Waveform, sample_rate: int, name: str) -> np.ndarray:
        samples = as_waveform(waveform, name)
        if not samples.size:
            raise VQAudioError(f"{name}: got shape {samples.shape}, expected mono samples (T,), T ≥ 1")
        if sample_rate == self.sample_rate:
            return samples
        resampled = resample(samples, sample_rate, self.sample_rate)
        if not resampled.size:
            raise VQAudioError(f"{name}: {samples.size} samples at {sample_rate} Hz are none at {self.sample_rate} Hz")
        logger.info("%s: resampled from %d Hz to the model's %d Hz", name, sample_rate, self.sample_rate)
        return resampled

    def _speaker_indices(self, speaker: str | Sequence[str] | None, count: int) -> list[int]:
        if speaker is None and len(self.speakers) == 1:
            return [0] * count
        if speaker is None:
            raise ModelError(f"speaker: expected one of the {len(self.speakers)} that the model knows: "
                             f"{', '.join(self.speakers[:20])}")  # fmt: skip
        return [speaker_index(self.speakers, name) for name in _for_each(speaker, count, "speakers")]


# ------------------------------------------------------------------------------------ checks of what is given


def _is_one_sequence(units: Any) -> bool:
    """Whether `units` are one sequence, and not a list of sequences."""
    return not isinstance(units, (list, tuple)) or (len(units) > 0 and np.ndim(units[0]) == 0)


def _is_known(units: Any) -> bool:
    """Whether `units` are a sequence that is there, and not a generator of what is still to come."""
    return isinstance(units, (Tensor, np.ndarray, Sequence)) or not isinstance(units, Iterable)


def _live_units(source: Iterable[Any]) -> Iterator[Tensor]:
    """Yield what comes from `source`, single units or sequences, as LongTensors (N_i,)."""
    for item in source:
        units = _as_units(item)
        yield units[None] if units.dim() == 0 else units


def _as_units(sequence: Any) -> Tensor:
    """Return one sequence of units as LongTensor (N,), on the CPU; range and shape are checked by the decoder."""
    try:
        tensor = torch.as_tensor(sequence)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnitsError(f"units: got {type(sequence).__name__}, expected a sequence of integers: {error}") from error
    if tensor.dtype == torch.bool or (tensor.is_floating_point() and tensor.numel()):
        raise UnitsError(f"units: got {str(tensor.dtype).removeprefix('torch.')} values, expected integers")
    return tensor.cpu().long()


def _for_each(given: Any, count: int, name: str) -> list[Any]:
    """Return one value for each of `count` sequences: those given, or a single one for all."""
    values = [given] if isinstance(given, str) else list(given)
    values = values * count if len(values) == 1 else values
    if len(values) != count:
        raise VQAudioError(f"{name}: got {len(values)}, expected 1 or as many as there are sequences ({count})")
    return values


def _trim(waveform: Tensor, length: int | None) -> Tensor:
    if length is None:
        return waveform
    length = operator.index(length)
    if not 0 <= length <= len(waveform):
        raise VQAudioError(f"length: got {length}, expected 0 to {len(waveform)} samples, which the units cover")
    return waveform[:length]
