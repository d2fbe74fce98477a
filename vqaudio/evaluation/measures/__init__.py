"""The figures of `results.json`: the name, unit, meaning and good direction of each."""

from __future__ import annotations

from vqaudio.evaluation.measures.content import CONTENT
from vqaudio.evaluation.measures.conversion import CONVERSION
from vqaudio.evaluation.measures.measure import Measure
from vqaudio.evaluation.measures.prior import PRIOR
from vqaudio.evaluation.measures.reconstruction import RECONSTRUCTION
from vqaudio.evaluation.measures.samples import SAMPLES
from vqaudio.evaluation.measures.speed import SPEED
from vqaudio.evaluation.measures.units import UNITS

__all__ = ["GROUPS", "MEASURES", "SAMPLES", "SCOPE", "Measure"]

GROUPS = {
    "Units": UNITS,
    "What the units know": CONTENT,
    "Reconstruction": RECONSTRUCTION,
    "Voice conversion": CONVERSION,
    "Prior": PRIOR,
    "Speed": SPEED,
}
"""The tables of the report, in their order; samples have one of their own, a column for each temperature."""

MEASURES = {measure.key: measure for group in (*GROUPS.values(), SAMPLES) for measure in group}
"""Every figure by its key."""

SCOPE = ("heldout_utterances", "heldout_seconds")
"""How many utterances, and seconds of audio, the figures were measured on: the report says it in its first line."""
