"""`vqaudio score`: score units, reconstructions, conversions and prior, and write the results."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import Parser, UsageError, Verb, add_compute_options, add_seed_option, number, whole_number
from vqaudio.cli.sharding import add_shard_option, set_up_job
from vqaudio.errors import VQAudioError

if TYPE_CHECKING:
    import torch

    from vqaudio.evaluation.experiment import Experiment
    from vqaudio.evaluation.material import Material
    from vqaudio.evaluation.results import Results
    from vqaudio.evaluation.scorecard import Scope
    from vqaudio.evaluation.unit_set import UnitSet

OF_THE_WHOLE = ("prior", "samples", "speed")
"""Parts that belong to the experiment, not to a further set of utterances."""
PARTS = ("codebook", "units", "baselines", "agreement", "decoder", "reconstruction", "conversion", "prior", "samples",
         "speed")  # fmt: skip


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("experiment", nargs="?", type=Path, metavar="EXP", help="experiment folder")
    parser.add_argument("--data_dir", type=Path, help="utterances to be scored (default: as when EXP was last scored)")
    parser.add_argument("--name", help="score a further set of utterances under this name, in EXP/scores/NAME")
    parser.add_argument("--out", type=Path, help="folder for results.json and RESULTS.md (default: EXP)")
    _add_places(parser.add_argument_group("parts of the experiment, where they lie elsewhere"))
    units = parser.add_argument_group("units of another system (without EXP)")
    units.add_argument("--unit_rate", type=number(above=0), help="units per second, where no units.json says")
    units.add_argument("--codebook_size", type=whole_number(1), help="distinct units (default: those that occur)")
    _add_scope(parser.add_argument_group("what is measured"))
    add_seed_option(parser)
    add_shard_option(parser)
    add_compute_options(parser)


def _add_places(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", type=Path, help="model folder of the VQ-VAE (default: EXP/model)")
    group.add_argument("--prior", type=Path, help="model folder of the prior (default: EXP/prior/model)")
    group.add_argument("--units_dir", type=Path, help="units of the utterances (default: EXP/units/test)")
    group.add_argument("--train_units", type=Path, help="units of the training set (default: EXP/units/train)")
    group.add_argument("--train_dir", type=Path, help="data directory of the training set: baselines learn from it")
    group.add_argument(
        "--resynthesis", type=Path, help="utterances decoded from their units (default: OUT/resynthesis)"
    )
    group.add_argument("--conversion", type=Path, help="utterances in other voices (default: OUT/conversion)")
    group.add_argument("--train_json", type=Path, help="what training wrote of its speed (default: beside the model)")


def _add_scope(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--phones", default="auto", help="timit-41, timit-39, as-is, auto, or a file 'label folded'")
    group.add_argument("--asr", metavar="RECOGNISER", help="faster-whisper:FOLDER, pocketsphinx, python:MODULE:FACTORY")
    group.add_argument("--temperatures", nargs="+", type=number(above=0), default=[0.7, 0.85, 1.0, 1.15],
                       metavar="T", help="of the prior, for unconditional samples")  # fmt: skip
    group.add_argument("--num_samples", type=whole_number(2), default=64, help="unconditional samples of each")
    group.add_argument("--num_spoken", type=whole_number(1), default=4, help="of these, how many are decoded")
    group.add_argument("--sample_seconds", type=number(above=0), default=5.0, help="longest unconditional sample")
    group.add_argument("--max_seconds", type=number(above=0), default=90.0, help="audio for likelihoods and agreement")
    group.add_argument("--skip", nargs="+", default=[], choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")


def run(options: argparse.Namespace) -> None:
    """Measure, and write the results."""
    device = set_up_job(options)
    if options.experiment is None and options.model is None:
        _score_units_alone(options, device)
    else:
        _score_experiment(options, device)


@contextmanager
def _writing(options: argparse.Namespace, out: Path, device: torch.device) -> Iterator[Results]:
    """Yield results to be filled in, and write them into `out` after the block, unless it is a shard's."""
    from vqaudio.cli.provenance import provenance
    from vqaudio.evaluation.report import REPORT_FILE
    from vqaudio.evaluation.results import Results, write_results
    from vqaudio.units.locks import at_work
    from vqaudio.units.sharding import remove_shards

    results = Results()
    with at_work(out, options.shard):
        yield results
        if options.shard:
            return
        results.about = {**provenance(["vqaudio", *sys.argv[1:]], device), "phones": options.phones, **results.about}
        if options.asr:
            results.about["asr"] = options.asr
        write_results(out, results)
        remove_shards(out)
        print(out / REPORT_FILE)


def _score_experiment(options: argparse.Namespace, device: torch.device) -> None:
    from vqaudio.evaluation.scorecard import Scorecard

    experiment = _experiment(options)
    if options.shard:
        _require_units(experiment)
    card = Scorecard(experiment, device, _scope(options))
    with _writing(options, experiment.out, device) as results:
        results.merge(card.measure(options.shard))
        results.about["data_dir"] = os.path.relpath(experiment.data_dir, experiment.out)


