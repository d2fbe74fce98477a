"""Mu-law companding: samples in [-1, 1] as one of K classes, finer near zero (ITU-T G.711, continuous form).

f(x) = sign(x) ln(1 + (K-1) |x|) / ln K          x in [-1, 1]  ->  [-1, 1]
class = floor((f(x) + 1) / 2 * (K-1) + 1/2)      the nearest of K levels, 0 ... K-1
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mulaw_encode(waveform: Tensor, classes: int = 256) -> Tensor:
    """Return the class of each sample: int64, same shape, in [0, classes - 1].

    Samples outside [-1, 1] get the first or the last class. Computed in float32 at least.
    """
    x = waveform.to(torch.promote_types(waveform.dtype, torch.float32)).clamp(-1.0, 1.0)
    companded = torch.sign(x) * torch.log1p((classes - 1) * x.abs()) / math.log(classes)
    return ((companded + 1.0) / 2.0 * (classes - 1) + 0.5).long()


def mulaw_decode(indices: Tensor, classes: int = 256) -> Tensor:
    """Return the waveform sample of each class: float32, same shape, in [-1, 1].

    `mulaw_encode(mulaw_decode(i)) == i` for every class i.
    """
    companded = 2.0 * indices.float() / (classes - 1) - 1.0
    return torch.sign(companded) * torch.expm1(companded.abs() * math.log(classes)) / (classes - 1)
