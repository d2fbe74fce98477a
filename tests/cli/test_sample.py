"""`sample`: speech from the prior and the decoder alone."""

import pytest

from tests.small import RATE, SPEAKERS, small_vqvae
from vqaudio.audio.io import read_audio
from vqaudio.models.folder import save_model
from vqaudio.units import read_units


def sample(lab, out, *more):
    return ["sample", "--model", lab.model, "--prior", lab.prior, "--out", out, "--max_seconds", 0.2, *more]


def test_waveforms_and_their_units_with_speakers_in_turn(lab, tmp_path, run):
    run(*sample(lab, tmp_path, "--num", 5))
    units, _ = read_units(tmp_path / "units")
    utt2spk = dict(line.split() for line in (tmp_path / "units/utt2spk").read_text().splitlines())
    assert {p.stem for p in tmp_path.glob("*.wav")} == set(units) == set(utt2spk)
    for id, sequence in units.items():
        assert utt2spk[id] == SPEAKERS[int(id.split("-")[1]) % 2] == id.split("-")[2]
        assert len(read_audio(tmp_path / f"{id}.wav")[0]) == 16 * len(sequence) <= 0.2 * RATE


def test_decoding_the_sampled_units_gives_the_same_audio(lab, tmp_path, run):
    run(*sample(lab, tmp_path / "a", "--num", 3, "--seed", 5, "--temperature", 0.8))
    units = tmp_path / "a/units"
    run("decode", "--model", lab.model, "--units", units, "--utt2spk", units / "utt2spk", "--out", tmp_path / "b",
        "--seed", 5, "--temperature", 0.8)  # fmt: skip
    made = sorted((tmp_path / "a").glob("*.wav"))
    assert made and all(path.read_bytes() == (tmp_path / "b" / path.name).read_bytes() for path in made)


def test_one_speaker_and_the_options_of_the_prior(lab, tmp_path, run):
    run(*sample(lab, tmp_path / "a", "--num", 2, "--speaker", "boris"))
    run(*sample(lab, tmp_path / "b", "--num", 2, "--speaker", "boris", "--prior_top_k", 1))
    a, b = (read_units(tmp_path / name / "units")[0] for name in "ab")
    assert all(id.endswith("-boris") for id in a)
    assert [x.tolist() for x in a.values()] != [x.tolist() for x in b.values()]
    # The likeliest units alone: chance has no part in it.
    assert len({tuple(x.tolist()) for x in b.values()}) == 1


def test_ids_sort_as_they_are_counted(lab, tmp_path, run):
    run(*sample(lab, tmp_path, "--num", 12, "--max_seconds", 0.02))
    numbers = [int(p.stem.split("-")[1]) for p in sorted(tmp_path.glob("*.wav"))]
    assert numbers == sorted(numbers) and max(numbers) >= 10


def test_the_prior_of_another_model_is_refused(lab, tmp_path, fail):
    save_model(tmp_path / "model", small_vqvae(seed=1), SPEAKERS, {})
    words = sample(lab, tmp_path / "out")
    words[2] = tmp_path / "model"
    assert "the units that the prior learned belong to another model" in fail(*words)


@pytest.mark.parametrize(("more", "words"), [
    (["--max_seconds", "0.001"], "at least one unit, 0.002 s"),
    (["--num", "0"], "a whole number of at least 1"),
    (["--speaker", "bor"], "Did you mean 'boris'"),
])  # fmt: skip
def test_mistakes(lab, tmp_path, fail, more, words):
    assert words in fail(*sample(lab, tmp_path / "out", *more))
