"""Who speaks: tables in any order, and the only speaker of a model."""

import pytest

from vqaudio.cli.speakers import read_utt2spk, sole_speaker
from vqaudio.errors import DataDirError, ModelError


def test_a_file_or_the_table_of_a_data_directory(tmp_path):
    (tmp_path / "utt2spk").write_text("b 2\na 1\n")
    assert read_utt2spk(tmp_path) == read_utt2spk(tmp_path / "utt2spk") == {"a": "1", "b": "2"}


@pytest.mark.parametrize(("text", "fault"), [
    ("a 1\na 2\n", "utt2spk:2: duplicate"),
    ("a 1 2\n", "utt2spk:1: fields"),
    ("", "empty-file"),
    (None, "missing-file"),
])  # fmt: skip
def test_faults_are_named_with_their_lines(tmp_path, text, fault):
    if text is not None:
        (tmp_path / "utt2spk").write_text(text)
    with pytest.raises(DataDirError, match=fault):
        read_utt2spk(tmp_path / "utt2spk")


def test_the_only_speaker():
    assert sole_speaker(["anna"], "-") == "anna"
    with pytest.raises(ModelError, match=r"knows 30 speakers \(0, 1.*19, …\): name one"):
        sole_speaker([str(i) for i in range(30)], "name one")
