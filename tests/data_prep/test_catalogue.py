"""What the corpora say of themselves, where users look for it: modules, recipes and their table agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_prep.catalogue import LABELS, Entry, corpora, read, table

ROOT = Path(__file__).parents[2]
ASKED = {
    "aishell3", "an4", "asterisk", "cmu_arctic", "common_voice", "fsdd", "librilight", "librispeech", "libritts",
    "ljspeech", "mboshi", "speech_commands", "speechocean762", "timit", "tuxpaint", "vctk", "voxpopuli", "yesno",
    "zerospeech2017", "zerospeech2019",
}  # fmt: skip


TRIED_ON = {
    "the corpus itself": "the corpus itself",
    "a part of the corpus itself": "a part of the corpus itself",
    "a miniature of its layout": "a\\s+miniature\\s+of",
}
"""What a module may say, and how its recipe's README then puts it."""


@pytest.fixture(params=corpora(), ids=lambda entry: entry.name)
def entry(request) -> Entry:
    return request.param


def test_the_corpora_of_the_field_are_there():
    assert {entry.name for entry in corpora()} >= ASKED


def test_a_module_describes_its_corpus(entry):
    assert set(entry.fields) == set(LABELS)
    assert re.match(r"[\d.,]+\b|as many|by language", entry.fields["Hours"])
    assert entry.fields["Tried on"].partition(":")[0] in TRIED_ON


def test_every_corpus_has_a_recipe_that_says_what_it_was_tried_on(entry):
    recipe = ROOT / "recipes" / entry.name
    readme = (recipe / "README.md").read_text(encoding="utf-8")
    assert entry.command in readme
    words = TRIED_ON[entry.fields["Tried on"].partition(":")[0]]
    assert re.search(rf"\*\*Tried on\*\*\s+{words}", readme)
    assert "RESULTS.md" not in readme or (recipe / "RESULTS.md").is_file()


def test_every_recipe_has_a_corpus():
    recipes = {path.parent.name for path in (ROOT / "recipes").glob("*/run.sh")}
    assert recipes - {"common", "template", "toy", "voices"} == {entry.name for entry in corpora()}


def test_the_table_of_the_recipes_is_what_the_modules_say():
    assert table() in (ROOT / "recipes/README.md").read_text(encoding="utf-8")


def test_labels_run_over_lines_and_cells_are_short():
    entry = read("asterisk")
    assert entry.fields["Speakers"].endswith("(Russian); studio recordings")
    assert "| 2 | 4 | CC BY-SA 3.0 and CC BY 3.0 | the corpus itself | `bash recipes/asterisk/run.sh` |" in entry.row
