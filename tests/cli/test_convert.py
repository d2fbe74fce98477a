"""`convert`: recordings in other voices."""

import numpy as np

from tests.cli.conftest import LENGTHS
from tests.small import RATE, small_vqvae, sound
from vqaudio import api
from vqaudio.audio.io import read_audio, write_wav
from vqaudio.models.folder import save_model


def test_all_voices_but_ones_own(lab, tmp_path, run):
    run("convert", "--model", lab.model, "--input", lab.data, "--speaker", "all", "--out", tmp_path)
    lengths = {p.stem: len(read_audio(p)[0]) for p in tmp_path.glob("*.wav")}
    other = {"anna": "boris", "boris": "anna"}
    assert lengths == {f"{id}-to-{other[id.split('-')[0]]}": n for id, n in LENGTHS.items()}


def test_named_voices_of_a_data_directory_up_to_a_limit(lab, tmp_path, run):
    words = ["convert", "--model", lab.model, "--input", lab.data, "--out", tmp_path, "--limit", 1]
    run(*words, "--speaker", "anna,boris")
    assert sorted(p.stem for p in tmp_path.glob("*.wav")) == ["anna-1-to-anna", "anna-1-to-boris"]


def test_some_of_all_voices_but_never_ones_own(lab, tmp_path, run, fail):
    words = ["convert", "--model", lab.model, "--input", lab.data, "--out", tmp_path, "--num_voices", 1]
    run(*words, "--speaker", "all")
    voices = {tuple(p.stem.split("-")[::3]) for p in tmp_path.glob("*.wav")}
    assert voices == {("anna", "boris"), ("boris", "anna")}
    assert "--num_voices 1 takes --speaker all, got --speaker anna" in fail(*words, "--speaker", "anna")


def test_a_file_of_another_rate_is_resampled_and_the_log_says_so(lab, tmp_path, run):
    write_wav(tmp_path / "hello.wav", sound(11025, rate=22050), 22050)
    _, err = run(
        "convert",
        "--model",
        lab.model,
        "--input",
        tmp_path / "hello.wav",
        "--speaker",
        "boris",
        "--out",
        tmp_path / "o",
    )
    made, rate = read_audio(tmp_path / "o" / "hello-to-boris.wav")
    assert (len(made), rate) == (RATE // 2, RATE)
    assert "resampled from 22050 Hz to the model's 8000 Hz" in err
    model = api.load(lab.model)
    expected = model.encode(read_audio(tmp_path / "hello.wav")[0], 22050)
    assert len(expected) == -(-RATE // 2 // model.hop_length)


def test_it_is_the_voice_that_changes_the_sound(lab, tmp_path, run):
    run("convert", "--model", lab.model, "--input", lab.data / "wavs/anna-1.wav", "--speaker", "all", "--out", tmp_path)
    anna, boris = (read_audio(tmp_path / f"anna-1-to-{voice}.wav")[0] for voice in ("anna", "boris"))
    assert not np.array_equal(anna, boris)


def test_a_speaker_may_have_any_name(lab, tmp_path, run):
    save_model(tmp_path / "model", small_vqvae(), ["a,b", "all"], {})
    words = ["convert", "--model", tmp_path / "model", "--input", lab.data / "wavs/anna-1.wav", "--out", tmp_path]
    for name in ("a,b", "all"):
        run(*words, "--speaker", name)
    assert sorted(p.stem for p in tmp_path.glob("*.wav")) == ["anna-1-to-a,b", "anna-1-to-all"]


def test_mistakes(lab, tmp_path, fail):
    words = ["convert", "--model", lab.model, "--out", tmp_path / "o", "--speaker"]
    assert "Did you mean 'anna'" in fail(*words, "ana", "--input", lab.data)
    assert "no such file" in fail(*words, "anna", "--input", tmp_path / "no.wav")
