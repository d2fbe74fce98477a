"""A small model with a spread-out codebook, and a small data directory."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from vqaudio.config import DecoderConfig, EncoderConfig, QuantizerConfig, StackConfig, VQVAEConfig
from vqaudio.corpus import DataDir, Utterance
from vqaudio.models.vqvae import VQVAE

RATE = 8000
CONFIG = VQVAEConfig(
    sample_rate=RATE,
    encoder=EncoderConfig(strides=(4, 4), channels=8, residual_blocks=1),
    quantizer=QuantizerConfig(codebook_size=16, code_dim=4),
    decoder=DecoderConfig(
        stack=StackConfig(layers=2, stacks=1, residual_channels=4, gate_channels=8, skip_channels=4),
        condition_channels=4,
        speaker_channels=2,
    ),
)
LENGTHS = {
    "a-1": 5003,
    "a-2": 1,
    "b-1": 16 * 300,
    "b-2": 2500,
}  # samples: a remainder, a single one, long, short


@pytest.fixture(scope="session")
def model() -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(CONFIG, speakers=2).eval()
    left, right = model.context
    with torch.inference_mode():
        noise = torch.randn(1, left + 512 * model.hop_length + right) * 0.1
        vectors = model.encoder(model.emphasise(noise))[0]
    model.quantizer.initialise(vectors.clone(), torch.Generator().manual_seed(0))
    return model


@pytest.fixture
def waveforms() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    # Steps of 2^-15, so that 16-bit files hold them without loss.
    return {utt: (np.rint(rng.normal(size=n) * 3000) / 32768).astype(np.float32) for utt, n in LENGTHS.items()}


@pytest.fixture
def data(tmp_path, waveforms) -> DataDir:
    folder = tmp_path / "data"
    utterances = []
    for utt, waveform in waveforms.items():
        path = folder / f"{utt}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, waveform, RATE, subtype="PCM_16")
        utterances.append(Utterance(utt, speaker=utt[0], recording=str(path)))
    return DataDir(utterances).write(folder)
