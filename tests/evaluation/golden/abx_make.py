"""Makes abx.json: a small corpus, and the ABX errors that fastabx's `zerospeech_abx` finds in it.

With Python 3.12 or later and fastabx 0.9.0 (torch 2.13.0) installed, from the repository's root:

    python tests/evaluation/golden/abx_make.py

Three speakers say sequences of three phones, so that contexts recur. Features are a phone's vector with noise, a
hundredth exact; units number the nearest of 12 vectors, which are the codebook.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vqaudio.evaluation.abx_items import triphone_items, write_items
from vqaudio.evaluation.alignments import Segment, unit_labels

RATES = ("50", "49.95")
PHONES = "abc"


def corpus(rate: str) -> dict:
    """Return the items, features, units and codebook of a corpus, as JSON holds them."""
    random = np.random.default_rng(3)
    alignments = {f"s{i % 3}_{i // 3}": segments(random) for i in range(6)}
    items = triphone_items(alignments, {utterance: utterance[:2] for utterance in alignments})
    means = np.eye(len(PHONES))
    codebook = random.normal(size=(12, 3)).round(2)
    features = {name: noisy(found, means, float(rate), random) for name, found in alignments.items()}
    units = {name: nearest(rows, codebook).tolist() for name, rows in features.items()}
    features = {name: rows.tolist() for name, rows in features.items()}
    return {"rate": rate, "items": items, "features": features, "units": units, "codebook": codebook.tolist()}


def segments(random: np.random.Generator) -> list[Segment]:
    """Return 30 phones of 30 to 110 ms, one after the other."""
    ends = np.cumsum(random.uniform(0.03, 0.11, size=30)).round(4).tolist()
    return [Segment(a, b, PHONES[random.integers(3)]) for a, b in zip([0.0, *ends], ends, strict=False)]


def noisy(found: list[Segment], means: np.ndarray, rate: float, random: np.random.Generator) -> np.ndarray:
    """Return features of an utterance: float (N, 3)."""
    labels = unit_labels(found, int(found[-1].end * rate) + 1, rate)
    rows = means[[PHONES.index(label or "a") for label in labels]]
    return (rows + 0.7 * random.normal(size=rows.shape)).round(2)


def nearest(rows: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Return the unit of each row."""
    return np.argmin(np.linalg.norm(rows[:, None] - codebook, axis=2), axis=1)


def errors(material: dict, folder: Path) -> dict[str, float]:
    """Return the errors by fastabx: `MODE FEATURES`, FEATURES being vectors of some kind, or units."""
    import torch
    from fastabx import zerospeech_abx

    write_items(folder / "corpus.item", material["items"])
    codebook = torch.tensor(material["codebook"])
    found = {}
    for kind, distance in (("features", "angular"), ("codebook", "angular"), ("units", "identical")):
        (folder / kind).mkdir()
        for name, units in material["units"].items():
            units = torch.tensor(units)
            rows = {"units": units[:, None], "codebook": codebook[units]}.get(kind)
            rows = torch.tensor(material["features"][name]) if rows is None else rows
            torch.save(rows, folder / kind / f"{name}.pt")
        for mode in ("within", "across"):
            found[f"{mode} {kind}"] = zerospeech_abx(
                folder / "corpus.item",
                folder / kind,
                max_size_group=None,
                max_x_across=None,
                speaker=mode,
                distance=distance,
                frequency=material["rate"],
                progress=False,
            )
    return found


def main() -> None:
    """Write abx.json beside this file."""
    golden = {"fastabx": version("fastabx"), "corpora": []}
    for rate in RATES:
        material = corpus(rate)
        with tempfile.TemporaryDirectory() as folder:
            golden["corpora"].append({**material, "errors": errors(material, Path(folder))})
    text = json.dumps(golden, separators=(",", ":"))
    Path(__file__).with_name("abx.json").write_text(text.replace('],["', '],\n["') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
