"""LibriSpeech and Mini LibriSpeech: read English from audio books, the field's measure, and a small part of it.

What       292,367 utterances of up to 35 s, in parts of speakers of their own
Hours      982: train-clean-100, train-clean-360, train-other-500, and 5 each of {dev,test}-{clean,other}. Mini: 7
Speakers   2,484
Languages  English
Audio      16 kHz mono FLAC, once MP3; <speaker>/<chapter>/<speaker>-<chapter>-<number>.flac
Licence    CC BY 4.0
Source     https://www.openslr.org/12 and, as Mini LibriSpeech, https://www.openslr.org/31
Citation   V. Panayotov, G. Chen, D. Povey, S. Khudanpur, *Librispeech: an ASR corpus based on public domain audio
           books*, ICASSP 2015
Tried on   a miniature of its layout

--parts names the parts to take: by default the 460 hours of clean training speech with dev-clean and test-clean, 30 GB;
train-clean-5,dev-clean-2 is Mini LibriSpeech, 460 MB. All that is for training becomes train, from which dev and test
are held out (2%, at most 2,000 utterances each), as the official ones are of other speakers; those stand beside them as
dev_clean, test_other, .... Ids are the corpus's, and the text is in capitals, as published. Speakers whom SPEAKERS.TXT
lists and the copy lacks, and lines of transcripts without audio, are in findings.tsv.

Times of words and phones: --alignments_dir names a folder with the TextGrids of L. Lugosch's LibriSpeech Alignments
(https://zenodo.org/record/2619474), or others with tiers `words` and `phones` named as the utterances. Every part but
train then has words.ctm and phones.ctm, with `sil` where the tier is blank.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from data_prep import archives, command, openslr
from data_prep.splits import with_held_out
from data_prep.tables import one_line, read_lines
from data_prep.textgrid import ctm_values, read_textgrid
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

# Number of the resource, and the digest that its md5sum.txt gives.
PUBLISHED = {
    "train-clean-100": (12, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": (12, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": (12, "d1a0fd59409feb2c614ce4d30c387708"),
    "dev-clean": (12, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": (12, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": (12, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": (12, "fb5a50374b501bb3bac4815ee91d3135"),
    "train-clean-5": (31, "5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": (31, "6d7ab67ac6a1d2c993d050e16d61080d"),
}
PARTS = tuple(PUBLISHED)
DEFAULT_PARTS = ("train-clean-100", "train-clean-360", "dev-clean", "test-clean")
NAME = re.compile(r"(?P<speaker>\d+)-(?P<chapter>\d+)-\d+")
LAYOUT = "<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac"


def download(downloads: str | Path, parts: Sequence[str] = DEFAULT_PARTS) -> Path:
    """Fetch those of `parts` that are absent and return their folder."""
    wanted = [openslr.archive(PUBLISHED[part][0], f"{part}.tar.gz", PUBLISHED[part][1]) for part in parts]
    return archives.obtain(wanted, Path(downloads) / "librispeech")


def locate(root: str | Path, parts: Sequence[str], known: Collection[str]) -> dict[str, Path]:
    """Return the folder of each of `parts`: `root` itself, or one up to three levels below it.

    Args:
        known: the names of all parts of the corpus.

    Raises:
        VQAudioError: one is not there, the message says which are; or none of them is for training.
    """
    root = Path(root).resolve()
    found = {path.name: path for path in named_folders(root, 3) if path.name in known and has_speakers(path)}
    missing = [part for part in parts if part not in found]
    if missing:
        there = [part for part in known if part in found]
        raise VQAudioError(
            f"{root}: no part {', '.join(missing)} in it. It has {', '.join(there) or 'none'}. Looked for folders of "
            "that name with a folder for each speaker, in it and up to three levels below; --parts says which to take"
            + (f", such as --parts {','.join(there)}." if there else ".")
        )
    if not any(part.startswith("train") for part in parts):
        raise VQAudioError(
            f"--parts {','.join(parts)}: none of them is for training, and the official dev and test parts are of "
            f"other speakers. Add one of {', '.join(part for part in known if part.startswith('train'))}."
        )
    return {part: found[part] for part in parts}


def named_folders(root: Path, levels: int) -> Iterator[Path]:
    """Yield the folders below `root`, but for those named by a number, and `root` itself, nearest last."""
    if levels:
        for name in subfolders(root):
            if not _is_number(name):
                yield from named_folders(root / name, levels - 1)
    yield root


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; none of one that must not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []


def has_speakers(folder: Path) -> bool:
    """Tell whether there are folders named by a number in a folder."""
    return any(_is_number(name) for name in subfolders(folder))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def chapters(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each chapter's folder, <speaker>/<chapter> in that of a part, and the names of its files, sorted."""
    for speaker in subfolders(folder):
        for chapter in subfolders(folder / speaker):
            yield folder / speaker / chapter, sorted(os.listdir(folder / speaker / chapter))


