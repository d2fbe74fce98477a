"""The page as a file: well-formed, self-contained, escaped, within its limit, and open about what is missing."""

from __future__ import annotations

import base64
import io
import itertools
import logging
import os
import re
import shutil

import numpy as np
import pytest
import soundfile

from tests.small import RATE, SPEAKERS, sound
from vqaudio.audio.io import read_audio, write_wav
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.listening import ReportOptions, write_report
from vqaudio.evaluation.results import Results, write_results

from .conftest import HOSTILE, WORDS, Page, lengths

SECTIONS = ["listen", "samples", "scores", "training", "codes", "phones"]


def rendered(experiment, tmp_path, **options) -> Page:
    write_report(experiment, tmp_path / "r.html", ReportOptions(**options))
    return Page((tmp_path / "r.html").read_text(encoding="utf-8"))


def decoded(uri: str) -> tuple[np.ndarray, int]:
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:audio/wav"
    return soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="int16")


# ------------------------------------------------------------------------------------------------ structure


def test_every_tag_is_closed_in_its_order_and_every_id_is_used_once(page):
    assert page.unclosed == [] and page.open == []
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_sections_stand_in_their_order_with_headings_and_are_named_in_the_navigation(page):
    assert [attrs["id"] for _, attrs, _ in page.all("section")] == SECTIONS
    links = [attrs["href"] for _, attrs, _ in page.all("a")]
    assert links == ["#listen", *(f"#{name}" for name in SECTIONS)]
    assert [attrs["lang"] for _, attrs, _ in page.all("html")] == ["en"]
    for tag in ("h1", "main", "nav", "footer"):
        assert len(page.all(tag)) == 1
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels


def test_what_labels_point_at_is_there(page):
    ids = {attrs.get("id") for _, attrs, _ in page.elements}
    assert {attrs["aria-labelledby"] for _, attrs, _ in page.elements if "aria-labelledby" in attrs} <= ids
    assert all("alt" in attrs for _, attrs, _ in page.all("img"))
    assert all(attrs.get("aria-label") for _, attrs, _ in page.all("button") + page.all("audio"))


# ------------------------------------------------------------------------------------------- self-contained


