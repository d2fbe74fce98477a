"""Common Voice: sentences read by volunteers into their own microphones, in more than a hundred languages.

What       short sentences as MP3 clips, each checked by listeners; every release has more languages and hours
Hours      by language: 3,000 and more (English, Catalan), many below 10
Speakers   by language: from a handful to 100,000
Languages  as many as there are folders; --languages en,cy takes some of them
Audio      32 or 48 kHz mono MP3, <language>/clips/*.mp3, with {train,dev,test,validated}.tsv beside them
Licence    CC0: with the promise not to find out who the speakers are
Source     https://commonvoice.mozilla.org/datasets and https://datacollective.mozillafoundation.org
Citation   R. Ardila et al., *Common Voice: A Massively-Multilingual Speech Corpus*, LREC 2020
Tried on   a miniature of its layout

Releases from 2 (2019) on have this layout, with more columns over the years. The official parts are of other speakers
each: dev and test are held out of the training set, 2% each, and the official ones stand beside them as official_dev
and official_test. --training validated takes all that listeners approved, without the speakers of the official dev and
test, instead of train.tsv, which has each sentence once; delta releases have no other table. Several languages become
one set of parts, with utt2lang.

Speakers are the first twelve digits of client_id, or as many more as tell them apart; ids are <speaker>-<clip>.
Lengths come from clip_durations.tsv where the release has it. Clips that are listed but not there, and rows that do not
have the columns of their table, are in findings.tsv.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import command
from data_prep.librispeech import subfolders
from data_prep.splits import with_held_out
from data_prep.tables import one_line, read_rows
from data_prep.writing import Findings, clean_name, require, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError, did_you_mean

HOW_TO_GET = """Common Voice asks each user to agree to its terms. At https://datacollective.mozillafoundation.org (or,
for earlier releases, https://commonvoice.mozilla.org/datasets) choose a language of "Common Voice Scripted Speech" and
a release, agree, and download the .tar.gz. It holds cv-corpus-<release>/<language> with clips and train.tsv."""
TRAINING = ("train", "validated")
COLUMNS = ("client_id", "path", "sentence")
NAME_LENGTH = 12
"""Digits of a client_id that name a speaker: 48 bits, of which a hundred thousand speakers seldom have two alike."""


@dataclass(frozen=True)
class Clip:
    """A row of one of the tables: who speaks, by client_id, the file's name in clips/, and the sentence."""

    client: str
    file: str
    text: str


def locate(root: str | Path, languages: Sequence[str] = ()) -> dict[str, Path]:
    """Return the folder of each language, all that are there if none is named: `root` or one up to two levels below.

    Raises:
        VQAudioError: there is none, or not those named, or one twice; the message says what there is.
    """
    root, found = Path(root).resolve(), {}
    below = [root / name for name in subfolders(root)]
    for folder in (root, *below, *(parent / name for parent in below for name in subfolders(parent))):
        if (folder / "clips").is_dir() and any((folder / f"{table}.tsv").is_file() for table in TRAINING):
            other = found.setdefault(folder.name, folder)
            if other != folder and (not languages or folder.name in languages):
                raise VQAudioError(
                    f"{root}: two releases of {folder.name} in it, {other} and {folder}; name one of them"
                )
    if not found:
        raise VQAudioError(
            f"{root}: nothing of Common Voice in it. Looked for <language>/clips and <language>/train.tsv, in it and "
            f"up to two levels below.{_other_layout(root)}"
        )
    for language in languages:
        if language not in found:
            raise VQAudioError(
                f"{root}: no language {language!r} in it, it has {', '.join(found)}.{did_you_mean(language, found)}"
            )
    return {language: found[language] for language in languages or sorted(found)}


def _other_layout(root: Path) -> str:
    if any(root.glob("**/cv-valid-train*")):
        return " This looks like release 1 of 2017, with CSV files; expected release 2 or later."
    if any(root.glob("**/ss-corpus-*.tsv")):
        return " This looks like Spontaneous Speech; expected Scripted Speech."
    return ""


def short_names(clients: Iterable[str], length: int = NAME_LENGTH) -> dict[str, str]:
    """Return a name for each client_id: its first `length` characters, or as many more as tell it from all others."""
    names, left = {}, sorted(set(clients))
    while left:
        same = defaultdict(list)
        for client in left:
            same[client[:length]].append(client)
        names |= {alike[0]: clean_name(start) for start, alike in same.items() if len(alike) == 1}
        left = [client for alike in same.values() if len(alike) > 1 for client in alike]
        length += 4
    return names


