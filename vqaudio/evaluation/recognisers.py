"""Speech recognisers that read reconstructions: what one must do, those that are built in, and how one is named.

    faster-whisper:FOLDER     a Whisper model in CTranslate2's format, on disk
    pocketsphinx              CMU PocketSphinx with the English model of its package
    python:MODULE:FACTORY     one's own: FACTORY() of a module on Python's path returns a `Recogniser`

No recogniser here uses the network. Word error rates of two recognisers do not compare: name the one that was used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vqaudio.audio import resample
from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.optional import load_optional
from vqaudio.evaluation.word_errors import primary_language

logger = logging.getLogger(__name__)

RATE = 16000
"""Rate, in Hz, at which the built-in recognisers hear."""
SILENT_PEAK = 1e-4
"""Peak, -80 dBFS, up to which a waveform is silence: recognisers hear words even in zeros."""
COMPRESSIBLE = 2.4
"""A text that gzip packs by more is a loop: Whisper's own rule (Radford et al. 2022, section 4.5)."""
AGAINST_LOOPS = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3}


@dataclass(frozen=True)
class Reading:
    """What a recogniser read: the text, '' for nothing, and how sure it is, in [0, 1]; None where it does not say."""

    text: str
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise VQAudioError(f"a reading of {self.text!r}, expected a text")
        if self.confidence is not None and not (isinstance(self.confidence, Real) and 0 <= self.confidence <= 1):
            raise VQAudioError(f"a reading with a confidence of {self.confidence!r}, expected 0 to 1, or None")


@runtime_checkable
class Recogniser(Protocol):
    """Reads speech. The same waveform must give the same reading, whatever was read before it.

    Attributes:
        name: says which recogniser and model it is: readings are kept under it, so whatever changes them changes it.
        languages: tags, such as `en`, of those that it reads; None for any.
    """

    name: str
    languages: Sequence[str] | None

    def transcribe(self, waveform: np.ndarray, sample_rate: int, language: str | None) -> Reading:
        """Read a waveform, float32 (T,) at `sample_rate` Hz, in a language of its own, or in one that is not told."""


def load_recogniser(spec: str) -> Recogniser:
    """Return the recogniser that is named as the head of this file says.

    Raises:
        NotMeasured: the package that it needs is not installed.
        VQAudioError: a name, folder, module or factory that is not there or not what it should be.
    """
    name, _, argument = spec.partition(":")
    if name not in RECOGNISERS:
        raise VQAudioError(f"recogniser {spec!r}: expected one of {_FORMS}.{did_you_mean(name, RECOGNISERS)}")
    return RECOGNISERS[name](argument)


def reads(recogniser: Recogniser, language: str | None) -> bool:
    """Whether a recogniser reads a language; one that is not told is tried."""
    if language is None or recogniser.languages is None:
        return True
    return primary_language(language) in map(primary_language, recogniser.languages)


class FasterWhisper:
    """Whisper by CTranslate2, in int8 on the CPU: beams of 5 at temperature 0, each utterance by itself.

    Temperature 0 alone, for the same reading each time: Whisper would otherwise sample again what it doubts. Where its
    text repeats itself (`COMPRESSIBLE`), it is read once more with repetitions suppressed: a model loops on bad audio,
    and one loop would outweigh a whole test set. A window whose probability of no speech is above 0.6 gives no text.
    The confidence is the geometric mean of the tokens' probabilities: exp of the segments' mean log-probabilities,
    averaged by their numbers of tokens.
    """

    def __init__(self, folder: str | Path) -> None:
        """Load the model in a folder. Raises VQAudioError where it is none, NotMeasured without faster-whisper."""
        folder = _whisper_folder(folder)
        package = load_optional("faster_whisper", "faster-whisper")
        try:
            self._model = package.WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise VQAudioError(f"{folder}: no Whisper model that CTranslate2 can load: {error}") from error
        self.languages = tuple(self._model.supported_languages)  # English-only models: ("en",)
        self.name = f"faster-whisper {package.__version__}: {folder.name} {_fingerprint(folder)}"

    def transcribe(self, waveform: np.ndarray, sample_rate: int, language: str | None) -> Reading:
        """Read a waveform; in a language that is not told, in the one that the model takes it for."""
        if _is_silent(waveform):
            return Reading("")
        sound = _at_recognisers_rate(waveform, sample_rate)
        language = language and primary_language(language)
        segments = self._segments(sound, language)
        if any(segment.compression_ratio > COMPRESSIBLE for segment in segments):
            segments = self._segments(sound, language, **AGAINST_LOOPS)
        return Reading(" ".join(segment.text.strip() for segment in segments), _token_confidence(segments))

    def _segments(self, sound: np.ndarray, language: str | None, **decoding: Any) -> list[Any]:
        segments, _ = self._model.transcribe(
            sound, language=language, beam_size=5, temperature=0.0, condition_on_previous_text=False,
            log_prob_threshold=None, **decoding,
        )  # fmt: skip
        return list(segments)


