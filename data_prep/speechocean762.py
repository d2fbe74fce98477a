"""speechocean762: English sentences read by speakers of Mandarin, half of them children, with scores of pronunciation.

What       5,000 sentences of 4 s, 20 of each speaker, scored by five experts; 2,500 each in the parts train and test
Hours      5
Speakers   250: 125 in each part; children of 6 to 15, adults of 19 to 43
Languages  English, as the second language of speakers of Mandarin
Audio      16 kHz mono WAV, by mobile phone: WAVE/SPEAKER<speaker>/<utterance>.WAV
Licence    CC BY 4.0
Source     https://www.openslr.org/101
Citation   J. Zhang et al., *speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation
           Assessment*, Interspeech 2021
Tried on   a part of the corpus itself: 680 sentences of 34 adults

The official parts are of different speakers: dev (5%) and test (10%) are held out of train by a hash, and the official
test part stays beside them as official_test. A Kaldi data directory of a part of the corpus (wav.scp and utt2spk, with
or without text and spk2age) is taken too: dev and test are held out of all of it. Ids are <speaker>-<utterance>, such
as 0036-000360013, and the text is in capitals, as published: what was said, slips included. --ages children or adults
takes those alone (spk2age; nobody is 16 to 18). Scores are left where they are, in scores.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep import archives, command, openslr
from data_prep.splits import hold_out
from data_prep.tables import one_line, read_lines
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

ARCHIVE = openslr.archive(101, "speechocean762.tar.gz")
AGES = ("all", "adults", "children")
FROM_AGE = 16  # an adult
HELD_OUT_SHARES = {"dev": 0.05, "test": 0.1}
OTHER_LAYOUTS = {
    "scripts/wav.scp": "a draft of the corpus, from before its release",
    "train.jsonl": "the copy on Hugging Face",
}


def download(downloads: str | Path) -> Path:
    """Fetch what is absent of the corpus and return its folder."""
    return archives.obtain([ARCHIVE], downloads) / ARCHIVE.name


def read_table(path: Path) -> dict[str, str]:
    """Return the lines of a Kaldi table, whose keys end at a blank or, in this corpus, a tab; none of an absent one."""
    lines = read_lines(path) if path.is_file() else []
    rows = (line.split(None, 1) for line in lines if line.strip())
    return {row[0]: row[1].strip() if len(row) > 1 else "" for row in rows}


def locate(root: str | Path) -> Path:
    """Return the corpus's own folder: `root`, or the one of its name that the archive holds.

    Raises:
        VQAudioError: neither has the tables of a part; the message says which other layout it looks like.
    """
    root = Path(root).resolve()
    folders = (root, root / "speechocean762", root / "speechocean762/speechocean762")
    for folder in folders:
        if any((folder / part / "wav.scp").is_file() for part in ("train", "test", "")):
            return folder
    layouts = [words for name, words in OTHER_LAYOUTS.items() for folder in folders if (folder / name).exists()]
    hint = f" It looks like {layouts[0]}; get speechocean762.tar.gz of OpenSLR." if layouts else ""
    raise VQAudioError(
        f"{root}: nothing of the corpus in it. Looked for train/wav.scp and test/wav.scp, or a wav.scp of a part.{hint}"
    )


def read_part(tables: Path, audio: Path, ages: str, findings: Findings) -> list[Utterance]:
    """Return the utterances of a folder of tables, those of speakers of these `ages` alone.

    Args:
        audio: what the paths in wav.scp start from.

    Raises:
        VQAudioError: a table that is needed is absent or incomplete, or audio that is listed is not there.
    """
    recordings, speakers, texts = (read_table(tables / name) for name in ("wav.scp", "utt2spk", "text"))
    if missing := sorted(recordings.keys() - speakers.keys()):
        raise VQAudioError(f"{tables}/utt2spk: no speaker of {len(missing)} utterances: {', '.join(missing[:5])}")
    wanted = choose_speakers(tables, set(speakers.values()), ages)
    paths = {id: audio / path for id, path in recordings.items() if speakers[id] in wanted}
    if texts or tables != audio:  # the corpus's own parts are transcribed
        require_texts(sorted(paths.keys() - texts.keys()), tables / "text")
    require_audio(paths, tables / "wav.scp")
    for id in sorted(texts.keys() - recordings.keys()):
        findings.add(id, "left out: it has a transcript, but no audio", texts[id])
    return [
        Utterance(f"{speakers[id]}-{id}", speakers[id], str(path), text=one_line(texts[id]) if texts else None)
        for id, path in paths.items()
    ]


def choose_speakers(tables: Path, speakers: set[str], ages: str) -> set[str]:
    """Return those of `speakers` who are of these `ages`.

    Raises:
        VQAudioError: the age of one is needed, but not known.
    """
    if ages == "all":
        return speakers
    age = read_table(tables / "spk2age")
    if unknown := sorted(speaker for speaker in speakers if not age.get(speaker, "").isdigit()):
        raise VQAudioError(
            f"--ages {ages}: {tables / 'spk2age'} gives no age of {len(unknown)} of {len(speakers)} speakers: "
            f"{', '.join(unknown[:5])}. --ages all takes everybody."
        )
    return {speaker for speaker in speakers if (int(age[speaker]) >= FROM_AGE) == (ages == "adults")}


def require_audio(paths: Mapping[str, Path], table: Path) -> None:
    """Raise VQAudioError where audio is not there, naming it."""
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise VQAudioError(
            f"{table}: {len(missing)} of {len(paths)} recordings are not there: {', '.join(missing[:3])}. "
            "Is the copy complete?"
        )


def prepare(root: str | Path, out: str | Path, ages: str = "all") -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the corpus in `root`, official_test where there is one, and findings.tsv.

    Raises:
        VQAudioError: the corpus, or something of it, is not there; or nobody is of these `ages`.
    """
    folder, out, findings = locate(root), Path(out), Findings()
    official = [part for part in ("train", "test") if (folder / part / "wav.scp").is_file()]
    read = [read_part(folder / part, folder, ages, findings) for part in official or [""]]
    for utterances in read:
        require(utterances, folder, f"utterances of --ages {ages}")
    findings.write(out / "findings.tsv")
    parts = hold_out(read[0], HELD_OUT_SHARES)
    if len(read) == 2:
        parts["official_test"] = read[1]
    return write_parts(out, parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (command.Option("ages", "all", "whom to take", AGES),)
    return command.prepare_corpus("speechocean762", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
