"""`vqaudio score`: score units, reconstruction and prior, and write the report."""

from __future__ import annotations

import argparse
from pathlib import Path

from vqaudio.cli.compute import set_up_compute
from vqaudio.cli.parser import Parser, Verb, add_compute_options, add_seed_option, number


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", type=Path, required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--prior", type=Path, help="model folder of the prior; left out, it is not scored")
    parser.add_argument("--data_dir", type=Path, required=True, help="held-out data directory")
    parser.add_argument("--units_dir", type=Path, required=True, help="units of the held-out utterances")
    parser.add_argument("--train_units", type=Path, required=True, help="units of the training set")
    parser.add_argument("--out", type=Path, required=True, help="experiment folder: results.json and RESULTS.md")
    parser.add_argument(
        "--resynthesis", type=Path, metavar="FOLDER",
        help="held-out utterances decoded from their units (default: OUT/resynthesis)",
    )  # fmt: skip
    parser.add_argument(
        "--train_json", type=Path, metavar="FILE",
        help="what the training wrote of its speed (default: train.json beside the model folder)",
    )  # fmt: skip
    parser.add_argument(
        "--max_seconds", type=number(above=0), default=600.0, help="held-out audio that likelihoods are measured on"
    )
    add_seed_option(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, and write the report."""
    from vqaudio.evaluation.report import FIGURES_FOLDER
    from vqaudio.evaluation.results import REPORT_FILE, write_results
    from vqaudio.evaluation.scorecard import Experiment, Scorecard

    experiment = Experiment(
        model=options.model,
        prior=options.prior,
        data_dir=options.data_dir,
        units=options.units_dir,
        train_units=options.train_units,
        training=options.train_json or options.model.absolute().parent / "train.json",
        resynthesis=options.resynthesis or options.out / "resynthesis",
        figures=options.out / FIGURES_FOLDER,
    )
    device = set_up_compute(options.device, options.threads)
    write_results(options.out, Scorecard(experiment, device, options.seed, options.max_seconds).measure())
    print(options.out / REPORT_FILE)


VERB = Verb(
    "Score units, reconstruction and prior on held-out audio",
    """
vqaudio score --model exp/base/model --prior exp/base/prior/model --data_dir dump/8k/test \\
    --units_dir exp/base/units/test --train_units exp/base/units/train --out exp/base
""",
    add_options,
    run,
)
