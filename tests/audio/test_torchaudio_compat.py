"""torchaudio must work beside a torch for which its compiled half was not built."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vqaudio.audio import torchaudio_compat
from vqaudio.audio.torchaudio_compat import import_torchaudio
from vqaudio.errors import VQAudioError

BROKEN = """
import importlib.abc, sys
class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            raise OSError("libcudart.so.13: cannot open shared object file")
sys.meta_path.insert(0, Broken())
from vqaudio.audio.torchaudio_compat import import_torchaudio
module = import_torchaudio()
assert module is sys.modules["torchaudio"] and module is import_torchaudio()
print(module.transforms.MelSpectrogram(8000, 256, n_mels=20)(__import__("torch").zeros(1, 800)).shape[1])
"""


def test_transforms_and_functional_work():
    torchaudio = import_torchaudio()
    assert torchaudio.functional.melscale_fbanks(129, 0.0, 4000.0, 20, 8000).shape == (129, 20)
    assert torchaudio.transforms.MFCC(8000, n_mfcc=13)(torch.zeros(1, 8000)).shape[1] == 13


def test_an_extension_that_cannot_be_loaded_is_done_without():
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "20", done.stderr


def test_what_needs_the_extension_says_so():
    @torchaudio_compat._unavailable
    def forced_align():
        """Stands for one of torchaudio's compiled functions."""

    with pytest.raises(RuntimeError, match="forced_align needs its compiled extension"):
        forced_align()


def test_absence_is_a_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # makes `import torchaudio` raise ImportError
    import_torchaudio.cache_clear()
    try:
        with pytest.raises(VQAudioError, match="pip install torchaudio"):
            import_torchaudio()
    finally:
        import_torchaudio.cache_clear()
