"""`vqaudio check-precision`: measure what low precisions cost a model, and open the gate for those that cost little."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from vqaudio.cli.compute import set_up_compute
from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import Parser, Verb, add_compute_options, number

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE; precision.json is written into it")
    parser.add_argument("--data_dir", required=True, help="held-out data directory at the model's rate")
    parser.add_argument(
        "--max_seconds", type=number(above=0), default=120.0, help="audio to measure on, spread over the utterances"
    )
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, and write the record."""
    from vqaudio.evaluation.precision import engine_bits
    from vqaudio.generation.precision_gate import LIMITS, PrecisionRecord
    from vqaudio.models.folder import load_vqvae, weights_hash
    from vqaudio.pretrained import find_model

    model, speakers = load_vqvae(options.model, set_up_compute(options.device, options.threads))
    utterances = _heldout(options, speakers, model.config.sample_rate)
    seconds = sum(len(waveform) for waveform, _ in utterances) / model.config.sample_rate
    progress = wants_progress(options.quiet)
    base = engine_bits(model, utterances, "float32", progress=progress)
    logger.info("float32: %.4f bits per sample (%d utterances, %.0f s)", base, len(utterances), seconds)
    rises = {}
    for precision, limit in LIMITS.items():
        if not _can(model, precision):
            continue
        rises[precision] = engine_bits(model, utterances, precision, progress=progress) - base
        verdict = "passed" if rises[precision] <= limit else "FAILED: refused unless forced"
        logger.info("%s: %+.5f bits per sample, at most %g: %s", precision, rises[precision], limit, verdict)
    PrecisionRecord(weights_hash(model), base, rises, len(utterances), seconds).write(find_model(options.model))


def _can(model, precision: str) -> bool:
    """Whether an engine here has the precision; the log says why not."""
    from vqaudio.errors import VQAudioError
    from vqaudio.generation.decode import decoder_engine

    try:
        decoder_engine(model, precision=precision)
    except VQAudioError as error:
        logger.warning("%s is not measured: %s", precision, error)
        return False
    return True


def _heldout(options: argparse.Namespace, speakers: list[str], rate: int) -> list[tuple[Tensor, int]]:
    """Return waveforms and speakers of about `max_seconds`, evenly over the sorted list of known speakers."""
    from vqaudio.corpus import DataDir
    from vqaudio.errors import VQAudioError
    from vqaudio.evaluation.heldout import read_heldout

    known = [u for u in DataDir.load(options.data_dir).utterances if u.speaker in speakers]
    if not known:
        raise VQAudioError(f"{options.data_dir}: no utterance is of a speaker that the model knows: {speakers[:5]}")
    total = sum(u.duration or 3.0 for u in known)
    count = max(1, min(len(known), round(len(known) * options.max_seconds / total)))
    return list(read_heldout([known[i * len(known) // count] for i in range(count)], speakers, rate))


VERB = Verb(
    "Measure what low precisions cost a model on held-out speech",
    """
vqaudio check-precision --model exp/base/model --data_dir dump/8k/dev
""",
    add_options,
    run,
)
