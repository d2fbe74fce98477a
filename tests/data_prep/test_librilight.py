"""Libri-Light, on a miniature of its layout; the law that cutting loses no voice."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import archives, librilight
from data_prep.librilight import divide_evenly, join_stretches
from tests.data_prep.miniature import findings, ids, write_sound
from vqaudio.corpus.datadir import DataDir
from vqaudio.corpus.format import format_data
from vqaudio.errors import VQAudioError

BOOK = "sea_fairies_0812_librivox_64kb_mp3"


def write_recording(folder: Path, name: str, seconds: float, voice: list[list[float]] | None) -> Path:
    path = write_sound(folder / f"{name}.flac", 16000, seconds)
    if voice is not None:
        about = {"speaker": folder.parent.name, "book_meta": {"id": "319"}, "snr": 5.391, "voice_activity": voice}
        path.with_suffix(".json").write_text(json.dumps(about))
    return path


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As the README of https://github.com/facebookresearch/libri-light has it, data_preparation, "1A. Downloading" and
    "Metadata JSON File Format": <subset>/<speaker>/<book>/<file>.flac, and a .json of the same name."""
    small = tmp_path / "librilight/small"
    write_recording(small / "100" / BOOK, "01_baum_sea_fairies_64kb", 10, [[0.4, 2.0], [2.5, 4.0], [6.0, 9.9]])
    write_recording(small / "100" / BOOK, "02_baum_sea_fairies_64kb", 9, [[0.0, 8.99]])
    write_recording(small / "1001/history_of_holland", "01_holland", 7, None)
    return tmp_path / "librilight"


def segments(folder: Path) -> dict[str, tuple[float, float]]:
    return {u.id: (u.start, u.end) for u in DataDir.load(folder).utterances}


def all_segments(out: Path) -> dict[str, tuple[float, float]]:
    return segments(out / "train") | segments(out / "dev") | segments(out / "test")


def test_recordings_are_cut_at_pauses(corpus, tmp_path):
    parts = librilight.prepare(corpus, tmp_path / "data", segment_seconds=5)
    first, second = f"100-{BOOK}_01_baum_sea_fairies_64kb", f"100-{BOOK}_02_baum_sea_fairies_64kb"
    assert all_segments(tmp_path / "data") == {
        f"{first}-0000": (0.4, 4.0),
        f"{first}-0001": (6.0, 9.9),
        f"{second}-0000": (0.0, 4.495),
        f"{second}-0001": (4.495, 8.99),
        "1001-history_of_holland_01_holland-0000": (0.0, 3.5),
        "1001-history_of_holland_01_holland-0001": (3.5, 7.0),
    }
    assert set(parts["dev"].speakers + parts["test"].speakers) <= set(parts["train"].speakers) == {"100", "1001"}
    kind = "cut by length: no voice activity is known"
    assert findings(tmp_path / "data") == [["1001/history_of_holland/01_holland.flac", kind, ""]]


def test_or_evenly(corpus, tmp_path):
    librilight.prepare(corpus, tmp_path / "data", cut_by="length", segment_seconds=5)
    times = sorted(times for id, times in all_segments(tmp_path / "data").items() if id.startswith(f"100-{BOOK}_02"))
    assert times == [(0.0, 4.5), (4.5, 9.0)]
    assert findings(tmp_path / "data") == []


def test_the_segments_are_what_is_read(corpus, tmp_path):
    librilight.prepare(corpus, tmp_path / "data", segment_seconds=5)
    format_data(tmp_path / "data/train", tmp_path / "dump", 16000)
    read = {u.id: u.duration for u in DataDir.load(tmp_path / "dump").utterances}
    assert read == pytest.approx({id: end - start for id, (start, end) in segments(tmp_path / "data/train").items()})


def test_oddities_are_listed(corpus, tmp_path):
    folder = corpus / "small/100" / BOOK
    write_recording(folder, "03_late", 3, [[0.5, 3.2], [3.3, 4.0]])
    write_recording(folder, "04_click", 3, [[0.5, 0.6]])
    (folder / "05_cut_off.flac").write_bytes(b"fLaC")
    librilight.prepare(corpus, tmp_path / "data", segment_seconds=5)
    cut = all_segments(tmp_path / "data")
    assert cut[f"100-{BOOK}_03_late-0000"] == (0.5, 3.0)
    assert not any("04_click" in id or "05_cut_off" in id for id in cut)
    rows = {row[0].rpartition("/")[2]: row[1] for row in findings(tmp_path / "data")}
    assert rows["03_late.flac"] == "mended: voice activity beyond the end of the recording"
    assert rows["05_cut_off.flac"] == "left out: it cannot be read"


