"""All that the package writes, as scenarios: a command, what stood there before it, and the files that it writes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cli.conftest import LENGTHS
from tests.small import SPEAKERS, small_prior, small_vqvae, write_data
from tests.training.conftest import SMALL_PRIOR, SMALL_VQVAE, merged

WHOLE = ("open", "write", "fsync", "rename")
"""Calls that a file meets which is written whole or not at all, and waits for the disk."""
MADE_AGAIN = ("open", "write", "rename")
"""The same where it does not wait: what thousands of files are that can be made again."""
ADDED_TO = ("open", "write")
HERE = "tests.reliability.disk_writers"


@dataclass(frozen=True)
class Target:
    """A file that a scenario writes: its path in the output folder, and the calls that may fail on it.

    A path may hold wildcards; then `names` is what the message has to name. A program `survives` the failure of what
    only shows how it is going: it ends as if nothing had been.
    """

    path: str
    calls: tuple[str, ...] = WHOLE
    names: str = ""
    survives: bool = False
    status: int = 2
    """Exit status where it does not."""


@dataclass(frozen=True)
class Scenario:
    """A program that writes files into OUT, and what is there before it: what the words of `before` leave, in turn.

    LAB and OUT stand for folders. `growing` are names whose content is no function of the words: logs, records, times.
    """

    name: str
    words: str
    targets: tuple[Target, ...]
    before: tuple[str, ...] = ()
    growing: tuple[str, ...] = ()
    call: str = f"{HERE}:command"


SEED = "--threads 1 --device cpu"
EXTRACT = f"extract --model LAB/model --data_dir LAB/data --max_rejected_share 0.5 {SEED} --out OUT"
DECODE = f"decode --model LAB/model --units LAB/units --utt2spk LAB/data --engine torch {SEED}"
TRAIN = f"train --config LAB/train.yaml --train_dir LAB/train --dev_dir LAB/dev --expdir OUT {SEED}"
TRAIN_PRIOR = (
    "train-prior --config LAB/prior.yaml --vqvae LAB/model --train_units LAB/units --dev_units LAB/units "
    f"--train_dir LAB/data --dev_dir LAB/data --expdir OUT {SEED}"
)
WAV = Target("anna-1.wav", MADE_AGAIN)
RECORD = Target("made.jsonl", ADDED_TO)
TABLES = tuple(Target(name) for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples"))
MODEL = tuple(Target(f"model/{name}") for name in ("config.yaml", "speakers.txt", "model.safetensors"))
WATCHED = ("train.log", "tensorboard/**", "heartbeat.json", "train.json", "checkpoints/*", ".lock")

SCENARIOS = (
    Scenario(
        "extract", EXTRACT,
        (Target("units.txt"), Target("units.json"), Target("rejected.tsv"), Target("units.partial.json"),
         Target("units.partial.txt", (*ADDED_TO, "truncate")), Target(".shards.lock", ("open",), names=".")),
        before=(f"{EXTRACT} --collapse",),
    ),
    Scenario(
        "train", TRAIN,
        (Target("config.yaml"), Target("checkpoints/step-*.pt", names="checkpoints/step-"), *MODEL,
         Target("train.json"), Target(".lock", ("open",), names="."),
         Target("train.log", ADDED_TO, survives=True), Target("heartbeat.json", WHOLE[:2], survives=True),
         Target("tensorboard/events*", ADDED_TO, survives=True),
         Target("checkpoints/best.json", WHOLE[:2], survives=True),
         Target("checkpoints/evaluated.json", WHOLE[:2], survives=True)),
        growing=WATCHED,
    ),
    Scenario(
        "format", "data format LAB/raw --out OUT --sample_rate 8000 --max_rejected_share 0.5",
        (Target("wavs/anna-1.wav", MADE_AGAIN), Target("format.jsonl", (*WHOLE, "later open")), *TABLES,
         Target("rejected.tsv")),
        before=("data format LAB/raw --out OUT --sample_rate 4000 --max_rejected_share 0.5",),
        growing=("format.jsonl",),
    ),
    Scenario(
        "decode", f"{DECODE} --out OUT", (WAV, RECORD, Target("generation.json")),
        before=(f"{DECODE} --seed 1 --out OUT",), growing=("made.jsonl", "generation.json"),
    ),
    Scenario(
        "extract collapsed", f"{EXTRACT} --collapse",
        (Target("units.txt"), Target("durations.txt"), Target("units.json")), before=(EXTRACT,),
    ),
    Scenario(
        "extract a shard", f"{EXTRACT} --shard 1/2",
        (Target("shards/1-of-2/units.partial.txt", ADDED_TO), Target("shards/1-of-2/units.partial.json"),
         Target("shards/1-of-2/rejected.tsv"), Target("shards/1-of-2/.lock", ("open",), names="shards/1-of-2")),
        growing=(".shards.lock", "shards/1-of-2/.lock"),
    ),
    Scenario(
        "train a prior", TRAIN_PRIOR,
        (Target("config.yaml"), Target("checkpoints/step-*.pt", names="checkpoints/step-"), MODEL[2]), growing=WATCHED,
    ),
    Scenario(
        "decode a stream", f"{DECODE} --limit 2 --stream OUT/all.wav", (Target("all.wav", MADE_AGAIN),),
        growing=("all.wav",),
    ),
    Scenario(
        "draw", f"{DECODE} --natural LAB/data --figures OUT/figures --limit 1 --out OUT",
        (Target("figures/anna-1.png"),),
        growing=("made.jsonl", "generation.json"),
    ),
    Scenario(
        "sample",
        f"sample --model LAB/model --prior LAB/prior --num 2 --max_seconds 0.1 --engine torch {SEED} --out OUT",
        (Target("units/units.txt"), Target("units/units.json"), Target("units/utt2spk"),
         Target("sample-0-anna.wav", MADE_AGAIN)),
        growing=("made.jsonl", "generation.json"),
    ),
    Scenario(
        "convert",
        f"convert --model LAB/model --input LAB/data --limit 1 --speaker all --engine torch {SEED} --out OUT",
        (Target("anna-1-to-boris.wav", MADE_AGAIN),), growing=("made.jsonl", "generation.json"),
    ),
    Scenario(
        "split", "data split LAB/data --out OUT --parts one=0.5 two=0.5",
        tuple(Target(f"two/{table.path}") for table in TABLES[:4]),
        before=("data split LAB/data --out OUT --parts one=0.5 two=0.5 --seed 1",),
    ),
    Scenario(
        "fix", "data fix OUT", (*TABLES[:3], Target(".backup/wav.scp", ADDED_TO, names=".backup")),
        before=("unsorted OUT LAB",), growing=(".backup*",),
    ),
    Scenario(
        "score", f"score --units_dir LAB/units --data_dir LAB/data --out OUT {SEED}",
        (Target("results.json"), Target("RESULTS.md")), before=("older-results OUT",),
    ),
    Scenario(
        "score a shard", f"score --units_dir LAB/units --data_dir LAB/data --shard 1/1 --out OUT {SEED}",
        (Target("shards/1-of-1/units.json"),), growing=(".shards.lock", "shards/1-of-1/.lock"),
    ),
    Scenario("report", "report LAB/exp --out OUT/report.html", (Target("report.html"),), growing=("report.html",),
             before=("text OUT/report.html",)),
    Scenario("compare", "compare LAB/exp --out OUT/table.md", (Target("table.md"),), before=("text OUT/table.md",)),
    Scenario("precision record", "precision OUT", (Target("precision.json"),), before=("text OUT/precision.json",)),
    Scenario("configuration", "configuration OUT/train.yaml", (Target("train.yaml"),), before=("text OUT/train.yaml",)),
    Scenario("recogniser's readings", "readings OUT", (Target("readings.jsonl", ADDED_TO),),
             growing=("readings.jsonl",)),
    Scenario("findings", "findings OUT/findings.tsv", (Target("findings.tsv"),), before=("text OUT/findings.tsv",)),
    Scenario("unpack", "unpack LAB/archive.tar OUT/unpacked", (Target("**/a/b.txt", ADDED_TO, names="."),)),
)  # fmt: skip

JOBS = Scenario(
    "launch a job", "local OUT/log/x.log touch OUT/done",
    (Target("log/x.log", ADDED_TO, status=74), Target("log/x.log", ("later write",), survives=True),
     Target("log/.jobs/*/task.json", ADDED_TO, names="log/.jobs"),
     Target("log/.jobs/*/0.part", ADDED_TO, survives=True)),
    growing=("log/*", "log/.jobs/*/*"), call=f"{HERE}:launcher",
)  # fmt: skip
PARQUET = Scenario(
    "extract to Parquet",
    f"extract-parquet --model LAB/model --manifest LAB/data --max_rejected_share 0.5 {SEED} --out OUT",
    (Target("manifest.jsonl"), Target("manifest.json"), Target("parts/part-000000.parquet"),
     Target("parts/part-000000.rejected.tsv"), Target("rejected.tsv"), Target("units.json")),
)  # fmt: skip
SCENARIOS = (*SCENARIOS, JOBS, *[PARQUET] * (importlib.util.find_spec("pyarrow") is not None))

# ------------------------------------------------------------------------------------------- what is called


def launcher(words: list[str]) -> int:
    """Call the launcher of the recipes' jobs, and through it a worker: programs, each on the disk that fails."""
    from tests.recipes.launcher import launch_command

    return subprocess.run(launch_command(*words), check=False).returncode


