"""VoxPopuli: speeches in the European Parliament and their interpretation, in 23 languages.

What       whole sessions; 1,800 hours of speeches with transcripts, and all that was said and interpreted without
Hours      400,000: unlabelled, of which 10,000 are of 2019 and 2020 and in the first release; transcribed 1,791
Speakers   4,295: of transcribed data; of the rest they are not known
Languages  23 unlabelled, 16 of them transcribed (English 543 hours, German 282, French 211, Spanish 166, ...)
Audio      16 kHz mono Ogg Vorbis, whole sessions or cut by the publisher's scripts
Licence    CC0: and the European Parliament's legal notice for the recordings
Source     https://github.com/facebookresearch/voxpopuli
Citation   C. Wang et al., *VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning,
           Semi-Supervised Learning and Interpretation*, ACL 2021
Tried on   a miniature of its layout

--subset transcribed takes speeches with transcripts, --subset unlabelled the rest; --languages and --years say which. A
session is fetched whole, and utterances are stretches of it, in `segments`: nothing is cut. Folders in which the
publisher's scripts did cut them (get_asr_data, get_unlabelled_data) are taken as they are.

    raw_audios/<language or "original">/<year>/<session>_<the same>.ogg   sessions (download_audios)
    transcribed_data/<language>/asr_<language>.tsv.gz                     where speeches are in sessions of "original"
    transcribed_data/<language>/asr_{train,dev,test}.tsv, <year>/<id>.ogg cut
    unlabelled_data/unlabelled_v2.tsv.gz                                  stretches of sessions of all languages
    unlabelled_data/<language>/<year>/<session>_<number>.ogg              cut

Of transcribed data the official dev and test are of other speakers: train, dev and test are of the official training
set (2%, at most 2,000 utterances each, held out), the others official_dev and official_test. A speech is a stretch from
its first word to its last, where the publisher's cut leaves out the pauses. The text is the normalized one, or with
--transcripts original as it was taken down. Ids are <speaker>-<session>-<number>; a speaker without a number is called
by the session, which findings.tsv lists, as it does speeches whose transcript is blank or whose audio is not there.

Of unlabelled data nobody knows who speaks: the session stands for the speaker, though many speak in it. That serves to
learn units; voices cannot be told apart in what is learned. Its stretches are windows of up to half a minute.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep import archives, command, fetch
from data_prep.librispeech import subfolders
from data_prep.splits import MOST, hold_out, with_held_out
from data_prep.tables import one_line, read_rows
from data_prep.writing import Findings, clean_name, require, write_parts
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

SITE = "https://dl.fbaipublicfiles.com/voxpopuli"
TRANSCRIBED = ("en", "de", "fr", "es", "pl", "it", "ro", "hu", "cs", "nl", "fi", "hr", "sk", "sl", "et", "lt")
LANGUAGES = (*TRANSCRIBED, "pt", "bg", "el", "lv", "mt", "sv", "da")
YEARS = tuple(str(year) for year in range(2009, 2021))
ALL_YEARS = (*YEARS, *(f"{year}_2" for year in YEARS))
"""As the archives are named; <year>_2 are the sessions that the second release added, unlabelled."""
SUBSETS = ("transcribed", "unlabelled")
TRANSCRIPTS = ("normalized", "original")
PARTS = ("train", "dev", "test")
FOLDERS = ("raw_audios", "transcribed_data", "unlabelled_data")


@dataclass(frozen=True)
class Wanted:
    """What of the corpus is asked for; no years are all."""

    languages: Sequence[str]
    years: Sequence[str]
    transcripts: str = TRANSCRIPTS[0]

    def is_of_years(self, session: str) -> bool:
        """Tell whether a session is of the years asked for; its name begins with the date."""
        return not self.years or session[:4] in {year[:4] for year in self.years}


def download(
    downloads: str | Path, subset: str = SUBSETS[0], languages: Sequence[str] = ("en",), years: Sequence[str] = ()
) -> Path:
    """Fetch what is absent and return its folder; no years are all of transcribed data, 2019 and 2020 of unlabelled.

    Transcribed speeches lie in sessions in the language of whoever speaks, the same for all languages.
    """
    root = Path(downloads) / "voxpopuli"
    transcribed = subset == "transcribed"
    years = years or (YEARS if transcribed else YEARS[-2:])
    names = [f"{channel}_{year}" for channel in (("original",) if transcribed else languages) for year in years]
    if transcribed:
        for language in languages:
            _check_transcribed(language)
            name = f"asr_{language}.tsv.gz"
            fetch.http_file(f"{SITE}/annotations/asr/{name}", root / "transcribed_data" / language / name)
    else:
        name = "unlabelled_v2.tsv.gz"
        fetch.http_file(f"{SITE}/annotations/{name}", root / "unlabelled_data" / name)
    archives.obtain([archives.Archive(f"{SITE}/audios/{name}.tar") for name in names], root / "raw_audios")
    return root


def _check_transcribed(language: str) -> None:
    if language not in TRANSCRIBED:
        raise VQAudioError(f"--languages {language}: not transcribed, expected {', '.join(TRANSCRIBED)}")


def locate(root: str | Path) -> Path:
    """Return the folder with raw_audios, transcribed_data or unlabelled_data: `root` or one right below it."""
    root = Path(root).resolve()
    for folder in (root, *(root / name for name in subfolders(root))):
        if any((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise VQAudioError(f"{root}: nothing of VoxPopuli in it. Looked for {', '.join(FOLDERS)}, in it and right below.")


class Sessions:
    """The recordings of one channel, a language or "original", by name without the suffix, and how long they are."""

    def __init__(self, root: Path, channel: str, findings: Findings) -> None:
        places = (f"raw_audios/{channel}/*/*.ogg", f"raw_audios/{channel}_*/{channel}/*/*.ogg")
        self.paths = {path.stem: path for place in places for path in sorted(root.glob(place))}
        self._seconds: dict[str, float] = {}
        self._findings = findings

    def stretch(self, name: str, start: float, end: float) -> tuple[float, float] | None:
        """Return [start, end) less what is beyond the recording's end; None where nothing is left of it."""
        if name not in self._seconds:
            self._seconds[name] = self._length(name)
        end = min(end, self._seconds[name])
        return (start, end) if end > start >= 0 else None

    def _length(self, name: str) -> float:
        if name not in self.paths:
            self._findings.add(name, "left out: a session that is not there")
            return 0.0
        try:
            return probe(self.paths[name]).duration
        except AudioError as error:
            self._findings.add(name, "left out: a session that cannot be read", error.reason)
            return 0.0


