"""The encoder: its convolutions against torch's, its context, and which samples a frame sees."""

import pytest
import torch
import torch.nn.functional as F

from vqaudio.config import EncoderConfig
from vqaudio.models.encoder import Encoder, FrameConv

SHAPES = [((2, 2, 2), 1), ((4, 4, 4), 3), ((5, 4, 4, 2), 2), ((3, 1), 0), ((2,) * 6, 2)]


def make(strides, blocks) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(strides=strides, channels=6, residual_blocks=blocks), code_dim=5).double()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_frame_convolution_equals_conv1d(width):
    layer = FrameConv(4, 5, width).double()
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    weight = layer.taps.weight.view(width, 5, 4).permute(1, 2, 0)
    expected = F.conv1d(x.transpose(1, 2), weight, layer.bias).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


def test_strided_layers_equal_convolutions_of_kernel_4_and_stride_2():
    """The paper's convolution, in the form of conv1d over (B, channels, samples)."""
    encoder = make((2, 2), 0)
    left, right = encoder.context
    waveform = torch.randn(2, left + 40 + right, dtype=torch.float64)
    x = (waveform * encoder.config.input_gain)[:, None]
    for layer in encoder.strided:
        channels = x.shape[1]
        # (tap, out, sample in group · channel) -> (out, channel, tap · sample): kernel 4
        taps = layer.taps.weight.view(2, 6, 2, channels)
        weight = taps.permute(1, 3, 0, 2).reshape(6, channels, 4)
        x = F.gelu(F.conv1d(x, weight, layer.bias, stride=2))
    torch.testing.assert_close(encoder(waveform), encoder.output(x.transpose(1, 2)))


@pytest.mark.parametrize("strides, blocks", SHAPES)
def test_context_gives_one_frame_per_hop(strides, blocks):
    encoder = make(strides, blocks)
    left, right = encoder.context
    for frames in (1, 2, 7):
        waveform = torch.randn(2, left + frames * encoder.hop_length + right, dtype=torch.float64)
        assert encoder(waveform).shape == (2, frames, 5)


@pytest.mark.parametrize("strides, blocks", SHAPES)
def test_a_frame_sees_its_window_and_nothing_else(strides, blocks):
    encoder = make(strides, blocks)
    left, right = encoder.context
    hop, frame = encoder.hop_length, 2
    waveform = torch.randn(1, left + 5 * hop + right, dtype=torch.float64, requires_grad=True)
    encoder(waveform)[0, frame].sum().backward()
    seen = waveform.grad[0].nonzero()[:, 0]
    # In the waveform's own time, n·hop - left to (n + 1)·hop + right: the window is that far into the padded input.
    assert seen.min() == frame * hop
    assert seen.max() == frame * hop + encoder.receptive_field - 1
    assert len(seen) == encoder.receptive_field == left + hop + right


def test_frames_do_not_depend_on_where_the_window_lies():
    encoder = make((4, 4), 2)
    left, right = encoder.context
    waveform = torch.randn(1, left + 20 * 16 + right, dtype=torch.float64)
    whole = encoder(waveform)
    later = encoder(waveform[:, 5 * 16 :])
    torch.testing.assert_close(later, whole[:, 5:])