def command(words: list[str]) -> int:
    """Run a command line of `vqaudio`, or of those below; of time and place it knows nothing."""
    from vqaudio.cli import provenance
    from vqaudio.cli.main import main

    provenance.provenance = lambda *_: {"date": "then", "machine": "here"}
    if words[0] in OTHERS:
        return others(words)
    return main(words)


def others(words: list[str]) -> int:
    """Call what no command calls by itself; errors become messages and exit statuses as in the command."""
    from vqaudio.cli.main import USER_ERROR, _describe
    from vqaudio.errors import VQAudioError

    try:
        OTHERS[words[0]](*map(Path, words[1:]))
    except (VQAudioError, OSError) as error:
        print(_describe(error))
        return USER_ERROR
    return 0


def unsorted(out: Path, lab: Path) -> None:
    """Make a data directory that is out of order."""
    for name in ("wav.scp", "utt2spk", "spk2utt"):
        lines = (lab / "data" / name).read_text().replace("wavs/", f"{lab}/data/wavs/").splitlines(keepends=True)
        (out / name).write_text("".join(reversed(lines)))


def text(path: Path) -> None:
    """Write a file that is to be replaced."""
    path.write_text('{"what": "stood there before"}</html>\n')


def older_results(out: Path) -> None:
    """Write results that are to be replaced."""
    from vqaudio.evaluation.results import Results, write_results

    write_results(out, Results({"unit_rate_hz": 1.0}))


