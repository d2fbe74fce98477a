"""Whose voice is it: cosines between the speaker embeddings of an utterance and of the speakers that it might be.

The embeddings are Resemblyzer's, a network trained to tell speakers apart by the generalized end-to-end loss (Wan et
al. 2018, *Generalized end-to-end loss for speaker verification*); its weights are part of the package. It hears 16 kHz,
to which waveforms are converted. What stems from 8 kHz lacks the upper band: enrol speech of the rate that is scored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.audio.resample import resample
from vqaudio.errors import VQAudioError, did_you_mean
from vqaudio.evaluation.audio_statistics import level_dbfs
from vqaudio.evaluation.cepstral import SILENT_DBFS
from vqaudio.evaluation.optional import NotMeasured, load_optional, without_output

RATE = 16000
LEAST_SECONDS = 0.1
"""Speech, pauses apart, from which an embedding is taken."""

Figures = dict[str, np.ndarray]
"""Name of a figure to its value for each utterance, float64 (U,); NaN for those without speech."""


class SpeakerSimilarity:
    """Speakers, enrolled by natural speech of each, to which utterances are compared.

    Enrol from the training set: were the recordings that are reconstructed among those enrolled, their words would be
    recognised and not only their voice. With 20 prompts of each of four voices, 99% of held-out prompts are nearest to
    their own.

    Attributes:
        speakers: the S names, in the order of the columns of `cosines`.
        refused: enrolled speaker to the number of the utterances in which no speech was found.
    """

    def __init__(self, enrolled: Mapping[str, Sequence[ArrayLike]], sample_rate: int) -> None:
        """Take the embeddings of `enrolled`: speaker to waveforms (T,) at `sample_rate` Hz.

        Raises:
            VQAudioError: fewer than 2 speakers, or no mono waveforms.
            NotMeasured: resemblyzer cannot be imported, or a speaker without speech.
        """
        if len(enrolled) < 2:
            raise VQAudioError(f"{len(enrolled)} speakers enrolled, expected 2 or more: whose voice else could it be?")
        self.speakers = tuple(enrolled)
        self.refused: dict[str, int] = {}
        self._centroids = np.stack([self._centroid(name, enrolled[name], sample_rate) for name in self.speakers])

    def cosines(self, waveforms: Sequence[ArrayLike], sample_rate: int) -> np.ndarray:
        """Cosine of each utterance's embedding with each speaker's, float64 (U, S), in [0, 1]; NaN where none speaks.

        A speaker's embedding is the mean of those of its utterances, scaled to length 1 (Wan et al. 2018, eq. 1).
        """
        return embeddings(waveforms, sample_rate) @ self._centroids.T

    def own_and_others(self, waveforms: Sequence[ArrayLike], sample_rate: int, own: Sequence[str]) -> Figures:
        """Compare utterances, whose speakers are `own`, with their own speaker and with the others.

        Returns `own` and `others`, the mean over the other speakers. Reconstructions keep the voice where `own` is as
        near to that of natural held-out speech, and as far above `others`, as can be.

        Raises VQAudioError for a speaker who is not enrolled, or lists that differ in length.
        """
        columns = self._columns(own, len(waveforms))
        cosines = self.cosines(waveforms, sample_rate)  # (U, S)
        to_own = _picked(cosines, columns)
        return {"own": to_own, "others": (cosines.sum(axis=1) - to_own) / (len(self.speakers) - 1)}

    def conversions(
        self, waveforms: Sequence[ArrayLike], sample_rate: int, sources: Sequence[str], targets: Sequence[str]
    ) -> Figures:
        """Compare utterances of `sources`, converted to the voices of `targets`, with those and with the others.

        Returns, for each utterance, `target` and `source`, its cosines with the two; `others`, the mean over the
        remaining speakers, NaN where there are none; `over_source`: 1 where the target is nearer than the source, 0
        where it is not; and `is_target`: 1 where the target is the nearest of all the speakers enrolled. Their means
        are the shares of conversions that have left, and that have arrived; chance is 1 / 2 and 1 / S.

        Raises:
            VQAudioError: a speaker who is not enrolled, an utterance converted to its own speaker, or lists that differ
                in length.
        """
        source, target = self._columns(sources, len(waveforms)), self._columns(targets, len(waveforms))
        if np.any(source == target):
            same = int(np.argmax(source == target))
            raise VQAudioError(f"utterance {same} is converted from {sources[same]!r} to itself")
        cosines = self.cosines(waveforms, sample_rate)  # (U, S)
        to_target, to_source = _picked(cosines, target), _picked(cosines, source)
        rest = len(self.speakers) - 2
        none = np.full(len(waveforms), np.nan)
        return {
            "target": to_target,
            "source": to_source,
            "others": (cosines.sum(axis=1) - to_target - to_source) / rest if rest else none,
            "over_source": np.where(np.isnan(to_target), np.nan, to_target > to_source),
            "is_target": np.where(np.isnan(to_target), np.nan, cosines.argmax(axis=1) == target),
        }

    def _centroid(self, name: str, waveforms: Sequence[ArrayLike], sample_rate: int) -> np.ndarray:
        vectors = embeddings(waveforms, sample_rate)
        spoken = vectors[np.isfinite(vectors).all(axis=1)]
        if not len(spoken):
            raise NotMeasured(f"no speech in the {len(waveforms)} utterances enrolled for speaker {name!r}")
        self.refused[name] = len(vectors) - len(spoken)
        mean = spoken.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _columns(self, names: Sequence[str], utterances: int) -> np.ndarray:
        """Return the column of each speaker named, int64 (U,)."""
        if len(names) != utterances:
            raise VQAudioError(f"{len(names)} speakers for {utterances} utterances, expected one each")
        for name in names:
            if name not in self.speakers:
                raise VQAudioError(f"speaker {name!r} is not enrolled.{did_you_mean(name, self.speakers)}")
        return np.array([self.speakers.index(name) for name in names], dtype=np.int64)


def embeddings(waveforms: Sequence[ArrayLike], sample_rate: int) -> np.ndarray:
    """Speaker embeddings of waveforms (T,), float64 (U, 256), of length 1; NaN for those in which no speech is found.

    Long pauses are cut out first, by WebRTC's voice activity detector.

    Raises:
        VQAudioError: no mono waveforms.
        NotMeasured: resemblyzer cannot be imported.
    """
    embed = _embedder()
    vectors = np.full((len(waveforms), 256), np.nan)
    for vector, waveform in zip(vectors, waveforms, strict=True):
        if level_dbfs(waveform) >= SILENT_DBFS:
            vector[:] = embed(resample(np.asarray(waveform, dtype=np.float32), sample_rate, RATE))
    return vectors


@functools.lru_cache(maxsize=1)
def _embedder() -> Callable[[np.ndarray], np.ndarray | float]:
    """Load Resemblyzer's network; what is returned maps a waveform at 16 kHz to its embedding, NaN without speech."""
    resemblyzer = load_optional("resemblyzer", "Resemblyzer")
    with without_output():
        encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)

    def embed(samples: np.ndarray) -> np.ndarray | float:
        if len(samples) < LEAST_SECONDS * RATE:
            return np.nan
        spoken = resemblyzer.preprocess_wav(np.clip(samples, -1, 1))
        return encoder.embed_utterance(spoken) if len(spoken) >= LEAST_SECONDS * RATE else np.nan

    return embed


def _picked(cosines: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return of each row (U, S) the value in its column: (U,)."""
    return np.take_along_axis(cosines, columns[:, None], axis=1)[:, 0]
