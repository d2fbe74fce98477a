"""The made-up corpora are valid and as large as asked for; figures end up where they belong."""

from __future__ import annotations

import json

import pytest

from benchmarks import scale
from benchmarks.made_corpus import RATE, make
from benchmarks.scale import BEGIN, END, STEPS, Cost
from vqaudio.audio.io import probe
from vqaudio.corpus import DataDir, check
from vqaudio.corpus.crops import CropDataset


@pytest.mark.parametrize("segmented", [False, True])
def test_a_made_up_corpus_is_valid(tmp_path, segmented):
    data = make(tmp_path / "corpus", 450, segmented)
    assert check(data) == []
    loaded = DataDir.load(data)
    assert len(loaded) == 450 and len(loaded.speakers) == 2
    assert all(utterance.is_segment == segmented and utterance.text for utterance in loaded.utterances)
    if not segmented:
        last = loaded.utterances[-1]
        assert probe(last.recording).frames == last.num_samples == round(last.duration * RATE)


def test_steps_do_their_work_and_say_what_it_took(tmp_path):
    data = make(tmp_path / "corpus", 100, segmented=False)
    cost = scale.measure("split", data)
    assert {name: len(DataDir.load(data.parent / name)) for name in ("train", "dev", "test")} == {
        "train": 98, "dev": 1, "test": 1,
    }  # fmt: skip
    assert cost.seconds > 0 and cost.clock > 0
    assert 10e6 < cost.bytes < 200e6  # Python and NumPy, without torch


def test_opening_draws_a_batch(tmp_path, monkeypatch):
    drawn, batch = [], CropDataset.batch
    monkeypatch.setattr(CropDataset, "batch", lambda self, step: drawn.append(step) or batch(self, step))
    data = make(tmp_path / "corpus", 100, segmented=True)
    scale.split(data)
    scale.open_training(data)
    assert 0 in drawn


def rows() -> list[dict]:
    costs = [Cost(seconds=1.0 * number, clock=2.0 * number, bytes=number * 100_000_000) for number in range(1, 6)]
    steps = {step: vars(cost) for step, cost in zip(STEPS, costs, strict=True)}
    sizes = [(form, count) for form in scale.FORMS for count in (1000, 1_000_000)]
    return [{"form": form, "utterances": count, "load": 2.6, **steps} for form, count in sizes]


def test_the_table_adds_up():
    lines = scale.table(rows())
    assert len(lines) == 2 + 4
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == [
        "1,000,000 files", "1.0", "2.0 s, 200 MB", "2.0", "3.0 s, 300 MB", "4.0",
        "5.0 s, 500 MB", "10.0", "20", "500 MB",
    ]  # fmt: skip


def test_a_document_keeps_what_is_around_the_table(tmp_path):
    doc, where = tmp_path / "scale.md", {"machine": "A", "cores": 2, "date": "2026-01-01"}
    doc.write_text(f"# Scale\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    scale.update(doc, rows(), where)
    scale.update(doc, rows(), where)
    text = doc.read_text()
    assert text.startswith("# Scale\n\n") and text.endswith("\n\nafter\n") and "old" not in text
    assert text.count("1,000,000 segments") == 1 and "*A, 2 cores, 2026-01-01; up to 3 processes" in text


def test_figures_that_were_kept_are_shown_again(tmp_path):
    kept, doc, picture = tmp_path / "kept.json", tmp_path / "scale.md", tmp_path / "images/scale.png"
    kept.write_text(json.dumps({"machine": "A", "cores": 2, "date": "2026-01-01", "rows": rows()}))
    scale.main(["--show", str(kept), "--doc", str(doc), "--picture", str(picture)])
    assert "1,000 files" in doc.read_text() and picture.stat().st_size > 10_000
