"""What a finished experiment leaves, made once: model, prior, data directory, units."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small import HOP, SPEAKERS, small_prior, small_vqvae, write_data
from vqaudio.cli.main import main
from vqaudio.models.folder import save_model
from vqaudio.units.extract import extract_units
from vqaudio.units.spec import UnitSpec

LENGTHS = {"anna-1": 30 * HOP + 5, "anna-2": 20 * HOP, "boris-1": 25 * HOP - 1, "boris-2": 10 * HOP}


@dataclass(frozen=True)
class Lab:
    """Folders that tests read and never write."""

    model: Path
    prior: Path
    data: Path
    units: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Lab:
    root = tmp_path_factory.mktemp("lab")
    folders = Lab(root / "model", root / "prior", root / "data", root / "units")
    model = small_vqvae()
    save_model(folders.model, model, SPEAKERS, {})
    save_model(folders.prior, small_prior(), SPEAKERS, {"units": dataclasses.asdict(UnitSpec.of_model(model))})
    extract_units(model, write_data(folders.data, LENGTHS), folders.units, progress=False)
    return folders


@pytest.fixture
def run(capsys):
    """Run a command line that must succeed; return what it printed and what it logged."""

    def call(*argv: object) -> tuple[str, str]:
        capsys.readouterr()
        status = main([str(word) for word in argv])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out, printed.err

    return call


@pytest.fixture
def fail(capsys):
    """Run a command line that must fail as a user's mistake does; return the message."""

    def call(*argv: object) -> str:
        capsys.readouterr()
        status = main([str(word) for word in argv])
        printed = capsys.readouterr()
        assert status == 2, printed.out + printed.err
        assert "Traceback" not in printed.err
        return printed.err

    return call
