"""`data …`: the verbs reach the library with what the user said, and say what came of it."""

import pytest

from tests.cli.conftest import LENGTHS
from tests.small import RATE, write_data
from vqaudio.audio.io import probe
from vqaudio.cli.main import main
from vqaudio.corpus import DataDir, check


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_data(folder, LENGTHS)
    return folder


def ids(folder) -> list[str]:
    return [u.id for u in DataDir.load(folder).utterances]


@pytest.mark.parametrize("by_name", [True, False])
def test_validate(data, run, capsys, by_name):
    words = ["validate", *["--data-dir"] * by_name, data]
    assert run("data", *words)[0] == f"{data}: no violations\n"
    (data / "spk2utt").write_text("anna anna-1\n")
    assert main(["data", *map(str, words)]) == 2
    out = capsys.readouterr().out
    assert f"{data}/utt2spk:2: missing-utterance: utterance 'anna-2'" in out
    assert out.endswith(f"{data}: 3 violations\n")


def test_the_data_directory_is_needed_and_given_once(data, fail):
    assert "data_dir" in fail("data", "validate")
    assert "not allowed with" in fail("data", "validate", data, "--data_dir", data)


def test_fix(data, run):
    assert run("data", "fix", data)[0] == f"{data}: nothing to mend\n"
    (data / "wavs/anna-1.wav").unlink()
    out, err = run("data", "fix", data)
    assert "3 utterances kept, 1 dropped" in out and "dropped anna-1" in err
    assert check(data) == []


def test_format(data, tmp_path, run, fail):
    words = ["data", "format", "--data_dir", data, "--sample-rate", 16000, "--jobs", 2, "--out"]
    _, err = run(*words, tmp_path / "out", "--min_seconds", 0)
    assert "4 utterances" in err and "resampled upwards" in err
    assert probe(tmp_path / "out/wavs/anna-1.wav").sample_rate == 16000
    words += [tmp_path / "longer", "--min_seconds", 0.045]
    assert "2 of 4 utterances rejected" in fail(*words)
    run(*words, "--max_rejected_share", 0.5)
    assert ids(tmp_path / "longer") == ["anna-1", "boris-1"]


def test_split(data, tmp_path, run, fail):
    out, _ = run("data", "split", data, "--out", tmp_path / "s", "--parts", "one=0.5", "two=0.5", "--by", "speaker")
    assert out == f"{tmp_path}/s/one: 2 utterances of 1 speakers\n{tmp_path}/s/two: 2 utterances of 1 speakers\n"
    assert sorted(ids(tmp_path / "s/one") + ids(tmp_path / "s/two")) == sorted(LENGTHS)
    words = ["data", "split", data, "--out", tmp_path / "t", "--parts"]
    assert "add up to 1" in fail(*words, "one=0.5", "two=0.4")
    assert "expected name=share" in fail(*words, "half")
    assert "got '2', expected a number" in fail(*words, "one=2")
    assert "a name is given twice" in fail(*words, "one=0.5", "one=0.5")
    assert "Did you mean 'speaker'" in fail(*words, "one=1", "--by", "speakers")


def test_the_seed_decides_the_split(data, tmp_path, run):
    for seed in range(5):
        run("data", "split", data, "--out", tmp_path / str(seed), "--parts", "a=0.5", "b=0.5", "--seed", seed)
    assert len({tuple(ids(tmp_path / str(seed) / "a")) for seed in range(5)}) > 1


@pytest.mark.parametrize(("words", "left"), [
    (["--first", 2], ["anna-1", "anna-2"]),
    (["--speakers", "boris"], ["boris-1", "boris-2"]),
    (["--speakers", "boris", "anna", "--first", 3], ["anna-1", "anna-2", "boris-1"]),
])  # fmt: skip
def test_subset(data, tmp_path, run, words, left):
    run("data", "subset", data, "--out", tmp_path / "out", *words)
    assert ids(tmp_path / "out") == left


def test_subset_by_a_list_such_as_a_table_of_another_directory(data, tmp_path, run, fail):
    (tmp_path / "ids").write_text("boris-2 boris\n\nanna-2 anna\n")
    words = ["data", "subset", data, "--out", tmp_path / "out", "--utterances"]
    run(*words, tmp_path / "ids")
    assert ids(tmp_path / "out") == ["anna-2", "boris-2"]
    assert f"{tmp_path / 'no'}: No such file" in fail(*words, tmp_path / "no")


def test_subset_of_so_many_seconds(data, tmp_path, run):
    run("data", "subset", data, "--out", tmp_path / "out", "--seconds", LENGTHS["boris-2"] / RATE / 2)
    assert len(ids(tmp_path / "out")) == 1


def test_combine(data, tmp_path, run, fail):
    write_data(tmp_path / "more", {"clara-1": 800})
    out, _ = run("data", "combine", data, tmp_path / "more", "--out", tmp_path / "both")
    assert out == f"{tmp_path}/both: 5 utterances of 3 speakers\n"
    assert ids(tmp_path / "both") == [*LENGTHS, "clara-1"]
    assert "'anna-1' is both in" in fail("data", "combine", data, data, "--out", tmp_path / "twice")


def test_commands_in_wav_scp_are_refused_unless_allowed(data, tmp_path, run, fail):
    path = data / "wavs/anna-1.wav"
    scp = (data / "wav.scp").read_text().replace("anna-1 wavs/anna-1.wav", f"anna-1 cat {path} |")
    (data / "wav.scp").write_text(scp)
    words = ["data", "format", data, "--out", tmp_path / "out", "--sample_rate", RATE, "--min_seconds", 0]
    assert "pipe" in fail(*words)
    run(*words, "--allow-pipes")
    assert probe(tmp_path / "out/wavs/anna-1.wav").frames == LENGTHS["anna-1"]
