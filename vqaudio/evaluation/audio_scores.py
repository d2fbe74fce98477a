"""The scores of audio that the decoder made of units: reconstructions, and conversions to other voices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vqaudio.corpus import DataDir, Utterance
from vqaudio.corpus.reading import utterance_seconds
from vqaudio.evaluation.audio_statistics import compare_audio
from vqaudio.evaluation.heldout import read_waveforms, spread_evenly
from vqaudio.evaluation.optional import NotMeasured, load_optional
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.resynthesis import Pair, draw_pairs, read_conversions, read_pairs
from vqaudio.evaluation.uncertainty import ratio_interval

if TYPE_CHECKING:
    from vqaudio.evaluation.intelligibility import Intelligibility
    from vqaudio.evaluation.recognisers import Reading
    from vqaudio.evaluation.scorecard import Scorecard
    from vqaudio.evaluation.speaker_similarity import SpeakerSimilarity

logger = logging.getLogger(__name__)

AUDIO_SECONDS = 300.0
"""Audio of reconstructions, and of conversions, that is compared."""
RATED = 20
"""Utterances, spread evenly, whose opinion is predicted, which takes longest."""
ENROLLED = 6
"""Recordings of each speaker by which voices are told."""
ENROLLED_SECONDS = 1.0
"""The least that a recording must last to tell a voice by, where a speaker has such recordings."""
WORLD = ("mcd_db", "f0_rmse_cents", "gross_pitch_error", "voicing_error")
OPINIONS = ("mos", "mos_natural")
WORDS = ("wer", "wer_natural", "wer_over_natural", "cer", "cer_natural")
VOICES = ("speaker_similarity_own", "speaker_similarity_others", "speaker_similarity_natural")
TARGETS = {
    "conversion_similarity_target": "target",
    "conversion_similarity_source": "source",
    "conversion_over_source_share": "over_source",
    "conversion_target_share": "is_target",
}
"""What is told of conversions, by which figure of `SpeakerSimilarity.conversions`."""
CONVERTED_WORDS = ("conversion_wer", "conversion_wer_natural", "conversion_cer")


def measure_reconstruction(card: Scorecard) -> Results:
    """Return how near the reconstructions that there are come to the recordings, and draw a few."""
    results, folder, rate = Results(), card.experiment.resynthesis, card.spec.sample_rate
    with results.part("log_mel_distance_db", *WORLD, "stoi", *OPINIONS, *WORDS, *VOICES):
        pairs = read_pairs(card.heldout, folder, rate, AUDIO_SECONDS) if folder else []
        if not pairs:
            raise NotMeasured(f"no reconstruction of a held-out utterance in {folder} (`vqaudio decode` makes them)")
        if card.experiment.figures:
            drawn = [pair for pair in pairs if pair.id in card.units]
            draw_pairs(card.experiment.figures, drawn, card.units, rate, card.spec.hop_length)
        natural, made = [p.natural for p in pairs], [p.made for p in pairs]
        results.put_all(compare_audio(natural, made, rate))
        _compare_envelopes_and_pitch(results, pairs, rate)
        _rate_quality(results, natural, made, rate)
        _compare_voices(results, pairs, card)
        with results.part(*WORDS):
            words = _words(pairs, card)
            results.put("wer", words.wer.value, words.wer.interval)
            results.put("wer_natural", words.wer_natural.value, words.wer_natural.interval)
            results.put("wer_over_natural", words.wer_over_natural, words.wer_over_natural_interval)
            results.put("cer", words.cer.value, words.cer.interval)
            results.put("cer_natural", words.cer_natural.value, words.cer_natural.interval)
    return results


def measure_conversion(card: Scorecard) -> Results:
    """Return whose voice the conversions that there are have, and how many of the words."""
    results, folder, rate = Results(), card.experiment.conversion, card.spec.sample_rate
    with results.part(*TARGETS, *CONVERTED_WORDS, "conversion_mos"):
        pairs = read_conversions(card.heldout, folder, rate, AUDIO_SECONDS) if folder else []
        if not pairs:
            raise NotMeasured(f"no conversion of a held-out utterance in {folder} (`vqaudio convert` makes them)")
        _compare_with_targets(results, pairs, card)
        with results.part("conversion_mos"):
            from vqaudio.evaluation.perceptual import mos_prediction

            rating = mos_prediction(spread_evenly([p.made for p in pairs], RATED), rate)
            results.put("conversion_mos", rating.mean, rating.interval)
        with results.part(*CONVERTED_WORDS):
            words = _words(pairs, card)
            results.put("conversion_wer", words.wer.value, words.wer.interval)
            results.put("conversion_wer_natural", words.wer_natural.value, words.wer_natural.interval)
            results.put("conversion_cer", words.cer.value, words.cer.interval)
    return results


def _compare_envelopes_and_pitch(results: Results, pairs: Sequence[Pair], rate: int) -> None:
    from vqaudio.evaluation.cepstral import frame_distortions, mean_distortion, world_frames
    from vqaudio.evaluation.pitch import pitch_errors, pitch_scores

    with results.part(*WORLD):
        load_optional("pyworld")  # whose absence is the reason, not the silence of each recording
        distortions, errors = [], []
        for pair in pairs:
            try:
                frames = world_frames(pair.natural, rate), world_frames(pair.made, rate)
                distortions.append(frame_distortions(*frames))
                errors.append(pitch_errors(*frames))
            except NotMeasured as reason:  # one silent recording leaves the others
                logger.info("%s: spectral envelopes and pitch are not compared: %s", pair.id, reason)
        results.put("mcd_db", *mean_distortion(distortions))
        pitch = pitch_scores(errors)
        for key in WORLD[1:]:
            results.put(key, getattr(pitch, key), getattr(pitch, f"{key}_interval"))
        results.lack(WORLD[1:], "no frame is voiced in both recording and reconstruction")


def _rate_quality(results: Results, natural: list[np.ndarray], made: list[np.ndarray], rate: int) -> None:
    from vqaudio.evaluation.perceptual import mos_prediction, pesq_key, pesq_score, stoi_score

    ratings = {
        pesq_key(rate): lambda: pesq_score(natural, made, rate),
        "stoi": lambda: stoi_score(natural, made, rate),
        "mos": lambda: mos_prediction(spread_evenly(made, RATED), rate),
        "mos_natural": lambda: mos_prediction(spread_evenly(natural, RATED), rate),
    }
    for key, rate_all in ratings.items():
        with results.part(key):
            rating = rate_all()
            results.put(key, rating.mean, rating.interval)
            if rating.refused:
                logger.info("%s: %d of %d utterances refused: %s", key, len(rating.refused), len(natural),
                            "; ".join(sorted(set(rating.refused.values()))))  # fmt: skip


def _compare_voices(results: Results, pairs: Sequence[Pair], card: Scorecard) -> None:
    with results.part(*VOICES):
        own = [pair.speaker for pair in pairs]
        voices = _enrolled(card, own, {pair.id for pair in pairs})
        made = voices.own_and_others([pair.made for pair in pairs], card.spec.sample_rate, own)
        natural = voices.own_and_others([pair.natural for pair in pairs], card.spec.sample_rate, own)
        _put_means(results, dict(zip(VOICES, (made["own"], made["others"], natural["own"]), strict=True)))


def _compare_with_targets(results: Results, pairs: Sequence[Pair], card: Scorecard) -> None:
    """Compare voices, but for utterances that were to keep their own: whoever names one voice for all has such ones."""
    with results.part(*TARGETS):
        pairs = [pair for pair in pairs if pair.voice != pair.speaker]
        if not pairs:
            raise NotMeasured("every conversion is to the voice of the speaker who said it")
        sources, targets = [pair.speaker for pair in pairs], [pair.voice for pair in pairs]
        voices = _enrolled(card, [*sources, *targets], {pair.id for pair in pairs})
        figures = voices.conversions([pair.made for pair in pairs], card.spec.sample_rate, sources, targets)
        _put_means(results, {key: figures[name] for key, name in TARGETS.items()})


def _put_means(results: Results, figures: Mapping[str, np.ndarray]) -> None:
    for key, values in figures.items():
        heard = values[np.isfinite(values)]
        if not len(heard):
            raise NotMeasured("no speech was found in any of the utterances")
        results.put(key, *ratio_interval(heard, np.ones(len(heard))))


def _enrolled(card: Scorecard, speakers: Sequence[str], left_out: set[str]) -> SpeakerSimilarity:
    """Enrol all these speakers and the model's, by other recordings than those whose ids are `left_out`."""
    from vqaudio.evaluation.speaker_similarity import SpeakerSimilarity

    wanted = sorted({*speakers, *card.speakers})
    train = DataDir.load(card.experiment.train_dir).utterances if card.experiment.train_dir else []
    chosen = {name: choose_recordings(name, [*train, *card.heldout], left_out) for name in wanted}
    chosen = {name: found for name, found in chosen.items() if found}
    strangers = sorted(set(speakers) - chosen.keys())
    if strangers:
        raise NotMeasured(
            f"no other recording of {', '.join(strangers[:5])} to tell the voice by (--train_dir: the training set)"
        )
    if len(chosen) < 2:
        raise NotMeasured("one speaker alone: whose voice else could it be")
    rate = card.spec.sample_rate
    return SpeakerSimilarity({name: list(read_waveforms(found, rate)) for name, found in chosen.items()}, rate)


