"""What trainings leave for TensorBoard, read back from their event files."""

import errno
import io
import os
import re
import wave
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.io.gfile import LocalFileSystem
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from tests.training.conftest import prior_config, train, vqvae_config
from vqaudio.audio.io import read_audio
from vqaudio.config_files import to_dict
from vqaudio.evaluation.unit_statistics import code_perplexity, code_usage, unigram_bits_per_unit, unit_counts
from vqaudio.training import loop
from vqaudio.training import monitor as monitor_module
from vqaudio.training.monitor import CodeUsage, Monitor
from vqaudio.training.monitor_layout import flat
from vqaudio.training.prior import PriorTask, train_prior
from vqaudio.units.text import read_frame_units

ALL = {"scalars": 0, "images": 0, "audio": 0, "histograms": 0, "tensors": 0}  # of each name, keep every value


def read(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance=ALL)
    return events.Reload()


def steps(values) -> list[int]:
    return [value.step for value in values]


@pytest.fixture(scope="module")
def vqvae(trained) -> EventAccumulator:
    return read(trained / "tensorboard")


@pytest.fixture(scope="module")
def prior_folder(trained, units, tmp_path_factory):
    folders, utt2spk = units
    expdir = tmp_path_factory.mktemp("prior")
    config = prior_config(audio_interval=6)
    assert train_prior(config, trained / "model", folders / "train", folders / "dev", utt2spk, expdir)
    return expdir


@pytest.fixture(scope="module")
def prior(prior_folder) -> EventAccumulator:
    return read(prior_folder / "tensorboard")


def test_a_vqvae_writes_its_scalars_at_their_intervals(vqvae):
    logged = {"loss/total", "loss/bits_per_sample", "loss/unigram_bits_per_sample", "loss/vq", "loss/mel"}
    logged |= {"train/learning_rate", "train/gradient_norm", "train/samples_per_second"}
    window = {"codebook/usage", "codebook/perplexity", "codebook/dead", "codebook/revived"}
    dev = {f"dev/bits_per_sample_{kind}" for kind in ("true", "shuffled", "zero", "gain")}
    dev |= {"dev/code_usage", "dev/code_perplexity"}
    expected = {name: [4, 8, 12] for name in logged} | {name: [8, 12] for name in window}
    expected |= {name: [6, 12] for name in dev}  # the codebook begins at step 4
    assert {name: steps(vqvae.Scalars(name)) for name in vqvae.Tags()["scalars"]} == expected


def test_a_prior_writes_its_scalars_at_their_intervals(prior):
    logged = {
        "loss/total",
        "loss/bits_per_unit",
        "loss/unigram_bits_per_unit",
        "train/learning_rate",
        "train/gradient_norm",
    }
    expected = {name: [4, 8, 12] for name in logged | {"train/units_per_second"}}
    dev = ("dev/bits_per_unit", "dev/end_bits_per_utterance", "dev/unigram_bits_per_unit", "unconditional/seconds")
    expected |= {name: [6, 12] for name in dev}
    assert {name: steps(prior.Scalars(name)) for name in prior.Tags()["scalars"]} == expected


@pytest.mark.parametrize("kind", ["vqvae", "prior"])
def test_a_name_is_of_one_kind(kind, request):
    """TensorBoard's data server keeps the first kind of a name that it meets, and shows nothing of the other."""
    tags = request.getfixturevalue(kind).Tags()
    names = [name for kind in ("scalars", "images", "audio", "histograms", "tensors") for name in tags[kind]]
    assert len(names) == len(set(names)) > 10


