"""How TensorBoard arranges what is written: groups of charts, and the hyper-parameters of runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

Charts = dict[str, dict[str, list]]
"""Of each group (a heading of the page Custom Scalars) its charts: title, and ["Multiline", names of scalars]."""


def _chart(*scalars: str) -> list:
    return ["Multiline", list(scalars)]


_AUXILIARY = {"mel": "log-mel", "cepstra": "cepstra"}


def vqvae_charts(auxiliary: Collection[str]) -> Charts:
    """Return the charts of a VQ-VAE's training with these auxiliary losses: 'mel', 'cepstra', or neither."""
    spectra = {title: _chart(f"loss/{name}") for name, title in _AUXILIARY.items() if name in auxiliary}
    loss = {
        "bits per sample; by counting alone": _chart(
            "loss/bits_per_sample", "dev/bits_per_sample_true", "loss/unigram_bits_per_sample"
        ),
        "quantizer (eq. 3)": _chart("loss/vq"),
    }
    return {
        "Does the decoder use the units?": {
            "bits per held-out sample: units true, shuffled, zero": _chart(
                "dev/bits_per_sample_true", "dev/bits_per_sample_shuffled", "dev/bits_per_sample_zero"
            ),
            "worth of the units' order, in bits per sample": _chart("dev/bits_per_sample_gain"),
        },
        "Codebook": {
            "perplexity": _chart("codebook/perplexity", "dev/code_perplexity"),
            "share of codes used": _chart("codebook/usage", "dev/code_usage"),
            "dead and revived codes": _chart("codebook/dead", "codebook/revived"),
        },
        "Loss": loss | spectra | {"total": _chart("loss/total")},
        "Optimizer": _OPTIMIZER,
        "Speed": {"samples per second": _chart("train/samples_per_second")},
    }


def prior_charts() -> Charts:
    """Return the charts of a prior's training."""
    return {
        "Does context help?": {
            "bits per held-out unit: the prior, and frequencies alone": _chart(
                "dev/bits_per_unit", "dev/unigram_bits_per_unit"
            ),
        },
        "Loss": {
            "bits per unit; by counting alone": _chart(
                "loss/bits_per_unit", "dev/bits_per_unit", "loss/unigram_bits_per_unit"
            ),
            "bits at the end of an utterance": _chart("dev/end_bits_per_utterance"),
        },
        "Optimizer": _OPTIMIZER,
        "Speed": {"units per second": _chart("train/units_per_second")},
    }


_OPTIMIZER = {
    "learning rate": _chart("train/learning_rate"),
    "norm of the gradient, before it is clipped": _chart("train/gradient_norm"),
}


def flat(config: Mapping[str, Any], where: str = "") -> dict[str, float | str | bool]:
    """Return nested values by dotted names: numbers, strings and truth values as they are, lists as text, no null."""
    values: dict[str, float | str | bool] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{where}{key}.")
        elif isinstance(value, (list, tuple)):
            values[f"{where}{key}"] = ", ".join(map(str, value))
        elif value is not None:
            values[f"{where}{key}"] = value
    return values


def hyperparameter_summaries(values: Mapping[str, float | str | bool], seconds: float) -> list:
    """Return the summaries by which the page HParams lists a training of `seconds` that has just ended.

    They go among the run's other events. What the page's columns are is left to TensorBoard: it puts first the values
    in which runs differ, and has the last value of every scalar beside them. A list of columns, such as PyTorch's
    `add_hparams` writes, is taken from one run for all, so that those of the prior hid the VQ-VAE's.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    now = time.time()
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=now - seconds)
    for name, value in values.items():
        field = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
        setattr(start.hparams[name], field, value)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=now)
    return [
        _summary(metadata.SESSION_START_INFO_TAG, session_start_info=start),
        _summary(metadata.SESSION_END_INFO_TAG, session_end_info=end),
    ]


def _summary(tag: str, **content: Any):
    """Return a summary that holds nothing but what the plugin looks for in its metadata."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
