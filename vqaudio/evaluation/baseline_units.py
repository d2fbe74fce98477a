"""Units without a network: k-means over spectral features, the yardstick for learned units.

waveform ──▶ log-mel bands ──▶ (cepstra and their derivatives) ──▶ minus their mean ──▶ nearest of K centroids

They come at the same rate, with as many codes, fitted on the same audio as the units that they are held against.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from vqaudio.audio.waveform import as_waveform
from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.optional import NotMeasured, load_optional
from vqaudio.evaluation.unit_set import UnitSet

logger = logging.getLogger(__name__)

Utterances = Iterable[tuple[str, np.ndarray]]
"""Utterance id and waveform, float32 (T,)."""
Item = TypeVar("Item")

WINDOW_SECONDS = 0.025
MEL_BANDS = 40
CEPSTRA = 13
FIT_SECONDS = 1200.0
"""Audio on which centroids are fitted: of 512, five times as much lowers the error of held-out frames by 2%."""
SEEDING_FRAMES = 10
"""Frames for each code, out of which the first centroids are chosen."""
MOST_CODES_SPREAD = 2048
"""Codes beyond which first centroids are any frames: k-means++ takes 20 s for as many, and that grows with K²."""


def log_mel_features(waveform: np.ndarray, sample_rate: int, hop_length: int) -> np.ndarray:
    """Return log-mel bands without their mean over the utterance, float32 (N, 40), N = ceil(T / hop_length).

    Frame n lies where unit n does: 25 ms under a Hann window, centred on (n + 1/2) · hop_length samples. The bands
    are those of `LogMel`: natural logarithm of magnitudes on Slaney's mel scale. The mean is what recording and voice
    leave on every frame: without it, more of the codes tell speakers apart and fewer tell phones.

    Raises:
        VQAudioError: a waveform that is empty, not mono, or not float in [-1, 1].
        ConfigError: a sample rate too low for 40 bands.
    """
    return _without_mean(_log_mel(waveform, sample_rate, hop_length))


def mfcc_features(waveform: np.ndarray, sample_rate: int, hop_length: int) -> np.ndarray:
    """Return cepstra with first and second derivatives, without their means, float32 (N, 39), N = ceil(T / hop_length).

    13 cepstra, the orthonormal discrete cosine transform (type II) of 40 log-mel bands, the zeroth among them; then
    their slopes over 5 frames and the slopes of those. So were the features of HuBERT's first units (Hsu et al. 2021,
    *HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units*, section IV), but
    for the mean, which it did not take off. Frames and errors are those of `log_mel_features`.
    """
    import torch
    from scipy.fft import dct

    from vqaudio.audio.torchaudio_compat import import_torchaudio

    compute_deltas = import_torchaudio().functional.compute_deltas  # edges are held; time comes last
    bands = _log_mel(waveform, sample_rate, hop_length)
    cepstra = torch.from_numpy(dct(bands, type=2, norm="ortho", axis=1)[:, :CEPSTRA].T.copy())  # (13, N)
    slopes = compute_deltas(cepstra)
    return _without_mean(torch.cat([cepstra, slopes, compute_deltas(slopes)]).T.numpy())


KINDS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "mfcc_kmeans": mfcc_features,
    "logmel_kmeans": log_mel_features,
}
"""Baselines by name, and the features that each of them clusters."""


def fit_kmeans(features: np.ndarray, codes: int, seed: int = 0) -> np.ndarray:
    """Return `codes` centroids of `features` (F, D), float32 (codes, D), by k-means in batches (Sculley 2010).

    The best of 3 beginnings by k-means++ (beyond 2,048 codes, from any frames), at most 20 passes; the same seed gives
    the same centroids.

    Raises:
        NotMeasured: fewer frames than codes, or scikit-learn is not installed.
    """
    if len(features) < codes:
        raise NotMeasured(f"{len(features)} frames to fit {codes} codes on: expected one each, and better a hundred")
    cluster = load_optional("sklearn.cluster", "scikit-learn")
    spread = codes <= MOST_CODES_SPREAD
    fitted = cluster.MiniBatchKMeans(
        codes, init="k-means++" if spread else "random", n_init=3, init_size=SEEDING_FRAMES * codes,
        batch_size=10_000, max_iter=20, random_state=seed,
    ).fit(np.asarray(features, dtype=np.float32))  # fmt: skip
    return fitted.cluster_centers_.astype(np.float32)


def baseline_units(
    kind: str,
    train: Utterances,
    heldout: Utterances,
    sample_rate: int,
    hop_length: int,
    codes: int,
    seed: int = 0,
) -> UnitSet:
    """Fit centroids on `train` and return the units of `heldout`, with the centroids as codebook.

    Args:
        kind: one of KINDS.
        train: read until 20 minutes (FIT_SECONDS) are reached; `shuffled` makes them a random choice.
        heldout: read one at a time.
        sample_rate: of all waveforms, in Hz.
        hop_length: samples that a unit stands for.
        codes: K.
        seed: of the centroids.

    Raises:
        NotMeasured: fewer frames to fit on than codes, or scikit-learn is not installed.
        VQAudioError: an unknown kind, a hop that is no positive number of samples, or a waveform that is empty, not
            mono, or not float in [-1, 1].
    """
    import torch

    from vqaudio.generation.torch_engine import one_thread
    from vqaudio.models.nearest import nearest_codes

    if kind not in KINDS:
        raise VQAudioError(f"baseline {kind!r}, expected one of {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}")
    if not (hop_length >= 1 and codes >= 1):
        raise VQAudioError(f"a hop of {hop_length} samples and {codes} codes, expected 1 or more of each")

    def features(waveform: np.ndarray) -> np.ndarray:
        with one_thread():  # an utterance takes a few milliseconds, and eight times as long on two busy cores
            return KINDS[kind](waveform, sample_rate, hop_length)

    frames = [features(waveform) for waveform in _up_to(FIT_SECONDS * sample_rate, train)]
    centroids = fit_kmeans(np.concatenate(frames) if frames else np.empty((0, 1)), codes, seed)
    logger.info("%s: %d codes fitted on %d frames", kind, codes, sum(map(len, frames)))
    codebook = torch.from_numpy(centroids)
    sequences = {id: nearest_codes(torch.from_numpy(features(w)), codebook).numpy() for id, w in heldout}
    return UnitSet(sequences, codes, sample_rate / hop_length, centroids)


def shuffled(items: Sequence[Item], seed: int = 0) -> list[Item]:
    """Return `items` in random order, so that the first minutes of them are a random choice."""
    return [items[i] for i in np.random.default_rng(seed).permutation(len(items))]


def _up_to(samples: float, utterances: Utterances) -> Iterable[np.ndarray]:
    """Yield waveforms until they make up `samples`, reading no more than that takes; the last is cut."""
    for _, waveform in utterances:
        yield waveform[: max(1, int(samples))]
        samples -= len(waveform)
        if samples <= 0:
            return


def _log_mel(waveform: np.ndarray, sample_rate: int, hop_length: int) -> np.ndarray:
    """Return log-mel bands (N, 40), frame n centred on sample n · hop_length + hop_length // 2."""
    import torch

    from vqaudio.audio.spectrogram import LogMel

    samples = as_waveform(waveform, "waveform")
    if not len(samples):
        raise VQAudioError("waveform: no samples, expected 1 or more")
    # LogMel centres frame n on n · hop_length: half a hop of zeros less than a hop before, and its frame 0 left out.
    padded = np.pad(samples, (hop_length - hop_length // 2, hop_length))
    log_mel = LogMel(sample_rate, 2 * round(WINDOW_SECONDS * sample_rate / 2), hop_length, MEL_BANDS)
    frames = -(-len(samples) // hop_length)
    with torch.inference_mode():
        return log_mel(torch.from_numpy(padded))[1 : frames + 1].numpy()


def _without_mean(features: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(features - features.mean(axis=0), dtype=np.float32)
