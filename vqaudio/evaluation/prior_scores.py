"""The scores of a prior: what it predicts, and what its unconditional samples are like at several temperatures."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from vqaudio.audio.io import write_wav
from vqaudio.corpus import Utterance
from vqaudio.evaluation.copying import TrainingIndex
from vqaudio.evaluation.heldout import read_waveforms, spread_evenly
from vqaudio.evaluation.ngram import KneserNey
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.prior import utterance_prior_bits
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.uncertainty import ratio_interval
from vqaudio.evaluation.unconditional import Sample, describe_samples, ended_share, index_training, sweep
from vqaudio.evaluation.unit_statistics import nominal_bitrate, prior_bitrate, unigram_bits_per_unit, unit_counts
from vqaudio.generation.decode import generate_waveforms
from vqaudio.models.folder import load_prior, speaker_index
from vqaudio.models.prior import UnitPrior
from vqaudio.units.spec import UnitSpec, check_compatible
from vqaudio.units.text import write_units

if TYPE_CHECKING:
    from vqaudio.evaluation.scorecard import Scorecard

logger = logging.getLogger(__name__)

NGRAMS = {"prior_bits_bigram": 2, "prior_bits_trigram": 3}
OF_PRIOR = ("prior_bits_per_unit", "prior_end_bits_per_utterance", "bitrate_prior")
OF_COUNTS = ("unigram_bits_per_unit", "prior_bits_unigram", *NGRAMS)
OF_UNITS = ("self_bleu", "auto_bleu", "vert", "copied_share", "longest_copy_units", "longest_copy_seconds",
            "loop_share", "length_mean_seconds", "length_distance_seconds")  # fmt: skip
HELDOUT = "held-out"
"""The column of the sweep that holds recorded speech."""
SHUFFLED = "shuffled"
"""The column of speech decoded from held-out units in no order: what the decoder makes of units without a prior."""
DECODER_TEMPERATURE = 0.7
"""Temperature of the decoder, as recipes set it: the sweep is the prior's."""


def measure_prior(card: Scorecard) -> Results:
    """Return the bits per held-out unit of the prior, and those of models that see less."""
    results = Results()
    sequences = [card.units[u.id] for u in card.scored]
    codes, rate = card.spec.codebook_size, card.spec.unit_rate
    results.put("prior_bits_uniform", nominal_bitrate(1, codes))
    with results.part(*OF_COUNTS):
        _measure_counts(results, list(card.train_units.values()), sequences, codes)
    with results.part(*OF_PRIOR):
        prior, speakers = _load_prior(card)
        card.require_known_speakers("the prior", speakers)
        indices = [speaker_index(speakers, u.speaker) for u in card.scored]
        bits, end_bits = utterance_prior_bits(prior, [torch.from_numpy(s) for s in sequences], indices)
        value, interval = ratio_interval(bits, [len(s) for s in sequences], seed=card.scope.seed)
        results.put("prior_bits_per_unit", value, interval)
        results.put("prior_end_bits_per_utterance", end_bits.mean())
        results.put("bitrate_prior", prior_bitrate(value, rate))
    return results


def _measure_counts(results: Results, train: list[np.ndarray], heldout: list[np.ndarray], codes: int) -> None:
    if not train:
        raise NotMeasured("no units of a training set")
    unigram = unigram_bits_per_unit(unit_counts(train, codes), unit_counts(heldout, codes))
    results.put("unigram_bits_per_unit", unigram)
    results.put("prior_bits_unigram", unigram)
    for key, order in NGRAMS.items():
        bits = KneserNey(order, codes).fit(train).utterance_bits(heldout)
        results.put(key, *ratio_interval(bits, [len(units) for units in heldout]))


def measure_samples(card: Scorecard) -> Results:
    """Draw unconditional samples at each temperature, decode some of them into files, and score all."""
    results, scope = Results(), card.scope
    with results.part("sweep"):
        prior, speakers = _load_prior(card)
        if not card.train_units:
            raise NotMeasured("no units of a training set")
        training = index_training(list(card.train_units.values()))
        drawn = sweep(
            prior, card.spec.unit_rate, temperatures=scope.temperatures, num=scope.num_samples,
            max_seconds=scope.sample_seconds, seed=scope.seed,
        )  # fmt: skip
        results.sweep[HELDOUT] = Results()
        for temperature, samples in drawn.items():
            part = results.sweep[f"{temperature:g}"] = Results()
            _describe(part, results.sweep[HELDOUT], samples, card, training)
            spoken = _speak(card, samples, speakers, temperature)
            _rate(part, spoken, card)
        shuffled = results.sweep[SHUFFLED] = Results()
        _rate(shuffled, _disordered(card), card)
        _rate(results.sweep[HELDOUT], _recorded(card), card)
        results.sweep[HELDOUT] = results.sweep.pop(HELDOUT)  # the last column
    return results


