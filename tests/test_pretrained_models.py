"""The models that come with the package: whole, small, described, and at work without a network or a recipe."""

import re

import pytest
import torch

import vqaudio
from tests.markdown import ROOT, sections
from tests.small import sound
from vqaudio.generation.precision_gate import LIMITS
from vqaudio.pretrained import FOLDER, find_model, names

MOST_BYTES = 12 * 2**20
CARD = ("Data and licence", "Training", "Scores", "Limits")


@pytest.fixture(params=names())
def name(request) -> str:
    return request.param


def test_the_small_one_is_there():
    assert "asterisk-50hz" in names()


def test_a_folder_is_small_and_all_of_it_is_installed(name):
    files = [path for path in find_model(name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    patterns = re.search(r'"vqaudio\.pretrained": (\[.*\])', (ROOT / "setup.py").read_text(encoding="utf-8"))[1]
    installed = {path for pattern in re.findall(r'"(.+?)"', patterns) for path in FOLDER.glob(pattern)}
    assert set(files) <= installed


def test_the_card_says_what_there_is_to_know(name):
    card = (find_model(name) / "README.md").read_text(encoding="utf-8")
    assert set(CARD) <= sections(card).keys()
    model = vqaudio.load(name)
    for fact in (
        model.unit_spec.model_hash,
        f"{model.unit_rate:g} units",
        f"{model.codebook_size} codes",
        *model.speakers,
    ):
        assert fact in card, fact


def test_it_encodes_decodes_converts_and_speaks(name):
    model, prior = vqaudio.load(name), vqaudio.load_prior(name)
    waveform = sound(model.sample_rate, rate=model.sample_rate)
    units = model.encode(waveform, model.sample_rate)
    assert len(units) == model.unit_rate and len(set(units.tolist())) > 5
    audio = model.decode(units, speaker=model.speakers[0], length=len(waveform))
    assert audio.shape == waveform.shape and 0.001 < audio.std() < 0.5
    other = model.convert(waveform, model.sample_rate, model.speakers[-1])
    assert other.shape == audio.shape and not torch.equal(other, audio)
    speech = model.sample(prior, n=3, seconds=1)
    assert max(len(one) for one in speech) > model.sample_rate / 4


def test_louder_recordings_have_the_same_units(name):
    model = vqaudio.load(name)
    waveform = sound(model.sample_rate, rate=model.sample_rate)
    same = model.encode(0.25 * waveform, model.sample_rate) == model.encode(waveform, model.sample_rate)
    assert same.float().mean() > 0.9  # rounding, and the level's floor, may tip the balance between two codes


@pytest.mark.parametrize("precision", LIMITS)
def test_it_has_passed_the_gate(name, precision):
    vqaudio.load(name).require_precision(precision)
