"""What a prior says when nobody asks: unit sequences drawn at several temperatures, beside held-out speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.copying import TrainingIndex, copied_units, looped_units
from vqaudio.evaluation.diversity import auto_bleus, self_bleus
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.uncertainty import DRAWS, LEVEL, Interval, bootstrap_interval, ratio_interval
from vqaudio.evaluation.unit_statistics import unit_counts
from vqaudio.units.runs import collapse

if TYPE_CHECKING:
    from vqaudio.models.prior import UnitPrior

TEMPERATURES = (0.7, 0.85, 1.0, 1.15)


class Sample(NamedTuple):
    """A sequence that the prior drew: speaker's index, units int64 (N,), N ≥ 0, and whether it ended by itself."""

    speaker: int
    units: np.ndarray
    ended: bool


class Figure(NamedTuple):
    """A figure and its bootstrap interval over utterances; None where there is none."""

    value: float
    interval: Interval | None


def sweep(
    prior: UnitPrior,
    unit_rate: float,
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    num: int = 64,
    max_seconds: float = 5.0,
    seed: int = 0,
    speakers: Sequence[int] | None = None,
) -> dict[float, list[Sample]]:
    """Draw `num` sequences of at most `max_seconds` at each temperature: temperature to its samples.

    The `speakers` (indices; by default all that the prior knows) take turns, as in `vqaudio sample`. A sequence has
    the same random numbers at each temperature, so that what differs is the temperature's doing.

    Raises:
        VQAudioError: no temperatures or speakers, ones that the prior cannot serve, `num` below 1, or `max_seconds`
            shorter than a unit.
    """
    from vqaudio.generation.prior import sample_units

    speakers = range(prior.num_speakers) if speakers is None else speakers
    if not temperatures or not len(speakers) or num < 1:
        raise VQAudioError(
            f"{num} samples at {len(temperatures)} temperatures of {len(speakers)} speakers, expected 1 or more of each"
        )
    max_units = math.floor(max_seconds * unit_rate)
    turns = list(islice(cycle(speakers), num))
    drawn = {}
    for temperature in temperatures:
        sequences = sample_units(prior, num, turns, max_units=max_units, seed=seed, temperature=temperature)
        # A sequence that fills all steps was cut: its end symbol, had there been one, would have taken one of them.
        drawn[temperature] = [Sample(s, u.numpy(), len(u) < max_units) for s, u in zip(turns, sequences, strict=True)]
    return drawn


def ended_share(samples: Sequence[Sample]) -> Figure:
    """Share of samples that the prior ended by itself before they were cut, in [0, 1]; NotMeasured for no samples."""
    if not samples:
        raise NotMeasured("no samples were drawn")
    return Figure(*ratio_interval([s.ended for s in samples], np.ones(len(samples))))


def index_training(train: Sequence[ArrayLike]) -> TrainingIndex:
    """Index the training units (N,) of each utterance, runs collapsed, for `describe_samples`."""
    return TrainingIndex([collapse(units)[0] for units in train])


def describe_samples(
    samples: Sequence[ArrayLike],
    heldout: Sequence[ArrayLike],
    training: TrainingIndex,
    codebook_size: int,
    unit_rate: float,
    max_seconds: float | None = None,
) -> dict[str, Figure]:
    """Describe unit sequences drawn from a prior, and held-out ones, with the suffix `_heldout`, as the yardstick.

    Runs of equal units are collapsed for all but the lengths: sequences are compared by what is said, not by how
    long each unit lasts. Sequences without units count for the lengths alone.

    Args:
        samples: sequences, each (N,) units in [0, codebook_size), N ≥ 0.
        heldout: the same of natural speech, ideally of the same speakers.
        training: what the prior has learned, from `index_training`.
        codebook_size: K.
        unit_rate: units per second, in Hz.
        max_seconds: where the samples were cut; held-out sequences are cut there too, since longer ones are less
            varied and the lengths would differ for no fault of the prior.

    Returns:
        self_bleu, auto_bleu, vert: see `diversity`; in [0, 1]. Of as many held-out sequences as samples, chosen
            evenly, or fewer of both where there are fewer, since self-BLEU grows with their number.
        copied_share: see `copying.copied_share`, of units without runs; in [0, 1].
        longest_copy_units: units, without runs, of the longest run that a sample shares with training.
        longest_copy_seconds: how long that one lasts in the sample. Not the longest in time: a unit held through a
            pause is no copy.
        loop_share: see `copying.loop_share`; in [0, 1].
        length_mean_seconds: mean length.
        length_distance_seconds: Wasserstein-1 distance of the distributions of lengths, samples to held-out: the
            seconds by which lengths must change, on average, to become the others. `_heldout`: what as many lengths
            have that are drawn from the held-out ones at random, and between which values most of them lie.

    Raises:
        NotMeasured: fewer than 2 samples or held-out sequences that hold units.
        UnitsError: units outside the codebook.
    """
    longest = None if max_seconds is None else math.floor(max_seconds * unit_rate)
    cut = [np.asarray(units)[:longest] for units in heldout]
    groups = [_Group.of(sequences, training, codebook_size, unit_rate) for sequences in (samples, cut)]
    count = min(len(group.contents) for group in groups)
    if count < 2:
        raise NotMeasured(f"{count} samples or held-out utterances with units, expected 2 or more of both")
    described: dict[str, Figure] = {}
    for group, suffix in zip(groups, ("", "_heldout"), strict=True):
        figures = (
            _diversity(group.evenly(count))
            | _repetition(group, unit_rate)
            | {"length_mean_seconds": _mean(group.seconds)}
        )
        described |= {key + suffix: figure for key, figure in figures.items()}
    return described | _length_distances(groups[0].seconds, groups[1].seconds)


