"""Engines are chosen by name, and a wrong name is answered with the right ones."""

from __future__ import annotations

import pytest

from tests.generation.conftest import random_stack
from vqaudio.config import StackConfig
from vqaudio.errors import VQAudioError
from vqaudio.generation import choose_engine, pack
from vqaudio.generation.engine import ENGINES, batches


@pytest.fixture
def packed():
    return pack(random_stack(StackConfig(2, 1, 4, 4, 4), 5, 5))


def test_auto_is_the_first_engine(packed):
    assert choose_engine(packed).name == next(iter(ENGINES))


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_goes_by_its_name(packed, name):
    assert choose_engine(packed, name).name == name


def test_an_unknown_engine_is_answered_with_the_known(packed):
    with pytest.raises(VQAudioError, match=r"engine: got 'tourch', expected one of auto, torch\. Did you mean 'torch'"):
        choose_engine(packed, "tourch")


def test_batches_are_all_items_in_order():
    assert [list(b) for b in batches([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    with pytest.raises(VQAudioError, match="batch_size: got 0"):
        list(batches([1], 0))
