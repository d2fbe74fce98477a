"""Unfinished units survive any end of the run, and belong to one model and one state of the data."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from vqaudio.corpus import Utterance
from vqaudio.errors import VQAudioError
from vqaudio.units import UnitSpec
from vqaudio.units.partial import PartialUnits, fingerprint, read_partial_spec

SPEC = UnitSpec(sample_rate=8000, hop_length=64, codebook_size=16, model_hash="3f2a9c")


def reopened(folder, spec=SPEC, data="data") -> dict[str, list[int]]:
    partial = PartialUnits(folder, spec, data)
    partial.close()
    return {utt: units.tolist() for utt, units in partial.sequences.items()}


@pytest.fixture
def folder(tmp_path):
    partial = PartialUnits(tmp_path, SPEC, "data")
    partial.append("a", np.array([1, 2]))
    partial.append("b", np.array([3]))
    partial.close()
    return tmp_path


def test_goes_on_with_what_was_appended(folder):
    assert reopened(folder) == {"a": [1, 2], "b": [3]}
    assert read_partial_spec(folder) == SPEC


def test_each_utterance_is_on_disk_before_the_next(tmp_path):
    partial = PartialUnits(tmp_path, SPEC, "data")
    partial.append("a", np.array([1, 2]))
    assert (tmp_path / "units.partial.txt").read_text() == "a 1 2\n"  # a killed run closes nothing
    partial.close()


@pytest.mark.parametrize("damage", [b"c 4", b"c 4 x\nd 5\n", b"c 99\n", b"\xff\n", b"\n"])
def test_what_is_appended_after_damage_is_read_again(folder, damage):
    with open(folder / "units.partial.txt", "ab") as file:
        file.write(damage)
    partial = PartialUnits(folder, SPEC, "data")
    partial.append("c", np.array([7]))
    partial.close()
    assert reopened(folder) == {"a": [1, 2], "b": [3], "c": [7]}


@pytest.mark.parametrize(("spec", "data"), [(SPEC, "other data"), (dataclasses.replace(SPEC, model_hash="77"), "data")])
def test_another_owner_starts_anew(folder, spec, data):
    assert reopened(folder, spec, data) == {}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"spec": {"sample_rate": 0}, "data": "data"}'])
def test_unusable_owner_file_starts_anew(folder, content):
    (folder / "units.partial.json").write_text(content)
    assert read_partial_spec(folder) is None
    assert reopened(folder) == {}


def test_delete_leaves_nothing(folder):
    partial = PartialUnits(folder, SPEC, "data")
    partial.close()
    partial.delete()
    assert not list(folder.iterdir())


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VQAudioError, match=r"cannot write .*file"):
        PartialUnits(tmp_path / "file", SPEC, "data")


def test_fingerprint_tells_apart_what_would_give_other_units(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"1234")
    utterance = Utterance("a", "anna", str(path), start=0.0, end=1.0)
    base = fingerprint([utterance])
    assert fingerprint([dataclasses.replace(utterance, text="hello")]) == base
    assert fingerprint([dataclasses.replace(utterance, end=2.0)]) != base
    assert fingerprint([]) != base
    os.utime(path, ns=(0, 0))
    assert fingerprint([utterance]) != base
    path.unlink()
    assert fingerprint([utterance]) != base
