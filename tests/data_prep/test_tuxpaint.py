"""Tux Paint's stamps, on a miniature of the package's layout and, where it is installed, on the corpus itself."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import fetch, tuxpaint
from tests.data_prep.miniature import findings, ids, texts, write_text
from vqaudio.corpus.datadir import DataDir
from vqaudio.errors import VQAudioError

INSTALLED = Path("/usr/share/tuxpaint/stamps/animals")
COPY = "left out: a copy"


def say(stamp: Path, language: str, seconds: float = 1.0, like: Path | None = None) -> Path:
    """Record a description: a noise of its own or, byte for byte, that of another file."""
    path = stamp.with_name(f"{stamp.name}_desc_{language}.ogg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if like is not None:
        path.write_bytes(like.read_bytes())
        return path
    noise = np.random.default_rng(sum(str(path).encode())).uniform(-0.3, 0.3, round(seconds * 8000))
    soundfile.write(path, noise, 8000, format="OGG", subtype="VORBIS")
    return path


@pytest.fixture
def stamps(tmp_path) -> Path:
    """As Debian's tuxpaint-stamps-default 2022.06.04-1 has it: its files were listed, and some read, to write this."""
    folder = tmp_path / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    frog, frog1 = folder / "animals/amphibians/frog", folder / "animals/amphibians/frog-1"
    write_text(frog.with_suffix(".txt"), "A frog.", "ca@valencia.utf8=Una granota.", "fr.utf8=Une grenouille.",
               "ru.utf8=Лягушка.", "pt_BR.utf8=Um sapo.")  # fmt: skip
    write_text(frog1.with_suffix(".txt"), "A tree frog.", "fr.utf8=Une rainette.", "ru.utf8=Лягушка.")
    write_text(folder / "food/nuts/pecan.txt", "A pecan.", "fr.utf8=Une noix de pécan.", "es.utf8=")
    for path, languages in ((frog, ("fr", "ru")), (frog1, ("fr", "ru")), (folder / "food/nuts/pecan", ("fr",))):
        for language in languages:
            say(path, language, 1.0 + 0.1 * len(path.name))
    return folder


def prepare(folder: Path, out: Path, *languages: str) -> dict[str, DataDir]:
    return tuxpaint.prepare(folder, out, languages or ("fr", "ru"))


def whole(parts: dict[str, DataDir]) -> dict[str, str]:
    """Return the part of each utterance."""
    return {utterance.id: name for name, part in parts.items() for utterance in part.utterances}


def test_descriptions_become_utterances_of_their_volunteer(stamps, tmp_path):
    add_stamps(stamps, 22)
    parts = prepare(tmp_path, tmp_path / "data")
    everything = {u.id: u for part in parts.values() for u in part.utterances}
    frog = everything["paulk-fr-animals_amphibians_frog"]
    assert (frog.speaker, frog.text) == ("paulk", "Une grenouille.")
    assert frog.recording == str(stamps / "animals/amphibians/frog_desc_fr.ogg")
    assert everything["edwin-ru-animals_amphibians_frog-1"].text == "Лягушка."
    train = tmp_path / "data/train"
    assert set((train / "utt2lang").read_text().splitlines()) == {f"{id} {id.split('-')[1]}" for id in ids(train)}


def add_stamps(folder: Path, count: int) -> None:
    """Add stamps; by their names, of the first 22 one is in dev and one in test."""
    for number in range(count):
        stamp = folder / f"plants/flower{number}"
        write_text(
            stamp.with_suffix(".txt"), f"Flower {number}.", f"fr.utf8=Fleur {number}.", f"ru.utf8=Цветок {number}."
        )
        say(stamp, "fr", 0.8 + number / 1000)
        say(stamp, "ru", 0.8 + number / 1000)


def test_a_stamp_is_in_one_part_in_all_languages(stamps, tmp_path):
    add_stamps(stamps, 22)
    part = whole(prepare(tmp_path, tmp_path / "data"))
    assert set(part.values()) == {"train", "dev", "test"}
    for number in range(22):
        assert part[f"paulk-fr-plants_flower{number}"] == part[f"edwin-ru-plants_flower{number}"]
    alone = whole(prepare(tmp_path, tmp_path / "french", "fr"))
    assert alone.items() <= part.items()  # whatever languages are taken


