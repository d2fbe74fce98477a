"""Parts on a Ray cluster of two workers on this machine, one of which is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from tests.processes import family, listening_addresses, names
from vqaudio.audio.io import write_wav
from vqaudio.corpus import DataDir, Utterance
from vqaudio.models.folder import save_model
from vqaudio.units import parts
from vqaudio.units.extract import extract_units
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import read_units

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed (the extra [ray])", allow_module_level=True)

RATE, PARTS, SECONDS = 8000, 12, 120
SCRIPT = """
import sys
from pathlib import Path
from vqaudio.units.parts import Plan
from vqaudio.units.ray_launcher import encode_on_ray

plan = Plan.load(Path(sys.argv[1]))
for done in encode_on_ray(plan, sys.argv[2], "local", 2, "cpu", 1):
    print(done.part, flush=True)
"""


@pytest.fixture
def plan(model, tmp_path, monkeypatch):
    """Parts of nearly two minutes, all of one recording."""
    monkeypatch.setattr(parts, "PART_ROWS", 1)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE * SECONDS)
    write_wav(tmp_path / "a.wav", noise.astype(np.float32), RATE)
    rows = [
        {"id": f"u{i:02d}", "audio_filepath": "a.wav", "offset": i, "duration": SECONDS - PARTS} for i in range(PARTS)
    ]
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    save_model(tmp_path / "model", model, ["a", "b"], about={})
    return parts.Plan.make(tmp_path / "out", tmp_path / "m.jsonl", UnitSpec.of_model(model))


@pytest.fixture
def process(plan, tmp_path):
    """The extraction of the plan on a cluster, begun; ended with all that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, plan.folder, tmp_path / "model"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    yield process
    for pid in [process.pid, *family(process.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_a_worker_that_is_killed_costs_nothing(model, plan, process, tmp_path):
    first = first_part(process)
    workers = [pid for pid, name in names(family(process.pid)).items() if name.startswith("ray::MapWorker")]
    assert workers, names(family(process.pid))
    os.kill(workers[0], signal.SIGKILL)
    assert len(plan.missing()) > 1, "it was killed too late to matter"
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = [first, *filter(str.isdecimal, out.splitlines())]  # Ray says there, too, that a worker has died
    assert sorted(map(int, found)) == list(range(PARTS))
    plan.complete(0.0)
    same_as_one_extraction(model, plan, tmp_path)


def first_part(process: subprocess.Popen) -> str:
    """Return the number of the part that is done first; Ray may have a word of its own before."""
    for line in process.stdout:
        if line.strip().isdecimal():
            return line
    pytest.fail(process.communicate()[1])


def same_as_one_extraction(model, plan, tmp_path) -> None:
    rows = [row for part in plan.parts for row in plan.rows(part)]
    stretches = [
        Utterance(row.id, "a", row.audio_filepath, row.offset, row.offset + row.duration, recording_id="a")
        for row in rows
    ]
    extract_units(model, DataDir(stretches), tmp_path / "text", progress=False)
    expected, found = read_units(tmp_path / "text")[0], read_units(plan.folder)[0]
    assert list(found) == list(expected)
    for name, units in found.items():
        np.testing.assert_array_equal(units, expected[name])


def test_nothing_listens_beyond_this_machine(process):
    first_part(process)
    addresses = listening_addresses([process.pid, *family(process.pid)])
    assert addresses and addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_a_users_mistake_is_told_in_one_line(plan, process, tmp_path):
    """What a worker meets, its driver tells: here, a recording of another rate."""
    write_wav(tmp_path / "a.wav", np.zeros(2 * RATE * SECONDS, np.float32), 2 * RATE)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "vqaudio.errors.VQAudioError: " in err and "a.wav has 16000 Hz, the model takes 8000 Hz" in err
    assert "RayTaskError" not in err
