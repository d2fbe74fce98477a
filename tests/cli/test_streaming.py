"""`decode --stream` and `--play`: what is heard while it is made is what the files hold, and who leaves is let go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from tests.cli.conftest import LENGTHS
from tests.conftest import logging_restored
from tests.small import HOP, RATE
from vqaudio.audio import read_audio
from vqaudio.cli import streaming
from vqaudio.cli.main import main
from vqaudio.cli.player import PLAYERS, find_player, player_pipe
from vqaudio.errors import VQAudioError
from vqaudio.units import read_units, write_units


def decode(lab, *more):
    return ["decode", "--model", lab.model, "--units", lab.units, "--utt2spk", lab.data, "--engine", "torch", *more]


@pytest.fixture(scope="session")
def files(lab, tmp_path_factory):
    """Decoded to files: 16-bit samples by utterance."""
    out = tmp_path_factory.mktemp("files")
    with logging_restored():
        assert main([str(word) for word in decode(lab, "--out", out)]) == 0
    return {path.stem: samples(path) for path in out.glob("*.wav")}


def samples(path) -> np.ndarray:
    return (read_audio(path)[0] * 32768).astype(np.int16)


def in_turn(files, ids=tuple(LENGTHS)) -> np.ndarray:
    return np.concatenate([files[id] for id in sorted(ids)])


def process(words, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "vqaudio", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.fixture
def players(tmp_path, monkeypatch):
    """Put a player of one's own on PATH: a name and a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (folder / name).chmod(0o755)

    return add


# ----------------------------------------------------------------------------------------------- to a file


def test_a_file_holds_all_utterances_one_after_the_other(lab, files, tmp_path, run):
    out, err = run(*decode(lab, "--stream", tmp_path / "all.wav"))
    np.testing.assert_array_equal(samples(tmp_path / "all.wav"), in_turn(files))
    assert read_audio(tmp_path / "all.wav")[1] == RATE
    assert out == "" and "the first chunk after" in err and "real-time factor" in err
    assert f"all.wav: {np.isin(in_turn(files), [-32768, 32767]).sum()} of" in err  # clipping, as the small model does
    run(*decode(lab, "--stream", tmp_path / "two.wav", "--limit", 2))
    np.testing.assert_array_equal(samples(tmp_path / "two.wav"), in_turn(files, ["anna-1", "anna-2"]))


def test_it_can_be_read_after_every_chunk(lab, tmp_path, run, monkeypatch):
    lengths, hear = [], streaming.Listeners.hear

    def hear_and_read(self, chunk) -> None:
        hear(self, chunk)
        lengths.append(len(read_audio(tmp_path / "all.wav")[0]) - sum(lengths))

    monkeypatch.setattr(streaming.Listeners, "hear", hear_and_read)
    run(*decode(lab, "--stream", tmp_path / "all.wav"))
    # Of 31, 20, 25 and 10 units; 40 ms are 20.
    assert [length / HOP for length in lengths] == [5, 10, 16, 5, 10, 5, 5, 10, 10, 5, 5]


def test_with_out_the_files_are_written_too_and_left_as_they_are_by_the_next_run(lab, files, tmp_path, run):
    run(*decode(lab, "--stream", tmp_path / "all.wav", "--out", tmp_path / "out", "--natural", lab.data))
    made = {path.stem: samples(path) for path in (tmp_path / "out").glob("*.wav")}
    assert {id: len(made[id]) for id in made} == LENGTHS  # trimmed to the recordings
    assert all(np.array_equal(made[id], files[id][:length]) for id, length in LENGTHS.items())
    np.testing.assert_array_equal(samples(tmp_path / "all.wav"), in_turn(made))
    assert (tmp_path / "out/generation.json").is_file()
    _, err = run(*decode(lab, "--out", tmp_path / "out", "--natural", lab.data))
    assert "4 of 4 waveforms are in" in err


def test_a_named_pipe_is_written_to_and_not_replaced(lab, files, tmp_path, run):
    fifo, received = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    run(*decode(lab, "--stream", fifo))
    reader.join()
    assert fifo.is_fifo()
    np.testing.assert_array_equal(np.frombuffer(received[0][44:], "<i2"), in_turn(files))


