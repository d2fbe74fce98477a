"""The benchmarks measure what they say, count limits rightly, and survive what is missing."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as program
from benchmarks import extraction, generation, limits, memory, peers, quantizer, timing
from benchmarks.paths import PATHS, measure
from benchmarks.readme import BEGIN, END, update_readme
from benchmarks.rows import Row, Unit, figure, markdown
from benchmarks.sizes import CLASSES, PAPER, multiply_adds
from benchmarks.timing import QUICK, Absent, Contest, Effort, Limit, Side
from tests.markdown import ROOT, sections, table
from vqaudio.errors import VQAudioError
from vqaudio.generation import pack
from vqaudio.generation.engine import ENGINES
from vqaudio.models.encoder import Encoder, FrameConv
from vqaudio.models.wavenet import CausalStack

RATE, COST = Unit("samples/s"), Unit("ms/step", per_second=1000)
SCHEMA = {  # what every row of the JSON file holds
    "path": str, "unit": str, "peer_name": str, "ours": float, "peer": float | None, "ratio": float | None,
    "ratio_range": list | None, "of_limit": float | None, "memory": str, "note": str, "failed": str,
    "machine": str, "torch": str, "date": str, "cores": int,
}  # fmt: skip
README = sections((ROOT / "benchmarks/README.md").read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------------------- arithmetic of rows


def test_more_is_better_in_rates_and_less_in_costs():
    assert RATE.value(50) == 50
    assert COST.value(50) == 20
    assert RATE.times_faster(ours=300, peer=100) == 3
    assert COST.times_faster(ours=100, peer=300) == 3


@pytest.mark.parametrize("unit, ours, peer", [(RATE, 40.0, 10.0), (COST, 25.0, 100.0)])
def test_a_row_of_known_speeds(unit, ours, peer, monkeypatch):
    monkeypatch.setattr(timing, "speeds_by_turns", lambda *_: [[40.0, 30.0, 50.0], [10.0, 15.0, 5.0]])
    sides = (Side(name, run=print, amount=1) for name in ("ours", "the peer"))
    row = timing.hold("a path", unit, Contest(*sides, Limit(80.0, "known"), note="n"), QUICK)
    assert (row.ours, row.peer, row.ratio, row.ratio_range) == (ours, peer, 4.0, (2.0, 10.0))
    assert (row.of_limit, row.peer_name, row.unit, row.note) == (0.5, "the peer", unit.name, "n; limit: known")


def test_sides_are_timed_by_turns_and_first_runs_do_not_count(monkeypatch):
    clock, runs = 0.0, []

    def side(name: str, seconds: float) -> Side:
        def run() -> None:
            nonlocal clock
            clock += seconds if name in runs else 100.0  # the first sets things up
            runs.append(name)

        return Side(name, run, amount=6)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock)
    speeds = timing.speeds_by_turns([side("a", 2.0), side("b", 4.0)], Effort(rounds=3, seconds=4.0))
    assert speeds == [[3.0] * 3, [1.5] * 3]
    assert runs == [*"aabb", *"aab", *"baa", *"aab"]


@pytest.mark.parametrize("value, text", [(18730.4, "18,700"), (346.4, "346"), (0.10234, "0.102"), (9.999, "10.0"),
                                         (1.5, "1.50"), (0.0, "0"), (None, "–")])  # fmt: skip
def test_figures_have_three_digits(value, text):
    assert figure(value) == text


def test_the_table_has_a_line_for_each_row_and_reasons_below():
    rows = [Row("a", "units/s", "p", 12.0, 3.0, 4.0, (3.9, 4.2), 0.5), Row("b", "units/s", "", failed="no engine")]
    text = markdown(rows)
    assert "| a | 12.0 | 3.00 | units/s | 4.00 (3.90 to 4.20) | 50% | p |  |" in text
    assert "| b | – | – | units/s | – | – |  |  |" in text
    assert text.endswith("\n- `b`: no engine\n")


# --------------------------------------------------------------------------------------------------------- limits


@pytest.fixture
def compiled():
    if limits.library() is None:
        pytest.skip("no C compiler")
    return limits.library()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_the_sums_count_the_multiply_adds(compiled, precision):
    count = getattr(compiled, f"multiply_adds_{precision}")
    assert count(1000, 1.0) == 1000 * count(1, 1.0)
    assert count(1000, 0.0) == 0 or precision == "float32"  # there the factor is added, too


def test_the_peak_is_one_that_a_core_can_have(compiled):
    """Faster than 2 × 16 multiply-adds a cycle at 6 GHz means that the compiler has left some out."""
    assert 1e9 < limits.multiply_adds("float32").per_second < 192e9
    assert limits.multiply_adds("bfloat16").per_second < 8 * 192e9


def test_every_word_is_read_each_time(compiled):
    words = limits.aligned_words(10_000)
    assert words.nbytes == 20 * limits.READ_MULTIPLE  # rounded up
    read = compiled.read_again
    assert read(words.ctypes.data, len(words), 1) == np.bitwise_xor.reduce(words)
    assert read(words.ctypes.data, len(words), 3) == np.bitwise_xor.reduce(words)
    assert read(words.ctypes.data, len(words), 2) == 0


def test_numpy_stands_in_for_a_compiler_and_says_so(monkeypatch):
    monkeypatch.setattr(limits, "library", lambda: None)
    for limit in (limits.multiply_adds.__wrapped__("bfloat16"), limits.streaming.__wrapped__(1_000_000)):
        assert limit.per_second > 1e8
        assert "NumPy" in limit.how and "no compiler" in limit.how


def test_multiply_adds_of_a_step_are_its_weights():
    packed = pack(CausalStack(PAPER, CLASSES, CLASSES))
    matrices = (packed.past, packed.now, packed.residual, packed.skip, packed.hidden, packed.output)
    assert multiply_adds(PAPER, CLASSES) == sum(m.size for m in matrices)


def test_multiply_adds_of_a_unit_are_those_of_the_encoder():
    """Counted in the encoder itself, as the difference of two lengths: what the context costs drops out."""
    config, D = extraction.CONFIG.encoder, extraction.CONFIG.quantizer.code_dim
    encoder, done = Encoder(config, D), []

    def count(module: nn.Module, weight: torch.Tensor) -> None:
        module.register_forward_hook(lambda _, inputs, __: done.append(inputs[0].shape[1] * weight.numel()))

    for module in encoder.modules():
        if isinstance(module, FrameConv):
            count(module, module.taps.weight)
        elif isinstance(module, nn.Linear):  # the taps themselves are not called
            count(module, module.weight)
    for units in (1, 11):
        encoder(torch.zeros(1, sum(encoder.context) + units * config.hop_length))
    half = len(done) // 2
    counted = (sum(done[half:]) - sum(done[:half])) / 10
    search = D * extraction.CONFIG.quantizer.codebook_size
    assert extraction.multiply_adds_per_unit(config, extraction.CONFIG.quantizer) == counted + search


def test_a_search_in_parts_does_not_hold_all_distances():
    """Of 200,000 vectors to 512 codes they would be 0.38 GiB."""
    grown = memory.growth("ours", 512, 200_000)
    assert re.fullmatch(r"\+\d\.\d\d GiB", grown)


# ---------------------------------------------------------------------------------------------------------- peers


def present(name: str):
    try:
        return peers.load(name)
    except peers.PeerMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("path, peer", [("nearest_code_512", "vector-quantize-pytorch"),
                                        ("quantizer_step", "vector-quantize-pytorch"),
                                        ("nearest_code_512_faiss", "faiss-cpu"), ("extraction", "encodec"),
                                        ("torch_reference", "wavenet_vocoder")])  # fmt: skip
def test_without_a_peer_ours_is_measured_and_the_row_says_so(path, peer, monkeypatch):
    monkeypatch.setitem(peers.PEERS, peer, peers.Peer("no_such_module", "1.2.3"))
    row = measure(path, QUICK)
    assert row.ours > 0 and row.peer is None and row.ratio is None
    assert row.peer_name.startswith(peer)
    assert row.failed == f"{peer} is not installed: python -m benchmarks --install"


def test_what_a_peer_lacks_is_named(monkeypatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("import not_there_at_all")
    (tmp_path / "broken.py").write_text("raise RuntimeError('an old friend')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(peers.PEERS, "half", peers.Peer("half_installed", "1"))
    monkeypatch.setitem(peers.PEERS, "broken", peers.Peer("broken", "1"))
    with pytest.raises(peers.PeerMissing, match="not_there_at_all, which half needs, is not installed: python -m"):
        peers.load("half")
    with pytest.raises(peers.PeerMissing, match="broken cannot be imported: RuntimeError: an old friend"):
        peers.load("broken")


def test_the_documented_versions_are_those_installed():
    documented = {
        re.sub(r"\[(.*?)\].*", r"\1", row["peer"]): row["version"] for row in table(README["What is compared with"])
    }
    assert documented == {name.removesuffix("-cpu"): peer.version for name, peer in peers.PEERS.items()}


@pytest.mark.parametrize("name", ["vector-quantize-pytorch", "faiss-cpu"])
def test_peers_find_the_same_codes(name):
    present(name)
    vectors, codebook = quantizer.search_data(codes=64, vectors=500)
    ours = quantizer.our_search(vectors, codebook).run()
    found = quantizer.SIDES[name](vectors, codebook).run()[1]  # codes and units; distances and units
    assert np.array_equal(np.asarray(found).reshape(-1), ours)


def test_our_loop_over_the_peers_layers_draws_what_its_own_does():
    present("wavenet_vocoder")
    torch.manual_seed(0)
    model = peers.paper_sized_wavenet(condition_channels=4).eval()
    model.make_generation_fast_()
    with torch.no_grad():
        model.last_conv_layers[-1].weight.mul_(1e6)  # nearly certain: what is drawn does not depend on random numbers
    condition = torch.randn(3, 4, 12)
    together = generation.draw_batch(model, condition)
    assert together.shape == (3, CLASSES, 12)
    assert (together.sum(dim=1) == 1).all() and len(together.argmax(dim=1).unique()) > 6
    for row, drawn in zip(condition, together):
        assert torch.equal(generation.draw_one(model, row[None])[0], drawn)


def test_the_peer_draws_each_sample():
    present("wavenet_vocoder")
    model = peers.paper_sized_wavenet(condition_channels=4).eval()
    model.make_generation_fast_()
    condition = torch.randn(1, 4, 12)
    drawn = [generation.draw_one(model, condition).argmax(dim=1) for _ in range(2)]
    assert not torch.equal(*drawn)  # the same condition, other random numbers


# ---------------------------------------------------------------------------------------------------- the program


def test_the_documented_paths_are_those_that_are_listed(capsys):
    assert program.main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    documented = [row["path"].strip("`") for row in table(README["What is measured"])]
    assert listed == documented == list(PATHS)


def test_a_quick_run_writes_the_rows_and_prints_them(tmp_path, capsys):
    file = tmp_path / "results.json"
    assert program.main(["quantizer_step", "--quick", "--json", str(file)]) == 0
    (row,) = json.loads(file.read_text(encoding="utf-8"))
    assert row.keys() == SCHEMA.keys()
    assert all(isinstance(value, SCHEMA[key]) for key, value in row.items()), row
    assert (row["path"], row["unit"], row["cores"]) == ("quantizer_step", "ms/step", 1)
    if row["peer"] is not None:
        assert row["ratio"] == pytest.approx(row["peer"] / row["ours"], rel=2e-3)  # of figures with four digits
    out = capsys.readouterr().out
    assert row["machine"].partition(",")[0] in out and "| quantizer_step |" in out and torch.__version__ in out


def test_an_unknown_path_is_answered_with_the_nearest(capsys):
    assert program.main(["streams16_float"]) == 2
    assert "path: got 'streams16_float', expected some of one_stream_float32" in (error := capsys.readouterr().err)
    assert "Did you mean 'streams16_float32'" in error


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert program.main(["quantizer_step", "--json", str(tmp_path / "file/results.json")]) == 2
    assert "cannot write" in (error := capsys.readouterr().err) and "quantizer_step" not in error


def test_an_engine_that_is_not_there_is_a_row_with_its_reason(monkeypatch):
    monkeypatch.setitem(ENGINES, "compiled", ("vqaudio.no_such_engine", "Engine", "cpu"))
    row = measure("one_stream_int8", QUICK)
    assert row.ours is None and row.ratio is None
    assert row.failed.startswith("EngineUnavailable: compiled: No module named")


def test_a_process_that_dies_is_a_row_and_the_run_goes_on(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(program.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=-11))
    file = tmp_path / "results.json"
    assert program.main(["prior", "quantizer_step", "--json", str(file)]) == 0
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert [row["failed"] for row in rows] == ["the process ended with status -11"] * 2
    assert [row["path"] for row in rows] == ["prior", "quantizer_step"]
    assert capsys.readouterr().out.count("status -11") == 2


def test_cores_that_are_not_there_are_missed(monkeypatch):
    monkeypatch.setattr(timing.os, "sched_getaffinity", lambda _: {3}, raising=False)
    monkeypatch.setattr(timing.os, "sched_setaffinity", lambda *_: None, raising=False)
    with pytest.raises(Exception, match="this needs 2 cores, and may use 1 here"):
        timing.use_cores(2)


def test_an_absent_peer_has_no_ratio(monkeypatch):
    monkeypatch.setattr(timing, "speeds_by_turns", lambda sides, _: [[10.0]] * len(sides))
    row = timing.hold("a", COST, Contest(Side("ours", print, 1), Absent("p 1.0", "not here")), QUICK)
    assert (row.ours, row.peer, row.ratio, row.failed, row.peer_name) == (100.0, None, None, "not here", "p 1.0")


def test_the_readmes_table_is_made_from_a_file_of_rows(tmp_path):
    row = {"path": "p", "unit": "samples/s", "peer_name": "them", "ours": 18700.0, "peer": 406.0, "ratio": 46.1}
    results, readme = tmp_path / "r.json", tmp_path / "README.md"
    results.write_text(json.dumps([{**row, "machine": "a box, 2 threads", "date": "2026-01-01", "torch": "2.13"}]))
    readme.write_text("before\n<!-- speed:begin -->\nold\n<!-- speed:end -->\nafter\n")
    update_readme(results, readme)
    text = readme.read_text()
    assert "| p | 18,700 | 406 | samples/s | 46.1 | – | them |" in text
    assert "old" not in text and text.startswith("before\n") and text.endswith("\nafter\n")
    assert "a box, 2026-01-01" in text
    results.write_text("{}")
    with pytest.raises(VQAudioError, match="is not what --json writes"):
        update_readme(results, readme)


def test_the_readme_has_a_row_for_every_path():
    body = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert re.findall(r"^\| (\w+) \|", body, re.M)[1:] == list(PATHS)