def read_part(folder: Path, findings: Findings) -> list[Utterance]:
    """Return the utterances of a part's folder, by id.

    Raises:
        VQAudioError: no audio in it, or audio without a transcript.
    """
    utterances, missing, suffixes = [], [], Counter()
    for chapter, files in chapters(folder):
        suffixes.update(Path(file).suffix for file in files)
        texts = {}
        for file in files:
            if file.endswith(".trans.txt"):
                texts |= read_transcripts(chapter / file)
        for id in (file.removesuffix(".flac") for file in files if file.endswith(".flac")):
            if not (name := NAME.fullmatch(id)):
                kind = "left out: its name is not <speaker>-<chapter>-<number>.flac"
                findings.add(f"{folder.name}/{chapter.parent.name}/{chapter.name}/{id}.flac", kind)
            elif id not in texts:
                missing.append(id)
            else:
                path = f"{chapter}/{id}.flac"
                utterances.append(Utterance(id, name["speaker"], path, text=texts.pop(id)))
        for id, text in texts.items():
            findings.add(id, "left out: it has a transcript, but no audio", text)
    require_texts(missing, folder)
    require(utterances, folder, f"{LAYOUT}.{what_is_there(suffixes, '.wav', 'LibriTTS')}")
    return utterances


def what_is_there(suffixes: Counter[str], foreign: str, corpus: str) -> str:
    """Say what files there are instead, and which corpus it looks like where some have the suffix `foreign`."""
    there = ", ".join(f"{count} {suffix} files" for suffix, count in suffixes.most_common(3))
    hint = f" It looks like {corpus}, which recipes/{corpus.lower()} is for." if suffixes[foreign] else ""
    return f" There: {there or 'no files'} at that depth.{hint}"


def read_transcripts(path: Path) -> dict[str, str]:
    """Return the text of each utterance in a <speaker>-<chapter>.trans.txt, lines of `id text`."""
    lines = read_lines(path)
    rows = (line.strip().partition(" ") for line in lines if line.strip())
    return {id: one_line(text) for id, _, text in rows}


def read_speakers(path: Path) -> dict[str, str]:
    """Return the part of each speaker in SPEAKERS.TXT: `id | sex | part | minutes | name`, after lines with ';'.

    The last field is not always one: speaker 60 is called |CBW|Simon.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    rows = [line.split("|") for line in lines if line.strip() and not line.startswith(";")]
    return {row[0].strip(): row[2].strip() for row in rows if len(row) >= 5}


def divide(utterances: Mapping[str, Sequence[Utterance]]) -> dict[str, list[Utterance]]:
    """Return train, dev and test of the training parts together, and the others under names such as dev_clean.

    Raises:
        VQAudioError: an utterance that is in two parts, as where Mini LibriSpeech is named beside its origin.
    """
    part_of: dict[str, str] = {}
    for part, of_part in utterances.items():
        shared = Counter(part_of[u.id] for u in of_part if u.id in part_of)
        if shared:
            other, count = shared.most_common(1)[0]
            raise VQAudioError(f"{part} and {other} have {count} utterances in common; name one of them in --parts")
        part_of |= dict.fromkeys((u.id for u in of_part), part)
    train = [u for part, of_part in utterances.items() if part.startswith("train") for u in of_part]
    others = {part.replace("-", "_"): us for part, us in utterances.items() if not part.startswith("train")}
    return with_held_out(train, others)


def read_times(folder: Path, ids: Sequence[str], findings: Findings) -> dict[str, dict[str, list[str]]]:
    """Return words.ctm and phones.ctm of these utterances, from the TextGrids at any depth below `folder`.

    Raises:
        VQAudioError: there is no such folder, none of the utterances has one, or one lacks a tier.
    """
    if not folder.is_dir():
        raise VQAudioError(f"--alignments_dir {folder}: there is no such folder, expected one with TextGrids")
    files = {path.stem: path for path in folder.rglob("*.TextGrid")}
    tables: dict[str, dict[str, list[str]]] = {"words.ctm": {}, "phones.ctm": {}}
    for id in ids:
        if id not in files:
            findings.add(id, "without times: it has no TextGrid")
            continue
        tiers = read_textgrid(files[id])
        if not {"words", "phones"} <= tiers.keys():
            raise VQAudioError(f"{files[id]}: tiers {', '.join(tiers) or 'none'}, expected words and phones")
        tables["words.ctm"][id] = ctm_values(tiers["words"])
        tables["phones.ctm"][id] = ctm_values(tiers["phones"], blank="sil")
    if ids and not tables["phones.ctm"]:
        raise VQAudioError(
            f"--alignments_dir {folder}: no TextGrid of these utterances in it, such as {ids[0]}.TextGrid"
        )
    return tables


def prepare(
    root: str | Path, out: str | Path, parts: Sequence[str] = DEFAULT_PARTS, alignments_dir: str | Path | None = None
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} and the other official parts from the corpus in `root`, and `out`/findings.tsv.

    Raises:
        VQAudioError: a part that is not there, an incomplete one, or two that overlap.
    """
    out, findings = Path(out), Findings()
    utterances = {}
    for part, folder in locate(root, parts, PARTS).items():
        utterances[part] = read_part(folder, findings)
        listed = {speaker for speaker, of in read_speakers(folder.parent / "SPEAKERS.TXT").items() if of == part}
        for speaker in sorted(listed - {u.speaker for u in utterances[part]}):
            findings.add(f"{part}/{speaker}", "absent: a speaker whom SPEAKERS.TXT lists for this part")
    divided = divide(utterances)
    tables = {}
    if alignments_dir:
        ids = [u.id for name, of_part in divided.items() if name != "train" for u in of_part]
        tables = read_times(Path(alignments_dir), ids, findings)
    findings.write(out / "findings.tsv")
    return write_parts(out, divided, tables)


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("parts", DEFAULT_PARTS, "parts to take", PARTS),
        command.Option("alignments_dir", None, "TextGrids, for the times of words and phones"),
    )
    return command.prepare_corpus("librispeech", __doc__, argv, prepare, download, options)


if __name__ == "__main__":
    raise SystemExit(main())
