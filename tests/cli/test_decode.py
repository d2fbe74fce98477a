"""`decode`: units to WAV files, resumable, and beside their recordings."""

import json
import shutil

import numpy as np
import pytest

from tests.cli.conftest import LENGTHS
from tests.small import HOP, RATE, SPEAKERS, decoded_by_hand, small_vqvae
from vqaudio.api import Model
from vqaudio.audio import space
from vqaudio.audio.io import read_audio
from vqaudio.cli.speech import Drawing, Utterance, _stamps
from vqaudio.cli.speed import Figures, Stopwatch, add_up
from vqaudio.generation.decode import decoder_engine
from vqaudio.models.folder import save_model
from vqaudio.units import read_units, write_units

STEP = 2.0**-15  # of 16-bit audio: what a WAV file rounds to


def decode(lab, out, *more):
    return ["decode", "--model", lab.model, "--units", lab.units, "--out", out, "--utt2spk", lab.data, *more]


def clipped(waveform):
    return np.clip(waveform, -1, 1 - STEP)


def test_each_utterance_becomes_what_the_library_makes_of_it(lab, tmp_path, run):
    run(*decode(lab, tmp_path, "--seed", 7))
    units, _ = read_units(lab.units)
    assert sorted(p.stem for p in tmp_path.glob("*.wav")) == sorted(LENGTHS)
    for id, sequence in units.items():
        written, rate = read_audio(tmp_path / f"{id}.wav")
        expected = decoded_by_hand(small_vqvae(), sequence, SPEAKERS.index(id.split("-")[0]), 7, id).numpy()
        assert rate == RATE
        np.testing.assert_allclose(written, clipped(expected), atol=STEP / 2 + 1e-7)


