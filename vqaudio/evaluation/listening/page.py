"""The page: its sections put together, and kept below a limit of size by showing fewer utterances."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from string import Template

import vqaudio
from vqaudio.audio.atomic import write_text_whole
from vqaudio.errors import VQAudioError
from vqaudio.evaluation.listening.experiment import Experiment
from vqaudio.evaluation.listening.galleries import held_out_section, samples_section
from vqaudio.evaluation.listening.markup import escape, facts, template
from vqaudio.evaluation.listening.overview import overview
from vqaudio.evaluation.listening.phones import find_aligned, phones_section
from vqaudio.evaluation.listening.players import Gallery
from vqaudio.evaluation.listening.scores import scores_section
from vqaudio.evaluation.listening.training import training_section
from vqaudio.evaluation.listening.usage import usage_section
from vqaudio.evaluation.listening.utterances import SampleGroup, held_out_utterances, sample_groups

logger = logging.getLogger(__name__)

SCRIPTS = ("player.js", "charts.js", "heatmap.js")
_SAMPLES_SHOWN = 4  # of each temperature


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows, and how large it may be."""

    data_dir: Path | None = None
    """Held-out data directory: recordings, words, languages and phones that the experiment folder does not hold."""
    aligned_dir: Path | None = None
    """Data directory with `phones.ctm`, for what codes stand for; `data_dir` where that has phones."""
    aligned_units: Path | None = None
    """Units of its utterances."""
    phones: str = "auto"
    """Set of phones: see `phone_sets.choose_phone_set`."""
    utterances: int = 12
    max_megabytes: float = 15.0
    """Most that the file may have, in 10^6 bytes."""


def write_report(experiment_dir: Path, out: Path, options: ReportOptions | None = None) -> None:
    """Write the listening report of an experiment folder to `out`, whole or not at all.

    Raises:
        VQAudioError: no experiment there, a part of it that is broken, or a page that is too large whatever is left
            out of it.
    """
    page = Page(Experiment.load(experiment_dir), options or ReportOptions())
    text = page.render()
    write_text_whole(out, text)
    logger.info("%s: %.1f MB, %d held-out utterances", out, len(text.encode()) / 1e6, page.shown)


class Page:
    """A report in the making; `render` makes it fit."""

    def __init__(self, experiment: Experiment, options: ReportOptions) -> None:
        self.experiment, self.options = experiment, options
        held_out = held_out_utterances(experiment, options.data_dir, options.utterances)
        self.groups = sample_groups(experiment, _SAMPLES_SHOWN)
        self.gallery = Gallery(experiment, held_out + [sample for group in self.groups for sample in group.samples])
        self.cards = [self.gallery.card(utterance) for utterance in held_out]
        self.samples = [[self.gallery.card(s, group.folder, "h4") for s in group.samples] for group in self.groups]
        self.shown = len(self.cards)
        aligned = find_aligned(experiment, options.data_dir, options.aligned_dir, options.aligned_units)
        self.fixed = {
            "overview": overview(experiment),
            "training": training_section(experiment),
            "scores": scores_section(experiment),
            "codes": usage_section(experiment),
            "phones": phones_section(experiment, aligned, options.phones),
        }

    def render(self) -> str:
        """Return the page: as many utterances as fit, then as many samples of each group; at least one of each."""
        limit = self.options.max_megabytes * 1e6
        most = max(map(len, self.samples), default=1)
        fewer = [(shown, most) for shown in range(len(self.cards), 0, -1)] or [(0, most)]
        fewer += [(fewer[-1][0], count) for count in range(most - 1, 0, -1)]
        for shown, samples in fewer:
            text = self._text(shown, samples)
            size = len(text.encode())
            if size <= limit:
                self._report_left_out(shown, samples, most)
                self.shown = shown
                return text
        raise VQAudioError(
            f"the report takes {size / 1e6:.2f} MB even with one utterance, and --max_megabytes is "
            f"{self.options.max_megabytes:g}: give it more"
        )

    def _report_left_out(self, shown: int, samples: int, most: int) -> None:
        note = self._note(shown)
        if note:
            logger.warning("%s", note)
        if samples < most:
            logger.warning("%d samples of each temperature are shown, to keep below the limit of size", samples)

    def _note(self, shown: int) -> str:
        if shown == len(self.cards):
            return ""
        limit = f"{self.options.max_megabytes:g} MB (--max_megabytes)"
        return f"{shown} of {len(self.cards)} utterances are shown, to keep the page below {limit}"

    def _text(self, shown: int, samples: int) -> str:
        groups: list[tuple[SampleGroup, Sequence[str]]] = [
            (group, cards[:samples]) for group, cards in zip(self.groups, self.samples, strict=True)
        ]
        cards = _spread_out(self.cards, shown)
        sections = {
            **self.fixed,
            "listen": held_out_section(self.experiment, self.gallery, cards, self._note(shown)),
            "samples": samples_section(self.experiment, groups),
        }
        return Template(template("page.html")).substitute(
            title=escape(f"{self.experiment.name} · vqaudio listening report"),
            style=template("report.css"),
            script="\n".join(map(template, SCRIPTS)),
            about=_about(self.experiment),
            **sections,
        )


def _spread_out(cards: Sequence[str], shown: int) -> list[str]:
    """Return `shown` of the cards, from all over the list, which is in the order of speakers."""
    return [cards[int((i + 0.5) * len(cards) / shown)] for i in range(shown)]


def _about(experiment: Experiment) -> str:
    about = dict(experiment.results.about) if experiment.results else {}
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    rows = [("Report made", f"{made}, by vqaudio {vqaudio.__version__}")]
    return facts(rows + [(f"Scored: {name}", str(value)) for name, value in about.items()])
