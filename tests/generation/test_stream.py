"""A waveform in chunks is the waveform: bit by bit, however it is cut and however its units come."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.generation.conftest import CODES, HOP, SPEAKERS, build_model
from vqaudio.errors import ModelError, UnitsError, VQAudioError
from vqaudio.generation import decode, generate_waveforms
from vqaudio.generation.decode import decoder_engine
from vqaudio.generation.stream import Stopwatch, stream_waveform

MODELS = {output: build_model(output) for output in ("mulaw", "mol")}
OPTIONS = {"engine": "torch", "seed": 3, "temperature": 0.9, "top_k": 3, "top_p": 0.95}


def random_units(n: int) -> Tensor:
    return torch.randint(CODES, (n,), generator=torch.Generator().manual_seed(n))


def joined(chunks: Iterable[Tensor]) -> Tensor:
    return torch.cat([torch.empty(0), *chunks])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of four units, so that short utterances run over several, and chunks over their borders."""
    monkeypatch.setattr(decode, "BLOCK_SAMPLES", 4 * HOP)


@pytest.mark.parametrize("pre_emphasis", [0.9, 0.0])
@pytest.mark.parametrize("output", ["mulaw", "mol"])
@pytest.mark.parametrize("chunk_units", [1, 3, 4, 11, 100])
def test_chunks_join_to_the_decoded_waveform(output, pre_emphasis, chunk_units):
    model, units = build_model(output, pre_emphasis), random_units(23)
    (whole,) = generate_waveforms(model, [units], [1], **OPTIONS)
    chunks = list(stream_waveform(model, units, 1, chunk_units=chunk_units, **OPTIONS))
    assert torch.equal(joined(chunks), whole)
    assert whole.std() > 0.01
    assert all(chunk.dtype == torch.float32 for chunk in chunks)


@settings(max_examples=30, deadline=None)
@given(
    output=st.sampled_from(sorted(MODELS)),
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=8),
    chunk_units=st.integers(1, 9),
)
def test_units_that_come_one_after_the_other_make_the_same_waveform(output, sizes, chunk_units):
    model, units = MODELS[output], random_units(sum(sizes))
    (whole,) = generate_waveforms(model, [units], [2], **OPTIONS)
    live = stream_waveform(model, iter(units.split(sizes)), 2, chunk_units=chunk_units, **OPTIONS)
    assert torch.equal(joined(live), whole)


