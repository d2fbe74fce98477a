"""Speech-like sound from a source and a filter, with phones whose times are known to the sample.

    voice: pulses at a falling pitch ─┐
                                      ├─▶ × spectrum of the phone's formants ─▶ × loudness ─▶ waveform
    noise ────────────────────────────┘        (glides from phone to phone)

After Fant, *Acoustic Theory of Speech Production* (1960): vowels and nasals are a pulse train shaped by resonances,
fricatives and bursts are noise. Speakers differ in pitch, in the length of the vocal tract (all formants scale with
it) and in breathiness. It is meant for tests, where what was said, when and by whom must be beyond doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FRAME_SECONDS = 0.005  # between spectra
GLIDE_SECONDS = 0.015  # half of the time in which the spectrum passes from one phone to the next
FADE_SECONDS = 0.004  # half of the time in which loudness does


@dataclass(frozen=True)
class Phone:
    """How one phone sounds.

    Attributes:
        formants: centre frequencies of the resonances, in Hz, of a vocal tract of length 1.
        bandwidths: of these, in Hz.
        voice, noise: amplitudes of the two sources.
        seconds: shortest and longest duration.
        closure: share of the duration, at its beginning, that is silent (stops).
    """

    formants: tuple[float, ...]
    bandwidths: tuple[float, ...]
    voice: float
    noise: float
    seconds: tuple[float, float]
    closure: float = 0.0


def _vowel(*formants: float) -> Phone:
    return Phone(formants, (70, 90, 140), voice=1.0, noise=0.0, seconds=(0.09, 0.18))


PHONES = {
    "sil": Phone((500, 1500, 2500), (200, 200, 200), voice=0.0, noise=0.0, seconds=(0.08, 0.16)),
    "a": _vowel(750, 1250, 2500),
    "e": _vowel(480, 1850, 2550),
    "i": _vowel(290, 2250, 2950),
    "o": _vowel(480, 880, 2450),
    "u": _vowel(320, 780, 2250),
    "m": Phone((260, 1050, 2200), (60, 250, 300), voice=0.5, noise=0.0, seconds=(0.06, 0.10)),
    "n": Phone((280, 1650, 2600), (60, 250, 300), voice=0.5, noise=0.0, seconds=(0.06, 0.10)),
    "f": Phone((1500, 2600, 3500), (1500, 1500, 1500), voice=0.0, noise=0.06, seconds=(0.08, 0.13)),
    "s": Phone((3200, 3500, 3800), (400, 400, 500), voice=0.0, noise=0.12, seconds=(0.08, 0.14)),
    "sh": Phone((2100, 2500, 3300), (250, 300, 500), voice=0.0, noise=0.14, seconds=(0.08, 0.14)),
    "p": Phone((700, 1400, 2300), (500, 600, 800), voice=0.0, noise=0.12, seconds=(0.06, 0.10), closure=0.7),
    "t": Phone((2700, 3300, 3700), (500, 600, 600), voice=0.0, noise=0.14, seconds=(0.06, 0.10), closure=0.7),
    "k": Phone((1500, 1900, 2700), (250, 400, 600), voice=0.0, noise=0.14, seconds=(0.06, 0.10), closure=0.7),
}


@dataclass(frozen=True)
class Speaker:
    """Who speaks: mean pitch in Hz, vocal tract length (1: an adult man's), and the share of noise in the voice."""

    name: str
    pitch: float
    tract: float
    breath: float = 0.02


@dataclass(frozen=True)
class Segment:
    """One phone of an utterance, from sample `start` to before sample `end`."""

    phone: str
    start: int
    end: int


def plan(phones: Sequence[str], sample_rate: int, generator: np.random.Generator) -> list[Segment]:
    """Give each phone a random duration, in whole milliseconds, so that times are exact in text and at any rate."""
    segments, start = [], 0
    for phone in phones:
        shortest, longest = PHONES[phone].seconds
        length = round(1000 * generator.uniform(shortest, longest)) * sample_rate // 1000
        segments.append(Segment(phone, start, start + length))
        start += length
    return segments


def synthesise(
    segments: Sequence[Segment], speaker: Speaker, sample_rate: int, generator: np.random.Generator
) -> np.ndarray:
    """Return the waveform, (segments[-1].end,) float32 with a peak of about 0.6.

    `sample_rate` must be a multiple of 1000 Hz.
    """
    length = segments[-1].end
    voice = _loudness(segments, length, sample_rate, "voice")
    noise = _loudness(segments, length, sample_rate, "noise") + speaker.breath * voice
    voiced = voice * _pulses(length, speaker.pitch, sample_rate, generator)
    source = voiced + noise * generator.standard_normal(length)
    waveform = _filter(source, _spectra(segments, length, speaker, sample_rate), sample_rate)
    waveform += 1e-4 * generator.standard_normal(length)  # no recording is digitally silent
    return (0.6 * waveform / np.abs(waveform).max()).astype(np.float32)


def _pulses(length: int, pitch: float, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """Return a train of smooth glottal pulses whose pitch falls from 110% to 90% and wavers."""
    time = np.arange(length) / sample_rate
    waver = 0.03 * np.sin(2 * np.pi * (generator.uniform(1.5, 3.0) * time + generator.uniform()))
    hertz = pitch * (1.1 - 0.2 * np.arange(length) / length + waver)
    phase = np.cumsum(hertz / sample_rate) % 1.0
    opening, closing = 0.4, 0.16  # shares of the period (Rosenberg 1971, pulse C)
    pulse = np.where(phase < opening, 0.5 * (1 - np.cos(np.pi * phase / opening)), 0.0)
    falling = (phase >= opening) & (phase < opening + closing)
    pulse = np.where(falling, np.cos(0.5 * np.pi * (phase - opening) / closing), pulse)
    return 8.0 * np.diff(pulse, prepend=0.0)  # lips radiate the derivative


def _loudness(segments: Sequence[Segment], length: int, sample_rate: int, source: str) -> np.ndarray:
    """Return the amplitude of a source per sample, with soft edges. A stop is silent until its burst."""
    amplitude = np.zeros(length)
    for segment in segments:
        phone = PHONES[segment.phone]
        begin = segment.start + round(phone.closure * (segment.end - segment.start))
        amplitude[begin : segment.end] = getattr(phone, source)
    return _smooth(amplitude, round(2 * FADE_SECONDS * sample_rate))


def _spectra(segments: Sequence[Segment], length: int, speaker: Speaker, sample_rate: int) -> np.ndarray:
    """Return the filter's magnitude response every FRAME_SECONDS, (frames, bins)."""
    hop = round(FRAME_SECONDS * sample_rate)
    centres = np.arange(0, length + hop, hop)  # the last one covers what is left over
    index = np.searchsorted([s.end for s in segments], np.minimum(centres, length - 1), side="right")
    window = round(2 * GLIDE_SECONDS / FRAME_SECONDS)

    def track(name: str) -> np.ndarray:  # (frames, resonances)
        values = np.array([getattr(PHONES[s.phone], name) for s in segments], float)[index]
        return np.stack([_smooth(column, window) for column in values.T], axis=1)

    return _resonances(track("formants") / speaker.tract, track("bandwidths"), _bins(hop, sample_rate))


def _bins(hop: int, sample_rate: int) -> np.ndarray:
    return np.fft.rfftfreq(8 * hop, 1 / sample_rate)


def _resonances(formants: np.ndarray, bandwidths: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return |H(f)| of a parallel bank of second-order resonances with peaks of 1, (frames, bins)."""
    f, centre, width = frequencies[None, None], formants[..., None], bandwidths[..., None]
    peaks = width * f / np.sqrt((f**2 - centre**2) ** 2 + (width * f) ** 2 + 1.0)
    weights = np.array([1.0, 0.6, 0.35])[None, :, None]
    return (weights * peaks).sum(axis=1)


def _filter(source: np.ndarray, spectra: np.ndarray, sample_rate: int) -> np.ndarray:
    """Shape `source` by a spectrum that changes with time: overlapping frames, each multiplied by its spectrum."""
    hop = round(FRAME_SECONDS * sample_rate)
    window, size = np.hanning(2 * hop + 1)[:-1], 8 * hop
    padded = np.pad(source, (hop, 2 * hop))  # frame n of 2 hop is centred on sample n hop of the source
    output = np.zeros(len(padded) + size)  # its first 3 hop lie before the padded source
    for frame, spectrum in enumerate(spectra):
        start = frame * hop
        block = np.fft.irfft(np.fft.rfft(padded[start : start + 2 * hop] * window, size) * spectrum, size)
        output[start : start + size] += np.roll(block, 3 * hop)  # no phase: the response goes both ways in time
    return output[4 * hop : 4 * hop + len(source)]


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return the running mean over `width` (odd made), with the ends held."""
    half = max(1, width // 2)
    padded = np.concatenate([np.full(half, values[0]), values, np.full(half, values[-1])])
    return np.convolve(padded, np.ones(2 * half + 1) / (2 * half + 1), mode="valid")
