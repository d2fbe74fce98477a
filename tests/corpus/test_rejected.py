"""The list of what was left out: a table whatever names and reasons hold, and complete whoever adds to it."""

from __future__ import annotations

import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.corpus.datadir import Utterance
from vqaudio.corpus.rejected import Rejection, Rejections, append_rejected, check_share, read_rejected, write_rejected
from vqaudio.errors import AudioError, DataDirError

HEADER = "utterance\tpath\treason\n"
cells = st.binary(max_size=20).map(lambda name: name.decode("utf-8", "surrogateescape"))


@given(st.lists(st.builds(Rejection, cells, cells, cells), max_size=5))
def test_what_is_written_is_read_again(tmp_path_factory, rejections):
    path = tmp_path_factory.getbasetemp() / "rejected.tsv"
    write_rejected(path, rejections)
    assert read_rejected(path) == sorted(rejections)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(rejections) and all(line.count("\t") == 2 for line in lines)


def test_the_form_of_the_list(tmp_path):
    rejections = [Rejection("b", "/a\nb\udcff.wav", "x"), Rejection("a", "p q\t", "empty (0 bytes)")]
    write_rejected(tmp_path / "r.tsv", rejections)
    assert (tmp_path / "r.tsv").read_text() == HEADER + "a\tp q\\t\tempty (0 bytes)\nb\t/a\\nb\\xff.wav\tx\n"


def test_adding_keeps_what_is_there_and_says_nothing_twice(tmp_path):
    one, other = Rejection("b", "b.wav", "gone"), Rejection("a", "a.wav", "cut off")
    for rejection in (one, other, one):
        append_rejected(tmp_path / "exp/r.tsv", rejection)
    assert (tmp_path / "exp/r.tsv").read_text() == HEADER + one.line + other.line


def _append(path, rank: int) -> None:
    for i in range(40):
        append_rejected(path, Rejection(f"u{i:02d}-{i % 2 and rank}", "a.wav", "gone" * 500))


def test_several_processes_add_at_once(tmp_path):
    path = tmp_path / "r.tsv"
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_append, args=(path, rank)) for rank in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert path.read_text().count(HEADER) == 1
    expected = {f"u{i:02d}-{i % 2 and rank}" for i in range(40) for rank in range(4)}
    assert sorted(rejection.utterance for rejection in read_rejected(path)) == sorted(expected)


def test_a_list_that_cannot_be_written_is_said_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").touch()
    append_rejected(tmp_path / "file/r.tsv", Rejection("a", "a.wav", "gone"))
    assert "cannot write" in caplog.text and "file/r.tsv" in caplog.text


def test_what_turns_out_bad_is_said_once(tmp_path, caplog):
    rejections, utterance = Rejections(tmp_path / "r.tsv", max_share=0.5), Utterance("u1", "ann", "/x.wav")
    for reason in ("gone", "gone", "back, but cut off"):
        rejections.add(utterance, AudioError("/x.wav", reason))
    assert caplog.text.count("left out: u1: /x.wav: gone") == 1
    assert read_rejected(tmp_path / "r.tsv") == [Rejection("u1", "/x.wav", "gone")]


def test_the_share_counts_each_utterance_once_whoever_found_it():
    rejections = Rejections(max_share=0.5)
    rejections.add(Utterance("u1", "ann", "/x.wav"), AudioError("/x.wav", "gone"))
    others = [Rejection("u1", "/x.wav", "gone"), Rejection("u2", "/y.wav", "gone")]
    rejections.require_share(4, others)
    with pytest.raises(DataDirError, match=r"3 of 4 utterances rejected \(75.0%\), more than the 50.0% allowed"):
        rejections.require_share(4, [*others, Rejection("u3", "/z.wav", "gone")])


def test_a_share_too_large_shows_the_first_of_them():
    rejected = [Rejection(f"u{i}", f"/{i}.wav", "gone") for i in reversed(range(9))]
    with pytest.raises(DataDirError) as caught:
        check_share(rejected, 100, 0.05, "r.tsv")
    assert [f"u{i}: /{i}.wav: gone" in str(caught.value) for i in range(9)] == [True] * 5 + [False] * 4
    assert "All are listed in r.tsv" in str(caught.value)
