"""What is known of utterances beside their audio."""

from __future__ import annotations

import pytest

from tests.small import HOP, write_data
from vqaudio.errors import DataDirError, VQAudioError
from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.material import Material


@pytest.fixture
def data(tmp_path):
    write_data(tmp_path, {"anna-1": 20 * HOP, "boris-1": 20 * HOP})
    return tmp_path


def test_what_is_not_there_is_empty(data):
    material = Material.load(data)
    assert material.speakers == {"anna-1": "anna", "boris-1": "boris"}
    assert material.texts == material.languages == material.alignments == material.whole_phones == {}


def test_tables_are_read_and_phones_folded(data):
    (data / "text").write_text("anna-1 hello\nboris-1 well well\n")
    (data / "utt2lang").write_text("anna-1 en\nboris-1 it\n")
    (data / "phones.ctm").write_text("anna-1 1 0 1 h#\nanna-1 1 1 1 bcl\nanna-1 1 2 1 b\nanna-1 1 3 1 ix\n")
    material = Material.load(data)
    assert material.texts == {"anna-1": "hello", "boris-1": "well well"}
    assert material.languages == {"anna-1": "en", "boris-1": "it"}
    assert material.alignments["anna-1"] == [Segment(0, 2, "sil"), Segment(2, 3, "b"), Segment(3, 4, "ih")]
    assert material.whole_phones["anna-1"] == [Segment(0, 1, "sil"), Segment(1, 3, "b"), Segment(3, 4, "ih")]
    assert [s.label for s in Material.load(data, "as-is").alignments["anna-1"]] == ["h#", "bcl", "b", "ix"]


def test_what_breaks_its_form_is_named(data):
    (data / "utt2lang").write_text("anna-1\n")
    with pytest.raises(DataDirError, match="utt2lang:1"):
        Material.load(data)
    (data / "utt2lang").unlink()
    (data / "phones.ctm").write_text("anna-1 1 0 x aa\n")
    with pytest.raises(VQAudioError, match=r"phones\.ctm:1"):
        Material.load(data)
