"""`vqaudio extract`: turn the utterances of a data directory into units."""

from __future__ import annotations

import argparse

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import Parser, Verb, add_compute_options, number
from vqaudio.cli.sharding import add_shard_option, set_up_job


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--data_dir", required=True, help="data directory at the model's rate")
    parser.add_argument("--out", required=True, help="folder of units to write")
    parser.add_argument(
        "--collapse", action="store_true", help="write runs of one unit once, and their lengths to durations.txt"
    )
    parser.add_argument(
        "--max_rejected_share", type=number(least=0, most=1), default=0.05,
        help="share of unreadable utterances above which the extraction fails",
    )  # fmt: skip
    parser.add_argument("--allow_pipes", action="store_true", help="run the shell commands in wav.scp")
    add_shard_option(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Extract."""
    from vqaudio.corpus import DataDir
    from vqaudio.models.folder import load_vqvae
    from vqaudio.units.extract import extract_units

    model, _ = load_vqvae(options.model, set_up_job(options))
    extract_units(
        model,
        DataDir.load(options.data_dir, options.allow_pipes),
        options.out,
        collapse=options.collapse,
        max_rejected_share=options.max_rejected_share,
        progress=wants_progress(options.quiet),
        shard=options.shard,
    )


VERB = Verb(
    "Turn the utterances of a data directory into units",
    """
vqaudio extract --model exp/base/model --data_dir dump/8k/test --out exp/base/units/test
vqaudio extract --model exp/base/model --data_dir dump/8k/train --out exp/base/units/train --shard 1/8
""",
    add_options,
    run,
    resumes=True,
)
