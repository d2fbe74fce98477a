"""Errors of what was made stand beside those of the recordings, and nothing is read twice."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.intelligibility import (
    FEWEST_SPEAKERS,
    READINGS_FILE,
    Item,
    intelligibility,
    mean_confidence,
    read_aloud,
)
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.recognisers import Reading

SAID = {"a": "Press one, now.", "b": "Goodbye", "c": "The door is open"}
RECORDED = {"a": "press 1 now", "b": "good boy", "c": "the door is open"}
MADE = {"a": "dress one", "b": "good boy", "c": "the door was open"}


def readings(texts: dict[str, str]) -> dict[str, Reading]:
    return {key: Reading(text) for key, text in texts.items()}


class Toy:
    """Reads a level: 'loud' or 'quiet', as sure as it is loud; counts what it reads."""

    def __init__(self, name: str = "toy 1", languages: tuple[str, ...] | None = None) -> None:
        self.name, self.languages, self.asked = name, languages, []

    def transcribe(self, waveform, sample_rate, language):
        self.asked.append((len(waveform), sample_rate, language))
        level = np.float32(np.abs(waveform).max(initial=0.0))
        return Reading("loud" if level > 0.5 else "quiet" if level else "", level if level else None)


def tone(level: float, samples: int = 10) -> np.ndarray:
    return np.full(samples, level, dtype=np.float32)


ITEMS = [Item("x", tone(0.75), 8000, "en"), Item("y", tone(0.25), 8000, "en"), Item("z", tone(0.0), 8000, "en")]


# --------------------------------------------------------------------------------------------------- comparing


def test_a_case_by_hand():
    """8 words. Recordings: Goodbye as two (S, I). Made: S and D in a, the same two in b, S in c."""
    found = intelligibility(SAID, readings(RECORDED), readings(MADE))
    assert (found.utterances, found.words, found.interval_over) == (3, 8, "utterances")
    assert found.wer.value == 5 / 8 and found.wer.edits == (3, 1, 1)
    assert found.wer_natural.value == 2 / 8 and found.wer_natural.edits == (1, 0, 1)
    assert found.wer_over_natural == 3 / 8
    assert found.wer_against_natural.value == 3 / 9  # the recogniser's 9 words: of b, it read both times the same
    # 13 + 7 + 16 characters, blanks among them. "goodbye", "good boy": blank and "o" come in, "e" goes.
    assert found.cer_natural.value == 3 / 36
    assert found.cer.value == (1 + 4 + 3 + 2) / 36  # d for p; " now" gone; as above; "was" for "is"
    assert found.cer.length == 36


def test_what_is_read_like_the_recordings_loses_nothing():
    found = intelligibility(SAID, readings(RECORDED), readings(RECORDED))
    assert found.wer == found.wer_natural and found.wer.value > 0
    assert found.wer_over_natural == found.wer_against_natural.value == 0
    assert found.wer_over_natural_interval == (0.0, 0.0)  # within the same utterances, nothing differs
    low, high = found.wer.interval
    assert low < high  # over utterances, much does


def test_made_can_be_read_better_than_recorded():
    found = intelligibility(SAID, readings(RECORDED), readings(SAID))
    assert found.wer.value == found.cer.value == 0 and found.wer_over_natural == -2 / 8


def test_nothing_is_read_in_either():
    silent = readings(dict.fromkeys(SAID, ""))
    found = intelligibility(SAID, silent, silent)
    assert found.wer.value == found.wer_natural.value == found.cer.value == 1.0
    assert found.wer_against_natural is None


def test_intervals_are_over_speakers_where_there_are_enough():
    """All errors are one speaker's: utterances know of 40 cases, speakers of one in five."""
    speakers = {f"{voice}-{i}": f"speaker{voice}" for voice in range(FEWEST_SPEAKERS) for i in range(8)}
    said = dict.fromkeys(speakers, "one")
    heard = readings({key: "two" if key.startswith("0") else "one" for key in said})
    over_speakers = intelligibility(said, readings(said), heard, speakers)
    over_utterances = intelligibility(said, readings(said), heard)
    few = intelligibility(
        said, readings(said), heard, {key: key[0] for key in said} | {key: "1" for key in said if key > "1"}
    )
    assert over_speakers.interval_over == "speakers" and few.interval_over == "utterances"
    assert few.wer.interval == over_utterances.wer.interval
    width = {found.interval_over: np.ptp(found.wer.interval) for found in (over_speakers, over_utterances)}
    assert width["speakers"] > 1.5 * width["utterances"]  # √(40 / 5) = 2.8 times, were speakers normally distributed
    assert over_speakers.wer_over_natural_interval == over_speakers.wer.interval


