"""`vqaudio export`: a model, and its prior, as one small folder to be passed on."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from vqaudio.cli.parser import Parser, Verb

logger = logging.getLogger(__name__)


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--prior", help="model folder of its prior; becomes OUT/prior")
    parser.add_argument("--card", type=Path, help="what there is to know of it, in Markdown; becomes OUT/README.md")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Write the folder, with half the bytes of each weight that units do not depend on."""
    from vqaudio import api
    from vqaudio.audio.atomic import write_text_whole
    from vqaudio.errors import VQAudioError

    model = api.load(options.model)
    prior = None if options.prior is None else api.load_prior(options.prior)
    if prior is not None:
        prior.require_model(model)
    try:
        card = None if options.card is None else options.card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise VQAudioError(f"{options.card} cannot be read: {error}") from error
    model.save_pretrained(options.out, halve=True)
    if prior is not None:
        prior.save_pretrained(options.out / "prior", halve=True)
    if card is not None:
        write_text_whole(options.out / "README.md", card)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    logger.info("%s: %.1f MB; what the rounding costs is told by `vqaudio check-precision`", options.out, size / 1e6)


VERB = Verb(
    "Write a model, and its prior, as one small folder to be passed on",
    """
vqaudio export --model exp/base/model --prior exp/base/prior/model --card card.md --out my-model
""",
    add_options,
    run,
)
