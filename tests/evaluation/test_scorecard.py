"""The scorecard: each figure is that of its measure, over the data that the report says."""

import dataclasses
import json
import math
import sys

import numpy as np
import pytest
import torch

from tests.small import CODES, HOP, RATE, SPEAKERS, small_prior, small_vqvae, sound, write_data
from vqaudio.audio.io import write_wav
from vqaudio.corpus import DataDir, Utterance
from vqaudio.errors import AudioError, UnitsError, VQAudioError
from vqaudio.evaluation import prior_scores
from vqaudio.evaluation import scorecard as module
from vqaudio.evaluation.agreement import batch_agreement
from vqaudio.evaluation.experiment import Experiment
from vqaudio.evaluation.heldout import choose_evenly
from vqaudio.evaluation.likelihood import bits_per_sample
from vqaudio.evaluation.measures import MEASURES, SAMPLES
from vqaudio.evaluation.prior import prior_bits_per_unit
from vqaudio.evaluation.results import Results
from vqaudio.evaluation.scorecard import Scope, Scorecard
from vqaudio.models.folder import save_model
from vqaudio.units import read_units, write_units
from vqaudio.units.extract import extract_units
from vqaudio.units.spec import UnitSpec

LENGTHS = {"anna-1": 40 * HOP, "anna-2": 31 * HOP - 7, "boris-1": 25 * HOP, "boris-2": 12 * HOP + 1}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Experiment:
    root = tmp_path_factory.mktemp("scorecard")
    model = small_vqvae()
    spec = UnitSpec.of_model(model)
    save_model(root / "model", model, SPEAKERS, {})
    save_model(root / "prior", small_prior(), SPEAKERS, {"units": dataclasses.asdict(spec)})
    extract_units(model, write_data(root / "data", LENGTHS), root / "units", progress=False)
    # a and b in one context, by both speakers: the least that ABX and phone accuracy ask for.
    marks = [f"{u} 1 {n * 0.01:.2f} 0.01 {phone}\n" for u in ("anna-1", "boris-1") for n, phone in enumerate("xayxby")]
    (root / "data/phones.ctm").write_text("".join(marks))
    (root / "data/utt2lang").write_text("anna-1 en\nanna-2 es\nboris-1 en\nboris-2 en\n")
    # Training units of which the counts are known: 0 thrice, 1, 2 and 3 once, twelve codes never.
    write_units(root / "train_units", [("anna-x", [0, 0, 1]), ("boris-x", [0, 2, 3])], spec)
    (root / "train.json").write_text(json.dumps({"train_seconds": 60.5, "train_samples_per_second": 1234.5}))
    for name, samples in LENGTHS.items():
        write_wav(root / "resynthesis" / f"{name}.wav", sound(-(-samples // HOP) * HOP, 7), RATE)
        other = SPEAKERS[name.startswith("anna")]
        write_wav(root / "conversion" / f"{name}-to-{other}.wav", sound(-(-samples // HOP) * HOP, 8), RATE)
    write_wav(root / "conversion" / "anna-1-to-anna.wav", sound(-(-LENGTHS["anna-1"] // HOP) * HOP, 8), RATE)
    (root / "resynthesis/generation.json").write_text(json.dumps({"rtf": 0.5}))
    places = {name: root / name for name in ("model", "prior", "units", "train_units", "resynthesis", "conversion")}
    return Experiment(
        **places, data_dir=root / "data", train_dir=root / "data", out=root, training=root / "train.json",
        figures=root / "figures", unconditional=root / "unconditional",
    )  # fmt: skip


SCOPE = Scope(temperatures=(0.5, 1.0), num_samples=6, num_spoken=2, sample_seconds=0.2)


@pytest.fixture(scope="module")
def results(experiment) -> Results:
    return Scorecard(experiment, scope=SCOPE).measure()


@pytest.fixture(scope="module")
def figures(results):
    return results.figures


def test_every_figure_is_measured_or_missing_with_a_reason(results, experiment):
    keys = MEASURES.keys() - {m.key for m in SAMPLES} - {"pesq_wideband"}  # the other one is for 16 kHz
    assert keys <= results.figures.keys()
    for key, value in results.figures.items():
        if value is None:
            assert results.not_measured[key], key
        else:
            assert math.isfinite(value), key
    assert sorted(path.stem for path in experiment.figures.iterdir()) == sorted(LENGTHS)


def test_without_a_recogniser_words_alone_are_missing_of_what_needs_no_package(results):
    always = ["abx_across", "phone_accuracy", "pnmi", "speaker_probe", "log_mel_distance_db", "bits_per_sample"]
    assert all(results.figures[key] is not None for key in always)
    assert results.not_measured["wer"] == results.not_measured["conversion_wer"] == "no recogniser given (--asr)"


def test_baselines_are_scored_as_the_units_are(results):
    assert set(results.baselines) == {"mfcc_kmeans", "logmel_kmeans"}
    for baseline in results.baselines.values():
        assert baseline.figures["codebook_size"] == CODES and baseline.figures["unit_rate_hz"] == RATE / HOP
        assert baseline.figures["phone_accuracy"] is not None


def test_samples_of_each_temperature_are_scored_and_can_be_heard(results, experiment):
    assert list(results.sweep) == ["0.5", "1", "shuffled", "held-out"]
    assert results.sweep["1"].figures["length_mean_seconds"] <= SCOPE.sample_seconds
    assert results.sweep["held-out"].figures["self_bleu"] is not None
    for temperature in ("0.5", "1"):
        folder = experiment.unconditional / f"temperature-{temperature}"
        assert len(list(folder.glob("sample-*.wav"))) == SCOPE.num_spoken
        assert sorted(read_units(folder / "units")[0]) == sorted(path.stem for path in folder.glob("*.wav"))


def test_samples_are_compared_with_held_out_units_in_no_order(experiment, monkeypatch):
    decoded = []
    monkeypatch.setattr(prior_scores, "generate_waveforms", lambda model, units, *_, **__: decoded.append(units) or [])
    card = Scorecard(experiment, scope=dataclasses.replace(SCOPE, sample_seconds=9))
    prior_scores._disordered(card)
    told = [card.units[u.id] for u in prior_scores._chosen(card)]
    assert len(told) == 4  # two samples at each of two temperatures
    assert all(np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(decoded[0], told, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(decoded[0], told))


def test_parts_can_be_left_out(experiment):
    everything = set(Scorecard(experiment).parts)
    card = Scorecard(experiment, scope=dataclasses.replace(SCOPE, skip=tuple(everything - {"speed"})))
    assert set(card.measure().figures) == {"train_seconds", "train_samples_per_second", "generation_rtf"}


def test_units_that_are_not_there_are_extracted(experiment, tmp_path):
    card = Scorecard(dataclasses.replace(experiment, units=tmp_path / "made"))
    expected, _ = read_units(experiment.units)
    assert all((card.units[id] == units).all() for id, units in expected.items())


def test_parts_that_are_not_there_are_named_all_at_once(experiment, tmp_path):
    with pytest.raises(VQAudioError, match=rf"model \({tmp_path / 'm'}\), train_units \({tmp_path / 'u'}\)"):
        Scorecard(dataclasses.replace(experiment, model=tmp_path / "m", train_units=tmp_path / "u"))


def test_strangers_have_no_likelihood_and_the_reason_names_them(experiment, tmp_path):
    write_data(tmp_path, {"carla-1": 40 * HOP})
    scope = dataclasses.replace(SCOPE, skip=("baselines", "agreement"))
    stranger = dataclasses.replace(experiment, data_dir=tmp_path, units=tmp_path / "units")
    results = Scorecard(stranger, scope=scope).measure()
    assert results.figures["bits_per_sample"] is None and results.figures["prior_bits_per_unit"] is None
    assert results.not_measured["bits_per_sample"] == "speakers unknown to the model: carla"
    assert results.figures["code_perplexity"] is not None


def test_the_codebook_is_scored_on_the_training_units(figures):
    p = np.array([3, 1, 1, 1]) / 6
    entropy = -(p * np.log2(p)).sum()
    assert figures["codebook_size"] == CODES
    assert figures["unit_rate_hz"] == RATE / HOP
    assert figures["code_usage"] == 4 / CODES
    assert figures["code_perplexity"] == pytest.approx(2**entropy)
    assert figures["bitrate_nominal"] == RATE / HOP * 4
    assert figures["bitrate_entropy"] == pytest.approx(RATE / HOP * entropy)


def test_units_agree_however_they_are_computed_and_all_utterances_count(figures):
    # Exactly 1: on a CPU in float32 the windows of the encoder are computed in one shape.
    assert figures["batch_agreement"] == figures["chunk_agreement"] == 1
    assert figures["heldout_utterances"] == 4
    assert figures["heldout_seconds"] == pytest.approx(sum(LENGTHS.values()) / RATE, abs=1e-3)


def test_agreement_of_groups_is_weighted_by_their_units(experiment, monkeypatch):
    seen = []

    def half_in_the_first_group(model, waveforms):
        assert batch_agreement(model, waveforms) == 1
        seen.append(len(waveforms))
        return 0.5 if len(seen) == 1 else 1.0

    monkeypatch.setattr(module, "GROUP", 1)
    monkeypatch.setattr(module, "batch_agreement", half_in_the_first_group)
    figures = Scorecard(experiment).measure_agreement().figures
    units = [-(-n // HOP) for n in LENGTHS.values()]
    assert seen == [1, 1, 1, 1]
    assert figures["batch_agreement"] == pytest.approx(1 - 0.5 * units[0] / sum(units))


def test_the_decoder_is_scored_on_heldout_audio(figures, experiment):
    model = small_vqvae()
    speakers = [SPEAKERS.index(id.split("-")[0]) for id in LENGTHS]
    heldout = [(torch.from_numpy(sound(n, i)), speakers[i]) for i, n in enumerate(LENGTHS.values())]
    for kind, key in (("true", ""), ("shuffled", "_shuffled_units"), ("zero", "_zero_units")):
        expected = bits_per_sample(model, heldout, "cpu", kind, seed=0)
        assert figures[f"bits_per_sample{key}"] == pytest.approx(expected, rel=1e-6)


def test_the_prior_and_its_yardstick_are_scored_on_heldout_units(figures, experiment):
    units, _ = read_units(experiment.units)
    speakers = [SPEAKERS.index(id.split("-")[0]) for id in units]
    scores = prior_bits_per_unit(small_prior(), [torch.from_numpy(u) for u in units.values()], speakers)
    assert figures["prior_bits_per_unit"] == pytest.approx(scores["bits_per_unit"])
    assert figures["prior_end_bits_per_utterance"] == pytest.approx(scores["end_bits_per_utterance"])
    p = (np.array([3, 1, 1, 1] + [0] * 12) + 0.5) / (6 + CODES / 2)
    joined = np.concatenate(list(units.values()))
    assert figures["unigram_bits_per_unit"] == pytest.approx(float(-np.log2(p[joined]).mean()))


def test_speeds_are_those_that_the_others_wrote(figures):
    assert (figures["train_seconds"], figures["train_samples_per_second"]) == (60.5, 1234.5)
    assert figures["generation_rtf"] == 0.5


def test_what_there_is_not_is_not_measured(experiment):
    bare = dataclasses.replace(experiment, prior=None, training=None, resynthesis=None, conversion=None)
    results = Scorecard(bare, scope=dataclasses.replace(SCOPE, skip=("baselines", "agreement"))).measure()
    figures = results.figures
    for key in ("prior_bits_per_unit", "train_seconds", "train_samples_per_second", "generation_rtf"):
        assert figures[key] is None and results.not_measured[key]
    assert figures["log_mel_distance_db"] is None


def test_likelihoods_are_bounded_by_seconds_of_audio(experiment):
    card = Scorecard(experiment, scope=Scope(max_seconds=60 * HOP / RATE))
    assert [u.id for u in card.scored] == ["anna-1", "boris-1"]
    assert card.measure_agreement().figures["heldout_utterances"] == 4


def test_utterances_without_units_are_left_out_of_likelihoods_and_the_log_says_so(experiment, tmp_path, caplog):
    units, spec = read_units(experiment.units)
    write_units(tmp_path, list(units.items())[1:], spec)
    card = Scorecard(dataclasses.replace(experiment, units=tmp_path))
    assert [u.id for u in card.scored] == ["anna-2", "boris-1", "boris-2"]
    assert "1 of 4 utterances have no units" in caplog.text
    write_units(tmp_path, [("other-1", units["anna-1"])], spec)
    with pytest.raises(UnitsError, match="no units of the utterances in"):
        Scorecard(dataclasses.replace(experiment, units=tmp_path))


def test_parts_of_another_experiment_are_refused(experiment, tmp_path):
    save_model(tmp_path / "model", small_vqvae(seed=1), SPEAKERS, {})
    with pytest.raises(UnitsError, match=f"{experiment.units} belong to another model"):
        Scorecard(dataclasses.replace(experiment, model=tmp_path / "model"))
    other = dataclasses.asdict(UnitSpec.of_model(small_vqvae(seed=1)))
    save_model(tmp_path / "prior", small_prior(), SPEAKERS, {"units": other})
    with pytest.raises(UnitsError, match=f"the units that the prior {tmp_path / 'prior'} learned belong to another"):
        Scorecard(dataclasses.replace(experiment, prior=tmp_path / "prior")).parts["prior"]()


@pytest.mark.parametrize(("text", "message"), [("{", "cannot be read"), ("[1]", "holds a list")])
def test_a_broken_record_is_named(experiment, tmp_path, text, message):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(VQAudioError, match=f"{tmp_path / 'train.json'}.*{message}"):
        Scorecard(dataclasses.replace(experiment, training=tmp_path / "train.json")).measure_speed()


def test_a_broken_recording_is_named(experiment, tmp_path):
    data = DataDir.load(experiment.data_dir)
    DataDir(data.utterances).write(tmp_path / "data")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    lines = (tmp_path / "data/wav.scp").read_text().splitlines()
    (tmp_path / "data/wav.scp").write_text("\n".join([f"anna-1 {broken}", *lines[1:]]) + "\n")
    with pytest.raises(AudioError, match=str(broken)):
        Scorecard(dataclasses.replace(experiment, data_dir=tmp_path / "data")).measure_agreement()


def utterances(*seconds: float) -> list[Utterance]:
    return [Utterance(str(i), "s", "none.wav", duration=s) for i, s in enumerate(seconds)]


@pytest.mark.parametrize(
    ("max_seconds", "chosen"), [(100, "012345"), (6, "012345"), (3, "024"), (1.5, "0"), (0.1, "0")]
)
def test_choosing_evenly(max_seconds, chosen):
    assert "".join(u.id for u in choose_evenly(utterances(*[1.0] * 6), max_seconds)) == chosen


def test_a_missing_package_is_the_reason_and_not_the_recordings(experiment, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)  # as if it were not installed
    scope = dataclasses.replace(SCOPE, skip=tuple(set(Scorecard(experiment).parts) - {"reconstruction"}))
    results = Scorecard(experiment, scope=scope).measure()
    assert "pyworld" in results.not_measured["mcd_db"] and "pyworld" in results.not_measured["f0_rmse_cents"]
    assert results.figures["log_mel_distance_db"] is not None