def read_clips(table: Path, there: set[str], findings: Findings) -> list[Clip]:
    """Return the rows of a table whose clips are `there`.

    CorporaCreator, which makes the tables, quotes nothing and puts a backslash before tabs that are no delimiters.

    Raises:
        VQAudioError: the table lacks a column, or none of its clips is there.
    """
    clips, absent = [], []
    for row in read_rows(table, COLUMNS, findings, escape="\\"):
        file = row["path"] if row["path"].endswith(".mp3") else f"{row['path']}.mp3"  # release 2 leaves it out
        if not row["client_id"] or not row["path"]:
            findings.add(f"{table.parent.name}/{file}", "left out: it has no client_id or no path", row["sentence"])
        elif file in there:
            clips.append(Clip(row["client_id"], file, one_line(row["sentence"])))
        else:
            absent.append(file)
    if absent and not clips:
        raise VQAudioError(
            f"{table.parent / 'clips'}: none of the {len(absent)} clips of {table.name} is in it, such as {absent[0]}. "
            "Was the archive unpacked whole?"
        )
    for file in absent:
        findings.add(f"{table.parent.name}/{file}", "left out: it is listed, but there is no clip")
    return clips


def read_language(folder: Path, training: str, findings: Findings) -> dict[str, list[Clip]]:
    """Return the clips for training, and those of the official dev and test where they are, of other speakers.

    Raises:
        VQAudioError: the table for training is not there, or lacks a column, or has no clips.
    """
    if not (folder / f"{training}.tsv").is_file():
        more = " A delta release has none; take --training validated." if training == "train" else ""
        raise VQAudioError(f"{folder}: no {training}.tsv in it.{more}")
    there = set(os.listdir(folder / "clips"))
    tables = [table for table in (training, "dev", "test") if (folder / f"{table}.tsv").is_file()]
    parts = {table: read_clips(folder / f"{table}.tsv", there, findings) for table in tables}
    held_out = {clip.client for table in tables[1:] for clip in parts[table]}
    parts["train"] = [clip for clip in parts.pop(training) if clip.client not in held_out]
    require(parts["train"], folder, f"clips of {training}.tsv by others than the speakers of dev.tsv and test.tsv")
    return parts


def read_durations(path: Path, findings: Findings) -> dict[str, float]:
    """Return the length of each clip in seconds, from clip_durations.tsv; {} where the release has none."""
    if not path.is_file():
        return {}
    column = "duration[ms]"
    rows = read_rows(path, ("clip", column), findings)
    return {row["clip"]: int(row[column]) / 1000 for row in rows if row[column].isdigit()}


def prepare(
    root: str | Path, out: str | Path, languages: Sequence[str] = (), training: str = TRAINING[0]
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test,official_dev,official_test} from the release in `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: a language that is not there, or a table that is not of Common Voice's form.
    """
    out, findings = Path(out), Findings()
    folders = locate(root, languages)
    clips = {language: read_language(folder, training, findings) for language, folder in folders.items()}
    names = short_names(clip.client for parts in clips.values() for part in parts.values() for clip in part)
    utterances: dict[str, list[Utterance]] = defaultdict(list)
    language_of: dict[str, list[str]] = {}
    for language, parts in clips.items():
        seconds = read_durations(folders[language] / "clip_durations.tsv", findings)
        for part, of_part in parts.items():
            made = [_utterance(clip, folders[language], names, seconds) for clip in of_part]
            language_of |= {utterance.id: [language] for utterance in made}
            utterances[part] += made
    findings.write(out / "findings.tsv")
    return write_parts(out, with_held_out(utterances.pop("train"), utterances), {"utt2lang": language_of})


def _utterance(clip: Clip, folder: Path, names: dict[str, str], seconds: dict[str, float]) -> Utterance:
    speaker = names[clip.client]
    id = f"{speaker}-{clean_name(clip.file.removesuffix('.mp3'))}"
    return Utterance(
        id, speaker, f"{folder}/clips/{clip.file}", text=clip.text, duration=seconds.get(clip.file) or None
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("languages", (), "which, such as en,cy; all that are there, without it"),
        command.Option("training", TRAINING[0], "table of the clips to train on", TRAINING),
    )
    return command.prepare_corpus("common_voice", __doc__, argv, prepare, HOW_TO_GET, options)


if __name__ == "__main__":
    raise SystemExit(main())
