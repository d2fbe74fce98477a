"""Waveforms are what the model says of their units, speaker and seed, and of nothing else."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.generation.conftest import CODES, HOP, SPEAKERS, build_model
from vqaudio.errors import ModelError, UnitsError, VQAudioError
from vqaudio.generation import decode, generate_waveforms, stream_waveforms
from vqaudio.generation.decode import _stretches, block_condition, decoder_engine
from vqaudio.generation.uniforms import next_uniforms, uniform_stream
from vqaudio.models.vqvae import VQVAE

LENGTHS = [3, 25, 0, 11, 25, 1, 18]


def random_units(lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(8)
    return [torch.randint(CODES, (n,), generator=generator) for n in lengths]


def speakers_of(lengths: list[int]) -> list[int]:
    return [i % SPEAKERS for i in range(len(lengths))]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of four units, so that short utterances run over several."""
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 4 * HOP)


@pytest.mark.usefixtures("small_blocks")
def test_every_utterance_comes_back_in_place_and_length(model):
    waveforms = generate_waveforms(model, random_units(LENGTHS), speakers_of(LENGTHS))
    assert [len(w) for w in waveforms] == [n * HOP for n in LENGTHS]
    assert all(w.dtype == torch.float32 and torch.isfinite(w).all() for w in waveforms)
    assert all(w.std() > 0.01 for w, n in zip(waveforms, LENGTHS) if n > 1)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("pre_emphasis", [0.9, 0.0])
@pytest.mark.parametrize("output", ["mulaw", "mol"])
def test_each_sample_is_drawn_from_the_model_given_the_samples_before(output, pre_emphasis):
    """End to end: from the waveform itself, the parallel decoder and the same uniforms give the waveform again."""
    model = build_model(output, pre_emphasis)
    units, speaker, seed = random_units([21])[0], 2, 5
    (waveform,) = generate_waveforms(model, [units], [speaker], keys=["x"], seed=seed)
    emphasised = model.emphasise(torch.cat([torch.zeros(1), waveform])[None])
    distribution = model.distribution
    previous = torch.cat([torch.zeros(1, 1), emphasised[:, :-1]], dim=1)
    parameters = model.decoder(previous, model.embed(units)[None], torch.tensor([speaker]))[0].detach()
    uniforms = next_uniforms([uniform_stream(seed, "samples", "x")], len(waveform), distribution.uniforms_per_sample)
    expected = distribution.sample(parameters, uniforms[0])
    assert expected.float().std() > 0.01
    if output == "mulaw":
        assert torch.equal(distribution.to_input(emphasised[0]), expected)
    else:
        # The parameters differ by 1e-6, and a level by one of 2^-15.
        torch.testing.assert_close(emphasised[0], expected, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_batch_size_changes_nothing(model, batch_size):
    units, speakers = random_units(LENGTHS), speakers_of(LENGTHS)
    together = generate_waveforms(model, units, speakers)
    for waveform, alone in zip(together, generate_waveforms(model, units, speakers, batch_size=batch_size)):
        assert torch.equal(waveform, alone)


def test_the_order_changes_nothing_where_utterances_have_keys(model):
    units, speakers, keys = random_units(LENGTHS), speakers_of(LENGTHS), list("abcdefg")
    waveforms = generate_waveforms(model, units, speakers, keys=keys)
    turned = generate_waveforms(model, units[::-1], speakers[::-1], keys=keys[::-1])
    assert all(torch.equal(a, b) for a, b in zip(waveforms, turned[::-1]))


def test_seed_key_speaker_and_units_each_change_the_waveform(model):
    units, other = random_units([12, 12])

    def make(units=units, speaker=0, key="k", seed=0) -> Tensor:
        return generate_waveforms(model, [units], [speaker], keys=[key], seed=seed)[0]

    waveform = make()
    assert torch.equal(waveform, make())
    for changed in (make(units=other), make(speaker=1), make(key="l"), make(seed=1)):
        assert not torch.equal(waveform, changed)


def test_top_k_of_one_leaves_nothing_to_chance():
    units = random_units([12])
    first, second = (generate_waveforms(build_model(), units, [0], seed=s, top_k=1)[0] for s in (1, 2))
    assert torch.equal(first, second)


def test_temperature_reaches_the_distribution():
    units = random_units([30])
    cold, warm = (generate_waveforms(build_model(), units, [0], temperature=t)[0] for t in (1e-3, 1.0))
    greedy = generate_waveforms(build_model(), units, [0], top_k=1)[0]
    assert torch.equal(cold, greedy)
    assert not torch.equal(warm, greedy)


def test_waveforms_come_as_they_are_finished(model):
    units, speakers = random_units([2, 9, 5]), [0, 1, 2]
    stream = stream_waveforms(model, units, speakers, batch_size=2)
    assert [i for i, _ in stream] == [2, 1, 0], "the longer two are the first batch, and 2 ends before 1"


def test_results_are_ordinary_tensors(model):
    (waveform,) = generate_waveforms(model, random_units([2]), [0])
    (waveform.requires_grad_() * 2).sum().backward()  # an inference tensor would refuse
    assert torch.equal(waveform.grad, torch.full_like(waveform, 2.0))


def test_nothing_to_generate(model):
    assert generate_waveforms(model, [], []) == []
    (waveform,) = generate_waveforms(model, random_units([0]), [0])
    assert waveform.shape == (0,)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 12))
