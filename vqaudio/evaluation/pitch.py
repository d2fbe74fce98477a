"""Whether a reconstruction keeps the melody of its recording: errors of voicing and of fundamental frequency (F0)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.evaluation.cepstral import WorldFrames, audible_frames, check_same_frames, world_frames
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import Interval, ratio_interval

GROSS = 0.2
"""Least deviation of a gross pitch error, as a share of the recording's F0."""


@dataclass(frozen=True)
class PitchErrors:
    """What differs between two utterances, in frames of 5 ms: counts, so that utterances can be summed.

    Attributes:
        frames: in which the recording is audible.
        voicing_errors: of those, voiced in one of the two and unvoiced in the other.
        voiced: of those, voiced in both.
        gross_errors: of the voiced, F0 off by more than 20%.
        squared_cents: sum over the voiced of (1200 log2(F0' / F0))².
    """

    frames: int
    voicing_errors: int
    voiced: int
    gross_errors: int
    squared_cents: float


@dataclass(frozen=True)
class PitchScores:
    """Errors of pitch of one or more reconstructions, each beside its interval, None for a single utterance.

    `f0_rmse_cents` and `gross_pitch_error` are None where no frame is voiced in both.
    """

    f0_rmse_cents: float | None
    gross_pitch_error: float | None
    voicing_error: float
    f0_rmse_cents_interval: Interval | None = None
    gross_pitch_error_interval: Interval | None = None
    voicing_error_interval: Interval | None = None


def compare_pitch(natural: ArrayLike, reconstructed: ArrayLike, sample_rate: int) -> PitchScores:
    """Compare the F0 of a reconstruction (T,) with that of its recording (T,), frame by frame of 5 ms.

    - f0_rmse_cents: root mean square of 1200 log2(F0' / F0), in hundredths of a semitone, over the frames voiced in
      both; 0 for the same melody. Cents and not Hz, for the ear hears ratios: in Hz, the same fault would count twice
      as much in a voice an octave higher. Octave errors, 1200 cents each, are in it.
    - gross_pitch_error: share of the frames voiced in both whose F0 is off by more than 20% (Rabiner, Cheng, Rosenberg
      and McGonegal 1976, *A comparative performance study of several pitch detection algorithms*, who count
      deviations of 1 ms of the period; 20% is the form of Nakatani et al. 2008, *A method for fundamental frequency
      estimation and voicing decision: application to infant utterances recorded in real acoustical environments*), in
      [0, 1].
    - voicing_error: share of the frames that are voiced in one and unvoiced in the other, in [0, 1] (Nakatani et al.).

    Frames in which the recording is silent are left out (`cepstral.audible_frames`), so that long pauses do not flatter
    a reconstruction. F0 is that of WORLD's DIO and StoneMask, from 71 to 800 Hz (`cepstral.world_frames`).

    Raises:
        VQAudioError: no mono waveforms of the same length.
        NotMeasured: pyworld cannot be imported, or the recording is silent.
    """
    return pitch_scores([pitch_errors(world_frames(natural, sample_rate), world_frames(reconstructed, sample_rate))])


def pitch_errors(natural: WorldFrames, reconstructed: WorldFrames) -> PitchErrors:
    """Count the errors of pitch of one utterance; raises as `compare_pitch`."""
    check_same_frames(natural, reconstructed)
    audible = audible_frames(natural)
    a, b = natural.f0[audible], reconstructed.f0[audible]  # (S,)
    both = (a > 0) & (b > 0)
    ratio = b[both] / a[both]
    return PitchErrors(
        frames=len(a),
        voicing_errors=int(np.sum((a > 0) != (b > 0))),
        voiced=len(ratio),
        gross_errors=int(np.sum(np.abs(ratio - 1) > GROSS)),
        squared_cents=float(np.sum((1200 * np.log2(ratio)) ** 2)),
    )


def pitch_scores(errors: Sequence[PitchErrors]) -> PitchScores:
    """Summarise utterances, all frames alike, with bootstrap intervals over the utterances.

    Raises NotMeasured where there are none.
    """
    if not errors:
        raise NotMeasured("no reconstructions to compare")
    voicing = ratio_interval([e.voicing_errors for e in errors], [e.frames for e in errors])
    voiced = [e.voiced for e in errors]
    if not any(voiced):
        return PitchScores(None, None, voicing[0], voicing_error_interval=voicing[1])
    gross = ratio_interval([e.gross_errors for e in errors], voiced)
    square, ends = ratio_interval([e.squared_cents for e in errors], voiced)
    return PitchScores(
        math.sqrt(square),
        gross[0],
        voicing[0],
        (math.sqrt(ends[0]), math.sqrt(ends[1])) if ends else None,
        gross[1],
        voicing[1],
    )
