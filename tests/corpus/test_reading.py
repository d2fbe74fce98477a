"""An utterance's samples: of a file, of a segment, of a command."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vqaudio.audio.io import read_audio
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.corpus.reading import find_region, open_region, read_utterance, utterance_seconds
from vqaudio.errors import AudioError

from .conftest import RATE, edit


def test_a_whole_file(data):
    utterance = DataDir.load(data).utterances[0]
    waveform, rate = read_utterance(utterance)
    assert rate == RATE
    np.testing.assert_array_equal(waveform, read_audio(utterance.recording)[0])


def test_segments_are_stretches_of_the_recording(segmented):
    first, second, third = DataDir.load(segmented).utterances
    recording, _ = read_audio(first.recording)
    np.testing.assert_array_equal(read_utterance(first)[0], recording[:1600])
    np.testing.assert_array_equal(read_utterance(second)[0], recording[1600:4000])
    np.testing.assert_array_equal(read_utterance(third)[0], read_audio(third.recording)[0][800:])


def test_parts_and_blocks_of_a_segment(segmented):
    second = DataDir.load(segmented).utterances[1]
    region, (whole, _) = find_region(second), read_utterance(second)
    np.testing.assert_array_equal(region.read(100, 300), whole[100:300])
    np.testing.assert_array_equal(np.concatenate(list(region.blocks(77))), whole)


def test_an_end_rounded_beyond_the_recording_is_its_end(segmented):
    first = dataclasses.replace(DataDir.load(segmented).utterances[0], end=0.509)
    assert len(read_utterance(first)[0]) == 4000


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.6), (0.7, 0.8), (0.6, None), (0.2, 0.20001)])
def test_a_segment_outside_its_recording_is_refused(segmented, start, end):
    first = dataclasses.replace(DataDir.load(segmented).utterances[0], start=start, end=end)
    with pytest.raises(AudioError, match=r"segment 'ann-1' \(.* s\) lies outside its 0.500 s"):
        find_region(first)


def test_seconds_from_whatever_knows_them(segmented):
    first, _, third = DataDir.load(segmented).utterances
    assert utterance_seconds(dataclasses.replace(first, duration=9.0)) == 9.0
    assert utterance_seconds(first) == pytest.approx(0.2)
    assert utterance_seconds(third) == pytest.approx(0.6)


# --------------------------------------------------------------------------------------------- commands


def command(data, shell: str) -> Utterance:
    edit(data / "wav.scp", lambda text: text.replace("wavs/bob-1.wav", shell))
    return DataDir.load(data, allow_pipes=True).utterances[2]


def test_a_commands_output_is_read(data):
    expected, _ = read_audio(data / "wavs/bob-1.wav")
    utterance = command(data, f"cat '{data}/wavs/bob-1.wav' |")
    np.testing.assert_array_equal(read_utterance(utterance)[0], expected)
    assert utterance_seconds(utterance) == pytest.approx(0.7)


def test_a_command_that_fails_is_named_with_its_last_words(data):
    utterance = command(data, "echo no such codec >&2; exit 3 |")
    with pytest.raises(AudioError, match="failed with status 3: no such codec") as caught:
        read_utterance(utterance)
    assert caught.value.path == utterance.recording


@pytest.mark.parametrize("shell", ["true |", "echo hello |"])
def test_a_command_without_audio_is_named(data, shell):
    with pytest.raises(AudioError) as caught:
        read_utterance(command(data, shell))
    assert caught.value.path == shell
    assert caught.value.reason.startswith(("the file is empty", "unreadable"))


def test_a_truncated_output_names_the_command(data):
    shell = f"head -c 4000 '{data}/wavs/bob-1.wav' |"
    with pytest.raises(AudioError, match="truncated") as caught:
        read_utterance(command(data, shell))
    assert caught.value.path == shell


def test_a_command_has_no_place_in_a_file(data):
    with pytest.raises(AudioError, match="is a command, expected a file"):
        find_region(command(data, "true |"))


def test_the_output_of_a_command_is_removed(data):
    with open_region(command(data, f"cat '{data}/wavs/bob-1.wav' |")) as region:
        path = region.info.path
        assert region.frames == 5600
    with pytest.raises(AudioError, match="no such file"):
        read_audio(path)
