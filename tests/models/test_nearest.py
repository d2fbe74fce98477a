"""Nearest codes: when the kernel is used and when torch, that both find the same, and threads."""

from __future__ import annotations

import os
import threading

import pytest
import torch
from torch import Tensor

from vqaudio import csrc
from vqaudio.errors import VQAudioError
from vqaudio.models import nearest as module
from vqaudio.models.nearest import kernel_available, nearest_codes, over_shares, search_by_torch

needs_kernel = pytest.mark.skipif(not kernel_available("vqaudio_nearest"), reason="the kernels are not built")


def data(vectors: int = 300, codes: int = 70, dim: int = 12) -> tuple[Tensor, Tensor]:
    """Whole numbers, whose distances are exact in float32, many of them equal."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randint(-2, 3, (n, dim), generator=generator).float() for n in (vectors, codes))


@pytest.fixture
def used(monkeypatch) -> list[str]:
    """Which way each call of `nearest_codes` went."""
    ways: list[str] = []
    for way in ("search_by_kernel", "search_by_torch"):
        real = getattr(module, way)
        monkeypatch.setattr(module, way, lambda *a, way=way, real=real: ways.append(way) or real(*a))
    return ways


@pytest.fixture
def threads():
    """Sets the number of torch's threads, for this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def without_kernels(monkeypatch):
    """As where nothing was built."""

    def unavailable():
        raise csrc.KernelsUnavailable("not built")

    csrc.available.cache_clear(), kernel_available.cache_clear()
    monkeypatch.setattr(csrc, "library", unavailable)
    yield
    monkeypatch.undo()
    csrc.available.cache_clear(), kernel_available.cache_clear()


@needs_kernel
def test_float32_in_the_cpus_memory_goes_to_the_kernel(used):
    vectors, codebook = data()
    expected = search_by_torch(vectors, codebook)
    assert torch.equal(nearest_codes(vectors, codebook), expected)
    wide = torch.cat([vectors, vectors], dim=1)
    assert torch.equal(nearest_codes(wide[:, 5:17], wide[:70, 5:17]), search_by_torch(wide[:, 5:17], wide[:70, 5:17]))
    assert torch.equal(nearest_codes(vectors.t().contiguous().t(), codebook), expected)
    assert torch.equal(nearest_codes(vectors.requires_grad_(), torch.nn.Parameter(codebook)), expected)
    assert used == ["search_by_kernel"] * 4


def test_all_else_goes_to_torch(used):
    vectors, codebook = data()
    expected = search_by_torch(vectors, codebook)
    assert torch.equal(nearest_codes(vectors.double(), codebook.double()), expected)
    assert torch.equal(nearest_codes(vectors.bfloat16(), codebook.bfloat16()), expected)
    with pytest.raises(RuntimeError):  # which would read beyond the end of the codebook
        nearest_codes(vectors, codebook[:, :-1])
    with pytest.raises(RuntimeError):
        nearest_codes(vectors, codebook.double())
    with pytest.raises((RuntimeError, IndexError)):
        nearest_codes(vectors, codebook[:0])
    assert used == ["search_by_torch"] * 5


def test_without_kernels_torch_finds_the_same(without_kernels, used):
    vectors, codebook = data()
    found = nearest_codes(vectors, codebook)
    assert used == ["search_by_torch"]
    distances = (vectors[:, None] - codebook).square().sum(dim=2)  # whole numbers, exact
    assert torch.equal(found, distances.argmin(dim=1))  # the first of equal ones


@needs_kernel
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_in_every_mode(mode):
    vectors, codebook = data()
    with mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = nearest_codes(vectors + 0, codebook + 0)
    assert torch.equal(found, search_by_torch(vectors, codebook))
    assert not found.requires_grad


@needs_kernel
def test_any_number_of_threads_finds_the_same(threads):
    vectors, codebook = torch.randn(3001, 64), torch.randn(512, 64)  # worth eleven threads
    threads(1)
    expected = nearest_codes(vectors, codebook)
    for count in (2, 3, 16):
        threads(count)
        assert torch.equal(nearest_codes(vectors, codebook), expected)


def test_nothing_has_no_codes_and_a_vector_that_is_not_a_number_the_first():
    vectors, codebook = data()
    assert nearest_codes(vectors[:0], codebook).shape == (0,)
    for search in (nearest_codes, search_by_torch):
        assert search(torch.full((2, 12), torch.nan), codebook).tolist() == [0, 0]


def test_shares_cover_all_parts_once_and_side_by_side(threads):
    threads(3)
    seen, barrier = [], threading.Barrier(3, timeout=30)

    def run(first: int, count: int) -> None:
        barrier.wait()  # breaks, unless three run at the same time
        seen.append((first, count))

    over_shares(run, 10, work=3 * module.SHARE)
    assert sorted(seen) == [(0, 3), (3, 3), (6, 4)]


def test_little_work_stays_on_one_thread(threads):
    threads(3)
    where = []
    over_shares(lambda first, count: where.append((threading.get_ident(), first, count)), 10, module.SHARE - 1)
    assert where == [(threading.get_ident(), 0, 10)]


def test_what_a_share_raises_is_raised(threads):
    threads(2)

    def run(first: int, count: int) -> None:
        if first:
            raise VQAudioError("the second share")

    with pytest.raises(VQAudioError, match="the second share"):
        over_shares(run, 2, 2 * module.SHARE)


@needs_kernel
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_starts_threads_of_its_own(threads):
    threads(2)
    vectors, codebook = torch.randn(3000, 64), torch.randn(512, 64)
    expected = nearest_codes(vectors, codebook)
    child = os.fork()
    if not child:
        os._exit(0 if torch.equal(nearest_codes(vectors, codebook), expected) else 1)
    ended = threading.Event()
    watch = threading.Timer(60, lambda: ended.is_set() or os.kill(child, 9))  # one that hangs ends, and fails
    watch.start()
    _, status = os.waitpid(child, 0)
    ended.set(), watch.cancel()
    assert status == 0


@needs_kernel
def test_a_wrong_instruction_set_is_named(monkeypatch):
    kernel_available.cache_clear()
    monkeypatch.setenv(csrc.CHOICE, "avx3")
    with pytest.raises(VQAudioError, match="VQAUDIO_INSTRUCTIONS: got 'avx3'"):
        nearest_codes(*data())
