"""Configuration: what a YAML file may hold, and how a mistake in it is told."""

import dataclasses

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.config import (
    DecoderConfig,
    EncoderConfig,
    OptimizationConfig,
    PriorConfig,
    PriorTrainingConfig,
    QuantizerConfig,
    StackConfig,
    VQVAEConfig,
    VQVAETrainingConfig,
)
from vqaudio.config_files import from_dict, load_config, save_config, to_dict
from vqaudio.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    """Return a function that writes YAML and returns its path."""

    def write(text: str):
        path = tmp_path / "train.yaml"
        path.write_text(text)
        return path

    return write


# ------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("cls", [VQVAETrainingConfig, PriorTrainingConfig, VQVAEConfig, PriorConfig])
def test_defaults_survive_a_file(cls, tmp_path):
    save_config(cls(), tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml", cls) == cls()


@given(
    strides=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    rate=st.floats(1e-9, 1e3, allow_nan=False),
    minutes=st.one_of(st.none(), st.floats(0.1, 1e4)),
    output=st.sampled_from(["mulaw", "mol"]),
)
def test_any_values_survive_yaml(strides, rate, minutes, output):
    config = VQVAETrainingConfig(
        model=VQVAEConfig(encoder=EncoderConfig(strides=tuple(strides)), decoder=DecoderConfig(output=output)),
        training=OptimizationConfig(max_minutes=minutes, max_steps=7 if minutes is None else None, learning_rate=rate),
    )
    assert from_dict(VQVAETrainingConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


def test_fields_are_written_in_the_order_of_their_definition(tmp_path):
    save_config(VQVAETrainingConfig(), tmp_path / "c.yaml")
    text = (tmp_path / "c.yaml").read_text()
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "model:",
        "training:",
        "seed: 0",
        "init: null",
    ]


def test_an_empty_file_means_the_defaults(file):
    assert load_config(file(""), PriorConfig) == PriorConfig()


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VQVAEConfig().sample_rate = 1


# ------------------------------------------------------------------------------------------------------- keys


def test_an_unknown_key_is_named_by_its_path_with_the_nearest(file):
    path = file("model:\n  encoder:\n    chanels: 64\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, VQVAETrainingConfig)
    assert str(path) in str(error.value)
    assert "unknown key 'model.encoder.chanels'. Did you mean 'channels'" in str(error.value)
    assert "Keys of model.encoder: strides, channels, residual_blocks" in str(error.value)


def test_an_unknown_key_with_nothing_near_lists_the_keys():
    with pytest.raises(ConfigError, match=r"unknown key 'xyzzy'\. Keys of VQVAEConfig: sample_rate, encoder"):
        from_dict(VQVAEConfig, {"xyzzy": 1})


@pytest.mark.parametrize("data", [3, [1], "text"])
def test_a_mapping_is_expected_at_the_top_and_within(data):
    with pytest.raises(ConfigError, match="the configuration: expected a mapping of keys, got"):
        from_dict(VQVAEConfig, data)
    with pytest.raises(ConfigError, match="encoder: expected a mapping of keys, got"):
        from_dict(VQVAEConfig, {"encoder": data})


# ------------------------------------------------------------------------------------------------------ types


@pytest.mark.parametrize(("text", "value"), [
    ("1e-4", 1e-4),  # YAML 1.1 takes it for text
    ("1.0e-4", 1e-4),
    ("'0.5'", 0.5),
    ("1", 1.0),
])  # fmt: skip
def test_numbers_however_yaml_reads_them(file, text, value):
    config = load_config(file(f"training: {{max_steps: 5, learning_rate: {text}}}"), VQVAETrainingConfig)
    assert config.training.learning_rate == value
    assert type(config.training.learning_rate) is float


@pytest.mark.parametrize(("text", "value"), [("1000", 1000), ("1e3", 1000), ("1000.0", 1000), ("null", None)])
def test_whole_numbers_and_none(file, text, value):
    other = "" if value else ", max_minutes: 1"
    config = load_config(file(f"training: {{max_steps: {text}{other}}}"), VQVAETrainingConfig)
    assert config.training.max_steps == value
    assert value is None or type(config.training.max_steps) is int


@pytest.mark.parametrize(("cls", "data", "message"), [
    (OptimizationConfig, {"max_steps": 9, "spectral_steps": 5}, "got 5, expected 0 where mel_loss is 0"),
    (OptimizationConfig, {"max_steps": 9, "cepstral_loss": 2}, "got 2.0, expected 0 where spectral_steps is 0"),
    (OptimizationConfig, {"max_steps": 9, "spectral_share": 0}, "got 0.0, expected above 0, and at most 1"),
    (OptimizationConfig, {"max_steps": 1.5}, "max_steps: got 1.5, expected a whole number"),
    (OptimizationConfig, {"max_steps": "many"}, "max_steps: got 'many', expected a whole number"),
    (OptimizationConfig, {"max_steps": True}, "max_steps: got True, expected a whole number"),
    (OptimizationConfig, {"max_steps": [1]}, r"max_steps: got \[1\], expected a whole number"),
    (OptimizationConfig, {"max_steps": 1, "learning_rate": "nan"}, "got 'nan', expected a finite number"),
    (OptimizationConfig, {"max_steps": 1, "learning_rate": None}, "learning_rate: got None, expected a finite number"),
    (PriorConfig, {"speaker_conditional": 1}, "speaker_conditional: got 1, expected true or false"),
    (PriorConfig, {"speaker_conditional": "yes"}, "speaker_conditional: got 'yes', expected true or false"),
    (EncoderConfig, {"strides": 4}, "strides: got 4, expected a list"),
    (EncoderConfig, {"strides": [4, "x"]}, r"strides\[1\]: got 'x', expected a whole number"),
    (DecoderConfig, {"output": "mulow"}, "output: got 'mulow', expected one of mulaw, mol. Did you mean 'mulaw'"),
    (QuantizerConfig, {"update": 3}, "update: got 3, expected one of ema, gradient"),
])  # fmt: skip
def test_wrong_types_are_told_with_what_was_given_and_expected(cls, data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(cls, data)


def test_large_whole_numbers_lose_no_digit(file):
    seed = 2**53 + 1
    assert load_config(file(f"seed: {seed}"), VQVAETrainingConfig).seed == seed


# ----------------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(("cls", "data", "message"), [
    (EncoderConfig, {"strides": []}, "strides: got .*, expected at least one stride"),
    (EncoderConfig, {"strides": [4, 0]}, "strides: got .*whole numbers of at least 1"),
    (EncoderConfig, {"channels": 0}, "channels: got 0, expected greater than 0"),
    (EncoderConfig, {"residual_blocks": -1}, "residual_blocks: got -1, expected 0 or more"),
    (QuantizerConfig, {"codebook_size": 1}, "codebook_size: got 1, expected at least 2"),
    (QuantizerConfig, {"decay": 1}, r"decay: got 1.0, expected in \[0, 1\)"),
    (QuantizerConfig, {"beta": -1}, "beta: got -1.0"),
    (QuantizerConfig, {"start_step": -1}, "start_step: got -1"),
    (StackConfig, {"layers": 10, "stacks": 3}, r"stacks: got 3, expected a divisor of layers \(10\)"),
    (StackConfig, {"gate_channels": 7}, "gate_channels: got 7, expected an even number"),
    (StackConfig, {"dropout": 1}, "dropout: got 1.0"),
    (DecoderConfig, {"condition_kernel": 4}, "condition_kernel: got 4, expected an odd number"),
    (DecoderConfig, {"pre_emphasis": 1}, "pre_emphasis: got 1.0"),
    (DecoderConfig, {"time_jitter": -0.1}, "time_jitter: got -0.1"),
    (PriorConfig, {"codebook_size": 0}, "codebook_size: got 0"),
    (VQVAEConfig, {"sample_rate": 0}, "sample_rate: got 0"),
    (EncoderConfig, {"channels": 10**9}, "channels: got 1000000000, expected at most 65536"),
    (EncoderConfig, {"residual_blocks": 10**9}, "residual_blocks: got 1000000000, expected at most 1024"),
    (EncoderConfig, {"strides": [1024, 1025]}, "strides: got .*, expected a product of at most 1048576"),
    (EncoderConfig, {"strides": [1] * 21}, "strides: got .*, expected at most 20 strides"),
    (EncoderConfig, {"input_gain": 10**400}, "input_gain: got 1000.*, expected a finite number"),
    (QuantizerConfig, {"codebook_size": 10**18}, "codebook_size: got 10+, expected at most 1048576"),
    (StackConfig, {"layers": 10**9, "stacks": 10**9}, "layers: got 1000000000, expected at most 1024"),
    (StackConfig, {"layers": 50, "stacks": 2}, "stacks: got 2, expected layers / stacks of at most 24"),
    (VQVAEConfig, {"sample_rate": 10**9}, "sample_rate: got 1000000000, expected at most 1048576"),
    (VQVAETrainingConfig, {"seed": 2**63}, "seed: got 9223372036854775808, expected a whole number of 64 bits"),
    (VQVAETrainingConfig, {"seed": 16**9999}, "seed: got a int of very many digits, expected a whole number"),
    (OptimizationConfig, {}, "max_steps: got None, expected given, or max_minutes, one of the two"),
    (OptimizationConfig, {"max_steps": 1, "max_minutes": 1}, "one of the two"),
    (OptimizationConfig, {"max_steps": 0}, "max_steps: got 0, expected greater than 0"),
    (OptimizationConfig, {"max_minutes": -1}, "max_minutes: got -1.0"),
    (OptimizationConfig, {"max_steps": 1, "batch_size": 0}, "batch_size: got 0"),
    (OptimizationConfig, {"max_steps": 1, "decay_share": 1.1}, r"decay_share: got 1.1, expected in \[0, 1\]"),
    (OptimizationConfig, {"max_steps": 1, "weight_average": 1}, "weight_average: got 1.0"),
    (OptimizationConfig, {"max_steps": 1, "mel_loss": -1}, "mel_loss: got -1.0"),
])  # fmt: skip
def test_values_out_of_range_are_refused(cls, data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(cls, data)


def test_a_value_out_of_range_is_named_by_its_whole_path():
    with pytest.raises(ConfigError, match=r"^model\.decoder\.stack\.gate_channels: got 7"):
        from_dict(VQVAETrainingConfig, {"model": {"decoder": {"stack": {"gate_channels": 7}}}})


# -------------------------------------------------------------------------------------------------- overrides


def test_overrides_go_on_top_of_the_file(file):
    path = file("model: {sample_rate: 16000}\ntraining: {max_steps: 5}\n")
    config = load_config(
        path, VQVAETrainingConfig,
        ["training.learning_rate=5e-4", "model.encoder.strides=[2, 4]", "model.decoder.output=mol", "seed=7"],
    )  # fmt: skip
    assert config.model.sample_rate == 16000 and config.training.max_steps == 5
    assert config.training.learning_rate == 5e-4
    assert config.model.encoder.strides == (2, 4)
    assert (config.model.decoder.output, config.seed) == ("mol", 7)


def test_the_last_override_counts_and_can_take_a_value_away(file):
    config = load_config(
        file("training: {max_minutes: 5}"), VQVAETrainingConfig,
        ["training.max_steps=1", "training.max_steps=2", "training.max_minutes=null"],
    )  # fmt: skip
    assert (config.training.max_steps, config.training.max_minutes) == (2, None)


@pytest.mark.parametrize(("override", "message"), [
    ("training.max_steps", "expected key=value"),
    ("=3", "expected key=value"),
    ("seed.x=3", "'seed' holds a value, not keys"),
    ("seed=[", "the value cannot be read: it is not valid YAML"),
    ("sed=3", "unknown key 'sed'. Did you mean 'seed'"),
    ("seed=x", "seed: got 'x', expected a whole number"),
])  # fmt: skip
def test_unusable_overrides_are_repeated(file, override, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load_config(file("seed: 0"), VQVAETrainingConfig, [override])


@pytest.mark.parametrize("text", ["- 1\n", "text\n", "5\n"])
def test_overrides_of_a_file_that_holds_no_keys_are_refused(file, text):
    with pytest.raises(ConfigError, match="expected a mapping of keys"):
        load_config(file(text), VQVAETrainingConfig, ["seed=1"])


# ------------------------------------------------------------------------------------------------------ files


def test_a_missing_file_is_told_the_nearest(file):
    path = file("seed: 0")
    with pytest.raises(ConfigError, match=r"trian\.yaml: the configuration cannot be read.*Did you mean 'train\.yaml'"):
        load_config(path.with_name("trian.yaml"), VQVAETrainingConfig)


def test_files_that_are_not_yaml_or_text_are_named(file):
    path = file("a: [1")
    with pytest.raises(ConfigError, match=f"{path}: the configuration cannot be read: it is not valid YAML"):
        load_config(path, VQVAETrainingConfig)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=f"{path}: the configuration cannot be read: it is not UTF-8"):
        load_config(path, VQVAETrainingConfig)
    with pytest.raises(ConfigError, match=f"{path.parent}: the configuration cannot be read"):
        load_config(path.parent, VQVAETrainingConfig)


def test_yaml_that_would_execute_something_is_not_executed(file):
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(file("seed: !!python/object/apply:os.getpid []"), VQVAETrainingConfig)


# ---------------------------------------------------------------------------------------------- derived values


def test_derived_values():
    config = VQVAEConfig(sample_rate=16000, encoder=EncoderConfig(strides=(2, 4, 5)))
    assert config.encoder.hop_length == 40
    assert config.unit_rate == 400
    assert StackConfig(layers=6, stacks=2).dilations == (1, 2, 4, 1, 2, 4)


# -------------------------------------------------------------------------------------------- one file over another


def test_a_file_is_laid_over_its_base_key_by_key(file, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/root.yaml").write_text("seed: 3\nmodel: {sample_rate: 16000, encoder: {channels: 8}}\n")
    (tmp_path / "middle.yaml").write_text("base: deep/root.yaml\nmodel: {encoder: {strides: [2, 2]}}\n")
    path = file("base: middle.yaml\nseed: 4\nmodel: {encoder: {strides: [5]}}\ntraining: {max_steps: 7}\n")
    config = load_config(path, VQVAETrainingConfig, ["model.encoder.channels=9"])
    assert (config.seed, config.model.sample_rate, config.training.max_steps) == (4, 16000, 7)
    assert config.model.encoder == EncoderConfig(strides=(5,), channels=9)


def test_files_laid_over_each_other_without_end_are_refused(file, tmp_path):
    for number in range(100):
        (tmp_path / f"{number}.yaml").write_text(f"base: {number + 1}.yaml\n")
    with pytest.raises(ConfigError, match=r"train\.yaml: base: .* is one of more than 20 files"):
        load_config(file("base: 0.yaml\n"), VQVAETrainingConfig)


def test_null_takes_a_value_of_the_base_away(file, tmp_path):
    (tmp_path / "base.yaml").write_text("training: {max_minutes: 18}\n")
    path = file("base: base.yaml\ntraining: {max_minutes: null, max_steps: 5}\n")
    assert load_config(path, VQVAETrainingConfig).training.max_steps == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: /dev/zero\n", r"train\.yaml: base: /dev/zero: .* it is a device, expected a file"),
        ('base: "a\\0b"\n', r"base: got 'a.x00b', expected the name of a file"),
        ("base: nowhere.yaml\n", r"nowhere\.yaml: the configuration cannot be read"),
        ("base: [a]\n", r"base: got \['a'\], expected the name of a file"),
        ("base: train.yaml\n", r"base: train\.yaml is laid over this file in turn"),
        ("base: other.yaml\nmodel: {encoder: 3}\n", r"train\.yaml: model\.encoder: expected a mapping"),
    ],
)
def test_a_wrong_base_is_told(file, tmp_path, text, message):
    (tmp_path / "other.yaml").write_text("model: {encoder: {channels: 8}}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(file(text), VQVAETrainingConfig)
