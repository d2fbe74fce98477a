"""Typed configuration: frozen dataclasses, which refuse values out of range.

`vqaudio.config_files` reads them from YAML and writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from vqaudio.errors import ConfigError
from vqaudio.untrusted import shown

# Sizes that a model may ask for at most: far beyond any that is known, and little enough to be planned (though not
# held) in memory, so that the configuration of a stranger's model can be compared with its weights before it is built.
MOST_CHANNELS, MOST_LAYERS, MOST_CODES = 2**16, 2**10, 2**20
MOST_HERTZ, MOST_HOP = 2**20, 2**20
MOST_LEVEL_UNITS = 2**12
MOST_VOICE_SHIFT = 0.5
"""Nearly an octave down or up, from one voice to another that nobody has."""
MOST_DOUBLINGS = 24
"""Of the dilation within a stack: 2^24 samples are minutes."""


@dataclass(frozen=True)
class EncoderConfig:
    """Strided convolutions from samples to frames; each has a kernel of twice its stride."""

    strides: tuple[int, ...] = (4, 4, 4)
    """Downsampling factor of each convolution; their product is the hop length in samples."""
    channels: int = 192
    residual_blocks: int = 3
    """Blocks of a width-3 and a width-1 convolution at the unit rate, with a skip connection."""
    input_gain: float = 3.0
    """Factor on the waveform before the first convolution: speech seldom fills [-1, 1]."""
    level_units: tuple[int, ...] = ()
    """Units before and after each unit over which the level is measured that the waveform is divided by; none: it is
    encoded as loud as it is."""

    def __post_init__(self) -> None:
        _require(len(self.strides) > 0, "strides", self.strides, "at least one stride")
        _require(all(s >= 1 for s in self.strides), "strides", self.strides, "whole numbers of at least 1")
        _require(len(self.strides) <= 20, "strides", self.strides, "at most 20 strides")
        _require(self.hop_length <= MOST_HOP, "strides", self.strides, f"a product of at most {MOST_HOP}")
        _positive(self, "channels", "input_gain", most=MOST_CHANNELS)
        _between(self, 0, MOST_LAYERS, "residual_blocks")
        _require(len(self.level_units) in (0, 2), "level_units", self.level_units, "[before, after], or [] for none")
        _require(
            all(0 <= n <= MOST_LEVEL_UNITS for n in self.level_units), "level_units", self.level_units,
            f"numbers of units from 0 to {MOST_LEVEL_UNITS}",
        )  # fmt: skip

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.strides)


@dataclass(frozen=True)
class QuantizerConfig:
    """The codebook, how it is learned and how it is kept alive."""

    codebook_size: int = 512
    code_dim: int = 64
    update: Literal["ema", "gradient"] = "ema"
    """`gradient`: the codebook term of eq. 3; `ema`: running means of the assigned encoder outputs (appendix A.1)."""
    beta: float = 0.25
    """Weight of the commitment term (eq. 3)."""
    decay: float = 0.99
    """Decay per step of the running sums and counts (`ema`)."""
    start_step: int = 300
    """Steps trained without quantization before the codebook is initialised from encoder outputs."""
    init: Literal["kmeans", "sample"] = "kmeans"
    """Initial codes: k-means centroids of encoder outputs, or a random sample of them."""
    revive_window: int = 50
    """Codes unused for this many steps are replaced by current encoder outputs; 0 never replaces."""

    def __post_init__(self) -> None:
        _between(self, 2, MOST_CODES, "codebook_size")
        _positive(self, "code_dim", most=MOST_CHANNELS)
        _require(self.beta >= 0, "beta", self.beta, "0 or more")
        _require(0 <= self.decay < 1, "decay", self.decay, "in [0, 1)")
        for name in ("start_step", "revive_window"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


@dataclass(frozen=True)
class StackConfig:
    """A causal stack: dilated gated layers of kernel 2 with residual and skip paths."""

    layers: int = 16
    stacks: int = 2
    """Times that the dilations 1, 2, 4, … start anew; divides `layers`."""
    residual_channels: int = 64
    gate_channels: int = 128
    """Channels of tanh and sigmoid together."""
    skip_channels: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "layers", "stacks", most=MOST_LAYERS)
        _positive(self, "residual_channels", "gate_channels", "skip_channels", most=MOST_CHANNELS)
        _require(self.layers % self.stacks == 0, "stacks", self.stacks, f"a divisor of layers ({self.layers})")
        period = self.layers // self.stacks
        _require(period <= MOST_DOUBLINGS, "stacks", self.stacks, f"layers / stacks of at most {MOST_DOUBLINGS}")
        _require(self.gate_channels % 2 == 0, "gate_channels", self.gate_channels, "an even number")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each layer, in samples (of the waveform or of the unit sequence)."""
        period = self.layers // self.stacks
        return tuple(2 ** (layer % period) for layer in range(self.layers))


