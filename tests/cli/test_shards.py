"""`--shard`: several jobs and one that completes their work leave what a single job leaves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import LENGTHS
from vqaudio.cli import provenance, sharding, speech
from vqaudio.units.locks import at_work
from vqaudio.units.sharding import Shard

TIMINGS = {"generation.json"}


def content(folder: Path) -> dict[str, bytes]:
    """Return all files but for timings."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMINGS)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def seconds(folder: Path) -> float:
    return json.loads((folder / "generation.json").read_text())["seconds_of_audio"]


def commands(lab) -> dict[str, list]:
    """A command line of each verb that divides its work by utterances, without --out."""
    voices = ["--utt2spk", lab.data]
    return {
        "extract": ["extract", "--model", lab.model, "--data_dir", lab.data, "--collapse"],
        "decode": ["decode", "--model", lab.model, "--units", lab.units, *voices, "--seed", 3],
        "trimmed": ["decode", "--model", lab.model, "--units", lab.units, *voices, "--natural", lab.data],
        "convert": ["convert", "--model", lab.model, "--input", lab.data, "--speaker", "anna,boris"],
        "recording": ["convert", "--model", lab.model, "--input", lab.data / "wavs/anna-1.wav", "--speaker", "all"],
        "sample": ["sample", "--model", lab.model, "--prior", lab.prior, "--num", 5, "--max_seconds", 0.2],
    }


@pytest.fixture
def decode(lab):
    return commands(lab)["decode"]


