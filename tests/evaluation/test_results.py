"""results.json and RESULTS.md: exact keys, a golden report, honest wording, and nothing half-written."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re

import numpy as np
import pytest
import torch

from vqaudio.errors import VQAudioError
from vqaudio.evaluation.measures import GROUPS, MEASURES
from vqaudio.evaluation.optional import NotMeasured
from vqaudio.evaluation.results import Results, read_results, write_results

KEYS = [
    "bits_per_sample",
    "bits_per_sample_shuffled_units",
    "bits_per_sample_zero_units",
    "code_usage",
    "code_perplexity",
    "codebook_size",
    "unit_rate_hz",
    "bitrate_nominal",
    "bitrate_entropy",
    "prior_bits_per_unit",
    "unigram_bits_per_unit",
    "batch_agreement",
    "chunk_agreement",
    "generation_rtf",
    "train_seconds",
    "train_samples_per_second",
]

RESULTS = {
    "codebook_size": 512,
    "unit_rate_hz": 125.0,
    "bitrate_nominal": 1125.0,
    "bitrate_entropy": 825.3,
    "batch_agreement": 1.0,
    "chunk_agreement": 1.0,
    "bits_per_sample": 4.41,
    "bits_per_sample_shuffled_units": 6.05,
    "clipped_share_reconstructed": 0.00001,
    "prior_bits_per_unit": 3.55,
    "unigram_bits_per_unit": 8.0,
    "generation_rtf": None,
    "heldout_utterances": 1204,
    "heldout_seconds": 3600.0,
    "word_error_rate": 0.5,
}

GOLDEN = """\
# Results of toy

Measured on held-out audio: 1,204 utterances, 60.0 minutes. The column *better* says which direction is good; \
where it is empty, neither is. The same figures for programs are in [results.json](results.json).

## In short

- A second of audio becomes 125 units out of 512: 1,125 bits as they are, 825 by their entropy.
- The decoder uses the units: in their right order they save 1.64 bits per sample.
- The prior saves 4.45 bits per unit: it needs 3.55 instead of 8.00 without context and of 9.00 if all units were \
equally likely.
- The units of an utterance are the same alone, in a batch and in chunks.

## Units

|  | value | unit | better | what it means |
| :--- | ---: | :--- | :--- | :--- |
| codes | 512 | codes |  | distinct units that the model can use |
| unit rate | 125.0 | units/s |  | units that a second of audio becomes |
| bitrate, nominal | 1,125 | bits/s | lower | to send the units with a fixed length each: unit rate × log2 of the \
number of codes |
| bitrate, entropy | 825 | bits/s | lower | to send them when frequent units are shorter: unit rate × entropy (the \
ZeroSpeech bitrate) |
| same units in a batch | 100 | % | higher | units that stay the same when the utterance is encoded in a padded \
batch; 100 is right |
| same units in chunks | 100 | % | higher | units that stay the same when the utterance is encoded piece by piece; \
100 is right |

## Reconstruction

|  | value | unit | better | what it means |
| :--- | ---: | :--- | :--- | :--- |
| bits per sample | 4.410 | bits | lower | surprise of the decoder at each next sample of held-out audio, given the \
units of that audio |
| … units shuffled | 6.050 | bits |  | the same with the utterance's units out of order; the further above the line \
before, the better |
| clipped, reconstructions | 0.0010 | % | lower | the same in the reconstructions; heard as crackling |

## Prior

|  | value | unit | better | what it means |
| :--- | ---: | :--- | :--- | :--- |
| prior | 3.550 | bits/unit | lower | surprise of the learned prior at each next held-out unit, given those before \
it |
| without context | 8.000 | bits/unit |  | the same for a model that knows only how frequent each unit is: the \
yardstick |

## Speed

|  | value | unit | better | what it means |
| :--- | ---: | :--- | :--- | :--- |
| generation | not measured | s/s | lower | real-time factor: seconds of computing per second of audio; below 1 it \
keeps up with listening |

## Other figures

| key | value |
| :--- | ---: |
| `word_error_rate` | 0.5 |

## Look

![utt 1](figures/utt_1.png)

## Listen

