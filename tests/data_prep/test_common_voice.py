"""Common Voice, on a miniature of its layout; the law that short names tell speakers apart."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import common_voice
from data_prep.common_voice import short_names
from tests.data_prep.miniature import findings, ids, texts, write_sound, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

COLUMNS = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
)


def client(name: str) -> str:
    return hashlib.sha512(name.encode()).hexdigest()


def write_table(path: Path, rows: list[tuple[str, str, str]], columns: str = COLUMNS) -> None:
    """Write rows of speaker, clip and sentence as CorporaCreator's `_save` does: to_csv(sep="\\t", quoting=QUOTE_NONE,
    escapechar="\\\\"), which leaves quotation marks as they are."""
    sink = io.StringIO()
    writer = csv.writer(
        sink, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", quotechar=None, lineterminator="\n"
    )
    writer.writerow(columns.split())
    for speaker, file, sentence in rows:
        values = {"client_id": client(speaker), "path": file, "sentence": sentence, "locale": path.parent.name}
        writer.writerow([values.get(name, "") for name in columns.split()])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sink.getvalue(), encoding="utf-8")


def write_clip(language: Path, number: int) -> str:
    name = f"common_voice_{language.name}_{number}.mp3"
    write_sound(language / "clips" / name, 48000)
    return name


def write_language(language: Path, columns: str = COLUMNS) -> None:
    clips = [write_clip(language, 18000 + n) for n in range(12)]
    train = [("anna", clip, f"Brawddeg {n}.") for n, clip in enumerate(clips[:5])]
    train += [("bryn", clips[5], 'Mae "hi" yma.'), ("bryn", clips[6], "Un\tdau \\ tri")]
    dev = [("carys", clips[7], "Bore da."), ("carys", clips[8], "Nos da.")]
    test = [("dewi", clips[9], "Diolch.")]
    more = [("anna", clips[10], "Brawddeg 0."), ("carys", clips[11], "Bore da iawn.")]
    for name, rows in {"train": train, "dev": dev, "test": test, "validated": train + dev + test + more}.items():
        write_table(language / f"{name}.tsv", rows, columns)
    for name in ("other", "invalidated"):
        write_table(language / f"{name}.tsv", [], columns)
    write_text(language / "clip_durations.tsv", "clip\tduration[ms]", *(f"{clip}\t300" for clip in clips))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """As CorporaCreator makes it (https://github.com/common-voice/CorporaCreator, README.rst and corpus.py), packed as
    cv-corpus-<release>/<language> with clips/, and clip_durations.tsv as releases from 15 on have."""
    root = tmp_path / "cv-corpus-17.0-2024-03-15"
    write_language(root / "cy")
    return root


def test_official_parts_stand_beside_what_is_held_out_of_train(corpus, tmp_path):
    parts = common_voice.prepare(corpus, tmp_path / "data")
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 5, "dev": 1, "test": 1, "official_dev": 2, "official_test": 1
    }  # fmt: skip
    assert set(parts["dev"].speakers + parts["test"].speakers) <= set(parts["train"].speakers)
    assert ids(tmp_path / "data/official_test") == [f"{client('dewi')[:12]}-common_voice_cy_18009"]
    assert (tmp_path / "data/official_test/utt2lang").read_text() == f"{ids(tmp_path / 'data/official_test')[0]} cy\n"
    assert [u.duration for u in parts["official_dev"].utterances] == [0.3, 0.3]
    assert findings(tmp_path / "data") == []


def test_quotation_marks_and_tabs_in_sentences(corpus, tmp_path):
    common_voice.prepare(corpus, tmp_path / "data")
    read = {id.rpartition("_")[2]: text for name in ("train", "dev", "test")
            for id, text in texts(tmp_path / "data" / name).items()}  # fmt: skip
    assert (read["18005"], read["18006"]) == ('Mae "hi" yma.', "Un dau \\ tri")


def test_all_that_was_validated_without_the_speakers_of_the_official_parts(corpus, tmp_path):
    parts = common_voice.prepare(corpus, tmp_path / "data", training="validated")
    assert len(parts["train"]) + len(parts["dev"]) + len(parts["test"]) == 8
    assert client("carys")[:12] not in parts["train"].speakers


def test_a_delta_release_has_no_official_parts(corpus, tmp_path):
    for name in ("train", "dev", "test"):
        (corpus / f"cy/{name}.tsv").unlink()
    with pytest.raises(
        VQAudioError, match=r"no train\.tsv in it\. A delta release has none; take --training validated"
    ):
        common_voice.prepare(corpus, tmp_path / "data")
    assert set(common_voice.prepare(corpus, tmp_path / "data", training="validated")) == {"train", "dev", "test"}


def test_an_early_release(corpus, tmp_path):
    """Release 2 has no suffix in its paths (DeepSpeech's bin/import_cv2.py adds it), and no lengths."""
    language = corpus / "cy"
    for name in ("train", "dev", "test"):
        table = language / f"{name}.tsv"
        table.write_text(table.read_text().replace(".mp3", ""))
    (language / "clip_durations.tsv").unlink()
    parts = common_voice.prepare(corpus, tmp_path / "data")
    assert len(parts["train"]) == 5 and parts["train"].utterances[0].duration is None


def test_several_languages_and_one_of_them(corpus, tmp_path):
    write_language(corpus / "ga-IE", "client_id path sentence up_votes down_votes age gender accent locale")
    both = common_voice.prepare(corpus, tmp_path / "both")
    assert len(both["official_dev"]) == 4
    languages = (tmp_path / "both/official_dev/utt2lang").read_text().split()[1::2]
    assert sorted(languages) == ["cy", "cy", "ga-IE", "ga-IE"]
    one = common_voice.prepare(corpus, tmp_path / "one", ["ga-IE"])
    assert len(one["official_dev"]) == 2
    with pytest.raises(VQAudioError, match=r"no language 'ga' in it, it has cy, ga-IE\. Did you mean 'ga-IE'"):
        common_voice.prepare(corpus, tmp_path / "none", ["ga"])


def test_what_is_left_out_is_listed(corpus, tmp_path):
    (corpus / "cy/clips/common_voice_cy_18007.mp3").unlink()
    with (corpus / "cy/train.tsv").open("a") as table:
        table.write("a row\tof three\tfields\n" + "\t" * 12 + "\n")
    common_voice.prepare(corpus, tmp_path / "data")
    assert findings(tmp_path / "data") == [
        ["train.tsv:9", "left out: a row of train.tsv with 3 fields, expected 13", ""],
        ["cy/.mp3", "left out: it has no client_id or no path", ""],
        ["cy/common_voice_cy_18007.mp3", "left out: it is listed, but there is no clip", ""],
    ]


def test_tables_without_their_clips_are_refused(corpus, tmp_path):
    (corpus / "cy/clips").rename(corpus / "cy/mp3")
    (corpus / "cy/clips").mkdir()
    message = r"clips: none of the 7 clips of train\.tsv is in it, such as common_voice_cy_18000\.mp3\. Was the archive"
    with pytest.raises(VQAudioError, match=message):
        common_voice.prepare(corpus, tmp_path / "data")


def test_other_corpora_of_that_name_are_told_apart(tmp_path):
    (tmp_path / "one/cv_corpus_v1/cv-valid-train").mkdir(parents=True)
    with pytest.raises(VQAudioError, match=r"nothing of Common Voice in it\..*looks like release 1 of 2017"):
        common_voice.prepare(tmp_path / "one", tmp_path / "data")
    write_text(tmp_path / "two/sps-corpus-1.0-cy/ss-corpus-cy.tsv", "client_id")
    with pytest.raises(VQAudioError, match="looks like Spontaneous Speech; expected Scripted Speech"):
        common_voice.prepare(tmp_path / "two", tmp_path / "data")


def test_a_table_without_speakers_is_refused(corpus, tmp_path):
    write_table(corpus / "cy/dev.tsv", [], "path sentence")
    with pytest.raises(VQAudioError, match=r"dev\.tsv: no column 'client_id'; its first line is path, sentence\."):
        common_voice.prepare(corpus, tmp_path / "data")


def test_two_releases_of_a_language_are_not_mixed(corpus, tmp_path):
    write_language(tmp_path / "cv-corpus-18.0-2024-06-14/cy")
    with pytest.raises(VQAudioError, match=r"two releases of cy in it, .*17\.0.* and .*18\.0.*; name one of them"):
        common_voice.prepare(tmp_path, tmp_path / "data")


@given(st.lists(st.text("ab", min_size=1, max_size=12)))
def test_short_names_tell_speakers_apart(clients):
    names = short_names(clients, length=2)
    assert names.keys() == set(clients) and len(set(names.values())) == len(names)
    assert all(client.startswith(name) for client, name in names.items())


def test_a_name_is_no_longer_than_it_must_be():
    assert short_names(["a" * 40, "a" * 16 + "b" * 24, "c" * 40]) == {
        "a" * 40: "a" * 20, "a" * 16 + "b" * 24: "a" * 16 + "bbbb", "c" * 40: "c" * 12
    }  # fmt: skip


def test_the_command_says_how_to_get_it(corpus, tmp_path, capsys):
    out = ["--out", str(tmp_path / "data")]
    assert common_voice.main([*out, "--downloads", str(tmp_path / "downloads")]) == 2
    words = capsys.readouterr().err
    assert "cannot be fetched automatically" in words and "https://datacollective.mozillafoundation.org" in words
    assert f"Unpack it as {tmp_path / 'downloads/common_voice'}, or say where it is with --corpus_dir." in words
    assert common_voice.main([*out, "--corpus_dir", str(corpus / "cy"), "--languages", "cy"]) == 0
    assert len(DataDir.load(tmp_path / "data/official_dev")) == 2
