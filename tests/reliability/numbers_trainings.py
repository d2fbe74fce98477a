"""Trainings that are lost, and such that are not: who is stopped, and what is said then.

A training that is lost must end in an error of the command, which names the last good checkpoint, or says that there is
none. One that is not lost must end by itself. At rates in between, either is right: never an end as if all were well
with a network that has learned nothing.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
import yaml

from tests.reliability.numbers_material import shipped, write_sounds, write_unit_folders
from tests.reliability.promises import HELD
from tests.training.conftest import merged
from vqaudio.cli.main import main
from vqaudio.training.checkpoint import load_newest
from vqaudio.training.divergence import MARGIN, RECENT
from vqaudio.training.guard import not_finite

STEPS = 600
GOOD = re.compile(r"The last good checkpoint is (\S+)\. ")
NONE = "No checkpoint was saved while all was well."


@dataclass
class Materials:
    """Sounds and units by kind, made where they are wanted first; and a number for each training's folder."""

    folder: Path
    trainings: int = 0
    made: dict[tuple[str, str], Path] = field(default_factory=dict)

    def of(self, prior: bool, kind: str) -> Path:
        """Return the folder of units or of sounds of a kind."""
        key = ("units" if prior else "sounds", kind)
        if key not in self.made:
            write = write_unit_folders if prior else write_sounds
            self.made[key] = write(self.folder / "-".join(key).replace(" ", "_"), kind)
        return self.made[key]

    def new(self) -> Path:
        """Return an experiment folder that is not there yet."""
        self.trainings += 1
        return self.folder / f"exp{self.trainings}"


@dataclass(frozen=True)
class Case:
    """A training: a shipped configuration, shrunk, with changes, on data of a kind. `rate` None: as shipped."""

    config: str
    rate: float | None = None
    precision: str = "float32"
    seed: int = 0
    kind: str = "speechlike"
    changes: dict = field(default_factory=dict)
    steps: int = STEPS

    @property
    def prior(self) -> bool:
        """Whether it is a prior's."""
        return self.config.startswith("prior")

    def __str__(self) -> str:
        rate = "its own rate" if self.rate is None else f"rate {self.rate:g}"
        changes = f", {self.changes}" if self.changes else ""
        return f"{self.config}, {rate}, {self.precision}, seed {self.seed}, {self.kind}{changes}"

    def written(self, path: Path) -> Path:
        """Write its configuration file."""
        training = {
            "max_steps": self.steps, "precision": self.precision, "log_interval": 100, "eval_interval": 10**6,
            "checkpoint_interval": 50, "audio_interval": 0,
        }  # fmt: skip
        if self.rate is not None:
            training |= {"learning_rate": self.rate, "warmup_steps": 20}
        config = merged(merged(shipped(self.config), {"training": training, "seed": self.seed}), self.changes)
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path


@dataclass(frozen=True)
class End:
    """How a command ended: its status, what it said, its folder."""

    status: int
    said: str
    folder: Path


def train(case: Case, materials: Materials, folder: Path | None = None, *more: str) -> End:
    """Train by the command itself, in this process."""
    folder, data = folder or materials.new(), materials.of(case.prior, case.kind)
    folder.parent.mkdir(parents=True, exist_ok=True)
    words = ["--config", case.written(folder.with_suffix(".yaml")), "--expdir", folder, "--threads", 1, *more]
    if case.prior:
        speakers = data / "utt2spk"
        words = ["train-prior", "--vqvae", data / "model", "--train_units", data / "train", "--dev_units", data / "dev",
                 "--train_dir", speakers, "--dev_dir", speakers, *words]  # fmt: skip
    else:
        words = ["train", "--train_dir", data / "train", "--dev_dir", data / "dev", *words]
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        status = main([str(word) for word in words])
    return End(status, said.getvalue(), folder)


def must_stop(case: Case, materials: Materials) -> str:
    """Try a training that is lost."""
    end = train(case, materials)
    return f"{case}: it was not stopped (status {end.status})" if end.status == 0 else report_is_right(case, end)


def must_not_stop(case: Case, materials: Materials) -> str:
    """Try a training that is not lost."""
    end = train(case, materials)
    if end.status != 0:
        return f"{case}: it ended with status {end.status}: {end.said[-600:]}"
    if not (end.folder / "model" / "model.safetensors").is_file():
        return f"{case}: there is no model"
    if case.kind == "speechlike" and excess(end.folder, 100) > -MARGIN:
        return f"{case}: after {case.steps} steps it is no better than counting: {excess(end.folder, 100):+.3f} bits"
    return is_finite(end.folder)


def must_not_end_lost(case: Case, materials: Materials) -> str:
    """Try a training at a rate where luck decides: it is stopped, or it ends with a network that knows something."""
    end = train(case, materials)
    if end.status != 0:
        return report_is_right(case, end)
    above = excess(end.folder, 100)
    return HELD if above <= MARGIN else f"{case}: it ended as if all were well, {above:+.3f} bits above counting"


