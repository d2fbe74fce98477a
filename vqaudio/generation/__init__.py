"""Autoregressive generation: samples from units, and units from the prior.

Engines (`engine.py`) advance a batch of sequences over packed weights (`packed.py`); `decode.py` and `prior.py`
bring utterances to them and take the results away.
"""

from vqaudio.generation.decode import generate_waveforms, stream_waveforms
from vqaudio.generation.engine import Engine, choose_engine
from vqaudio.generation.packed import PackedStack, pack
from vqaudio.generation.prior import sample_units
from vqaudio.generation.state import SamplerState

__all__ = [
    "Engine",
    "PackedStack",
    "SamplerState",
    "choose_engine",
    "generate_waveforms",
    "pack",
    "sample_units",
    "stream_waveforms",
]
