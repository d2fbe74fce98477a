"""Recognisers are found by their names, read the same each time, and hear nothing in silence.

A Whisper model for these tests is a folder in VQAUDIO_TEST_WHISPER; without it, those that need one are skipped.
"""

from __future__ import annotations

import math
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vqaudio.audio import read_audio, resample
from vqaudio.errors import VQAudioError
from vqaudio.evaluation import recognisers
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.recognisers import Reading, Recogniser, load_recogniser, reads
from vqaudio.evaluation.word_errors import edit_operations, normalise

TIMIT = Path(__file__).parents[3] / "shared/data/timit_dev"
TOY = """
from vqaudio.evaluation.recognisers import Reading

class Toy:
    name, languages = "toy", None
    def transcribe(self, waveform, sample_rate, language):
        return Reading(f"{len(waveform)} {sample_rate} {language}", 0.5)

def make():
    return Toy()

nothing, careless = 3, lambda: None
"""


def noise(samples: int = 8000, seed: int = 0) -> np.ndarray:
    """Return bursts of noise, float32 (samples,)."""
    generator = np.random.default_rng(seed)
    loud = np.repeat(generator.random(samples // 400 + 1) > 0.5, 400)[:samples]
    return (0.2 * loud * generator.standard_normal(samples)).clip(-1, 1).astype(np.float32)


# ------------------------------------------------------------------------------------------------------ names


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy_recogniser.py").write_text(TOY)
    (tmp_path / "half_recogniser.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("toy_recogniser", None)


def test_ones_own_recogniser_is_found_by_its_factory(toy):
    recogniser = load_recogniser("python:toy_recogniser:make")
    assert isinstance(recogniser, Recogniser) and recogniser.name == "toy"
    assert recogniser.transcribe(noise(5), 8000, "fr") == Reading("5 8000 fr", 0.5)


@pytest.mark.parametrize(
    "spec, message",
    [
        ("whisper:here", "expected one of faster-whisper:FOLDER, pocketsphinx, python:MODULE:FACTORY. Did you mean"),
        ("", "recogniser '': expected one of"),
        ("pocketsphinx:en-us", "'pocketsphinx:en-us': expected 'pocketsphinx' alone"),
        ("faster-whisper", "expected faster-whisper:FOLDER"),
        ("python:toy_recogniser", "expected python:MODULE:FACTORY"),
        ("python::make", "expected python:MODULE:FACTORY"),
        ("python:toy_recogniser:mke", "has no function 'mke'. Did you mean 'make'"),
        ("python:toy_recogniser:nothing", "has no function 'nothing'"),
        ("python:toy_recogniser:careless", "got NoneType, expected an object with name, languages and transcribe"),
        ("python:no_such_module:make", "no module 'no_such_module', expected one that is installed or on PYTHONPATH"),
        ("python:toy_recogniser.inner:make", "no module 'toy_recogniser.inner'"),
    ],
)
def test_what_names_no_recogniser_is_answered(toy, spec, message):
    with pytest.raises(VQAudioError) as raised:
        load_recogniser(spec)
    assert message in str(raised.value)
    assert not isinstance(raised.value, NotMeasured)


def test_what_ones_own_module_lacks_is_shown_as_it_is(toy):
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        load_recogniser("python:half_recogniser:make")


def test_a_missing_package_is_a_reason(monkeypatch, whisper_folder):
    for module in ("pocketsphinx", "faster_whisper"):
        monkeypatch.setitem(sys.modules, module, None)
    for spec, package in [("pocketsphinx", "pocketsphinx"), (f"faster-whisper:{whisper_folder}", "faster-whisper")]:
        with pytest.raises(NotMeasured, match=f"{package} is not installed"):
            load_recogniser(spec)


def test_languages_are_told_by_the_first_part_of_their_tags():
    some, all_ = SimpleNamespace(languages=("en", "pt-BR")), SimpleNamespace(languages=None)
    assert [reads(some, tag) for tag in ("en-GB", "EN", "pt", "fr", None)] == [True, True, True, False, True]
    assert reads(all_, "fr")


@pytest.mark.parametrize("fields", [(None,), ("a", 1.5), ("a", -0.1), ("a", math.nan), ("a", "0.5"), (3, 0.5)])
def test_a_reading_is_a_text_and_a_probability(fields):
    with pytest.raises(VQAudioError, match="a reading"):
        Reading(*fields)


# ---------------------------------------------------------------------------------------------------- Whisper


@pytest.fixture
def whisper_folder(tmp_path):
    folder = tmp_path / "tiny-model"
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_text("x")
    return folder


@pytest.fixture
def fake_whisper(monkeypatch):
    """A package whose model notes what it is asked and reads what it is told: `readings` by the call."""
    fake = SimpleNamespace(asked=[], made=[], readings=[[]])

    class WhisperModel:
        supported_languages = ("en",)

        def __init__(self, *args, **options):
            fake.made.append((args, options))

        def transcribe(self, sound, **options):
            fake.asked.append((sound, options))
            return iter(fake.readings[len(fake.asked) - 1]), None

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=WhisperModel, __version__="9.9"))
    return fake


def segment(text: str, tokens: int, logprob: float, ratio: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(text=text, tokens=[0] * tokens, avg_logprob=logprob, compression_ratio=ratio)


def test_whisper_is_asked_for_one_reading_without_chance_or_network(fake_whisper, whisper_folder):
    recogniser = load_recogniser(f"faster-whisper:{whisper_folder}")
    recogniser.transcribe(noise(), 8000, "en-GB")
    ((args, made),) = fake_whisper.made
    assert args == (str(whisper_folder),)
    assert made == {"device": "cpu", "compute_type": "int8", "local_files_only": True}
    ((sound, asked),) = fake_whisper.asked
    assert asked == {"language": "en", "beam_size": 5, "temperature": 0.0, "condition_on_previous_text": False,
                     "log_prob_threshold": None}  # fmt: skip
    assert sound.dtype == np.float32 and np.array_equal(sound, resample(noise(), 8000, 16000))
    assert recogniser.languages == ("en",)


def test_the_confidence_is_the_geometric_mean_of_the_tokens_probabilities(fake_whisper, whisper_folder):
    fake_whisper.readings = [[segment(" Press", 3, -1.0), segment(" one. ", 1, -0.2)]]
    reading = load_recogniser(f"faster-whisper:{whisper_folder}").transcribe(noise(), 16000, None)
    assert reading.text == "Press one."
    assert reading.confidence == pytest.approx(math.exp(-3.2 / 4))


def test_a_loop_is_read_again_with_repetitions_suppressed(fake_whisper, whisper_folder):
    fake_whisper.readings = [[segment("well", 1, -1), segment("no " * 80, 80, -0.1, 18.0)], [segment("no", 1, -1.0)]]
    reading = load_recogniser(f"faster-whisper:{whisper_folder}").transcribe(noise(), 16000, None)
    assert reading == Reading("no", math.exp(-1.0))
    assert [set(options) & set(recognisers.AGAINST_LOOPS) for _, options in fake_whisper.asked] == [
        set(), {"repetition_penalty", "no_repeat_ngram_size"}
    ]  # fmt: skip


def test_silence_is_not_read(fake_whisper, whisper_folder):
    recogniser = load_recogniser(f"faster-whisper:{whisper_folder}")
    for silence in (np.zeros(8000, np.float32), np.zeros(0, np.float32), np.full(80, 1 / 32768, np.float32)):
        assert recogniser.transcribe(silence, 8000, "en") == Reading("")
    assert not fake_whisper.asked
    assert recogniser.transcribe(noise(), 8000, "en") == Reading("", None)  # nothing read in what is loud


def test_a_models_name_is_that_of_its_folder_and_weights(fake_whisper, whisper_folder):
    def name() -> str:
        return load_recogniser(f"faster-whisper:{whisper_folder}").name

    before = name()
    assert before.startswith("faster-whisper 9.9: tiny-model ") and str(whisper_folder.parent) not in before
    assert name() == before
    (whisper_folder / "model.bin").write_text("y")
    assert name() != before


def test_a_folder_without_a_model_is_answered(whisper_folder):
    with pytest.raises(VQAudioError, match=r"no such folder.* Did you mean 'tiny-model'"):
        load_recogniser(f"faster-whisper:{whisper_folder.parent}/tiny-modl")
    (whisper_folder / "tokenizer.json").unlink()  # which the package would fetch
    with pytest.raises(VQAudioError, match=r"lacks tokenizer\.json, expected a Whisper model in CTranslate2"):
        load_recogniser(f"faster-whisper:{whisper_folder}")


def test_a_broken_model_is_answered(whisper_folder):
    pytest.importorskip("faster_whisper")
    with pytest.raises(VQAudioError, match="tiny-model: no Whisper model that CTranslate2 can load"):
        load_recogniser(f"faster-whisper:{whisper_folder}")


@pytest.fixture(scope="module")
def whisper():
    pytest.importorskip("faster_whisper")
    folder = os.environ.get("VQAUDIO_TEST_WHISPER")
    if not folder:
        pytest.skip("VQAUDIO_TEST_WHISPER names no Whisper model")
    return load_recogniser(f"faster-whisper:{folder}")


# ------------------------------------------------------------------------------- whichever are installed


@pytest.fixture(scope="module")
def sphinx():
    pytest.importorskip("pocketsphinx")
    return load_recogniser("pocketsphinx")


@pytest.fixture(params=["sphinx", "whisper"])
def recogniser(request):
    return request.getfixturevalue(request.param)


def sentence(name: str) -> tuple[np.ndarray, int, str]:
    """Return a recorded sentence, its rate, and its words."""
    path = TIMIT / f"{name}.wav"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return *read_audio(path), path.with_suffix(".txt").read_text().split(maxsplit=2)[2]


def test_no_words_are_read_in_silence_and_noise(recogniser):
    assert recogniser.transcribe(np.zeros(16000, np.float32), 8000, "en") == Reading("")
    steady = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert recogniser.transcribe(steady, 16000, "en").text == ""


def test_a_reading_depends_on_its_utterance_alone(recogniser):
    first, second = noise(8000, seed=1), noise(4000, seed=2)
    before = recogniser.transcribe(first, 8000, "en")
    recogniser.transcribe(second, 8000, "en")
    assert recogniser.transcribe(first, 8000, "en") == before


def test_what_is_said_is_read(recogniser, monkeypatch):
    """Half of the words of a clear sentence: the smallest models misread a word or two of it."""
    waveform, rate, text = sentence("dr7-fblv0/sx158")
    monkeypatch.setattr(socket, "socket", None)  # no network
    reading = recogniser.transcribe(waveform, rate, "en")
    said = normalise(text)
    assert edit_operations(said, normalise(reading.text)).total <= len(said) / 2, (text, reading)
    assert 0.1 < reading.confidence <= 1
    assert recogniser.transcribe(waveform, rate, None) == reading