def choose_recordings(speaker: str, utterances: Sequence[Utterance], left_out: set[str]) -> list[Utterance]:
    """Return up to ENROLLED recordings of a speaker, long ones if there are, spread evenly over the list.

    Those whose ids are `left_out` are taken only where the speaker has no others.
    """
    own = [u for u in utterances if u.speaker == speaker]
    others = [u for u in own if u.id not in left_out] or own
    long = [u for u in others if utterance_seconds(u) >= ENROLLED_SECONDS] or others
    return spread_evenly(long, ENROLLED)


def _words(pairs: Sequence[Pair], card: Scorecard) -> Intelligibility:
    """Let the recogniser read recordings and what was made of them; compare both with the transcripts."""
    from vqaudio.evaluation.intelligibility import Item, intelligibility, read_aloud

    texts, languages = card.material.texts, card.material.languages
    if card.recogniser is None:
        raise NotMeasured("no recogniser given (--asr)")
    read = {f"{pair.id} {pair.voice}": pair for pair in pairs if pair.id in texts}
    if not read:
        raise NotMeasured("no transcripts (`text`) of these utterances")

    def readings(waveform: Callable[[Pair], np.ndarray]) -> dict[str, Reading]:
        rate = card.spec.sample_rate
        items = [Item(name, waveform(pair), rate, languages.get(pair.id)) for name, pair in read.items()]
        return read_aloud(card.recogniser, items, card.experiment.out, card.scope.progress)

    def known(of: Mapping[str, str]) -> dict[str, str]:
        return {name: of[pair.id] for name, pair in read.items() if pair.id in of}

    natural, made = readings(lambda pair: pair.natural), readings(lambda pair: pair.made)
    return intelligibility(known(texts), natural, made, known(card.material.speakers), known(languages))