def test_the_speed_is_taken_down(lab, tmp_path, run):
    _, err = run(*decode(lab, tmp_path))
    speed = json.loads((tmp_path / "generation.json").read_text())
    samples = sum(-(-n // HOP) * HOP for n in LENGTHS.values())
    assert speed["seconds_of_audio"] == pytest.approx(samples / RATE, abs=1e-3)
    rounding = 1e-3 / speed["seconds_of_audio"]  # both are rounded to milliseconds
    assert speed["rtf"] == pytest.approx(speed["wall_seconds"] / speed["seconds_of_audio"], abs=rounding)
    assert speed["samples_per_second"] == pytest.approx(RATE / speed["rtf"])
    assert (speed["engine"], speed["precision"]) == (decoder_engine(small_vqvae()).name, "float32")
    assert "real-time factor" in err


def test_a_second_run_leaves_what_is_there_and_makes_what_is_not(lab, tmp_path, run):
    run(*decode(lab, tmp_path))
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.wav")}
    speed = (tmp_path / "generation.json").read_text()
    _, err = run(*decode(lab, tmp_path))
    assert "4 of 4 waveforms" in err and (tmp_path / "generation.json").read_text() == speed
    assert before == {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("*.wav")}
    (tmp_path / "anna-2.wav").unlink()
    run(*decode(lab, tmp_path))
    assert (tmp_path / "anna-2.wav").read_bytes() == before["anna-2.wav"][0]
    assert (tmp_path / "anna-1.wav").stat().st_mtime_ns == before["anna-1.wav"][1]
    added = json.loads((tmp_path / "generation.json").read_text())["seconds_of_audio"]
    assert added == pytest.approx(json.loads(speed)["seconds_of_audio"] + LENGTHS["anna-2"] / RATE, abs=2e-3)


@pytest.mark.parametrize("change", [["--temperature", "0.5"], ["--seed", "1"], ["--top_k", "1"], ["--top-p", "0.5"]])
def test_other_settings_make_it_again(lab, tmp_path, run, change):
    run(*decode(lab, tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}
    run(*decode(lab, tmp_path, *change))
    assert all(path.read_bytes() != before[path.name] for path in tmp_path.glob("*.wav"))


def test_another_decoder_with_the_same_units_makes_it_again(lab, tmp_path, run):
    run(*decode(lab, tmp_path / "out"))
    before = (tmp_path / "out" / "anna-1.wav").read_bytes()
    model = small_vqvae()
    model.decoder.stack.output.bias.data[::5] += 1.0
    save_model(tmp_path / "model", model, SPEAKERS, {})
    words = decode(lab, tmp_path / "out")
    words[2] = tmp_path / "model"
    run(*words)
    assert (tmp_path / "out" / "anna-1.wav").read_bytes() != before


def test_a_line_cut_short_by_a_kill_costs_one_waveform(lab, tmp_path, run):
    run(*decode(lab, tmp_path))
    record = tmp_path / "made.jsonl"
    record.write_text(record.read_text()[:-10])
    _, err = run(*decode(lab, tmp_path))
    assert "3 of 4 waveforms" in err
    _, err = run(*decode(lab, tmp_path))
    assert "4 of 4 waveforms" in err


def test_batches_and_limit_change_nothing_in_what_is_made(lab, tmp_path, run):
    run(*decode(lab, tmp_path / "a"))
    run(*decode(lab, tmp_path / "b", "--batch_size", 1, "--limit", 3))
    made = sorted(p.name for p in (tmp_path / "b").glob("*.wav"))
    assert made == ["anna-1.wav", "anna-2.wav", "boris-1.wav"]
    for name in made:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_voice_for_all(lab, tmp_path, run, fail):
    words = ["decode", "--model", lab.model, "--units", lab.units / "units.txt", "--out", tmp_path]
    run(*words, "--speaker", "boris", "--limit", 1)
    units, _ = read_units(lab.units)
    expected = decoded_by_hand(small_vqvae(), units["anna-1"], 1, 0, "anna-1").numpy()
    np.testing.assert_allclose(read_audio(tmp_path / "anna-1.wav")[0], clipped(expected), atol=STEP / 2 + 1e-7)
    assert "'borys' is not among the model's 2. Did you mean 'boris'" in fail(*words, "--speaker", "borys")
    assert "the model knows 2 speakers (anna, boris): give --speaker or --utt2spk" in fail(*words)
    assert "not allowed with" in fail(*words, "--speaker", "boris", "--utt2spk", lab.data)


def test_a_voice_each_from_a_file_in_any_order(lab, tmp_path, run, fail):
    table = tmp_path / "voices"
    table.write_text("boris-1 anna\nanna-2 anna\nanna-1 boris\n")
    words = ["decode", "--model", lab.model, "--units", lab.units, "--out", tmp_path / "out", "--utt2spk", table]
    run(*words, "--limit", 3)
    assert "1 of 4 utterances are not in it, such as 'boris-2'" in fail(*words)
    table.write_text("boris-1\n")
    assert f"{table}:1: fields" in fail(*words)


def test_units_of_another_model_are_refused(lab, tmp_path, fail):
    save_model(tmp_path / "model", small_vqvae(seed=1), SPEAKERS, {})
    message = fail(
        "decode", "--model", tmp_path / "model", "--units", lab.units, "--out", tmp_path / "out", "--speaker", "anna"
    )
    assert str(lab.units) in message and "belong to another model" in message
    assert not (tmp_path / "out").exists()


def test_an_id_that_cannot_name_a_file_is_refused(lab, tmp_path, fail):
    units, spec = read_units(lab.units)
    write_units(tmp_path / "units", [("../evil", units["anna-1"])], spec)
    message = fail(
        "decode", "--model", lab.model, "--units", tmp_path / "units", "--out", tmp_path / "out", "--speaker", "anna"
    )
    assert "'../evil'" in message and not (tmp_path / "evil.wav").exists()


def test_an_unknown_engine_is_told_the_nearest(lab, tmp_path, fail):
    message = fail(*decode(lab, tmp_path, "--engine", "torhc"))
    assert "got 'torhc', expected auto or triton or cuda-graph or compiled or numba or torch. Did you mean" in message


def test_engine_and_precision_reach_what_generates(lab, tmp_path, run, fail):
    run(*decode(lab, tmp_path, "--engine", "torch", "--limit", 1))
    assert json.loads((tmp_path / "generation.json").read_text())["engine"] == "torch"
    message = fail(*decode(lab, tmp_path, "--engine", "torch", "--precision", "int8", "--force-precision"))
    assert "torch has no int8, but float32" in message
    assert "got 'int4', expected float32 or bfloat16 or int8" in fail(*decode(lab, tmp_path, "--precision", "int4"))


def test_the_precision_decides_what_is_made_and_the_engine_does_not():
    plain = {"temperature": 1.0, "top_k": None, "top_p": None, "seed": 0, "engine": "auto", "precision": "float32",
             "force_precision": False, "batch_size": 64}  # fmt: skip
    model, utterances = Model(small_vqvae(), SPEAKERS), [Utterance("a", np.array([1, 2]), "anna")]

    def stamp(**changed) -> list[str]:
        return _stamps(model, utterances, Drawing(**plain | changed))

    assert stamp() == stamp(engine="torch") == stamp(batch_size=1) == stamp(force_precision=True)
    assert len({stamp(**{name: value})[0] for name, value in
                [("seed", 0), ("precision", "int8"), ("precision", "bfloat16"), ("seed", 1)]}) == 4  # fmt: skip


def test_figures_of_another_engine_or_precision_are_not_added_to(tmp_path):
    engine, watch = decoder_engine(small_vqvae(), "torch"), Stopwatch()
    list(watch.timed(iter([np.zeros(RATE), np.zeros(RATE)]), len))
    watch.seconds = 0.5
    watch.figures(RATE, engine).write(tmp_path, RATE)
    earlier = Figures.read(tmp_path)
    assert earlier == Figures(2.0, 0.5, "torch", "float32")
    assert Figures(1.0, 1.5, "torch", "float32").plus([earlier]) == Figures(3.0, 2.0, "torch", "float32")
    for other in (Figures(1.0, 1.5, "torch", "bfloat16"), Figures(1.0, 1.5, "numba", "float32")):
        assert other.plus([earlier]) == other
        assert add_up([other, earlier]) == earlier  # it made more
        assert add_up([other, earlier, other, other]) == Figures(3.0, 4.5, other.engine, other.precision)
    assert add_up([]) is None and Figures.read(tmp_path / "nothing") is None


def test_where_it_goes_has_to_be_said(lab, fail):
    words = ["decode", "--model", lab.model, "--units", lab.units, "--utt2spk", lab.data]
    assert "expected --out FOLDER, --stream FILE or --play" in fail(*words)
    assert "takes --out" in fail(*words, "--stream", "x.wav", "--natural", lab.data)


def test_beside_their_recordings(lab, tmp_path, run, fail):
    out, figures = tmp_path / "out", tmp_path / "figures"
    run(*decode(lab, out))  # of whole units; they are made again, trimmed
    _, err = run(*decode(lab, out, "--natural", lab.data, "--figures", figures))
    assert {p.stem: len(read_audio(p)[0]) for p in out.glob("*.wav")} == LENGTHS
    assert sorted(p.stem for p in figures.glob("*.png")) == sorted(LENGTHS)
    assert "level_reconstructed_dbfs" in err and "log_mel_distance_db" in err
    assert "--figures" in fail(*decode(lab, out, "--figures", figures))


def test_recordings_of_other_lengths_are_refused(lab, tmp_path, fail):
    units, spec = read_units(lab.units)
    write_units(tmp_path / "units", [(id, sequence[:-1]) for id, sequence in units.items()], spec)
    words = decode(lab, tmp_path / "out", "--natural", lab.data)
    words[4] = tmp_path / "units"
    assert "do not belong together" in fail(*words)


def test_a_full_disk_names_the_path(lab, tmp_path, fail, monkeypatch):
    import os

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", lambda fd: None)
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(lab.units / "units.txt", out)
    monkeypatch.setattr("pathlib.Path.replace", full)
    message = fail(*decode(lab, out))
    assert f"cannot write {out}" in message and "No space left on device" in message
    assert sorted(p.name for p in out.iterdir()) == ["units.txt"]


def test_waveforms_that_would_not_fit_are_refused_before_the_first(lab, tmp_path, run, fail, monkeypatch):
    need = sum(44 + 2 * HOP * -(-length // HOP) for length in LENGTHS.values())
    monkeypatch.setattr(space, "free_bytes", lambda path: 2 * need - 1)
    assert f"{tmp_path / 'out'}: 4 waveforms would take" in fail(*decode(lab, tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.wav"))
    run(*decode(lab, tmp_path / "out", "--limit", 3))  # of which there is room for three
    run(*decode(lab, tmp_path / "out"))  # what is there already is not asked for again
