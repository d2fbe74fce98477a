"""Unfinished units survive any end of the run, and belong to one model and one state of the data."""

from __future__ import annotations

import dataclasses
import os
from contextlib import closing

import numpy as np
import pytest

from vqaudio.corpus import Utterance
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.units import UnitSpec
from vqaudio.units.partial import Finished, PartialUnits, fingerprint, read_partial_spec, read_partial_units

SPEC = UnitSpec(sample_rate=8000, hop_length=64, codebook_size=16, model_hash="3f2a9c")


def opened(folder, spec=SPEC, data="data") -> tuple[PartialUnits, Finished]:
    finished = Finished()
    return PartialUnits(folder, spec, data, finished), finished


def reopened(folder, spec=SPEC, data="data") -> dict[str, list[int]]:
    partial, finished = opened(folder, spec, data)
    partial.close()
    with closing(finished):
        return {utt: finished.units(utt).tolist() for utt in finished}


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path, {"b": [3], "a": [1, 2]})


def written(folder, units: dict[str, list[int]]):
    folder.mkdir(exist_ok=True)
    partial, _ = opened(folder)
    for utt, sequence in units.items():
        partial.append(utt, np.array(sequence))
    partial.close()
    return folder


def test_goes_on_with_what_was_appended(folder):
    assert reopened(folder) == {"a": [1, 2], "b": [3]}
    assert read_partial_spec(folder) == SPEC


def test_each_utterance_is_on_disk_before_the_next(tmp_path):
    partial, _ = opened(tmp_path)
    partial.append("a", np.array([1, 2]))
    assert (tmp_path / "units.partial.txt").read_text() == "a 1 2\n"  # a killed run closes nothing
    partial.close()


@pytest.mark.parametrize(
    "damage", [b"c 4", b"c 4 x\nd 5\n", b"c 99\n", b"\xff 1\n", b"\n", b"\0" * 4096, b"c  4\n", b"c 04\n"]
)
def test_what_is_appended_after_damage_is_read_again(folder, damage):
    with open(folder / "units.partial.txt", "ab") as file:
        file.write(damage)
    partial, _ = opened(folder)
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


def test_what_no_line_can_hold_is_refused_before_it_is_written(folder):
    partial, _ = opened(folder)
    for utt, units in (("c d", [1]), ("c", [16]), ("c", [-1]), ("c", [])):
        with pytest.raises(UnitsError, match="c"):
            partial.append(utt, np.array(units, dtype=np.int64))
    partial.close()
    assert reopened(folder) == {"a": [1, 2], "b": [3]}


def test_the_lines_of_many_files_are_found_again(tmp_path):
    """More files than may be open at a time, of lines of any length; what is added to the last file counts too."""
    finished, expected = Finished(), {}
    for number in range(150):
        own = {f"u{number}-{i}": [number % 16] * (1 + (number * 7 + i) % 50) for i in range(3)}
        assert read_partial_units(written(tmp_path / str(number), own), SPEC, "data", finished)
        expected |= own
    partial = PartialUnits(tmp_path, SPEC, "data", finished)
    partial.append("last", np.array([5, 6]))
    partial.close()
    expected["last"] = [5, 6]
    with closing(finished):
        assert list(finished) == sorted(expected) and len(finished) == 451
        assert {utt: finished.units(utt).tolist() for utt in finished} == expected
        assert finished.line("last") == b"last 5 6\n"


def test_files_that_change_under_the_reader_are_refused(folder):
    partial, finished = opened(folder)
    partial.close()
    (folder / "units.partial.txt").write_text("b 3 4\na 1 2\n")
    with (
        closing(finished),
        pytest.raises(UnitsError, match=r"units\.partial\.txt was changed while it was read: .*'a'"),
    ):
        finished.line("a")


def test_another_models_units_are_not_taken_in(folder):
    finished = Finished()
    assert not read_partial_units(folder, SPEC, "other data", finished)
    assert not len(finished)


def test_delete_leaves_nothing(folder):
    partial, _ = opened(folder)
    partial.close()
    partial.delete()
    assert not list(folder.iterdir())


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VQAudioError, match=r"cannot write .*file"):
        opened(tmp_path / "file")


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
