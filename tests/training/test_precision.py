"""What precision a training computes in: the faster one by measure, where the machine has both."""

import time

import pytest
import torch

from vqaudio.training import precision
from vqaudio.training.precision import choose_precision

CPU = torch.device("cpu")


def slow_in(dtype: torch.dtype):
    """Return a step that takes longer under autocast to a dtype, and the dtypes that it was run in."""
    seen = []

    def step() -> None:
        enabled = torch.is_autocast_enabled("cpu")
        seen.append(torch.bfloat16 if enabled else torch.float32)
        time.sleep(0.02 if seen[-1] is dtype else 0.002)

    return step, seen


@pytest.mark.parametrize("slow", [torch.bfloat16, torch.float32])
def test_the_faster_is_taken(slow, monkeypatch):
    monkeypatch.setattr(precision, "_computes_in_bfloat16", lambda device: True)
    step, seen = slow_in(slow)
    assert choose_precision("auto", step, CPU) is not slow
    assert set(seen) == {torch.bfloat16, torch.float32}


def test_bfloat16_is_not_tried_where_it_would_be_emulated(monkeypatch, caplog):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    step, seen = slow_in(torch.float32)
    with caplog.at_level("INFO"):
        assert choose_precision("auto", step, CPU) is torch.float32
    assert not seen
    assert "this processor lacks bfloat16" in caplog.text


def test_what_is_wanted_is_not_measured():
    step, seen = slow_in(torch.float32)
    assert choose_precision("bfloat16", step, CPU) is torch.bfloat16
    assert not seen
