"""The Asterisk corpus, on a miniature of its packages that has every oddity of the real ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from data_prep import asterisk, fetch
from data_prep.asterisk import VOICES, clean_text, is_tone, prepare, split_of
from vqaudio.errors import VQAudioError

# key -> (text as listed or None, whether there is audio), by language
PROMPTS = {
    "en": {
        "activated": ("Activated.", True),
        "digits/1": ("one", True),
        "conf-hasjoin": ("is now in the conference.", True),
        "beep": ("[this is a simple beep tone]", True),
        "confbridge-leave": ("<beep decending>", True),
        "pls-try-call-later": ("Please try your call again later.", False),
        "silence/1": ("(1 second of silence)", True),
        "letters/at": ("at [@]", True),
        "dir-multi2": ("... for ...", True),
        "vm-intro": ("Please leave your message. (simple tone sound plays)", True),
    },
    "it": {
        "activated": ("Attivato", True),
        "beep": ("un suono beep", True),
        "conf-full": ("La conferenza ? piena.", True),
        "letters/o": (None, True),
        "letters/O": ("o", False),
        "digits/a": (None, True),
    },
}


def write_prompts(audio: Path, listing: Path, prompts: dict, byte_order_mark: bool = False) -> None:
    lines = ["; Core Asterisk Sounds", ""]
    for key, (text, has_audio) in prompts.items():
        if text is not None:
            lines.append(f"{key}: {text}")
        if has_audio:
            (audio / f"{key}.g722").parent.mkdir(parents=True, exist_ok=True)
            (audio / f"{key}.g722").write_bytes(b"\x00" * 80)
    data = "\n".join(lines + [""]).encode("utf-8-sig" if byte_order_mark else "utf-8")
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(gzip.compress(data) if listing.suffix == ".gz" else data)


def write_debian(share: Path, doc_share: Path | None = None) -> None:
    for language, prompts in PROMPTS.items():
        package = f"asterisk-core-sounds-{language}"
        write_prompts(
            share / "asterisk/sounds" / VOICES[language].folder,
            (doc_share or share) / "doc" / package / f"core-sounds-{language}.txt.gz",
            prompts,
            byte_order_mark=language == "it",
        )


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_debian(tmp_path / "root/usr/share")
    return tmp_path / "root"


def table(path: Path) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())


def merged(out: Path, name: str) -> dict[str, str]:
    return {key: value for split in asterisk.SPLITS for key, value in table(out / split / name).items()}


@pytest.fixture
def prepared(corpus, tmp_path, monkeypatch) -> Path:
    # Ten keys by the real hash would leave dev or test empty; which key is where is tested on its own below.
    held_out = {"activated": "dev", "digits/1": "test"}
    monkeypatch.setattr(asterisk, "split_of", lambda key: held_out.get(key, "train"))
    prepare(corpus, tmp_path / "data", ["en", "it"])
    return tmp_path / "data"


def test_every_spoken_prompt_is_there_and_nothing_else(prepared):
    assert merged(prepared, "text") == {
        "allison-en-activated": "Activated.",
        "allison-en-digits_1": "one",
        "allison-en-conf-hasjoin": "is now in the conference.",
        "allison-en-letters_at": "at",
        "allison-en-dir-multi2": "for",
        "allison-en-vm-intro": "Please leave your message.",
        "carlo-it-activated": "Attivato",
        "carlo-it-conf-full": "La conferenza è piena.",
        "carlo-it-letters_o": "o",
    }


def test_speaker_language_and_audio_of_each(prepared, corpus):
    assert merged(prepared, "utt2lang")["carlo-it-activated"] == "it"
    assert merged(prepared, "utt2spk")["allison-en-digits_1"] == "allison"
    audio = Path(merged(prepared, "wav.scp")["allison-en-digits_1"])
    assert audio.is_absolute() and audio == corpus / "usr/share/asterisk/sounds/en_US_f_Allison/digits/1.g722"


def test_a_prompt_is_in_the_same_split_in_every_language(prepared):
    assert set(table(prepared / "dev/utt2spk")) == {"allison-en-activated", "carlo-it-activated"}


def test_what_is_left_out_or_mended_is_listed(prepared):
    found = {tuple(line.split("\t")[:2]) for line in (prepared / "findings.tsv").read_text().splitlines()}
    assert found == {
        ("en/beep", "dropped: a tone, not speech"),
        ("en/confbridge-leave", "dropped: a tone, not speech"),
        ("en/pls-try-call-later", "dropped: listed, but there is no audio"),
        ("en/silence/1", "dropped: silence"),
        ("it/beep", "dropped: a tone, not speech"),
        ("it/digits/a", "dropped: there is no transcript"),
        ("it/letters/o", "mended: listed in another case"),
        ("en/letters/at", "mended: symbol in the text"),
        ("en/dir-multi2", "mended: dots of a continued sentence"),
        ("en/vm-intro", "mended: note in the text"),
        ("it/conf-full", "mended: lost letter"),
    }


def test_empty_audio_is_dropped(corpus, tmp_path):
    (corpus / "usr/share/asterisk/sounds/en_US_f_Allison/activated.g722").write_bytes(b"")
    findings = asterisk.Findings()
    (source,) = asterisk.locate(corpus, ["en"])
    selected = asterisk.select(asterisk.read_prompts(source, findings), findings)
    assert "allison-en-activated" not in selected and "allison-en-digits_1" in selected
    assert findings.counts["dropped: the audio file is empty"] == 1


def test_two_keys_with_one_id_do_not_overwrite_each_other(corpus):
    audio = corpus / "usr/share/asterisk/sounds/en_US_f_Allison"
    (audio / "digits_1.g722").write_bytes(b"\x00")
    findings = asterisk.Findings()
    (source,) = asterisk.locate(corpus, ["en"])
    prompts = asterisk.read_prompts(source, findings)
    prompts = [asterisk.Prompt(p.voice, p.key, p.path, p.text or "one, too") for p in prompts]
    assert asterisk.select(prompts, findings)["allison-en-digits_1"][0].key == "digits/1"
    assert findings.counts["dropped: id taken by another prompt"] == 1


def test_of_two_texts_for_one_key_the_first_counts(corpus):
    listing = corpus / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    listing.write_bytes(gzip.compress(gzip.decompress(listing.read_bytes()) + b"digits/1: ten\n"))
    findings = asterisk.Findings()
    (source,) = asterisk.locate(corpus, ["en"])
    texts = {prompt.key: prompt.text for prompt in asterisk.read_prompts(source, findings)}
    assert texts["digits/1"] == "one"
    assert findings.counts["mended: listed twice, the first text counts"] == 1


@pytest.mark.parametrize(
    ("language", "key", "text", "said"),
    [
        ("en", "at-tone-time-exactly", "At the sound of the tone, the time will be exactly...",
         "At the sound of the tone, the time will be exactly"),
        ("en", "spy-iax2", 'IAX (note: does not say "2")', "IAX"),
        ("fr", "confbridge-mute-in", 'Pour activer le mode discrétion, ..."', "Pour activer le mode discrétion"),
        ("it", "letters/space", "spazio []", "spazio"),
        ("it", "pbx-parkingfailed", "[tentativo di] Parcheggio non riuscito.", "tentativo di Parcheggio non riuscito."),
        ("it", "cannot-complete", "La chiamata non pu? essere completata cos? come composta.",
         "La chiamata non può essere completata così come composta."),
        ("it", "question", "Chi parla? Pronto?", "Chi parla? Pronto?"),
        ("ru", "conf-adminmenu", "conf-adminmenu: Нажмите 1", "Нажмите 1"),
        ("ru", "demo-echodone", "«Эхо-тест» завершён.", "Эхо-тест завершён."),
    ],
)  # fmt: skip
def test_real_transcripts_are_cleaned(language, key, text, said):
    assert clean_text(text, key, language)[0] == said


@pytest.mark.parametrize(
    ("text", "tone"),
    [("[ tono de error ]", True), ("(beep)", True), ("<beep ascending>", True), (None, False), ("one", False),
     ("[tentativo di] Parcheggio non riuscito.", False), ("(a) and (b)", False)],
)  # fmt: skip
def test_a_text_in_brackets_as_a_whole_is_a_tone(text, tone):
    assert is_tone(text) is tone


def test_splits_are_what_they_always_were():
    # Published results refer to these splits: a change here is a change of the corpus.
    by_split = {"test": "conf-full", "dev": "conf-onlyperson", "train": "activated"}
    assert {split: split_of(key) for split, key in by_split.items()} == {split: split for split in by_split}


def test_splits_have_about_the_right_sizes_and_ignore_case():
    keys = [f"prompt-{number}" for number in range(10_000)]
    splits = [split_of(key) for key in keys]
    # 5% of 10,000 with a standard deviation of 22: four of them are allowed.
    assert abs(splits.count("test") - 500) < 88 and abs(splits.count("dev") - 500) < 88
    assert all(split_of(key.upper()) == split for key, split in zip(keys, splits, strict=True))


@pytest.mark.parametrize("given", ["", "usr", "usr/share", "usr/share/asterisk/sounds"])
def test_a_debian_tree_is_found_from_any_of_its_levels(corpus, given):
    source = asterisk.locate(corpus / given, ["it"])[0]
    assert source.audio.name == "it_IT_m_Carlo" and source.transcripts.name == "core-sounds-it.txt.gz"


def test_the_folders_of_a_download_are_found(tmp_path):
    for language, prompts in PROMPTS.items():
        package = tmp_path / f"asterisk-core-sounds-{language}"
        write_prompts(
            Path(f"{package}-g722/usr/share/asterisk/sounds/{VOICES[language].folder}"),
            package / f"usr/share/doc/{package.name}/core-sounds-{language}.txt.gz",
            prompts,
        )
    assert [source.voice.language for source in asterisk.locate(tmp_path, ["en", "it"])] == ["en", "it"]


@pytest.mark.parametrize("folder", ["en", "sounds/en", "upstream/en"])
def test_upstreams_folders_are_found(tmp_path, folder):
    write_prompts(tmp_path / folder, tmp_path / folder / "core-sounds-en.txt", PROMPTS["en"])
    assert asterisk.locate(tmp_path, ["en"])[0].audio == tmp_path / folder


def test_a_missing_language_is_named_with_the_places_searched(corpus):
    with pytest.raises(VQAudioError, match=r"no audio of 'ru'.*[\s\S]*ru_RU_f_IvrvoiceRU"):
        asterisk.locate(corpus, ["en", "ru"])


def test_missing_transcripts_are_named(corpus):
    (corpus / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz").unlink()
    with pytest.raises(VQAudioError, match="no transcripts of 'en'"):
        asterisk.locate(corpus, ["en"])


def test_download_falls_back_to_upstream_and_names_both_failures(tmp_path, monkeypatch):
    tried = []

    def fail(name):
        def way(folder, languages):
            tried.append(name)
            raise fetch.FetchError(f"no {name} here")

        return way

    monkeypatch.setattr(asterisk, "_download_debian", fail("debian"))
    monkeypatch.setattr(asterisk, "_download_upstream", fail("upstream"))
    with pytest.raises(VQAudioError, match=r"no debian here[\s\S]*no upstream here[\s\S]*--asterisk_dir"):
        asterisk.download(tmp_path)
    assert tried == ["debian", "upstream"]


def test_the_command_tells_a_users_mistake_in_words(tmp_path, capsys):
    status = asterisk.main(["--out", str(tmp_path / "data"), "--asterisk-dir", str(tmp_path / "nowhere")])
    assert status == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_the_command_suggests_a_language(tmp_path, capsys):
    with pytest.raises(SystemExit):
        asterisk.main(["--out", str(tmp_path), "--languages", "en,ita"])
    assert "Did you mean 'it'" in capsys.readouterr().err
