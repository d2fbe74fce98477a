"""The VQ-VAE: waveform ─Encoder─▶ z_e ─Quantizer─▶ units ─WaveNet─▶ waveform."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.audio.emphasis import pre_emphasis
from vqaudio.config import DecoderConfig, VQVAEConfig
from vqaudio.models.distributions import build_distribution
from vqaudio.models.encoder import Encoder, FrameConv, ResidualBlock
from vqaudio.models.quantizer import VectorQuantizer
from vqaudio.models.wavenet import CausalStack

WINDOW_UNITS = 128
"""Units that `encode` computes at a time. All windows have the same shape, hence the same rounding."""
HARMONICS = 24
OUTPUT_STD = 0.05
"""Of the output layer's first weights: about that of torch's own for 128 to 256 channels."""


@dataclass
class VQVAEOutput:
    """What one step of training needs, of a batch of B crops of N units, T = N·hop_length samples."""

    nll: Tensor | None
    """Negative log-likelihood of each sample (B, T), in nats; None where samples were left out."""
    vq_loss: Tensor
    """The quantizer's terms of eq. 3; 0 while it is not yet in use."""
    z_e: Tensor
    z_q: Tensor
    """(B, N, D), as the decoder had it before jitter."""
    units: Tensor
    """LongTensor (B, N)."""
    features: Tensor
    """What conditions the decoder's layers (B, N·S, C), S rows a unit."""


@torch.no_grad()
def smooth_over_levels_(weight: Tensor, std: float) -> None:
    """Set `weight` (classes, channels), one row per companded level, to random smooth functions of the level.

    Each channel is a sum of HARMONICS cosines over the levels with random amplitudes that fall with frequency:
    neighbouring levels start out alike, as the sounds they stand for are, instead of having to become so. (At equal
    steps this saves 0.2 bits a sample in the first hundreds of steps; see docs/default-configuration.md.)
    """
    if weight.is_meta:  # a shape without values: torch would import its compiler to compute none
        return
    classes, channels = weight.shape
    levels = (torch.arange(classes)[:, None] + 0.5) / classes  # in (0, 1)
    frequencies = torch.arange(min(HARMONICS, classes))
    cosines = torch.cos(math.pi * levels * frequencies) / (1 + frequencies).sqrt()  # (classes, harmonics)
    functions = cosines @ torch.randn(len(frequencies), channels)
    weight.copy_(functions * (std / functions.std()))


class WaveNetDecoder(nn.Module):
    """The causal stack over samples, conditioned on z_q and a speaker through convolutions at the unit rate.

    What is computed once a unit costs a 64th, or less, of what is computed once a sample.

        units       │          n          │         n+1         │      z_q, speaker: convolutions, residual blocks
        features    │ n,0 │ n,1 │ n,2 │ … │ …                          S = condition_steps rows of each unit
        condition   │.....│.....│.....│...│ …                          of all layers, held for hop_length / S samples
    """

    def __init__(self, config: DecoderConfig, code_dim: int, speakers: int) -> None:
        super().__init__()
        self.config = config
        self.distribution = build_distribution(config.output, config.classes, config.mixtures)
        tokens = config.classes if config.output == "mulaw" else None
        self.stack = CausalStack(config.stack, tokens, self.distribution.num_parameters)
        self.speaker = nn.Embedding(speakers, config.speaker_channels)
        self.context = FrameConv(code_dim + config.speaker_channels, config.condition_channels, config.condition_kernel)
        channels, self.steps = config.condition_channels, config.condition_steps
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(config.condition_blocks))
        if self.steps > 1:
            self.divide = nn.Linear(channels, self.steps * channels)
        self.project = nn.Linear(channels, self.stack.condition_size)
        if tokens is not None:
            smooth_over_levels_(self.stack.input.weight, std=1.0)
            smooth_over_levels_(self.stack.output.weight, std=OUTPUT_STD)

    @property
    def reach(self) -> int:
        """Units before and after unit n that its row of the condition depends on."""
        return self.config.condition_kernel // 2 + len(self.blocks)

    def features(self, z_q: Tensor, speakers: Tensor) -> Tensor:
        """Map z_q (B, N, D) and speaker indices (B,) to what conditions the stack (B, N·S, C); beyond z_q are zeros."""
        padded = F.pad(z_q, (0, 0, self.reach, self.reach))
        speaker = self.speaker(speakers)[:, None].expand(-1, padded.shape[1], -1)
        x = self.context(torch.cat([padded, speaker], dim=-1))
        for block in self.blocks:
            x = block(x)
        x = F.gelu(x)
        return F.gelu(self.divide(x).view(len(x), -1, x.shape[2])) if self.steps > 1 else x

    def condition(self, z_q: Tensor, speakers: Tensor) -> Tensor:
        """Map z_q (B, N, D) and speaker indices (B,) to the condition of all layers (B, N·S, L·G)."""
        return self.project(self.features(z_q, speakers))

    def forward(self, previous: Tensor, z_q: Tensor, speakers: Tensor) -> Tensor:
        """Return the distribution's parameters (B, T, P) from the previous samples (B, T): at t, the sample t-1."""
        return self.stack(self.distribution.to_input(previous), self.condition(z_q, speakers))


