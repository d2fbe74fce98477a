"""Any tree of audio files as a corpus: WAV, FLAC, OGG, Opus and MP3, at any rate.

The speaker of a file is the name of the folder right below the tree's root that it lies in (or deeper: see
--speaker_level), or what a table says:

    speaker_a/session1/take1.wav        table:  session1/take1 anna
    speaker_b/take2.flac                        session2       boris

A line of the table names a file, with its suffix or without, or a folder, then the speaker; the longest name that
fits counts. Names become ids: '_' takes the place of what ids must not hold, and where that makes two names one, or an
id too long, a digest of the name is added. wav.scp tells which file an id is of; findings.tsv lists the files that
could not be taken, and why.

Held-out utterances are chosen by a hash of their ids, so that they stay the same from run to run, and only of speakers
who are left with something to train on.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from data_prep import command
from data_prep.splits import hold_out
from data_prep.writing import Findings, clean_name, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
UNREAD_SUFFIXES = (".m4a", ".aac", ".wma", ".sph", ".amr", ".webm", ".mp4")  # audio, but not for us
ID_BYTES, SPEAKER_BYTES = 150, 60  # both are in the name of a file, <id>-to-<speaker>.wav, which may have 255


def find_audio(root: Path, findings: Findings) -> Iterator[PurePosixPath]:
    """Yield the audio files below `root`, relative to it. Links to folders are followed, hidden folders left out."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        if (place := os.path.realpath(folder)) in seen:  # a link back to a folder above itself
            folders.clear()
            continue
        seen.add(place)
        for name in [name for name in folders if name.startswith(".")]:
            findings.add(_shown(PurePosixPath(Path(folder, name).relative_to(root))), "left out: a hidden folder")
            folders.remove(name)
        folders.sort()
        for name in sorted(files):
            path = PurePosixPath(Path(folder, name).relative_to(root))
            suffix = path.suffix.lower()
            if suffix not in SUFFIXES + UNREAD_SUFFIXES:
                continue
            if name.startswith("."):
                findings.add(_shown(path), "left out: a hidden file")
            elif suffix in UNREAD_SUFFIXES:
                findings.add(_shown(path), f"left out: {suffix} is no format that can be read; convert it")
            elif not _fits_a_table(str(path)):
                findings.add(_shown(path), "left out: a line break, a tab or a byte that is not UTF-8 in its name")
            else:
                yield path


def _fits_a_table(name: str) -> bool:
    return not re.search(r"[\t\r\n]", name) and name == name.encode("utf-8", "replace").decode()


def _shown(path: PurePosixPath) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode().encode("unicode_escape").decode()


def read_speaker_table(path: str | Path) -> dict[str, str]:
    """Read lines of `<file or folder> <speaker>`, relative to the tree's root; '#' begins a comment."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # names may hold Unicode's line separators
    except (OSError, UnicodeDecodeError) as error:
        raise VQAudioError(f"{path}: the table of speakers cannot be read: {error}") from error
    table: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.strip().rsplit(None, 1)
        if len(fields) != 2:
            raise VQAudioError(f"{path}:{number}: got {line!r}, expected a file or folder and its speaker")
        name = str(PurePosixPath(fields[0]))
        if table.setdefault(name, fields[1]) != fields[1]:
            raise VQAudioError(f"{path}:{number}: {name!r} has two speakers, {table[name]!r} and {fields[1]!r}")
    return table


def speaker_by_table(path: PurePosixPath, table: Mapping[str, str]) -> str | None:
    """Return the speaker of the file, or of the nearest folder above it that the table names."""
    for name in (path, path.with_suffix(""), *path.parents):
        if str(name) in table:
            return table[str(name)]
    return None


def speaker_by_folder(path: PurePosixPath, level: int, root: Path) -> str:
    """Return the name of the folder at `level` below the root (1: right below), or, for less deep files, the last."""
    names = (root.resolve().name, *path.parts[:-1])
    return names[min(level, len(names) - 1)]


def utterance_id(path: PurePosixPath, speaker: str, name: str | None = None) -> str:
    """Return <speaker>-<path>, with '_' for what ids must not hold, and without the speaker's folder in the path.

    `name` is the speaker's as ids have it, where that is not `clean_name(speaker)`.
    """
    parts = list(path.with_suffix("").parts)
    if speaker in parts[:-1]:
        parts.remove(speaker)
    return f"{name or clean_name(speaker)}-{clean_name('_'.join(parts))}"


def distinct(ids: Mapping[str, str], most: int) -> dict[str, str]:
    """Return an id for each key: its own of `ids`; with a digest where that is another's too, or over `most` bytes."""
    counts = Counter(ids.values())
    return {key: id if counts[id] == 1 and len(id.encode()) <= most else _with_digest(id, key, most)
            for key, id in ids.items()}  # fmt: skip