@pytest.mark.parametrize("verb", ["extract", "decode", "trimmed", "convert", "recording", "sample"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_sharded_equals_single(lab, tmp_path, run, verb, count):
    words = commands(lab)[verb]
    run(*words, "--out", tmp_path / "one")
    for index in range(count, 0, -1):
        run(*words, "--out", tmp_path / "many", "--shard", f"{index}/{count}")
        assert not {path.suffix for path in (tmp_path / "many").iterdir()} & {".wav", ".txt"}
    _, err = run(*words, "--out", tmp_path / "many")
    assert content(tmp_path / "many") == content(tmp_path / "one")
    if verb != "extract":
        assert "generating" not in err and "waveforms of shards are taken over" in err
        assert seconds(tmp_path / "many") == pytest.approx(seconds(tmp_path / "one"), abs=0.01)


def test_jobs_are_about_equally_long(tmp_path, run, decode):
    made = []
    for index in (1, 2):
        run(*decode, "--out", tmp_path, "--shard", f"{index}/2")
        made.append(sorted(p.stem for p in (tmp_path / f"shards/{index}-of-2").glob("*.wav")))
    assert made == [["anna-1", "boris-2"], ["anna-2", "boris-1"]]  # of 31 + 10 and 20 + 25 units


def test_missing_and_interrupted_shards_are_made_up_for(lab, tmp_path, run, decode, monkeypatch):
    run(*decode, "--out", tmp_path / "one")
    out = tmp_path / "many"
    written = []

    def stops_after_the_first(self, utterance, waveform, write=speech.WaveformFolder.write):
        write(self, utterance, waveform)
        written.append(utterance)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(speech.WaveformFolder, "write", stops_after_the_first)
        with pytest.raises(AssertionError):  # exit status 130
            run(*decode, "--out", out, "--shard", "1/2")
    _, err = run(*decode, "--out", out, "--shard", "1/2")
    assert len(written) == 1 and "1 of 2 waveforms are in" in err
    _, err = run(*decode, "--out", out, "--shard", "2/3")  # another division does not make them again
    _, err = run(*decode, "--out", out)
    made = {path.name for path in out.glob("*.wav")}
    assert made == {f"{id}.wav" for id in LENGTHS} and content(out) == content(tmp_path / "one")
    assert seconds(out) == pytest.approx(seconds(tmp_path / "one"), abs=0.01)


def test_what_was_there_before_is_replaced_by_what_the_shards_made(tmp_path, run, decode):
    run(*decode, "--out", tmp_path / "one", "--temperature", 0.5)
    out = tmp_path / "many"
    run(*decode, "--out", out)
    before = content(out)
    for index in (1, 2):
        run(*decode, "--out", out, "--temperature", 0.5, "--shard", f"{index}/2")
        assert before.items() < content(out).items()  # whole and listed until the last job
    run(*decode, "--out", out, "--temperature", 0.5)
    assert content(out) == content(tmp_path / "one")
    assert seconds(out) == pytest.approx(seconds(tmp_path / "one"), abs=0.01)  # of these settings alone


def test_shards_of_other_settings_are_refused_and_kept(tmp_path, run, fail, decode):
    run(*decode, "--out", tmp_path, "--shard", "1/2")
    before = content(tmp_path / "shards")
    message = fail(*decode, "--out", tmp_path, "--temperature", 0.5)
    assert f"{tmp_path}/shards/1-of-2 holds waveforms of other units or other settings" in message
    assert content(tmp_path / "shards") == before and not list(tmp_path.glob("*.wav"))
    run(*decode, "--out", tmp_path, "--temperature", 0.5, "--shard", "1/2")  # the shard itself may change its mind
    run(*decode, "--out", tmp_path, "--temperature", 0.5)


def test_waveforms_that_are_not_asked_for_are_kept_until_they_are(tmp_path, run, decode):
    run(*decode, "--out", tmp_path / "one")
    out = tmp_path / "many"
    for index in (1, 2):
        run(*decode, "--out", out, "--shard", f"{index}/2")
    _, err = run(*decode, "--out", out, "--limit", 1)  # anna-1, which the first has made
    assert [path.name for path in out.glob("*.wav")] == ["anna-1.wav"]
    assert f"{out}/shards/1-of-2 is kept: it has 1 waveforms" in err and "2-of-2 is kept: it has 2 waveforms" in err
    _, err = run(*decode, "--out", out)
    assert "3 waveforms of shards are taken over" in err and content(out) == content(tmp_path / "one")


def test_jobs_in_each_others_way_are_refused(lab, tmp_path, run, fail, decode):
    units = commands(lab)["extract"]
    for words in (decode, units, ["score", "--units_dir", lab.units, "--data_dir", lab.data]):
        with at_work(tmp_path, Shard(index=1, count=2)):
            assert "another job is at work on it" in fail(*words, "--out", tmp_path, "--shard", "1/2")
            assert f"{tmp_path}: other jobs are at work there" in fail(*words, "--out", tmp_path)
        with at_work(tmp_path, None):
            assert "a job without --shard is at work there" in fail(*words, "--out", tmp_path, "--shard", "1/2")
    with at_work(tmp_path, None):
        assert "other jobs are at work" in fail(*decode, "--out", tmp_path, "--stream", tmp_path / "all.wav")


def test_pictures_and_comparison_are_the_last_jobs(lab, tmp_path, run):
    words = [*commands(lab)["trimmed"], "--out", tmp_path / "out", "--figures", tmp_path / "figures"]
    _, err = run(*words, "--shard", "1/1")
    assert "log_mel_distance_db" not in err and not (tmp_path / "figures").exists()
    _, err = run(*words)
    assert "log_mel_distance_db" in err and len(list((tmp_path / "figures").glob("*.png"))) == len(LENGTHS)


def test_mistakes(lab, tmp_path, fail, decode):
    for words in (["--stream", tmp_path / "x.wav"], ["--play"]):
        assert "--shard 1/2 takes --out alone" in fail(*decode, "--out", tmp_path, *words, "--shard", "1/2")
    assert "got '3/x', expected I/N" in fail(*decode, "--out", tmp_path, "--shard", "3/x")
    assert "shard 3 of 2: expected I/N with 1 ≤ I ≤ N" in fail(*decode, "--out", tmp_path, "--shard", "3/2")
    assert "expected to be started by torchrun" in fail(*decode, "--out", tmp_path, "--shard", "rank")


# --------------------------------------------------------------------------------------------------- torchrun


def test_ranks_are_shards(lab, tmp_path, run, monkeypatch):
    words = commands(lab)["extract"]
    run(*words, "--out", tmp_path / "one")
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        run(*words, "--out", tmp_path / "many", "--shard", "rank")
    assert sorted(path.name for path in (tmp_path / "many/shards").iterdir()) == ["1-of-3", "2-of-3", "3-of-3"]
    run(*words, "--out", tmp_path / "many")
    assert content(tmp_path / "many") == content(tmp_path / "one")


@pytest.mark.parametrize(("device", "expected"), [("auto", "cuda:2"), ("cpu", "cpu")])
def test_each_rank_of_a_machine_computes_on_a_gpu_of_its_own(monkeypatch, device, expected):
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    for name, value in {"RANK": "6", "WORLD_SIZE": "8", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    options = argparse.Namespace(device=device, threads=0)
    assert sharding.set_up_job(options) == torch.device(expected)
    assert current == [torch.device(expected)] * (device == "auto")


# ------------------------------------------------------------------------------------------------------ score

QUICK = ["--skip", "samples", "reconstruction", "conversion", "--max_seconds", 0.2]


@pytest.fixture
def exp(lab, tmp_path, monkeypatch) -> Path:
    """An experiment folder; time and place stand still."""
    monkeypatch.setattr(provenance, "provenance", lambda command, device: {"date": "then", "machine": "here"})
    for name, source in (("model", lab.model), ("prior/model", lab.prior), ("units/test", lab.units),
                         ("units/train", lab.units)):  # fmt: skip
        (tmp_path / "exp" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "exp" / name).symlink_to(source)
    return tmp_path / "exp"


def results(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "results.json").read_bytes(), (folder / "RESULTS.md").read_bytes()


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_scorecard_of_shards_is_that_of_one_job(lab, exp, run, count):
    words = ["score", exp, "--data_dir", lab.data, "--train_dir", lab.data, *QUICK]
    run(*words)
    alone = results(exp)
    (exp / "results.json").unlink()
    for index in range(1, count + 1):
        out, err = run(*words, "--shard", f"{index}/{count}")
        assert out == "" and not (exp / "results.json").exists()
    out, err = run(*words)
    assert out == f"{exp / 'RESULTS.md'}\n" and not (exp / "shards").exists()
    assert err.count(" as ") >= 7 and "units: as" in err
    assert results(exp) == alone


def test_a_shard_that_is_missing_or_of_another_seed_is_measured(lab, exp, run):
    words = ["score", exp, "--data_dir", lab.data, *QUICK]
    run(*words, "--seed", 5)
    alone = results(exp)
    run(*words, "--seed", 5, "--shard", "1/3")
    run(*words, "--seed", 6, "--shard", "2/3")
    _, err = run(*words, "--seed", 5)
    assert "measured with other options or other inputs" in err
    assert results(exp) == alone


def test_shards_do_not_extract_at_once(lab, exp, run, fail):
    (exp / "units/test").unlink()
    message = fail("score", exp, "--data_dir", lab.data, *QUICK, "--shard", "1/3")
    command = f"vqaudio extract --model {exp / 'model'} --data_dir {lab.data} --out {exp / 'units/test'}"
    assert command in message
    run(*command.split()[1:])
    run("score", exp, "--data_dir", lab.data, *QUICK, "--shard", "1/3")


def test_units_of_another_system_are_two_jobs_work(lab, tmp_path, run, monkeypatch):
    monkeypatch.setattr(provenance, "provenance", lambda command, device: {"date": "then"})
    (tmp_path / "hubert.txt").write_text("anna-1 0 1 1 2\nboris-1 3 3 1 0\n")
    words = ["score", "--units_dir", tmp_path / "hubert.txt", "--unit_rate", 50, "--data_dir", lab.data]
    run(*words, "--out", tmp_path / "out")
    alone = results(tmp_path / "out")
    for index in (1, 2):
        run(*words, "--out", tmp_path / "out", "--shard", f"{index}/2")
        assert len(list((tmp_path / f"out/shards/{index}-of-2").glob("*.json"))) == 1
    run(*words, "--out", tmp_path / "out")
    assert results(tmp_path / "out") == alone
