"""Unit sequences: their spec, their text files, their runs, and where they come from (`extract`).

`extract` is imported by its own name, so that reading units does not load the models.
"""

from vqaudio.units.runs import collapse, expand
from vqaudio.units.spec import UnitSpec, check_compatible
from vqaudio.units.text import read_frame_units, read_units, write_units

__all__ = [
    "UnitSpec",
    "check_compatible",
    "collapse",
    "expand",
    "read_frame_units",
    "read_units",
    "write_units",
]