def _with_digest(id: str, key: str, most: int) -> str:
    digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()[:8]
    return f"{id.encode()[: most - 9].decode(errors='ignore')}-{digest}"


def collect(root: Path, speakers: Mapping[str, str] | None, level: int, findings: Findings) -> list[Utterance]:
    """Return one utterance per audio file below `root`.

    Raises:
        VQAudioError: no audio, a file without a speaker in the table, or a root that wav.scp cannot name.
    """
    if not _fits_a_table(str(root.resolve())):
        raise VQAudioError(f"{str(root)!r}: a line break, a tab or a byte that is not UTF-8 in its path; rename it")
    found: dict[str, str] = {}
    strangers = []
    for path in find_audio(root, findings):
        speaker = speaker_by_folder(path, level, root) if speakers is None else speaker_by_table(path, speakers)
        if speaker is None:
            strangers.append(str(path))
        else:
            found[str(path)] = speaker
    if strangers:
        raise VQAudioError(f"the table of speakers does not name {len(strangers)} files: {', '.join(strangers[:5])}")
    if not found:
        raise VQAudioError(f"{root}: no audio found in it. Looked for {', '.join(SUFFIXES)}, in folders at any depth")
    names = distinct({speaker: clean_name(speaker) for speaker in found.values()}, SPEAKER_BYTES)
    ids = distinct({path: utterance_id(PurePosixPath(path), speaker, names[speaker])
                    for path, speaker in found.items()}, ID_BYTES)  # fmt: skip
    return [Utterance(ids[path], names[speaker], str(root.resolve() / path)) for path, speaker in found.items()]


def prepare(
    root: str | Path,
    out: str | Path,
    speakers: str | Path | None = None,
    level: int = 1,
    dev_share: float = 0.05,
    test_share: float = 0.05,
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from the audio below `root`, and `out`/findings.tsv; return them, validated.

    A share of 0 leaves out the part. Raises VQAudioError as `collect` and `hold_out` do.
    """
    root, out, findings = Path(root), Path(out), Findings()
    if not root.is_dir():
        raise VQAudioError(f"{root}: there is no such folder, expected one with audio files")
    table = read_speaker_table(speakers) if speakers is not None else None
    utterances = collect(root, table, level, findings)
    findings.write(out / "findings.tsv")
    parts = hold_out(utterances, {"dev": dev_share, "test": test_share})
    return write_parts(out, {name: part for name, part in parts.items() if part})


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a folder of audio as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.folder", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio_dir", required=True, help="root of the tree")
    parser.add_argument("--out", required=True, help="folder that gets train, dev and test")
    parser.add_argument("--speakers", help="table of files or folders and their speakers")
    parser.add_argument("--speaker_level", type=int, default=1, help="depth of the folder that names the speaker (1)")
    parser.add_argument("--dev_share", type=float, default=0.05, help="of utterances, for dev (0.05)")
    parser.add_argument("--test_share", type=float, default=0.05, help="of utterances, for test (0.05)")
    o = command.parse(parser, argv)
    return command.run(
        parser.prog,
        lambda: prepare(o.audio_dir, o.out, o.speakers, o.speaker_level, o.dev_share, o.test_share),
    )


if __name__ == "__main__":
    raise SystemExit(main())
