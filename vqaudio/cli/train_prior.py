"""`vqaudio train-prior`: learn a prior over the units of a trained VQ-VAE."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from vqaudio.cli.compute import set_up_compute
from vqaudio.cli.parser import Parser, Verb
from vqaudio.cli.train import add_training_options, read_config, stopped_status


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    add_training_options(parser)
    parser.add_argument("--vqvae", required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--train_units", required=True, help="units to learn from")
    parser.add_argument("--dev_units", required=True, help="units to evaluate on")
    parser.add_argument(
        "--train_dir", help="data directory, or utt2spk file, of the training units; needed with several speakers"
    )
    parser.add_argument("--dev_dir", help="the same for the dev units")


def run(options: argparse.Namespace) -> int:
    """Train; the exit status tells of a signal that stopped it."""
    from vqaudio.config import PriorTrainingConfig
    from vqaudio.training.torchrun import joined

    with joined() as member:
        from vqaudio.training.prior import train_prior

        config = read_config(options, PriorTrainingConfig)
        device = set_up_compute(options.device, options.threads)
        done = train_prior(
            config, options.vqvae, options.train_units, options.dev_units, _speakers(options), options.expdir, device,
            options.resume, member.connect(device),
        )  # fmt: skip
    return 0 if done else stopped_status()


def _speakers(options: argparse.Namespace) -> Mapping[str, str]:
    """Return the speaker of each utterance of both folders of units."""
    from vqaudio.cli.speakers import read_utt2spk, sole_speaker
    from vqaudio.models.folder import read_speakers
    from vqaudio.units import read_units

    utt2spk: dict[str, str] = {}
    for name in ("train", "dev"):
        given, units = getattr(options, f"{name}_dir"), getattr(options, f"{name}_units")
        if given is not None:
            utt2spk |= read_utt2spk(given)
        else:
            speaker = sole_speaker(read_speakers(options.vqvae), f"give --{name}_dir, whose utt2spk says who speaks")
            utt2spk |= dict.fromkeys(read_units(units)[0], speaker)
    return utt2spk


VERB = Verb(
    "Learn a prior over the units: what usually follows what",
    """
vqaudio train-prior --config conf/train_prior.yaml --vqvae exp/base/model --expdir exp/base/prior \\
    --train_units exp/base/units/train --train_dir dump/8k/train \\
    --dev_units exp/base/units/dev --dev_dir dump/8k/dev
""",
    add_options,
    run,
    resumes=True,
)
