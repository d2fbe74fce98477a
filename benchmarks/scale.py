"""What a data directory of a thousand to a million utterances takes: seconds and memory of each step.

    python -m benchmarks.scale                         # 1e3 to 1e6 utterances; docs/scale.md and its picture
    python -m benchmarks.scale --utterances 1000 --doc other.md --picture other.png

The corpora are made in a temporary folder (`benchmarks.made_corpus`), as files of their own and as segments. Each step
is a process of its own, with all that it imports:

    limit       asks the system for each audio file (`os.stat`) and reads the tables as text: no less can be done
    validate    `vqaudio data validate`
    split       `vqaudio data split`, which validates and writes 98%, 1% and 1%
    import      loads what training consists of: torch, above all
    open        does what `vqaudio train` does until the first batch of crops is there, on the 98%

A step runs several times; the fastest run counts. Seconds are those of the processor, which other work on the machine
hardly changes: alone on a machine whose disk is awake, the clock says little more. What it did say stands beside them.
Memory is the most that the process ever held.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.made_corpus import RATE, make
from benchmarks.memory import peak
from vqaudio.audio.atomic import write_text_whole

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- scale:begin -->", "<!-- scale:end -->"
FORMS = ("files", "segments")
BOUND_SECONDS, BOUND_BYTES = 60.0, 1e9
"""What no step shall exceed at a million utterances."""


@dataclass(frozen=True)
class Cost:
    """What one step took: seconds of the processor and on the clock, and the most bytes held."""

    seconds: float
    clock: float
    bytes: int


# ---------------------------------------------------------------------------------------------- the steps


def limit(data: Path) -> None:
    """Do the least: look for each file, and read the tables."""
    lines = (data / "wav.scp").read_text(encoding="utf-8").splitlines()
    for line in lines:
        os.stat(line.partition(" ")[2])
    for path in data.iterdir():
        with open(path, encoding="utf-8") as file:
            file.read()


def validate(data: Path) -> None:
    """Check every rule."""
    _vqaudio("data", "validate", str(data))


def split(data: Path) -> None:
    """Divide into train, dev and test."""
    _vqaudio("data", "split", str(data), "--out", str(data.parent), "--parts", "train=0.98", "dev=0.01", "test=0.01")


def import_training(data: Path) -> None:
    """Load the modules that training needs."""
    import vqaudio.training.vqvae  # noqa: F401


def open_training(data: Path) -> None:
    """Prepare a training and its first batch."""
    from vqaudio.config import VQVAEConfig, VQVAETrainingConfig
    from vqaudio.corpus import DataDir
    from vqaudio.training.vqvae import VQVAETask

    config = VQVAETrainingConfig(model=VQVAEConfig(sample_rate=RATE))
    task = VQVAETask(config, DataDir.load(data.parent / "train"), DataDir.load(data.parent / "dev"))
    next(task.batches(0))


def _vqaudio(*words: str) -> None:
    from vqaudio.cli.main import main

    if main(words):
        raise SystemExit(f"vqaudio {' '.join(words)} failed")


STEPS: dict[str, Callable[[Path], None]] = {
    "limit": limit,
    "validate": validate,
    "split": split,
    "import": import_training,
    "open": open_training,
}


# ------------------------------------------------------------------------------------------- measuring them


def measure(step: str, data: Path) -> Cost:
    """Run a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, str(data)]
    before, start = _processor_seconds(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    clock = time.perf_counter() - start
    return Cost(_processor_seconds() - before, clock, int(done.stdout.split()[-1]))


def _processor_seconds() -> float:
    """Return what all processes started from here, and ended, have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_all(utterances: Sequence[int], runs: int, folder: Path) -> list[dict]:
    """Return a row for each form and size of corpus: the best run of each step."""
    rows = []
    for form in FORMS:
        for count in utterances:
            place = folder / f"{form}-{count}"
            print(f"{form}, {count} utterances: making them …", file=sys.stderr, flush=True)
            data = make(place, count, form == "segments")
            row = {"form": form, "utterances": count}
            for step in STEPS:
                costs = [measure(step, data) for _ in range(runs)]
                row[step] = vars(min(costs, key=lambda cost: cost.clock))
                row["load"] = max(row.get("load", 0.0), os.getloadavg()[0])
                print(f"  {step}: {row[step]}", file=sys.stderr, flush=True)
            rows.append(row)
            shutil.rmtree(place)
    return rows


def surroundings() -> dict:
    """Return where and when the figures were taken."""
    import torch

    from vqaudio.training.loop import describe_machine

    machine = describe_machine(torch.device("cpu")).partition(",")[0]
    return {"machine": machine, "cores": os.cpu_count(), "date": date.today().isoformat()}


# --------------------------------------------------------------------------------------------- showing them


def table(rows: Sequence[dict]) -> list[str]:
    """Return the lines of a Markdown table: seconds and memory of each step."""
    head = ["utterances", "limit", "validate", "of it", "split", "import", "open", "together", "its clock", "memory"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in rows:
        shown = {step: f"{row[step]['seconds']:.1f}" for step in STEPS}
        for step in ("validate", "split", "open"):
            shown[step] += f" s, {row[step]['bytes'] / 1e6:.0f} MB"
        ratio = row["validate"]["seconds"] / row["limit"]["seconds"]
        steps = [row[step] for step in ("validate", "split", "open")]
        together, clock = (sum(step[kind] for step in steps) for kind in ("seconds", "clock"))
        most = max(step["bytes"] for step in steps) / 1e6
        cells = [f"{row['utterances']:,} {row['form']}", shown["limit"], shown["validate"], f"{ratio:.1f}"]
        cells += [shown[step] for step in ("split", "import", "open")]
        lines.append("| " + " | ".join([*cells, f"{together:.1f}", f"{clock:.0f}", f"{most:.0f} MB"]) + " |")
    return lines


def draw(rows: Sequence[dict], path: Path) -> None:
    """Draw seconds of the processor and memory over the number of utterances."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    quantities = (("seconds", 1.0, BOUND_SECONDS), ("bytes", 1e6, BOUND_BYTES))
    for panel, (quantity, unit, bound) in zip(panels, quantities, strict=True):
        for color, step in enumerate(("limit", "validate", "split", "open")):
            for form, line in zip(FORMS, ("-", "--"), strict=True):
                own = [row for row in rows if row["form"] == form]
                counts, values = [row["utterances"] for row in own], [row[step][quantity] / unit for row in own]
                name = step if form == FORMS[0] else None
                panel.plot(counts, values, line, marker="o", ms=4, color=f"C{color}", label=name)
        panel.axhline(bound / unit, color="0.5", lw=1, ls=":")
        panel.set(xscale="log", yscale="log", xlabel="utterances")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds of the processor")
    panels[1].set_ylabel("most memory, MB")
    panels[0].legend(title="whole: files, dashed: segments", fontsize=9, title_fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def update(doc: Path, rows: Sequence[dict], where: dict) -> None:
    """Put the table between the marks in `doc`, or make a file of it."""
    headline = (
        f"*{where['machine']}, {where['cores']} cores, {where['date']}; up to {max(row['load'] for row in rows):.0f} "
        "processes at a time wanted these cores, of which one is the step measured.*"
    )
    block = "\n".join([BEGIN, headline, "", *table(rows), END])
    text = doc.read_text(encoding="utf-8") if doc.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    write_text_whole(doc, before + block + rest.partition(END)[2])


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--utterances", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6], metavar="N")
    parser.add_argument("--runs", type=int, default=3, help="of each step; the fastest counts")
    parser.add_argument("--folder", type=Path, help="for the corpora: some 6 GB of names (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--show", type=Path, metavar="FILE", help="show what --json wrote, and measure nothing")
    parser.add_argument("--doc", type=Path, default=ROOT / "docs/scale.md", help="file with the table")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/scale.png")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "DATA"), help=argparse.SUPPRESS)  # in this process
    return parser


def main(words: Sequence[str] | None = None) -> None:
    """Carry out the command line."""
    options = build_parser().parse_args(words)
    if options.step:
        STEPS[options.step[0]](Path(options.step[1]))
        print(peak())
        return
    if options.show:
        content = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            rows = measure_all(options.utterances, options.runs, Path(folder))
        content = {**surroundings(), "rows": rows}
    if options.json:
        write_text_whole(options.json, json.dumps(content, indent=2) + "\n")
    update(options.doc, content["rows"], content)
    draw(content["rows"], options.picture)


if __name__ == "__main__":
    main()
