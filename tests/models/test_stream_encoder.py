"""Units of sound as it comes are those of the whole, each as early as it can be known."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import small_config
from vqaudio.audio.io import read_audio
from vqaudio.config import VQVAETrainingConfig
from vqaudio.config_files import load_config
from vqaudio.errors import VQAudioError
from vqaudio.models.stream_encoder import StreamEncoder
from vqaudio.models.vqvae import VQVAE, WINDOW_UNITS

ROOT = Path(__file__).parents[2]
SPEECH = ROOT.parent / "shared/data/fsdd/recordings"
HOP = 8
WINDOW = WINDOW_UNITS * HOP


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.3 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def model_for(waveform: torch.Tensor, config, speakers: int = 1) -> VQVAE:
    """Return a model whose codes lie among its encoder's outputs of a waveform, so that small errors would show."""
    torch.manual_seed(0)
    model = VQVAE(config, speakers).eval()
    samples = len(waveform) - (len(waveform) - sum(model.context)) % model.hop_length
    with torch.no_grad():
        z_e = model.encoder(model.emphasise(waveform[None, :samples])).reshape(-1, config.quantizer.code_dim)
    model.quantizer.initialise(z_e, torch.Generator().manual_seed(0))
    return model


MODEL = model_for(noise(4000 * HOP), small_config())


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Windows this small take a millisecond on one thread, and many where threads wait for a busy core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pushed(encoder: StreamEncoder, pieces) -> torch.Tensor:
    return torch.cat([*(encoder.push(piece) for piece in pieces), encoder.finish()])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 2 * WINDOW) | st.integers(0, 3 * HOP), max_size=8),
    st.sampled_from([1, 2, 7, WINDOW_UNITS]),
    st.integers(0, 1000),
)
def test_units_do_not_depend_on_the_pieces(sizes, step_units, seed):
    waveform = noise(sum(sizes), seed)
    pieces = waveform.split(sizes) if sizes else []
    assert torch.equal(pushed(StreamEncoder(MODEL, step_units), pieces), MODEL.encode(waveform))


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("windows", [1, 2])
def test_waveforms_that_end_near_the_border_of_a_window(windows, beyond):
    for tail in (0, MODEL.context[1]):
        waveform = noise(windows * WINDOW + tail + beyond)
        assert torch.equal(pushed(StreamEncoder(MODEL), waveform.split(300)), MODEL.encode(waveform))


def test_units_at_more_threads_than_one():
    torch.set_num_threads(2)
    waveform = noise(WINDOW + 500)
    units = pushed(StreamEncoder(MODEL), waveform.split(400)), MODEL.encode(waveform)
    torch.set_num_threads(1)
    assert torch.equal(*units)


@pytest.mark.parametrize("step_units", [1, 3])
def test_a_unit_is_given_as_soon_as_its_context_is_there_and_no_sooner(step_units):
    encoder = StreamEncoder(MODEL, step_units)
    came = []  # for each unit, how many samples had come
    for total, sample in enumerate(noise(60 * HOP).split(1), start=1):
        came += [total] * len(encoder.push(sample))
    assert encoder.latency_samples == step_units * HOP + MODEL.context[1]
    firsts = [total - unit * HOP for unit, total in enumerate(came)]
    assert firsts[::step_units] == [encoder.latency_samples] * len(firsts[::step_units])
    assert max(firsts) == encoder.latency_samples
    assert len(came) == (60 * HOP - encoder.latency_samples) // (HOP * step_units) * step_units + step_units


def test_the_latency_in_seconds():
    encoder = StreamEncoder(MODEL)
    assert encoder.latency_seconds == encoder.latency_samples / 8000


def test_what_is_given_before_is_a_beginning_of_what_is_given_at_last():
    """A unit is never taken back: the encoder of the shorter waveform gave the first ones of the longer."""
    waveform = noise(500 * HOP)
    encoder, so_far = StreamEncoder(MODEL), torch.zeros(0, dtype=torch.long)
    whole = MODEL.encode(waveform)
    for piece in waveform.split(333):
        so_far = torch.cat([so_far, encoder.push(piece)])
        assert torch.equal(so_far, whole[: len(so_far)])
    assert len(so_far) == (500 * HOP - MODEL.context[1]) // HOP


def test_arrays_and_tensors_of_any_float_type():
    waveform = noise(50 * HOP).half().float()
    whole = MODEL.encode(waveform)
    for given_as in (waveform.numpy(), waveform.double(), waveform.half(), waveform.numpy().astype(np.float64)):
        units = pushed(StreamEncoder(MODEL), [given_as])
        assert units.dtype == torch.long and torch.equal(units, whole)


def test_units_are_ordinary_tensors():
    units = StreamEncoder(MODEL).push(noise(50 * HOP))
    units += 1  # an inference tensor would refuse


def test_no_samples_have_no_units():
    encoder = StreamEncoder(MODEL)
    assert encoder.push(torch.zeros(0)).shape == encoder.finish().shape == (0,)


def test_a_wrong_piece_is_refused_and_leaves_no_trace():
    waveform = noise(60 * HOP)
    encoder, bad = StreamEncoder(MODEL), waveform[100:200].clone()
    bad[7] = math.nan
    first = encoder.push(waveform[:100])
    with pytest.raises(VQAudioError, match="samples: 1 samples are NaN or infinite, the first is number 107"):
        encoder.push(bad)
    with pytest.raises(VQAudioError, match=r"samples: got shape \(1, 380\), expected mono"):
        encoder.push(waveform[None, 100:])
    with pytest.raises(VQAudioError, match="samples: got int16 samples, expected floats"):
        encoder.push((waveform[100:] * 32768).short())
    with pytest.raises(VQAudioError, match=r"samples reach .*, expected a scale of"):
        encoder.push(waveform[100:] * 32768)
    units = torch.cat([first, encoder.push(waveform[100:]), encoder.finish()])
    assert torch.equal(units, MODEL.encode(waveform))


def test_nothing_comes_after_the_end():
    encoder = StreamEncoder(MODEL)
    encoder.push(noise(10))
    assert len(encoder.finish()) == 2
    with pytest.raises(VQAudioError, match=r"push after finish: .* takes a StreamEncoder of its own"):
        encoder.push(noise(10))
    with pytest.raises(VQAudioError, match="finish after finish"):
        encoder.finish()


@pytest.mark.parametrize("step_units", [0, WINDOW_UNITS + 1])
def test_a_step_fits_into_a_window(step_units):
    with pytest.raises(VQAudioError, match=f"step_units: got {step_units}, expected 1 to {WINDOW_UNITS}"):
        StreamEncoder(MODEL, step_units)


@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"the Free Spoken Digit Dataset is not in {SPEECH}")
def test_real_speech_through_the_default_encoder():
    """512 codes among the outputs of some 4 s of digits: where rounding differed, some unit would."""
    digits = [read_audio(SPEECH / f"{digit}_{who}_0.wav")[0] for digit in range(4) for who in ("george", "nicolas")]
    waveform = torch.from_numpy(np.concatenate(digits))
    config = load_config(ROOT / "recipes/asterisk/conf/train_vqvae.yaml", VQVAETrainingConfig).model
    model = model_for(waveform, config)
    whole = model.encode(waveform)
    assert len(whole.unique()) > 50  # of 160 or so
    for size in (320, 4001):
        assert torch.equal(pushed(StreamEncoder(model), waveform.split(size)), whole)