def test_digits_are_spelled_out_in_english_alone():
    said, heard = {"a": "premi cinque 5"}, readings({"a": "premi cinque five"})
    assert intelligibility(said, heard, heard).wer.value == 0
    assert intelligibility(said, heard, heard, languages={"a": "it"}).wer.value == 1 / 3


def test_readings_without_a_transcript_are_left_out_and_that_is_said(caplog):
    with caplog.at_level(logging.INFO, logger="vqaudio"):
        found = intelligibility({"a": SAID["a"]}, readings(RECORDED), readings(MADE))
    assert (found.utterances, found.words) == (1, 3)
    assert found.wer.interval is found.wer_over_natural_interval is None
    assert "2 of 3 readings have no transcript" in caplog.text


def test_what_cannot_be_compared_is_answered():
    with pytest.raises(VQAudioError, match="1 ids, such as 'c', with a reading of recording or made alone"):
        intelligibility(SAID, readings(RECORDED), readings({"a": "", "b": ""}))
    with pytest.raises(VQAudioError, match="no speaker of 'b' and 1 more"):
        intelligibility(SAID, readings(RECORDED), readings(MADE), {"a": "anna"})
    with pytest.raises(NotMeasured, match="no transcripts"):
        intelligibility({}, readings(RECORDED), readings(MADE))
    with pytest.raises(NotMeasured, match="without a word"):
        intelligibility({"a": "..."}, readings({"a": ""}), readings({"a": "x"}))


# ----------------------------------------------------------------------------------------------------- reading


def test_items_are_read_in_their_rate_and_language():
    toy = Toy()
    found = read_aloud(toy, iter([*ITEMS[:1], ("w", tone(0.5, 4), 16000)]))
    assert found == {"x": Reading("loud", 0.75), "w": Reading("quiet", 0.5)}
    assert toy.asked == [(10, 8000, "en"), (4, 16000, None)]


def test_other_languages_are_left_out_and_that_is_said(caplog):
    toy = Toy(languages=("en",))
    items = [*ITEMS[:1], Item("f", tone(0.5), 8000, "fr"), Item("i", tone(0.5), 8000, "it")]
    with caplog.at_level(logging.INFO, logger="vqaudio"):
        assert read_aloud(toy, items).keys() == {"x"}
    assert "toy 1 does not read fr, it: 2 items are left out" in caplog.text
    assert len(toy.asked) == 1
    with pytest.raises(NotMeasured, match="toy 1 does not read fr, it"):
        read_aloud(toy, items[1:])
    assert read_aloud(toy, []) == {}


def test_mistakes_in_items_are_answered():
    with pytest.raises(VQAudioError, match="x: two items"):
        read_aloud(Toy(), ITEMS[:1] * 2)
    with pytest.raises(VQAudioError, match="x: got int16 samples"):
        read_aloud(Toy(), [Item("x", np.zeros(3, np.int16), 8000)])
    careless = Toy()
    careless.transcribe = lambda *_: "text"
    with pytest.raises(VQAudioError, match="toy 1: transcribe returned str, expected a Reading"):
        read_aloud(careless, ITEMS)