def read_wav(encoded: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(encoded)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767, file.getframerate()


def test_recordings_are_heard_as_they_are(vqvae, corpus):
    assert set(vqvae.Tags()["audio"]) == {
        f"reconstruction/{utterance}/{kind}" for utterance in ("s0-e", "s1-f") for kind in ("natural", "reconstructed")
    }
    for utterance in ("s0-e", "s1-f"):
        (event,) = vqvae.Audio(f"reconstruction/{utterance}/natural")
        waveform, rate = read_wav(event.encoded_audio_string)
        expected, expected_rate = read_audio(corpus / "dev" / "wavs" / f"{utterance}.wav")
        assert rate == expected_rate == event.sample_rate == 8000 and event.step == 12
        np.testing.assert_allclose(waveform, expected, atol=1.01 / 32767)  # PyTorch rounds towards 0
        (event,) = vqvae.Audio(f"reconstruction/{utterance}/reconstructed")
        assert len(read_wav(event.encoded_audio_string)[0]) == len(expected)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_sound_keeps_its_rate_and_is_clipped(tmp_path, rate):
    monitor = Monitor(tmp_path)
    tone = 1.5 * torch.sin(2 * torch.pi * 440 * torch.arange(rate // 2) / rate)
    monitor.audio("a/tone", tone, rate, 3)
    monitor.audio("a/nothing", tone[:0], rate, 3)
    monitor.close()
    events = read(tmp_path)
    assert events.Tags()["audio"] == ["a/tone"]
    waveform, written_rate = read_wav(events.Audio("a/tone")[0].encoded_audio_string)
    assert written_rate == rate
    np.testing.assert_allclose(waveform, tone.clamp(-1, 1), atol=1.01 / 32767)


def test_pictures_can_be_seen(vqvae, prior):
    expected = {f"reconstruction/{utterance}/spectrograms": [12] for utterance in ("s0-e", "s1-f")}
    expected["codebook/sorted_use_on_dev"] = [6, 12]
    assert {name: steps(vqvae.Images(name)) for name in vqvae.Tags()["images"]} == expected
    assert prior.Tags()["images"] == [f"{name}/spectrogram" for name in prior.Tags()["audio"]]
    for events in (vqvae, prior):
        for name in events.Tags()["images"]:
            for event in events.Images(name):
                image = Image.open(io.BytesIO(event.encoded_image_string))
                image.load()
                assert image.mode == "RGB" and image.size == (event.width, event.height)
                assert np.asarray(image).std() > 10  # something is on it


def test_samples_are_as_long_as_is_said(prior):
    for index, event in enumerate(prior.Scalars("unconditional/seconds")):
        sounds = [prior.Audio(name)[index] for name in prior.Tags()["audio"]]
        lengths = [len(read_wav(sound.encoded_audio_string)[0]) / 8000 for sound in sounds]
        # All 4 samples have units here, so that all are heard; 4 s of 16 samples a unit are the limit.
        assert len(lengths) == 4 and event.value == pytest.approx(np.mean(lengths)) and event.value <= 4


def test_a_sample_without_units_is_passed_over(trained, units, tmp_path, monkeypatch):
    folders, utt2spk = units
    monkeypatch.setattr("vqaudio.training.prior.sample_units", lambda *_, **__: [torch.arange(n) for n in (0, 3, 0, 1)])
    assert train_prior(
        prior_config(max_steps=1), trained / "model", folders / "train", folders / "dev", utt2spk, tmp_path
    )
    events = read(tmp_path / "tensorboard")
    assert events.Tags()["audio"] == ["unconditional/1", "unconditional/3"]
    assert events.Scalars("unconditional/seconds")[0].value == pytest.approx(16 / 8000)  # a unit on average


def test_histograms_count_every_code(vqvae, trained):
    for event in vqvae.Histograms("codebook/use_on_dev"):
        value = event.histogram_value
        assert value.bucket_limit == list(range(1, 17)) and sum(value.bucket) == value.num == 2 * 100
        scalars = {name: at(vqvae, f"dev/code_{name}", event.step) for name in ("usage", "perplexity")}
        counts = np.array(value.bucket, dtype=int)
        assert scalars["usage"] == pytest.approx(code_usage(counts))
        assert scalars["perplexity"] == pytest.approx(code_perplexity(counts), rel=1e-6)  # stored in float32
    # Revivals between evaluations are those of the windows of the log: steps 5 … 12 in all.
    histograms = vqvae.Histograms("codebook/revived_codes")
    revived = sum(event.value for event in vqvae.Scalars("codebook/revived"))
    assert sum(event.histogram_value.num for event in histograms) == revived > 0
    tables = sorted((trained / "tensorboard").glob("*/codebook/metadata.tsv"))
    for table, use, revivals in zip(tables, vqvae.Histograms("codebook/use_on_dev"), histograms, strict=True):
        header, *rows = [line.split("\t") for line in table.read_text().splitlines()]
        assert header == ["code", "percent", "revived"] and [row[0] for row in rows] == [str(k) for k in range(16)]
        assert [float(row[1]) for row in rows] == [n / 2 for n in use.histogram_value.bucket]  # % of 200 units
        assert [int(row[2]) for row in rows] == revivals.histogram_value.bucket


def at(events: EventAccumulator, name: str, step: int) -> float:
    (value,) = [event.value for event in events.Scalars(name) if event.step == step]
    return value


def test_the_gain_is_what_shuffling_costs(vqvae):
    for event in vqvae.Scalars("dev/bits_per_sample_gain"):
        bits = [at(vqvae, f"dev/bits_per_sample_{kind}", event.step) for kind in ("shuffled", "true")]
        assert event.value == pytest.approx(bits[0] - bits[1], abs=2e-6)  # of bits stored in float32


def test_the_unigram_is_that_of_the_scorecard(prior, units):
    counts = [unit_counts(read_frame_units(units[0] / part)[0].values(), 16) for part in ("train", "dev")]
    for event in prior.Scalars("dev/unigram_bits_per_unit"):
        assert event.value == pytest.approx(unigram_bits_per_unit(*counts), rel=1e-6)


def charts_of(events: EventAccumulator) -> dict[str, dict[str, list[str]]]:
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    return {group.title: {chart.title: list(chart.multiline.tag) for chart in group.chart} for group in layout.category}


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        ("vqvae", ["Does the decoder use the units?", "Codebook", "Loss", "Optimizer", "Speed"]),
        ("prior", ["Does context help?", "Loss", "Optimizer", "Speed"]),
    ],
)
def test_every_line_of_a_chart_is_one_scalar(kind, groups, request):
    events = request.getfixturevalue(kind)
    charts = charts_of(events)
    assert list(charts) == groups
    for name in [name for group in charts.values() for chart in group.values() for name in chart]:
        # TensorBoard takes what is listed for regular expressions.
        assert [tag for tag in events.Tags()["scalars"] if re.match(name, tag)] == [name]
    lines = charts[groups[0]].popitem()[1] if kind == "prior" else next(iter(charts[groups[0]].values()))
    assert lines == (
        ["dev/bits_per_unit", "dev/unigram_bits_per_unit"]
        if kind == "prior"
        else [f"dev/bits_per_sample_{units}" for units in ("true", "shuffled", "zero")]
    )


def test_there_is_no_chart_of_a_loss_that_there_is_not(corpus, tmp_path):
    assert train(corpus, tmp_path, mel_loss=0.0)
    assert "log-mel" not in charts_of(read(tmp_path / "tensorboard"))["Loss"]


def hyperparameters_of(events: EventAccumulator) -> dict[str, object]:
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}


