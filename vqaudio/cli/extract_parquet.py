"""`vqaudio extract-parquet`: turn a corpus of any size into units in Parquet, on one machine or many."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import Parser, UsageError, Verb, add_compute_options, number, whole_number
from vqaudio.cli.sharding import add_shard_option, set_up_job

if TYPE_CHECKING:
    from vqaudio.units.parts import Done, Plan


def add_options(parser: Parser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", required=True, help="model folder of the VQ-VAE")
    parser.add_argument(
        "--manifest", required=True, help="what to encode: *.jsonl, *.tsv, *.parquet or a data directory"
    )
    parser.add_argument("--out", required=True, help="folder of units to write")
    parser.add_argument("--collapse", action="store_true", help="write runs of one unit once, and their lengths beside")
    parser.add_argument(
        "--max_rejected_share", type=number(least=0, most=1), default=0.05,
        help="share of unreadable utterances above which the extraction fails",
    )  # fmt: skip
    add_shard_option(parser)
    parser.add_argument(
        "--num_workers", type=whole_number(1), help="processes to encode with; with --ray, actors at most"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="encode on a Ray cluster: local, auto, or its host:port")
    add_compute_options(parser)


def run(options: argparse.Namespace) -> None:
    """Extract."""
    from vqaudio.models.folder import load_vqvae
    from vqaudio.units.locks import at_work
    from vqaudio.units.parts import Plan
    from vqaudio.units.spec import UnitSpec

    if options.shard is not None and (options.ray or options.num_workers):
        raise UsageError("--shard says which parts are this process's, --ray and --num_workers who else there is: "
                         "expected one of them")  # fmt: skip
    device = set_up_job(options)
    model, _ = load_vqvae(options.model, device)
    spec = dataclasses.replace(UnitSpec.of_model(model), collapsed=options.collapse)
    plan = Plan.make(options.out, options.manifest, spec)
    with at_work(plan.folder, options.shard):
        _follow(plan, _launched(plan, model, options), wants_progress(options.quiet))
        if options.shard is None:
            plan.complete(options.max_rejected_share)


def _launched(plan: Plan, model, options: argparse.Namespace) -> Iterator[Done]:
    from vqaudio.units.launchers import encode_here, encode_in_pool

    if options.ray:
        from vqaudio.units.ray_launcher import encode_on_ray

        return encode_on_ray(plan, options.model, options.ray, options.num_workers, options.device, options.threads)
    if options.num_workers:
        return encode_in_pool(plan, options.model, options.num_workers, options.device, options.threads)
    return encode_here(plan, model, options.shard)


def _follow(plan: Plan, done: Iterator[Done], progress: bool) -> None:
    """Show how far it is, and say at the end how fast it was."""
    import logging

    from tqdm import tqdm

    started, seconds, parts = time.monotonic(), 0.0, 0
    for one in tqdm(done, total=len(plan.missing()), desc="extract", unit="part", disable=not progress):
        seconds, parts = seconds + one.seconds, parts + 1
    if parts:
        wall = time.monotonic() - started
        logging.getLogger("vqaudio").info(
            "%d parts, %.0f s of audio in %.1f s, %.0f times real time", parts, seconds, wall, seconds / wall
        )


VERB = Verb(
    "Turn a corpus of any size into units in Parquet, on one machine or many",
    """
vqaudio extract-parquet --model exp/base/model --manifest corpus.jsonl --out units --num_workers 8
vqaudio extract-parquet --model exp/base/model --manifest corpus.jsonl --out units --ray auto --device cuda
""",
    add_options,
    run,
    resumes=True,
)