def test_stamps_that_share_a_description_are_one_group():
    groups = tuxpaint.group_stamps(
        {
            "frog": {"fr": "Une grenouille.", "ru": "Лягушка."},
            "frog-1": {"fr": "Une rainette.", "ru": "Лягушка."},
            "toad": {"fr": "une RAINETTE.", "ru": "Жаба."},
            "pecan": {"fr": "Une noix de pécan.", "xx": "Лягушка."},
        }
    )
    assert groups == {"frog": "frog", "frog-1": "frog", "toad": "frog", "pecan": "pecan"}


def test_groups_do_not_depend_on_the_order():
    chain = {f"s{n}": {"fr": f"a{n}", "ru": f"b{(n + 1) // 2}"} for n in range(9)}
    expected = tuxpaint.group_stamps(chain)
    assert tuxpaint.group_stamps(dict(reversed(chain.items()))) == expected
    assert {expected["s1"], expected["s2"]} == {"s1"} and expected["s3"] == expected["s4"] == "s3"


def test_what_is_left_out_is_listed(stamps, tmp_path):
    add_stamps(stamps, 22)
    soundfile.write(stamps / "animals/amphibians/frog.ogg", np.zeros(9000), 44100)
    say(stamps / "animals/amphibians/frog", "nl")
    say(stamps / "food/nuts/pecan", "es")
    write_text(stamps / "animals/amphibians/toad.txt", "A toad.", "fr.utf8=Une grenouille.", "ru.utf8=Жаба.")
    say(stamps / "animals/amphibians/toad", "fr", like=stamps / "animals/amphibians/frog_desc_fr.ogg")
    write_text(stamps / "animals/pawn.txt", "A pawn.", f"fr.utf8=Un pion. {'Il avance. ' * 9}")
    say(stamps / "animals/pawn", "fr", 0.9)
    (stamps / "animals/amphibians/toad_desc_ru.ogg").write_bytes(b"")
    tuxpaint.prepare(tmp_path, tmp_path / "data", ("fr", "ru"))
    foreign = "left out: a sound effect, or a further voice"
    rows = findings(tmp_path / "data")
    pawn = next(row for row in rows if row[0] == "paulk-fr-animals_pawn")
    assert pawn[1] == "left out: too short for its text" and pawn[2].startswith("0.90 s: Un pion. Il avance.")
    assert [row for row in rows if row != pawn] == [
        ["paulk-fr-animals_amphibians_toad", COPY, "paulk-fr-animals_amphibians_frog, Une grenouille."],
        ["animals/amphibians/frog.ogg", foreign, ""],
        ["animals/amphibians/frog_desc_nl.ogg", foreign, ""],
        ["edwin-ru-animals_amphibians_toad", "left out: unreadable", "the file is empty (0 bytes)"],
    ]


def test_a_recording_without_a_description_in_its_language_is_listed(stamps, tmp_path):
    add_stamps(stamps, 22)
    say(stamps / "food/nuts/pecan", "ru")
    prepare(tmp_path, tmp_path / "data")
    kind = "left out: it has no description in its language"
    assert findings(tmp_path / "data") == [["food/nuts/pecan_desc_ru.ogg", kind, ""]]


def written_by(version: int, bit_rate: int) -> bytes:
    """Return the first headers of an Ogg Vorbis file, by section 4.2 of the specification of Vorbis I."""
    vendor = f"Xiph.Org libVorbis I {version}".encode()
    identification = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 44100, 0, bit_rate, 0, 0xB8, 1)
    comment = b"\x03vorbis" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0) + b"\x01"
    pages = [b"OggS" + bytes(22) + bytes([1, len(packet)]) + packet for packet in (identification, comment)]
    return b"".join(pages)


@pytest.mark.parametrize(
    ("language", "version", "bit_rate", "further"),
    [("fr", 20101101, 160000, False), ("fr", 20070622, 160000, True), ("fr", 20050304, 112000, True),
     ("ca", 20050304, 80000, False), ("ca", 20050304, 32000, True), ("ca", 20070622, 32000, False),
     ("ro", 20070622, 160000, False)],
)  # fmt: skip
def test_further_voices_are_told_by_the_encoder(tmp_path, language, version, bit_rate, further):
    (tmp_path / "a.ogg").write_bytes(written_by(version, bit_rate))
    assert tuxpaint.encoder_of(tmp_path / "a.ogg") == (version, bit_rate)
    assert tuxpaint.is_further_voice(language, (version, bit_rate)) == further


