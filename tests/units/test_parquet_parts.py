"""Units in parts are those of one extraction, whoever encodes them, and whatever becomes of whom."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqaudio.corpus.rejected import Rejection, write_rejected
from vqaudio.errors import DataDirError, UnitsError, VQAudioError
from vqaudio.models.folder import save_model
from vqaudio.units import launchers, parts
from vqaudio.units.extract import extract_units
from vqaudio.units.launchers import encode_here, encode_in_pool
from vqaudio.units.parquet import part_path
from vqaudio.units.parts import Plan
from vqaudio.units.sharding import Shard
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import read_frame_units, read_units

pytest.importorskip("pyarrow")
RATE = 8000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of one utterance: four of the corpus."""
    monkeypatch.setattr(parts, "PART_ROWS", 1)


@pytest.fixture
def plan(model, data, tmp_path):
    return Plan.make(tmp_path / "out", tmp_path / "data", UnitSpec.of_model(model))


@pytest.fixture
def model_folder(model, tmp_path):
    save_model(tmp_path / "model", model, ["a", "b"], about={})
    return tmp_path / "model"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_as_one_extraction(model, data, folder: Path, tmp_path: Path) -> None:
    extract_units(model, data, tmp_path / "text", progress=False)
    one, other = read_units(tmp_path / "text")[0], read_units(folder)[0]
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_parts_together_are_one_extraction(model, data, plan, tmp_path):
    done = list(encode_here(plan, model))
    plan.complete(0.0)
    assert [one.utterances for one in done] == [1] * 4 and sum(one.seconds for one in done) > 1
    same_as_one_extraction(model, data, plan.folder, tmp_path)
    assert list(encode_here(plan, model)) == []  # once is enough


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_have_each_part_once(model, plan, count):
    owners = [one.part for i in range(1, count + 1) for one in encode_here(plan, model, Shard(count, i))]
    assert sorted(owners) == [0, 1, 2, 3]
    plan.complete(0.0)


def test_processes_write_the_same_bytes(model, data, plan, model_folder, tmp_path):
    list(encode_here(plan, model))
    other = Plan.make(tmp_path / "pool", tmp_path / "data", plan.spec)
    assert {one.part for one in encode_in_pool(other, model_folder, 2, "cpu", 1)} == {0, 1, 2, 3}
    assert content(other.folder) == content(plan.folder)


def test_a_process_that_is_killed_costs_its_part_alone(model, data, plan, model_folder, caplog):
    for utterance in data.utterances[2:]:
        soundfile.write(utterance.recording, np.zeros(RATE * 600), RATE)  # so that there is time to kill
    stream = encode_in_pool(plan, model_folder, 1, "cpu", 1)
    first = next(stream)
    for pid in children(b"spawn_main"):
        os.kill(pid, signal.SIGKILL)
    rest = list(stream)
    assert {one.part for one in (first, *rest)} == {0, 1, 2, 3}
    assert "a process was killed" in caplog.text
    plan.complete(0.0)


