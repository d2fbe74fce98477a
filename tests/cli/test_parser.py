"""Options in both spellings, values that mean something, and the nearest right thing for a wrong one."""

import argparse
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.cli.parser import (
    ENGINES,
    PRECISIONS,
    Parser,
    UsageError,
    Verb,
    device_name,
    number,
    one_of,
    underscored,
    whole_number,
)
from vqaudio.generation import engine


def parser() -> Parser:
    def add_options(p: Parser) -> None:
        p.add_argument("--data_dir", required=True, help="data")
        p.add_argument("--top_p", type=number(above=0, most=1), default=0.5, help="share")
        p.add_argument("--set", nargs="+", action="extend", default=[], help="values")
        p.add_argument("--flag", action="store_true", help="switch")

    return Parser("vqaudio test", Verb("Test", "vqaudio test --data_dir d", add_options, lambda options: None))


@pytest.mark.parametrize("spelling", ["--data_dir", "--data-dir"])
@pytest.mark.parametrize("joined", [True, False])
def test_names_take_hyphens_and_underscores_alike(spelling, joined):
    words = [f"{spelling}=a-b_c"] if joined else [spelling, "a-b_c"]
    assert parser().parse(words).data_dir == "a-b_c"


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=8), max_size=6))
def test_only_names_of_options_are_respelled(words):
    for before, after in zip(words, underscored(words)):
        if before.startswith("--") and "--" not in words[: words.index(before) + 1]:
            assert after.partition("=")[0] == "--" + before.partition("=")[0][2:].replace("-", "_")
            assert after.partition("=")[1:] == before.partition("=")[1:]
        elif not before.startswith("--"):
            assert after == before


def test_words_after_two_hyphens_stay():
    assert underscored(["--a-b", "--", "--c-d"]) == ["--a_b", "--", "--c-d"]


def test_an_unknown_option_is_named_before_the_required_one_it_was_meant_to_be():
    with pytest.raises(UsageError, match=r"unknown option --data_dri\. Did you mean '--data_dir'"):
        parser().parse(["--data-dri", "d"])


def test_options_are_not_abbreviated():
    with pytest.raises(UsageError, match="unknown option --data"):
        parser().parse(["--data", "d"])


def test_a_missing_option_is_named_with_the_way_to_the_help():
    with pytest.raises(UsageError, match=r"--data_dir.*`vqaudio test --help`"):
        parser().parse([])


def test_values_of_an_option_may_come_at_once_and_in_turns():
    options = parser().parse(["--data_dir", "d", "--set", "a=1", "b=2", "--set", "c=3"])
    assert options.set == ["a=1", "b=2", "c=3"]


def test_a_hint_is_one_sentence_of_the_message():
    with pytest.raises(UsageError, match=r"Did you mean .*'--set'\? `vqaudio test --help` shows"):
        parser().parse(["--data-dri", "d"])


def test_engines_and_precisions_are_those_that_there_are():
    assert list(ENGINES) == ["auto", *engine.ENGINES]
    assert PRECISIONS == engine.PRECISIONS


def test_the_help_of_generation_does_without_torch():
    code = "import sys; from vqaudio.cli.main import main; main(['decode', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--precision" in done.stdout and done.stdout.split()[-1] == "False"


def test_help_shows_the_example_and_defaults_that_say_something():
    text = parser().format_help()
    assert "vqaudio test --data_dir d" in text
    assert "(default: 0.5)" in text
    assert "default: None" not in text and "default: False" not in text and "default: []" not in text


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (whole_number(1), {"1": 1, "20": 20}, ["0", "-1", "1.5", "x", ""]),
        (number(above=0, most=1), {"1": 1.0, "1e-3": 0.001}, ["0", "1.01", "nan", "inf", "x"]),
        (number(least=0), {"0": 0.0}, ["-0.1", "inf"]),
        (one_of("auto", "never"), {"auto": "auto"}, ["Auto", ""]),
        (device_name, {"cpu": "cpu", "cuda:1": "cuda:1"}, ["gpu", "cuda:", "cuda:x", "cpu:0"]),
    ],
)
def test_values_are_checked_and_repeated_where_they_are_wrong(parse, good, bad):
    for text, value in good.items():
        assert parse(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as error:
            parse(text)
        assert f"got {text!r}, expected" in str(error.value)
