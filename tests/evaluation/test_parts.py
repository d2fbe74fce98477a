"""Parts of a scorecard measured by several jobs make the same results as measured by one."""

from __future__ import annotations

import json
import logging
import os

import pytest

from vqaudio.cli.score import PARTS
from vqaudio.corpus import Utterance
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.parts import COSTS, mark_of, measure_parts
from vqaudio.evaluation.results import Results
from vqaudio.units.sharding import Shard


@pytest.fixture
def measured() -> list[str]:
    """The parts that were measured, in order."""
    return []


@pytest.fixture
def parts(measured):
    """Four parts whose results have all that results can have, and figures that text could spoil."""

    def part(name: str, number: int):
        def measure() -> Results:
            measured.append(name)
            nested = Results({"nested": 1 / 7}, {"nested": (0.1, 2 / 3)}, {"lacking": "a reason"})
            results = Results(baselines={name: nested}, sweep={f"{number / 10:g}": nested}, about={"über": "„so“"})
            results.put(f"{name}_share", 0.1 + 0.2, (1e-17, 1 / 3))
            results.put(f"{name}_count", number)
            results.put(f"{name}_infinite", float("inf"))
            results.put("common", number)
            return results

        return measure

    return {name: part(name, number) for number, name in enumerate(["units", "decoder", "prior", "speed"])}


def text(results: Results) -> str:
    return json.dumps(results.to_object(), indent=2)


def shard(index, count):
    return Shard(index=index, count=count)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_measure_each_part_once_and_the_results_are_those_of_one_job(parts, measured, tmp_path, count):
    alone = text(measure_parts(parts, tmp_path / "one", lambda: "mark"))
    measured.clear()
    for index in range(count, 0, -1):
        measure_parts(parts, tmp_path, lambda: "mark", shard(index, count))
    assert sorted(measured) == sorted(parts)
    assert text(measure_parts(parts, tmp_path, lambda: "mark")) == alone
    assert len(measured) == len(parts)


def test_the_dear_parts_are_spread(parts, measured, tmp_path):
    measure_parts(parts, tmp_path, lambda: "mark", shard(1, 2))
    assert measured == ["units", "prior"]  # the other has the decoder, which costs as much as units, and speed


def test_a_part_that_failed_is_all_that_is_measured_again(parts, measured, tmp_path):
    def fails():
        raise VQAudioError("no")

    alone = text(measure_parts(parts, tmp_path / "one", lambda: "mark"))
    with pytest.raises(VQAudioError):
        measure_parts({**parts, "prior": fails}, tmp_path, lambda: "mark", shard(1, 1))
    measured.clear()
    for again in (shard(1, 2), shard(2, 2), None):  # another division takes over what the first has done
        results = measure_parts(parts, tmp_path, lambda: "mark", again)
    assert sorted(measured) == ["prior", "speed"] and text(results) == alone


def test_what_was_measured_of_something_else_does_not_count_and_is_said(parts, measured, tmp_path, caplog):
    for index in (1, 2):
        measure_parts(parts, tmp_path, lambda: "before", shard(index, 2))
    measured.clear()
    with caplog.at_level(logging.WARNING):
        measure_parts(parts, tmp_path, lambda: "after", None)
    assert measured == list(parts)
    assert "units.json: measured with other options or other inputs; it does not count" in caplog.text


def test_a_part_left_out_needs_no_new_shards(parts, measured, tmp_path):
    measure_parts(parts, tmp_path, lambda: "mark", shard(1, 1))
    measured.clear()
    del parts["prior"]
    results = measure_parts(parts, tmp_path, lambda: "mark")
    assert measured == [] and "prior_share" not in results.figures


def test_a_spoilt_file_is_named(parts, tmp_path):
    measure_parts(parts, tmp_path, lambda: "mark", shard(1, 1))
    (tmp_path / "shards/1-of-1/prior.json").write_text("{")
    with pytest.raises(VQAudioError, match=r"prior\.json cannot be read.*delete it"):
        measure_parts(parts, tmp_path, lambda: "mark")


def test_one_job_alone_reads_no_inputs(parts, tmp_path):
    def never() -> str:
        raise AssertionError("a mark that nobody needs costs a look at every file")

    measure_parts(parts, tmp_path, never)


def test_a_mark_tells_options_files_and_audio_apart(tmp_path):
    (tmp_path / "model").mkdir()
    weights, audio = tmp_path / "model/model.safetensors", tmp_path / "a.wav"
    weights.write_text("weights")
    audio.write_text("sound")
    paths, utterances = {"model": tmp_path / "model", "prior": None}, [Utterance("a", "anna", str(audio))]
    before = mark_of({"seed": 0, "asr": None}, paths, utterances)
    (tmp_path / "model/.lock").touch()
    (tmp_path / "model/shards").mkdir()
    assert mark_of({"asr": None, "seed": 0}, paths, utterances) == before
    others = [
        mark_of({"seed": 1, "asr": None}, paths, utterances),
        mark_of({"seed": 0, "asr": None}, {"prior": tmp_path / "model", "model": None}, utterances),
        mark_of({"seed": 0, "asr": None}, {**paths, "prior": weights}, utterances),
        mark_of({"seed": 0, "asr": None}, {**paths, "prior": tmp_path / "nothing"}, []),
    ]
    os.utime(audio, ns=(0, 0))
    others.append(mark_of({"seed": 0, "asr": None}, paths, utterances))
    os.utime(weights, ns=(0, 0))
    others.append(mark_of({"seed": 0, "asr": None}, paths, utterances))
    assert len({before, *others}) == 1 + len(others)


def test_costs_are_of_parts_that_there_are():
    assert COSTS.keys() < set(PARTS)