def report_is_right(case: Case, end: End) -> str:
    """Return HELD where a stopped training's report is clear, and the checkpoint that it names is good."""
    if end.status != 2 or "Traceback" in end.said or not re.search(r"vqaudio train(-prior)?: step \d+: ", end.said):
        return f"{case}: status {end.status}, without a clear report: {end.said[-600:]}"
    if "learning_rate" not in end.said:
        return f"{case}: the report does not say what to change: {end.said[-600:]}"
    named = GOOD.search(end.said)
    if (named is None) == (NONE not in end.said):
        return f"{case}: the report says nothing of a good checkpoint, or two things: {end.said[-600:]}"
    return HELD if named is None else checkpoint_is_good(case, Path(named[1]))


def checkpoint_is_good(case: Case, path: Path) -> str:
    """Return HELD where a checkpoint is whole, finite and of a training that was well when it was saved."""
    from vqaudio.training.checkpoint import load_checkpoint

    state = load_checkpoint(path)
    if found := not_finite({name: state[name] for name in ("modules", "optimizer", "average")}):
        return f"{case}: {path.name}, called good, has {found} not finite"
    recent = median(total for _, _, total in state["divergence"]["window"][-RECENT:])
    return HELD if recent < 60 else f"{case}: {path.name}, called good, was saved at a loss of {recent:.4g}"


def excess(folder: Path, steps: int) -> float:
    """Return by how many bits the last `steps` steps of a training were worse than counting (median)."""
    window = load_newest(folder / "checkpoints")[1]["divergence"]["window"]
    return median(bits - unigram for bits, unigram, _ in window[-steps:])


def is_finite(folder: Path) -> str:
    """Return HELD where all that the newest checkpoint holds is finite."""
    found = not_finite(load_newest(folder / "checkpoints")[1])
    return f"{folder.name}: {found} is not finite" if found else HELD


def goes_on_as_told(case: Case, materials: Materials) -> str:
    """Try a training that goes well, and then does not; and then what its report says, to the letter.

    It goes well at its own rate; from its checkpoint another folder goes on at a hundredfold one, as the report's own
    words have it, the other way round.
    """
    well = train(case, materials)
    if well.status != 0:
        return f"{case}: it ended with status {well.status} before it was to be lost: {well.said[-600:]}"
    source = load_newest(well.folder / "checkpoints")[0]
    folder = materials.new()
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(source, folder / "checkpoints")
    rate, steps = (30.0 if case.prior else 3.0), 2 * case.steps
    keep = {"training": {"checkpoint_interval": 10, "keep_checkpoints": 1, "decay_share": 0.0}}
    worse = Case(case.config, rate, case.precision, case.seed, case.kind, merged(case.changes, keep), steps)
    lost = train(worse, materials, folder)
    if (verdict := report_is_right(worse, lost)) != HELD:
        return verdict
    named = GOOD.search(lost.said)
    if named is None:
        return f"{worse}: the checkpoint that it began from was good, and it is not named: {lost.said[-600:]}"
    return _follow(worse, materials, lost.said, Path(named[1]))


def _follow(case: Case, materials: Materials, said: str, good: Path) -> str:
    """Do what a report says, with a folder for NEW."""
    new = materials.new()
    words = shlex.split(re.search(r"mkdir -p .*--expdir NEW", said)[0].replace(",", "").replace("NEW", str(new)))
    setting = words[words.index("--set") + 1]
    if words[:2] != ["mkdir", "-p"] or words[3:5] != ["cp", str(good)]:
        return f"{case}: not to be followed: {' '.join(words)}"
    Path(words[2]).mkdir(parents=True)
    shutil.copy(words[4], words[5])
    end = train(case, materials, new, "--set", setting)
    if end.status != 0 or f"going on from step {int(good.stem[5:])}" not in (new / "train.log").read_text():
        return f"{case}: followed, it did not go on from {good.name}: status {end.status}, {end.said[-600:]}"
    above = excess(new, 50)
    return HELD if above <= MARGIN else f"{case}: followed, it ended {above:+.3f} bits above counting"


def overflows(what: str, spoil: Callable[[object], None], materials: Materials) -> str:
    """Try a training of which something becomes infinite without a loss that shows it, between two checkpoints."""
    from vqaudio.training import loop

    learning = {"training": {"freeze_units": False}}  # the codebook, too
    case, original = Case("vqvae_two_cores", changes=learning, steps=200), loop.Trainer._step

    def step(trainer, batch):
        scalars = original(trainer, batch)
        if trainer.progress.step == 139:
            with torch.no_grad():
                spoil(trainer)
        return scalars

    loop.Trainer._step = step
    try:
        end = train(case, materials)
    finally:
        loop.Trainer._step = original
    if end.status == 0:
        return f"{what}: not finite, and nobody said so"
    verdict = report_is_right(case, end)
    return is_finite(end.folder) if verdict == HELD else verdict
