"""A precision that costs too much, or whose cost is not known, is refused with the figure unless forced."""

from __future__ import annotations

import math

import pytest

from vqaudio.errors import ModelError
from vqaudio.generation.precision_gate import RECORD_FILE, PrecisionRecord, require_gate

RECORD = PrecisionRecord("abc", 5.0, {"bfloat16": 0.0001, "int8": 0.0213}, 40, 123.0)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    RECORD.write(tmp_path)
    assert PrecisionRecord.read(tmp_path) == RECORD


def test_no_record_is_no_error(tmp_path):
    assert PrecisionRecord.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 2}', "\x00", '{"format_version": 1, "rises": 3}'])
def test_a_broken_record_is_named(tmp_path, text):
    (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"precision\.json is not a record .*check-precision"):
        PrecisionRecord.read(tmp_path)


def test_float32_needs_no_record():
    require_gate(None, "abc", "float32")


def test_what_passed_may_be_used():
    require_gate(RECORD, "abc", "bfloat16")


def test_what_costs_too_much_is_refused_with_the_figure():
    with pytest.raises(ModelError, match=r"int8: it costs this model 0\.0213 .*\(123 s .* more than 0\.02; --force"):
        require_gate(RECORD, "abc", "int8")


def test_what_was_not_measured_is_refused():
    with pytest.raises(ModelError, match=r"int8: its cost has not been measured, expected a rise of at most 0\.02"):
        require_gate(None, "abc", "int8")
    without = PrecisionRecord("abc", 5.0, {}, 40, 123.0)
    with pytest.raises(ModelError, match="has not been measured"):
        require_gate(without, "abc", "bfloat16")


def test_a_record_of_other_weights_does_not_count():
    with pytest.raises(ModelError, match="measured on other weights"):
        require_gate(RECORD, "abd", "bfloat16")


def test_a_rise_that_is_not_a_number_does_not_pass(tmp_path):
    PrecisionRecord("abc", 5.0, {"int8": math.nan}, 1, 1.0).write(tmp_path)
    record = PrecisionRecord.read(tmp_path)
    with pytest.raises(ModelError, match="costs this model nan"):
        require_gate(record, "abc", "int8")
