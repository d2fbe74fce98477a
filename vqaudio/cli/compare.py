"""`vqaudio compare`: experiments that have been scored, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from vqaudio.cli.parser import Parser, Verb
from vqaudio.errors import VQAudioError


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("experiments", nargs="+", type=Path, metavar="EXP", help="folder with a results.json")
    parser.add_argument("--baselines", action="store_true", help="show the baselines of each beside it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables there instead of printing them")


def run(options: argparse.Namespace) -> None:
    """Read the results, and print or write the tables."""
    from vqaudio.audio.atomic import write_text_whole
    from vqaudio.evaluation.comparison import compare
    from vqaudio.evaluation.results import read_results

    if len(set(options.experiments)) < len(options.experiments):
        raise VQAudioError(f"the same experiment twice: {', '.join(map(str, options.experiments))}")
    names = shortest_names(options.experiments)
    tables = compare(
        {name: read_results(path) for name, path in zip(names, options.experiments, strict=True)}, options.baselines
    )
    if options.out:
        write_text_whole(options.out, tables)
        print(options.out)
    else:
        print(tables, end="")


def shortest_names(paths: list[Path]) -> list[str]:
    """Return the ends of the paths, as many folders of each as tell them apart."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


VERB = Verb(
    "Set the scores of experiments side by side",
    """
vqaudio compare exp/base exp/base_50hz
vqaudio compare exp/base/scores/timit exp/base_50hz/scores/timit --baselines --out comparison.md
""",
    add_options,
    run,
)