@dataclass(frozen=True)
class DecoderConfig:
    """The WaveNet that turns units and a speaker into samples."""

    stack: StackConfig = field(default_factory=StackConfig)
    output: Literal["mulaw", "mol"] = "mulaw"
    """`mulaw`: softmax over companded levels; `mol`: mixture of logistics over 16-bit levels."""
    classes: int = 256
    """Levels of the companding (`mulaw`)."""
    mixtures: int = 10
    """Components of the mixture (`mol`)."""
    pre_emphasis: float = 0.9
    """a of y[t] = x[t] - a x[t-1], applied to the waveform that is modelled; 0 for none."""
    emphasis_gain: float = 2.0
    """Factor on the pre-emphasised waveform, whose level is far below that of the waveform."""
    condition_channels: int = 192
    """Channels of the network at the unit rate that conditions every layer."""
    condition_kernel: int = 5
    """Width, in units, of its first convolution, over z_q and the speaker; odd."""
    condition_blocks: int = 3
    """Residual blocks of it, each of which sees one unit further to either side."""
    condition_steps: int = 1
    """Rows of the condition for each unit, each held for as many samples; divides the hop length."""
    speaker_channels: int = 64
    time_jitter: float = 0.0
    """Probability that a unit is replaced by a neighbour in training (Chorowski et al. 2019, sec. III-D)."""

    def __post_init__(self) -> None:
        _between(self, 2, MOST_CHANNELS, "classes")
        _positive(
            self, "mixtures", "emphasis_gain", "condition_channels", "condition_kernel", "speaker_channels",
            most=MOST_CHANNELS,
        )  # fmt: skip
        _require(0 <= self.pre_emphasis < 1, "pre_emphasis", self.pre_emphasis, "in [0, 1)")
        _require(self.condition_kernel % 2 == 1, "condition_kernel", self.condition_kernel, "an odd number above 0")
        _between(self, 0, MOST_LAYERS, "condition_blocks")
        _positive(self, "condition_steps", most=MOST_HOP)
        _require(0 <= self.time_jitter < 1, "time_jitter", self.time_jitter, "in [0, 1)")


@dataclass(frozen=True)
class VQVAEConfig:
    """Encoder, quantizer and decoder, and the rate of the waveforms that they take."""

    sample_rate: int = 8000
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def __post_init__(self) -> None:
        _positive(self, "sample_rate", most=MOST_HERTZ)
        steps, hop = self.decoder.condition_steps, self.encoder.hop_length
        _require(hop % steps == 0, "decoder.condition_steps", steps, f"a divisor of the hop length ({hop} samples)")

    @property
    def unit_rate(self) -> float:
        """Units per second."""
        return self.sample_rate / self.encoder.hop_length


@dataclass(frozen=True)
class PriorConfig:
    """The causal stack over units: p(u_n | u_<n, speaker)."""

    codebook_size: int = 512
    """Number of distinct units; set from the model whose units it learns."""
    stack: StackConfig = field(
        default_factory=lambda: StackConfig(
            layers=10, stacks=2, residual_channels=192, gate_channels=384, skip_channels=256, dropout=0.2
        )
    )
    speaker_conditional: bool = True
    speaker_channels: int = 32

    def __post_init__(self) -> None:
        _between(self, 2, MOST_CODES, "codebook_size")
        _positive(self, "speaker_channels", most=MOST_CHANNELS)


