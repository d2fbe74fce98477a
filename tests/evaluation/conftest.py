"""Small models, one of each output distribution, and waveforms to score with them."""

from __future__ import annotations

import pytest
import torch

from vqaudio.config import DecoderConfig, EncoderConfig, PriorConfig, QuantizerConfig, StackConfig, VQVAEConfig
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE

RATE = 8000
LENGTHS = [1, 333, 1600, 3001]  # samples: a single one, a remainder, whole units, several encoder windows


def make_model(output: str) -> VQVAE:
    torch.manual_seed(0)
    stack = StackConfig(layers=6, stacks=2, residual_channels=8, gate_channels=16, skip_channels=8)
    config = VQVAEConfig(
        sample_rate=RATE,
        encoder=EncoderConfig(strides=(2, 4), channels=8, residual_blocks=1),
        quantizer=QuantizerConfig(codebook_size=16, code_dim=4),
        decoder=DecoderConfig(stack=stack, output=output, condition_channels=8, speaker_channels=4, time_jitter=0.5),
    )
    model = VQVAE(config, speakers=3).eval()
    left, right = model.context
    with torch.inference_mode():
        noise = torch.randn(1, left + 512 * model.hop_length + right) * 0.1
        vectors = model.encoder(model.emphasise(noise))[0]
    model.quantizer.initialise(vectors.clone(), torch.Generator().manual_seed(0))
    return model


@pytest.fixture(scope="session", params=["mulaw", "mol"])
def model(request) -> VQVAE:
    return make_model(request.param)


@pytest.fixture(scope="session")
def mulaw_model() -> VQVAE:
    return make_model("mulaw")


@pytest.fixture(scope="session")
def waveforms() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, generator=generator) * 0.1 for n in LENGTHS]


@pytest.fixture(scope="session", params=[True, False], ids=["speakers", "no speakers"])
def prior(request) -> UnitPrior:
    torch.manual_seed(0)
    stack = StackConfig(layers=4, stacks=2, residual_channels=8, gate_channels=16, skip_channels=8, dropout=0.5)
    config = PriorConfig(codebook_size=16, stack=stack, speaker_conditional=request.param, speaker_channels=4)
    prior = UnitPrior(config, speakers=3).eval()
    with torch.no_grad():  # as a trained one: each symbol of the past has its say, the farthest too
        for parameter in prior.stack.parameters():
            parameter *= 2
    return prior