# ------------------------------------------------------------------------------------------------ transcribed


def read_transcribed(root: Path, language: str, wanted: Wanted, findings: Findings) -> dict[str, list[Utterance]]:
    """Return the speeches of the official train, dev and test in a language.

    Raises:
        VQAudioError: neither the publisher's cut nor the table of its sessions is there.
    """
    _check_transcribed(language)
    folder = root / "transcribed_data" / language
    if (folder / "asr_train.tsv").is_file():
        return {part: list(_cut_speeches(folder, part, wanted, findings)) for part in PARTS}
    table = folder / f"asr_{language}.tsv.gz"
    if not table.is_file():
        raise VQAudioError(
            f"{root}: no transcribed data in {language!r}. Looked for {folder / 'asr_train.tsv'} and {table}, which is "
            f"at {SITE}/annotations/asr/{table.name}"
        )
    parts: dict[str, list[Utterance]] = {part: [] for part in PARTS}
    for part, utterance in _speeches(root, table, wanted, findings):
        parts[part].append(utterance)
    return parts


def _cut_speeches(folder: Path, part: str, wanted: Wanted, findings: Findings) -> Iterator[Utterance]:
    column = {"normalized": "normalized_text", "original": "raw_text"}[wanted.transcripts]
    there = {path.stem: path for path in folder.glob("*/*.ogg")}
    table = folder / f"asr_{part}.tsv"
    for row in read_rows(table, ("id", column, "speaker_id"), findings):
        id = row["id"]
        if not wanted.is_of_years(id):
            continue
        if id not in there:
            findings.add(id, "left out: it is listed, but there is no audio")
        elif text := _text(row[column], id, findings):
            speaker = _speaker(row["speaker_id"], id, id.split("_")[0], findings)
            yield Utterance(f"{speaker}-{clean_name(id)}", speaker, str(there[id]), text=text)


def _speeches(root: Path, table: Path, wanted: Wanted, findings: Findings) -> Iterator[tuple[str, Utterance]]:
    column = {"normalized": "normed_text", "original": "original_text"}[wanted.transcripts]
    sessions = Sessions(root, "original", findings)
    require(list(sessions.paths), root, "sessions as raw_audios/original/<year>/<session>_original.ogg")
    needed = ("session_id", "id_", "speaker_id", column, "split", "vad")
    for row in read_rows(table, needed, findings, delimiter="|", quoted=True):
        id, session = f"{row['session_id']}-{row['id_']}", f"{row['session_id']}_original"
        if row["split"] not in PARTS or not wanted.is_of_years(session):
            continue  # the publisher marks speeches whose transcripts do not fit as invalid
        times = _first_to_last(row["vad"])
        stretch = times and sessions.stretch(session, *times)
        if stretch is None:
            if session in sessions.paths:
                findings.add(id, "left out: it lies beyond its session, or has no times", row["vad"])
        elif text := _text(row[column], id, findings):
            speaker = _speaker(row["speaker_id"], id, row["session_id"], findings)
            path, name = str(sessions.paths[session]), f"{speaker}-{clean_name(id)}"
            yield row["split"], Utterance(name, speaker, path, *stretch, text=text, recording_id=clean_name(session))


def _first_to_last(vad: str) -> tuple[float, float] | None:
    try:
        stretches = ast.literal_eval(vad)
        return float(stretches[0][0]), float(stretches[-1][1])
    except (ValueError, SyntaxError, TypeError, IndexError):
        return None


