"""Probes of units that tell all, nothing, and what can be counted by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.stats import binom

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.probes import language_probe, speaker_probe
from vqaudio.evaluation.unit_set import UnitSet

pytest.importorskip("sklearn")

VOICES = ("ann", "bob", "eve", "joe")


def unit_set(sequences, codes=16):
    return UnitSet({id: np.asarray(units) for id, units in sequences.items()}, codes, 50.0)


def random_units(ids, codes=16, length=60, seed=0):
    generator = np.random.default_rng(seed)
    return unit_set({id: generator.integers(codes, size=length) for id in ids}, codes)


def of_voices(each, voices=VOICES):
    return {f"{voice}-{i:03}": voice for voice in voices for i in range(each)}


def test_a_code_for_each_speaker_tells_the_speaker():
    speakers = of_voices(6)
    generator = np.random.default_rng(0)
    units = unit_set({id: [VOICES.index(voice), *generator.integers(4, 16, 3)] for id, voice in speakers.items()})
    probe = speaker_probe(units, speakers)
    assert probe == (1.0, 0.25, (1.0, 1.0), 4, 24)


def test_random_units_tell_nothing():
    speakers = of_voices(50)
    probe = speaker_probe(random_units(speakers), speakers)
    # A classifier without knowledge is right in binomially many of 200 cases, but for folds, which make it a little
    # worse: what it has seen more of is left less often.
    low, high = binom.ppf([1e-4, 1 - 1e-4], 200, 0.25) / 200
    assert low <= probe.accuracy <= high
    assert probe.interval[0] < probe.chance < probe.interval[1]


def test_it_is_scored_on_what_it_was_not_fitted_on():
    # Each utterance has a code of its own: fitted on itself, the probe would know every one.
    speakers = of_voices(10)
    units = unit_set({id: [i] * 5 for i, id in enumerate(speakers)}, codes=40)
    assert speaker_probe(units, speakers).accuracy < 0.5


def test_a_tendency_is_found_to_the_extent_that_it_is_there():
    # One unit an utterance, which in 70% of the cases is the speaker's own and else any speaker's: the best guess
    # is the speaker whose unit it is, right in 77.5%.
    speakers = of_voices(250)
    generator = np.random.default_rng(1)
    own = {id: VOICES.index(voice) for id, voice in speakers.items()}
    units = unit_set({id: [code if generator.random() < 0.7 else generator.integers(4)] for id, code in own.items()})
    probe = speaker_probe(units, speakers)
    best = np.mean([units.sequences[id][0] == code for id, code in own.items()])
    assert probe.accuracy == best  # four bags only: the classifier can but take the commonest speaker of each
    assert probe.interval == pytest.approx(  # normal: 1.96 standard deviations of 1,000 draws; ends within 0.006
        (best - 1.96 * np.sqrt(best * (1 - best) / 1000), best + 1.96 * np.sqrt(best * (1 - best) / 1000)), abs=0.006
    )


def test_chance_is_the_commonest_speakers_share():
    speakers = {f"a{i}": "ann" for i in range(7)} | {f"b{i}": "bob" for i in range(3)}
    probe = speaker_probe(random_units(speakers), speakers)
    assert (probe.chance, probe.classes, probe.utterances) == (0.7, 2, 10)


def test_the_order_of_utterances_and_names_of_speakers_do_not_matter():
    speakers = of_voices(12)
    units = random_units(speakers, length=20)
    turned = unit_set(dict(reversed(units.sequences.items())))
    renamed = {id: voice.upper() for id, voice in speakers.items()}
    probe = speaker_probe(units, speakers)
    assert probe == speaker_probe(turned, speakers) == speaker_probe(turned, renamed)
    assert 0 < probe.accuracy < 1  # else there would be nothing to differ


def test_a_speaker_of_one_utterance_is_left_out(caplog):
    speakers = of_voices(5) | {"zoe-0": "zoe"}
    with caplog.at_level(logging.INFO, "vqaudio.evaluation.probes"):
        probe = speaker_probe(random_units(speakers), speakers)
    assert (probe.classes, probe.utterances, probe.chance) == (4, 20, 0.25)
    assert "1 utterances are left out" in caplog.text


def test_a_speaker_of_two_utterances_is_recognised(recwarn):
    speakers = of_voices(9, ("ann", "bob")) | {"zoe-0": "zoe", "zoe-1": "zoe"}
    units = unit_set({id: ["ann", "bob", "zoe"].index(voice) * np.ones(8, int) for id, voice in speakers.items()})
    assert speaker_probe(units, speakers).accuracy == 1.0
    assert not recwarn.list  # scikit-learn warns of classes that are smaller than the number of folds


def test_speakers_of_utterances_without_units_are_not_looked_at():
    speakers = of_voices(4)
    units = random_units(speakers)
    assert speaker_probe(units, speakers) == speaker_probe(units, speakers | {"other": "zoe"})


@pytest.mark.parametrize(
    "speakers",
    [{"a": "ann", "b": "ann", "c": "ann"}, {"a": "ann", "b": "bob"}, {"a": "ann", "b": "ann", "c": "bob"}, {}],
)
def test_too_few_speakers_are_not_measured(speakers):
    with pytest.raises(NotMeasured, match=f"no 2 speakers of 2 utterances each among {len(speakers)} utterances"):
        speaker_probe(random_units(speakers), speakers)


def test_an_utterance_without_a_speaker_is_refused():
    units = random_units(["a", "b", "c"])
    for probe in (lambda: speaker_probe(units, {"a": "ann"}), lambda: language_probe(units, {"a": "ann"}, {})):
        with pytest.raises(VQAudioError, match="2 of 3 utterances have no speaker, such as b"):
            probe()


def in_languages(spoken, each):
    """Return speakers and languages of `each` utterances for every voice and language in `spoken`."""
    pairs = [(voice, language, f"{voice}-{language}-{i}") for voice, some in spoken for language in some for i in each]
    return {id: voice for voice, _, id in pairs}, {id: language for _, language, id in pairs}


def test_language_is_told_within_each_speaker():
    # A unit for each speaker's language: of every voice another one, and ann's English is bob's French.
    speakers, languages = in_languages([("ann", ["en", "es"]), ("bob", ["fr", "en"]), ("joe", ["it"])], range(6))
    own = {("ann", "en"): 1, ("ann", "es"): 2, ("bob", "fr"): 1, ("bob", "en"): 2, ("joe", "it"): 3}
    units = unit_set({id: [own[voice, languages[id]]] * 9 for id, voice in speakers.items()})
    # Classes: en, es and fr; joe speaks one language and is left out.
    assert language_probe(units, speakers, languages) == (1.0, 0.5, (1.0, 1.0), 3, 24)


def test_a_voice_alone_does_not_tell_the_language():
    # Each voice has one unit: over all utterances it would tell the language better than chance, within a voice never.
    speakers, languages = in_languages([("ann", ["en", "es"]), ("joe", ["it", "fr"])], range(20))
    units = unit_set({id: [3 if voice == "ann" else 7] * 9 for id, voice in speakers.items()})
    probe = language_probe(units, speakers, languages)
    assert probe.chance == 0.5
    assert probe.accuracy <= 0.5  # one answer for all of a fold, right for half of it


def test_chance_of_languages_is_each_speakers_commonest():
    speakers, languages = in_languages([("ann", ["en"]), ("bob", ["en"])], range(6))
    more, others = in_languages([("ann", ["es"]), ("bob", ["fr"])], range(2))
    speakers, languages = speakers | more, languages | others
    assert language_probe(random_units(speakers), speakers, languages).chance == 12 / 16


def test_utterances_of_unknown_language_are_left_out():
    speakers, languages = in_languages([("ann", ["en", "es"])], range(5))
    units = random_units([*speakers, "x"])
    assert language_probe(units, speakers | {"x": "ann"}, languages).utterances == 10


def test_speakers_of_one_language_are_not_measured():
    speakers, languages = in_languages([("ann", ["en"]), ("joe", ["it"])], range(5))
    with pytest.raises(NotMeasured, match="no speaker with 2 languages"):
        language_probe(random_units(speakers), speakers, languages)
    with pytest.raises(NotMeasured, match="no speaker with 2 languages"):
        language_probe(random_units(speakers), speakers, {})