def test_chunks_grow_to_the_length_that_was_asked_for(model):
    chunks = stream_waveform(model, random_units(50), 0, chunk_units=12)
    assert [len(chunk) // HOP for chunk in chunks] == [3, 6, 12, 12, 12, 5]
    # 40 ms at 8 kHz are 80 units of 4 samples.
    assert [len(chunk) // HOP for chunk in stream_waveform(model, random_units(200), 0)] == [20, 40, 80, 60]


def test_a_chunk_waits_for_the_reach_of_its_units_and_no_longer(model):
    given_units = 0

    def source() -> Iterator[Tensor]:
        nonlocal given_units
        for unit in random_units(20):
            given_units += 1
            yield unit[None]

    seen = []
    for chunk in stream_waveform(model, source(), 0, chunk_units=2, engine="torch"):
        seen.append((len(chunk) // HOP, given_units))
    reach = model.decoder.reach
    sizes = [1, *[2] * 9, 1]
    assert seen == [(size, min(20, sum(sizes[: i + 1]) + reach)) for i, size in enumerate(sizes)]


def test_keys_and_seeds_are_those_of_decoding(model):
    units = random_units(9)
    (named,) = generate_waveforms(model, [units], [0], keys=["a"], engine="torch")
    assert torch.equal(joined(stream_waveform(model, units, 0, key="a", engine="torch")), named)
    assert not torch.equal(joined(stream_waveform(model, units, 0, key="b", engine="torch")), named)


def test_an_engine_may_be_made_before(model):
    units, made = random_units(9), decoder_engine(model, "torch")
    twice = [joined(stream_waveform(model, units, 0, engine=made)) for _ in range(2)]
    assert torch.equal(twice[0], twice[1])
    assert torch.equal(twice[0], joined(stream_waveform(model, units, 0, engine="torch")))


def test_chunks_are_ordinary_tensors(model):
    chunk = next(stream_waveform(model, random_units(3), 0))
    (chunk.requires_grad_() * 2).sum().backward()  # an inference tensor would refuse
    assert torch.equal(chunk.grad, torch.full_like(chunk, 2.0))


def test_gradients_are_as_before_between_chunks(model):
    stream = stream_waveform(model, random_units(40), 0, chunk_units=5)
    next(stream)
    assert torch.is_grad_enabled()


def test_no_units_make_no_chunks(model):
    assert list(stream_waveform(model, random_units(0), 0)) == []
    assert list(stream_waveform(model, iter([]), 0)) == []


def test_the_log_gives_latency_and_real_time_factor_without_the_time_of_others(model, caplog):
    def slow() -> Iterator[Tensor]:
        time.sleep(0.3)
        yield random_units(10)

    list(stream_waveform(model, random_units(1), 0))  # imports scipy, which takes a second
    with caplog.at_level(logging.INFO, "vqaudio"):
        for _ in stream_waveform(model, slow(), 0, chunk_units=5, engine=decoder_engine(model, "torch")):
            time.sleep(0.1)
    line = caplog.messages[-1]
    assert "0.01 s of audio" in line  # 10 units of 4 samples at 8 kHz, rounded
    seconds, latency = (float(figure) for figure in re.findall(r"in ([\d.]+) s .* after ([\d.]+) ms", line)[0])
    # 40 steps of a tiny stack take milliseconds; the sleeps add up to 600 ms.
    assert 0 < latency / 1000 <= seconds + 0.005 < 0.3


def test_a_stream_that_is_left_says_how_far_it_came(model, caplog):
    with caplog.at_level(logging.INFO, "vqaudio"):
        stream = stream_waveform(model, random_units(400), 0, chunk_units=80)
        next(stream)
        stream.close()
    assert "streamed 0.01 s of audio" in caplog.text  # 20 units


@pytest.mark.parametrize(
    ("units", "speaker", "options", "error", "words"),
    [
        ([0, CODES], 0, {}, UnitsError, f"utterance 0: unit {CODES}, expected 0 to {CODES - 1}"),
        ([[0], [1]], 0, {"key": "a"}, UnitsError, r"utterance a: units of shape \(2, 1\)"),
        ([0], SPEAKERS, {}, ModelError, f"speaker {SPEAKERS}, expected 0 to {SPEAKERS - 1}"),
        ([0], 0, {"engine": "tensorflow"}, VQAudioError, "engine: got 'tensorflow'"),
        ([0], 0, {"temperature": 0}, VQAudioError, "temperature: got 0"),
        ([0], 0, {"chunk_units": 0}, VQAudioError, "chunk_units: got 0"),
    ],
)
def test_requests_that_cannot_be_served_are_refused_at_once(units, speaker, options, error, words):
    with pytest.raises(error, match=words):
        stream_waveform(build_model(), torch.tensor(units), speaker, **options)


def test_a_wrong_unit_that_comes_later_is_refused_when_it_comes(model):
    units = [random_units(20), torch.tensor([CODES])]
    stream = stream_waveform(model, iter(units), 0, chunk_units=4)
    assert len(next(stream)) == HOP
    with pytest.raises(UnitsError, match=f"unit {CODES}, expected"):
        list(stream)


def test_the_stopwatch_counts_its_own_time_alone(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch()
    now[0] = 2.0
    with watch.stopped():
        now[0] = 5.0
        assert watch.seconds == 2.0
    now[0] = 6.0
    assert watch.seconds == 3.0