- [resynthesis](resynthesis), held-out utterances, decoded from their units (1): [a b.wav](resynthesis/a%20b.wav)
- [samples](samples), speech that nobody said, drawn from prior and decoder (6): [0.wav](samples/0.wav), \
[1.wav](samples/1.wav), [2.wav](samples/2.wav), [3.wav](samples/3.wav), [4.wav](samples/4.wav), …
"""


def report(folder, **figures) -> str:
    results = Results()
    results.put_all(figures)
    write_results(folder, results)
    return (folder / "RESULTS.md").read_text(encoding="utf-8")


def test_golden_report(tmp_path):
    folder = tmp_path / "toy"
    audio = ["resynthesis/a b.wav", *(f"samples/{n}.wav" for n in range(6)), "prior/tensorboard/x.wav"]
    for name in ("figures/utt_1.png", "figures/notes.txt", *audio):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    assert report(folder, **RESULTS) == GOLDEN


def test_json_holds_what_was_given(tmp_path):
    write_results(tmp_path, Results(dict(RESULTS)))
    assert json.loads((tmp_path / "results.json").read_text()) == RESULTS
    assert read_results(tmp_path) == Results(RESULTS)


def test_every_key_is_explained():
    assert set(KEYS) <= MEASURES.keys()
    for measure in MEASURES.values():
        assert measure.better in ("higher", "lower", "")
        assert measure.unit and measure.meaning
        assert "|" not in measure.label + measure.unit + measure.meaning  # it would break the table


def test_a_table_row_has_five_cells(tmp_path):
    text = report(tmp_path, **dict.fromkeys(KEYS, 1.0))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}
    tables = [group for group in GROUPS.values() if {m.key for m in group} & set(KEYS)]
    assert len(rows) == len(KEYS) + 2 * len(tables)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"bits_per_sample": 4.4, "bits_per_sample_shuffled_units": 4.42}, "hardly uses the units"),
        ({"prior_bits_per_unit": 8.1, "unigram_bits_per_unit": 8.0}, "saves nothing"),
        ({"batch_agreement": 1.0, "chunk_agreement": 0.9999999}, "depend on how it is encoded"),
    ],
)
def test_bad_results_are_called_bad(tmp_path, results, words):
    assert words in report(tmp_path, **results)


def test_near_agreement_does_not_round_to_agreement(tmp_path):
    assert "| 99.9999 | %" in report(tmp_path, chunk_agreement=0.99999999)


def test_values_of_numpy_and_torch_are_numbers(tmp_path):
    report(tmp_path, a=np.float32(0.5), b=torch.tensor(2.0), c=np.int64(3))
    assert read_results(tmp_path).figures == {"a": 0.5, "b": 2, "c": 3}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_measured_and_the_rest_kept(tmp_path, caplog, value):
    with caplog.at_level(logging.WARNING):
        text = report(tmp_path, bits_per_sample=value, code_usage=0.9)
    assert "bits_per_sample" in caplog.text
    results = read_results(tmp_path)
    assert results.figures == {"bits_per_sample": None, "code_usage": 0.9}
    assert results.not_measured == {"bits_per_sample": f"it came out as {value}"}
    assert "not measured" in text and re.search(r"codes in use \| 90\.0", text)


@pytest.mark.parametrize("value", ["4.4", True, [1, 2], torch.zeros(2)])
def test_what_is_no_number_is_refused(tmp_path, value):
    with pytest.raises(VQAudioError, match=r"result 'bits_per_sample' is .*expected a number"):
        report(tmp_path, bits_per_sample=value)
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_the_former_results(tmp_path, monkeypatch):
    write_results(tmp_path, Results({"code_usage": 0.5}))
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VQAudioError, match=r"cannot write .*RESULTS\.md: No space left"):
        write_results(tmp_path, Results({"code_usage": 0.9}))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "has not been scored"), ("{", "cannot be read"), ("[]", r"holds \[\], expected an object")],
)
def test_unreadable_results_are_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(VQAudioError, match=words):
        read_results(tmp_path)


def everything() -> Results:
    """Results that have all there can be."""
    results = Results({"codebook_size": 512}, about={"date": "2026-01-01", "command": "vqaudio score a|b"})
    results.put("phone_accuracy", 0.3456, (0.31, 0.378))
    results.lack(["abx_within", "phone_accuracy"], "no phones.ctm")
    results.baselines["mfcc_kmeans"] = Results({"phone_accuracy": 0.25}, {"phone_accuracy": (0.2, 0.3)})
    results.sweep["0.7"] = Results({"self_bleu": 0.5, "ended_share": 1.0})
    results.sweep["held-out"] = Results({"self_bleu": 0.25})
    return results


def test_all_parts_survive_the_file(tmp_path):
    write_results(tmp_path, everything())
    assert read_results(tmp_path) == everything()
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["phone_accuracy"] == 0.3456 and content["intervals"] == {"phone_accuracy": [0.31, 0.378]}
    assert content["abx_within"] is None and content["not_measured"] == {"abx_within": "no phones.ctm"}
    assert content["baselines"]["mfcc_kmeans"]["phone_accuracy"] == 0.25
    assert content["sweep"]["0.7"] == {"self_bleu": 0.5, "ended_share": 1.0}


def test_the_report_shows_intervals_baselines_temperatures_and_reasons(tmp_path):
    write_results(tmp_path, everything())
    text = (tmp_path / "RESULTS.md").read_text()
    assert "| phone accuracy | 34.6 | 31.0 to 37.8 | 25.0 | % | higher |" in text
    assert "|  | value | interval | k-means of MFCCs | unit |" in text
    assert "| ABX error, one speaker | not measured |" in text
    assert "- `abx_within`: no phones.ctm" in text
    assert "|  | 0.7 | held-out | unit |" in text
    assert "| self-BLEU | 0.500 | 0.250 | share |" in text and "| ended by themselves | 100.0 |  | % |" in text
    assert "vqaudio score a\\|b" in text  # a bar would end the cell


def test_a_figure_that_comes_later_is_no_longer_missing():
    results = everything()
    results.put("abx_within", 0.1)
    assert results.not_measured == {} and results.figures["abx_within"] == 0.1


def test_a_part_that_cannot_be_measured_leaves_its_reason_and_keeps_what_there_is():
    results = Results()
    with results.part("a", "b"):
        results.put("a", 1)
        raise NotMeasured("no material")
    assert results.figures == {"a": 1, "b": None} and results.not_measured == {"b": "no material"}
    with pytest.raises(ZeroDivisionError), results.part("c"):  # a mistake of the program is no reason
        1 / 0  # noqa: B018


@pytest.mark.parametrize("content", [
    '{"intervals": 1}', '{"baselines": {"x": []}}', '{"a": "text"}', '{"intervals": {"a": [1]}}', '{"a": 1, "a": 2}',
    '{"intervals": {"a": [NaN, 1]}}', '{"not_measured": {"a": 7}}', '{"about": {"a": {}}}', "[" * 99999,
    '{"baselines": {"a": {"baselines": {"b": {}}}}}', f'{{"a": {10**400}}}',
    f'{{"intervals": {{"a": [{10**400}, 1]}}}}',
])  # fmt: skip
def test_results_of_another_form_are_refused(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(VQAudioError, match=r"results\.json") as error:
        read_results(tmp_path)
    assert len(str(error.value)) < 1000
