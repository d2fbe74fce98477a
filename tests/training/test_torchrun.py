"""Whole commands under torchrun: killed and started again, interrupted, and ended by a mistake."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from tests.training import two_ranks
from tests.training.conftest import SMALL_VQVAE, vqvae_config
from tests.training.test_training import assert_same, state_of
from vqaudio.training import torchrun
from vqaudio.training.launch import failure_status

ROOT = Path(torchrun.__file__).parents[2]
TORCHRUN, OURS = "torch.distributed.run", "vqaudio.training.launch"
KILLED_ONCE = """
import os, signal, sys
from vqaudio.cli.main import main
from vqaudio.training import loop

def step(trainer, batch, original=loop.Trainer._step):
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"], trainer.progress.step) == ("1", "0", 7):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(trainer, batch)

loop.Trainer._step = step
sys.exit(main())
"""


def start(launcher: str, what: list[str], corpus: Path, expdir: Path, *changes: str) -> subprocess.Popen:
    """Start `vqaudio train` on two ranks, which are started anew once where one fails."""
    path = expdir.parent / "config.yaml"
    path.write_text(yaml.safe_dump(SMALL_VQVAE))
    words = ["train", "--config", str(path), "--train_dir", str(corpus / "train"), "--dev_dir", str(corpus / "dev")]
    words += ["--expdir", str(expdir), "--device", "cpu", "--threads", "1", *(["--set", *changes] if changes else [])]
    python = [sys.executable, "-m", launcher, "--standalone", "--nproc_per_node", "2", "--max_restarts", "1"]
    return subprocess.Popen(
        [*python, *what, *words], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_killed_rank_is_started_again_and_the_result_is_the_same(corpus, tmp_path):
    """With torchrun's own store, in which what the killed ranks wrote is still there."""
    (tmp_path / "killed_once.py").write_text(KILLED_ONCE)
    process = start(TORCHRUN, [str(tmp_path / "killed_once.py")], corpus, tmp_path / "killed")
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert "going on from step 6" in err and err.count("done: 12 steps") == 1
    assert two_ranks.run(two_ranks.train, vqvae_config(), corpus, tmp_path / "whole") == [True, True]
    assert_same(state_of(tmp_path / "killed"), state_of(tmp_path / "whole"))


def test_ctrl_c_saves_a_checkpoint_and_says_so_once(corpus, tmp_path):
    """At a hundred steps a second, it would train for hours."""
    changes = "training.max_steps=1000000", "training.log_interval=1", "training.eval_interval=1000000"
    process = start(OURS, ["-m", "vqaudio"], corpus, tmp_path / "exp", *changes)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "step 3 " in line:
                process.send_signal(signal.SIGINT)
                break
        err = "".join(lines) + process.stderr.read()
        assert process.wait(timeout=120) == 130, err
    finally:
        process.kill()
    assert err.count("SIGINT: stopped after step") == 1 and "Traceback" not in err
    assert err.count("2 ranks × batch_size 2 = 4 crops per step") == 1
    assert state_of(tmp_path / "exp")["step"] >= 3


def test_a_mistake_is_told_once_whatever_torchrun_does(corpus, tmp_path):
    process = start(OURS, ["-m", "vqaudio"], tmp_path / "absent", tmp_path / "exp")
    _, err = process.communicate(timeout=400)
    assert process.returncode == 2, err
    assert err.count("is not a valid data directory") == 1 and "Traceback" not in err


def test_without_torchruns_variables_one_is_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")  # as other launchers set it
    with torchrun.joined() as member:
        assert member.connect(torch.device("cpu")).alone


@pytest.mark.parametrize(("for_good", "ends"), [(True, True), (False, False)])
def test_what_ended_for_good_is_not_tried_again(tmp_path, monkeypatch, for_good, ends):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    notes = [tmp_path / f"attempt_{attempt}" / "1" / "error.json" for attempt in (0, 1)]
    for note in notes:
        note.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(notes[0]))
    assert not torchrun._failed_for_good()
    torchrun._leave_note("no such file", for_good)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(notes[1]))
    assert torchrun._failed_for_good() is ends
    if ends:
        assert json.loads(notes[1].read_text())["message"]["message"] == "no such file"


def test_the_status_of_several_ranks(capsys):
    def failed(*statuses: int) -> int:
        found = [SimpleNamespace(exitcode=s, signal_name=lambda: "SIGKILL") for s in statuses]
        return failure_status(dict(enumerate(found)))

    assert failed(2, 2) == failed(1, 2) == failed(2, -15) == failed(143, 2) == 2
    assert failed(-15, 143) == 143
    assert capsys.readouterr().err == ""
    assert failed(-15, -9) == 137
    assert capsys.readouterr().err == "launch: rank 1 was killed by SIGKILL\n"