def test_what_cannot_be_written_is_named(lab, tmp_path, fail):
    assert "is a directory" in fail(*decode(lab, "--stream", tmp_path))
    (tmp_path / "file").write_text("")
    assert f"cannot write {tmp_path}/file/x.wav" in fail(*decode(lab, "--stream", tmp_path / "file/x.wav"))


# -------------------------------------------------------------------------------------- to standard output


def test_standard_output_is_a_wav_of_unknown_length_and_nothing_else(lab, files):
    running = process(decode(lab, "--stream", "-"))
    out, err = running.communicate()
    assert running.returncode == 0, err
    assert out[:8] == b"RIFF\xff\xff\xff\xff" and out[36:44] == b"data\xff\xff\xff\xff"
    np.testing.assert_array_equal(np.frombuffer(out[44:], "<i2"), in_turn(files))
    assert b"real-time factor" in err


def test_a_reader_who_leaves_ends_it_quietly_with_a_message(lab, tmp_path):
    units, spec = read_units(lab.units)
    # More than a pipe holds (64 KiB), so that it is noticed.
    write_units(tmp_path, [(f"anna-{i}", np.tile(units["anna-1"], 30)) for i in range(4)], spec)
    words = decode(lab, "--stream", "-", "--speaker", "anna")
    words[4], words[5:7] = tmp_path, []
    running = process(words)
    assert running.stdout.read(44)[:4] == b"RIFF"
    running.stdout.close()
    err = running.stderr.read().decode()
    assert running.wait() == 141, err
    assert "whoever listened has gone after" in err
    assert "Traceback" not in err and "BrokenPipe" not in err and "Exception ignored" not in err


def test_a_terminal_is_not_written_to(lab, fail, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "standard output is a terminal" in fail(*decode(lab, "--stream", "-"))


# ----------------------------------------------------------------------------------------------- to a player


@pytest.mark.parametrize("name", PLAYERS)
def test_a_player_gets_the_samples_and_the_rate(lab, files, tmp_path, run, players, name):
    players(name, f'echo "$@" > {tmp_path}/said; cat > {tmp_path}/heard')
    out, _ = run(*decode(lab, "--play"))
    np.testing.assert_array_equal(np.frombuffer((tmp_path / "heard").read_bytes(), "<i2"), in_turn(files))
    assert str(RATE) in (tmp_path / "said").read_text().split()
    assert out == ""


def test_the_first_player_of_the_list_is_taken(players):
    players("play", "")
    assert find_player() == "play"
    players("aplay", "")
    assert find_player() == "aplay"


def test_where_there_is_no_player_those_that_are_known_are_named(lab, players, fail):
    message = fail(*decode(lab, "--play"))
    assert all(name in message for name in PLAYERS)


def test_a_player_that_fails_is_an_error(lab, players, fail):
    players("aplay", "cat > /dev/null; echo no sound card >&2; exit 1")
    assert "--play: aplay failed with status 1" in fail(*decode(lab, "--play"))


def test_a_player_that_fails_at_once_is_an_error_and_one_that_is_closed_is_not(players):
    second = np.zeros(RATE, np.float32)
    players("aplay", "exit 3")
    with pytest.raises(VQAudioError, match="aplay failed with status 3"), player_pipe("aplay", RATE) as pipe:
        for _ in range(100):
            pipe.write(second)
    players("aplay", "exit 0")
    with pytest.raises(BrokenPipeError), player_pipe("aplay", RATE) as pipe:
        for _ in range(100):
            pipe.write(second)
    players("aplay", "kill -TERM $$")
    with pytest.raises(BrokenPipeError), player_pipe("aplay", RATE) as pipe:
        for _ in range(100):
            pipe.write(second)


def test_an_interruption_silences_the_player(players, tmp_path):
    players("aplay", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(KeyboardInterrupt), player_pipe("aplay", RATE) as pipe:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            pipe.write(np.zeros(1, np.float32))
            time.sleep(0.01)
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_chunks_are_cut_at_the_length_of_the_recording():
    chunks = [torch.arange(3), torch.arange(3, 6), torch.arange(6, 9)]
    for length, expected in ((None, 9), (9, 9), (7, 7), (6, 6)):
        assert torch.cat(list(streaming._trimmed(chunks, length))).tolist() == list(range(expected))
