"""`vqaudio convert`: say recordings again in other voices."""

from __future__ import annotations

import argparse
from pathlib import Path
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from vqaudio.api import Model
    from vqaudio.cli.speech import Utterance


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE")
    parser.add_argument("--input", required=True, help="an audio file, or a data directory")
    parser.add_argument(
        "--speaker", required=True, metavar="NAME[,NAME]|all",
        help="voices to convert to; all stands for every voice but the utterance's own",
    )  # fmt: skip
    parser.add_argument("--num_voices", type=whole_number(1), help="of all voices so many, spread over their list")
    parser.add_argument("--out", required=True, help="folder for the WAV files, <utterance>-to-<speaker>.wav")
    parser.add_argument("--limit", type=whole_number(1), help="convert the first so many utterances")
    add_generation_options(parser)
    add_seed_option(parser)
    add_shard_option(parser)
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Convert."""
    from vqaudio import api
    from vqaudio.cli.speech import Drawing, speak

    model = api.load(options.model, set_up_job(options))
    if options.num_voices is not None and options.speaker != "all":
        raise UsageError(f"--num_voices {options.num_voices} takes --speaker all, got --speaker {options.speaker}")
    voices = _voices(options.speaker, model)
    wanted = [
        conversion
        for id, speaker, waveform, rate in _recordings(options)
        for conversion in _conversions(model, id, waveform, rate, _others(voices, speaker, options))
    ]
    speak(model, wanted, options.out, Drawing.of(options), wants_progress(options.quiet), options.shard)


def _voices(given: str, model: Model) -> list[str]:
    from vqaudio.models.folder import speaker_index

    if given in model.speakers:  # whatever its name: "all", or one with a comma
        return [given]
    if given == "all":
        return model.speakers
    return [model.speakers[speaker_index(model.speakers, name)] for name in given.split(",")]


def _others(voices: list[str], own: str | None, options: argparse.Namespace) -> list[str]:
    """Return the voices for an utterance of the speaker `own`, who is left out where all were asked for."""
    from vqaudio.evaluation.heldout import spread_evenly

    if options.speaker != "all":
        return voices
    others = [voice for voice in voices if voice != own]
    return others if options.num_voices is None else spread_evenly(others, options.num_voices)


def _recordings(options: argparse.Namespace) -> Iterator[tuple[str, str | None, np.ndarray, int]]:
    """Yield id, speaker (None where unknown), waveform (T,) and sample rate (Hz) of what is to be converted.

    Of a shard it is whole recordings, each of which is encoded once for all voices.
    """
    from vqaudio.audio.io import read_audio
    from vqaudio.corpus import DataDir, read_utterance
    from vqaudio.units.sharding import known_seconds

    path, shard = Path(options.input), options.shard
    if not path.is_dir():
        if shard is None or shard.take([path]):
            yield path.stem, None, *read_audio(path)
        return
    utterances = DataDir.load(path).utterances[: options.limit]
    for utterance in utterances if shard is None else shard.take(utterances, known_seconds(utterances)):
        yield utterance.id, utterance.speaker, *read_utterance(utterance)


def _conversions(model: Model, id: str, waveform: np.ndarray, rate: int, voices: list[str]) -> list[Utterance]:
    from vqaudio.cli.speech import Utterance

    samples = model.at_model_rate(waveform, rate)
    units = model.encode(samples, model.sample_rate).numpy()
    return [Utterance(f"{id}-to-{voice}", units, voice, len(samples)) for voice in voices]


VERB = Verb(
    "Say recordings again in other voices",
    """
vqaudio convert --model exp/base/model --input hello.wav --speaker allison --out converted
vqaudio convert --model exp/base/model --input dump/8k/test --limit 4 --speaker all --out converted
""",
    add_options,
    run,
    resumes=True,
)
