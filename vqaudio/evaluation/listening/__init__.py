"""The listening report: one HTML file with everything that an experiment lets one hear, see and read.

It needs no network and no other file. Content is gathered (`experiment`, `utterances`, `curves`), drawn
(`spectrograms`, `strips`, `charts`, `heatmap`), put into sections (`overview`, `training`, `scores`, `players`,
`usage`, `phones`) and assembled, within a limit of size, by `page`.
"""

from vqaudio.evaluation.listening.page import ReportOptions, write_report

__all__ = ["ReportOptions", "write_report"]
