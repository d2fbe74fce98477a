"""Small models that the tests of this folder share."""

import pytest
import torch

from vqaudio.config import DecoderConfig, EncoderConfig, QuantizerConfig, StackConfig, VQVAEConfig
from vqaudio.models.vqvae import VQVAE


def small_config(output: str = "mulaw", strides=(2, 4), pre_emphasis: float = 0.9, jitter: float = 0.0) -> VQVAEConfig:
    stack = StackConfig(layers=4, stacks=2, residual_channels=8, gate_channels=12, skip_channels=10)
    decoder = DecoderConfig(
        stack=stack, output=output, classes=32, mixtures=3, pre_emphasis=pre_emphasis,
        condition_channels=8, condition_kernel=3, condition_blocks=1, condition_steps=2, speaker_channels=4,
        time_jitter=jitter,
    )  # fmt: skip
    return VQVAEConfig(
        sample_rate=8000,
        encoder=EncoderConfig(strides=strides, channels=8, residual_blocks=2, level_units=(3, 1)),
        quantizer=QuantizerConfig(codebook_size=16, code_dim=6),
        decoder=decoder,
    )


@pytest.fixture
def small_model() -> VQVAE:
    """A VQ-VAE of 2 speakers whose codes all lie among its encoder's outputs."""
    torch.manual_seed(0)
    model = VQVAE(small_config(), speakers=2).eval()
    samples = sum(model.context) + 400 * model.hop_length
    z_e = model.encoder(model.emphasise(0.3 * torch.randn(1, samples)))
    model.quantizer.initialise(z_e.detach().reshape(-1, 6), torch.Generator().manual_seed(0))
    return model
