"""How well units and phones go together, by the metrics of HuBERT: mutual information and purities.

Hsu et al. (2021), *HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units*,
arXiv:2106.07447, section IV-E. Every metric here takes the counts (K, P) of code and phone together
(`phone_mapping.joint_counts`); p(c, p) are their shares.

These figures are taken on the very data that they describe, and are too high where data are few: codes and phones
that have nothing to do with each other still share about (K - 1)(P - 1) / 2n nats in n units (Miller 1955, *Note on
the bias of information estimates*; K and P are those that occur), and a code that occurs once is pure. Hold them
against the same figures of `phone_mapping.shuffle_in_time`; `phone_mapping.phone_accuracy` has no such bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from vqaudio.errors import UnitsError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.phone_mapping import label_units
from vqaudio.evaluation.phone_sets import Alignments
from vqaudio.evaluation.uncertainty import LEVEL, Interval
from vqaudio.evaluation.unit_set import UnitSet


def phone_normalised_mutual_information(counts: ArrayLike) -> float:
    """PNMI = I(phone; code) / H(phone), the share of what is uncertain about a phone that its code tells; in [0, 1].

    0 where code and phone are independent, 1 where each code occurs with one phone alone (section IV-E, eq. 12).

    Raises:
        NotMeasured: there is one phone alone, of which nothing is uncertain.
        UnitsError: `counts` are no counts (K, P), or all 0.
    """
    joint = _shares(counts)
    code, phone = joint.sum(axis=1), joint.sum(axis=0)
    if np.count_nonzero(phone) < 2:
        raise NotMeasured("one phone alone: nothing is uncertain about it")
    phone_entropy = _entropy(phone)
    information = phone_entropy + _entropy(code) - _entropy(joint)
    return min(1.0, max(0.0, float(information / phone_entropy)))  # rounding may leave [0, 1]


def phone_purity(counts: ArrayLike) -> float:
    """Share of units on the commonest phone of their code, Σ_c max_p p(c, p); in (0, 1] (section IV-E, eq. 8).

    The accuracy of codes as phones, were each taken for its likeliest on these very units. Only comparable between
    codebooks of one size: with a code for every unit it is 1. Raises UnitsError as above.
    """
    return float(_shares(counts).max(axis=1).sum())


def cluster_purity(counts: ArrayLike) -> float:
    """Share of units that have the commonest code of their phone, Σ_p max_c p(c, p); in (0, 1] (section IV-E, eq. 9).

    The counterpart of `phone_purity`: it falls as codes get more. Raises UnitsError as above.
    """
    return float(_shares(counts).max(axis=0).sum())


def speaker_interval(
    metric: Callable[[np.ndarray], float], units: UnitSet, alignments: Alignments, speakers: Mapping[str, str]
) -> Interval:
    """95% interval of one of the metrics above over speakers: figure ± t · its jackknife standard error.

    The jackknife leaves out one speaker at a time, and t is Student's of one degree of freedom less than speakers
    (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 11). A bootstrap is not for these figures:
    its samples hold fewer distinct units, to which the codes fit better still, and lie above the figure itself. The
    bias from few data (see above) is in the interval as it is in the figure.

    Raises:
        NotMeasured: no unit has a phone, or fewer than 2 speakers have such units.
        VQAudioError: an utterance without a speaker.
    """
    from scipy.stats import t

    labelled = label_units(units, alignments)
    place, names = labelled.speakers(speakers)
    whole, count = metric(labelled.counts()), len(names)
    left = np.array([metric(labelled.counts(place != speaker)) for speaker in range(count)])
    error = np.sqrt((count - 1) / count * np.sum((left - left.mean()) ** 2))
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1) * error)
    return max(0.0, whole - reach), min(1.0, whole + reach)


def _entropy(shares: np.ndarray) -> float:
    """Entropy in nats of shares that sum to 1."""
    positive = shares[shares > 0]
    return float(-np.sum(positive * np.log(positive)))


def _shares(counts: ArrayLike) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer):
        raise UnitsError(f"counts of shape {counts.shape} and type {counts.dtype}, expected integers (K, P)")
    if counts.size == 0 or counts.min() < 0 or counts.sum() == 0:
        raise UnitsError(f"counts that sum to {counts.sum()}, expected 0 or more in each cell and not all 0")
    return counts / counts.sum()
