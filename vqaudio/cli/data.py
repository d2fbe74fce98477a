"""`vqaudio data VERB`: validate, mend, bring to one form, divide and join data directories."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from vqaudio.cli.logs import wants_progress
from vqaudio.cli.parser import Group, Parser, Verb, add_seed_option, number, one_of, whole_number
from vqaudio.errors import VQAudioError
from vqaudio.untrusted import open_regular

logger = logging.getLogger(__name__)


def _add_data_dir(parser: Parser) -> None:
    """Add the data directory, which may be given with its option's name or without."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("data_dir", nargs="?", default=argparse.SUPPRESS, help="data directory")
    given.add_argument("--data_dir", dest="data_dir", default=argparse.SUPPRESS, help="the same, by name")
    parser.add_argument("--allow_pipes", action="store_true", help="accept shell commands in wav.scp")


def _add_out(parser: Parser, help: str = "data directory to write") -> None:
    parser.add_argument("--out", required=True, help=help)


# --------------------------------------------------------------------------------------------- validate, fix


def _validate(options: argparse.Namespace) -> int:
    """Print every violation; exit status 2 where there are any."""
    from vqaudio.corpus import check

    violations = check(options.data_dir, options.allow_pipes, wants_progress(options.quiet))
    for violation in violations:
        print(violation)
    print(f"{options.data_dir}: {len(violations) or 'no'} violation{'s' * (len(violations) != 1)}")
    return 2 if violations else 0


def _fix(options: argparse.Namespace) -> None:
    from vqaudio.corpus.fixing import fix

    done = fix(options.data_dir, options.allow_pipes, wants_progress(options.quiet))
    if not done.violations:
        print(f"{options.data_dir}: nothing to mend")
        return
    print(
        f"{options.data_dir}: {len(done.violations)} violations mended; {done.kept} utterances kept, "
        f"{len(done.dropped)} dropped; as it was: {done.backup}"
    )


# -------------------------------------------------------------------------------------------------- format


def _add_format_options(parser: Parser) -> None:
    _add_data_dir(parser)
    _add_out(parser)
    parser.add_argument("--sample_rate", type=whole_number(1), required=True, help="of the audio to write, in Hz")
    parser.add_argument("--min_seconds", type=number(least=0), default=0.1, help="reject shorter utterances")
    parser.add_argument("--max_seconds", type=number(above=0), help="reject longer utterances")
    parser.add_argument("--silence_db", type=number(), default=-70.0, help="reject what never reaches this peak level")
    parser.add_argument(
        "--level_db", type=number(most=0),
        help="bring each utterance to this RMS of its loud parts, in dB re full scale, as far as its peak has room",
    )  # fmt: skip
    parser.add_argument(
        "--max_rejected_share", type=number(least=0, most=1), default=0.05, help="fail where more are rejected"
    )
    parser.add_argument("--jobs", type=whole_number(1), default=1, help="threads")


def _format(options: argparse.Namespace) -> None:
    from vqaudio.corpus.format import format_data

    format_data(
        options.data_dir,
        options.out,
        options.sample_rate,
        min_seconds=options.min_seconds,
        max_seconds=options.max_seconds,
        max_rejected_share=options.max_rejected_share,
        silence_db=options.silence_db,
        level_db=options.level_db,
        jobs=options.jobs,
        allow_pipes=options.allow_pipes,
        progress=wants_progress(options.quiet),
    )


# --------------------------------------------------------------------------------- split, subset and combine


def _add_split_options(parser: Parser) -> None:
    _add_data_dir(parser)
    _add_out(parser, "folder for a data directory per part")
    parser.add_argument("--parts", nargs="+", type=_part, required=True, metavar="NAME=SHARE", help="adding up to 1")
    parser.add_argument(
        "--by", type=one_of("utterance", "speaker"), default="utterance",
        help="speaker keeps all utterances of a speaker in one part",
    )  # fmt: skip
    add_seed_option(parser)


