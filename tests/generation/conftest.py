"""Small models with random weights, large enough for several layers, blocks and speakers."""

from __future__ import annotations

import pytest
import torch

from vqaudio.config import (
    DecoderConfig,
    EncoderConfig,
    PriorConfig,
    QuantizerConfig,
    StackConfig,
    VQVAEConfig,
)
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE
from vqaudio.models.wavenet import CausalStack

HOP = 4
CODES = 9
SPEAKERS = 3


def random_stack(config: StackConfig, tokens: int | None, outputs: int) -> CausalStack:
    """Return a stack whose outputs spread enough for a wrong term to show: standard deviation about 1."""
    torch.manual_seed(4)
    stack = CausalStack(config, tokens, outputs).eval()
    with torch.no_grad():
        stack.bias.normal_()
        stack.output.weight.mul_(20)
    return stack


@pytest.fixture(params=["mulaw", "mol"])
def model(request) -> VQVAE:
    """A VQ-VAE of each output distribution, 9 units, 3 speakers, 4 samples a unit."""
    return build_model(request.param)


def build_model(output: str = "mulaw", pre_emphasis: float = 0.9) -> VQVAE:
    torch.manual_seed(6)
    decoder = DecoderConfig(
        stack=StackConfig(layers=4, stacks=2, residual_channels=8, gate_channels=12, skip_channels=10),
        output=output,
        classes=32,
        mixtures=3,
        pre_emphasis=pre_emphasis,
        condition_channels=6,
        condition_steps=2,
        speaker_channels=4,
    )
    config = VQVAEConfig(8000, EncoderConfig((2, 2), channels=6), QuantizerConfig(CODES, 5), decoder)
    model = VQVAE(config, SPEAKERS).eval()
    with torch.no_grad():
        model.quantizer.codebook.normal_()
        model.decoder.divide.weight.mul_(3)
        model.decoder.project.weight.mul_(6)
        model.decoder.stack.output.weight.mul_(10)
    return model


@pytest.fixture
def prior() -> UnitPrior:
    return build_prior(speaker_conditional=True)


def build_prior(speaker_conditional: bool) -> UnitPrior:
    """A prior that ends an utterance at about one unit in 20."""
    torch.manual_seed(7)
    stack = StackConfig(layers=3, stacks=1, residual_channels=8, gate_channels=12, skip_channels=10)
    prior = UnitPrior(PriorConfig(CODES, stack, speaker_conditional, 4), SPEAKERS).eval()
    with torch.no_grad():
        prior.stack.output.weight.mul_(10)
        prior.stack.output.bias[prior.boundary] -= 1.0
    return prior
