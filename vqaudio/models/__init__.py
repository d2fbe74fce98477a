"""The models: encoder, quantizer and decoder of the VQ-VAE, and the prior over its units."""

from vqaudio.models.folder import load_prior, load_vqvae, save_model, unit_hash
from vqaudio.models.prior import UnitPrior
from vqaudio.models.vqvae import VQVAE

__all__ = ["VQVAE", "UnitPrior", "load_prior", "load_vqvae", "save_model", "unit_hash"]
