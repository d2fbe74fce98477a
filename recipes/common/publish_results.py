"""Makes a recipe's RESULTS.md of what an experiment's scores say: the figures, and how they came about.

    python recipes/common/publish_results.py recipes/fsdd/exp/vqvae_8k --command "bash recipes/fsdd/run.sh"

The experiment's own RESULTS.md has links to audio and figures that only its folder holds; these stay there. Its further
sets (EXP/scores/*) follow. Written to RESULTS.md in the recipe's folder, unless --out says otherwise.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError

LEFT_OUT = ("Look", "Listen", "Not measured")
OF_A_SET = ("In short", "Units", "What the units know", "Voice conversion")
"""Sections of a further set; the others would repeat those of the whole."""


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading of the second level; that above the first one is under ''."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2]))


def without_gaps(text: str) -> str:
    """Return a section without the lines of its table that have no value."""
    return "".join(line for line in text.splitlines(keepends=True) if "| not measured |" not in line)


def has_figures(text: str) -> bool:
    """Tell whether anything is left of a section but a table's head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return len(rows) > 2 or (not rows and bool(text.strip()))


def body(folder: Path, level: str, kept: tuple[str, ...] | None = None) -> str:
    """Return the sections of `folder`/RESULTS.md that have figures, under headings of `level`, such as '##'."""
    found = sections((folder / "RESULTS.md").read_text(encoding="utf-8"))
    wanted = {name: without_gaps(text) for name, text in found.items() if name and name not in LEFT_OUT}
    return "\n".join(
        f"{level} {name}\n{text.rstrip()}\n"
        for name, text in wanted.items()
        if has_figures(text) and (kept is None or name in kept)
    )


def preface(experiment: Path, command: str) -> str:
    """Say by which command, when, by which version, where and for how long."""
    about = json.loads((experiment / "results.json").read_text(encoding="utf-8"))["about"]
    training = json.loads((experiment / "train.json").read_text(encoding="utf-8"))
    seconds = training["train_seconds"]
    speed = next(value for name, value in training.items() if name.endswith("_per_second"))
    return (
        f"`{command}`, one run, scored on {about['date']} by commit {about['commit']}; {about['machine']}, Python "
        f"{about['python']}. The VQ-VAE was trained for {training['steps']:,} steps in {seconds / 60:.1f} minutes "
        f"({training['machine']}: {speed:,.0f} samples of waveform a second, {training['precision']}).\n"
    )


def render(experiment: Path, command: str, note: str = "") -> str:
    """Return the whole page."""
    introduction = sections((experiment / "RESULTS.md").read_text(encoding="utf-8"))[""].partition("\n")[2].strip()
    introduction = introduction.partition(" The same figures for programs")[0]
    parts = ["# Results\n", preface(experiment, command), *([note + "\n"] if note else []), introduction + "\n"]
    parts.append(body(experiment, "##"))
    for scores in sorted(experiment.glob("scores/*/RESULTS.md")):
        parts.append(f"## The set {scores.parent.name}: other speakers\n")
        parts.append(body(scores.parent, "###", OF_A_SET))
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path, help="recipes/<corpus>/exp/<tag>, scored")
    parser.add_argument("--command", required=True, help="how the recipe was called")
    parser.add_argument("--note", default="", help="what a reader must know of the run")
    parser.add_argument("--out", type=Path, help="file to write")
    options = parser.parse_args()
    out = options.out or options.experiment.absolute().parents[1] / "RESULTS.md"
    try:
        write_text_whole(out, render(options.experiment, options.command, options.note))
    except VQAudioError as error:
        parser.exit(2, f"{error}\n")
    print(out)


if __name__ == "__main__":
    main()
