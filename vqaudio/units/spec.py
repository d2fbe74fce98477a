"""What a folder of units says about itself, in `units.json`: enough to know which model can decode them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqaudio.config import MOST_CODES, MOST_HERTZ, MOST_HOP
from vqaudio.errors import ModelError, UnitsError, did_you_mean
from vqaudio.untrusted import KIB, read_json, shown

if TYPE_CHECKING:
    from vqaudio.models.vqvae import VQVAE

FORMAT_VERSION = 1
SPEC_FILE = "units.json"
LARGEST_SPEC = 64 * KIB
_MOST = {"sample_rate": MOST_HERTZ, "hop_length": MOST_HOP, "codebook_size": MOST_CODES}
_HASH = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, kw_only=True)
class UnitSpec:
    """Where units come from and how to read them.

    Attributes:
        sample_rate: rate of the waveforms that were encoded, in Hz.
        hop_length: samples of waveform per unit (per frame, before runs are collapsed).
        codebook_size: K; a unit is an integer in [0, K).
        model_hash: hash of the model whose codebook the units index.
        collapsed: whether runs of one unit are written once, their lengths being in `durations.txt`.
        format_version: version of the file format.
    """

    sample_rate: int
    hop_length: int
    codebook_size: int
    model_hash: str
    collapsed: bool = False
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_field(field.name, getattr(self, field.name))
        if self.format_version != FORMAT_VERSION:
            raise UnitsError(
                f"format version {shown(self.format_version)}; this vqaudio reads version {FORMAT_VERSION}. "
                "Use the vqaudio that wrote them, or extract them again"
            )

    @property
    def unit_rate(self) -> float:
        """Units per second of audio, in Hz, before runs are collapsed."""
        return self.sample_rate / self.hop_length

    def describe(self) -> str:
        """Return one line for people: 'model 3f2a…, 512 codes, 64 samples a unit at 8000 Hz'."""
        return (
            f"model {self.model_hash[:12]}, {self.codebook_size} codes, "
            f"{self.hop_length} samples a unit at {self.sample_rate} Hz"
        )

    def to_json(self) -> str:
        """Return the text of `units.json`."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def of_model(cls, model: VQVAE, collapsed: bool = False) -> UnitSpec:
        """Return the spec of the units that `model` makes, and can decode."""
        from vqaudio.models.folder import unit_hash  # here, so that reading units does not load the models

        return cls(
            sample_rate=model.config.sample_rate,
            hop_length=model.hop_length,
            codebook_size=model.config.quantizer.codebook_size,
            model_hash=unit_hash(model),
            collapsed=collapsed,
        )

    @classmethod
    def of_prior(cls, about: Mapping[str, Any], folder: str | Path) -> UnitSpec:
        """Return the spec of the units that a prior learned, from what `load_prior` says `about` it.

        Raises:
            ModelError: its config.yaml, in `folder`, does not say.
        """
        try:
            return cls(**_checked_keys(_as_object(about.get("units") or {})))
        except UnitsError as error:
            raise ModelError(f"{Path(folder) / 'config.yaml'}: the units that the prior knows: {error}") from error

    @classmethod
    def load(cls, folder: str | Path) -> UnitSpec:
        """Read `units.json` from `folder`.

        Raises:
            UnitsError: it is missing, is not JSON, or lacks, adds or mistypes a key.
        """
        path = Path(folder) / SPEC_FILE
        try:
            return cls(**_checked_keys(_read_object(path)))
        except UnitsError as error:
            raise UnitsError(f"{path}: {error}") from error


def check_compatible(spec: UnitSpec, model_spec: UnitSpec, units: str | Path = "the units") -> None:
    """Raise a UnitsError that names both sides unless the model of `model_spec` made the units of `spec`.

    `units` is how the message calls the units: their path, where there is one. Whether runs are collapsed
    does not matter: that changes the file, not the units.
    """
    differing = differences(spec, model_spec)
    if differing:
        raise UnitsError(
            f"{units} belong to another model: they come from {spec.describe()}; the model given is "
            f"{model_spec.describe()} (differing: {', '.join(differing)}). "
            "Give the model that made the units, or extract them again with this one."
        )


def differences(spec: UnitSpec, other: UnitSpec) -> list[str]:
    """Return the names of the fields that say that two specs are of different models; [] for the same."""
    compared = ("sample_rate", "hop_length", "codebook_size", "model_hash")
    return [name for name in compared if getattr(spec, name) != getattr(other, name)]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return _as_object(read_json(path, LARGEST_SPEC))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnitsError(_why_missing(path.parent)) from error
    except OSError as error:
        raise UnitsError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # malformed JSON, not UTF-8, or no file
        raise UnitsError(f"is not a JSON file: {error}") from error


def _as_object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UnitsError(f"holds a {type(content).__name__}, expected an object of the keys {_names()}")
    return content


def _why_missing(folder: Path) -> str:
    if not folder.is_dir():
        return f"no such folder: {folder}"
    return (
        "missing: the folder holds no units, or they were not written to the end "
        "(extracting into it again goes on where it stopped)"
    )


def _checked_keys(content: Mapping[str, Any]) -> Mapping[str, Any]:
    known = [field.name for field in fields(UnitSpec)]
    for key in content:
        if key not in known:
            raise UnitsError(f"unknown key {shown(key)}.{did_you_mean(str(key), known)} Expected {_names()}")
    missing = [name for name in known if name not in content]
    if missing:
        raise UnitsError(f"lacks {', '.join(missing)}; expected {_names()}")
    return content


def _check_field(name: str, value: Any) -> None:
    if name == "model_hash":
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise UnitsError(f"model_hash is {shown(value)}, expected a hash as text")
    elif name == "collapsed":
        if not isinstance(value, bool):
            raise UnitsError(f"collapsed is {shown(value)}, expected true or false")
    elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnitsError(f"{name} is {shown(value)}, expected a positive integer")
    elif name in _MOST and value > _MOST[name]:
        raise UnitsError(f"{name} is {shown(value)}, expected at most {_MOST[name]}")


def _names() -> str:
    return ", ".join(field.name for field in fields(UnitSpec))
