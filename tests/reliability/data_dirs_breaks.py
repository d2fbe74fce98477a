"""Every rule of data directories, broken in one place, of a directory in which each break has a speaker of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from vqaudio.audio.io import write_wav

SECONDS = 0.5


class Audio:
    """The recordings that all directories share, and how long they are."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        noise = np.random.default_rng(0).uniform(-0.2, 0.2, round(SECONDS * 8000)).astype(np.float32)
        write_wav(folder / "good.wav", noise, 8000)
        (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:1000])
        self.seconds = {os.path.realpath(folder / "good.wav"): SECONDS}


@dataclass
class Tables:
    """A data directory before it is written: bytes by file, and what stands in the place of a file."""

    bytes: dict[str, bytes]
    instead: dict[str, str]

    @classmethod
    def valid(cls, speakers: int, segmented: bool) -> Tables:
        """Return one without faults, of two utterances a speaker, called 007-a and 007-b."""
        names = [f"{number:03d}" for number in range(speakers)]
        ids = [f"{name}-{letter}" for name in names for letter in "ab"]
        lines = {
            "wav.scp": [f"{id} ../audio/good.wav" for id in ids],
            "utt2spk": [f"{id} {id[:3]}" for id in ids],
            "spk2utt": [f"{name} {name}-a {name}-b" for name in names],
            "text": [f"{id} some words" for id in ids],
            "utt2dur": [f"{id} 0.5" for id in ids],
            "utt2num_samples": [f"{id} 4000" for id in ids],
        }
        if segmented:
            lines["wav.scp"] = [f"r{id} ../audio/good.wav" for id in ids]
            lines["segments"] = [f"{id} r{id} 0.1 0.4" for id in ids]
        return cls({name: "".join(f"{line}\n" for line in of).encode() for name, of in lines.items()}, {})

    def write(self, folder: Path) -> None:
        """Write it to a new folder, as what stands in the place of files says."""
        folder.mkdir()
        for name, data in self.bytes.items():
            if name not in self.instead:
                (folder / name).write_bytes(data)
        for name, kind in self.instead.items():
            INSTEAD[kind](folder / name)


def _forbidden(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0)


INSTEAD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "broken link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "forbidden": _forbidden,
}


@dataclass(frozen=True)
class Break:
    """One broken rule: the file that has to be named, and what breaks it, given the speaker that is there for it."""

    rule: str
    file: str
    apply: Callable[[Tables, str], None]
    whole: bool = False
    """Whether nothing else in the file can be broken then."""
    named: str | None = None
    """The file in which it is found, where it is another one."""
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.rule} in {self.file} {self.kind}".rstrip()


def change(file: str, old: str, new: str) -> Callable[[Tables, str], None]:
    """Return what replaces `old`, in which # stands for the speaker, by `new`, once."""

    def apply(tables: Tables, speaker: str) -> None:
        find, put = (text.replace("#", speaker).encode("utf-8", "surrogateescape") for text in (old, new))
        if tables.bytes[file].count(find) != 1:
            raise LookupError(f"{find!r} stands {tables.bytes[file].count(find)} times in {file}")
        tables.bytes[file] = tables.bytes[file].replace(find, put)

    return apply


def whole(file: str, convert: Callable[[bytes], bytes]) -> Callable[[Tables, str], None]:
    """Return what converts a file as a whole."""

    def apply(tables: Tables, speaker: str) -> None:
        tables.bytes[file] = convert(tables.bytes[file])

    return apply


def instead(file: str, kind: str) -> Callable[[Tables, str], None]:
    """Return what puts something in a file's place."""

    def apply(tables: Tables, speaker: str) -> None:
        tables.instead[file] = kind

    return apply


def breaks(segmented: bool) -> list[Break]:
    """Return all breaks of a directory with segments, or without."""
    files = ["wav.scp", "utt2spk", "spk2utt", "text", "utt2dur", "utt2num_samples"] + ["segments"] * segmented
    made = [one for file in files for one in [*_of_file(file, segmented), *_of_lines(file, segmented)]]
    return made + _among_files(segmented) + _of_recordings(segmented)


