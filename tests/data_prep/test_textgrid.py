"""TextGrids in the forms that Praat's manual gives, https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html."""

from __future__ import annotations

import pytest

from data_prep.textgrid import Interval, ctm_values, read_textgrid
from vqaudio.errors import VQAudioError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.3
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Mary"
        xmin = 0
        xmax = 2.3
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "she said ""hi"" twice, 2 times"
        intervals [2]:
            xmin = 1.5
            xmax = 2.3
            text = ""
    item [2]:
        class = "TextTier"
        name = "bell"
        xmin = 0
        xmax = 2.3
        points: size = 1
        points [1]:
            number = 1
            mark = "ding"
    item [3]:
        class = "IntervalTier"
        name = "John"
        xmin = 0
        xmax = 2.3
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.3
            text = "daisy bell"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.3
<exists>
3
"IntervalTier"
"Mary"
0
2.3
2
0
1.5
"she said ""hi"" twice, 2 times"
1.5
2.3
""
"TextTier"
"bell"
0
2.3
1
1
"ding"
"IntervalTier"
"John"
0
2.3
1
0
2.3
"daisy bell"
"""
TIERS = {
    "Mary": [Interval(0, 1.5, 'she said "hi" twice, 2 times'), Interval(1.5, 2.3, "")],
    "John": [Interval(0, 2.3, "daisy bell")],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
def test_both_forms_in_every_encoding(tmp_path, text, encoding):
    (tmp_path / "a.TextGrid").write_text(text, encoding=encoding)
    assert read_textgrid(tmp_path / "a.TextGrid") == TIERS


@pytest.mark.parametrize("text", ["", SHORT[:120], SHORT.replace("TextGrid", "Pitch"), "\udcff"])
def test_what_is_none_is_named(tmp_path, text):
    (tmp_path / "a.TextGrid").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(VQAudioError, match=r"a\.TextGrid: not a TextGrid of Praat's, or cut off"):
        read_textgrid(tmp_path / "a.TextGrid")
    with pytest.raises(VQAudioError, match=r"b\.TextGrid: cannot be read: No such file"):
        read_textgrid(tmp_path / "b.TextGrid")


def test_intervals_become_lines_of_a_ctm():
    intervals = [Interval(0, 0.25, ""), Interval(0.25, 1.5, "new york"), Interval(1.5, 1.5, "x")]
    assert ctm_values(intervals) == ["1 0.250000 1.250000 new_york"]
    assert ctm_values(intervals, blank="sil")[0] == "1 0.000000 0.250000 sil"
