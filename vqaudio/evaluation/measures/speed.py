"""How fast the model learns and speaks."""

from __future__ import annotations

from vqaudio.evaluation.measures.measure import Measure, number

SPEED = (
    Measure(
        "generation_rtf",
        "generation",
        "s/s",
        "lower",
        "real-time factor: seconds of computing per second of audio; below 1 it keeps up with listening",
        number(3),
    ),
    Measure("train_seconds", "training", "s", "lower", "wall-clock time of training the VQ-VAE", number(0)),
    Measure(
        "train_samples_per_second",
        "training speed",
        "samples/s",
        "higher",
        "samples of waveform that training took in per second",
        number(0),
    ),
)
