"""An extraction by several jobs leaves what one job leaves, byte for byte, whatever becomes of the jobs."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqaudio.corpus import DataDir, Utterance
from vqaudio.errors import UnitsError, VQAudioError
from vqaudio.units import extract
from vqaudio.units.extract import encode_utterance, extract_units
from vqaudio.units.locks import at_work
from vqaudio.units.sharding import Shard


def run(model, data, folder, shard=None, **options):
    part = None if shard is None else Shard.parse(shard, {})
    return extract_units(model, data, folder, progress=False, shard=part, **options)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def encoded(monkeypatch) -> list[str]:
    """The utterances that are encoded, in order."""
    seen: list[str] = []
    monkeypatch.setattr(extract, "encode_utterance", lambda m, u, b: seen.append(u.id) or encode_utterance(m, u, b))
    return seen


@pytest.fixture
def alone(model, data, tmp_path) -> dict[str, bytes]:
    """What one job leaves."""
    run(model, data, tmp_path / "alone")
    return content(tmp_path / "alone")


@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_sharded_equals_single(model, data, tmp_path, count, collapse):
    run(model, data, tmp_path / "one", collapse=collapse)
    for index in range(count, 0, -1):
        run(model, data, tmp_path / "many", f"{index}/{count}", collapse=collapse)
    assert not (tmp_path / "many/units.json").exists()  # unfinished units are not taken for finished
    summary = run(model, data, tmp_path / "many", collapse=collapse)
    assert (summary.utterances, summary.resumed, summary.audio_seconds) == (4, 4, 0)
    assert content(tmp_path / "many") == content(tmp_path / "one")


def test_shards_are_dealt_by_length_where_it_is_known(model, data, tmp_path, encoded):
    seconds = dict(zip((u.id for u in data.utterances), (0.1, 0.2, 9.0, 0.3)))
    timed = DataDir([Utterance(u.id, u.speaker, u.recording, duration=seconds[u.id]) for u in data.utterances])
    run(model, timed, tmp_path / "timed", "1/2")
    assert encoded == ["b-1"]  # the long one by itself
    encoded.clear()
    run(model, data, tmp_path / "plain", "1/2")
    assert encoded == ["a-1", "b-1"]  # in turn


def test_a_missing_shard_is_made_up_for(model, data, tmp_path, alone, encoded):
    run(model, data, tmp_path / "u", "1/3")
    encoded.clear()
    summary = run(model, data, tmp_path / "u")
    assert encoded == ["a-2", "b-1"] and (summary.resumed, summary.utterances) == (2, 4)
    assert content(tmp_path / "u") == alone


def test_an_interrupted_shard_goes_on_and_may_be_left_to_the_last_job(model, data, tmp_path, alone, monkeypatch):
    def stops_at_the_second(model, utterance, blocks):
        if utterance.id == "b-1":
            raise KeyboardInterrupt
        return encode_utterance(model, utterance, blocks)

    for goes_on in (True, False):
        out = tmp_path / f"{goes_on}"
        monkeypatch.setattr(extract, "encode_utterance", stops_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            run(model, data, out, "1/2")
        monkeypatch.setattr(extract, "encode_utterance", encode_utterance)
        if goes_on:
            summary = run(model, data, out, "1/2")
            assert (summary.resumed, summary.utterances) == (1, 2)
        run(model, data, out, "2/2")
        assert run(model, data, out).resumed == (4 if goes_on else 3)
        assert content(out) == alone


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([f"{i}/{n}" for n in (1, 2, 3, 5) for i in range(1, n + 1)]), max_size=4))
def test_any_shards_in_any_order_lead_to_the_same(model, data, tmp_path_factory, alone, encoded, given_shards):
    out = tmp_path_factory.mktemp("any")
    encoded.clear()
    for shard in given_shards:
        run(model, data, out, shard)
    run(model, data, out)
    assert content(out) == alone
    # Divisions that differ do not do again what another has done.
    assert sorted(encoded) == ["a-1", "a-2", "b-1", "b-2"]


def test_shards_go_on_from_an_undivided_run(model, data, tmp_path, alone, encoded, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(extract, "write_rejected", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(model, data, tmp_path / "u")
    encoded.clear()
    for shard in ("1/2", "2/2"):
        run(model, data, tmp_path / "u", shard)
    assert run(model, data, tmp_path / "u").resumed == 4 and encoded == []
    assert content(tmp_path / "u") == alone


def test_rejected_utterances_are_counted_over_all(model, data, tmp_path):
    Path(data.utterances[3].recording).write_bytes(b"not audio")
    run(model, data, tmp_path / "one", max_rejected_share=0.25)
    for index in (1, 2, 3):  # b-2 is half of shard 1 of 3, and a quarter of all
        run(model, data, tmp_path / "many", f"{index}/3", max_rejected_share=0.25)
    run(model, data, tmp_path / "many", max_rejected_share=0.25)
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert b"b-2" in content(tmp_path / "many")["rejected.tsv"]
    # A shard with too many for all fails at once, by its own list, and so does the job that completes.
    for shard, where in (("1/3", "few/shards/1-of-3/rejected.tsv"), (None, "few/rejected.tsv")):
        with pytest.raises(VQAudioError, match=rf"1 of 4 utterances rejected(.|\n)*{where}"):
            run(model, data, tmp_path / "few", shard, max_rejected_share=0.2)


def test_what_a_shard_rejected_is_tried_again(model, data, tmp_path, alone):
    path = Path(data.utterances[3].recording)
    good, times = path.read_bytes(), path.stat()

    def replace(content: bytes) -> None:  # unnoticed, as on a disk with moods
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    replace(b"x" * len(good))
    assert run(model, data, tmp_path / "u", "1/1", max_rejected_share=1).rejected == 1
    replace(good)
    run(model, data, tmp_path / "u")
    assert content(tmp_path / "u") == alone


def test_shards_of_another_model_are_refused_and_kept(model, data, tmp_path):
    other = copy.deepcopy(model)
    other.quantizer.codebook += 1
    run(model, data, tmp_path / "u", "1/2")
    before = content(tmp_path / "u/shards")
    for shard in ("1/2", "2/2", "1/3", None):
        with pytest.raises(UnitsError, match="holds units of another model"):
            run(other, data, tmp_path / "u", shard)
    left = content(tmp_path / "u/shards")
    assert {name: left[name] for name in before} == before and not (tmp_path / "u/units.json").exists()


def test_shards_of_other_data_are_refused_rather_than_thrown_away(model, data, waveforms, tmp_path):
    run(model, data, tmp_path / "u", "1/2")
    soundfile.write(data.utterances[0].recording, waveforms["b-2"], 8000, subtype="PCM_16")
    with pytest.raises(UnitsError, match=r"shards/1-of-2 holds units of other data(.|\n)*Delete .*shards "):
        run(model, data, tmp_path / "u")
    for shard in ("1/2", "2/2"):  # done again, they fit
        run(model, data, tmp_path / "u", shard)
    run(model, data, tmp_path / "u")
    run(model, data, tmp_path / "one")
    assert content(tmp_path / "u") == content(tmp_path / "one")


def test_jobs_in_each_others_way_are_refused_and_nothing_is_lost(model, data, tmp_path, alone):
    with at_work(tmp_path / "u", Shard(index=1, count=2)):
        for shard in ("1/2", None):
            with pytest.raises(VQAudioError, match="at work"):
                run(model, data, tmp_path / "u", shard)
        run(model, data, tmp_path / "u", "2/2")
    with at_work(tmp_path / "u", None), pytest.raises(VQAudioError, match="without --shard is at work"):
        run(model, data, tmp_path / "u", "1/2")
    assert run(model, data, tmp_path / "u").resumed == 2
    assert content(tmp_path / "u") == alone
