"""`vqaudio train`: learn a VQ-VAE from a data directory."""

from __future__ import annotations

import argparse

from vqaudio.cli.compute import set_up_compute
from vqaudio.cli.parser import Parser, Verb, add_compute_options, number, one_of, whole_number


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    add_training_options(parser)
    parser.add_argument("--train_dir", required=True, help="data directory to learn from")
    parser.add_argument("--dev_dir", required=True, help="data directory to evaluate on, of the same speakers")
    parser.add_argument(
        "--max_rejected_share", type=number(least=0, most=1), default=0.05,
        help="fail where a larger share of utterances cannot be read",
    )  # fmt: skip


def add_training_options(parser: Parser) -> None:
    """Add what training a VQ-VAE and training a prior have in common."""
    parser.add_argument("--config", required=True, help="YAML file of model and training")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="values that override the file's, such as training.max_minutes=60",
    )  # fmt: skip
    parser.add_argument("--expdir", required=True, help="experiment folder to write")
    parser.add_argument(
        "--resume", type=one_of("auto", "never"), default="auto",
        help="auto goes on with the training in the folder, never refuses a folder that holds one",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole_number(0), help="overrides the file's")
    add_compute_options(parser)


def run(options: argparse.Namespace) -> int:
    """Train; the exit status tells of a signal that stopped it."""
    from vqaudio.config import VQVAETrainingConfig
    from vqaudio.training.torchrun import joined

    with joined() as member:
        from vqaudio.training.vqvae import train_vqvae

        config = read_config(options, VQVAETrainingConfig)
        device = set_up_compute(options.device, options.threads)
        done = train_vqvae(
            config, options.train_dir, options.dev_dir, options.expdir, device, options.resume,
            member.connect(device), options.max_rejected_share,
        )  # fmt: skip
    return 0 if done else stopped_status()


def read_config(options: argparse.Namespace, cls: type):
    """Return the configuration of class `cls` that --config, --set and --seed add up to."""
    from vqaudio.config_files import load_config

    seed = [] if options.seed is None else [f"seed={options.seed}"]
    return load_config(options.config, cls, options.set + seed)


def stopped_status() -> int:
    """Return the exit status of a training that a signal stopped: 128 and its number, as a shell would."""
    from vqaudio.training.signals import StopRequest

    return 128 + StopRequest.latest


VERB = Verb(
    "Learn a VQ-VAE: encoder, codebook and decoder",
    """
vqaudio train --config conf/train_vqvae.yaml --train_dir dump/8k/train --dev_dir dump/8k/dev --expdir exp/base
vqaudio train --config … --set training.max_minutes=60 model.quantizer.codebook_size=256
""",
    add_options,
    run,
    resumes=True,
)
