"""Agreement is 1 where the contract of frames holds, and less as soon as an encoder breaks it."""

from __future__ import annotations

import pytest
import torch

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.agreement import batch_agreement, chunk_agreement


class LooksAtTheWholeInput:
    """An encoder that scales by the loudest sample it is given: what the contract forbids."""

    def __init__(self, model):
        self.model = model
        self.training = False
        self.config = model.config

    def eval(self):
        return self

    def train(self, mode):
        return self

    def encode(self, waveform, lengths=None):
        return self.model.encode(waveform / waveform.abs().max(), lengths)

    def encode_stream(self, blocks):
        return self.model.encode_stream(block / block.abs().max() for block in blocks)


@pytest.fixture
def varied(waveforms):
    # Levels differ, so that a common scale changes them.
    return [waveform * level for waveform, level in zip(waveforms, (1, 0.3, 2, 0.1), strict=True)]


def test_the_model_agrees_exactly(mulaw_model, waveforms):
    assert batch_agreement(mulaw_model, waveforms) == 1
    assert batch_agreement(mulaw_model, waveforms, batch_size=3) == 1
    assert chunk_agreement(mulaw_model, waveforms) == 1


def test_an_encoder_that_looks_at_the_whole_input_is_found_out(mulaw_model, varied):
    encoder = LooksAtTheWholeInput(mulaw_model)
    assert 0 <= batch_agreement(encoder, varied) < 1
    assert 0 <= chunk_agreement(encoder, varied) < 1


def test_the_share_is_of_units(mulaw_model, waveforms, monkeypatch):
    """One wrong unit of n is n - 1 in n."""
    stream = mulaw_model.encode_stream

    def one_wrong(blocks):
        units = torch.cat(list(stream(blocks)))
        units[0] = (units[0] + 1) % 16
        yield units

    n = len(mulaw_model.encode(waveforms[3]))
    alone = {len(w): mulaw_model.encode(w) for w in waveforms}
    monkeypatch.setattr(mulaw_model, "encode", lambda waveform: alone[len(waveform)])
    monkeypatch.setattr(mulaw_model, "encode_stream", one_wrong)
    assert chunk_agreement(mulaw_model, [waveforms[3]]) == pytest.approx((n - 1) / n)


@pytest.mark.parametrize("measure", [batch_agreement, chunk_agreement])
def test_nothing_to_compare_is_refused(mulaw_model, measure):
    with pytest.raises(VQAudioError, match="no units to compare"):
        measure(mulaw_model, [])
