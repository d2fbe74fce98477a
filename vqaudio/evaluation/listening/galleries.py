"""The sections to listen to: held-out utterances, and speech that nobody said."""

from __future__ import annotations

from collections.abc import Sequence

from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import absent, escape, section
from vqaudio.evaluation.listening.players import Gallery
from vqaudio.evaluation.listening.scores import sweep_table
from vqaudio.evaluation.listening.spectrograms import scale_legend
from vqaudio.evaluation.listening.utterances import SampleGroup

HOW_TO_LISTEN = (
    "Play, and choose another version while it plays: the place is kept. Click into a spectrogram to hear it from "
    "there. Each block of the strip beneath is a run of one code; codes whose vectors lie near each other have "
    "similar colours."
)
KEYS = (
    '<p class="small keys">Keys within a player: <kbd>Space</kbd> plays and pauses, <kbd>1</kbd> to <kbd>9</kbd> '
    "choose a version, arrows on the slider go on by one unit.</p>"
)


def held_out_section(experiment: Experiment, gallery: Gallery, cards: Sequence[str], note: str) -> str:
    """Return the players of held-out utterances, and say which kinds of them are not there."""
    missing = []
    if not any(experiment.path.glob("resynthesis/*.wav")):
        missing.append(
            absent("reconstructions (resynthesis/)", "vqaudio decode --model … --units … --out …/resynthesis")
        )
    if not any(experiment.path.glob("conversion/*-to-*.wav")):
        missing.append(
            absent("other voices (conversion/)", "vqaudio convert --model … --input … --speaker all --out …/conversion")
        )
    if not cards:
        return section("listen", "Listen: held-out utterances", *missing)
    notes = f'<p class="absent">{escape(note)}</p>' if note else ""
    return section(
        "listen",
        "Listen: held-out utterances",
        KEYS,
        scale_legend(gallery.scale),
        notes,
        *missing,
        *cards,
        lead=HOW_TO_LISTEN,
    )


def samples_section(experiment: Experiment, groups: Sequence[tuple[SampleGroup, Sequence[str]]]) -> str:
    """Return players of unconditional samples, by temperature, with the figures that were measured of each."""
    title = "Speech that nobody said"
    lead = "Units drawn from the prior, and a waveform drawn from the decoder: nothing is given but the voice."
    missing = []
    if not any(group.temperature for group, _ in groups):
        missing.append(absent("samples at several temperatures (unconditional/)", "vqaudio score --prior …"))
    if not groups:
        missing.append(absent("samples (samples/)", "vqaudio sample --model … --prior … --out …/samples"))
    parts = [_group(group, cards) for group, cards in groups]
    measured = sweep_table(experiment.results) if experiment.results else ""
    return section("samples", title, *missing, *parts, measured, lead=lead)


def _group(group: SampleGroup, cards: Sequence[str]) -> str:
    title = f"Temperature {group.temperature}" if group.temperature else f"As the recipe draws them ({group.folder}/)"
    shown = f'<p class="small">{len(cards)} of {group.found} samples.</p>' if len(cards) < group.found else ""
    return f'<h3>{escape(title)}</h3>{shown}<div class="cards">{"".join(cards)}</div>'
