"""`vqaudio info`: say what a path holds: a model, a prior, units, a data directory, an experiment or an audio file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from vqaudio.cli.parser import Parser, Verb
from vqaudio.errors import VQAudioError, did_you_mean

Facts: TypeAlias = Iterator[tuple[str, Any]]
"""Names and values, in the order in which they are shown."""


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="what to look at")


def run(options: argparse.Namespace) -> None:
    """Print a summary of each path."""
    for number, given in enumerate(options.paths):
        kind, facts = describe(Path(given))
        print("\n" * (number > 0) + f"{given}: {kind}")
        print(table(facts))


def describe(path: Path) -> tuple[str, Facts]:
    """Return what kind of thing `path` is, and facts about it; the name of a model that comes with vqaudio will do."""
    from vqaudio.pretrained import find_model, names

    path = find_model(path)
    for kind, (is_kind, facts) in KINDS.items():
        if is_kind(path):
            return kind, facts(path)
    if not path.exists():
        siblings = names() + [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else names()
        raise VQAudioError(f"{path}: no such file or folder.{did_you_mean(path.name, siblings)}")
    raise VQAudioError(f"{path}: expected one of: {', '.join(KINDS)}; it looks like none of them")


def table(facts: Iterable[tuple[str, Any]]) -> str:
    """Return facts as aligned lines."""
    shown = [(name, _show(value)) for name, value in facts]
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"  {name:{width}}  {value}" for name, value in shown)


def _show(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _names(names: list[str], shown: int = 10) -> str:
    return f"{len(names)}: {', '.join(names[:shown])}{', …' if len(names) > shown else ''}"


# --------------------------------------------------------------------------------------------------- models


def _kind_of_model(path: Path) -> str | None:
    if not (path / "model.safetensors").is_file():
        return None
    from vqaudio.models.folder import read_kind

    return read_kind(path)


def _model_facts(path: Path) -> Facts:
    from vqaudio import api

    model = api.load(path)
    network, config = model.network, model.network.config
    left, right = network.context
    stack = network.decoder.stack
    yield "sample rate (Hz)", model.sample_rate
    yield "hop length (samples)", model.hop_length
    yield "units per second", model.unit_rate
    yield "codebook", f"{model.codebook_size} codes of {config.quantizer.code_dim} dimensions"
    yield "a unit sees", f"{network.receptive_field} samples: {left} before its own {model.hop_length}, {right} after"
    yield "decoder", f"{config.decoder.output}, {len(stack.dilations)} layers, sees {stack.receptive_field} samples"
    yield "parameters", sum(p.numel() for p in network.parameters())
    yield "speakers", _names(model.speakers)
    yield "units' hash", model.unit_spec.model_hash


def _prior_facts(path: Path) -> Facts:
    from vqaudio import api

    prior = api.load_prior(path)
    yield "knows the units of", prior.unit_spec.describe()
    yield "sees", f"{prior.network.stack.receptive_field} units"
    yield "conditioned on speakers", prior.network.config.speaker_conditional
    yield "parameters", sum(p.numel() for p in prior.network.parameters())
    yield "speakers", _names(prior.speakers)


# ---------------------------------------------------------------------------------------------- units, data


def _is_units(path: Path) -> bool:
    return (path / "units.json").is_file() or (path.name == "units.txt" and path.is_file())


def _units_facts(path: Path) -> Facts:
    from vqaudio.evaluation.unit_statistics import code_perplexity, code_usage, unit_counts
    from vqaudio.units import read_frame_units, read_units

    sequences, spec = read_frame_units(path)
    units = sum(map(len, sequences.values()))
    counts = unit_counts(sequences.values(), spec.codebook_size)
    yield "made by", spec.describe()
    yield "utterances", len(sequences)
    yield "units", units
    yield "hours of audio", units / spec.unit_rate / 3600
    yield "codes in use", f"{code_usage(counts):.1%}"
    yield "perplexity (codes)", code_perplexity(counts)
    yield "runs collapsed", spec.collapsed
    if spec.collapsed:
        yield "collapsed units", sum(map(len, read_units(path)[0].values()))


def _data_facts(path: Path) -> Facts:
    from vqaudio.corpus import DataDir
    from vqaudio.corpus.datadir import total_seconds

    data = DataDir.load(path, allow_pipes=True)
    seconds = total_seconds(data.utterances)
    yield "utterances", len(data)
    yield "hours of audio", "unknown: there is no utt2dur" if seconds is None else seconds / 3600
    yield "recordings", len({u.recording for u in data.utterances})
    yield "segments", any(u.is_segment for u in data.utterances)
    yield "transcribed", all(u.text is not None for u in data.utterances)
    yield "speakers", _names(data.speakers)
    yield from _first_recording(data.utterances[0].recording)


def _first_recording(recording: str) -> Facts:
    from vqaudio.audio.io import probe
    from vqaudio.corpus.rules import is_pipe

    if is_pipe(recording):
        yield "first recording", f"the output of `{recording.rstrip('| ')}`"
    else:
        info = probe(recording)
        yield "first recording", f"{info.format} {info.subtype}, {info.sample_rate} Hz, {info.channels} channel(s)"


def _audio_facts(path: Path) -> Facts:
    from vqaudio.audio.io import probe

    info = probe(path)
    yield "format", f"{info.format} {info.subtype}"
    yield "sample rate (Hz)", info.sample_rate
    yield "channels", info.channels
    yield "seconds", info.duration


# ----------------------------------------------------------------------------------------------- experiment


def _is_experiment(path: Path) -> bool:
    from vqaudio.cli.info_experiment import is_experiment

    return is_experiment(path)


def _experiment_facts(path: Path) -> Facts:
    from vqaudio.cli.info_experiment import experiment_facts

    return experiment_facts(path)


KINDS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Facts]]] = {
    "VQ-VAE": (lambda path: _kind_of_model(path) == "vqvae", _model_facts),
    "prior": (lambda path: _kind_of_model(path) == "prior", _prior_facts),
    "units": (_is_units, _units_facts),
    "data directory": (lambda path: (path / "wav.scp").is_file(), _data_facts),
    "experiment": (_is_experiment, _experiment_facts),
    "audio file": (Path.is_file, _audio_facts),
}
"""Each kind of path: how it is known, and the facts about it."""


VERB = Verb(
    "Say what a model, prior, units, data directory, experiment or audio file holds",
    """
vqaudio info exp/base/model
vqaudio info exp/base dump/8k/train exp/base/units/test
""",
    add_options,
    run,
)
