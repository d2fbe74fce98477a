"""The kernel for convolutions over frames, of every instruction set of this machine, against torch in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vqaudio import csrc
from vqaudio.models.convolve import convolve, gelu
from vqaudio.models.nearest import kernel_available

try:
    INSTRUCTIONS = csrc.available()
except csrc.KernelsUnavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)
if not kernel_available("vqaudio_convolve"):
    pytest.skip("the library was built before there was this kernel: build it again", allow_module_level=True)
FUSED = [name for name in INSTRUCTIONS if name != "baseline"]
"""Those with fused multiply-add: the same bits."""
each_instruction_set = pytest.mark.parametrize("instructions", INSTRUCTIONS)
SHAPES = [  # batch, frames, inputs, outputs, width
    (1, 1, 1, 1, 1),
    (2, 9, 4, 5, 2),
    (1, 7, 17, 64, 3),
    (3, 13, 63, 65, 1),
    (1, 100, 65, 130, 2),
    (1, 800, 5, 3, 3),
    (1, 6, 600, 20, 2),
]


def layer(frames_in: int, outputs: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(width * outputs, frames_in, generator=generator), torch.randn(outputs, generator=generator)


def frames(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def oracle(x: Tensor, weight: Tensor, bias: Tensor, width: int) -> Tensor:
    """torch's conv1d over (B, in, M), in float64."""
    taps = weight.double().view(width, len(bias), -1).permute(1, 2, 0)
    return F.conv1d(x.double().transpose(1, 2), taps, bias.double()).transpose(1, 2)


@each_instruction_set
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_conv1d(instructions, shape):
    B, M, inputs, outputs, width = shape
    x, (weight, bias) = frames(B, M, inputs), layer(inputs, outputs, width)
    y = convolve(x, weight, bias, width, instructions=instructions)
    assert y.shape == (B, M - width + 1, outputs)
    # Sums of n products of numbers near 1, in float32, one by one: some sqrt(n) large, and each addition rounds
    # by 2^-24 of that; the roundings add up like a walk of n steps. Ten times that is never met by chance.
    n = width * inputs
    torch.testing.assert_close(y.double(), oracle(x, weight, bias, width), rtol=0, atol=10 * 2**-24 * (n + 1))


@each_instruction_set
def test_gelu_to_rounding(instructions):
    x = torch.cat([torch.linspace(-9, 9, 20001), torch.tensor([-1e4, -0.0, 0.0, 1e-30, 1e4])])[None, :, None]
    y = convolve(x, torch.ones(1, 1), torch.zeros(1), 1, gelu=True, instructions=instructions)
    wanted = F.gelu(x.double())
    # erf to 4e-7, times half of x, and the rounding of the result.
    assert ((y.double() - wanted).abs() <= 2.5e-7 * x.double().abs()).all()
    assert torch.equal(gelu(x, instructions), y)


@each_instruction_set
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_gelu_of_so_many_numbers_and_no_others(instructions, count):
    x = frames(3, count, 1)
    y = gelu(x, instructions)
    torch.testing.assert_close(y.double(), F.gelu(x.double()), rtol=0, atol=1e-6)
    across = frames(1, 5, 7).transpose(1, 2)
    assert torch.equal(gelu(across, instructions), gelu(across.contiguous(), instructions))


@each_instruction_set
def test_gelu_is_that_of_the_convolution(instructions):
    x, (weight, bias) = frames(2, 40, 70), layer(70, 67, 2)
    weight *= 0.1
    y = convolve(x, weight, bias, 2, gelu=True, instructions=instructions)
    torch.testing.assert_close(y.double(), F.gelu(oracle(x, weight, bias, 2)), rtol=0, atol=1e-5)


@each_instruction_set
def test_a_frames_bits_do_not_depend_on_the_frames_around_it(instructions):
    x, (weight, bias) = frames(2, 900, 40), layer(40, 70, 3)
    whole = convolve(x, weight, bias, 3, instructions=instructions)
    for begin, end in ((0, 3), (1, 100), (5, 897), (890, 900)):
        part = convolve(x[:, begin:end], weight, bias, 3, instructions=instructions)
        assert torch.equal(part, whole[:, begin : end - 2])
    assert torch.equal(convolve(x[1:], weight, bias, 3, instructions=instructions), whole[1:])


@pytest.mark.skipif(len(FUSED) < 2, reason=f"one instruction set with fused multiply-add: {FUSED}")
@pytest.mark.parametrize("gelu", [False, True])
def test_all_with_fused_multiply_add_give_the_same_bits(gelu):
    x, (weight, bias) = frames(1, 50, 300), layer(300, 70, 2)
    first, *others = (convolve(x, weight, bias, 2, gelu, name) for name in FUSED)
    for other in others:
        assert torch.equal(first, other)


@each_instruction_set
def test_the_same_bits_at_any_number_of_threads(instructions):
    x, (weight, bias) = frames(1, 200, 300), layer(300, 300, 2)  # 36 million multiply-adds: worth four threads
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            results.append(convolve(x, weight, bias, 2, instructions=instructions))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert torch.equal(result, results[0])


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="2 frames, expected at least the 3"):
        convolve(frames(1, 2, 4), *layer(4, 4, 3), width=3)
