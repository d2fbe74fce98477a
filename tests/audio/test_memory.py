"""Room in memory: what fits is let through, and what does not is refused before it is taken."""

import resource

import pytest

from vqaudio.audio.memory import free_memory, require_memory
from vqaudio.errors import VQAudioError


def test_what_fits_is_let_through_and_what_does_not_is_named():
    require_memory(10**6, "a megabyte")
    with pytest.raises(VQAudioError, match=r"^the whole would take 1,000,000\.0 GB of memory, [\d.]+ GB are free$"):
        require_memory(10**15, "the whole")


def test_the_limit_of_the_process_counts(monkeypatch):
    before = free_memory()
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, 1))
    assert free_memory() < 0 < before
    with pytest.raises(VQAudioError, match=r"0\.0 GB are free"):
        require_memory(1, "a byte")