def test_what_was_read_is_not_read_again(tmp_path):
    toy = Toy()
    before = read_aloud(toy, ITEMS, tmp_path / "new")
    assert len(toy.asked) == 3
    renamed = [item._replace(id=item.id + "2") for item in ITEMS]
    assert list(read_aloud(toy, renamed, tmp_path / "new").values()) == list(before.values())
    assert len(toy.asked) == 3
    assert len((tmp_path / "new" / READINGS_FILE).read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "change, name",
    [({"waveform": tone(0.7501)}, "toy 1"), ({"waveform": tone(0.75, 11)}, "toy 1"), ({"sample_rate": 16000}, "toy 1"),
     ({"language": "fr"}, "toy 1"), ({"language": None}, "toy 1"), ({}, "toy 2")],
)  # fmt: skip
def test_what_is_otherwise_is_read_again(tmp_path, change, name):
    read_aloud(Toy(), ITEMS, tmp_path)
    toy = Toy(name)
    read_aloud(toy, [ITEMS[0]._replace(**change)], tmp_path)
    assert len(toy.asked) == 1


def test_an_interrupted_reading_goes_on_where_it_stood(tmp_path):
    class Tired(Toy):
        def transcribe(self, waveform, sample_rate, language):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().transcribe(waveform, sample_rate, language)

    with pytest.raises(KeyboardInterrupt):
        read_aloud(Tired(), ITEMS, tmp_path)
    file = tmp_path / READINGS_FILE
    file.write_text(file.read_text(encoding="utf-8")[:-5], encoding="utf-8")  # the last line broke off as well
    toy = Toy()
    read_aloud(toy, ITEMS, tmp_path)
    assert len(toy.asked) == 2
    assert [json.loads(line)["text"] for line in file.read_text().splitlines()] == ["loud", "quiet", ""]


def test_texts_are_kept_as_they_are(tmp_path):
    text = 'Straße\u2028\x85 "one"\r\n 请'  # among them characters at which lines of text may be cut

    def told() -> Toy:
        toy = Toy()
        toy.transcribe = lambda *_: toy.asked.append(0) or Reading(text, 1)
        return toy

    assert read_aloud(told(), ITEMS[:1], tmp_path)["x"] == Reading(text, 1)
    again = told()
    assert read_aloud(again, ITEMS[:1], tmp_path)["x"] == Reading(text, 1)
    assert not again.asked


def test_lines_of_something_else_are_taken_out(tmp_path):
    (tmp_path / READINGS_FILE).write_text('{"key": "k"}\n[3]\nhello\n{"key": "k", "text": 3, "confidence": 1}\n')
    assert read_aloud(Toy(), ITEMS, tmp_path) == read_aloud(Toy(), ITEMS)
    assert len((tmp_path / READINGS_FILE).read_text().splitlines()) == 3


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VQAudioError, match=f"cannot write .*{READINGS_FILE}"):
        read_aloud(Toy(), ITEMS, tmp_path / "file")


# --------------------------------------------------------------------------------------------------- confidence


def test_the_mean_confidence_counts_silence_as_none():
    value, (low, high) = mean_confidence(Toy(), [item.waveform for item in ITEMS], 8000)
    assert value == pytest.approx((0.75 + 0.25 + 0.0) / 3)
    assert 0 <= low < value < high <= 0.75
    assert mean_confidence(Toy(), [tone(0.5)], 8000) == (0.5, None)


def test_no_confidence_is_a_reason():
    with pytest.raises(NotMeasured, match="no recogniser"):
        mean_confidence(None, [tone(0.5)], 8000)
    with pytest.raises(NotMeasured, match="no audio"):
        mean_confidence(Toy(), [], 8000)
    modest = Toy()
    modest.transcribe = lambda *_: Reading("well")
    with pytest.raises(NotMeasured, match="toy 1 does not say how sure it is"):
        mean_confidence(modest, [tone(0.5)], 8000)
