"""What the miniature copies of corpora are made of: short sounds in any container, and text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from vqaudio.corpus.datadir import DataDir


def write_sound(path: Path, rate: int, seconds: float = 0.3, **container: str) -> Path:
    """Write a tone that differs from file to file; the container is the name's, or `format`, `subtype` as soundfile's.

    Folders above it are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 100 + sum(path.name.encode()) % 300
    times = np.arange(round(seconds * rate)) / rate
    with path.open("wb") as file:
        container = {"format": path.suffix[1:].upper(), **container}
        soundfile.write(file, 0.3 * np.sin(2 * np.pi * pitch * times), rate, **container)
    return path


def write_text(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    """Write lines, each ended by a newline. Folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
    return path


def ids(folder: Path) -> list[str]:
    """Return the utterances of a data directory, validated."""
    return [utterance.id for utterance in DataDir.load(folder).utterances]


def texts(folder: Path) -> dict[str, str | None]:
    """Return the transcripts of a data directory."""
    return {utterance.id: utterance.text for utterance in DataDir.load(folder).utterances}


def findings(out: Path) -> list[list[str]]:
    """Return the rows of findings.tsv: item, kind, detail."""
    return [line.split("\t") for line in (out / "findings.tsv").read_text(encoding="utf-8").splitlines()]
