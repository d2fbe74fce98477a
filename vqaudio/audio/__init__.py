"""Waveforms: reading and writing files, sample-rate conversion, mu-law, pre-emphasis and spectrograms.

A waveform is float32, mono, in [-1, 1], shape (T,) or (B, T), and always beside its sample rate in Hz.
Nothing here knows of corpora or models. What works on tensors (`mulaw`, `emphasis`, `spectrogram`) is
imported from its own module, so that reading a file does not load torch.
"""

from vqaudio.audio.io import AudioInfo, iter_blocks, probe, read_audio, write_wav
from vqaudio.audio.resample import resample, resample_blocks

__all__ = [
    "AudioInfo",
    "iter_blocks",
    "probe",
    "read_audio",
    "resample",
    "resample_blocks",
    "write_wav",
]