def test_hyperparameters_are_the_configuration(vqvae, prior, trained, prior_folder):
    of_prior = prior_config(audio_interval=6)
    of_prior = replace(of_prior, model=replace(of_prior.model, codebook_size=16))  # the units say how many codes
    for events, config in ((vqvae, vqvae_config()), (prior, of_prior)):
        values = hyperparameters_of(events)
        expected = flat(to_dict(config))
        assert values == expected
        # True == 1.0: kinds are compared too.
        assert all(
            isinstance(values[name], (bool, str)) == isinstance(expected[name], (bool, str)) for name in expected
        )
        assert values["training.learning_rate"] == 1e-3 and "training.max_minutes" not in values
        content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
        assert plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status == 1  # success
    assert hyperparameters_of(vqvae)["model.encoder.strides"] == "4, 4"
    assert hyperparameters_of(prior)["model.speaker_conditional"] is True
    for folder in (trained, prior_folder):  # one run, of one file of events
        assert len(list((folder / "tensorboard").rglob("events*"))) == 1


def test_flat_values():
    tree = {"a": {"b": 1, "c": {"d": True, "e": None}}, "f": [1, 2], "g": "x", "h": 0.5}
    assert flat(tree) == {"a.b": 1, "a.c.d": True, "f": "1, 2", "g": "x", "h": 0.5}