def test_names_too_long_for_a_file_are_shortened_and_stay_apart(corpus, tmp_path):
    folder = corpus / "small/100" / ("a_very_long_title_" * 12)
    for name in ("01_chapter", "02_chapter"):
        write_recording(folder, name, 2, [[0, 2]])
    librilight.prepare(corpus, tmp_path / "data")
    long = [id for id in all_segments(tmp_path / "data") if "a_very_long_title" in id]
    assert len(long) == 2 and all(len(id) <= 200 for id in long)


stretches = st.lists(st.floats(0, 1000, allow_subnormal=False), min_size=2, max_size=20).map(
    lambda times: [(a, b) for a, b in zip(sorted(times)[0::2], sorted(times)[1::2], strict=False) if b > a]
)


@settings(deadline=None)
@given(stretches, st.floats(1, 60))
def test_cutting_loses_no_voice_and_nothing_is_too_long(voice, most):
    cut = join_stretches(voice, most)
    assert all(end - start <= most * (1 + 1e-9) for start, end in cut)
    assert all(before[1] <= after[0] for before, after in pairwise(cut))
    for start, end in voice:
        heard = sum(min(end, e) - max(start, s) for s, e in cut if min(end, e) > max(start, s))
        assert heard == pytest.approx(end - start)


@settings(deadline=None)
@given(st.floats(0.1, 1000), st.floats(0.5, 100))
def test_parts_are_equal_and_as_few_as_they_can_be(duration, most):
    parts = divide_evenly(0.0, duration, most)
    lengths = [end - start for start, end in parts]
    assert max(lengths) - min(lengths) < 1e-9
    assert parts[0][0] == 0 and parts[-1][1] == duration
    assert len(parts) == 1 or duration / (len(parts) - 1) > most * (1 - 1e-8)


def test_a_subset_that_is_not_there_is_named_with_those_that_are(corpus, tmp_path):
    with pytest.raises(VQAudioError, match=r"no subset medium in it\. It has small\..*--subsets says which"):
        librilight.prepare(corpus, tmp_path / "data", ["small", "medium"])
    shutil.rmtree(corpus / "small/100")
    (corpus / "small/1001/history_of_holland/01_holland.flac").unlink()
    with pytest.raises(
        VQAudioError, match=r"small: nothing of the corpus in it\. Looked for <speaker>/<book>/<file>\.flac"
    ):
        librilight.prepare(corpus, tmp_path / "data")


@pytest.mark.parametrize("shape", ["above", "the subset itself", "fetched"])
def test_the_corpus_is_found_as_people_have_it(corpus, tmp_path, shape):
    root = {"above": corpus.parent, "the subset itself": corpus / "small"}.get(shape)
    if root is None:  # an archive's folder within its folder, as `download` leaves it
        root = tmp_path / "downloads"
        (root / "small").mkdir(parents=True)
        (corpus / "small").rename(root / "small/small")
    librilight.prepare(root, tmp_path / "data", segment_seconds=5)
    assert len(ids(tmp_path / "data/train")) == 4


def test_metadata_that_break_their_form_are_named(corpus, tmp_path):
    path = corpus / "small/100" / BOOK / "01_baum_sea_fairies_64kb.json"
    path.write_text('{"voice_activity": [0.4, 12.32]}')
    with pytest.raises(VQAudioError, match=r"64kb\.json: expected an object whose voice_activity lists \[start, end\]"):
        librilight.prepare(corpus, tmp_path / "data")


def test_subsets_are_fetched_with_the_authors_digests(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "obtain", lambda wanted, folder: asked.extend(wanted) or folder)
    librilight.download(tmp_path, ["small"])
    assert [(archive.url, archive.digest) for archive in asked] == [
        ("https://dl.fbaipublicfiles.com/librilight/data/small.tar", "md5:c49207eb86a8e8ac895561c37232041e")
    ]


def test_the_command(corpus, tmp_path, capsys):
    given = ["--corpus_dir", str(corpus), "--out", str(tmp_path / "data")]
    assert librilight.main([*given, "--segment-seconds", "0"]) == 2
    assert "--segment_seconds 0.0: expected at least 0.5" in capsys.readouterr().err
    assert librilight.main([*given, "--segment-seconds", "5", "--cut-by", "vad"]) == 0
    assert len(ids(tmp_path / "data/train")) == 4