def test_nothing_is_fetched_from_anywhere(page, report):
    for _, attrs, _ in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            assert (attrs.get(name) or "data:").startswith(("data:", "#")), attrs
    policy = [a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and policy[0].startswith("default-src 'none'; img-src data:; media-src data:;")
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|import\(", text)


def test_ids_words_and_records_are_text_and_never_markup(page, report):
    assert any(text == HOSTILE for _, _, text in page.all("h3"))
    assert [text for _, _, text in page.all("p", class_="transcript") if "script" in text] == [WORDS]
    assert [attrs["lang"] for _, attrs, _ in page.all("p", class_="transcript")] == ["it"] * 9
    assert len(page.all("script")) == 2
    assert not any(attrs.get("src") == "x" or "onerror" in attrs for _, attrs, _ in page.elements)
    text = report.read_text(encoding="utf-8")
    for raw in (WORDS, HOSTILE, "a <machine>", "no prior <here>", "abc<def>"):
        assert raw not in text
    assert page.all("i", class_="n3")[0][2] == "sil" and any(text == "<i>" for _, _, text in page.all("i"))


# ---------------------------------------------------------------------------------------------------- audio


def test_audio_is_that_of_the_files_sample_for_sample(page, made):
    cards = {text: None for _, _, text in page.all("h3", class_="utterance")}
    assert set(cards) == set(lengths())
    audio = [attrs for _, attrs, _ in page.all("audio")]
    found = [decoded(attrs["src"]) for attrs in audio if attrs["aria-label"] == "natural"]
    expected = []
    for id in (text for _, _, text in page.all("h3", class_="utterance")):
        folder = "conversion" if (made[0] / "conversion" / f"{id}.original.wav").exists() else "resynthesis"
        expected.append(read_audio(made[0] / folder / f"{id}.original.wav"))
    for (samples, rate), (wave, true_rate) in zip(found, expected, strict=True):
        assert rate == true_rate == RATE
        np.testing.assert_array_equal(samples, np.rint(wave * 32768).astype(np.int16))


def test_the_versions_of_an_utterance_are_in_its_card(page):
    labels = [attrs["aria-label"] for _, attrs, _ in page.all("audio")]
    assert labels.count("natural") == 9 and labels.count("reconstructed") == 7
    assert all(labels.count(f"as {speaker}") == 2 for speaker in SPEAKERS)
    assert labels.count("sample") == 3 * 4


def test_units_and_durations_are_those_of_the_files(page, made):
    from vqaudio.units import read_frame_units

    sequences, spec = read_frame_units(made[0] / "units" / "test")
    names = [text for _, _, text in page.all("h3", class_="utterance")]
    cards = page.all("article")[: len(names)]
    for name, (_, attrs, _) in zip(names, cards, strict=True):
        assert attrs["data-units"] == " ".join(map(str, sequences[name]))
        assert float(attrs["data-rate"]) == spec.unit_rate
        assert float(attrs["data-seconds"]) == pytest.approx(lengths()[name] / RATE, abs=1e-6)  # six digits


# --------------------------------------------------------------------------------------------------- figures


def test_figures_stand_with_interval_baseline_and_the_reason_for_what_is_missing(page):
    table = next(text for _, _, text in page.all("table") if text.startswith("Units"))
    assert "12.5 codes" in table and "14.5" in table and "k-means of MFCCs" in table
    table = next(text for _, _, text in page.all("table") if text.startswith("Reconstruction"))
    assert "5.250 bits" in table and "5.125 to 5.375" in table and "(lower is better)" in table
    titles = [text for _, _, text in page.all("caption")]
    assert "Prior" not in titles and "Voice conversion" not in titles  # nothing of them was measured
    reasons = page.all("ul", class_="reasons")[0][2]
    assert reasons.startswith("no prior <here>") and "prior_bits_per_unit" in reasons
    assert "of_my_own" in page.all("section", id="scores")[0][2]
    assert "0.250" in page.all("section", id="samples")[0][2]
    assert "abc<def>" in page.all("footer")[0][2]


def test_further_sets_have_tables_of_their_own_and_lend_their_figures_to_the_head(experiment, tmp_path):
    (experiment / "scores" / "other").mkdir(parents=True)
    (experiment / "scores" / "other" / "results.json").write_text('{"abx_across": 0.25, "bits_per_sample": 9.0}')
    page = rendered(experiment, tmp_path)
    details = next(text for _, _, text in page.all("details") if text.startswith("Scored on other"))
    assert "25.0 %" in details and "9.000 bits" in details
    head = page.all("ul", class_="figures")[0][2]
    assert "25.0 %" in head and "on other" in head and "5.250" in head and "9.000" not in head


def test_samples_are_grouped_by_rising_temperature(page):
    titles = [text for tag, _, text in page.all() if tag == "h3" and ("Temperature" in text or "recipe" in text)]
    assert titles == ["Temperature 0.85", "Temperature 1", "As the recipe draws them (samples/)"]
    assert page.all("section", id="samples")[0][2].count("4 of 6 samples.") == 3


# ------------------------------------------------------------------------------------------------- absent parts


@pytest.mark.parametrize(
    ("gone", "section", "named", "command"),
    [
        ("conversion", "listen", "other voices", "vqaudio convert"),
        ("resynthesis", "listen", "reconstructions", "vqaudio decode"),
        ("unconditional", "samples", "several temperatures", "vqaudio score"),
        ("results.json", "scores", "scores (results.json)", "vqaudio score"),
        ("tensorboard", "training", "training curves of the VQ-VAE", "vqaudio train"),
        ("units/train", "codes", "units of the training set", "vqaudio extract"),
    ],
)
def test_what_is_absent_is_named_with_what_makes_it(experiment, made, tmp_path, gone, section, named, command):
    path = experiment / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = rendered(experiment, tmp_path, data_dir=made[1])
    text = page.all("section", id=section)[0][2]
    assert "Not made: " in text and named in text and command in text
    assert page.unclosed == []


def test_a_bare_experiment_still_makes_a_page(experiment, tmp_path):
    for path in experiment.iterdir():
        if path.name != "config.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = rendered(experiment, tmp_path)
    assert [attrs["id"] for _, attrs, _ in page.all("section")] == SECTIONS
    assert len(page.all("p", class_="absent")) >= 8 and not page.all("audio")
    assert "not made" in page.all("p", class_="prior")[0][2]


def test_an_utterance_without_units_or_recording_says_so(experiment, tmp_path):
    (experiment / "resynthesis" / "anna-0.original.wav").unlink()
    shutil.rmtree(experiment / "units" / "test")
    page = rendered(experiment, tmp_path)
    card = next(text for _, attrs, text in page.all("article") if "anna-0" in attrs["id"])
    assert "no recording beside it" in card and "no units of it" in card


def test_a_recording_that_the_experiment_lacks_is_taken_from_the_data_directory(experiment, made, tmp_path):
    (experiment / "resynthesis" / "anna-0.original.wav").unlink()
    page = rendered(experiment, tmp_path, data_dir=made[1])
    assert [attrs["aria-label"] for _, attrs, _ in page.all("audio")].count("natural") == 9


# ------------------------------------------------------------------------------------------------------ size


def test_a_page_that_grows_too_large_shows_fewer_utterances_and_says_so(made, report, tmp_path, caplog):
    limit = report.stat().st_size / 1e6 - 0.06
    with caplog.at_level(logging.WARNING, logger="vqaudio"):
        page = rendered(made[0], tmp_path, data_dir=made[1], max_megabytes=limit)
    assert (tmp_path / "r.html").stat().st_size <= limit * 1e6
    shown = len(page.all("h3", class_="utterance"))
    assert 1 <= shown < 9
    said = f"{shown} of 9 utterances are shown"
    assert said in caplog.text and said in page.all("section", id="listen")[0][2]
    longest = rendered(made[0], tmp_path, data_dir=made[1], max_megabytes=limit * 1.5)
    assert len(longest.all("h3", class_="utterance")) == 9


def test_samples_are_left_out_once_a_single_utterance_is_left(made, report, tmp_path, caplog):
    smallest = rendered(made[0], tmp_path, data_dir=made[1], utterances=1)
    limit = (tmp_path / "r.html").stat().st_size / 1e6 - 0.02
    page = rendered(made[0], tmp_path, data_dir=made[1], max_megabytes=limit)
    assert len(page.all("article")) < len(smallest.all("article"))
    assert "samples of each temperature are shown" in caplog.text


def test_a_limit_that_nothing_fits_is_an_error_and_leaves_the_old_page(made, tmp_path):
    out = tmp_path / "r.html"
    out.write_text("old")
    with pytest.raises(VQAudioError, match=r"MB even with one utterance, and --max_megabytes is 0\.01"):
        write_report(made[0], out, ReportOptions(max_megabytes=0.01))
    assert out.read_text() == "old"


def test_as_many_utterances_as_asked_for_of_every_speaker(made, tmp_path):
    page = rendered(made[0], tmp_path, utterances=4)
    names = [text for _, _, text in page.all("h3", class_="utterance")]
    assert len(names) == 4 and {name.split("-")[0] for name in names} == set(SPEAKERS)
    assert sum(name in ("anna-3", "boris-3") for name in names) == 1  # a third of them converted


def test_utterances_with_every_version_are_shown_where_there_are_any(experiment, tmp_path):
    for number in range(4):  # as many as could fill the page without any conversion
        source = experiment / "resynthesis" / f"boris-{number % 3}.wav"
        shutil.copy(source, experiment / "resynthesis" / f"extra-{number}.wav")
    for name in ("anna-1", "boris-2"):
        shutil.copy(experiment / "resynthesis" / f"{name}.original.wav", experiment / "conversion")
        shutil.copy(experiment / "resynthesis" / f"{name}.wav", experiment / "conversion" / f"{name}-to-anna.wav")
    page = rendered(experiment, tmp_path, utterances=6)
    names = [text for _, _, text in page.all("h3", class_="utterance")]
    assert len(names) == 6 and {"anna-1", "boris-2"} <= set(names) and "anna-3" not in names
    labels = [attrs["aria-label"] for _, attrs, _ in page.all("audio")]
    assert labels.count("as anna") == 2 and labels.count("reconstructed") == 6


# ---------------------------------------------------------------------------------------------------- errors


def test_errors_name_what_was_given(made, experiment, tmp_path):
    with pytest.raises(VQAudioError, match=r"expp: no such folder\. Did you mean 'exp'"):
        write_report(made[0].parent / "expp", tmp_path / "r.html")
    with pytest.raises(VQAudioError, match=r"no config\.yaml"):
        write_report(made[1], tmp_path / "r.html")
    with pytest.raises(VQAudioError, match="belong together"):
        write_report(made[0], tmp_path / "r.html", ReportOptions(aligned_dir=made[1]))
    (experiment / "train.json").write_text("[1]")
    with pytest.raises(VQAudioError, match=r"train\.json: holds a list"):
        write_report(experiment, tmp_path / "r.html")


def test_units_of_another_model_are_refused(experiment, tmp_path):
    path = experiment / "units" / "test" / "units.json"
    path.write_text(path.read_text().replace('"hop_length": 16', '"hop_length": 32'))
    with pytest.raises(
        VQAudioError, match="32 samples each at 8000 Hz; the experiment's model has 16 codes, 16 samples"
    ):
        write_report(experiment, tmp_path / "r.html")


def test_recordings_of_any_rate_are_heard_as_they_are(experiment, tmp_path):
    write_wav(experiment / "resynthesis" / "anna-0.original.wav", sound(44100, 1, 44100), 44100)
    page = rendered(experiment, tmp_path)
    rates = [decoded(attrs["src"])[1] for _, attrs, _ in page.all("audio")]
    assert rates.count(44100) == 1 and set(rates) == {8000, 44100}
    assert any("0 to 8 kHz" in attrs["alt"] for _, attrs, _ in page.all("img", class_="spectrogram"))


def test_a_scored_set_with_phones_says_what_codes_stand_for(experiment, made, tmp_path):
    def words() -> str:
        return " ".join(text for _, _, text in rendered(experiment, tmp_path, utterances=1).all("section", id="phones"))

    assert "--aligned_dir" in words() and "Phones of each code" not in words()
    scored = experiment / "scores" / "timit"
    shutil.copytree(experiment / "units" / "test", scored / "units")
    write_results(scored, Results({"phone_accuracy": 0.5}, about={"data_dir": os.path.relpath(made[1], scored)}))
    assert "Phones of each code" in words() and "Confusions" in words()
