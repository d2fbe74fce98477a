"""Spectra predicted from units: losses that say early on what speech sounds like. In training only.

    encoder ─▶ z_q ─▶ network that conditions the decoder ─▶ log-mel frames      MelPredictor
                └───▶ each code alone, and the speaker ────▶ cepstra, mean off   CepstralPredictor

The WaveNet's likelihood alone rewards units and condition slowly, since most of a sample is known from the samples
before it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.audio.spectrogram import LogMel

BANDS, CEPSTRA = 40, 13
FLOOR = 1e-3
"""Of mel-weighted magnitudes."""


def log_mel(sample_rate: int, hop_length: int) -> LogMel:
    """Return the frames to be predicted: 40 bands, over 32 ms or a little more."""
    window = max(256, 2 ** math.ceil(math.log2(sample_rate * 0.03)))
    return LogMel(sample_rate, window, hop_length, BANDS, floor=FLOOR)


class MelPredictor(nn.Module):
    """Log-mel frames from what conditions the decoder. One layer, so that the stack finds the spectrum there."""

    def __init__(self, channels: int, sample_rate: int, hop_length: int) -> None:
        """`hop_length`: samples that a row of the condition is held for."""
        super().__init__()
        self.log_mel = log_mel(sample_rate, hop_length)
        self.predict = nn.Linear(channels, BANDS)

    def forward(self, features: Tensor, waveform: Tensor) -> Tensor:
        """Return the mean L1 distance between frames predicted from features (B, N, C) and those of (B, N·hop)."""
        return F.l1_loss(self.predict(features).float(), self.log_mel(waveform))


class CepstralPredictor(nn.Module):
    """Spectral envelopes from single codes: what units learn in place of whole spectra, to tell what is said.

    Cepstra, the first 13 of 40, are without the harmonics of the voice. Their mean around the crop is taken off, as it
    is from features of recognisers: it is what recording and voice leave on every frame. And the speaker's embedding
    helps with what is left of the voice. No code has its neighbours' help: it must stand for its own sound.
    """

    basis: Tensor

    def __init__(self, code_dim: int, speakers: int, sample_rate: int, hop_length: int, frames: int) -> None:
        """`hop_length` / `frames` samples lie between frames: `hop_length` are a unit's."""
        super().__init__()
        self.hop_length, self.frames = hop_length // frames, frames
        self.log_mel = log_mel(sample_rate, self.hop_length)
        self.speaker = nn.Embedding(speakers, 64)
        self.predict = nn.Sequential(
            nn.Linear(code_dim + 64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(),
            nn.Linear(256, frames * CEPSTRA),
        )  # fmt: skip
        self.register_buffer("basis", cosines(), persistent=False)

    def forward(self, z_q: Tensor, speakers: Tensor, waveform: Tensor, first: int) -> Tensor:
        """Return the mean L1 distance, in bands, of the envelopes predicted from z_q (B, N, D) to those spoken.

        `waveform` (B, T) is the crop with all its context, of which z_q are the units from sample `first` on. Frames
        of digital silence, which stand in for what lies beyond an utterance, do not count in the mean.
        """
        voice = self.speaker(speakers)[:, None].expand(-1, z_q.shape[1], -1)
        predicted = self.predict(torch.cat([z_q, voice], dim=-1)).float().view(len(z_q), -1, CEPSTRA)
        start, offset = divmod(first, self.hop_length)
        spoken = self.log_mel(waveform[:, offset:])
        heard = (spoken > math.log(FLOOR)).any(dim=-1, keepdim=True)
        mean = (spoken * heard).sum(dim=1, keepdim=True) / heard.sum(dim=1, keepdim=True).clamp_min(1)
        own = spoken[:, start : start + predicted.shape[1]] - mean
        with torch.autocast(own.device.type, enabled=False):
            return ((predicted - own @ self.basis.T) @ self.basis).abs().mean()


def cosines() -> Tensor:
    """Return the orthonormal discrete cosine transform (type II) of 40 bands: its first 13 rows, (13, 40)."""
    band = torch.arange(BANDS, dtype=torch.float64)
    order = band[:CEPSTRA, None]
    rows = torch.cos(math.pi / BANDS * (band + 0.5) * order) * math.sqrt(2 / BANDS)
    rows[0] /= math.sqrt(2)
    return rows.float()
