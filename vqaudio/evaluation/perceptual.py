"""Models of listeners: PESQ and STOI, which compare a reconstruction with its recording, and predicted opinion scores.

Each scores a list of utterances, refuses those that its model cannot hear, with the reason, and gives the mean of the
others with a bootstrap interval over utterances. A waveform is float, mono, shape (T,), in [-1, 1].
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.audio.resample import resample
from vqaudio.audio.torchaudio_compat import import_torchaudio
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.audio_statistics import level_dbfs
from vqaudio.evaluation.cepstral import SILENT_DBFS
from vqaudio.evaluation.optional import NotMeasured, load_optional, without_output
from vqaudio.evaluation.uncertainty import Interval, ratio_interval

NARROW, WIDE = 8000, 16000
"""Rates that PESQ knows, in Hz; opinion scores are predicted at the second."""
PESQ_SECONDS = 20.0
"""Longest piece given to PESQ: its reference code holds 50 stretches of speech and overruns its memory beyond."""
STOI_SECONDS = 0.4
"""Least speech that STOI compares: 30 frames of 25.6 ms, every 12.8 ms."""
MOS_SAMPLES = 122880
"""Samples at 16 kHz that the opinion model hears at once (7.68 s)."""
MOS_BATCH = 8


@dataclass(frozen=True)
class Rating:
    """Scores of a list of utterances.

    Attributes:
        mean: over the utterances that could be scored.
        interval: of the mean, by the bootstrap over those utterances; None for a single one.
        scores: float64 (U,), one for each utterance; NaN for those refused.
        refused: number of the utterance, from 0, to the reason why it has no score.
    """

    mean: float
    interval: Interval | None
    scores: np.ndarray
    refused: Mapping[int, str]

    @property
    def scored(self) -> int:
        """Utterances with a score."""
        return len(self.scores) - len(self.refused)


def pesq_key(sample_rate: int) -> str:
    """Name of what `pesq_score` measures at this rate: "pesq_wideband" from 16 kHz up, else "pesq_narrowband"."""
    return "pesq_wideband" if sample_rate >= WIDE else "pesq_narrowband"


def pesq_score(natural: Sequence[ArrayLike], reconstructed: Sequence[ArrayLike], sample_rate: int) -> Rating:
    """PESQ of reconstructions, as the opinion score that it predicts (MOS-LQO); higher is better.

    At 16 kHz the wideband form, ITU-T P.862.2 (2007), from 1 to 4.64; at 8 kHz the narrowband form, P.862 (2001)
    mapped by P.862.1 (2003), from 1 to 4.55: two scales that cannot be compared, so that the key says which
    (`pesq_key`). Other rates are converted: to 16 kHz from above, to 8 kHz from between; lower ones are refused.
    Recordings longer than 20 s are scored in equal pieces, whose mean counts.

    PESQ was fitted to telephone codecs, which follow the waveform. Speech that a decoder draws anew from units gets
    little more than 1 even where it sounds well: for comparing systems of one kind, not to be read as an opinion.

    Raises:
        VQAudioError: numbers of waveforms, or lengths of a pair, that differ; no mono waveforms.
        NotMeasured: a rate below 8 kHz, pesq cannot be imported, or no utterance can be scored.
    """
    if sample_rate < NARROW:
        raise NotMeasured(f"PESQ hears {NARROW} Hz or more, the audio has {sample_rate} Hz")
    rate = WIDE if sample_rate >= WIDE else NARROW
    pesq = load_optional("pesq")

    def score(recording: np.ndarray, reconstruction: np.ndarray) -> float:
        _refuse_silence(reconstruction, "the reconstruction")
        pair = [resample(waveform, sample_rate, rate) for waveform in (recording, reconstruction)]
        return _pesq_in_pieces(pesq, rate, *pair)

    return _rate_pairs(score, natural, reconstructed)


def stoi_score(natural: Sequence[ArrayLike], reconstructed: Sequence[ArrayLike], sample_rate: int) -> Rating:
    """Short-time objective intelligibility of reconstructions (Taal et al. 2011, *An algorithm for intelligibility
    prediction of time-frequency weighted noisy speech*, eq. 6); in [-1, 1], 1 for the same speech.

    The mean correlation of third-octave envelopes, 150 Hz to 4.3 kHz, over 384 ms, frames quieter than the loudest by
    40 dB left out; computed at 10 kHz, to which pystoi converts. Predicts the share of words understood in noise. On
    telephone prompts, another utterance in place of the reconstruction has 0.15, white noise 0.35. Pairs with less than
    0.4 s of speech are refused.

    Raises:
        VQAudioError: numbers of waveforms, or lengths of a pair, that differ; no mono waveforms.
        NotMeasured: pystoi cannot be imported, or no utterance can be scored.
    """
    pystoi = load_optional("pystoi")

    def score(recording: np.ndarray, reconstruction: np.ndarray) -> float:
        too_short = NotMeasured(f"less than {STOI_SECONDS} s of speech")
        if len(recording) < STOI_SECONDS * sample_rate:
            raise too_short
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Not enough STFT frames")
            try:
                return float(pystoi.stoi(recording, reconstruction, sample_rate, extended=False))
            except RuntimeWarning:
                raise too_short from None

    return _rate_pairs(score, natural, reconstructed)


def mos_prediction(waveforms: Sequence[ArrayLike], sample_rate: int) -> Rating:
    """Mean opinion score of speech as DistillMOS predicts it, without a recording beside it; in [1, 5], 5 is excellent.

    Stahl and Gamper (2025), *Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
    Assessment*; the weights are part of the package. Waveforms are converted to 16 kHz; what stems from 8 kHz lacks its
    upper band, and scores lower for it: compare with the score of the natural recordings.

    Raises:
        VQAudioError: no mono waveforms.
        NotMeasured: distillmos cannot be imported, or no waveform can be scored.
    """
    predict = _opinion_model()
    refused: dict[int, str] = {}
    heard: list[tuple[int, np.ndarray]] = []  # number of the utterance, and a window of it
    for number, waveform in enumerate(waveforms):
        try:
            _refuse_silence(waveform, "the waveform")
        except NotMeasured as reason:
            refused[number] = str(reason)
        else:
            samples = resample(np.asarray(waveform, dtype=np.float32), sample_rate, WIDE)
            heard += [(number, window) for window in _windows(samples)]
    scores = _mean_by_utterance(len(waveforms), [number for number, _ in heard], predict([w for _, w in heard]))
    return _rating(scores, refused)


def _rate_pairs(
    score: Callable[[np.ndarray, np.ndarray], float], natural: Sequence[ArrayLike], reconstructed: Sequence[ArrayLike]
) -> Rating:
    """Score pairs of waveforms (T,); those for which `score` raises NotMeasured are refused."""
    if len(natural) != len(reconstructed):
        raise VQAudioError(f"{len(natural)} recordings and {len(reconstructed)} reconstructions, expected pairs")
    scores = np.full(len(natural), np.nan)
    refused: dict[int, str] = {}
    for number, pair in enumerate(zip(natural, reconstructed, strict=True)):
        try:
            scores[number] = score(*_checked_pair(*pair))
        except NotMeasured as reason:
            refused[number] = str(reason)
    return _rating(scores, refused)


def _checked_pair(natural: ArrayLike, reconstructed: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    _refuse_silence(natural, "the recording")
    level_dbfs(reconstructed)  # refuses what is no waveform
    a, b = np.asarray(natural, dtype=np.float64), np.asarray(reconstructed, dtype=np.float64)
    if a.shape != b.shape:
        raise VQAudioError(f"waveforms of {len(a)} and {len(b)} samples, expected the same length")
    return a, b


def _refuse_silence(waveform: ArrayLike, name: str) -> None:
    if level_dbfs(waveform) < SILENT_DBFS:
        raise NotMeasured(f"{name} is silent")


def _rating(scores: np.ndarray, refused: Mapping[int, str]) -> Rating:
    """Average the scores (U,), NaN for the refused ones."""
    if not len(scores):
        raise NotMeasured("no waveforms to score")
    found = scores[np.isfinite(scores)]
    if not len(found):
        reasons = "; ".join(sorted(set(refused.values())))
        raise NotMeasured(f"none of {len(scores)} utterances can be scored: {reasons}")
    mean, interval = ratio_interval(found, np.ones(len(found)))
    return Rating(mean, interval, scores, refused)


def _pesq_in_pieces(pesq: ModuleType, rate: int, natural: np.ndarray, reconstructed: np.ndarray) -> float:
    """Return the mean PESQ of equal pieces of at most PESQ_SECONDS, without those in which nobody speaks."""
    count = math.ceil(len(natural) / (PESQ_SECONDS * rate))
    mode = "wb" if rate == WIDE else "nb"
    scores, reason = [], "one of the two is silent throughout"
    for pair in zip(np.array_split(natural, count), np.array_split(reconstructed, count), strict=True):
        if not all(map(np.any, pair)):
            continue  # a piece of zeros, whose scale would not be a number
        try:
            scores.append(pesq.pesq(rate, *pair, mode))
        except pesq.PesqError as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
    if not scores:
        raise NotMeasured(f"PESQ: {reason}")
    return float(np.mean(scores))


def _windows(samples: np.ndarray) -> list[np.ndarray]:
    """Cut a waveform at 16 kHz as DistillMOS does: windows of 7.68 s, at most 1 s apart; a shorter one is padded."""
    beyond = len(samples) - MOS_SAMPLES
    if beyond <= 0:
        return [np.pad(samples, (0, -beyond))]
    count = math.ceil(beyond / WIDE) + 1
    return [samples[int(start) : int(start) + MOS_SAMPLES] for start in np.linspace(0, 1, count) * beyond]


def _mean_by_utterance(utterances: int, numbers: Sequence[int], scores: Sequence[float]) -> np.ndarray:
    """Return the mean score of each utterance's windows, float64 (U,); NaN for those without any."""
    windows = np.bincount(numbers, minlength=utterances) if numbers else np.zeros(utterances)
    totals = np.bincount(numbers, scores, minlength=utterances) if numbers else np.zeros(utterances)
    return np.divide(totals, windows, out=np.full(utterances, np.nan), where=windows > 0)


@functools.lru_cache(maxsize=1)
def _opinion_model() -> Callable[[Sequence[np.ndarray]], list[float]]:
    """Load DistillMOS; what is returned maps windows (MOS_SAMPLES,) to scores, some at a time."""
    import torch

    import_torchaudio()  # distillmos imports it, and would fail where its compiled half does
    distillmos = load_optional("distillmos")
    with without_output():
        model = distillmos.ConvTransformerSQAModel().eval()

    def predict(windows: Sequence[np.ndarray]) -> list[float]:
        scores: list[float] = []
        with torch.inference_mode():
            for first in range(0, len(windows), MOS_BATCH):
                batch = torch.from_numpy(np.stack(windows[first : first + MOS_BATCH]))  # (B, MOS_SAMPLES)
                scores += model(batch).flatten().tolist()
        return scores

    return predict
