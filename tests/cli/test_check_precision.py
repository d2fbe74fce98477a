"""`check-precision`: the record that opens the gate of low precisions."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.small import HOP, write_data
from vqaudio import csrc
from vqaudio.generation.precision_gate import PrecisionRecord
from vqaudio.models.folder import load_vqvae, weights_hash


@pytest.fixture
def model(lab, tmp_path):
    return shutil.copytree(lab.model, tmp_path / "model")


def test_the_record_is_of_this_model_and_this_data(lab, model, run):
    try:
        csrc.available()
    except csrc.KernelsUnavailable as reason:
        pytest.skip(str(reason))
    _, said = run("check-precision", "--model", model, "--data_dir", lab.data)
    record = PrecisionRecord.read(model)
    assert record.weights == weights_hash(load_vqvae(model)[0])
    assert record.utterances == 4
    assert record.seconds == pytest.approx((85 * HOP + 4) / 8000)
    assert 0 < record.bits_per_sample < 10
    assert set(record.rises) == {"bfloat16", "int8"}
    assert json.loads((model / "precision.json").read_text())["format_version"] == 1
    assert f"int8: {record.rises['int8']:+.5f} bits per sample" in said
    assert "passed" in said


def test_the_audio_is_limited(lab, model, run):
    run("check-precision", "--model", model, "--data_dir", lab.data, "--max_seconds", 0.05)
    assert PrecisionRecord.read(model).utterances == 1


def test_speakers_that_the_model_does_not_know_are_refused(model, tmp_path, fail):
    write_data(tmp_path / "data", {"carla-1": 20 * HOP})
    message = fail("check-precision", "--model", model, "--data_dir", tmp_path / "data")
    assert "no utterance is of a speaker that the model knows" in message
