"""Experiments side by side: the best in bold, what the intervals do not tell apart marked."""

from __future__ import annotations

from vqaudio.evaluation.comparison import compare
from vqaudio.evaluation.results import Results


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row by its label."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def experiment(accuracy: float, interval: tuple[float, float] | None = None, **others: float) -> Results:
    results = Results(dict(others))
    results.put("phone_accuracy", accuracy, interval)
    return results


def test_the_best_is_bold_by_the_direction_that_is_good():
    table = rows(compare({"a": experiment(0.3, mcd_db=5.0), "b": experiment(0.4, mcd_db=6.0)}))
    assert table["phone accuracy"] == ["30.0", "**40.0**", "%", "higher"]
    assert table["mel-cepstral distortion"] == ["**5.00**", "6.00", "dB", "lower"]


def test_equal_figures_are_both_best_and_a_lone_one_is_not():
    one, other = experiment(0.4, stoi=0.5, mcd_db=6.0), experiment(0.4, mcd_db=7.0)
    table = rows(compare({"a": one, "b": other}))
    assert table["phone accuracy"][:2] == ["**40.0**", "**40.0**"]
    assert table["STOI"][:2] == ["0.500", ""]


def test_what_neither_direction_is_good_for_has_no_best():
    assert rows(compare({"a": Results({"speaker_probe": 0.4}), "b": Results({"speaker_probe": 0.5})}))[
        "speaker, by a linear probe"
    ][:2] == ["40.0", "50.0"]


def test_differences_within_an_interval_are_marked():
    close, far = experiment(0.38, (0.3, 0.41)), experiment(0.2, (0.15, 0.25))
    table = rows(compare({"best": experiment(0.4, (0.36, 0.44)), "close": close, "far": far}))
    assert table["phone accuracy"][:3] == ["**40.0**", "38.0 ≈", "20.0"]
    # One interval is enough, whosever it is.
    assert rows(compare({"best": experiment(0.4), "close": close}))["phone accuracy"][:2] == ["**40.0**", "38.0 ≈"]
    assert (
        rows(compare({"best": experiment(0.4, (0.36, 0.44)), "x": experiment(0.38)}))["phone accuracy"][1] == "38.0 ≈"
    )


def test_baselines_and_temperatures_have_their_columns_and_tables():
    one, other = experiment(0.4), experiment(0.3)
    one.baselines["mfcc_kmeans"] = experiment(0.5)
    one.sweep["0.7"] = Results({"loop_share": 0.1})
    other.sweep["0.7"] = Results({"loop_share": 0.2})
    text = compare({"a": one, "b": other})
    assert "k-means" not in text and "## Speech that nobody said: 0.7" in text
    assert rows(text)["loops"] == ["**10.0**", "20.0", "%", "lower"]
    text = compare({"a": one, "b": other}, baselines=True)
    assert "|  | a | a: k-means of MFCCs | b | unit | better |" in text
    assert rows(text)["phone accuracy"][:3] == ["40.0", "**50.0**", "30.0"]


def test_who_has_no_figure_in_a_table_has_no_column_there():
    text = compare({"a": experiment(0.4, mcd_db=5.0), "b": experiment(0.3)})
    assert "|  | a | b | unit | better |" in text and "|  | a | unit | better |" in text
