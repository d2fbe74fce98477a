"""Spectrograms as images on one scale: the same colour means the same level in every image of a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqaudio.evaluation.listening.png import png_uri

WINDOW_SECONDS = 0.032
"""Hann window; its effective bandwidth of about 45 Hz shows harmonics, and formants by their envelope."""
RANGE_DB = 70.0
HIGHEST_RATE = 16000
"""Audio of a higher rate is brought down to it: 8 kHz hold nearly all that tells one phone from another."""
COLUMNS_PER_SECOND, _MAX_COLUMNS = 200, 1600
SHADES = 56
"""Steps of RANGE_DB, of 1.25 dB each: finer ones are not seen, and make files larger."""
_LOUDEST = 99.9  # percentile of levels that takes the brightest colour: one click must not darken the page


@dataclass(frozen=True)
class Scale:
    """Levels, in dB relative to a sine of full scale, that the colours stand for."""

    low: float
    high: float

    def shades(self, levels: np.ndarray) -> np.ndarray:
        """Map levels in dB to uint8 indices of the palette."""
        share = (levels - self.low) / (self.high - self.low)
        return np.clip(np.floor(share * SHADES), 0, SHADES - 1).astype(np.uint8)


def levels_db(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return levels (bins, columns) in dB: a sine of full scale has 0; row 0 is 0 Hz, the last nears half the rate.

    Column c is centred on the middle of the c-th part of the waveform, so that an image stretched over its duration
    is right in time.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    size = 2 ** round(np.log2(WINDOW_SECONDS * sample_rate))
    columns = int(np.clip(round(len(waveform) / sample_rate * COLUMNS_PER_SECOND), 1, _MAX_COLUMNS))
    centres = ((np.arange(columns) + 0.5) * len(waveform) / columns).astype(int)
    padded = np.pad(waveform, size // 2)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[centres] * window
    magnitude = np.abs(np.fft.rfft(frames, axis=1))[:, : size // 2].T / (window.sum() / 2)
    return 20.0 * np.log10(magnitude + 1e-7)


def at_most_16k(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """Return a waveform (T,) and its rate, brought down to 16 kHz where it was higher."""
    if sample_rate <= HIGHEST_RATE:
        return waveform, sample_rate
    from vqaudio.audio.resample import resample

    return resample(waveform, sample_rate, HIGHEST_RATE), HIGHEST_RATE


def common_scale(levels: list[np.ndarray]) -> Scale:
    """Return the scale of a page: from the loudest levels of these spectrograms down by 70 dB."""
    loudest = max((float(np.percentile(level, _LOUDEST)) for level in levels), default=-20.0)
    high = 5.0 * np.ceil(max(loudest, -90.0) / 5.0)
    return Scale(high - RANGE_DB, high)


def image_uri(levels: np.ndarray, scale: Scale) -> str:
    """Return the PNG of a spectrogram, one pixel a bin and column, frequency upwards."""
    return png_uri(scale.shades(levels)[::-1], palette())


def palette(name: str = "magma", shades: int = SHADES) -> np.ndarray:
    """Return a perceptually uniform colour map of matplotlib's, uint8 (shades, 3)."""
    import matplotlib

    return matplotlib.colormaps[name](np.linspace(0.0, 1.0, shades), bytes=True)[:, :3]


def scale_legend(scale: Scale) -> str:
    """Return the colour bar with its ends and middle in dB."""
    bar = png_uri(np.arange(SHADES, dtype=np.uint8)[None], palette())
    marks = (scale.low, (scale.low + scale.high) / 2, scale.high)
    ticks = "".join(f"<span>{mark:.0f}</span>".replace("-", "−") for mark in marks)
    return (
        f'<div class="scale"><img src="{bar}" alt="Colour scale: dark is quiet, bright is loud" class="scale-bar">'
        f'<div class="scale-ticks">{ticks}</div>'
        "<p>dB relative to a sine of full scale, the same in all spectrograms here</p></div>"
    )