class VQVAE(nn.Module):
    """Encoder, quantizer and decoder for waveforms at `config.sample_rate` of `speakers` speakers."""

    def __init__(self, config: VQVAEConfig, speakers: int) -> None:
        super().__init__()
        self.config = config
        self.num_speakers = speakers
        self.encoder = Encoder(config.encoder, config.quantizer.code_dim)
        self.quantizer = VectorQuantizer(config.quantizer)
        self.decoder = WaveNetDecoder(config.decoder, config.quantizer.code_dim, speakers)

    @property
    def distribution(self):
        """The decoder's output distribution."""
        return self.decoder.distribution

    @property
    def hop_length(self) -> int:
        """Samples per unit."""
        return self.encoder.hop_length

    @property
    def context(self) -> tuple[int, int]:
        """Samples that unit n depends on before n·hop_length, with one for pre-emphasis, and after (n+1)·hop_length."""
        left, right = self.encoder.context
        return left + 1, right

    @property
    def receptive_field(self) -> int:
        """Samples that a unit depends on."""
        return sum(self.context) + self.hop_length

    def emphasise(self, waveform: Tensor) -> Tensor:
        """Map a waveform (B, 1 + T) to what encoder and decoder see of it (B, T): pre-emphasised, in [-1, 1]."""
        config = self.config.decoder
        emphasised = pre_emphasis(waveform, config.pre_emphasis)[..., 1:]
        return (emphasised * (config.emphasis_gain if config.pre_emphasis else 1.0)).clamp(-1, 1)

    def forward(
        self,
        waveform: Tensor,
        speakers: Tensor,
        quantize: bool = True,
        predict: bool = True,
        heard: Tensor | None = None,
        frozen: bool = False,
        apart: bool = False,
    ) -> VQVAEOutput:
        """Encode and predict crops with their context: waveform (B, left + T + right), see `context`.

        `quantize=False` hands z_e to the decoder as it is: the training before the codebook is initialised.
        `predict=False` goes as far as the condition, and leaves the samples out. `heard`, like `waveform`, is what
        the encoder gets in its place. `frozen` leaves encoder and codebook as they are: they get no gradient. `apart`
        lets what conditions the decoder learn from z_q, and z_q not from it: the gradient is that of the caller's loss.
        """
        y = self.emphasise(waveform)
        left, right = self.encoder.context
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            z_e = self.encoder(y if heard is None else self.emphasise(heard))
            quantized = self.quantizer(z_e)
        z_q, vq_loss = (quantized.z_q, quantized.loss) if quantize else (z_e.float(), z_e.new_zeros(()))
        features = self.decoder.features(self._jitter(z_q.detach() if apart else z_q), speakers)
        nll = None
        if predict:
            target = y[:, left : y.shape[1] - right]
            previous = y[:, left - 1 : y.shape[1] - right - 1]
            parameters = self.decoder.stack(self.distribution.to_input(previous), self.decoder.project(features))
            nll = self.distribution.nll(parameters, target)
        return VQVAEOutput(nll, vq_loss, z_e.detach().float(), z_q, quantized.units, features)

    def _jitter(self, z_q: Tensor) -> Tensor:
        """Replace, in training, each vector by its left or right neighbour with probability `time_jitter`."""
        probability = self.config.decoder.time_jitter
        if not self.training or not probability:
            return z_q
        B, N, _ = z_q.shape
        draw = torch.rand(B, N, device=z_q.device)
        shift = (draw > 1 - probability / 2).long() - (draw < probability / 2).long()
        source = (torch.arange(N, device=z_q.device) + shift).clamp(0, N - 1)
        return z_q.gather(1, source[..., None].expand_as(z_q))

    def embed(self, units: Tensor) -> Tensor:
        """Return the codes z_q (..., D) of units (...)."""
        return self.quantizer.embed(units)

    @torch.inference_mode()
    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the units of a waveform (T,) -> (N,), or of a batch (B, T) -> (B, N), N = ceil(T / hop_length).

        With `lengths` (B,), in samples, what lies beyond an utterance's length does not count, and its units after
        ceil(length / hop_length) are those of silence.
        """
        if waveform.dim() == 1:
            units = list(self.encode_stream([waveform]))
            return torch.cat(units) if units else torch.zeros(0, dtype=torch.long, device=waveform.device)
        rows = waveform.clone()
        for row, length in zip(rows, [] if lengths is None else lengths.tolist()):
            row[length:] = 0
        return torch.stack([self.encode(row) for row in rows])

    @torch.inference_mode()
    def encode_stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the units of one waveform that comes in blocks (T_i,) of any lengths, in memory bounded by a block.

        The units are those of the whole waveform: windows of WINDOW_UNITS units, each with its context of samples,
        are cut at the same places however the waveform comes, and computed one by one in the same shape.

            samples   ░░left░░│ window 0 │ window 1 │ … │ last  │░right░░      ░: zeros outside the waveform
        """
        left, right = self.context
        step = WINDOW_UNITS * self.hop_length
        pending = None  # samples from `left` before the next window on
        total = done = 0  # samples seen, samples whose units were given
        for block in blocks:
            total += len(block)
            pending = torch.cat([block.new_zeros(left) if pending is None else pending, block])
            while len(pending) >= left + step + right:
                yield self._window_units(pending[: left + step + right])
                pending = pending[step:]
                done += step
        while done < total:
            window = F.pad(pending, (0, max(0, left + step + right - len(pending))))[: left + step + right]
            yield self._window_units(window)[: -(-(total - done) // self.hop_length)]
            pending = pending[step:]
            done += step

    def _window_units(self, samples: Tensor) -> Tensor:
        return self.quantizer.units(self.encoder(self.emphasise(samples[None])))[0]
