"""Models, audio and data directories as small as they can be, for tests that use the toolkit from the outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vqaudio.audio.io import write_wav
from vqaudio.config import DecoderConfig, EncoderConfig, PriorConfig, QuantizerConfig, StackConfig, VQVAEConfig
from vqaudio.corpus import DataDir, Utterance
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE

RATE = 8000
HOP = 16
CODES = 16
SPEAKERS = ["anna", "boris"]
STACK = StackConfig(layers=2, stacks=1, residual_channels=8, gate_channels=8, skip_channels=8)


def small_vqvae(speakers: int = 2, seed: int = 0) -> VQVAE:
    """Return a VQ-VAE whose codes lie among its encoder's outputs."""
    config = VQVAEConfig(
        sample_rate=RATE,
        encoder=EncoderConfig(strides=(4, 4), channels=8, residual_blocks=1, level_units=(2, 1)),
        quantizer=QuantizerConfig(codebook_size=CODES, code_dim=4),
        decoder=DecoderConfig(stack=STACK, classes=32, condition_channels=8, condition_steps=4, speaker_channels=4),
    )
    torch.manual_seed(seed)
    model = VQVAE(config, speakers).eval()
    with torch.inference_mode():
        noise = 0.2 * torch.randn(1, sum(model.context) + 200 * HOP)
        vectors = model.encoder(model.emphasise(noise))[0]
    model.quantizer.initialise(vectors.clone(), torch.Generator().manual_seed(seed))
    with torch.no_grad():  # as in a trained one, units and speaker have their say in every sample
        model.decoder.project.weight *= 8
        model.decoder.stack.output.weight *= 64
    return model


def small_prior(speakers: int = 2) -> UnitPrior:
    """Return an untrained prior over the units of `small_vqvae`."""
    torch.manual_seed(0)
    return UnitPrior(PriorConfig(codebook_size=CODES, stack=STACK, speaker_channels=4), speakers).eval()


def sound(samples: int, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return a gliding tone in noise, float32 (samples,), on the steps of 16-bit audio."""
    time = np.arange(samples) / rate
    noise = np.random.default_rng(seed).standard_normal(samples)
    wave = 0.3 * np.sin(2 * np.pi * (150 + 40 * seed + 400 * time) * time) + 0.03 * noise
    return (np.rint(wave * 32768) / 32768).astype(np.float32)


def write_data(folder: Path, lengths: dict[str, int], rate: int = RATE) -> DataDir:
    """Write a data directory of utterances named <speaker>-<name>, of so many samples each."""
    utterances = []
    for number, (id, samples) in enumerate(lengths.items()):
        path = folder / "wavs" / f"{id}.wav"
        write_wav(path, sound(samples, number, rate), rate)
        utterances.append(Utterance(id, id.split("-")[0], str(path), duration=samples / rate))
    return DataDir(utterances).write(folder)


def decoded_by_hand(model: VQVAE, units: Sequence[int], speaker: int, seed: int, key: str) -> torch.Tensor:
    """Return what the library's lowest interface makes of units: the yardstick for the higher ones."""
    from vqaudio.generation import generate_waveforms

    return generate_waveforms(model, [torch.tensor(units)], [speaker], keys=[key], seed=seed)[0]
