"""A player for each utterance: its versions one above the other, its units and phones, and one playhead over all.

Without scripts there are the browser's own controls beside each spectrogram; player.js puts one player in their
place, which keeps the place in time when another version is chosen.
"""

from __future__ import annotations

import numpy as np

from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.markup import anchor, as_json, attributes, escape
from vqaudio.evaluation.listening.sound import wav_uri
from vqaudio.evaluation.listening.spectrograms import Scale, at_most_16k, common_scale, image_uri, levels_db
from vqaudio.evaluation.listening.strips import phone_strip, unit_strip
from vqaudio.evaluation.listening.utterances import Track, Utterance

_PIXELS_PER_SECOND, _OF_SAMPLES = 110, 80  # no less, or units vanish: what is wider than the screen is scrolled


class Gallery:
    """Draws utterances of an experiment with one scale of levels for all."""

    def __init__(self, experiment: Experiment, utterances: list[Utterance]) -> None:
        self.experiment = experiment
        self.levels = {
            id(t.waveform): levels_db(*at_most_16k(t.waveform, t.sample_rate)) for u in utterances for t in u.tracks
        }
        natural = [self.levels[id(t.waveform)] for u in utterances for t in u.tracks if t.name == "natural"]
        self.scale: Scale = common_scale(natural or list(self.levels.values()))

    def card(self, utterance: Utterance, group: str = "", heading: str = "h3") -> str:
        """Return the player of one utterance; `group` sets apart ids that occur several times in the page."""
        name = anchor(f"{group}/{utterance.id}")
        seconds = utterance.seconds
        rows = [self._track_row(name, number, track, seconds) for number, track in enumerate(utterance.tracks)]
        rows += self._strips(utterance)
        least = (_OF_SAMPLES if group else _PIXELS_PER_SECOND) * seconds
        width = f"min-width:calc(var(--gutter) + {least:.0f}px)"
        notes = "".join(f'<p class="absent">{escape(note)}.</p>' for note in utterance.notes)
        return (
            f'<article class="card" id="{name}" aria-labelledby="{name}-title"{self._data(utterance)}>'
            f"{_header(utterance, name, heading)}{_controls(utterance, name)}"
            f'<div class="scroll" role="group" aria-label="Versions, and units over time">'
            f'<div class="rows" style="{width}">{"".join(rows)}{_time_row(seconds)}'
            '<div class="overlay" aria-hidden="true"><div class="playhead"></div><div class="pointer"></div></div>'
            f'</div></div><p class="readout small">{_hint(utterance)}</p>{notes}</article>'
        )

    def _data(self, utterance: Utterance) -> str:
        units = None if utterance.units is None else " ".join(map(str, utterance.units.tolist()))
        phones = [[round(p.start, 4), round(p.end, 4), p.label] for p in utterance.phones]
        values = attributes(
            data_seconds=f"{utterance.seconds:.6f}", data_rate=f"{self.experiment.unit_rate:g}", data_units=units
        )
        return values + (f' data-phones="{as_json(phones)}"' if phones else "")

    def _track_row(self, name: str, number: int, track: Track, seconds: float) -> str:
        levels = self.levels[id(track.waveform)]
        share = f"width:{100 * track.seconds / seconds:.3f}%"
        top = min(track.sample_rate, 16000) / 2000
        image = (
            f'<img class="spectrogram" src="{image_uri(levels, self.scale)}" style="{share}" draggable="false" '
            f'alt="Spectrogram, {escape(track.name)}: {track.seconds:.2f} s, 0 to {top:g} kHz">'
        )
        radio = f'<input type="radio" name="{name}-version" value="{number}"{" checked" if number == 0 else ""}>'
        return (
            f'<div class="row track"><label class="name">{radio}<span>{escape(track.name)}</span></label>'
            f'<div class="lane tall" data-track="{number}">{image}'
            f'<span class="khz" aria-hidden="true">{top:g} kHz</span></div>'
            f'<audio controls preload="none" aria-label="{escape(track.name)}" '
            f'src="{wav_uri(track.waveform, track.sample_rate)}"></audio></div>'
        )

    def _strips(self, utterance: Utterance) -> list[str]:
        rows = []
        if utterance.units is not None:
            strip = unit_strip(utterance.units, self.experiment.unit_rate, utterance.seconds, self.experiment.colours)
            rows.append(_strip_row("units", strip, _in_words(utterance.units)))
        if utterance.phones:
            said = " ".join(phone.label for phone in utterance.phones)
            rows.append(_strip_row("phones", phone_strip(utterance.phones, utterance.seconds), f"Phones: {said}"))
        return rows


def _header(utterance: Utterance, name: str, heading: str) -> str:
    about = " · ".join(part for part in (utterance.speaker, f"{utterance.seconds:.2f} s") if part)
    language = attributes(lang=utterance.language or None, dir="auto")
    text = f'<p class="transcript"{language}>{escape(utterance.text)}</p>' if utterance.text else ""
    return (
        f'<header><{heading} id="{name}-title" class="utterance">{escape(utterance.id)}</{heading}>'
        f'<p class="about">{escape(about)}</p></header>{text}'
    )


def _controls(utterance: Utterance, name: str) -> str:
    return (
        '<div class="controls" hidden>'
        f'<button type="button" class="play" aria-label="Play {escape(utterance.id)}">'
        '<svg viewBox="0 0 24 24" aria-hidden="true"><path class="icon-play" d="M7 4.5v15l12.5-7.5z"/>'
        '<path class="icon-pause" d="M6.5 4.5h4v15h-4zM13.5 4.5h4v15h-4z"/></svg></button>'
        f'<input type="range" class="seek" min="0" max="{utterance.seconds:.6f}" step="any" value="0" '
        f'aria-label="Place in {escape(utterance.id)}">'
        f'<span class="time"><span class="now">0.00</span> / {utterance.seconds:.2f} s</span></div>'
    )


def _strip_row(kind: str, strip: str, alternative: str) -> str:
    return (
        f'<div class="row"><span class="name">{kind}</span>'
        f'<div class="lane {kind}" role="img" aria-label="{escape(alternative)}">{strip}</div></div>'
    )


def _time_row(seconds: float) -> str:
    step = next(s for s in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0) if seconds / s <= 8 or s == 600.0)
    ticks = [step * i for i in range(int(seconds / step) + 1) if step * i <= 0.97 * seconds]
    marks = "".join(f'<span style="left:{100 * t / seconds:.3f}%">{t:g}{" s" * (t == 0)}</span>' for t in ticks)
    lane = f'<span class="name"></span><div class="lane ticks">{marks}</div>'
    return f'<div class="row time-row" aria-hidden="true">{lane}</div>'


def _in_words(units: np.ndarray) -> str:
    return f"{len(units)} units of {len(np.unique(units))} different codes; the slider tells the one at the playhead"


def _hint(utterance: Utterance) -> str:
    if utterance.units is None:
        return "Click into a spectrogram to play from there."
    changes = 1 + int(np.count_nonzero(np.diff(utterance.units)))
    run = "run" if changes == 1 else "runs"
    return f"{len(utterance.units)} units in {changes} {run}. Point at one, or move the slider, to read it."
