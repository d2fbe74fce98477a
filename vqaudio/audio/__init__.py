"""Waveforms: reading and writing files, sample-rate conversion, mu-law, pre-emphasis and spectrograms.

A waveform is float32, mono, in [-1, 1], shape (T,) or (B, T), and always beside its sample rate in Hz.
Nothing here knows of corpora or models.
"""

from vqaudio.audio.emphasis import de_emphasis, pre_emphasis
from vqaudio.audio.io import AudioInfo, iter_blocks, probe, read_audio, write_wav
from vqaudio.audio.mulaw import mulaw_decode, mulaw_encode
from vqaudio.audio.resample import resample, resample_blocks

__all__ = [
    "AudioInfo",
    "de_emphasis",
    "iter_blocks",
    "mulaw_decode",
    "mulaw_encode",
    "pre_emphasis",
    "probe",
    "read_audio",
    "resample",
    "resample_blocks",
    "write_wav",
]
