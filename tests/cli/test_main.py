"""The command as a whole: help, exit statuses, messages, start-up."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

import vqaudio
from vqaudio.cli import main as cli
from vqaudio.cli.parser import Group, Verb
from vqaudio.errors import VQAudioError


def verbs(group=cli.COMMAND, before=()):
    for name, found in group.verbs.items():
        yield from verbs(found, (*before, name)) if isinstance(found, Group) else [((*before, name), found)]


def replace_verb(monkeypatch, run, resumes=False):
    """Make `vqaudio info` do something else."""
    verb = Verb("Fail", "vqaudio info x", lambda parser: None, run, resumes)
    monkeypatch.setitem(cli.COMMAND.verbs, "info", verb)


@pytest.mark.parametrize(("words", "verb"), list(verbs()), ids=lambda x: " ".join(x) if isinstance(x, tuple) else "")
def test_every_verb_explains_itself_with_an_example_that_can_be_parsed(words, verb, run):
    out, _ = run(*words, "--help")
    assert verb.summary in out and "example:" in out
    examples = verb.example.replace("\\\n", " ").strip().splitlines()
    for example in examples:
        command, *rest = example.split()
        assert command == "vqaudio"
        if "…" in example:
            continue
        name, found, rest = cli.find_verb("vqaudio", cli.COMMAND, rest)
        assert found is verb
        cli.Parser(name, found).parse(rest)


def test_help_lists_every_verb(run):
    out, _ = run("--help")
    assert all(f"  {name} " in out for name in cli.COMMAND.verbs)
    out, _ = run("data", "--help")
    assert all(f"  {name} " in out for name in cli.COMMAND.verbs["data"].verbs)


def test_version(run):
    assert run("--version")[0] == f"vqaudio {vqaudio.__version__}\n"


def test_without_a_verb_it_says_what_there_is(fail):
    assert "usage: vqaudio VERB" in fail()


def test_an_unknown_verb_is_told_the_nearest(fail):
    assert "unknown verb 'trian'. Did you mean 'train'" in fail("trian")
    assert "unknown verb 'fx'. Did you mean 'fix'" in fail("data", "fx")


def test_verbs_take_underscores_too(run):
    assert "usage: vqaudio train-prior" in run("train_prior", "--help")[0]


def test_an_option_before_the_verb_is_refused(fail):
    assert "--quiet comes before the verb" in fail("--quiet", "info")


def test_help_starts_without_torch():
    code = "import sys; from vqaudio.cli.main import main; main(['--help']); main(['decode', '--help'])\n"
    code += "print([m for m in ('torch', 'numpy', 'librosa', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_a_mistake_is_told_without_a_traceback_and_debug_shows_it(monkeypatch, capsys):
    def run(options):
        raise VQAudioError("the value is wrong")

    replace_verb(monkeypatch, run)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "vqaudio info: the value is wrong\n"
    assert cli.main(["info", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_operating_system_error_names_the_path(monkeypatch, capsys):
    def run(options):
        raise OSError(28, "No space left on device", "/full/disk")

    replace_verb(monkeypatch, run)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "vqaudio info: /full/disk: No space left on device\n"


def test_a_bug_is_not_taken_for_a_mistake(monkeypatch):
    replace_verb(monkeypatch, lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info"])


@pytest.mark.parametrize("resumes", [True, False])
def test_an_interruption_says_whether_the_command_can_go_on(monkeypatch, capsys, resumes):
    def run(options):
        raise KeyboardInterrupt

    replace_verb(monkeypatch, run, resumes)
    assert cli.main(["info"]) == 130
    assert ("goes on where it stood" in capsys.readouterr().err) == resumes


def test_sigterm_ends_a_verb_in_order_and_its_handler_is_put_back(monkeypatch):
    cleaned = []

    def run(options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append(True)

    replace_verb(monkeypatch, run)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["info"]) == 143
    assert cleaned and signal.getsignal(signal.SIGTERM) is before


def test_a_sigterm_that_gets_lost_comes_again(monkeypatch):
    def run(options):
        with suppress(BaseException):  # as around the import of some libraries
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        time.sleep(60)

    monkeypatch.setattr(cli, "REMINDER", 0.2)
    replace_verb(monkeypatch, run)
    assert cli.main(["info"]) == 143


@pytest.mark.parametrize("lines", [1, 100_000], ids=["a line kept in a buffer to the end", "more than a pipe holds"])
def test_a_reader_that_goes_away_is_no_error(lines):
    code = textwrap.dedent(f"""
        import sys
        from vqaudio.cli import main as cli
        from vqaudio.cli.parser import Verb

        def run(options):
            sys.stdin.readline()  # by then nobody reads any more
            for _ in range({lines}):
                print("line")

        cli.COMMAND.verbs["info"] = Verb("Talk", "x", lambda parser: None, run)
        sys.exit(cli.main(["info"]))
    """)
    pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    talker = subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)
    talker.stdout.close()
    talker.stdin.write(b"\n")
    talker.stdin.close()
    assert talker.stderr.read() == b""
    assert talker.wait() == 141


@pytest.mark.parametrize(
    ("words", "seen"),
    [([], ["info", "warning"]), (["--quiet"], ["warning"]), (["--verbose"], ["debug", "info", "warning"])],
)
def test_how_much_is_logged(monkeypatch, capsys, words, seen):
    import logging

    def run(options):
        logger = logging.getLogger("vqaudio.test")
        for name in ("debug", "info", "warning"):
            getattr(logger, name)("it was %s", name)

    replace_verb(monkeypatch, run)
    for _ in range(2):  # a second call must not double the lines
        assert cli.main(["info", *words]) == 0
        err = capsys.readouterr().err
        assert [line.split()[-1] for line in err.splitlines()] == seen
        assert all(line.split()[1] == line.split()[-1].upper() for line in err.splitlines())


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "vqaudio", "info", "no/such"],
        capture_output=True,
        text=True,
        cwd=Path(cli.__file__).parents[2],
    )
    assert done.returncode == 2
    assert done.stderr == "vqaudio info: no/such: no such file or folder.\n"