def test_stretches_cover_each_row_once_and_keep_to_blocks(lengths, block):
    lengths = sorted(lengths, reverse=True)
    covered = [[] for _ in lengths]
    for active, start, end in _stretches(lengths, block):
        assert start // block == (end - 1) // block, "within one block"
        for row in range(active):
            covered[row] += range(start, end)
    assert covered == [list(range(length)) for length in lengths]


@pytest.mark.parametrize("block", [1, 3, 4, 100])
def test_conditions_in_blocks_are_those_of_the_whole(model, monkeypatch, block):
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", block * HOP)
    units = random_units([14])[0]
    whole = model.decoder.condition(model.embed(units)[None], torch.tensor([1]))[0]
    blocks = [block_condition(model, units, 1, start) for start in range(0, 14, block)]
    # The convolution sums in another order in another length.
    torch.testing.assert_close(torch.cat(blocks)[: 14 * model.decoder.steps], whole, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("small_blocks")
def test_a_condition_is_the_same_before_the_units_beyond_its_reach_are_known(model):
    units, reach = random_units([14])[0], model.decoder.reach
    for start in (0, 4, 8):
        whole = block_condition(model, units, 1, start)
        for known in range(start + reach + 1, 14):
            sure = min((known - reach - start) * model.decoder.steps, len(whole))
            assert torch.equal(block_condition(model, units[:known], 1, start)[:sure], whole[:sure])


def test_an_engine_may_be_made_before(model):
    units = random_units([12])
    made = decoder_engine(model, "torch")
    (waveform,) = generate_waveforms(model, units, [0], engine=made)
    assert torch.equal(waveform, generate_waveforms(model, units, [0], engine="torch")[0])


def test_the_log_gives_the_real_time_factor(model, caplog):
    with caplog.at_level(logging.INFO, "vqaudio"):
        generate_waveforms(model, random_units([10, 15]), [0, 1])
    (line,) = caplog.messages
    assert "2 utterances" in line
    assert "0.01 s of audio" in line  # 25 units of 4 samples at 8 kHz
    assert "times real time" in line


def test_progress_is_shown_where_asked_for(model, capsys):
    generate_waveforms(model, random_units([10]), [0])
    assert capsys.readouterr().err == ""
    generate_waveforms(model, random_units([10]), [0], progress=True)
    assert "40.0/40.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("units", "speakers", "options", "error", "words"),
    [
        ([[0, CODES]], [0], {}, UnitsError, f"utterance 0: unit {CODES}, expected 0 to {CODES - 1}"),
        ([[0], [3, -1]], [0, 0], {"keys": ["a", "b"]}, UnitsError, "utterance b: unit -1"),
        ([[[0], [1]]], [0], {}, UnitsError, r"utterance 0: units of shape \(2, 1\)"),
        ([[0]], [SPEAKERS], {}, ModelError, f"speaker {SPEAKERS}, expected 0 to {SPEAKERS - 1}"),
        ([[0]], [0, 1], {}, UnitsError, "1 unit sequences, 2 speakers"),
        ([[0]], [0], {"engine": "tensorflow"}, VQAudioError, "engine: got 'tensorflow'"),
        ([[0]], [0], {"temperature": 0}, VQAudioError, "temperature: got 0"),
        ([[0]], [0], {"batch_size": 0}, VQAudioError, "batch_size: got 0"),
    ],
)
def test_requests_that_cannot_be_served_are_explained(units, speakers, options, error, words):
    with pytest.raises(error, match=words):
        generate_waveforms(build_model(), [torch.tensor(u) for u in units], speakers, **options)


def test_the_model_is_left_as_it_was(model: VQVAE):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generate_waveforms(model, random_units([5]), [0])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