def children(name: bytes) -> list[int]:
    """Return the processes that this one has started, by a part of their command lines."""
    found = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    return [pid for pid in found if name in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_processes_that_always_die_are_told_of(plan, model_folder, monkeypatch):
    monkeypatch.setattr(launchers, "_begin", _die)
    with pytest.raises(VQAudioError, match=r"killed 3 times without a part being done.*0 of 4 parts are done"):
        list(encode_in_pool(plan, model_folder, 1, "cpu", 1))


def _die(*arguments) -> None:
    os._exit(9)


def test_collapsed(model, data, tmp_path):
    spec = dataclasses.replace(UnitSpec.of_model(model), collapsed=True)
    plan = Plan.make(tmp_path / "out", tmp_path / "data", spec)
    list(encode_here(plan, model))
    plan.complete(0.0)
    extract_units(model, data, tmp_path / "text", progress=False)
    expected = read_frame_units(tmp_path / "text")[0]
    for name, units in read_frame_units(plan.folder)[0].items():
        np.testing.assert_array_equal(units, expected[name])


def test_audio_that_cannot_be_read_is_listed(model, data, plan):
    Path(data.utterances[1].recording).write_bytes(b"RIFF")
    done = list(encode_here(plan, model))
    assert [one.rejected for one in done] == [0, 1, 0, 0]
    with pytest.raises(DataDirError, match=r"1 of 4 utterances rejected \(25.0%\), more than the 5.0% allowed"):
        plan.complete(0.05)
    assert not (plan.folder / "units.json").exists()
    plan.complete(0.25)
    assert "a-2\t" in (plan.folder / "rejected.tsv").read_text()
    assert len(read_units(plan.folder)[0]) == 3


def test_a_part_is_an_hour_or_so_many_utterances(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_ROWS", 3)
    lines = [{"audio_filepath": "a.wav", "id": f"u{i}", "duration": seconds} for i, seconds in enumerate(SECONDS)]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    plan = Plan.make(tmp_path / "out", path, UnitSpec.of_model(model))
    assert [(part.rows, part.seconds) for part in plan.parts] == [(3, 3.0), (1, 4000.0), (2, 3601.0), (1, 1.0)]
    assert [[row.id for row in plan.rows(part)] for part in plan.parts][2] == ["u4", "u5"]
    assert Plan.load(plan.folder) == plan == Plan.make(tmp_path / "out", path, plan.spec)


SECONDS = [1.0, 1.0, 1.0, 4000.0, 1.0, 3600.0, 1.0]


def test_another_manifest_model_or_folder_is_refused(model, data, plan, tmp_path):
    changed = tmp_path / "m.jsonl"
    changed.write_text('{"audio_filepath": "data/a-1.wav", "id": "a-1"}\n')
    with pytest.raises(UnitsError, match="holds units of another manifest"):
        Plan.make(plan.folder, changed, plan.spec)
    with pytest.raises(UnitsError, match="belong to another model"):
        Plan.make(plan.folder, tmp_path / "data", dataclasses.replace(plan.spec, model_hash="x"))
    extract_units(model, data, tmp_path / "text", progress=False)
    with pytest.raises(UnitsError, match="were not made in parts"):
        Plan.make(tmp_path / "text", tmp_path / "data", plan.spec)


def test_an_id_given_twice_is_named(model, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("".join(f'{{"audio_filepath": "{name}.wav"}}\n' for name in "abcbd"))
    with pytest.raises(UnitsError, match=r"1 ids are given more than once, such as 'b\.wav'"):
        Plan.make(tmp_path / "out", path, UnitSpec.of_model(model))
    assert not (tmp_path / "out/manifest.jsonl").exists()


def test_an_empty_manifest_is_refused(model, tmp_path):
    (tmp_path / "m.jsonl").write_text("\n")
    with pytest.raises(UnitsError, match="no utterances"):
        Plan.make(tmp_path / "out", tmp_path / "m.jsonl", UnitSpec.of_model(model))


def test_nothing_missing_or_short_is_called_complete(model, plan):
    list(encode_here(plan, model))
    path = part_path(plan.folder, 2)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(UnitsError, match="1 of 4 parts are missing"):
        plan.complete(1.0)
    write_rejected(part_path(plan.folder, 3).with_suffix(".rejected.tsv"), [Rejection("x", "x", "x")])
    path.with_suffix(".away").rename(path)
    with pytest.raises(UnitsError, match="1 utterances and 1 rejected, expected 1: delete it"):
        plan.complete(1.0)


def test_a_plan_that_cannot_be_read(plan):
    (plan.folder / "manifest.json").write_text('{"parts": [[1]]}')
    with pytest.raises(UnitsError, match=r"manifest\.json: not a plan that can be read"):
        Plan.load(plan.folder)


def test_what_would_not_fit_is_refused_before_it_is_begun(model, tmp_path, monkeypatch):
    from vqaudio.audio import space

    monkeypatch.setattr(space, "free_bytes", lambda path: 0)
    path = tmp_path / "m.jsonl"
    path.write_text('{"audio_filepath": "a.wav", "duration": 3600000}\n')
    with pytest.raises(VQAudioError, match=r"out: the units would take 3\.6 GB, 0 bytes are free"):
        Plan.make(tmp_path / "out", path, UnitSpec.of_model(model))