@dataclass(frozen=True)
class OptimizationConfig:
    """How long to train, how fast, and how often to look and to save."""

    batch_size: int = 8
    """Crops of a micro-batch (of waveform, or of a unit sequence), on each rank of a training."""
    accumulate_steps: int = 1
    """Micro-batches of a step, one after the other on each rank: memory for one, the result of all in one batch."""
    crop_units: int = 64
    """Length of a crop in units."""
    max_steps: int | None = None
    """Steps to train; or, where not given, `max_minutes`."""
    max_minutes: float | None = None
    """Wall-clock time to train for; the number of steps is fixed, and logged, from the speed measured on the way."""
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.4
    """Share of the training, at its end, in which the learning rate falls to `final_rate_share` of its height."""
    final_rate_share: float = 0.02
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    """Largest norm of the gradient; a longer one is scaled down to it."""
    weight_average: float = 0.999
    """Decay per step of the moving average of the weights that is evaluated and published; 0 for none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes the faster one, as measured on the first batch."""
    mel_loss: float = 0.0
    """Weight of an auxiliary loss: L1 of log-mel frames predicted from the decoder's condition (VQ-VAE only)."""
    spectral_steps: int = 0
    """Steps at the beginning that leave the samples out: encoder, codebook and the network that conditions the decoder
    learn by that loss alone, from many times the audio in the same time (VQ-VAE only)."""
    spectral_share: float = 0.3
    """Of `max_minutes`, the largest share for them: a machine that would need longer makes fewer (VQ-VAE only)."""
    cepstral_loss: float = 0.0
    """Weight of the loss by which units learn in the spectral steps in place of log-mel frames: cepstra, without the
    mean around the crop, that each code tells with the speaker's help alone (VQ-VAE only)."""
    spectral_batch_size: int = 32
    """Crops of a micro-batch of theirs."""
    freeze_units: bool = False
    """Encoder and codebook learn in the spectral steps alone: the decoder then learns to speak from units that stay as
    they are (VQ-VAE only)."""
    voice_shift: float = 0.0
    """Largest shift of the voice that the encoder hears while units learn, up or down, as a natural logarithm: crops
    get one each, drawn evenly, while what is to be predicted stays as it is (VQ-VAE only)."""
    log_interval: int = 100
    """Steps between lines of the log and scalars of TensorBoard."""
    eval_interval: int = 1000
    """Steps between evaluations on the dev set."""
    audio_interval: int = 4000
    """Steps between reconstructions for TensorBoard, at those of them that are evaluated; 0 for the last alone."""
    checkpoint_interval: int = 500
    """Steps between checkpoints. One is written before each evaluation too."""
    keep_checkpoints: int = 2
    """Checkpoints kept, the newest; beside them, the one with the best score on the dev set."""
    publish: Literal["last", "best"] = "last"
    """Whose weights become the model at the end: those of the last step, or of the best checkpoint."""

    def __post_init__(self) -> None:
        given = (self.max_steps is not None) + (self.max_minutes is not None)
        _require(given == 1, "max_steps", self.max_steps, "given, or max_minutes, one of the two")
        _positive(self, "batch_size", "crop_units", "learning_rate", "gradient_clip", "log_interval")
        _positive(self, "accumulate_steps", "eval_interval", "checkpoint_interval", "keep_checkpoints")
        for name in ("max_steps", "max_minutes"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "greater than 0")
        _positive(self, "spectral_batch_size")
        for name in ("warmup_steps", "weight_decay", "mel_loss", "cepstral_loss", "audio_interval", "spectral_steps"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(0 <= self.voice_shift <= MOST_VOICE_SHIFT, "voice_shift", self.voice_shift, "in [0, 0.5]")
        steps = self.spectral_steps
        _require(not steps or self.mel_loss > 0, "spectral_steps", steps, "0 where mel_loss is 0")
        cepstral = self.cepstral_loss
        _require(not cepstral or steps > 0, "cepstral_loss", cepstral, "0 where spectral_steps is 0")
        _require(self.max_steps is None or steps < self.max_steps, "spectral_steps", steps, "less than max_steps")
        _require(0 < self.spectral_share <= 1, "spectral_share", self.spectral_share, "above 0, and at most 1")
        for name in ("decay_share", "final_rate_share"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
        _require(0 <= self.weight_average < 1, "weight_average", self.weight_average, "in [0, 1)")

    @property
    def crops_per_step(self) -> int:
        """Of one rank, in all micro-batches of a step after the spectral ones."""
        return self.batch_size * self.accumulate_steps


@dataclass(frozen=True)
class VQVAETrainingConfig:
    """The file that `vqaudio train --config` reads."""

    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    training: OptimizationConfig = field(default_factory=lambda: OptimizationConfig(max_minutes=17))
    seed: int = 0
    init: str | None = None
    """A model to begin with: a model folder, or the name of a model that comes with the package."""

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class PriorTrainingConfig:
    """The file that `vqaudio train-prior --config` reads."""

    model: PriorConfig = field(default_factory=PriorConfig)
    training: OptimizationConfig = field(
        default_factory=lambda: OptimizationConfig(max_minutes=3, batch_size=16, crop_units=256, eval_interval=200)
    )
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{name}: got {shown(value)}, expected {expected}")


def _positive(config: Any, *names: str, most: float = math.inf) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, name, value, "greater than 0")
        _require(value <= most, name, value, f"at most {most}")


def _between(config: Any, least: int, most: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= least, name, value, f"{least} or more" if least == 0 else f"at least {least}")
        _require(value <= most, name, value, f"at most {most}")
