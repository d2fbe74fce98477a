"""vqaudio learns discrete units of speech from raw waveforms, and speaks with them.

import vqaudio
model = vqaudio.load("recipes/asterisk/exp/vqvae_8k/model")
units = model.encode(waveform, sample_rate)
audio = model.decode(units, speaker="allison")
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Model", "Prior", "load", "load_prior", "__version__"]

if TYPE_CHECKING:
    from vqaudio.api import Model, Prior, load, load_prior


def __getattr__(name: str):
    # torch takes seconds to import: `vqaudio --help` and `vqaudio.__version__` do without it.
    if name in __all__:
        from vqaudio import api

        return getattr(api, name)
    raise AttributeError(f"module 'vqaudio' has no attribute {name!r}")
