"""`vqaudio decode`: turn units into waveforms."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import (
    Parser,
    UsageError,
    Verb,
    add_compute_options,
    add_generation_options,
    add_seed_option,
    whole_number,
)
from vqaudio.cli.sharding import add_shard_option, set_up_job
from vqaudio.errors import UnitsError

if TYPE_CHECKING:
    import numpy as np

    from vqaudio.api import Model
    from vqaudio.cli.speech import Utterance

logger = logging.getLogger(__name__)


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE that made the units")
    parser.add_argument("--units", required=True, help="folder of units, or its units.txt")
    parser.add_argument("--out", help="folder for a WAV file per utterance")
    parser.add_argument(
        "--stream", metavar="FILE",
        help="write one utterance after the other while it is made: to a WAV file that grows, or with - to stdout",
    )  # fmt: skip
    parser.add_argument("--play", action="store_true", help="play one utterance after the other while it is made")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--speaker", help="the voice of all utterances")
    who.add_argument("--utt2spk", help="file of lines `utterance speaker`, or a data directory: a voice each")
    parser.add_argument("--limit", type=whole_number(1), help="decode the first so many utterances")
    parser.add_argument(
        "--natural", metavar="DATA_DIR",
        help="the recordings that the units come from: waveforms are trimmed to their length and compared with them",
    )  # fmt: skip
    parser.add_argument(
        "--figures", metavar="FOLDER", help="draw the first few beside their recordings there; takes --natural"
    )
    add_generation_options(parser)
    add_seed_option(parser)
    add_shard_option(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Decode."""
    _check(options)
    from vqaudio import api
    from vqaudio.cli.speech import Drawing, speak
    from vqaudio.cli.streaming import Listeners, stream_speech

    listeners = Listeners(options.stream, options.play) if options.stream or options.play else None
    model = api.load(options.model, set_up_job(options))
    utterances = _utterances(options, model)
    if listeners:
        stream_speech(model, utterances, listeners, Drawing.of(options), options.out)
    else:
        speak(model, utterances, options.out, Drawing.of(options), wants_progress(options.quiet), options.shard)
    if options.natural and not options.shard:
        _compare(options, model, utterances)


def _check(options: argparse.Namespace) -> None:
    if not (options.out or options.stream or options.play):
        raise UsageError("where to? expected --out FOLDER, --stream FILE or --play")
    if options.shard and (options.stream or options.play):
        raise UsageError(f"--shard {options.shard} takes --out alone: --stream and --play are one job's")
    if options.natural and not options.out:
        raise UsageError(f"--natural {options.natural} takes --out, the folder of what is compared with the recordings")
    if options.figures and not options.natural:
        raise UsageError(f"--figures {options.figures} takes --natural, the data directory of the recordings")


def _utterances(options: argparse.Namespace, model: Model) -> list[Utterance]:
    """Return what is to be decoded, by whom, and how long; of a shard, its part."""
    from vqaudio.cli.speech import Utterance

    units = _read_units(options, model)
    speakers = _speakers(options, model, units)
    if options.shard:
        units = dict(options.shard.take(list(units.items()), list(map(len, units.values()))))
    lengths = _lengths(options, model, units)
    return [Utterance(id, sequence, speakers[id], lengths.get(id)) for id, sequence in units.items()]


def _read_units(options: argparse.Namespace, model: Model) -> dict[str, np.ndarray]:
    from vqaudio.units import check_compatible, read_frame_units

    sequences, spec = read_frame_units(options.units)
    check_compatible(spec, model.unit_spec, options.units)
    return dict(list(sequences.items())[: options.limit])


def _speakers(options: argparse.Namespace, model: Model, units: dict[str, np.ndarray]) -> dict[str, str]:
    from vqaudio.cli.speakers import read_utt2spk, sole_speaker

    if options.utt2spk is None:
        speaker = options.speaker or sole_speaker(model.speakers, "give --speaker or --utt2spk")
        return dict.fromkeys(units, speaker)
    speakers = read_utt2spk(options.utt2spk)
    missing = [id for id in units if id not in speakers]
    if missing:
        raise UnitsError(
            f"{options.utt2spk}: {len(missing)} of {len(units)} utterances are not in it, such as {missing[0]!r}"
        )
    return speakers


def _lengths(options: argparse.Namespace, model: Model, units: dict[str, np.ndarray]) -> dict[str, int]:
    """Return the samples of each recording, where there are recordings."""
    if options.natural is None:
        return {}
    from vqaudio.corpus import DataDir
    from vqaudio.corpus.reading import open_region
    from vqaudio.units.extract import require_rate

    lengths = {}
    for utterance in DataDir.load(options.natural).utterances:
        if utterance.id in units:
            with open_region(utterance) as region:
                require_rate(utterance, region.sample_rate, model.sample_rate)
                lengths[utterance.id] = region.frames
    for id, length in lengths.items():
        expected = -(-length // model.hop_length)
        if len(units[id]) != expected:
            raise UnitsError(
                f"{options.units}: {id!r} has {len(units[id])} units, but its recording in {options.natural} "
                f"makes {expected}: they do not belong together"
            )
    return lengths


def _compare(options: argparse.Namespace, model: Model, utterances: list[Utterance]) -> None:
    from vqaudio.corpus import DataDir
    from vqaudio.evaluation.audio_statistics import compare_audio
    from vqaudio.evaluation.resynthesis import draw_pairs, read_pairs

    pairs = read_pairs(DataDir.load(options.natural).utterances, options.out, model.sample_rate)
    if not pairs:
        logger.warning("no utterance of %s is in %s: nothing to compare", options.units, options.natural)
        return
    figures = compare_audio([p.natural for p in pairs], [p.made for p in pairs], model.sample_rate)
    for name, value in figures.items():
        logger.info("%s: %.4g", name, value)
    if options.figures:
        units = {u.id: u.units for u in utterances}
        draw_pairs(options.figures, pairs, units, model.sample_rate, model.hop_length)


VERB = Verb(
    "Turn units into waveforms",
    """
vqaudio decode --model exp/base/model --units exp/base/units/test --utt2spk dump/8k/test --out exp/base/resynthesis
vqaudio decode --model exp/base/model --units my_units --speaker allison --out audio --temperature 0.8
vqaudio decode --model exp/base/model --units my_units --speaker allison --limit 3 --play
vqaudio decode --model exp/base/model --units my_units --speaker allison --stream speech.wav
""",
    add_options,
    run,
    resumes=True,
)
