"""Engines are chosen by name and by what serves; wrong names are answered with the right ones."""

from __future__ import annotations

import logging

import pytest

from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.errors import VQAudioError
from vqaudio.generation import choose_engine, engine, pack
from vqaudio.generation.engine import ENGINES, EngineUnavailable, batches


@pytest.fixture
def packed():
    return pack(random_stack(StackConfig(2, 1, 4, 4, 4), 5, 5))


@pytest.fixture
def lines(caplog, monkeypatch):
    """What is logged, nothing having been logged before."""
    monkeypatch.setattr(engine, "_said", set())
    caplog.set_level(logging.INFO, "vqaudio")
    return caplog


def without(monkeypatch, *names: str) -> None:
    """Make engines unavailable."""
    for name in names:
        monkeypatch.setitem(ENGINES, name, (f"vqaudio.no_{name}", "Engine", "cpu"))


def test_torch_serves_where_nothing_else_does(packed, monkeypatch, lines):
    without(monkeypatch, "compiled", "numba")
    assert choose_engine(packed).name == "torch"
    assert "engine: torch (cpu, float32), the fastest for cpu that serves" in lines.text
    assert "compiled: No module named" in lines.text


def test_the_choice_is_said_once(packed, lines):
    for _ in range(3):
        choose_engine(packed, "torch")
    assert lines.messages == ["engine: torch (cpu, float32), as asked for"]


def test_an_unknown_engine_is_answered_with_the_known(packed):
    with pytest.raises(VQAudioError, match=r"engine: got 'tourch', expected one of auto, .*\. Did you mean 'torch'"):
        choose_engine(packed, "tourch")


def test_an_unknown_precision_is_answered_with_the_known(packed):
    with pytest.raises(VQAudioError, match=r"precision: got 'bfloat', expected one of float32, bfloat16, int8\. Did"):
        choose_engine(packed, precision="bfloat")


def test_what_an_engine_lacks_is_said(packed):
    with pytest.raises(EngineUnavailable, match="torch has no int8, but float32"):
        choose_engine(packed, "torch", precision="int8")
    with pytest.raises(EngineUnavailable, match="engine cuda-graph runs on cuda, not on cpu"):
        choose_engine(packed, "cuda-graph")


def test_a_precision_that_no_engine_here_has_is_refused(packed, monkeypatch):
    without(monkeypatch, "compiled", "numba")
    with pytest.raises(VQAudioError, match=r"no engine keeps weights in int8 on cpu: compiled: .*torch has no int8"):
        choose_engine(packed, precision="int8")


@pytest.mark.parametrize("tokens", [5, None])
def test_an_engine_that_computes_something_else_is_found_out(tokens):
    made = choose_engine(pack(random_stack(StackConfig(2, 1, 4, 4, 4), tokens, 5)), "torch")
    engine._require_agreement(made)
    made.hidden = made.hidden + 0.1
    with pytest.raises(EngineUnavailable, match=r"torch is off by .* of the parameters' spread on cpu"):
        engine._require_agreement(made)


def test_batches_are_all_items_in_order():
    assert [list(b) for b in batches([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    with pytest.raises(VQAudioError, match="batch_size: got 0"):
        list(batches([1], 0))
