"""The toolkit from Python: what a user hands in and gets back, and what is refused."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

import vqaudio
from tests.markdown import ROOT, code_blocks
from tests.small import CODES, HOP, RATE, SPEAKERS, decoded_by_hand, small_prior, small_vqvae, sound
from vqaudio.api import Model, Prior
from vqaudio.audio.resample import resample
from vqaudio.errors import ModelError, UnitsError, VQAudioError
from vqaudio.generation.precision_gate import PrecisionRecord
from vqaudio.models.folder import save_model, weights_hash
from vqaudio.units.spec import UnitSpec


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(small_vqvae(), SPEAKERS)


@pytest.fixture(scope="module")
def prior(model) -> Prior:
    return Prior(small_prior(), SPEAKERS, model.unit_spec)


# ----------------------------------------------------------------------------------------- loading and saving


def test_a_saved_model_says_and_does_the_same(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = vqaudio.load(tmp_path)
    units = model.encode(sound(1000), RATE)
    assert loaded.speakers == SPEAKERS
    assert loaded.unit_spec == model.unit_spec
    assert torch.equal(loaded.encode(sound(1000), RATE), units)
    assert torch.equal(loaded.decode(units, "boris"), model.decode(units, "boris"))


def test_properties(model):
    assert (model.sample_rate, model.hop_length, model.codebook_size) == (RATE, HOP, CODES)
    assert model.unit_rate == RATE / HOP
    assert model.codebook.shape == (CODES, 4)


def test_the_codebook_is_a_copy(model):
    before = model.codebook
    model.codebook[:] = 0
    assert torch.equal(model.codebook, before)


def test_loading_leaves_the_callers_random_numbers_alone(model, tmp_path):
    model.save_pretrained(tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    vqaudio.load(tmp_path)
    assert torch.rand(1) == expected


def test_the_package_is_imported_without_torch_until_it_is_used():
    code = "import sys, vqaudio; print(vqaudio.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [vqaudio.__version__, "False"]


# --------------------------------------------------------------------------------------------------- encode


@pytest.mark.parametrize("samples", [1, HOP - 1, HOP, HOP + 1, 20 * HOP + 3])
def test_there_is_a_unit_for_each_hop_begun(model, samples):
    units = model.encode(sound(samples), RATE)
    assert units.dtype == torch.long
    assert units.shape == (-(-samples // HOP),)


def test_arrays_and_tensors_of_any_float_type_alone_and_in_lists_are_the_same(model):
    waves = [sound(500, 0), sound(300, 1)]
    alone = [model.encode(wave, RATE) for wave in waves]
    for variant in (waves, tuple(waves), [torch.from_numpy(w) for w in waves], [w.astype(np.float64) for w in waves],
                    [np.repeat(w, 2)[::2] for w in waves]):  # fmt: skip
        assert all(torch.equal(a, b) for a, b in zip(model.encode(variant, RATE), alone))


def test_another_rate_is_resampled_and_the_log_says_so(model, caplog):
    wave = sound(4000, rate=22050)
    with caplog.at_level("INFO"):
        units = model.encode(wave, 22050)
    assert torch.equal(units, model.encode(resample(wave, 22050, RATE), RATE))
    assert "waveform: resampled from 22050 Hz to the model's 8000 Hz" in caplog.text
    caplog.clear()
    model.encode(wave, RATE)
    assert "resampled" not in caplog.text


@pytest.mark.parametrize(("wave", "message"), [
    (np.zeros((2, 100), np.float32), r"got shape \(2, 100\), expected mono"),
    (np.zeros(0, np.float32), r"got shape \(0,\)"),
    (np.zeros(100, np.int16), "got int16 samples, expected floats"),
    (np.array([0, np.nan, np.inf], np.float32), "2 samples are NaN or infinite, the first is number 1"),
    (np.full(10, 3000.0, np.float32), r"samples reach 3000, expected a scale of \[-1, 1\]"),
])  # fmt: skip
def test_unusable_waveforms_are_refused(model, wave, message):
    with pytest.raises(VQAudioError, match=f"waveform: {message}"):
        model.encode(wave, RATE)
    with pytest.raises(VQAudioError, match=f"waveform 1: {message}"):
        model.encode([sound(10), wave], RATE)


@pytest.mark.parametrize("rate", [0, -8000, 8000.5])
def test_unusable_rates_are_refused(model, rate):
    with pytest.raises(VQAudioError, match="sample rate"):
        model.encode(sound(100), rate)


def test_too_few_samples_at_another_rate_are_refused(model):
    with pytest.raises(VQAudioError, match="1 samples at 48000 Hz are none at 8000 Hz"):
        model.encode(sound(1), 48000)


# --------------------------------------------------------------------------------------------------- decode


def test_a_waveform_is_what_the_decoder_makes_of_the_units(model):
    units = [3, 3, 1, 0, 15, 2]
    audio = model.decode(units, "boris", seed=5)
    assert audio.dtype == torch.float32 and audio.shape == (6 * HOP,)
    assert torch.equal(audio, decoded_by_hand(small_vqvae(), units, 1, 5, "0"))


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda u: np.array(u, np.uint8)])
def test_units_of_any_kind(model, kind):
    units = [1, 2, 3]
    assert torch.equal(model.decode(kind(units), "anna"), model.decode(torch.tensor(units), "anna"))


def test_each_of_a_list_is_as_alone(model):
    units = [[1, 2, 3], [4] * 9, []]
    together = model.decode(units, ["anna", "boris", "anna"], [40, 100, 0], temperature=0.7)
    alone = [model.decode(*arguments, temperature=0.7) for arguments in zip(units[:2], SPEAKERS, [40, 100])]
    assert [len(wave) for wave in together] == [40, 100, 0]
    assert torch.equal(together[0], alone[0]) and torch.equal(together[1], alone[1])


def test_one_name_and_one_length_stand_for_a_list_of_one(model):
    assert [len(w) for w in model.decode([[1, 2]], "anna", [5])] == [5]
    assert [len(w) for w in model.decode([[1, 2], [3]], "anna")] == [2 * HOP, HOP]
    assert model.decode([], "anna") == []


def test_options_and_seed_matter(model):
    units = [1, 2, 3, 4]
    plain = model.decode(units, "anna")
    assert torch.equal(plain, model.decode(units, "anna", seed=0))
    others = ({"seed": 1}, {"temperature": 0.3}, {"top_k": 1}, {"top_p": 0.2})
    assert all(not torch.equal(plain, model.decode(units, "anna", **other)) for other in others)
    assert torch.equal(model.decode(units, "anna", top_k=1), model.decode(units, "anna", top_k=1, seed=1))


def test_the_speaker_matters_and_is_needed_where_there_are_several(model):
    assert not torch.equal(model.decode([1, 2], "anna"), model.decode([1, 2], "boris"))
    with pytest.raises(ModelError, match="one of the 2 that the model knows: anna, boris"):
        model.decode([1, 2])
    with pytest.raises(ModelError, match=r"'bors' is not among the model's 2\. Did you mean 'boris'"):
        model.decode([1, 2], "bors")
    assert Model(small_vqvae(speakers=1), ["anna"]).decode([1, 2]).shape == (2 * HOP,)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([1, CODES], "anna"), UnitsError, f"unit {CODES}, expected 0 to {CODES - 1}"),
    (([1, -1], "anna"), UnitsError, "unit -1, expected 0"),
    (([0.5, 1.0], "anna"), UnitsError, "got float32 values, expected integers"),
    (([True], "anna"), UnitsError, "got bool values"),
    ((torch.zeros(2, 3, dtype=torch.long), "anna"), UnitsError, r"units of shape \(2, 3\)"),
    ((["a", "b"], "anna"), UnitsError, "expected a sequence of integers"),
    (([1, 2], "anna", 2 * HOP + 1), VQAudioError, f"got {2 * HOP + 1}, expected 0 to {2 * HOP} samples"),
    (([1, 2], "anna", -1), VQAudioError, "got -1"),
    (([[1], [2]], ["anna"] * 3), VQAudioError, r"speakers: got 3, expected 1 or as many as there are sequences \(2\)"),
    (([[1], [2], [3]], "anna", [1, 2]), VQAudioError, "lengths: got 2"),
])  # fmt: skip
def test_mistakes(model, arguments, error, message):
    with pytest.raises(error, match=message):
        model.decode(*arguments)


def test_bad_options_are_refused(model):
    with pytest.raises(VQAudioError, match="temperature: got 0"):
        model.decode([1], "anna", temperature=0)


def test_engine_and_precision_reach_what_generates(model, prior):
    torch_made = model.decode([1, 2, 3], "anna", engine="torch")
    assert torch.equal(torch_made, model.decode([1, 2, 3], "anna"))
    wrong = {"engine": "torch", "precision": "int8", "force_precision": True}
    for call in (
        lambda: model.decode([1], "anna", **wrong),
        lambda: model.stream([1], "anna", **wrong),
        lambda: model.convert(sound(100), RATE, "anna", **wrong),
        lambda: model.sample(prior, seconds=0.1, seed=3, **wrong),
    ):
        with pytest.raises(VQAudioError, match="torch has no int8, but float32"):
            call()


def test_a_precision_needs_a_record_of_these_very_weights(tmp_path):
    model = Model(small_vqvae(), SPEAKERS)
    with pytest.raises(ModelError, match="int8: its cost has not been measured"):
        model.decode([1], "anna", precision="int8")
    passed = PrecisionRecord(weights_hash(model.network), 5.0, {"int8": 0.01}, 1, 1.0)
    Model(model.network, SPEAKERS, passed).save_pretrained(tmp_path)
    model = vqaudio.load(tmp_path)
    model.require_precision("int8")
    with pytest.raises(ModelError, match="bfloat16: its cost has not been measured"):
        model.require_precision("bfloat16")
    with torch.no_grad():
        model.network.decoder.stack.output.bias += 1
    with pytest.raises(ModelError, match="measured on other weights"):
        model.require_precision("int8")
    model.require_precision("int8", force=True)


def test_every_way_to_generate_asks_whether_the_precision_may_be_used(prior):
    model, asked = Model(small_vqvae(), SPEAKERS), []
    model.require_precision = lambda precision, force: asked.append((precision, force))
    model.decode([1], "anna", force_precision=True)
    model.stream([1], "anna")
    model.convert(sound(100), RATE, "anna")
    model.sample(prior, seconds=0.1)
    assert asked == [("float32", True)] + [("float32", False)] * 3


# --------------------------------------------------------------------------------------------------- streams


def joined(chunks) -> torch.Tensor:
    return torch.cat(list(chunks))


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_a_stream_is_the_decoded_waveform(model, kind):
    units = [3, 3, 1, 0, 15, 2] * 10
    options = {"seed": 4, "temperature": 0.8, "top_k": 9, "top_p": 0.9}
    chunks = list(model.stream(kind(units), "boris", chunk_units=7, **options))
    assert [len(chunk) for chunk in chunks] == [HOP, 2 * HOP, 4 * HOP, *[7 * HOP] * 7, 4 * HOP]
    assert torch.equal(joined(chunks), model.decode(units, "boris", **options))


@pytest.mark.parametrize("item", [int, np.int64, torch.tensor, lambda u: np.array([u]), lambda u: torch.tensor([u])])
def test_units_that_become_known_one_by_one(model, item):
    units = [5, 1, 2] * 9
    assert torch.equal(joined(model.stream((item(u) for u in units), "anna")), model.decode(units, "anna"))


def test_from_ear_to_mouth_piece_by_piece(model):
    """Live conversion, as docs/concepts.md shows it: units go on as they become known."""
    (block,) = code_blocks((ROOT / "docs/concepts.md").read_text(encoding="utf-8"), "python")
    names: dict = {}
    exec(compile(block, "concepts.md", "exec"), names)
    wave = sound(1000)
    live = joined(names["converted"](model, np.split(wave, range(70, 1000, 70)), "boris"))
    assert torch.equal(live[:1000], model.convert(wave, RATE, "boris"))


def test_a_stream_encoder_gives_the_units_of_the_whole(model):
    wave, encoder = sound(3000), model.stream_encoder(step_units=2)
    units = joined([*(encoder.push(piece) for piece in np.split(wave, range(90, 3000, 90))), encoder.finish()])
    assert torch.equal(units, model.encode(wave, RATE))
    assert encoder.latency_seconds * RATE == encoder.latency_samples == 2 * HOP + model.network.context[1]


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([1, CODES], "anna"), UnitsError, f"unit {CODES}, expected 0 to {CODES - 1}"),
    (([[1], [2]], "anna"), UnitsError, r"units of shape \(2, 1\)"),
    ((7, "anna"), UnitsError, r"units of shape \(\)"),
    (([1], "bors"), ModelError, "Did you mean 'boris'"),
    (([1],), ModelError, "one of the 2 that the model knows"),
])  # fmt: skip
def test_mistakes_of_a_stream_are_found_at_once(model, arguments, error, message):
    with pytest.raises(error, match=message):
        model.stream(*arguments)


def test_a_mistake_that_comes_later_is_found_when_it_comes(model):
    stream = model.stream(iter([*[1] * 20, 0.5]), "anna", chunk_units=4)
    next(stream)
    with pytest.raises(UnitsError, match="got float32 values, expected integers"):
        list(stream)


# ------------------------------------------------------------------------------------------ convert and sample


@pytest.mark.parametrize(("samples", "rate"), [(1003, RATE), (2205, 22050)])
def test_conversion_lasts_as_long_in_the_other_voice(model, samples, rate):
    wave = sound(samples, rate=rate)
    converted = model.convert(wave, rate, "boris", seed=3)
    expected = model.decode(model.encode(wave, rate), "boris", seed=3)
    assert len(converted) == round(samples * RATE / rate)
    assert torch.equal(converted, expected[: len(converted)])


def test_samples_are_speech_of_the_priors_units(model, prior):
    waves = model.sample(prior, n=3, seconds=0.1, seed=2)
    units = model.sample_units(prior, ["anna", "boris", "anna"], 0.1, seed=2)
    assert [len(w) for w in waves] == [HOP * len(u) for u in units]
    assert max(map(len, waves)) <= 0.1 * RATE
    assert torch.equal(waves[0], decoded_by_hand(small_vqvae(), units[0].tolist(), 0, 2, "0"))
    assert torch.equal(waves[1], decoded_by_hand(small_vqvae(), units[1].tolist(), 1, 2, "1"))


def test_samples_of_named_speakers_and_with_options(model, prior):
    anna = model.sample(prior, n=2, speaker="anna", seconds=0.1)
    mixed = model.sample(prior, n=2, speaker=["anna", "boris"], seconds=0.1)
    assert torch.equal(anna[0], mixed[0]) and not torch.equal(anna[1], mixed[1])
    likeliest = [model.sample(prior, seconds=0.1, prior_top_k=1, top_k=1, seed=seed)[0] for seed in (0, 1)]
    assert torch.equal(*likeliest)


def test_a_prior_is_loaded_with_what_it_knows_and_refuses_another_model(model, prior, tmp_path):
    save_model(tmp_path, prior.network, SPEAKERS, {"units": dataclasses.asdict(model.unit_spec)})
    loaded = vqaudio.load_prior(tmp_path)
    assert loaded.speakers == SPEAKERS and loaded.unit_spec == model.unit_spec
    assert len(model.sample(loaded, n=2, seconds=0.05)) == 2
    other = Model(small_vqvae(seed=1), SPEAKERS)
    with pytest.raises(UnitsError, match="the units that the prior learned belong to another model"):
        other.sample(loaded)


@pytest.mark.parametrize("about", [{}, {"units": {"sample_rate": 8000}}, {"units": None}])
def test_a_prior_that_does_not_say_whose_units_it_knows_is_refused(prior, tmp_path, about):
    save_model(tmp_path, prior.network, SPEAKERS, about)
    with pytest.raises(ModelError, match=f"{tmp_path}/config.yaml: the units that the prior knows"):
        vqaudio.load_prior(tmp_path)


def test_a_speaker_whom_the_prior_lacks_is_named(model):
    small = Prior(small_prior(speakers=1), ["anna"], UnitSpec.of_model(model.network))
    with pytest.raises(ModelError, match="'boris'"):
        model.sample(small, speaker="boris")
    with pytest.raises(VQAudioError, match=r"at least one unit, 0\.002 s"):
        model.sample(small, speaker="anna", seconds=0.001)
