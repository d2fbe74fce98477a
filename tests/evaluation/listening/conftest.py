"""An experiment folder with every part, small, and with names and words that try to break out of the page."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.small import CODES, HOP, RATE, SPEAKERS, small_prior, small_vqvae, sound, write_data
from vqaudio.audio.io import write_wav
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import save_config
from vqaudio.models.folder import save_model
from vqaudio.units import UnitSpec, write_units

UTTERANCES = [f"{speaker}-{number}" for speaker in SPEAKERS for number in range(4)]
HOSTILE = "anna-<b>&\"'"
"""An id that is allowed, since it names files, and that HTML would take for more."""
WORDS = "</p><script>alert(1)</script> & <img src=x onerror=alert(2)>"
PHONES = ["sil", "aa", "s", "<i>"]


class Page(HTMLParser):
    """Elements of a page: tag, attributes and the text directly in them, in the order of their beginnings."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "rect", "path", "line", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in self.VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        if not self.open or self.elements[self.open[-1]][0] != tag:
            self.unclosed.append(tag)
            return
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            for index in self.open:
                self.elements[index][2].append(data)

    def all(self, tag: str | None = None, **wanted: str) -> list[tuple[str, dict[str, str | None], str]]:
        """Return elements with their whole text, by tag and attributes (class_: one of its classes)."""
        found = []
        for name, attrs, text in self.elements:
            classes = (attrs.get("class") or "").split()
            fits = all(v in classes if k == "class_" else attrs.get(k) == v for k, v in wanted.items())
            if fits and tag in (None, name):
                found.append((name, attrs, "".join(text)))
        return found


def units_of(samples: int, seed: int) -> np.ndarray:
    """Return units of so many samples, in runs as real ones."""
    generator = np.random.default_rng(seed)
    count = -(-samples // HOP)
    return np.repeat(generator.integers(0, CODES, count), generator.integers(1, 6, count))[:count]


def lengths() -> dict[str, int]:
    """Return each utterance's samples, from 0.9 s on."""
    return {id: 7200 + 400 * number for number, id in enumerate([*UTTERANCES, HOSTILE])}


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """Make the experiment and its data directory once; tests read them, or copy them (`experiment`)."""
    root = tmp_path_factory.mktemp("listening")
    exp, data = root / "exp", root / "data"
    model = small_vqvae()
    save_model(exp / "model", model, SPEAKERS, {})
    save_config(VQVAETrainingConfig(model=model.config), exp / "config.yaml")
    save_model(exp / "prior" / "model", small_prior(), SPEAKERS, {})
    save_config(PriorTrainingConfig(), exp / "prior" / "config.yaml")
    (exp / "train.json").write_text(json.dumps({"steps": 40, "train_seconds": 95.0, "machine": "a <machine>"}))
    spec = UnitSpec.of_model(model)
    _write_data(data)
    _write_audio(exp, data, spec)
    _write_curves(exp / "tensorboard")
    write_units(exp / "units" / "train", {"anna-t": units_of(90000, 7), "boris-t": units_of(70000, 8)}.items(), spec)
    (exp / "results.json").write_text(json.dumps(RESULTS))
    return exp, data


RESULTS = {
    "codebook_size": CODES,
    "code_perplexity": 12.5,
    "bits_per_sample": 5.25,
    "bits_per_sample_shuffled_units": 6.5,
    "prior_bits_per_unit": None,
    "heldout_utterances": 9,
    "heldout_seconds": 90.0,
    "of_my_own": 1.5,
    "intervals": {"bits_per_sample": [5.125, 5.375]},
    "not_measured": {"prior_bits_per_unit": "no prior <here>"},
    "baselines": {"mfcc_kmeans": {"code_perplexity": 14.5}},
    "sweep": {"0.85": {"vert": 0.25}, "held-out": {"vert": 0.125}},
    "about": {"commit": "abc<def>"},
}


def _write_data(data: Path) -> None:
    write_data(data, lengths())
    ids = sorted(lengths())
    (data / "text").write_text("".join(f"{id} {WORDS if id == HOSTILE else f'words of {id}'}\n" for id in ids))
    (data / "utt2lang").write_text("".join(f"{id} it\n" for id in ids))
    (data / "phones.ctm").write_text(
        "".join(f"{id} 1 {0.2 * i:.1f} 0.2 {p}\n" for id in ids for i, p in enumerate(PHONES))
    )


def _write_audio(exp: Path, data: Path, spec: UnitSpec) -> None:
    units = {id: units_of(samples, number) for number, (id, samples) in enumerate(lengths().items())}
    write_units(exp / "units" / "test", units.items(), spec)
    for number, (id, samples) in enumerate(lengths().items()):
        folder = exp / ("conversion" if id in UTTERANCES[3::4] else "resynthesis")
        folder.mkdir(exist_ok=True)
        shutil.copy(data / "wavs" / f"{id}.wav", folder / f"{id}.original.wav")
        for name in [f"{id}-to-{s}" for s in SPEAKERS] if folder.name == "conversion" else [id]:
            write_wav(folder / f"{name}.wav", sound(samples, 50 + number), RATE)
    for folder in ("unconditional/temperature-0.85", "unconditional/temperature-1", "samples"):
        names = [f"sample-{i}-{SPEAKERS[i % 2]}" for i in range(6)]
        for i, name in enumerate(names):
            write_wav(exp / folder / f"{name}.wav", sound(6000, i), RATE)
        write_units(exp / folder / "units", [(name, units_of(6000, i)) for i, name in enumerate(names)], spec)


def _write_curves(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(1, 41):
            writer.add_scalar("loss/bits_per_sample", 8.0 - step / 20, step)
        for step in (20, 40):
            writer.add_scalar("dev/bits_per_sample_true", 6.0 - step / 100, step)
            writer.add_scalar("dev/bits_per_sample_shuffled", 7.5, step)
        writer.add_scalar("codebook/perplexity", 9.5, 40)


@pytest.fixture
def experiment(made, tmp_path) -> Path:
    """Return a copy of the experiment that a test may change."""
    return Path(shutil.copytree(made[0], tmp_path / "exp"))


@pytest.fixture(scope="session")
def report(made, tmp_path_factory) -> Path:
    """Write the report of the whole experiment once."""
    from vqaudio.evaluation.listening import ReportOptions, write_report

    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(made[0], out, ReportOptions(data_dir=made[1]))
    return out


@pytest.fixture(scope="session")
def page(report) -> Page:
    return Page(report.read_text(encoding="utf-8"))
