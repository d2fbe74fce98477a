"""The choice of a device, and of threads."""

import pytest
import torch

from vqaudio.cli.compute import set_up_compute
from vqaudio.errors import VQAudioError


def gpus(monkeypatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("count", "wanted", "got"), [
    (0, "auto", "cpu"), (2, "auto", "cuda"), (2, "cpu", "cpu"), (2, "cuda:1", "cuda:1"),
])  # fmt: skip
def test_auto_takes_a_gpu_if_any(monkeypatch, count, wanted, got):
    gpus(monkeypatch, count)
    assert set_up_compute(wanted, 0) == torch.device(got)


@pytest.mark.parametrize(("count", "wanted"), [(0, "cuda"), (2, "cuda:2")])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch, count, wanted):
    gpus(monkeypatch, count)
    with pytest.raises(VQAudioError, match=f"--device {wanted}: there is no such GPU .*expected auto or cpu"):
        set_up_compute(wanted, 0)


def test_threads(monkeypatch):
    before = torch.get_num_threads()
    set_up_compute("cpu", 0)
    assert torch.get_num_threads() == before
    try:
        set_up_compute("cpu", before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
