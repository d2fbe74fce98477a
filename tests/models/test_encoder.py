"""The encoder: its convolutions against torch's, its context, and which samples a frame sees."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.config import EncoderConfig
from vqaudio.models import encoder as module
from vqaudio.models.encoder import LEVEL, LEVEL_FLOOR, Encoder, FrameConv
from vqaudio.models.nearest import kernel_available

SHAPES = [((2, 2, 2), 1), ((4, 4, 4), 3), ((5, 4, 4, 2), 2), ((3, 1), 0), ((2,) * 6, 2)]
LEVELS = [(), (3, 1), (0, 0), (0, 5)]


def make(strides, blocks, level_units=()) -> Encoder:
    torch.manual_seed(0)
    config = EncoderConfig(strides=strides, channels=6, residual_blocks=blocks, level_units=level_units)
    return Encoder(config, code_dim=5).double()


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


@pytest.mark.parametrize("level_units", LEVELS)
@pytest.mark.parametrize("strides, blocks", SHAPES)
def test_context_gives_one_frame_per_hop(strides, blocks, level_units):
    encoder = make(strides, blocks, level_units)
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


@pytest.mark.parametrize("strides, blocks", SHAPES)
def test_with_a_level_a_frame_sees_whole_units(strides, blocks):
    """The level's units, and what the convolutions reach, rounded up to units that have a level of their own."""
    encoder = make(strides, blocks, (3, 1))
    (left, right), (needed_left, needed_right) = encoder.context, make(strides, blocks).context
    hop, frame = encoder.hop_length, 2
    assert left == (3 - (-needed_left // hop)) * hop and right == (1 - (-needed_right // hop)) * hop
    waveform = torch.randn(1, left + 5 * hop + right, dtype=torch.float64, requires_grad=True)
    encoder(waveform)[0, frame].sum().backward()
    seen = waveform.grad[0].nonzero()[:, 0]
    assert seen.min() == frame * hop and seen.max() == frame * hop + encoder.receptive_field - 1


@pytest.mark.parametrize("level_units", LEVELS[1:])
def test_the_level_is_the_rms_over_the_units_around(level_units):
    encoder, hop, (before, after) = make((4, 2), 1, level_units), 8, level_units
    level, (left, right) = encoder.level, encoder.level.needed
    waveform = torch.randn(1, encoder.context[0] + 6 * hop + encoder.context[1], dtype=torch.float64)
    levelled, first = level(waveform)[0], encoder.context[0] - left  # where the convolutions' first sample is
    assert len(levelled) == left + 6 * hop + right
    for place in range(len(levelled)):
        unit = (first + place) // hop  # counted from the first sample that there is
        around = waveform[0, (unit - before) * hop : (unit + after + 1) * hop]
        rms = (around.square().mean() + LEVEL_FLOOR**2).sqrt()
        torch.testing.assert_close(levelled[place], waveform[0, first + place] * LEVEL / rms)


@given(gain=st.floats(0.02, 5.0))
def test_a_louder_recording_has_the_same_frames(gain):
    encoder = make((4, 4), 1, (4, 2))
    waveform = 0.2 * torch.randn(1, sum(encoder.context) + 160, dtype=torch.float64)
    # The floor of the level, 3e-4, is at most a 13th of the faintest RMS here: it shifts the level by up to 0.3%.
    torch.testing.assert_close(encoder(gain * waveform), encoder(waveform), rtol=0.01, atol=0.01)


def test_silence_stays_silence():
    encoder = make((4, 4), 1, (4, 2))
    silence = torch.zeros(1, sum(encoder.context) + 160, dtype=torch.float64)
    assert torch.equal(encoder.level(silence), torch.zeros(1, sum(encoder.level.needed) + 160, dtype=torch.float64))
    assert torch.isfinite(encoder(silence)).all()


@pytest.mark.parametrize("level_units", LEVELS)
def test_frames_do_not_depend_on_where_the_window_lies(level_units):
    encoder = make((4, 4), 2, level_units)
    left, right = encoder.context
    waveform = torch.randn(1, left + 20 * 16 + right, dtype=torch.float64)
    whole = encoder(waveform)
    later = encoder(waveform[:, 5 * 16 :])
    torch.testing.assert_close(later, whole[:, 5:])


def single(strides=(4, 2), blocks=2, channels=70) -> tuple[Encoder, torch.Tensor]:
    """An encoder in float32, and a waveform of 30 frames with its context."""
    torch.manual_seed(0)
    config = EncoderConfig(strides=strides, channels=channels, residual_blocks=blocks, level_units=(3, 1))
    encoder = Encoder(config, code_dim=5)
    return encoder, torch.randn(2, sum(encoder.context) + 30 * encoder.hop_length)


@pytest.fixture
def kernel_calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes that the kernel was given."""
    calls, convolve = [], module.convolve
    monkeypatch.setattr(module, "convolve", lambda x, *a, **k: calls.append(tuple(x.shape)) or convolve(x, *a, **k))
    return calls


needs_kernel = pytest.mark.skipif(not kernel_available("vqaudio_convolve"), reason="the kernel is not built")


@needs_kernel
@pytest.mark.parametrize("strides, blocks", SHAPES)
def test_without_a_gradient_a_kernel_computes_the_same(kernel_calls, strides, blocks):
    encoder, waveform = single(strides, blocks)
    expected = encoder(waveform)
    assert expected.requires_grad and kernel_calls == []
    with torch.no_grad():
        found = encoder(waveform)
    assert len(kernel_calls) == len(strides) + 2 * blocks + 1  # every convolution of it
    # Two orders of summation, in float32, of some hundreds of numbers below 1; in float64 they agree to 1e-7.
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-5)


@needs_kernel
def test_the_kernel_leaves_other_types_and_autocast_to_torch(kernel_calls):
    encoder, waveform = single()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder(waveform).dtype == torch.bfloat16
    with torch.inference_mode():
        assert encoder.double()(waveform.double()).dtype == torch.float64
    assert kernel_calls == []


@needs_kernel
@pytest.mark.parametrize("first, last", [(0, 30), (0, 1), (3, 7), (11, 30)])
def test_a_frames_bits_do_not_depend_on_the_window(first, last):
    encoder, waveform = single()
    hop = encoder.hop_length
    with torch.no_grad():
        whole = encoder(waveform)
        part = encoder(waveform[:1, first * hop : sum(encoder.context) + last * hop])
    assert torch.equal(part[0], whole[0, first:last])
