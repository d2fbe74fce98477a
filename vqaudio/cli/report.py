"""`vqaudio report`: write the listening report of an experiment, one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from vqaudio.cli.parser import Parser, Verb, number, whole_number

REPORT_NAME = "report.html"


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("experiment", type=Path, metavar="EXP", help="experiment folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"HTML file to write (default: EXP/{REPORT_NAME})")
    parser.add_argument(
        "--data_dir", type=Path, metavar="DIR",
        help="held-out data directory: recordings, words and phones that EXP lacks",
    )  # fmt: skip
    parser.add_argument("--utterances", type=whole_number(1), default=12, help="held-out utterances to show")
    parser.add_argument("--max_megabytes", type=number(above=0), default=15.0, help="most that the file may have")
    group = parser.add_argument_group("what codes stand for")
    group.add_argument("--aligned_dir", type=Path, metavar="DIR", help="data directory with phones.ctm")
    group.add_argument("--aligned_units", type=Path, metavar="DIR", help="units of its utterances")
    group.add_argument(
        "--phones", default="auto", metavar="SET",
        help="set of phones: auto, as-is, timit-41, timit-39, or a file of lines 'label folded'",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Write the report."""
    from vqaudio.evaluation.listening import ReportOptions, write_report

    out = options.out or options.experiment / REPORT_NAME
    chosen = ReportOptions(
        data_dir=options.data_dir,
        aligned_dir=options.aligned_dir,
        aligned_units=options.aligned_units,
        phones=options.phones,
        utterances=options.utterances,
        max_megabytes=options.max_megabytes,
    )
    write_report(options.experiment, out, chosen)
    print(out)


VERB = Verb(
    "Write the listening report of an experiment: one HTML file to hear, see and read",
    """
vqaudio report exp/base
vqaudio report exp/base --data_dir dump/8k/test --utterances 6 --out base.html
vqaudio report exp/base --aligned_dir dump/8k/timit --aligned_units exp/base/scores/timit/units
""",
    add_options,
    run,
)