def _text(text: str, id: str, findings: Findings) -> str:
    if not (text := one_line(text)):
        findings.add(id, "left out: its transcript is blank")
    return text


def _speaker(number: str, id: str, session: str, findings: Findings) -> str:
    if number.strip() and number != "None":
        return clean_name(number.strip())
    findings.add(id, "mended: its speaker has no number, the session stands for it")
    return clean_name(session)


# ------------------------------------------------------------------------------------------------- unlabelled


def read_unlabelled(root: Path, wanted: Wanted, findings: Findings) -> Iterator[tuple[str, Utterance]]:
    """Yield language and utterance of each stretch of unlabelled data in the languages asked for.

    Raises:
        VQAudioError: a language is neither cut nor has sessions and the table of their stretches.
    """
    folder, whole = root / "unlabelled_data", {}
    for language in wanted.languages:
        if subfolders(folder / language):
            for utterance in _cut_stretches(folder / language, wanted):
                yield language, utterance
        else:
            whole[language] = Sessions(root, language, findings)
            looked_for = f"raw_audios/{language}/<year>/<session>_{language}.ogg and unlabelled_data/{language}"
            require(list(whole[language].paths), root, looked_for)
    if whole:
        yield from _stretches(folder / "unlabelled_v2.tsv.gz", whole, wanted, findings)


def _cut_stretches(folder: Path, wanted: Wanted) -> Iterator[Utterance]:
    for path in sorted(folder.glob("*/*.ogg")):
        session, _, number = path.stem.rpartition("_")
        if wanted.is_of_years(session):
            name = clean_name(session)
            yield Utterance(f"{name}-{number}", name, str(path))


def _stretches(
    table: Path, sessions: Mapping[str, Sessions], wanted: Wanted, findings: Findings
) -> Iterator[tuple[str, Utterance]]:
    if not table.is_file():
        raise VQAudioError(
            f"{table}: there is no such file. It says how sessions are cut: {SITE}/annotations/{table.name}"
        )
    for row in read_rows(table, ("event_id", "segment_no", "start", "end"), findings):
        session, language = row["event_id"], row["event_id"].rpartition("_")[2]
        # Most of the table is of sessions that were not fetched.
        if language not in sessions or session not in sessions[language].paths or not wanted.is_of_years(session):
            continue
        stretch = sessions[language].stretch(session, float(row["start"]), float(row["end"]))
        name = clean_name(session)
        if stretch is None:
            findings.add(f"{session}_{row['segment_no']}", "left out: it lies beyond its session")
        else:
            path = str(sessions[language].paths[session])
            yield language, Utterance(f"{name}-{row['segment_no']}", name, path, *stretch, recording_id=name)


# ---------------------------------------------------------------------------------------------------- both


def prepare(
    root: str | Path,
    out: str | Path,
    subset: str = SUBSETS[0],
    languages: Sequence[str] = ("en",),
    years: Sequence[str] = (),
    transcripts: str = TRANSCRIPTS[0],
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test}, of transcribed data official_dev and official_test too, and `out`/findings.tsv.

    Raises:
        VQAudioError: what is asked for is not in `root`; the message says what was looked for.
    """
    out, findings, root = Path(out), Findings(), locate(root)
    wanted = Wanted(languages, years, transcripts)
    language_of: dict[str, list[str]] = {}
    parts: dict[str, list[Utterance]] = defaultdict(list)
    for language, part, utterance in _all_of(root, subset, wanted, findings):
        language_of[utterance.id] = [language]
        parts[part].append(utterance)
    findings.write(out / "findings.tsv")
    looked_for = f"{subset} data in {', '.join(languages)}" + (f" of {', '.join(years)}" if years else "")
    require(parts["train"], root, f"{looked_for}; what was found amiss is in {out / 'findings.tsv'}")
    train = parts.pop("train")
    if subset == "unlabelled":
        divided = hold_out(train, {"dev": 0.02, "test": 0.02}, MOST)
    else:
        divided = with_held_out(train, {name: part for name, part in parts.items() if part})
    return write_parts(out, divided, {"utt2lang": language_of})


def _all_of(root: Path, subset: str, wanted: Wanted, findings: Findings) -> Iterable[tuple[str, str, Utterance]]:
    if subset == "unlabelled":
        for language, utterance in read_unlabelled(root, wanted, findings):
            yield language, "train", utterance
        return
    for language in wanted.languages:
        for part, utterances in read_transcribed(root, language, wanted, findings).items():
            for utterance in utterances:
                yield language, part, utterance


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("subset", SUBSETS[0], "which part of it", SUBSETS),
        command.Option("languages", ("en",), "which", LANGUAGES),
        command.Option("years", (), "which; without it all (to fetch unlabelled data: 2019,2020)", ALL_YEARS),
        command.Option("transcripts", TRANSCRIPTS[0], "which text, of transcribed data", TRANSCRIPTS),
    )
    return command.prepare_corpus("voxpopuli", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
