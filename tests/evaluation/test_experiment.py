"""Where the parts of an experiment are looked for."""

from __future__ import annotations

from vqaudio.evaluation.experiment import Experiment


def test_parts_lie_where_the_verbs_put_them(tmp_path):
    found = Experiment.in_folder(tmp_path, tmp_path / "data")
    assert found.units == tmp_path / "units/test" and found.train_units == tmp_path / "units/train"
    assert found.out == tmp_path and found.resynthesis == tmp_path / "resynthesis"
    assert found.prior is None  # there is none
    (tmp_path / "prior/model").mkdir(parents=True)
    assert Experiment.in_folder(tmp_path, tmp_path / "data").prior == tmp_path / "prior/model"


def test_a_further_set_has_a_folder_of_its_own_and_nothing_of_the_training(tmp_path):
    found = Experiment.in_folder(tmp_path, tmp_path / "data", "timit")
    out = tmp_path / "scores/timit"
    assert (found.out, found.units, found.conversion) == (out, out / "units", out / "conversion")
    assert found.train_units is found.prior is found.training is found.unconditional is None
    assert found.model == tmp_path / "model"


def test_what_lies_elsewhere_is_taken_from_there(tmp_path):
    found = Experiment.in_folder(tmp_path, tmp_path / "data", units=tmp_path / "u", prior=None)
    assert found.units == tmp_path / "u" and found.prior is None


def test_parts_that_are_made_on_the_way_are_not_missing(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "data").mkdir()
    found = Experiment.in_folder(tmp_path, tmp_path / "data")
    assert found.missing() == [f"train_units ({tmp_path / 'units/train'})"]
