"""Typed configuration: frozen dataclasses that map to and from YAML.

A file holds the fields of one class as nested mappings. An unknown key, a value of the wrong type and a value
out of range are refused, naming the key by its whole path and, for a key, the nearest one that exists.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from vqaudio.errors import ConfigError, did_you_mean

T = TypeVar("T")
BASE = "base"
"""Key of a file that names another one, which it is laid over."""


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

    def __post_init__(self) -> None:
        _require(len(self.strides) > 0, "strides", self.strides, "at least one stride")
        _require(all(s >= 1 for s in self.strides), "strides", self.strides, "whole numbers of at least 1")
        _positive(self, "channels", "input_gain")
        _require(self.residual_blocks >= 0, "residual_blocks", self.residual_blocks, "0 or more")

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
        _require(self.codebook_size >= 2, "codebook_size", self.codebook_size, "at least 2")
        _positive(self, "code_dim")
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
        _positive(self, "layers", "stacks", "residual_channels", "gate_channels", "skip_channels")
        _require(self.layers % self.stacks == 0, "stacks", self.stacks, f"a divisor of layers ({self.layers})")
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
    speaker_channels: int = 64
    time_jitter: float = 0.0
    """Probability that a unit is replaced by a neighbour in training (Chorowski et al. 2019, sec. III-D)."""

    def __post_init__(self) -> None:
        _require(self.classes >= 2, "classes", self.classes, "at least 2")
        _positive(self, "mixtures", "emphasis_gain", "condition_channels", "speaker_channels")
        _require(0 <= self.pre_emphasis < 1, "pre_emphasis", self.pre_emphasis, "in [0, 1)")
        odd = self.condition_kernel > 0 and self.condition_kernel % 2 == 1
        _require(odd, "condition_kernel", self.condition_kernel, "an odd number above 0")
        _require(self.condition_blocks >= 0, "condition_blocks", self.condition_blocks, "0 or more")
        _require(0 <= self.time_jitter < 1, "time_jitter", self.time_jitter, "in [0, 1)")


@dataclass(frozen=True)
class VQVAEConfig:
    """Encoder, quantizer and decoder, and the rate of the waveforms that they take."""

    sample_rate: int = 8000
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def __post_init__(self) -> None:
        _positive(self, "sample_rate")

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
        _require(self.codebook_size >= 2, "codebook_size", self.codebook_size, "at least 2")
        _positive(self, "speaker_channels")


@dataclass(frozen=True)
class OptimizationConfig:
    """How long to train, how fast, and how often to look and to save."""

    batch_size: int = 8
    """Crops per step (of waveform, or of a unit sequence), on each rank of a training."""
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
    log_interval: int = 100
    """Steps between lines of the log and scalars of TensorBoard."""
    eval_interval: int = 1000
    """Steps between evaluations on the dev set."""
    audio_interval: int = 4000
    """Steps between reconstructions for TensorBoard, at those of them that are evaluated; 0 for the last alone."""
    checkpoint_interval: int = 500
    """Steps between checkpoints."""
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        given = (self.max_steps is not None) + (self.max_minutes is not None)
        _require(given == 1, "max_steps", self.max_steps, "given, or max_minutes, one of the two")
        _positive(self, "batch_size", "crop_units", "learning_rate", "gradient_clip", "log_interval")
        _positive(self, "eval_interval", "checkpoint_interval", "keep_checkpoints")
        for name in ("max_steps", "max_minutes"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "greater than 0")
        for name in ("warmup_steps", "weight_decay", "mel_loss", "audio_interval"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("decay_share", "final_rate_share"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
        _require(0 <= self.weight_average < 1, "weight_average", self.weight_average, "in [0, 1)")


@dataclass(frozen=True)
class VQVAETrainingConfig:
    """The file that `vqaudio train --config` reads."""

    model: VQVAEConfig = field(default_factory=VQVAEConfig)
    training: OptimizationConfig = field(default_factory=lambda: OptimizationConfig(max_minutes=17))
    seed: int = 0

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


def load_config(path: str | Path, cls: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file as `cls`, with `overrides` such as "model.encoder.channels=64" applied on top.

    A file that has a key `base` is laid over the file that it names, relative to its own folder: what it says counts,
    the rest is its base's.

    Raises ConfigError for a file that is missing or not YAML, an unknown key, and a wrong type or value.
    """
    path = Path(path)
    data = _read_with_base(path)
    try:
        for override in overrides if isinstance(data, dict) else ():
            _apply_override(data, override)
        return from_dict(cls, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _read_with_base(path: Path, above: tuple[Path, ...] = ()) -> Any:
    """Return what a file says, laid over what its `base` says; `above`: the files that lead here."""
    data = _read_yaml(path)
    if not isinstance(data, dict) or BASE not in data:
        return data
    base, above = data.pop(BASE), (*above, path.resolve())
    if not isinstance(base, str):
        raise ConfigError(f"{path}: {BASE}: got {base!r}, expected the name of a file")
    if (path.parent / base).resolve() in above:
        raise ConfigError(f"{path}: {BASE}: {base} is laid over this file in turn")
    return _laid_over(_read_with_base(path.parent / base, above), data)


def _laid_over(base: Any, data: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(data, dict)):
        return data
    return base | {key: _laid_over(base.get(key), value) for key, value in data.items()}


def _read_yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, siblings)
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}.{hint}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the configuration is not UTF-8 text: {error}") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    return {} if data is None else data


def save_config(config: Any, path: str | Path) -> None:
    """Write a configuration as YAML, fields in the order of their definition."""
    Path(path).write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as plain mappings, lists, numbers and strings."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return list(value) if isinstance(value, tuple) else value

    return plain(config)


def from_dict(cls: type[T], data: Any, where: str = "") -> T:
    """Build `cls` from nested mappings; `where` is the path of keys to `data`, for messages."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or 'the configuration'}: expected a mapping of keys, got {data!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    for key in data:
        if key not in known:
            raise ConfigError(
                f"unknown key {_join(where, key)!r}.{did_you_mean(str(key), known)} "
                f"Keys of {where or cls.__name__}: {', '.join(known)}"
            )
    values = {key: _coerce(value, known[key], _join(where, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}" if where else str(error)) from error


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as type `hint`. YAML 1.1 reads 1e-4 as a string, hence the numbers in strings."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is Literal:
        if value not in args:
            hint_text = did_you_mean(str(value), map(str, args))
            raise ConfigError(f"{where}: got {value!r}, expected one of {', '.join(map(str, args))}.{hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: got {value!r}, expected a list")
        return tuple(_coerce(v, args[0], f"{where}[{i}]") for i, v in enumerate(value))
    return _coerce_scalar(value, hint, where)


def _coerce_scalar(value: Any, hint: type, where: str) -> Any:
    if hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: got {value!r}, expected {_kind(hint)}")
    if hint is int and isinstance(value, int):
        return value  # as it is: a float holds whole numbers up to 2^53 alone
    if hint in (int, float) and isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and (hint is float or number.is_integer()):
            return hint(number)
    elif hint is str and isinstance(value, str):
        return value
    raise ConfigError(f"{where}: got {value!r}, expected {_kind(hint)}")


def _kind(hint: type) -> str:
    return {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}[hint]


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"override {override!r}: expected key=value, such as training.learning_rate=5e-4")
    *parents, last = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"override {override!r}: {parent!r} holds a value, not keys")
    try:
        data[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML: {error}") from error


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{name}: got {value!r}, expected {expected}")


def _positive(config: Any, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) > 0, name, getattr(config, name), "greater than 0")