def _of_file(file: str, segmented: bool) -> list[Break]:
    made = [
        Break("unreadable-file", file, instead(file, kind), whole=True, kind=f"({kind})")
        for kind in INSTEAD
        if kind != "nothing"
    ]
    made += [
        Break("empty-file", file, whole(file, lambda data: b""), whole=True),
        Break("empty-file", file, whole(file, lambda data: b"\n \t\n\xe3\x80\x80\n"), whole=True, kind="(blanks)"),
        Break("byte-order-mark", file, whole(file, lambda data: b"\xef\xbb\xbf" + data)),
        Break("line-end", file, whole(file, lambda data: data.replace(b"\n", b"\r\n"))),
    ]
    if file in ("wav.scp", "utt2spk", "spk2utt"):
        made.append(Break("missing-file", file, instead(file, "nothing"), whole=True))
    return made


def _of_lines(file: str, segmented: bool) -> list[Break]:
    key = "#" if file == "spk2utt" else "r#-a" if file == "wav.scp" and segmented else "#-a"
    start = f"\n{key} "
    made = [
        Break("blank-line", file, change(file, start, f"\n\n{key} ")),
        Break("blank-line", file, change(file, start, f"\n\u3000\u00a0\n{key} "), kind="(Unicode's)"),
        Break("utf-8", file, change(file, start, f"\n{key}\udcff ")),
        Break("id", file, change(file, start, f"\n{key}\x07 "), kind="(control character)"),
        Break("id", file, change(file, start, f"\n{key}\0 "), kind="(zero byte)"),
        Break("id", file, change(file, start, f"\n{key}\u2028 "), kind="(line separator)"),
        Break("id", file, change(file, start, f"\n../{key} "), kind="(path)"),
        Break("id", file, change(file, start, f"\n-{key} "), kind="(option)"),
        Break("id", file, change(file, start, f"\n{key}{'x' * 200} "), kind="(too long)"),
        Break("duplicate", file, change(file, start, f"\n{key} x{start}")
              if file not in ("segments", "utt2dur", "utt2num_samples") else
              change(file, start, {"segments": f"\n{key} r#-a 0 0.1{start}"}.get(file, f"\n{key} 1{start}"))),
    ]  # fmt: skip
    if file != "text":
        made.append(Break("fields", file, change(file, start, f"\n{key}x\n{key} ")))
    if file not in ("text", "wav.scp", "spk2utt"):
        made.append(Break("fields", file, change(file, start, f"\n{key}x 1 2 3 4\n{key} "), kind="(too many)"))
    if file == "spk2utt":
        made.append(Break("unsorted", file, change(file, "\n# #-a #-b\n", "\n!# x\n# #-a #-b\n")))
    else:
        made.append(Break("unsorted", file, _swap(file, key)))
    return made


def _swap(file: str, key: str) -> Callable[[Tables, str], None]:
    def apply(tables: Tables, speaker: str) -> None:
        lines = tables.bytes[file].split(b"\n")
        first = next(i for i, line in enumerate(lines) if line.startswith(key.replace("#", speaker).encode() + b" "))
        lines[first : first + 2] = lines[first + 1], lines[first]
        tables.bytes[file] = b"\n".join(lines)

    return apply


def _among_files(segmented: bool) -> list[Break]:
    source = ("segments", "#-a r#-a 0.1 0.4\n") if segmented else ("wav.scp", "#-a ../audio/good.wav\n")
    rows = dict([source, ("text", "#-a some words\n"), ("utt2dur", "#-a 0.5\n"), ("utt2num_samples", "#-a 4000\n")])
    made = [
        Break("missing-utterance", file, change(file, f"\n{row}", "\n"), named="utt2spk") for file, row in rows.items()
    ]
    made += [
        Break("unknown-utterance", file, change(file, f"\n{row}", f"\n{row}{row.replace('#-a', '#-aa', 1)}"))
        for file, row in rows.items()
    ]
    return [
        *made,
        Break("unknown-utterance", "utt2spk", change("utt2spk", "\n#-a #\n", "\n"), named="text"),
        Break("missing-utterance", "spk2utt", change("spk2utt", "\n# #-a #-b\n", "\n# #-b\n"), named="utt2spk"),
        Break("unknown-utterance", "spk2utt", change("spk2utt", "\n# #-a #-b\n", "\n# #-a #-aa #-b\n")),
        Break("speaker-map", "spk2utt", change("utt2spk", "\n#-a #\n", "\n#-a other\n")),
        Break("speaker-map", "spk2utt", change("spk2utt", "\n# #-a #-b\n", "\n# #-a #-b #-a\n"), kind="(twice)"),
        Break("id", "utt2spk", change("utt2spk", "\n#-a #\n", "\n#-a ../#\n"), kind="(speaker)"),
    ]


