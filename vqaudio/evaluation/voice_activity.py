"""How much of an audio is speech, as a voice activity detector hears it: does a model speak at all?

The detector is Silero VAD (package silero-vad), whose weights lie in its package: probability of speech every 32 ms,
above 0.5 speech; stretches under 250 ms are dropped and pauses under 100 ms bridged, its defaults.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.audio import resample
from vqaudio.audio.waveform import as_waveform
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured, load_optional
from vqaudio.evaluation.uncertainty import Interval, ratio_interval

RATES = (8000, 16000)
"""Rates, in Hz, that the detector takes; other audio is converted: to 8,000 Hz below 16,000 Hz, else to 16,000 Hz."""


def speech_share(waveform: ArrayLike, sample_rate: int) -> float:
    """Return the share of a waveform, float (T,) at `sample_rate` Hz, that is speech, in [0, 1].

    Read sentences have 0.8 to 1, silence and steady noise 0. Babble without a word counts as speech, and a voice under
    250 ms does not: it says that something speaks, not that it says something.

    Raises:
        NotMeasured: silero-vad is not installed.
        VQAudioError: not mono, without samples, not finite, or not in [-1, 1].
    """
    samples = as_waveform(np.asarray(waveform), "speech_share")
    if not samples.size:
        raise VQAudioError("speech_share: a waveform without samples")
    return _speech_samples(samples, sample_rate) / len(samples)


def pooled_speech_share(
    waveforms: Sequence[ArrayLike], sample_rate: int, groups: Sequence[Hashable] | None = None
) -> tuple[float, Interval | None]:
    """Return the share of all waveforms joined that is speech, and its bootstrap interval.

    The interval is over waveforms, or over `groups` of them (speakers); None where there is one alone.

    Raises:
        NotMeasured: silero-vad is not installed, or there are no waveforms.
        VQAudioError: as `speech_share`.
    """
    if not len(waveforms):
        raise NotMeasured("no audio to look for speech in")
    lengths = [len(np.asarray(waveform)) for waveform in waveforms]
    spoken = [speech_share(waveform, sample_rate) * length for waveform, length in zip(waveforms, lengths)]
    return ratio_interval(spoken, lengths, groups)


def _speech_samples(samples: np.ndarray, sample_rate: int) -> float:
    """Return how many of the samples (T,), at their own rate, are speech."""
    import torch

    package, detector = _detector()
    rate = RATES[sample_rate >= RATES[1]]
    sound = np.clip(resample(samples, sample_rate, rate), -1, 1)
    with torch.inference_mode():
        found = package.get_speech_timestamps(torch.from_numpy(sound), detector, sampling_rate=rate)
    # The stretches are whole windows with a margin, and rounding in the conversion may add a sample.
    return min(sum(stretch["end"] - stretch["start"] for stretch in found) * sample_rate / rate, len(samples))


@functools.lru_cache(maxsize=1)
def _detector() -> tuple[ModuleType, Any]:
    """Return the package and its model, loaded once."""
    import torch

    from vqaudio.audio.torchaudio_compat import import_torchaudio

    import_torchaudio()  # the package imports it where it is installed, and would fail where its compiled half does
    threads = torch.get_num_threads()
    try:
        package = load_optional("silero_vad", "silero-vad")  # which sets the number of threads to 1 for all of torch
    finally:
        torch.set_num_threads(threads)
    return package, package.load_silero_vad()