def _part(text: str) -> tuple[str, float]:
    name, equals, share = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected name=share, as train=0.9")
    return name, number(above=0, most=1)(share)


def _split(options: argparse.Namespace) -> None:
    from vqaudio.corpus.transform import split

    if len(dict(options.parts)) < len(options.parts):
        raise VQAudioError(f"--parts: a name is given twice: {', '.join(name for name, _ in options.parts)}")
    made = split(
        options.data_dir,
        options.out,
        dict(options.parts),
        options.by,
        options.seed,
        options.allow_pipes,
        progress=wants_progress(options.quiet),
    )
    for name, data in made.items():
        _report(Path(options.out) / name, data)


def _add_subset_options(parser: Parser) -> None:
    _add_data_dir(parser)
    _add_out(parser)
    parser.add_argument("--utterances", metavar="FILE", help="file whose lines begin with the ids to keep")
    parser.add_argument("--speakers", nargs="+", metavar="NAME", help="keep these speakers")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--first", type=whole_number(1), help="keep the first so many")
    amount.add_argument("--seconds", type=number(above=0), help="keep so much, drawn at random")
    add_seed_option(parser)


def _subset(options: argparse.Namespace) -> None:
    from vqaudio.corpus.transform import subset

    data = subset(
        options.data_dir,
        options.out,
        utterances=None if options.utterances is None else _read_ids(options.utterances),
        speakers=options.speakers,
        first=options.first,
        seconds=options.seconds,
        seed=options.seed,
        allow_pipes=options.allow_pipes,
        progress=wants_progress(options.quiet),
    )
    _report(Path(options.out), data)


def _read_ids(path: str) -> list[str]:
    try:
        with open_regular(path) as file:
            lines = file.read().decode("utf-8").split("\n")  # at nothing else: texts may hold other line breaks
    except UnicodeDecodeError as error:
        raise VQAudioError(f"{path}: not UTF-8 text: {error}") from error
    except OSError as error:
        raise VQAudioError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise VQAudioError(f"{path}: {error}") from error
    return [line.split()[0] for line in lines if line.strip()]


def _add_combine_options(parser: Parser) -> None:
    parser.add_argument("data_dirs", nargs="+", metavar="DATA_DIR", help="data directories to join")
    _add_out(parser)
    parser.add_argument("--allow_pipes", action="store_true", help="accept shell commands in wav.scp")


def _combine(options: argparse.Namespace) -> None:
    from vqaudio.corpus.transform import combine

    progress = wants_progress(options.quiet)
    _report(Path(options.out), combine(options.data_dirs, options.out, options.allow_pipes, progress))


def _report(path: Path, data) -> None:
    print(f"{path}: {len(data)} utterances of {len(data.speakers)} speakers")


GROUP = Group(
    "Validate, mend, format, divide and join data directories",
    {
        "validate": Verb(
            "List every broken rule of a data directory", "vqaudio data validate data/train", _add_data_dir, _validate
        ),
        "fix": Verb(
            "Sort a data directory and drop what is broken in it, saying what", "vqaudio data fix data/train",
            _add_data_dir, _fix,
        ),
        "format": Verb(
            "Check the audio and bring it to one rate, as 16-bit mono WAV",
            "vqaudio data format --data_dir data/train --out dump/8k/train --sample_rate 8000",
            _add_format_options, _format, resumes=True,
        ),
        "split": Verb(
            "Divide a data directory at random",
            "vqaudio data split data/all --out data --parts train=0.9 dev=0.05 test=0.05 --by speaker",
            _add_split_options, _split,
        ),
        "subset": Verb(
            "Keep some utterances of a data directory",
            "vqaudio data subset data/train --out data/train_10min --seconds 600",
            _add_subset_options, _subset,
        ),
        "combine": Verb(
            "Join data directories", "vqaudio data combine data/en data/fr --out data/both",
            _add_combine_options, _combine,
        ),
    },
)  # fmt: skip
