"""What units tell beside the words: linear probes for the speaker and the language."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured, load_optional
from vqaudio.evaluation.uncertainty import Interval, ratio_interval
from vqaudio.evaluation.unit_set import UnitSet

logger = logging.getLogger(__name__)

FOLDS = 5
STRENGTH = 10.0
"""Inverse of the penalty (scikit-learn's C): stronger ones tell less, weaker ones up to 100 about the same."""


class Probe(NamedTuple):
    """How often a linear classifier is right about utterances that it was not fitted on.

    Attributes:
        accuracy: share of utterances of which it is right, in [0, 1]; about `chance` where units do not tell.
        chance: the same for always answering the commonest class.
        interval: of the accuracy, by bootstrap over utterances, classifiers as they are; None for one utterance.
        classes: how many are told apart.
        utterances: how many were classified.
    """

    accuracy: float
    chance: float
    interval: Interval | None
    classes: int
    utterances: int


def speaker_probe(units: UnitSet, speakers: Mapping[str, str], seed: int = 0) -> Probe:
    """Tell the speaker of an utterance by its bag of units: how much of the voice is left in them.

    The linear classification of speakers by which representations of speech are examined (van den Oord, Li and
    Vinyals 2018, *Representation Learning with Contrastive Predictive Coding*, section 3.1; for units, Chorowski et
    al. 2019, *Unsupervised Speech Representation Learning Using WaveNet Autoencoders*, section IV). Here it sees how
    often each of the K codes occurs in an utterance, as the square root of its share, and neither their order nor
    their vectors: multinomial logistic regression with an L2 penalty (C = 10), fitted on four fifths of each
    speaker's utterances and scored on the others, five times. Chance is always answering the commonest speaker.

    Speakers who differ in language, text or recording are also told apart by those.

    Args:
        units: K codes.
        speakers: utterance to its speaker; those of other utterances are not looked at.
        seed: of the folds and of the interval.

    Raises:
        NotMeasured: fewer than 2 speakers with 2 utterances each, or scikit-learn is not installed.
        VQAudioError: an utterance without a speaker.
    """
    answers = _answers(units, _speakers_of(units, speakers), seed)
    if answers is None:
        raise NotMeasured(f"no 2 speakers of 2 utterances each among {len(units.sequences)} utterances")
    return _pooled([answers], seed)


def language_probe(units: UnitSet, speakers: Mapping[str, str], languages: Mapping[str, str], seed: int = 0) -> Probe:
    """Tell the language of an utterance by its bag of units, among utterances of the same voice.

    The classifier of `speaker_probe`, for each speaker of two or more languages on that speaker's utterances alone, so
    that the voice does not help; all answers are pooled. Chance is always answering each speaker's commonest language.
    `classes` counts the languages of these speakers. Where each language was recorded on another day, that tells too.

    Args:
        units: K codes.
        speakers: utterance to its speaker.
        languages: utterance to its language; utterances without one are left out.
        seed: of the folds and of the interval.

    Raises:
        NotMeasured: no speaker has 2 languages with 2 utterances each, or scikit-learn is not installed.
        VQAudioError: an utterance without a speaker.
    """
    voices: dict[str, dict[str, str]] = {}
    for utterance, speaker in _speakers_of(units, speakers).items():
        if utterance in languages:
            voices.setdefault(speaker, {})[utterance] = languages[utterance]
    several = [labels for _, labels in sorted(voices.items()) if len(set(labels.values())) > 1]
    bilingual = [answers for labels in several if (answers := _answers(units, labels, seed)) is not None]
    if not bilingual:
        raise NotMeasured("no speaker with 2 languages (utt2lang) of 2 utterances each")
    return _pooled(bilingual, seed)


class _Answers(NamedTuple):
    """What classifiers said of utterances that they were not fitted on, strings (n,), and what is right."""

    given: np.ndarray
    right: np.ndarray


def _answers(units: UnitSet, labels: Mapping[str, str], seed: int) -> _Answers | None:
    """Classify the utterances of `labels`; None where fewer than two labels have two utterances each."""
    sizes = Counter(labels.values())
    kept = sorted(utterance for utterance in labels if sizes[labels[utterance]] > 1)
    if len(kept) < len(labels):
        logger.info("%d utterances are left out of a probe: no other has their label", len(labels) - len(kept))
    right = np.array([labels[utterance] for utterance in kept])
    if len(set(right)) < 2:
        return None
    bags = np.stack([_bag(units.sequences[utterance], units.codebook_size) for utterance in kept])
    return _Answers(_predictions(bags, right, seed), right)


def _bag(sequence: np.ndarray, codebook_size: int) -> np.ndarray:
    """Return the square roots of the shares of the codes, float64 (K,), of length 1.

    Their distance is Hellinger's, which keeps the few frequent codes from drowning the rest, as in bags of visual
    words (Arandjelović and Zisserman 2012, *Three things everyone should know to improve object retrieval*).
    """
    return np.sqrt(np.bincount(sequence, minlength=codebook_size) / len(sequence))


def _predictions(bags: np.ndarray, right: np.ndarray, seed: int) -> np.ndarray:
    """Return the label given to each bag (n, K) by a classifier that was fitted on the other folds, strings (n,)."""
    linear_model = load_optional("sklearn.linear_model", "scikit-learn")
    selection = load_optional("sklearn.model_selection", "scikit-learn")
    folds = min(FOLDS, max(Counter(right.tolist()).values()))
    split = selection.StratifiedKFold(folds, shuffle=True, random_state=seed)
    classifier = linear_model.LogisticRegression(C=STRENGTH, max_iter=1000)
    with warnings.catch_warnings():
        # A label of fewer utterances than folds is in some folds only: at least one of them is left to be fitted on.
        warnings.filterwarnings("ignore", message="The least populated class")
        return selection.cross_val_predict(classifier, bags, right, cv=split)


def _pooled(answers: Sequence[_Answers], seed: int) -> Probe:
    correct = np.concatenate([answer.given == answer.right for answer in answers])
    commonest = sum(max(Counter(answer.right.tolist()).values()) for answer in answers)
    accuracy, interval = ratio_interval(correct, np.ones(len(correct)), seed=seed)
    classes = len({label for answer in answers for label in answer.right.tolist()})
    return Probe(accuracy, commonest / len(correct), interval, classes, len(correct))


def _speakers_of(units: UnitSet, speakers: Mapping[str, str]) -> dict[str, str]:
    """Return utterance to speaker, of the utterances with units."""
    unknown = sorted(units.sequences.keys() - speakers.keys())
    if unknown:
        raise VQAudioError(f"{len(unknown)} of {len(units.sequences)} utterances have no speaker, such as {unknown[0]}")
    return {utterance: speakers[utterance] for utterance in units.sequences}