def precision(out: Path) -> None:
    """Write what low precisions cost a model."""
    from vqaudio.generation.precision_gate import PrecisionRecord

    PrecisionRecord("0123", 4.0, {"bfloat16": 0.001}, 3, 10.0).write(out)


def configuration(path: Path) -> None:
    """Write a configuration."""
    from vqaudio.config import VQVAETrainingConfig
    from vqaudio.config_files import from_dict, save_config

    save_config(from_dict(VQVAETrainingConfig, SMALL_VQVAE), path)


def readings(out: Path) -> None:
    """Keep what a recogniser has understood."""
    from vqaudio.evaluation.intelligibility import _Kept
    from vqaudio.evaluation.recognisers import Reading

    _Kept(out, "any").add("key", Reading("two words", 0.5))


def findings(path: Path) -> None:
    """List what was odd about a corpus."""
    from data_prep.writing import Finding, Findings

    Findings([Finding("a", "too short")]).write(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive."""
    from data_prep import archives

    archives.unpack(archive, folder)


OTHERS = {
    "unsorted": unsorted, "text": text, "older-results": older_results, "precision": precision,
    "configuration": configuration, "readings": readings, "findings": findings, "unpack": unpack,
}  # fmt: skip

# ----------------------------------------------------------------------------------------------- the lab


def make_lab(lab: Path) -> None:
    """Make what the scenarios read: models, data, units, an experiment that was scored, configurations."""
    import dataclasses

    import yaml

    from tests.training.conftest import write_corpus
    from vqaudio.evaluation.results import Results, write_results
    from vqaudio.models.folder import save_model
    from vqaudio.units.extract import extract_units
    from vqaudio.units.spec import UnitSpec

    model = small_vqvae()
    save_model(lab / "model", model, SPEAKERS, {})
    save_model(lab / "prior", small_prior(), SPEAKERS, {"units": dataclasses.asdict(UnitSpec.of_model(model))})
    data = write_data(lab / "data", LENGTHS)
    extract_units(model, data, lab / "units", progress=False)
    raw = write_data(
        lab / "raw", {name: 16 * length for name, length in {**LENGTHS, "boris-3": 400}.items()}, rate=16000
    )
    Path(raw.utterances[-1].recording).write_bytes(b"no audio")
    write_corpus(lab / "train", {"a": 0.6, "b": 0.5})
    write_corpus(lab / "dev", {"e": 0.1, "f": 0.1})
    quick = {"training": {"max_steps": 6, "checkpoint_interval": 2, "eval_interval": 100, "log_interval": 2}}
    (lab / "train.yaml").write_text(yaml.safe_dump(merged(SMALL_VQVAE, quick)))
    (lab / "prior.yaml").write_text(yaml.safe_dump(merged(SMALL_PRIOR, quick)))
    write_results(lab / "exp", Results({"unit_rate_hz": 500.0, "codebook_size": 16}))
    save_model(lab / "exp/model", model, SPEAKERS, {})
    (lab / "exp/config.yaml").write_text((lab / "train.yaml").read_text())
    (lab / "a").mkdir()
    (lab / "a/b.txt").write_text("content\n" * 100)
    with tarfile.open(lab / "archive.tar", "w") as archive:
        archive.add(lab / "a", "a")


def is_valid(path: Path) -> bool:
    """Whether a file whose content is no function of the command is at least whole."""
    from vqaudio.training.checkpoint import Damaged, load_checkpoint

    try:
        if path.suffix == ".pt":
            load_checkpoint(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html":
            return path.read_text().endswith("</html>\n")
    except (ValueError, Damaged):
        return False
    return True


def files_of(folder: Path) -> Iterator[str]:
    """Yield the paths of all files in a folder, relative to it."""
    for root, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(root, name), folder) for name in names)
