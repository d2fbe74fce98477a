"""Model folders with something else in the place of a file, and with speakers that nobody can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.reliability.hostile_case import Case, not_a_file, pickle_into, replaced, text_into


def places() -> Iterator[Case]:
    """Yield: something else in the place of each file of a model folder and of a configuration."""
    kinds = [how for how, _ in not_a_file(Path("x"))]
    for action, name in (
        ("read_vqvae", "config.yaml"), ("read_vqvae", "speakers.txt"), ("read_vqvae", "model.safetensors"),
        ("read_prior", "config.yaml"), ("read_prior", "model.safetensors"), ("read_config", "train.yaml"),
    ):  # fmt: skip
        for how in kinds:
            if (name, how) != ("train.yaml", "empty"):  # that means the defaults
                yield Case(f"{name}: {how}", action, replaced(name, how))
    yield Case("the folder is a link to itself", "read_vqvae", _loop)
    yield Case("precision.json: a pickle", "read_vqvae", lambda f: pickle_into(f / "precision.json", f))
    for text in ("[]", "{", '{"format_version": 1}', "1", _record(rises=[]), _record(seconds="x"),
                 _record(utterances="x"), _record(bits_per_sample=10**400), "[" * 50000):  # fmt: skip
        yield Case(f"precision.json: {text[:40]}", "read_vqvae", text_into("precision.json", text))


def _record(**changes: Any) -> str:
    whole = {"format_version": 1, "weights": "x", "bits_per_sample": 4.0, "rises": {}, "utterances": 1, "seconds": 1.0}
    return json.dumps({**whole, **changes})


def _loop(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.symlink_to(folder)


def names() -> Iterator[Case]:
    """Yield: speakers.txt that names too many, too few or nobody."""
    for name, text in {
        "a NUL": "anna\0\nboris\n",
        "an escape": "anna\x1b[2J\nboris\n",
        "twice": "anna\nanna\n",
        "one more": "anna\nboris\nclara\n",
        "one less": "anna\n",
        "blank": "\n\n",
        "a surrogate": "anna\nboris\u2028x\n",
        "NULs": "\0" * 10**6,
    }.items():
        yield Case(f"speakers.txt: {name}", "read_vqvae", text_into("speakers.txt", text))
    yield Case("speakers.txt: a million and a half", "read_vqvae", _many_speakers(1_500_000))
    yield Case("speakers.txt: a hundred million bytes", "read_vqvae", _many_speakers(11_000_000))
    yield Case("speakers.txt: nine hundred thousand", "read_vqvae", _many_speakers(900_000))


def _many_speakers(count: int) -> Callable[[Path], object]:
    return lambda folder: (folder / "speakers.txt").write_text("".join(f"s{n:07}\n" for n in range(count)))