def test_further_voices_are_listed(stamps, tmp_path):
    add_stamps(stamps, 22)
    (stamps / "animals/amphibians/frog_desc_fr.ogg").write_bytes(written_by(20050304, 112000))
    assert "paulk-fr-animals_amphibians_frog" not in whole(prepare(tmp_path, tmp_path / "data"))
    kind = "left out: a further voice, by its encoder"
    assert findings(tmp_path / "data") == [["animals/amphibians/frog_desc_fr.ogg", kind, ""]]


def test_copies_are_the_same_bytes_or_the_same_text_as_long_to_the_sample(stamps, tmp_path):
    add_stamps(stamps, 22)
    again = stamps / "animals/amphibians/frog-2"
    write_text(again.with_suffix(".txt"), "A frog.", "fr.utf8=Une grenouille.", "ru.utf8=Лягушка.")
    say(again, "fr", 1.4)  # as frog's, but another encoding
    say(again, "ru", 1.5)  # longer: said anew
    part = whole(prepare(tmp_path, tmp_path / "data"))
    assert {"paulk-fr-animals_amphibians_frog-2", "edwin-ru-animals_amphibians_frog-2"} <= part.keys()
    copy = ["paulk-fr-animals_amphibians_frog", COPY, "paulk-fr-animals_amphibians_frog-2, Une grenouille."]
    assert findings(tmp_path / "data") == [copy]


@pytest.mark.parametrize("place", ["", "tuxpaint-stamps-default", "tuxpaint-stamps-default/usr",
                                   "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"])  # fmt: skip
def test_it_is_found_from_any_of_its_folders(stamps, tmp_path, place):
    assert tuxpaint.locate(tmp_path / place) == stamps


def test_upstreams_archive_is_found_too(tmp_path):
    (tmp_path / "tuxpaint-stamps-2022.06.04/stamps/animals").mkdir(parents=True)
    assert tuxpaint.locate(tmp_path) == tmp_path / "tuxpaint-stamps-2022.06.04/stamps"


def test_a_folder_without_it_says_where_was_looked(tmp_path):
    with pytest.raises(VQAudioError, match=r"no stamps of Tux Paint in it\. Looked for .*:\n .*/stamps/animals\n"):
        prepare(tmp_path, tmp_path / "data")


def test_a_language_that_nobody_recorded_is_refused(stamps, tmp_path):
    with pytest.raises(VQAudioError, match=r"language 'el'\. Looked for <stamp>_desc_el\.ogg beside <stamp>\.txt"):
        prepare(tmp_path, tmp_path / "data", "fr", "el")


def test_where_there_is_no_apt_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "have_apt", lambda: False)
    with pytest.raises(fetch.FetchError, match=r"has no apt-get and dpkg-deb\nWhere you have a copy .*--corpus_dir"):
        tuxpaint.download(tmp_path)


def test_the_command(stamps, tmp_path, capsys):
    add_stamps(stamps, 22)
    arguments = ["--corpus-dir", str(tmp_path), "--out", str(tmp_path / "data")]
    with pytest.raises(SystemExit):
        tuxpaint.main([*arguments, "--languages", "fr,nl"])
    assert "got 'nl', expected one of be, bg, ca" in capsys.readouterr().err
    assert tuxpaint.main([*arguments, "--languages", "fr"]) == 0
    assert DataDir.load(tmp_path / "data/train").speakers == ["paulk"]
    assert texts(tmp_path / "data/train")["paulk-fr-plants_flower0"] == "Fleur 0."


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="the package tuxpaint-stamps-default is not installed")
def test_the_corpus_itself(tmp_path):
    parts = tuxpaint.prepare("/usr", tmp_path / "data")
    assert all(part.speakers == sorted(tuxpaint.SPEAKERS.values()) for part in parts.values())
    assert 5000 < sum(map(len, parts.values())) < 7000
