"""Audio inside the page: 16-bit WAV in data URIs.

Every browser plays it and finds any place in it at once, which the player does all the time. It changes nothing: a
lossy codec would add its own sound to a comparison of two sounds, and MP3 shifts them by its delay. FLAC would save a
third, but Chromium cannot seek in FLAC of 8 kHz (its demuxer reports an error and playing stops).
"""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile

_HIGHEST_RATE = 48000  # what browsers are sure to play


def wav_uri(waveform: np.ndarray, sample_rate: int) -> str:
    """Return a waveform, float32 (T,) in [-1, 1], as the data URI of a 16-bit WAV file at its own rate.

    16 bits are what `decode` and `convert` write. Rates above 48 kHz are brought down to it.
    """
    if sample_rate > _HIGHEST_RATE:
        from vqaudio.audio.resample import resample

        waveform, sample_rate = resample(waveform, sample_rate, _HIGHEST_RATE), _HIGHEST_RATE
    steps = np.clip(np.rint(np.asarray(waveform) * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, steps, sample_rate, format="WAV", subtype="PCM_16")
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode("ascii")
