"""Output distributions of the decoder: what its stack predicts about the next sample, and how one is drawn.

                     to_input                              sample
    waveform (B, T) ──────────▶ inputs of the stack (B, T) ◀────── parameters (B, P), uniforms (B, U)
                    ◀──────────
                     to_waveform

`MuLawSoftmax` has one class per companded level (van den Oord et al. 2016, *WaveNet*, sec. 2.2);
`MixtureOfLogistics` one probability for each of 65,536 levels (Salimans et al. 2017, *PixelCNN++*, sec. 2.1).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from vqaudio.audio.mulaw import mulaw_decode, mulaw_encode
from vqaudio.errors import ConfigError, did_you_mean
from vqaudio.models.sampling import filter_logits, sample_categorical


class OutputDistribution(Protocol):
    """A distribution of one sample in [-1, 1]; T is in samples, at any rate."""

    num_parameters: int
    """P: channels of the stack's output."""
    input_tokens: int | None
    """Number of symbols that the stack takes as input, or None where it takes real values."""
    uniforms_per_sample: int
    """U: uniform random numbers that one draw takes."""

    def to_input(self, waveform: Tensor) -> Tensor:
        """Return what the stack takes for a waveform (any shape, floats in [-1, 1]): classes or floats."""

    def to_waveform(self, inputs: Tensor) -> Tensor:
        """Return the waveform of inputs of the stack; `to_input` of it is `inputs` again."""

    def nll(self, parameters: Tensor, waveform: Tensor) -> Tensor:
        """Return -ln p of each sample, (B, T) in nats and at least float32, from parameters (B, T, P)."""

    def sample(
        self,
        parameters: Tensor,
        uniforms: Tensor,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Draw one sample per row of parameters (B, P) with uniforms (B, U) in [0, 1): inputs of the stack (B,)."""


class Categorical:
    """One of so many classes, by their logits."""

    uniforms_per_sample = 1

    def __init__(self, classes: int) -> None:
        self.num_parameters = self.input_tokens = self.classes = classes

    def sample(
        self,
        parameters: Tensor,
        uniforms: Tensor,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Draw a class per row; see `filter_logits` for the options."""
        return sample_categorical(filter_logits(parameters, temperature, top_k, top_p), uniforms[:, 0])


class MuLawSoftmax(Categorical):
    """A softmax over the levels of a mu-law companded waveform."""

    def __init__(self, classes: int = 256) -> None:
        super().__init__(classes)

    def to_input(self, waveform: Tensor) -> Tensor:
        """Return the nearest level's class of each sample, a LongTensor."""
        return mulaw_encode(waveform, self.classes)

    def to_waveform(self, inputs: Tensor) -> Tensor:
        """Return the level of each class."""
        return mulaw_decode(inputs, self.classes)

    def nll(self, parameters: Tensor, waveform: Tensor) -> Tensor:
        """Return -ln p of each sample's class, (B, T) in nats."""
        targets = self.to_input(waveform)
        if not parameters.is_contiguous():  # the stack's output is time-major in memory: do not copy it
            return SoftmaxCrossEntropy.apply(parameters.transpose(0, 1), targets.transpose(0, 1)).transpose(0, 1)
        return SoftmaxCrossEntropy.apply(parameters, targets)


class SoftmaxCrossEntropy(torch.autograd.Function):
    """-ln softmax(logits)[target] with a single large temporary, which becomes the gradient.

    Inputs: logits (..., K) of any floating dtype, targets (...). Output (...) in float32 (float64 for float64).
    `F.cross_entropy` allocates four times as much; in training on a CPU, touching fresh memory for it takes longer
    than the arithmetic.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        index = targets[..., None]
        p = logits.to(dtype, copy=True)  # (..., K)
        below_peak = p.amax(dim=-1) - p.gather(-1, index).squeeze(-1)
        torch.softmax(p, dim=-1, out=p)  # each row is read before it is written
        ctx.probabilities, ctx.index, ctx.dtype = p, index, logits.dtype
        # The largest probability cannot underflow, as the target's can.
        return below_peak - p.amax(dim=-1).log()

    @staticmethod
    @once_differentiable
    def backward(ctx, d_nll: Tensor):
        gradient, ctx.probabilities = ctx.probabilities, None  # overwritten with (p - one-hot) · d_nll
        if gradient is None:
            raise RuntimeError("the gradient of SoftmaxCrossEntropy can be taken once only: it reuses its memory")
        d_nll = d_nll[..., None].to(gradient.dtype)
        gradient.mul_(d_nll).scatter_add_(-1, ctx.index, -d_nll)
        return gradient.to(ctx.dtype), None


class MixtureOfLogistics:
    """A mixture of logistic distributions, each integrated over the bin of one of 2^bits levels in [-1, 1].

    Level k is -1 + k·step, step = 2 / (2^bits - 1); its bin reaches half a step to either side, and those of the
    lowest and the highest level reach to infinity. Parameters of a sample: the logits of the M components, then
    their means, then the logarithms of their scales.
    """

    uniforms_per_sample = 2
    input_tokens = None

    def __init__(self, mixtures: int = 10, bits: int = 16) -> None:
        self.mixtures, self.bits = mixtures, bits
        self.num_parameters = 3 * mixtures
        self.step = 2.0 / (2**bits - 1)
        self.log_scale_range = (math.log(self.step / 8), 10.0)
        """Scales are held within it. A scale of step/8 has 96% of its mass in one bin: a smaller one could win
        0.04 nats at most, and would make the gradient of the mean steeper without bound."""

    def to_input(self, waveform: Tensor) -> Tensor:
        """Return the level nearest to each sample, as a float in [-1, 1]."""
        level = torch.round((waveform.double().clamp(-1, 1) + 1) / self.step)
        return (level * self.step - 1).clamp(-1, 1).to(torch.promote_types(waveform.dtype, torch.float32))

    def to_waveform(self, inputs: Tensor) -> Tensor:
        """Return the inputs: they are levels already."""
        return inputs

    def nll(self, parameters: Tensor, waveform: Tensor) -> Tensor:
        """Return -ln p of the level nearest to each sample, (B, T) in nats.

        With a, b the bin's edges in scales from the mean, σ(b) - σ(a) = σ(b) · σ(-a) · (1 - exp(a - b)): in
        logarithms, a sum without cancellation. In an outermost bin only σ(b), or only σ(-a), is left.
        """
        parameters = parameters.to(torch.promote_types(parameters.dtype, torch.float32))
        logits, means, log_scales = self._split(parameters)
        level = self.to_input(waveform.to(parameters.dtype))[..., None]  # (B, T, 1)
        lowest, highest = level <= -1 + self.step / 2, level >= 1 - self.step / 2
        from_mean, inverse = level - means, torch.exp(-log_scales)  # (B, T, M)
        below_upper = F.logsigmoid((from_mean + self.step / 2) * inverse).masked_fill(highest, 0)
        above_lower = F.logsigmoid((self.step / 2 - from_mean) * inverse).masked_fill(lowest, 0)
        width = torch.log(-torch.expm1(-self.step * inverse)).masked_fill(lowest | highest, 0)
        components = F.log_softmax(logits, dim=-1) + below_upper + above_lower + width
        return -torch.logsumexp(components, dim=-1)

    def sample(
        self,
        parameters: Tensor,
        uniforms: Tensor,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Draw a level per row: the first uniform chooses the component, the second the place within it.

        `temperature` divides the logits of the components and multiplies their scales; top_k and top_p leave out
        components.
        """
        logits, means, log_scales = self._split(parameters)
        component = sample_categorical(filter_logits(logits, temperature, top_k, top_p), uniforms[:, 0])[:, None]
        # In float64, where vectorised and scalar exp and log, and so batches of any size, give the same level.
        mean, log_scale = (p.gather(-1, component)[:, 0].double() for p in (means, log_scales))
        # 0 would lie at -infinity; it stands for all uniforms below the smallest float32 step of them.
        place = torch.logit(uniforms[:, 1].double(), eps=2.0**-24)
        return self.to_input(mean + temperature * log_scale.exp() * place).float()

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and bounded log-scales, each (..., M)."""
        logits, means, log_scales = parameters.chunk(3, dim=-1)
        return logits, means, log_scales.clamp(*self.log_scale_range)


def build_distribution(output: str, classes: int = 256, mixtures: int = 10) -> OutputDistribution:
    """Return the distribution named by `DecoderConfig.output`: "mulaw" (classes) or "mol" (mixtures)."""
    if output == "mulaw":
        return MuLawSoftmax(classes)
    if output == "mol":
        return MixtureOfLogistics(mixtures)
    raise ConfigError(f"output: got {output!r}, expected mulaw or mol.{did_you_mean(output, ['mulaw', 'mol'])}")