class PocketSphinx:
    """CMU PocketSphinx 5 with its bundled English model: small, quick to install, many errors; no model to fetch.

    Its features adapt to what was heard before; they are reset, so that a reading depends on its utterance alone. The
    confidence is the geometric mean of its words' posterior probabilities.
    """

    languages = ("en",)

    def __init__(self, argument: str = "") -> None:
        """Load the model. Raises NotMeasured without pocketsphinx, VQAudioError for an argument."""
        if argument:
            raise VQAudioError(f"recogniser 'pocketsphinx:{argument}': expected 'pocketsphinx' alone")
        package = load_optional("pocketsphinx")
        from importlib.metadata import version

        self._decoder = package.Decoder(samprate=RATE, cmn="batch", loglevel="FATAL")
        self.name = f"pocketsphinx {version('pocketsphinx')}: en-us"

    def transcribe(self, waveform: np.ndarray, sample_rate: int, language: str | None) -> Reading:
        """Read a waveform as English."""
        if _is_silent(waveform):
            return Reading("")
        sound = np.clip(_at_recognisers_rate(waveform, sample_rate), -1, 1)
        decoder = self._decoder
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw((sound * 32767).astype("<i2").tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return Reading("")
        words = [segment.prob for segment in decoder.seg() if not segment.word.startswith(_NOT_WORDS)]
        return Reading(hypothesis.hypstr, _geometric_mean(words))


def from_factory(target: str) -> Recogniser:
    """Return what `MODULE:FACTORY` makes, called without arguments. What goes wrong within it is raised as it is.

    Raises:
        VQAudioError: no such module or factory, or it makes something else than a `Recogniser`.
    """
    name, _, attribute = target.partition(":")
    if not name or not attribute:
        raise VQAudioError(f"recogniser 'python:{target}': expected python:MODULE:FACTORY")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise VQAudioError(
            f"recogniser 'python:{target}': no module {error.name!r}, expected one that is installed or on PYTHONPATH"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        near = did_you_mean(attribute, (key for key in vars(module) if not key.startswith("_")))
        raise VQAudioError(f"recogniser 'python:{target}': {name} has no function {attribute!r}.{near}")
    made = factory()
    if not isinstance(made, Recogniser) or not isinstance(made.name, str):
        raise VQAudioError(
            f"recogniser 'python:{target}': got {type(made).__name__}, expected an object with name, languages and "
            "transcribe(waveform, sample_rate, language)"
        )
    return made


RECOGNISERS: dict[str, Callable[[str], Recogniser]] = {
    "faster-whisper": FasterWhisper,
    "pocketsphinx": PocketSphinx,
    "python": from_factory,
}
_NOT_WORDS = ("<", "[")
"""How PocketSphinx's names of pauses and of noises begin."""
_FORMS = "faster-whisper:FOLDER, pocketsphinx, python:MODULE:FACTORY"


def _whisper_folder(folder: str | Path) -> Path:
    if not str(folder):
        raise VQAudioError("recogniser 'faster-whisper': expected faster-whisper:FOLDER, a model on disk")
    path = Path(folder)
    if not path.is_dir():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise VQAudioError(
            f"recogniser 'faster-whisper:{folder}': no such folder, expected a Whisper model in CTranslate2's format."
            f"{did_you_mean(path.name, siblings)}"
        )
    # Without its tokenizer, faster-whisper would fetch one.
    missing = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (path / name).is_file()]
    if missing:
        raise VQAudioError(
            f"recogniser 'faster-whisper:{folder}': lacks {', '.join(missing)}, expected a Whisper model in "
            "CTranslate2's format (ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json)"
        )
    return path.resolve()  # so that a link, or '.', has the model's own name


def _fingerprint(folder: Path) -> str:
    """Return 8 digits that tell models apart: of the size and the last MiB of the weights, which may be gigabytes."""
    weights = folder / "model.bin"
    size = weights.stat().st_size
    with weights.open("rb") as file:
        file.seek(max(0, size - 2**20))
        return hashlib.sha256(str(size).encode() + file.read()).hexdigest()[:8]


def _is_silent(waveform: np.ndarray) -> bool:
    return float(np.abs(waveform).max(initial=0.0)) <= SILENT_PEAK


def _at_recognisers_rate(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    if sample_rate != RATE:
        _say_once(f"recognisers hear {RATE} Hz: audio of {sample_rate} Hz is converted for them")
    return resample(waveform, sample_rate, RATE)


@functools.lru_cache
def _say_once(message: str) -> None:
    logger.info(message)


def _token_confidence(segments: Sequence[Any]) -> float | None:
    tokens = [len(segment.tokens) for segment in segments]
    if not sum(tokens):
        return None
    return min(1.0, math.exp(np.average([segment.avg_logprob for segment in segments], weights=tokens)))


def _geometric_mean(probabilities: Sequence[float]) -> float | None:
    if not probabilities:
        return None
    return min(1.0, math.exp(np.mean(np.log(np.maximum(probabilities, 1e-10)))))
