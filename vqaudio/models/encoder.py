"""The encoder: raw waveform to one vector per frame, by strided convolutions.

Every convolution is valid (unpadded): the waveform alone is padded, with zeros, so that frame n is a function of a
fixed window of samples wherever it stands: an utterance in one piece, in a batch or in chunks gives the same frames.

    waveform, with context    ├─left─┤├── N · hop_length ──┤├─right─┤
    (divided by its level     over units before and after each unit; then what they alone needed is cut off)
    strided convolutions      k = 2s, stride s, each shortening the sequence to 1/s and by one
    residual blocks           width 3, shortening it by one frame on either side
    frames                            ├───────  N  ────────┤
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqaudio.config import EncoderConfig
from vqaudio.models.convolve import convolve, gelu, kernel_serves

LEVEL, LEVEL_FLOOR = 0.1, 3e-4
"""RMS that the waveform is brought to, and about that below which it is left as faint as it is: -70 dBFS."""


class FrameConv(nn.Module):
    """A valid convolution of `width` over frames (B, M, in) -> (B, M - width + 1, out), as one matrix product.

    With a gradient the product with all taps is taken at every frame, and the taps' results are added with a shift: no
    patches are copied. Without one, a kernel adds up all taps of a frame at once.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        self.width, self.out_channels = width, out_channels
        self.taps = nn.Linear(in_channels, width * out_channels, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = (in_channels * width) ** -0.5
        nn.init.uniform_(self.taps.weight, -bound, bound)

    def forward(self, x: Tensor, activate: bool = False) -> Tensor:
        """Map (B, M, in) to (B, M - width + 1, out), or to the GELU of that."""
        if kernel_serves(x, self.taps.weight):
            return convolve(x, self.taps.weight, self.bias, self.width, activate)
        # Not `self.taps(x)`, whose weights' gradient would be (out, frames) · (frames, in): for the few channels of the
        # first layer that takes three times as long on a processor as (in, frames) · (frames, out).
        products = x @ self.taps.weight.t().contiguous()  # (B, M, width · out)
        length = x.shape[1] - self.width + 1
        total = self.bias.to(products.dtype)
        for tap, product in enumerate(products.split(self.out_channels, dim=-1)):
            total = total + product[:, tap : tap + length]
        return F.gelu(total) if activate else total


class FrameLinear(nn.Linear):
    """nn.Linear on frames (B, M, in) -> (B, M, out), by the same kernel as FrameConv."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, in) to (B, M, out)."""
        return convolve(x, self.weight, self.bias, width=1) if kernel_serves(x, self.weight) else super().forward(x)


class ResidualBlock(nn.Module):
    """x + conv1(gelu(conv3(gelu(x)))), shortening x by one frame on either side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = FrameConv(channels, channels, width=3)
        self.narrow = FrameLinear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, M, C) to (B, M - 2, C)."""
        activated = gelu(x) if kernel_serves(x, self.wide.taps.weight) else F.gelu(x)
        return x[:, 1:-1] + self.narrow(self.wide(activated, activate=True))


class Level(nn.Module):
    """Divide a waveform by its RMS around each unit, so that how loud a recording is does not become part of the units.

    The utterance's own level may not be known yet (in a stream), nor may units depend on what lies far away.

        units       ░before░│ n │░after░            RMS over all of them: the factor on the samples of unit n
        waveform    ├─ before ─┤├─ whole units that the convolutions reach ─┤├─ after ─┤

    `needed`: samples before the first unit and after the last that the convolutions see.
    """

    def __init__(self, hop_length: int, units: Sequence[int], needed: tuple[int, int]) -> None:
        super().__init__()
        self.hop_length, self.units, self.needed = hop_length, tuple(units), needed

    @property
    def context(self) -> tuple[int, int]:
        """Samples before the first unit and after the last that it takes."""
        left, right = (
            (-(-samples // self.hop_length) + n) * self.hop_length for samples, n in zip(self.needed, self.units)
        )
        return left, right

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, left + N·hop_length + right), see `context`, to what the convolutions need of it."""
        before, after = self.units
        cells = waveform.unflatten(1, (-1, self.hop_length))  # (B, M, hop_length)
        # A mean over a window, not a difference of sums from the beginning on: the same wherever the window stands.
        power = F.avg_pool1d(cells.square().mean(-1), before + after + 1, stride=1)  # (B, M - before - after)
        factor = LEVEL / (power + LEVEL_FLOOR**2).sqrt()
        levelled = (cells[:, before : cells.shape[1] - after] * factor[..., None]).flatten(1)
        spare = [(-samples) % self.hop_length for samples in self.needed]
        return levelled[:, spare[0] : levelled.shape[1] - spare[1]]


class Encoder(nn.Module):
    """Map a waveform with its context to vectors z_e at the unit rate (van den Oord et al. 2017, sec. 4.3)."""

    def __init__(self, config: EncoderConfig, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.hop_length = config.hop_length
        self.level = Level(config.hop_length, config.level_units, self._convolved) if config.level_units else None
        # A convolution of kernel 2s over samples is one of width 2 over groups of s samples.
        inputs = [s * c for s, c in zip(config.strides, [1] + [config.channels] * len(config.strides))]
        self.strided = nn.ModuleList(FrameConv(size, config.channels, width=2) for size in inputs)
        self.blocks = nn.ModuleList(ResidualBlock(config.channels) for _ in range(config.residual_blocks))
        self.output = FrameLinear(config.channels, code_dim)

    @property
    def context(self) -> tuple[int, int]:
        """Samples that frame n sees before n·hop_length, and after (n+1)·hop_length."""
        return self.level.context if self.level is not None else self._convolved

    @property
    def _convolved(self) -> tuple[int, int]:
        """The same, of the convolutions alone."""
        left = right = 0
        hop = 1
        for stride in self.config.strides:
            left += (stride // 2) * hop
            right += (stride - stride // 2) * hop
            hop *= stride
        blocks = self.config.residual_blocks * hop
        return left + blocks, right + blocks

    @property
    def receptive_field(self) -> int:
        """Samples that a frame depends on."""
        return sum(self.context) + self.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, left + N·hop_length + right) to z_e (B, N, code_dim)."""
        if self.level is not None:
            waveform = self.level(waveform)
        x = (waveform * self.config.input_gain)[..., None]  # (B, samples, 1)
        for stride, convolution in zip(self.config.strides, self.strided):
            groups = x.reshape(len(x), -1, stride * x.shape[2])  # (B, M, stride · C)
            x = convolution(groups, activate=True)  # (B, M - 1, C)
        for block in self.blocks:
            x = block(x)
        return self.output(x)