def _describe(
    part: Results, heldout: Results, samples: Sequence[Sample], card: Scorecard, training: TrainingIndex
) -> None:
    with part.part(*OF_UNITS):
        figures = describe_samples(
            [s.units for s in samples], list(card.units.values()), training, card.spec.codebook_size,
            card.spec.unit_rate, card.scope.sample_seconds,
        )  # fmt: skip
        for key, figure in figures.items():
            where = heldout if key.endswith("_heldout") else part
            where.put(key.removesuffix("_heldout"), figure.value, figure.interval)
    part.put("ended_share", *ended_share(samples))


def _speak(card: Scorecard, samples: Sequence[Sample], speakers: Sequence[str], temperature: float) -> list[np.ndarray]:
    """Decode the first samples, one voice after the other, into a folder of their own; return their waveforms."""
    digits = len(str(len(samples) - 1))
    names = [f"sample-{i:0{digits}d}-{speakers[s.speaker]}" for i, s in enumerate(samples)]
    chosen = [i for i, s in enumerate(samples) if len(s.units)][: card.scope.num_spoken]
    if not chosen:
        return []
    voices = [speaker_index(card.speakers, speakers[samples[i].speaker]) for i in chosen]
    units = [torch.from_numpy(samples[i].units) for i in chosen]
    made = generate_waveforms(
        card.model, units, voices, keys=[names[i] for i in chosen], seed=card.scope.seed,
        temperature=DECODER_TEMPERATURE,
    )  # fmt: skip
    waveforms = [w.cpu().numpy() for w in made]
    folder = card.experiment.unconditional
    if folder is not None:
        _write(folder / f"temperature-{temperature:g}", [names[i] for i in chosen], waveforms, units, card.spec)
    return waveforms


def _write(folder: Path, names: list[str], waveforms: list[np.ndarray], units: list, spec: UnitSpec) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier scoring, which may have had more
    for name, waveform in zip(names, waveforms, strict=True):
        write_wav(folder / f"{name}.wav", waveform, spec.sample_rate)
    write_units(folder / "units", [(n, u.numpy()) for n, u in zip(names, units, strict=True)], spec)


def _recorded(card: Scorecard) -> list[np.ndarray]:
    """Return as many held-out recordings as samples are decoded, spread evenly, cut where samples are cut."""
    longest = round(card.scope.sample_seconds * card.spec.sample_rate)
    return [waveform[:longest] for waveform in read_waveforms(_chosen(card), card.spec.sample_rate)]


def _disordered(card: Scorecard) -> list[np.ndarray]:
    """Decode the units of the same recordings, each recording's in random order, one voice after the other."""
    longest = round(card.scope.sample_seconds * card.spec.unit_rate)
    ids = [u.id for u in _chosen(card) if len(card.units[u.id])]
    generator = np.random.default_rng(card.scope.seed)
    units = [torch.from_numpy(generator.permutation(card.units[id])[:longest]) for id in ids]
    voices = [i % len(card.speakers) for i in range(len(ids))]
    made = generate_waveforms(
        card.model, units, voices, keys=[f"shuffled {id}" for id in ids], seed=card.scope.seed,
        temperature=DECODER_TEMPERATURE,
    )  # fmt: skip
    return [w.cpu().numpy() for w in made]


def _chosen(card: Scorecard) -> list[Utterance]:
    return spread_evenly(card.scored, card.scope.num_spoken * len(card.scope.temperatures))


def _rate(part: Results, waveforms: list[np.ndarray], card: Scorecard) -> None:
    """Put what can be told of waveforms without knowing what they should say."""
    from vqaudio.evaluation.intelligibility import mean_confidence
    from vqaudio.evaluation.perceptual import mos_prediction
    from vqaudio.evaluation.voice_activity import pooled_speech_share

    rate = card.spec.sample_rate
    if not waveforms:
        part.lack(("speech_share", "asr_confidence", "sample_mos"), "no sample has a unit")
        return
    with part.part("speech_share"):
        part.put("speech_share", *pooled_speech_share(waveforms, rate))
    with part.part("sample_mos"):
        rating = mos_prediction(waveforms, rate)
        part.put("sample_mos", rating.mean, rating.interval)
    with part.part("asr_confidence"):
        part.put("asr_confidence", *mean_confidence(card.recogniser, waveforms, rate, card.experiment.out))


def _load_prior(card: Scorecard) -> tuple[UnitPrior, list[str]]:
    folder = card.experiment.prior
    if folder is None:
        raise NotMeasured("no prior of these units (`vqaudio train-prior` makes one)")
    prior, speakers, about = load_prior(folder, card.device)
    check_compatible(UnitSpec.of_prior(about, folder), card.spec, f"the units that the prior {folder} learned")
    return prior, speakers
