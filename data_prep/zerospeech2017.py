"""ZeroSpeech 2017: a challenge to learn units of five languages, scored by ABX on cuts of three lengths.

What       training speech in one long file a speaker; test speech of other, unnamed speakers in cuts of 1, 10 and 120 s
Hours      107: 45 English, 24 French, 2.5 Mandarin, 25 LANG1, 10 LANG2 for training; 86 for testing
Speakers   163: English 69, French 28, Mandarin 12, LANG1 30, LANG2 24, in training
Languages  English, French, Mandarin; the surprise languages LANG1, German, and LANG2, Wolof
Audio      16 kHz mono WAV: train/<language>/<speaker>.wav, test/<language>/{1s,10s,120s}/<name>.wav
Licence    the challenge's: for research, by agreement
Source     https://zerospeech.com/challenge_archive/2017
Citation   E. Dunbar et al., *The Zero Resource Speech Challenge 2017*, ASRU 2017
Tried on   a miniature of its layout

--language names one of the five. Its training files are cut evenly into utterances of at most --segment_seconds (10):
`segments`, while the files stay as they are; pauses are not taken out, as the lists of voice activity that some copies
have count in other units from release to release. train is all of that less dev and test (2% each, by a hash). The
official tests stay beside them as test_1s, test_10s and test_120s; their speakers are not told, so all of them are
called `unknown`. Ids are <speaker>-<number>; unknown-<name> in the tests, so that units go to the challenge's own ABX
scorer under the names that it knows. There are no transcripts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data_prep import command
from data_prep.librilight import divide_evenly
from data_prep.splits import with_held_out
from data_prep.writing import Findings, clean_name, require, write_parts
from vqaudio.audio.io import probe
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import AudioError, VQAudioError

GET_IT = """Its archives are given to those who accept the challenge's agreement:
https://zerospeech.com/challenge_archive/2017 says how (or `zrc datasets:pull zrc2017-train-dataset` and
`zrc2017-test-dataset` of the package zerospeech-benchmarks). The folder that is wanted holds train/<language> and
test/<language>."""
LANGUAGES = ("english", "french", "mandarin", "LANG1", "LANG2")
OTHER_NAMES = {"LANG1": "german", "LANG2": "wolof"}
TESTS = ("1s", "10s", "120s")
UNKNOWN = "unknown"
PLACES = {  # of a language's parts, from the root: as of 2017, as of the challenge of 2020, as of zerospeech-benchmarks
    "train": ("train/{}", "{}/train", "zrc2017-train-dataset/{}"),
    "test": ("test/{}", "{}/test", "zrc2017-test-dataset/{}"),
}
TOPS = ("", "data", "2017", "2020/2017", "zerospeech2017")
SHORTEST = 1.0  # seconds; what a file ends in


def locate(root: str | Path, part: str, language: str) -> Path | None:
    """Return the folder of a language's part ("train" or "test") below `root`; None where there is none."""
    names = [language, OTHER_NAMES[language]] if language in OTHER_NAMES else [language]
    places = (Path(root) / top / place.format(name) for top in TOPS for place in PLACES[part] for name in names)
    return next((place.resolve() for place in places if place.is_dir()), None)


def recordings(folder: Path) -> list[Path]:
    """Return the WAV files of a folder, by name; none where there is no such folder."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [folder / name for name in names if name.endswith(".wav")]


def cut(path: Path, seconds: float, findings: Findings) -> list[Utterance]:
    """Return a speaker's file as utterances of equal length, at most `seconds`; reads its header."""
    try:
        duration = probe(path).duration
    except AudioError as error:
        findings.add(path.name, "left out: unreadable", error.reason)
        return []
    if duration < SHORTEST:
        findings.add(path.name, f"left out: shorter than {SHORTEST} s", f"{duration:.3f}")
        return []
    speaker = clean_name(path.stem)
    return [
        Utterance(f"{speaker}-{number:05d}", speaker, str(path), start, end, recording_id=speaker)
        for number, (start, end) in enumerate(divide_evenly(0.0, duration, seconds))
    ]


def prepare(
    root: str | Path, out: str | Path, language: str = "english", segment_seconds: float = 10.0
) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} of a language in `root`, its tests, and `out`/findings.tsv.

    Raises:
        VQAudioError: the language's training files are not there, or a test that is begun has no files.
    """
    out, findings = Path(out), Findings()
    if segment_seconds < SHORTEST:
        raise VQAudioError(f"--segment_seconds {segment_seconds:g}: expected {SHORTEST:g} or more")
    folder = locate(root, "train", language)
    if folder is None:
        places = "".join(f"\n  {Path(root) / place.format(language)}" for place in PLACES["train"])
        there = [name for name in LANGUAGES if locate(root, "train", name)]
        raise VQAudioError(
            f"{root}: no training files of {language} in it. It has those of {', '.join(there) or 'no language'}. "
            f"Looked for:{places}"
        )
    train = [u for path in recordings(folder) for u in cut(path, segment_seconds, findings)]
    require(train, folder, "one <speaker>.wav of each speaker")
    tests = {}
    if tested := locate(root, "test", language):
        tests = {f"test_{length}": read_test(tested / length) for length in TESTS if (tested / length).is_dir()}
        require([u for part in tests.values() for u in part], tested, "<name>.wav in 1s, 10s, 120s")
    else:
        findings.add(f"test/{language}", "absent: the official tests are not in the copy")
    findings.write(out / "findings.tsv")
    return write_parts(out, with_held_out(train, tests))


def read_test(folder: Path) -> list[Utterance]:
    """Return the cuts of one length, of speakers unknown."""
    return [Utterance(f"{UNKNOWN}-{clean_name(path.stem)}", UNKNOWN, str(path)) for path in recordings(folder)]


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    options = (
        command.Option("language", "english", "which of the five", LANGUAGES),
        command.Option("segment_seconds", 10.0, "longest utterance that training files are cut into"),
    )
    return command.prepare_corpus("zerospeech2017", __doc__, argv, prepare, GET_IT, options)


if __name__ == "__main__":
    raise SystemExit(main())