def _of_recordings(segmented: bool) -> list[Break]:
    key = "r#-a" if segmented else "#-a"

    def recording(rule: str, value: str, kind: str = "") -> Break:
        return Break(
            rule, "wav.scp", change("wav.scp", f"\n{key} ../audio/good.wav\n", f"\n{key} {value}\n"), kind=kind
        )

    made = [
        recording("pipe", "touch executed; cat ../audio/good.wav |"),
        recording("pipe", "touch executed|\u00a0", "(a blank of Unicode's after it)"),
        recording("audio-missing", "../audio/gone.wav"),
        recording("audio-missing", "../audio", "(a folder)"),
        recording("audio-missing", "../audio/go\0od.wav", "(zero byte)"),
        recording("audio-missing", "x" * 5000, "(long name)"),
        recording("audio-missing", "$(touch executed)", "(shell)"),
    ]
    for file, rule, values in (
        ("utt2dur", "duration", ("0", "-0", "-1", "nan", "inf", "1e999", "0x1", "1_0", "\u0663", "1\x0b", "x")),
        ("utt2num_samples", "num-samples",
         ("0", "-0", "-1", "nan", "4e3", "40.0", "0x1", "1_0", "9" * 19, "\u0663", "x")),
    ):  # fmt: skip
        old = {"utt2dur": "\n#-a 0.5\n", "utt2num_samples": "\n#-a 4000\n"}[file]
        made += [Break(rule, file, change(file, old, f"\n#-a {value}\n"), kind=f"({value!r})") for value in values]
    if not segmented:
        return made

    def segment(rule: str, value: str) -> Break:
        old = "\n#-a r#-a 0.1 0.4\n"
        return Break(rule, "segments", change("segments", old, f"\n#-a {value}\n"), kind=f"({value!r})")

    times = ("0.3 0.3", "0.4 0.2", "-0.1 0.2", "x 0.2", "nan 0.2", "0.1 inf", "0.2 -2", "0_0 0.1", "0 1e999", "0 0x1")
    return [
        *made,
        recording("audio-unreadable", "../audio/cut.wav"),
        segment("unknown-recording", "nobody 0.1 0.4"),
        segment("segment-beyond", "r#-a 0.1 0.52"),
        *(segment("segment-times", f"r#-a {value}") for value in times),
    ]


def possible_pairs(segmented: bool) -> list[tuple[int, int]]:
    """Return the numbers of the breaks that can be in one directory at once, one break for each rule and file."""
    every = breaks(segmented)
    first: dict[tuple[str, str], int] = {}
    for number, one in enumerate(every):
        first.setdefault((one.rule, one.file), number)
    return [(i, j) for i, j in combinations(first.values(), 2) if _fit(every[i], every[j])]


def _fit(one: Break, other: Break) -> bool:
    """Tell whether neither break takes away what the other one breaks or is found in."""
    needs = [{break_.file, break_.named or break_.file, *_also_read(break_)} for break_ in (one, other)]
    return not ((one.whole and one.file in needs[1]) or (other.whole and other.file in needs[0]))


def _also_read(broken: Break) -> set[str]:
    """Return the files without which a break is not one, or is another."""
    if broken.rule in ("speaker-map", "missing-utterance", "unknown-utterance"):
        return {"utt2spk", "spk2utt"}
    if broken.rule in ("segment-beyond", "audio-unreadable", "unknown-recording"):
        return {"wav.scp", "segments"}
    return set()
