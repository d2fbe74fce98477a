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


def processes(monkeypatch, count: int, local_rank: int = 0) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(count))
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))


@pytest.mark.parametrize(("count", "wanted", "got"), [
    (4, "auto", "cuda:2"), (4, "cuda", "cuda:2"), (4, "cpu", "cpu"), (0, "auto", "cpu"),
])  # fmt: skip
def test_each_process_of_torchrun_takes_a_gpu_of_its_own(monkeypatch, count, wanted, got):
    gpus(monkeypatch, count)
    processes(monkeypatch, 4, local_rank=2)
    assert set_up_compute(wanted, 0) == torch.device(got)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    gpus(monkeypatch, 2)
    processes(monkeypatch, 4)
    with pytest.raises(VQAudioError, match=r"4 processes .* torch sees 2 of them.*--nproc_per_node 2, or --device cpu"):
        set_up_compute("auto", 0)
    with pytest.raises(VQAudioError, match=r"--device cuda:1: 4 processes cannot share a GPU"):
        set_up_compute("cuda:1", 0)


def test_threads(monkeypatch):
    before = torch.get_num_threads()
    set_up_compute("cpu", 0)
    assert torch.get_num_threads() == before
    try:
        set_up_compute("cpu", before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
