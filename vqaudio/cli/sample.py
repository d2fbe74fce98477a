"""`vqaudio sample`: speech that nobody said, from the prior and the decoder alone."""

from __future__ import annotations

import argparse
import logging
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import (
    Parser,
    Verb,
    add_compute_options,
    add_generation_options,
    add_sampling_options,
    add_seed_option,
    number,
    whole_number,
)
from vqaudio.cli.sharding import add_shard_option, set_up_job
from vqaudio.errors import UnitsError

if TYPE_CHECKING:
    from vqaudio.api import Model, Prior
    from vqaudio.cli.speech import Utterance

logger = logging.getLogger(__name__)


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--prior", required=True, help="model folder of the prior over its units")
    parser.add_argument("--out", required=True, help="folder for the WAV files, and for their units in units/")
    parser.add_argument("--num", type=whole_number(1), default=10, help="utterances to draw")
    parser.add_argument("--speaker", help="the voice of all of them; without it the speakers take turns")
    parser.add_argument("--max_seconds", type=number(above=0), default=10.0, help="longest utterance")
    add_sampling_options(parser.add_argument_group("units"), "prior_")
    add_generation_options(parser)
    add_seed_option(parser)
    add_shard_option(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Draw units, write them, and decode them."""
    from vqaudio import api
    from vqaudio.cli.speech import Drawing, speak

    device = set_up_job(options)
    model, prior = api.load(options.model, device), api.load_prior(options.prior, device)
    model.require_precision(options.precision, options.force_precision)
    names = _names(model.speakers, options)
    drawn = _draw(model, prior, names if options.shard is None else options.shard.take(names), options)
    if options.shard is None:
        _write_units(model, drawn, options)
    speak(model, drawn, options.out, Drawing.of(options), wants_progress(options.quiet), options.shard)


def _draw(model: Model, prior: Prior, names: list[tuple[str, str]], options: argparse.Namespace) -> list[Utterance]:
    """Draw the units of each id and speaker; leave out those that the prior ends at once."""
    from vqaudio.cli.speech import Utterance

    if not names:  # a shard of more than there are utterances
        return []
    units = model.sample_units(
        prior,
        [speaker for _, speaker in names],
        options.max_seconds,
        keys=[id for id, _ in names],
        seed=options.seed,
        temperature=options.prior_temperature,
        top_k=options.prior_top_k,
        top_p=options.prior_top_p,
        engine=options.engine,
        batch_size=options.batch_size,
    )
    return [Utterance(id, u.numpy(), speaker) for (id, speaker), u in zip(names, units) if len(u)]


def _write_units(model: Model, drawn: list[Utterance], options: argparse.Namespace) -> None:
    from vqaudio.audio.atomic import write_text_whole
    from vqaudio.units import write_units

    if not drawn:
        raise UnitsError(
            f"the prior ended all {options.num} utterances at once: give another --seed, or train it longer"
        )
    if len(drawn) < options.num:
        logger.warning("%d of %d utterances ended at once and are left out", options.num - len(drawn), options.num)
    folder = Path(options.out) / "units"
    write_units(folder, [(u.id, u.units) for u in drawn], model.unit_spec)
    write_text_whole(folder / "utt2spk", "".join(f"{u.id} {u.speaker}\n" for u in drawn))


def _names(known: list[str], options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the id and the speaker of each utterance; ids sort as they are counted."""
    speakers = list(islice(cycle([options.speaker] if options.speaker else known), options.num))
    digits = len(str(options.num - 1))
    return [(f"sample-{i:0{digits}d}-{speaker}", speaker) for i, speaker in enumerate(speakers)]


VERB = Verb(
    "Draw speech that nobody said from prior and decoder",
    """
vqaudio sample --model exp/base/model --prior exp/base/prior/model --out exp/base/samples --num 8 --max_seconds 5
""",
    add_options,
    run,
    resumes=True,
)