def test_the_configuration_is_there_to_read(vqvae, trained):
    (event,) = vqvae.Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text == f"```yaml\n{(trained / 'config.yaml').read_text()}```"


def test_a_crash_leaves_nothing_twice(corpus, trained, tmp_path, monkeypatch, vqvae):
    """Step 8 (log) comes after the checkpoint of step 6, and is done again; the evaluation of step 6 is not."""

    class Crash(Exception):
        pass

    original = loop.Trainer._step

    def stepping(trainer, batch):
        if trainer.progress.step == 9:
            raise Crash
        return original(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_step", stepping)
        with pytest.raises(Crash):
            train(corpus, tmp_path)
    assert steps(read(tmp_path / "tensorboard").Scalars("loss/total")) == [4, 8]
    assert train(corpus, tmp_path)
    events = read(tmp_path / "tensorboard")
    assert events.Tags() == vqvae.Tags()
    for name in events.Tags()["scalars"]:
        assert steps(events.Scalars(name)) == steps(vqvae.Scalars(name)), name
        if name.startswith("dev/"):
            assert [e.value for e in events.Scalars(name)] == [e.value for e in vqvae.Scalars(name)], name
    for name in events.Tags()["tensors"]:  # layout, text, hyper-parameters
        assert len(events.Tensors(name)) == 1, name
    assert hyperparameters_of(events) == hyperparameters_of(vqvae)


def test_nothing_is_drawn_that_cannot_be_written(tmp_path, caplog):
    (tmp_path / "file").touch()
    monitor = Monitor(tmp_path / "file")
    monitor.begin(0, {"a": 1}, {})
    monitor.image("a/b", lambda: pytest.fail("drawn in vain"), 1)
    monitor.hyperparameters({"a": 1}, 1.0)
    monitor.close()
    assert caplog.text.count("training goes on") == 1


def test_a_disk_that_is_full_for_a_while_costs_that_while(tmp_path, monkeypatch, caplog):
    """TensorBoard writes in a thread of its own, whose errors come later, and whose traceback is nobody's business."""
    clock, full = [1000.0], [True]
    write = LocalFileSystem.append

    def append(self, *arguments, **options):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "append", append)
    monkeypatch.setattr(LocalFileSystem, "write", append)
    monkeypatch.setattr(monitor_module.time, "monotonic", lambda: clock[0])
    monitor = Monitor(tmp_path)
    monitor.scalars({"a/b": 1.0}, 1)
    full[0] = False
    monitor.scalars({"a/b": 2.0}, 2)  # within the pause: left out
    clock[0] += monitor_module.PAUSE
    monitor.scalars({"a/b": 3.0}, 3)
    monitor.close()
    assert caplog.text.count("No space left on device; training goes on") == 1
    assert [e.step for e in read(tmp_path).Scalars("a/b")] == [3]


def test_units_outside_the_training_set_are_no_matter_to_its_frequencies(trained, units):
    """A code that no training unit has costs much, not infinity."""
    from vqaudio.models.folder import load_vqvae
    from vqaudio.units.spec import UnitSpec

    model, speakers = load_vqvae(trained / "model")
    config = prior_config()
    config = replace(config, model=replace(config.model, codebook_size=16))
    train_units, dev_units = [np.zeros(100, np.int64)], [np.full(4, 7)]
    task = PriorTask(config, model, speakers, UnitSpec.of_model(model), (train_units, [0]), (dev_units, [1]))
    assert task.unigram == pytest.approx(-np.log2(0.5 / (100 + 8)))


def test_the_use_of_codes_of_a_window():
    usage = CodeUsage(4)
    assert usage.scalars() == {}
    usage.add(torch.tensor([[0, 0], [1, 1]]), revived=2)
    usage.add(torch.tensor([0, 1]))
    expected = {"usage": 0.5, "perplexity": 2.0, "dead": 2, "revived": 2}
    assert usage.scalars() == pytest.approx({f"codebook/{name}": value for name, value in expected.items()})
    usage.reset()
    assert usage.scalars() == {}
