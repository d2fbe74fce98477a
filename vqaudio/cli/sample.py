"""`vqaudio sample`: speech that nobody said, from the prior and the decoder alone."""

from __future__ import annotations

import argparse
import logging
from itertools import cycle, islice
from pathlib import Path

from vqaudio.cli.compute import set_up_compute
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
from vqaudio.errors import UnitsError

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
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Draw units, write them, and decode them."""
    from vqaudio import api
    from vqaudio.audio.atomic import write_text_whole
    from vqaudio.cli.speech import Drawing, Utterance, speak
    from vqaudio.units import write_units

    device = set_up_compute(options.device, options.threads)
    model, prior = api.load(options.model, device), api.load_prior(options.prior, device)
    model.require_precision(options.precision, options.force_precision)
    ids, speakers = _names(model.speakers, options)
    units = model.sample_units(
        prior,
        speakers,
        options.max_seconds,
        keys=ids,
        seed=options.seed,
        temperature=options.prior_temperature,
        top_k=options.prior_top_k,
        top_p=options.prior_top_p,
        engine=options.engine,
        batch_size=options.batch_size,
    )
    drawn = [Utterance(*parts) for parts in zip(ids, (u.numpy() for u in units), speakers) if len(parts[1])]
    if not drawn:
        raise UnitsError(
            f"the prior ended all {options.num} utterances at once: give another --seed, or train it longer"
        )
    if len(drawn) < len(ids):
        logger.warning("%d of %d utterances ended at once and are left out", len(ids) - len(drawn), len(ids))
    folder = Path(options.out) / "units"
    write_units(folder, [(u.id, u.units) for u in drawn], model.unit_spec)
    write_text_whole(folder / "utt2spk", "".join(f"{u.id} {u.speaker}\n" for u in drawn))
    speak(model, drawn, options.out, Drawing.of(options), wants_progress(options.quiet))


def _names(known: list[str], options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the id and the speaker of each utterance; ids sort as they are counted."""
    speakers = list(islice(cycle([options.speaker] if options.speaker else known), options.num))
    digits = len(str(options.num - 1))
    return [f"sample-{i:0{digits}d}-{speaker}" for i, speaker in enumerate(speakers)], speakers


VERB = Verb(
    "Draw speech that nobody said from prior and decoder",
    """
vqaudio sample --model exp/base/model --prior exp/base/prior/model --out exp/base/samples --num 8 --max_seconds 5
""",
    add_options,
    run,
    resumes=True,
)
