"""The weights of one causal stack as plain arrays: what every generation engine reads.

One step, from the input at time t to the parameters of the next element's distribution, is

    x_0 = input_weight[symbol]                      or  value · input_weight[0] + input_bias
    h_l = x_l(t - d_l) · past_l + x_l(t) · now_l + bias_l + condition_l
    z_l = tanh(h_l[:Z]) ⊙ sigmoid(h_l[Z:])
    x_(l+1) = x_l + z_l · residual_l
    parameters = relu(relu([z_0 … z_(L-1)] · skip + skip_bias) · hidden + hidden_bias) · output + output_bias

with x_l(t) = 0 for t < 0. Matrices are (input channels, output channels) and rows multiply from the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vqaudio.models.wavenet import CausalStack


@dataclass(frozen=True)
class PackedStack:
    """C-contiguous float32 arrays of a stack of L layers.

    Widths: R residual, G gate, Z = G/2, S skip and P output channels.
    """

    dilations: tuple[int, ...]
    """d_l of each layer, in positions."""
    tokens: int | None
    """Number of input symbols; None where the input is one real value."""
    input_weight: np.ndarray
    """(tokens, R), or (1, R) for a real value."""
    input_bias: np.ndarray
    """(R,); zeros for symbols."""
    past: np.ndarray
    """(L, R, G): weights of x(t - d)."""
    now: np.ndarray
    """(L, R, G): weights of x(t)."""
    bias: np.ndarray
    """(L, G). In all axes of G, the channels of tanh come first, then those of sigmoid."""
    residual: np.ndarray
    """(L-1, Z, R)."""
    skip: np.ndarray
    """(L·Z, S): the gates of layer 0 first."""
    skip_bias: np.ndarray
    """(S,)."""
    hidden: np.ndarray
    """(S, S)."""
    hidden_bias: np.ndarray
    """(S,)."""
    output: np.ndarray
    """(S, P)."""
    output_bias: np.ndarray
    """(P,)."""


def pack(stack: CausalStack) -> PackedStack:
    """Copy the weights of `stack`."""
    symbols = stack.tokens is not None
    R = stack.config.residual_channels
    return PackedStack(
        dilations=tuple(stack.dilations),
        tokens=stack.tokens,
        # A linear layer keeps (output, input) channels, an embedding (input, output).
        input_weight=_array(stack.input.weight if symbols else stack.input.weight.t()),
        input_bias=np.zeros(R, dtype=np.float32) if symbols else _array(stack.input.bias),
        past=_array(stack.taps[:, 0]),
        now=_array(stack.taps[:, 1]),
        bias=_array(stack.bias),
        residual=_array(stack.residual),
        skip=_array(stack.skip.weight.t()),
        skip_bias=_array(stack.skip.bias),
        hidden=_array(stack.hidden.weight.t()),
        hidden_bias=_array(stack.hidden.bias),
        output=_array(stack.output.weight.t()),
        output_bias=_array(stack.output.bias),
    )


def _array(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.detach().float().cpu().numpy(), order="C")  # a copy, so that training cannot change it
