"""Formatting: good audio arrives at one rate, bad audio is listed with its reason, nothing is done twice."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from vqaudio.audio import files
from vqaudio.audio.io import read_audio, to_int16, write_wav
from vqaudio.audio.lock_file import locked
from vqaudio.audio.resample import resample
from vqaudio.corpus.datadir import DataDir, Utterance, check
from vqaudio.corpus.format import _in_order, format_data
from vqaudio.corpus.rejected import Rejection, read_rejected
from vqaudio.errors import DataDirError, StorageError, VQAudioError

from .conftest import RATE, edit, noise


def run(source, target, sample_rate=RATE, **options):
    return format_data(source, target, sample_rate, progress=False, **options)


def one_utterance(path) -> DataDir:
    return DataDir([Utterance("a-1", "a", str(path))])


# ------------------------------------------------------------------------------------------- good audio


def test_audio_at_the_rate_arrives_unchanged(data, tmp_path):
    summary = run(data, tmp_path / "out")
    for name in ("ann-1", "ann-2", "bob-1"):
        before = soundfile.read(data / f"wavs/{name}.wav", dtype="int16")[0]
        after = soundfile.read(tmp_path / f"out/wavs/{name}.wav", dtype="int16")[0]
        np.testing.assert_array_equal(after, before)
    assert summary.seconds == pytest.approx(1.8)
    assert summary.rejected == [] and summary.reused == 0


def test_the_target_is_a_valid_directory_that_can_be_moved(data, tmp_path):
    run(data, tmp_path / "out")
    assert (tmp_path / "out/wav.scp").read_text().startswith("ann-1 wavs/ann-1.wav\n")
    assert (tmp_path / "out/utt2dur").read_text().startswith("ann-1 0.500000\n")
    assert (tmp_path / "out/utt2num_samples").read_text() == "ann-1 4000\nann-2 4800\nbob-1 5600\n"
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert check(moved) == []
    assert [u.text for u in DataDir.load(moved).utterances] == ["good morning", "good night", "no"]


def test_rate_and_channels_are_changed_and_said(data, tmp_path, caplog):
    stereo = np.stack([noise(44100), noise(44100, 1)], axis=1)
    soundfile.write(data / "wavs/ann-1.wav", stereo, 44100, "PCM_24")
    soundfile.write(data / "wavs/bob-1.wav", noise(4000), 4000, "PCM_U8")
    with caplog.at_level("INFO"):
        run(data, tmp_path / "out")
    written, rate = read_audio(tmp_path / "out/wavs/ann-1.wav")
    expected = resample(read_audio(data / "wavs/ann-1.wav")[0], 44100, RATE)
    np.testing.assert_array_equal(to_int16(written)[0], to_int16(expected)[0])
    assert rate == RATE
    assert "1 from 44100 Hz, 2 channels, PCM_24: mixed down by mean, resampled" in caplog.text
    assert "1 from 4000 Hz, 1 channel, PCM_U8: resampled upwards: they hold nothing above 2000 Hz" in caplog.text
    assert "1 from 8000 Hz, 1 channel, PCM_16\n" in caplog.text


def test_utterances_are_brought_to_a_level_and_made_again_for_another(tmp_path):
    for name, gain in (("loud", 0.1), ("faint", 0.001)):
        soundfile.write(tmp_path / f"{name}.wav", gain * np.sin(np.arange(4 * RATE)), RATE, "FLOAT")
    data = DataDir([Utterance(f"{name}-1", name, str(tmp_path / f"{name}.wav")) for name in ("faint", "loud")])
    for level in (-26.0, -30.0):
        assert run(data, tmp_path / "out", level_db=level).reused == 0
        for name in ("faint", "loud"):
            written = read_audio(tmp_path / f"out/wavs/{name}-1.wav")[0]
            assert 20 * np.log10(written.std()) == pytest.approx(level, abs=0.05)  # of 16 bits


def test_clipping_is_counted_and_said(tmp_path):
    loud = np.array([0.5, 1.5, -1.5] * 1000)
    soundfile.write(tmp_path / "a.wav", loud, RATE, "FLOAT")
    summary = run(one_utterance(tmp_path / "a.wav"), tmp_path / "out")
    assert summary.made[0].clipped == 2000
    assert "2000 samples beyond full scale clipped, in 1 utterances" in str(summary)


def test_segments_become_files_of_their_own(segmented, tmp_path):
    run(segmented, tmp_path / "out")
    whole = read_audio(segmented / "wavs/rec-ann-1.wav")[0]
    np.testing.assert_array_equal(read_audio(tmp_path / "out/wavs/ann-2.wav")[0], whole[1600:4000])
    assert not (tmp_path / "out/segments").exists()


def test_commands_are_run_if_allowed(data, tmp_path):
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", f"cat {data}/wavs/bob-1.wav |"))
    with pytest.raises(DataDirError, match="pipe"):
        run(data, tmp_path / "out")
    assert len(run(data, tmp_path / "out", allow_pipes=True).made) == 3
    assert len(read_audio(tmp_path / "out/wavs/bob-1.wav")[0]) == 5600


def test_minutes_of_audio_pass_in_bounded_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 16000, 1) as file:
        for minute in range(5):
            file.write(noise(16000 * 60, minute))
    tracemalloc.start()
    summary = run(one_utterance(tmp_path / "long.flac"), tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary.seconds == 300
    assert peak < 4 << 20  # the recording alone is 18 MiB as float32


def test_lengths_at_the_old_rate_are_not_carried_on(data, tmp_path):
    (data / "utt2num_samples").write_text("ann-1 4000\nann-2 4800\nbob-1 5600\n")
    run(data, tmp_path / "out", sample_rate=2 * RATE)
    assert (tmp_path / "out/utt2num_samples").read_text() == "ann-1 8000\nann-2 9600\nbob-1 11200\n"


def test_no_more_utterances_wait_for_a_thread_than_a_few():
    taken: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = _in_order(pool, lambda i: -i, (taken.append(i) or i for i in range(1000)), ahead=8)
        for i in range(20):
            assert next(results) == -i
            assert len(taken) <= i + 1 + 8
        assert list(results) == [-i for i in range(20, 1000)]


def test_threads_change_nothing(data, tmp_path):
    one, two = run(data, tmp_path / "one"), run(data, tmp_path / "two", jobs=2)
    assert one.made == two.made
    for name in os.listdir(tmp_path / "one/wavs"):
        assert (tmp_path / "one/wavs" / name).read_bytes() == (tmp_path / "two/wavs" / name).read_bytes()


# -------------------------------------------------------------------------------------------- bad audio


def spoil_nan(path):
    samples = noise(4000)
    samples[70] = np.nan
    soundfile.write(path, samples, RATE, "FLOAT")


SPOILT = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:3000]),
    "the file is empty": lambda path: path.write_bytes(b""),
    "unreadable: Format not recognised": lambda path: path.write_bytes(b"no audio" * 100),
    "holds no samples": lambda path: soundfile.write(path, np.zeros(0), RATE),
    "sample 70 is NaN": spoil_nan,
    "silent: peak -inf dB": lambda path: write_wav(path, np.zeros(4000), RATE),
    "silent: peak -90.3 dB, below -70": lambda path: write_wav(path, np.full(4000, 2.0**-15), RATE),
    "too short: 0.050 s, less than 0.1 s": lambda path: write_wav(path, noise(400), RATE),
    "too long: 3.000 s, more than 2 s": lambda path: write_wav(path, noise(24000), RATE),
    "not scaled to [-1, 1]: samples reach": lambda path: soundfile.write(path, noise(4000) * 9e4, RATE, "FLOAT"),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_bad_audio_is_listed_with_its_reason(data, tmp_path, reason):
    path = data / "wavs/ann-2.wav"
    SPOILT[reason](path)
    summary = run(data, tmp_path / "out", max_seconds=2.0, max_rejected_share=0.5)
    (rejection,) = summary.rejected
    assert (rejection.utterance, rejection.path) == ("ann-2", str(path))
    assert rejection.reason.startswith(reason)
    header, line = (tmp_path / "out/rejected.tsv").read_text().splitlines()
    assert header.split("\t") == ["utterance", "path", "reason"]
    assert line.split("\t") == ["ann-2", str(path), rejection.reason]
    assert [u.id for u in DataDir.load(tmp_path / "out").utterances] == ["ann-1", "bob-1"]
    assert sorted(os.listdir(tmp_path / "out/wavs")) == ["ann-1.wav", "bob-1.wav"]
    assert f"1 rejected: {rejection.reason.partition(':')[0]}" in str(summary)


def test_a_file_lost_after_validation_is_rejected(data, tmp_path):
    loaded = DataDir.load(data)
    (data / "wavs/ann-2.wav").unlink()
    (rejection,) = run(loaded, tmp_path / "out", max_rejected_share=0.5).rejected
    assert rejection.reason.startswith("no such file")


def test_too_many_rejections_fail_and_leave_no_data_directory(data, tmp_path):
    write_wav(data / "wavs/ann-2.wav", np.zeros(4000), RATE)
    with pytest.raises(DataDirError) as caught:
        run(data, tmp_path / "out")
    message = str(caught.value)
    assert "1 of 3 utterances rejected (33.3%), more than the 5.0% allowed" in message
    assert f"ann-2: {data}/wavs/ann-2.wav: silent" in message
    assert f"{tmp_path}/out/rejected.tsv" in message
    assert (tmp_path / "out/rejected.tsv").exists() and not (tmp_path / "out/wav.scp").exists()


def test_the_list_of_an_earlier_run_does_not_stay(data, tmp_path):
    good = (data / "wavs/ann-2.wav").read_bytes()
    write_wav(data / "wavs/ann-2.wav", np.zeros(4000), RATE)
    run(data, tmp_path / "out", max_rejected_share=0.5)
    (data / "wavs/ann-2.wav").write_bytes(good)
    run(data, tmp_path / "out")
    assert (tmp_path / "out/rejected.tsv").read_text() == "utterance\tpath\treason\n"


def test_a_disk_that_fails_stops_it_and_rejects_nothing(data, tmp_path, monkeypatch):
    loaded = DataDir.load(data)
    monkeypatch.setattr(files, "PAUSES", ())
    monkeypatch.setattr(files, "open_regular", lambda path: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    with pytest.raises(StorageError, match=r"ann-1\.wav: could not be read: Stale file handle"):
        run(loaded, tmp_path / "out")
    assert not (tmp_path / "out/rejected.tsv").exists()
    monkeypatch.undo()
    assert len(run(loaded, tmp_path / "out").made) == 3


def test_what_does_not_fit_into_a_wav_file_is_rejected_before_it_is_written(tmp_path):
    write_wav(tmp_path / "a.wav", noise(RATE), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = (2 * 38 * 3600 * RATE).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    os.truncate(tmp_path / "a.wav", 44 + 2 * 38 * 3600 * RATE)  # 38 hours, most of them a hole
    (rejection,) = all_rejected(tmp_path / "a.wav", tmp_path / "out", sample_rate=2 * RATE)
    assert rejection.reason == "too long: 38.0 h, more than the 37.3 h of a WAV file of 4 GiB"


def all_rejected(path, target, **options) -> list[Rejection]:
    """Return what is rejected of a corpus of one utterance."""
    with pytest.raises(DataDirError, match="no utterances to write"):
        run(one_utterance(path), target, max_rejected_share=1, **options)
    return read_rejected(target / "rejected.tsv")


def test_room_on_the_disk_is_asked_for_before_anything_is_written(data, tmp_path, monkeypatch):
    (data / "utt2dur").write_text("ann-1 0.5\nann-2 0.6\nbob-1 0.7\n")
    run(data, tmp_path / "out")  # what is made already needs no more room
    seen = []
    monkeypatch.setattr("vqaudio.corpus.format.require_space", lambda path, size, what: seen.append((size, what)))
    run(data, tmp_path / "out")
    run(data, tmp_path / "other", sample_rate=2 * RATE)
    assert seen == [(0, "audio of 0.0 h at 8000 Hz"), (2 * 2 * RATE * 18 // 10, "audio of 0.0 h at 16000 Hz")]


def test_a_disk_that_is_too_small_is_named_at_once(data, tmp_path, monkeypatch):
    (data / "utt2dur").write_text("ann-1 3e6\nann-2 0.6\nbob-1 0.7\n")
    monkeypatch.setattr("vqaudio.audio.space.free_bytes", lambda path: 1 << 30)
    with pytest.raises(VQAudioError, match=r"out: audio of 833\.3 h at 8000 Hz would take 48 GB, 1\.07 GB are free"):
        run(data, tmp_path / "out")
    assert not (tmp_path / "out/wavs").exists()


def test_source_and_target_must_differ(data):
    with pytest.raises(DataDirError, match="source and target are the same directory"):
        run(data, data / "wavs" / "..")


def test_no_utterances_are_no_corpus(tmp_path):
    with pytest.raises(DataDirError, match="no utterances to write"):
        run(DataDir([]), tmp_path / "out")


def test_an_invalid_source_is_refused(data, tmp_path):
    (data / "utt2spk").unlink()
    with pytest.raises(DataDirError, match="utt2spk: missing-file"):
        run(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------- resuming


def stamps(folder) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "wavs").iterdir()}


def test_a_second_run_does_nothing_again(data, tmp_path):
    first = run(data, tmp_path / "out")
    before = stamps(tmp_path / "out")
    second = run(data, tmp_path / "out")
    assert stamps(tmp_path / "out") == before
    assert second.reused == 3 and second.made == first.made


def test_only_what_changed_is_done_again(data, tmp_path):
    run(data, tmp_path / "out")
    write_wav(data / "wavs/ann-2.wav", noise(5000, 9), RATE)
    (tmp_path / "out/wavs/bob-1.wav").write_bytes(b"RIFF")
    assert run(data, tmp_path / "out").reused == 1
    assert len(read_audio(tmp_path / "out/wavs/ann-2.wav")[0]) == 5000
    assert len(read_audio(tmp_path / "out/wavs/bob-1.wav")[0]) == 5600


@pytest.mark.parametrize("change", [{"sample_rate": 4000}, {"silence_db": -60.0}, {"min_seconds": 0.2}])
def test_other_options_do_all_again(data, tmp_path, change):
    run(data, tmp_path / "out")
    assert run(data, tmp_path / "out", **change).reused == 0


def test_an_interrupted_run_goes_on_where_it_stood(data, tmp_path, monkeypatch):
    from vqaudio.corpus import format as module

    make = module._make

    def interrupted(utterance, options, journal):
        if utterance.id == "bob-1":
            raise KeyboardInterrupt
        return make(utterance, options, journal)

    monkeypatch.setattr(module, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out")
    monkeypatch.undo()
    with open(tmp_path / "out/format.jsonl", "a") as file:
        file.write('{"utterance": "bob-1", "fra')  # a line that was being written
    assert run(data, tmp_path / "out").reused == 2
    lines = (tmp_path / "out/format.jsonl").read_text().splitlines()
    assert [json.loads(line)["utterance"] for line in lines[1:]] == ["ann-1", "ann-2", "bob-1"]


def test_a_killed_run_goes_on_where_it_stood(tmp_path):
    """SIGKILL in the middle, three times; the result is that of a run that was left alone."""
    utterances = []
    for i in range(60):
        soundfile.write(tmp_path / f"{i:02d}.flac", noise(40_000, i), 16000)
        utterances.append(Utterance(f"u{i:02d}", "ann", str(tmp_path / f"{i:02d}.flac")))
    DataDir(utterances).write(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "whole")
    program = "import sys; from vqaudio.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "data", "format", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    command += ["--sample_rate", str(RATE)]
    journal, done = tmp_path / "out/format.jsonl", 0
    for _ in range(3):
        child = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not journal.exists() or len(journal.read_bytes().splitlines()) < done + 8:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        child.kill()
        child.wait()
        done = len(journal.read_bytes().splitlines()) - 1
    summary = run(tmp_path / "data", tmp_path / "out")
    assert summary.reused >= done - 1  # a line may have broken off
    written = sorted(path.name for path in (tmp_path / "out/wavs").iterdir())
    assert written == [f"u{i:02d}.wav" for i in range(60)]
    for name in [f"wavs/{name}" for name in written] + ["utt2num_samples", "rejected.tsv"]:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\0", b"[1, 2]", b"7", b"{}", b'{"utterance": "ann-2", "frames": "many"}', b"[" * 100_000]
)
def test_a_record_that_a_disk_has_changed_counts_as_not_done(data, tmp_path, line):
    run(data, tmp_path / "out")
    lines = (tmp_path / "out/format.jsonl").read_bytes().splitlines()
    (tmp_path / "out/format.jsonl").write_bytes(b"\n".join([*lines[:2], line, *lines[3:], b""]))
    assert run(data, tmp_path / "out").reused == 2


def test_two_runs_into_one_folder_do_not_meet(data, tmp_path):
    with locked(tmp_path / "out/.lock", AssertionError), pytest.raises(VQAudioError, match="another `data format` is"):
        run(data, tmp_path / "out")
    assert len(run(data, tmp_path / "out").made) == 3
    assert not (tmp_path / "out/.lock").exists()


def test_a_full_disk_stops_it_and_the_next_run_goes_on(data, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))  # two of the three files are larger
    try:
        with pytest.raises(VQAudioError, match=r"cannot write .*ann-2\.wav: File too large"):
            run(data, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path / "out/wavs") == ["ann-1.wav"]
    assert run(data, tmp_path / "out").reused == 1


def test_a_target_that_cannot_be_written_is_named(data):
    (data / "file").touch()
    with pytest.raises(VQAudioError, match=r"cannot write .*file/out"):
        run(data, data / "file" / "out")