class _Group(NamedTuple):
    """Sequences of one kind: lengths in seconds (S,); and, of those with units, what `_repetition` looks at."""

    seconds: np.ndarray
    contents: list[np.ndarray]  # without runs
    copied: list[np.ndarray]  # bool, whether each unit of the content is
    longest_copy: tuple[int, int]  # units without runs, and with them

    @classmethod
    def of(
        cls, sequences: Sequence[ArrayLike], training: TrainingIndex, codebook_size: int, unit_rate: float
    ) -> _Group:
        unit_counts(sequences, codebook_size)  # refuses units outside the codebook
        runs = [collapse(units) for units in sequences if len(units)]
        contents = [values for values, _ in runs]
        matches = training.match_lengths(contents)
        longest = max((_longest_match(m, d) for m, (_, d) in zip(matches, runs, strict=True)), default=(0, 0))
        seconds = np.array([len(units) for units in sequences]) / unit_rate
        return cls(seconds, contents, [copied_units(m) for m in matches], longest)

    def evenly(self, count: int) -> list[np.ndarray]:
        """Return `count` of the contents, spread over all."""
        return [self.contents[i] for i in np.linspace(0, len(self.contents) - 1, count).round().astype(int)]


def _longest_match(match_lengths: np.ndarray, durations: np.ndarray) -> tuple[int, int]:
    """Return the most runs that a match from any place (R,) covers, and how many units they are, runs counted."""
    ends = np.concatenate([[0], np.cumsum(durations)])
    starts = np.flatnonzero(match_lengths == match_lengths.max())
    runs = int(match_lengths.max())
    return runs, int((ends[starts + runs] - ends[starts]).max())


def _diversity(contents: list[np.ndarray]) -> dict[str, Figure]:
    """Return the figures of `diversity`; intervals are over sequences, their references being all others throughout."""
    among, within = self_bleus(contents), auto_bleus(contents)
    value = math.sqrt(among.mean() * within.mean())
    interval = bootstrap_interval(lambda picks: math.sqrt(among[picks].mean() * within[picks].mean()), len(contents))
    return {"self_bleu": _mean(among), "auto_bleu": _mean(within), "vert": Figure(value, interval)}


def _repetition(group: _Group, unit_rate: float) -> dict[str, Figure]:
    units = [len(content) for content in group.contents]
    loops = [looped_units(content).sum() for content in group.contents]
    return {
        "copied_share": Figure(*ratio_interval([copied.sum() for copied in group.copied], units)),
        "longest_copy_units": Figure(group.longest_copy[0], None),  # the bootstrap tells nothing about a maximum
        "longest_copy_seconds": Figure(group.longest_copy[1] / unit_rate, None),
        "loop_share": Figure(*ratio_interval(loops, units)),
    }


def _mean(values: np.ndarray) -> Figure:
    return Figure(*ratio_interval(values, np.ones(len(values))))


def _length_distances(samples: np.ndarray, heldout: np.ndarray) -> dict[str, Figure]:
    """Compare lengths (S,), in seconds, with held-out ones (H,): their distance, and that of S held-out ones at random.

    A distance has no interval: resampled lengths lie farther off than those they were drawn from.
    """
    from scipy.stats import wasserstein_distance

    generator = np.random.default_rng(0)
    chance = [wasserstein_distance(generator.choice(heldout, len(samples)), heldout) for _ in range(DRAWS)]
    low, high = np.quantile(chance, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {
        "length_distance_seconds": Figure(float(wasserstein_distance(samples, heldout)), None),
        "length_distance_seconds_heldout": Figure(float(np.mean(chance)), (float(low), float(high))),
    }
