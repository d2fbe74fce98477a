"""The VQ-VAE: contracts of encoding, and what its decoder may and may not see."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import small_config
from vqaudio.models.vqvae import VQVAE, WINDOW_UNITS, smooth_over_levels_


def crops(model: VQVAE, units: int = 20, batch: int = 3) -> torch.Tensor:
    left, right = model.context
    return 0.3 * torch.randn(batch, left + units * model.hop_length + right)


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 100, 8 * WINDOW_UNITS, 8 * WINDOW_UNITS + 1, 5000])
def test_units_are_ceil_of_samples_over_hop(small_model, samples):
    assert small_model.encode(torch.randn(samples)).shape == (math.ceil(samples / 8),)


def test_no_samples_have_no_units(small_model):
    assert small_model.encode(torch.zeros(0)).shape == (0,)


def test_units_are_those_of_the_encoder_in_one_piece(small_model):
    """Windows against one pass over the padded utterance: the definition of DESIGN's contract on frames."""
    waveform = 0.3 * torch.randn(3001)
    left, right = small_model.context
    count = math.ceil(3001 / 8)
    padded = torch.nn.functional.pad(waveform, (left, count * 8 - 3001 + right))[None]
    with torch.inference_mode():
        z_e = small_model.encoder(small_model.emphasise(padded))
    assert torch.equal(small_model.encode(waveform), small_model.quantizer.units(z_e)[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2500), min_size=1, max_size=6), st.integers(0, 1000))
def test_units_do_not_depend_on_the_blocks(sizes, seed):
    torch.manual_seed(1)
    model = VQVAE(small_config(), speakers=1).eval()
    waveform = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(seed))
    streamed = list(model.encode_stream(waveform.split(sizes)))
    whole = model.encode(waveform)
    assert torch.equal(torch.cat(streamed) if streamed else whole[:0], whole)


def test_units_alone_equal_units_in_a_padded_batch(small_model):
    lengths = [3000, 1, 777, 2048]
    alone = [0.3 * torch.randn(n) for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(alone, batch_first=True, padding_value=9.0)  # padding must not count
    units = small_model.encode(batch, torch.tensor(lengths))
    for row, waveform in zip(units, alone):
        own = small_model.encode(waveform)
        assert torch.equal(row[: len(own)], own)


def test_receptive_field_says_which_samples_a_unit_depends_on(small_model):
    waveform = crops(small_model, batch=1).requires_grad_()
    small_model.encoder(small_model.emphasise(waveform))[0, 4].sum().backward()
    seen = waveform.grad[0].nonzero()[:, 0]
    assert seen.max() - seen.min() + 1 <= small_model.receptive_field
    assert seen.min() >= 4 * 8 and seen.max() < 4 * 8 + small_model.receptive_field


@pytest.mark.parametrize("output", ["mulaw", "mol"])
def test_the_decoder_sees_neither_present_nor_future_samples(output):
    torch.manual_seed(0)
    model = VQVAE(small_config(output), speakers=1).eval()
    z_q, speakers = torch.randn(1, 5, 6), torch.zeros(1, dtype=torch.long)
    sounds = [torch.rand(1, 40) * 2 - 1 for _ in range(2)]
    sounds[1] = torch.where(torch.arange(40) < 21, sounds[0], -sounds[0])  # they part at 21, the input of sample 22
    previous = [torch.nn.functional.pad(s, (1, 0))[:, :-1] for s in sounds]
    first, second = (model.decoder(p, z_q, speakers) for p in previous)
    torch.testing.assert_close(first[:, :22], second[:, :22], rtol=0, atol=0)
    assert not torch.equal(first[:, 22], second[:, 22])


@pytest.mark.parametrize("output", ["mulaw", "mol"])
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_every_parameter_learns(output, update):
    config = small_config(output)
    config = dataclasses.replace(config, quantizer=dataclasses.replace(config.quantizer, update=update))
    torch.manual_seed(0)
    model = VQVAE(config, speakers=2)
    out = model(crops(model), torch.tensor([0, 1, 0]))
    assert out.nll.shape == (3, 160) and out.units.shape == (3, 20)
    (out.nll.mean() + out.vq_loss).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_unquantized_training_hands_the_encoder_output_on(small_model):
    out = small_model(crops(small_model), torch.zeros(3, dtype=torch.long), quantize=False)
    assert torch.equal(out.z_q, out.z_e)
    assert out.vq_loss == 0


def test_jitter_replaces_vectors_by_neighbours_and_only_in_training():
    torch.manual_seed(0)
    model = VQVAE(small_config(jitter=0.5), speakers=1)
    z_q = torch.arange(2000.0)[None, :, None].expand(1, 2000, 6)
    source = model.train()._jitter(z_q)[0, :, 0]
    shift = source - torch.arange(2000)
    assert set(shift.tolist()) == {-1.0, 0.0, 1.0}
    # Half of the 2,000 are replaced: six standard deviations are 0.067.
    assert (shift != 0).float().mean() == pytest.approx(0.5, abs=0.067)
    assert model.eval()._jitter(z_q) is z_q


def test_emphasis_is_what_generation_undoes(small_model):
    from vqaudio.audio.emphasis import de_emphasis

    config = small_model.config.decoder
    waveform = 0.1 * torch.randn(1, 500)
    y = small_model.emphasise(torch.nn.functional.pad(waveform, (1, 0)))
    restored = de_emphasis(y / config.emphasis_gain, config.pre_emphasis)
    # float32 through a recursion that gathers ten samples' rounding.
    torch.testing.assert_close(restored, waveform, atol=1e-5, rtol=0)


def test_first_weights_are_smooth_over_the_levels():
    """Neighbouring levels start alike, distant ones do not; the scale is as asked."""
    weight = torch.empty(256, 64)
    smooth_over_levels_(weight, std=0.05)
    assert weight.std().item() == pytest.approx(0.05, rel=1e-3)
    assert (weight[1:] - weight[:-1]).std() < 0.2 * weight.std()
    assert (weight[128:] - weight[:-128]).std() > weight.std()


def test_the_encoder_may_hear_another_voice_than_the_decoder_speaks(small_model):
    spoken, heard, speakers = crops(small_model, batch=2), crops(small_model, batch=2), torch.tensor([0, 1])
    one, other = small_model(spoken, speakers, heard=heard), small_model(heard, speakers)
    assert torch.equal(one.units, other.units) and torch.equal(one.z_e, other.z_e)
    assert not torch.equal(one.nll, other.nll)
    assert torch.equal(small_model(spoken, speakers, heard=spoken).nll, small_model(spoken, speakers).nll)


def test_samples_may_be_left_out(small_model):
    waveform, speakers = crops(small_model, batch=2), torch.tensor([0, 1])
    out, whole = small_model(waveform, speakers, predict=False), small_model(waveform, speakers)
    assert out.nll is None and torch.equal(out.features, whole.features)
