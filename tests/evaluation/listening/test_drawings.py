"""The drawings: exact where they can be exact, against arithmetic by hand and another decoder."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.evaluation.alignments import Segment
from vqaudio.evaluation.listening.charts import (
    Line,
    line_chart,
    linear_axis,
    log_axis,
    tick_text,
    value_text,
    whole_axis,
)
from vqaudio.evaluation.listening.colours import code_colours
from vqaudio.evaluation.listening.curves import Curve, downsample, read_curves
from vqaudio.evaluation.listening.heatmap import Side, heat_map
from vqaudio.evaluation.listening.phones import code_map, in_order
from vqaudio.evaluation.listening.png import encode_png
from vqaudio.evaluation.listening.spectrograms import Scale, common_scale, levels_db, palette
from vqaudio.evaluation.listening.strips import phone_strip, runs, unit_strip
from vqaudio.evaluation.listening.usage import usage_chart
from vqaudio.evaluation.listening.utterances import spread

from .conftest import Page

RATE = 8000


def test_png_is_what_another_decoder_reads():
    generator = np.random.default_rng(0)
    indices, colours = generator.integers(0, 60, (37, 53)).astype(np.uint8), palette(shades=60)
    read = matplotlib.image.imread(io.BytesIO(encode_png(indices, colours)), format="png")
    np.testing.assert_array_equal(np.rint(255 * read[..., :3]).astype(np.uint8), colours[indices])


# ---------------------------------------------------------------------------------------------- spectrograms


@pytest.mark.parametrize("frequency", [500.0, 1000.0, 3000.0])
def test_a_sine_of_full_scale_has_0_db_at_its_frequency(frequency):
    wave = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE).astype(np.float32)
    levels = levels_db(wave, RATE)
    assert levels.shape == (128, 200)
    middle = levels[:, 100]
    assert middle.argmax() == round(frequency / RATE * 256)
    assert middle.max() == pytest.approx(0.0, abs=0.01)  # these frequencies lie on bins: no scalloping
    assert levels_db(wave / 10, RATE)[:, 100].max() == pytest.approx(-20.0, abs=0.01)


def test_a_click_is_drawn_where_it_is_heard():
    wave = np.zeros(RATE, dtype=np.float32)
    wave[6000] = 1.0
    energy = levels_db(wave, RATE).max(axis=0)
    loud = np.flatnonzero(energy > energy.max() - 3)
    assert (loud.mean() + 0.5) / 200 == pytest.approx(0.75, abs=0.005)  # a column is 5 ms


def test_levels_of_the_shortest_sound():
    assert levels_db(np.zeros(1, dtype=np.float32), RATE).shape == (128, 1)


def test_one_scale_for_all_and_its_shades_by_hand():
    scale = Scale(-80.0, -10.0)
    assert scale.shades(np.array([-200.0, -80.0, -78.7, -10.1, 0.0])).tolist() == [0, 0, 1, 55, 55]  # 1.25 dB each
    quiet, loud = np.full((4, 4), -60.0), np.full((4, 4), -23.0)
    assert common_scale([quiet, loud]) == Scale(-90.0, -20.0)


# ------------------------------------------------------------------------------------------- strips, colours


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_runs_restore_the_units(units):
    restored = [unit for unit, length in runs(np.array(units)) for _ in range(length)]
    assert restored == units
    assert all(a[0] != b[0] for a, b in zip(runs(np.array(units)), runs(np.array(units))[1:], strict=False))


def test_strip_has_a_block_per_run_at_its_place():
    page = Page(unit_strip(np.array([3, 3, 1, 3]), 125.0, 0.04, ["#000001", "#000002", "#000003", "#000004"]))
    blocks = [(a["x"], a["width"], a["fill"]) for _, a, _ in page.all("rect")]
    assert blocks == [("0", "2", "#000004"), ("2", "1", "#000002"), ("3", "1", "#000004")]
    assert page.all("svg")[0][1]["viewbox"] == "0 0 5 1"  # the fifth unit's time has no unit


def test_phones_are_cut_where_the_axis_ends():
    page = Page(phone_strip([Segment(0.0, 0.5, "a"), Segment(0.5, 2.0, "<"), Segment(3.0, 4.0, "z")], 1.0))
    assert [(a["style"], text) for _, a, text in page.all("span")] == [
        ("left:0.000%;width:50.000%", "a"),
        ("left:50.000%;width:50.000%", "<"),
    ]


def test_colours_are_stable_and_near_codes_have_near_colours():
    generator = np.random.default_rng(3)
    groups = generator.standard_normal((4, 16)) * 8
    codebook = np.repeat(groups, 8, axis=0) + generator.standard_normal((32, 16)) * 0.1
    colours = code_colours(32, codebook)
    assert colours == code_colours(32, codebook.copy())
    assert len(set(colours)) == 32 and all(len(c) == 7 for c in colours)
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype=float)
    apart = np.linalg.norm(rgb[:, None] - rgb[None], axis=-1)
    same = np.equal.outer(np.arange(32) // 8, np.arange(32) // 8)
    assert apart[same].mean() < 0.5 * apart[~same].mean()


def test_colours_without_a_codebook():
    assert len(set(code_colours(512, None))) > 400  # 8 bits a channel make a few fall together
    assert len(code_colours(2, np.zeros((2, 4)))) == 2


# --------------------------------------------------------------------------------------------------- charts


@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=20), st.booleans())
def test_axes_hold_all_values_and_have_few_round_ticks(values, from_zero):
    axis = linear_axis("", values, from_zero=from_zero)
    slack = 1e-9 * max(map(abs, [*values, 1.0]))  # of rounding
    assert axis.low <= min(values) + slack and max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 9


def test_axes_by_hand():
    assert linear_axis("", [4.98, 6.99]).ticks == (4.5, 5.0, 5.5, 6.0, 6.5, 7.0)
    assert linear_axis("", [0.2, 0.9], from_zero=True).ticks == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert log_axis("", np.array([0.0004, 0.06])).ticks == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1))
    assert whole_axis("", 0.0, 10066.0).ticks == (0.0, 2500.0, 5000.0, 7500.0, 10000.0)
    assert log_axis("", np.array([0.01, 1.0])).place(np.array([0.1])) == pytest.approx([0.5])


def test_texts_of_numbers():
    assert [tick_text(v) for v in (0, 12000, 0.25, -1.5, 1e-5)] == ["0", "12,000", "0.25", "−1.5", "10⁻⁵"]
    assert [value_text(v) for v in (6.66, 438.738, 0.02, 1.0)] == ["6.660", "438.7", "0.02000", "1.000"]


def test_a_chart_draws_its_points_at_their_places():
    x = np.array([0.0, 5.0, 10.0])
    lines = [Line("<up>", x, np.array([0.0, 1.0, 2.0])), Line("one", x[-1:], np.array([1.0]), colour=1)]
    text = line_chart("T&T", lines, whole_axis("step", 0.0, 10.0), linear_axis("loss", [0.0, 2.0]), "Two lines.")
    page = Page(text)
    assert [a["points"] for _, a, _ in page.all("polyline")] == [
        "0.0,1000.0 500.0,500.0 1000.0,0.0",
        "1000.0,500.0 1000.0,500.0",  # a point, for a round cap to show
    ]
    assert [t for _, _, t in page.all("li")] == ["<up>", "one"]
    plot = page.all("div", class_="plot")[0][1]
    assert plot["data-lines"] == '[["<up>",[0,5,10],[0,1,2]],["one",[10],[1]]]'
    assert plot["aria-label"].startswith("T&T. Two lines.") and page.all("p", class_="readout")[0][2] == "Two lines."


def test_usage_by_hand():
    text = Page(usage_chart(np.array([2, 0, 6, 0]))).all("p", class_="readout")[0][2]
    # Entropy of 3/4 and 1/4: 0.8113 bits; 2^0.8113 = 1.75.
    assert text == "Perplexity 1.8 of 4 codes; half of all units are of 1 code; 2 do not occur."


# --------------------------------------------------------------------------------------------------- curves


def test_curves_are_those_of_the_event_file(made):
    curves = read_curves(made[0] / "tensorboard")
    assert curves["loss/bits_per_sample"].steps.tolist() == list(range(1, 41))
    np.testing.assert_allclose(curves["loss/bits_per_sample"].values, 8.0 - np.arange(1, 41) / 20, rtol=1e-6)  # float32
    assert curves["dev/bits_per_sample_true"].values.tolist() == pytest.approx([5.8, 5.6])
    assert read_curves(made[0] / "units") == {}


def test_curves_leave_out_what_is_not_finite_and_what_was_logged_anew(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step, value in [(1, 5.0), (2, 4.0), (2, 3.0), (3, float("nan")), (4, 1.0)]:
            writer.add_scalar("loss/total", value, step)
        writer.add_scalar("loss/vq", float("inf"), 1)
    curves = read_curves(tmp_path)
    assert set(curves) == {"loss/total"}
    assert curves["loss/total"].steps.tolist() == [1, 2, 4] and curves["loss/total"].values.tolist() == [5.0, 3.0, 1.0]


def test_long_curves_keep_their_level_and_their_end():
    steps = np.arange(10001.0)
    short = downsample(Curve(steps, steps * 2))
    assert len(short.steps) == 300 and short.steps[-1] == 10000 and short.values[-1] == 20000
    assert np.all(np.diff(short.steps) > 0)
    assert short.values[:-1].mean() == pytest.approx(steps[:-1].mean() * 2, rel=0.01)  # groups differ by one in size


# ------------------------------------------------------------------------------------------ heat maps, choice


def test_a_heat_map_holds_every_cell():
    shares = np.array([[0.0, 0.5, 1.0], [0.25, 0.125, 0.0]])
    rows, columns = Side("row", ["a", "<b>"]), Side("column", ["1", "2", "3"], shown=False)
    page = Page(heat_map("Map", shares, rows, columns, "{column} {row} {share}", "Words."))
    cells = page.all("div", class_="cells")[0][1]
    assert cells["data-shares"] == "[0,500,1000,250,125,0]"
    assert cells["data-rows"] == "a\t<b>" and cells["data-columns"] == "1\t2\t3"
    assert [t for _, _, t in page.all("span")] == ["a", "<b>"]


def test_codes_are_sorted_by_their_likeliest_phones_and_rare_ones_left_out():
    counts = np.array([[0, 30], [20, 5], [40, 0], [1, 0]])
    page = Page(code_map(counts, ["aa", "s"]))
    assert page.all("div", class_="cells")[0][1]["data-columns"] == "2 (40 units)\t1 (25 units)\t0 (30 units)"
    summary = page.all("p", class_="readout")[0][2]
    assert summary.startswith("3 of 4 codes occur at least 10 times") and "94.8 %" in summary  # (30+20+40+1) / 96


def test_phones_stand_by_manner_and_unknown_ones_last():
    assert in_order(["zzz", "sil", "s", "iy", "aa", "abc"]) == ["iy", "aa", "s", "sil", "abc", "zzz"]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from("xyz"), min_size=1), st.integers(0, 12))
def test_the_chosen_are_as_many_as_wanted_and_even_over_speakers(speakers, wanted):
    chosen = spread(list(speakers), speakers, wanted)
    assert len(chosen) == len(set(chosen)) == min(wanted, len(speakers))
    shown = {name: sum(speakers[id] == name for id in chosen) for name in set(speakers.values())}
    free = [n for name, n in shown.items() if n < sum(s == name for s in speakers.values())]
    assert not free or max(shown.values()) <= min(free) + 1  # nobody has two more than one who could have more
