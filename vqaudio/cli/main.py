"""The entry point: find the verb, run it, and turn errors into messages and exit statuses.

0     done
2     something that the user gave cannot be used, or a full disk: a message; the traceback with --debug alone
130   interrupted (Ctrl-C), 143 terminated (138 by SIGUSR1): a training has saved a checkpoint, and says how to go on
141   whoever read the output has gone away, as in `vqaudio info … | head -1`
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import vqaudio
from vqaudio.cli import (
    check_precision,
    compare,
    convert,
    data,
    decode,
    export,
    extract,
    extract_parquet,
    info,
    report,
    sample,
    score,
    train,
    train_prior,
)
from vqaudio.cli.logs import set_up_logging
from vqaudio.cli.parser import Group, Parser, UsageError, Verb, find_verb, group_help
from vqaudio.errors import VQAudioError

USER_ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
REMINDER = 3.0
"""Seconds after which a signal that has not ended the process is given again: longer than files take to be removed."""

COMMAND = Group(
    "Learn discrete units of speech from raw waveforms, and speak with them.",
    {  # in the order of their use
        "data": data.GROUP,
        "train": train.VERB,
        "check-precision": check_precision.VERB,
        "extract": extract.VERB,
        "extract-parquet": extract_parquet.VERB,
        "train-prior": train_prior.VERB,
        "export": export.VERB,
        "decode": decode.VERB,
        "convert": convert.VERB,
        "sample": sample.VERB,
        "score": score.VERB,
        "compare": compare.VERB,
        "report": report.VERB,
        "info": info.VERB,
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's own) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    command, verb = "vqaudio", None
    try:
        command, verb, rest = find_verb("vqaudio", COMMAND, words)
        return _show(command, verb, rest) if isinstance(verb, Group) else _run(command, verb, rest)
    except _Terminated as ended:
        if not _said_elsewhere():
            print(f"{command}: ended by {ended.signal.name}{_hint(verb)}", file=sys.stderr)
        return int(ended.code)
    except SystemExit as done:  # of --help
        return int(done.code or 0)
    except BrokenPipeError:
        # Python would fail once more when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (VQAudioError, OSError) as error:
        if "--debug" in words:
            traceback.print_exc()
        if not (isinstance(error, UsageError) and _said_elsewhere()):
            print(f"{command}: {_describe(error)}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print(f"\n{command}: interrupted{_hint(verb)}", file=sys.stderr)
        return INTERRUPTED


def _hint(verb: Verb | Group | None) -> str:
    """Return what follows the message that a verb was ended before its time."""
    return "; the same command goes on where it stood" if isinstance(verb, Verb) and verb.resumes else ""


def _run(command: str, verb: Verb, argv: Sequence[str]) -> int:
    options = Parser(command, verb).parse(argv)
    set_up_logging(options.quiet, options.verbose)
    with _terminable():
        status = verb.run(options)
    sys.stdout.flush()  # here, where a broken pipe is understood, and not when the interpreter ends
    return status or 0


class _Terminated(SystemExit):
    """A signal has asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, or SIGUSR1 of a scheduler, end the block as an exception does, so that unfinished files are removed.

    Training takes the signals its own way, and saves a checkpoint. Where the exception gets lost, as in a destructor or
    a library that catches all, the signal is given again after a while.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals nowhere else
        yield
        return

    reminders: list[threading.Timer] = []

    def end(number: int, frame: object) -> NoReturn:
        reminders.append(threading.Timer(REMINDER, os.kill, (os.getpid(), number)))
        reminders[-1].daemon = True
        reminders[-1].start()
        raise _Terminated(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for reminder in reminders:
            reminder.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(command: str, group: Group, options: Sequence[str]) -> int:
    """Answer what has no verb: --help, --version, or nothing at all."""
    match list(options):
        case ["--help" | "-h", *_]:
            print(group_help(command, group))
        case ["--version", *_]:
            print(f"vqaudio {vqaudio.__version__}")
        case []:
            print(group_help(command, group), file=sys.stderr)
            return USER_ERROR
        case [option, *_]:
            raise UsageError(f"{option} comes before the verb; expected `{command} VERB [options]`")
    return 0


def _said_elsewhere() -> bool:
    """Whether torchrun has started this command line several times, and another process says what is wrong with it."""
    return (os.environ.get("RANK", "0"), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) != ("0", "0")


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