def _experiment(options: argparse.Namespace) -> Experiment:
    from vqaudio.evaluation.experiment import Experiment

    folder = options.experiment or options.out
    if folder is None:
        raise UsageError("--model without EXP needs --out, the folder for the results")
    if options.experiment and not options.experiment.is_dir():
        raise VQAudioError(f"no such folder: {options.experiment}, expected an experiment folder")
    data_dir = options.data_dir or _former_data_dir(options)
    return Experiment.in_folder(
        folder, data_dir, options.name, model=options.model, prior=options.prior, units=options.units_dir,
        train_units=options.train_units, train_dir=options.train_dir, resynthesis=options.resynthesis,
        conversion=options.conversion, training=_training(options), out=options.out,
    )  # fmt: skip


def _scope(options: argparse.Namespace) -> Scope:
    from vqaudio.evaluation.scorecard import Scope

    names = ("seed", "max_seconds", "phones", "asr", "temperatures", "num_samples", "num_spoken", "sample_seconds",
             "skip")  # fmt: skip
    scope = Scope(**{name: getattr(options, name) for name in names}, progress=wants_progress(options.quiet))
    return scope if options.name is None else replace(scope, skip=(*scope.skip, *OF_THE_WHOLE))


def _require_units(experiment: Experiment) -> None:
    """Raise a VQAudioError where units have to be extracted first, which several jobs would do at once."""
    if not (experiment.units / "units.json").is_file() and experiment.units.name != "units.txt":
        raise VQAudioError(
            f"{experiment.units} holds no units, and shards make none. First: vqaudio extract --model "
            f"{experiment.model} --data_dir {experiment.data_dir} --out {experiment.units}"
        )


def _training(options: argparse.Namespace) -> Path | None:
    if options.train_json is None and options.model is not None and options.name is None:
        return options.model.absolute().parent / "train.json"
    return options.train_json


def _former_data_dir(options: argparse.Namespace) -> Path:
    """Return the data directory that the experiment was last scored on, which its results tell."""
    from vqaudio.evaluation.results import RESULTS_FILE, read_results

    if options.experiment is not None and options.name is None and (options.experiment / RESULTS_FILE).is_file():
        former = read_results(options.experiment).about.get("data_dir")
        if former:
            return Path(os.path.normpath(options.experiment / former))
    raise UsageError("--data_dir is needed: the utterances to be scored")


def _score_units_alone(options: argparse.Namespace, device: torch.device) -> None:
    from vqaudio.evaluation.material import Material
    from vqaudio.evaluation.parts import mark_of, measure_parts
    from vqaudio.evaluation.unit_scores import read_unit_set, score_units

    given = {"--units_dir": options.units_dir, "--data_dir": options.data_dir, "--out": options.out}
    absent = [name for name, value in given.items() if value is None]
    if absent:
        raise UsageError(f"units of another system need {', '.join(absent)}; an experiment is given as EXP")
    units = read_unit_set(options.units_dir, options.unit_rate, options.codebook_size)
    material = Material.load(options.data_dir, options.phones)
    parts = {"units": lambda: score_units(units, material, options.seed)}
    if "baselines" not in options.skip:
        parts["baselines"] = lambda: _score_baselines(units, material, options)
    places = {"data_dir": options.data_dir, "units": options.units_dir}

    def mark() -> str:
        decisive = {name: getattr(options, name) for name in ("unit_rate", "codebook_size", "phones", "seed")}
        return mark_of(decisive, {**places, "train_dir": options.train_dir}, material.utterances)

    with _writing(options, options.out, device) as results:
        results.merge(measure_parts(parts, options.out, mark, options.shard))
        results.about |= {name: os.path.relpath(path, options.out) for name, path in places.items()}


def _score_baselines(units: UnitSet, material: Material, options: argparse.Namespace) -> Results:
    from vqaudio.corpus import DataDir, read_utterance
    from vqaudio.evaluation.baseline_scores import score_baselines

    train = DataDir.load(options.train_dir).utterances if options.train_dir else material.utterances
    _, rate = read_utterance(material.utterances[0])
    return score_baselines(train, material, rate, units.unit_rate, units.codebook_size, options.seed)


VERB = Verb(
    "Score units, reconstructions, conversions and prior on held-out audio",
    """
vqaudio score exp/base --data_dir dump/8k/test --train_dir dump/8k/train
vqaudio score exp/base --name timit --data_dir data/timit_8k --asr faster-whisper:models/tiny.en
vqaudio score --units_dir hubert_units/units.txt --unit_rate 50 --data_dir data/timit --out hubert_scores
""",
    add_options,
    run,
)
