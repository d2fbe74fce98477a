"""Models that come with the package, known by name: `vqaudio.load("asterisk-50hz")` needs no folder and no network.

vqaudio/pretrained/asterisk-50hz/          README.md (the card), config.yaml, model.safetensors, speakers.txt
vqaudio/pretrained/asterisk-50hz/prior/    config.yaml, model.safetensors, speakers.txt
"""

from __future__ import annotations

from pathlib import Path

from vqaudio.errors import did_you_mean

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return what the models are called, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.yaml"))


def find_model(folder: str | Path, kind: str = "vqvae") -> Path:
    """Return the folder of the model of that name, or of its prior (kind "prior"); any other path as it is.

    A folder that is there comes first: whoever has one called like a model means theirs.
    """
    path = Path(folder)
    if path.exists() or str(folder) not in names():
        return path
    return FOLDER / path / "prior" if kind == "prior" else FOLDER / path


def hint(folder: str | Path) -> str:
    """Return which names there are, for the message about a path that is not there."""
    if Path(folder).exists() or not names():
        return ""
    return f"{did_you_mean(str(folder), names())} Models that come with vqaudio: {', '.join(names())}"
