"""Options of the recipe scripts, as a user types them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

COMMON = Path(__file__).parents[2] / "recipes/common"
SCRIPT = f"""#!/usr/bin/env bash
# Does something.
#
#   script.sh --nj 4
set -euo pipefail
. {COMMON}/parse_options.sh

# Options.
nj=4                   # processor cores to use
stop_stage=10          # last stage to run
tag=                   # name of the experiment;
                       # by default none
train_args=            # further options
languages="en es"      # which
skip_train=false       # leave out the training
# End of options.
hidden=1

read_options "$0"
parse_options "$@"
echo "nj=$nj stop_stage=$stop_stage tag=$tag train_args=$train_args languages=$languages skip_train=$skip_train"
echo "given: ${{given_options[*]}}"
"""
DEFAULTS = {"nj": "4", "stop_stage": "10", "tag": "", "train_args": "", "languages": "en es", "skip_train": "false"}


@pytest.fixture
def call(tmp_path):
    (tmp_path / "script.sh").write_text(SCRIPT)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(tmp_path / "script.sh"), *arguments], capture_output=True, text=True, cwd=tmp_path
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ((), {}),
        (("--nj", "8"), {"nj": "8"}),
        (("--nj=8",), {"nj": "8"}),
        (("--stop-stage", "3"), {"stop_stage": "3"}),
        (("--stop-stage=3", "--tag", "a b"), {"stop_stage": "3", "tag": "a b"}),
        (("--nj", "8", "--nj", "2"), {"nj": "2"}),
        (("--tag=", "--nj=2"), {"tag": "", "nj": "2"}),
        (("--tag=a=b",), {"tag": "a=b"}),
        (("--tag", "$(touch evil) `x` \"'*"), {"tag": "$(touch evil) `x` \"'*"}),
        (("--train_args", "--set a.b=c"), {"train_args": "--set a.b=c"}),
        (("--tag=--x",), {"tag": "--x"}),
        (("--skip_train",), {"skip_train": "true"}),
        (("--skip-train", "--nj", "1"), {"skip_train": "true", "nj": "1"}),
        (("--skip_train", "false"), {"skip_train": "false"}),
        (("--skip_train=true",), {"skip_train": "true"}),
    ],
)
def test_options_are_understood(call, tmp_path, arguments, changed):
    result = call(*arguments)
    assert result.returncode == 0, result.stderr
    values = DEFAULTS | changed
    assert result.stdout.splitlines()[0] == " ".join(f"{name}={value}" for name, value in values.items())
    assert not (tmp_path / "evil").exists()


def test_what_was_given_is_known(call):
    assert call("--nj=2", "--skip-train").stdout.splitlines()[1] == "given: nj skip_train"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--skip_trian",), "unknown option '--skip_trian'. Did you mean '--skip_train'"),
        (("--hidden", "2"), "unknown option '--hidden'."),
        (("--PATH=/tmp",), "unknown option '--PATH'."),
        (("--nj[0]=1",), "unknown option '--nj[0]'"),
        (("--nj", "four"), "--nj: got 'four', expected a whole number"),
        (("--nj=-1",), "--nj: got '-1', expected a whole number"),
        (("--nj",), "--nj needs a value"),
        (("--tag", "--nj", "4"), "--tag needs a value, got the option '--nj'"),
        (("--skip_train=yes",), "--skip_train: got 'yes', expected true or false"),
        (("extra",), "unexpected argument 'extra'"),
        (("-n", "4"), "unexpected argument '-n'"),
    ],
)
def test_mistakes_are_refused_with_what_would_be_right(call, arguments, message):
    result = call(*arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith(f"script.sh: {message}") and "--help" in result.stderr + "--help"


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_has_the_header_and_every_option(call, word):
    result = call("--nj", "7", word)
    assert result.returncode == 0
    assert result.stdout.startswith("Does something.\n\n  script.sh --nj 4\n\n")
    lines = result.stdout.splitlines()
    assert "  --nj                     processor cores to use (7)" in lines
    assert "  --tag                    name of the experiment; by default none" in lines
    assert "  --skip_train             leave out the training" in lines
    assert "hidden" not in result.stdout
