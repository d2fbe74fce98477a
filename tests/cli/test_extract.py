"""`extract`: a data directory to a folder of units."""

import numpy as np
import pytest

from vqaudio import api
from vqaudio.corpus import DataDir, read_utterance
from vqaudio.units import read_units


@pytest.mark.parametrize("collapse", [False, True])
def test_units_are_those_of_the_model(lab, tmp_path, run, collapse):
    run("extract", "--model", lab.model, "--data_dir", lab.data, "--out", tmp_path / "u", *["--collapse"] * collapse)
    sequences, spec = read_units(tmp_path / "u")
    model = api.load(lab.model)
    assert spec.collapsed == collapse
    for utterance in DataDir.load(lab.data).utterances:
        units = model.encode(*read_utterance(utterance)).numpy()
        expected = units[np.flatnonzero(np.diff(units, prepend=-1))] if collapse else units
        assert sequences[utterance.id].tolist() == expected.tolist()


def test_too_many_rejected_utterances_fail_with_the_list(lab, tmp_path, run, fail):
    data = DataDir.load(lab.data)
    broken = tmp_path / "data"
    data.write(broken)
    lines = (broken / "wav.scp").read_text().splitlines()
    empty = tmp_path / "empty.wav"
    empty.touch()
    (broken / "wav.scp").write_text("\n".join([f"anna-1 {empty}", *lines[1:]]) + "\n")
    words = ["extract", "--model", lab.model, "--data_dir", broken, "--out", tmp_path / "u"]
    message = fail(*words)
    assert "1 of 4 utterances rejected" in message and str(tmp_path / "u" / "rejected.tsv") in message
    run(*words, "--max_rejected_share", "0.25")
    assert sorted(read_units(tmp_path / "u")[0]) == ["anna-2", "boris-1", "boris-2"]


def test_the_experiment_folder_for_its_model_is_told_the_nearest(lab, tmp_path, fail):
    message = fail("extract", "--model", lab.model.parent, "--data_dir", lab.data, "--out", tmp_path)
    assert f"Did you mean {lab.model}?" in message
