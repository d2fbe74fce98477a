"""What SECURITY.md promises of the code: nothing in it reads a file in a way that could execute what the file says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.constraints import FILE, needed, pinned

ROOT = Path(__file__).parents[1]
SHELLS = ("vqaudio/corpus/reading.py",)
"""Where the command pipes of a data directory are run, for those who allow them by the option's name."""
NEVER = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load", "dill.load", "dill.loads", "joblib.load",
    "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load",
    "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter", "pandas.read_pickle", "eval", "exec",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "xml.etree.ElementTree.parse",
    "xml.etree.ElementTree.fromstring", "multiprocessing.connection.Listener", "socketserver.TCPServer",
}  # fmt: skip


def sources() -> list[Path]:
    return sorted(
        path for room in ("vqaudio", "data_prep", "recipes", "benchmarks") for path in (ROOT / room).rglob("*.py")
    )


def full_names(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: {"load": "torch.load"}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, object], int]]:
    """Yield the dotted name, the plain keywords and the line of each call."""
    known = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            keywords = {word.arg: getattr(word.value, "value", ...) for word in node.keywords}
            yield known.get(head, head) + dot + rest, keywords, node.lineno


def violations(source: str, place: str) -> list[str]:
    found = []
    for name, keywords, line in calls(ast.parse(source)):
        if name in NEVER:
            found.append(f"{place}:{line}: {name}")
        if name == "torch.load" and keywords.get("weights_only") is not True:
            found.append(f"{place}:{line}: torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and keywords.get("allow_pickle", False) is not False:
            found.append(f"{place}:{line}: {name} with allow_pickle")  # False is the default
        if keywords.get("shell", False) is not False and place not in SHELLS:
            found.append(f"{place}:{line}: {name} with shell=True")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_reads_a_file_in_a_way_that_could_execute_it(path):
    assert violations(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))) == []


@pytest.mark.parametrize("source", [
    "import pickle\npickle.load(f)",
    "from pickle import loads as l\nl(b)",
    "import torch\ntorch.load(p)",
    "import torch\ntorch.load(p, weights_only=False)",
    "import torch\ntorch.load(p, weights_only=flag)",
    "from torch import load\nload(p)",
    "import yaml\nyaml.load(t, yaml.Loader)",
    "import numpy as np\nnp.load(p, allow_pickle=True)",
    "import numpy as np\nnp.load(p, allow_pickle=flag)",
    "eval(t)",
    "exec(t)",
    "import subprocess\nsubprocess.run(c, shell=True)",
    "import os\nos.system(c)",
])  # fmt: skip
def test_what_could_execute_a_file_is_seen(source):
    assert len(violations(source, "x.py")) == 1


@pytest.mark.parametrize("source", [
    "import torch\ntorch.load(p, weights_only=True)",
    "import numpy as np\nnp.load(p)",
    "model.eval()",
    "import yaml\nyaml.safe_load(t)",
    "import subprocess\nsubprocess.run(words)",
])  # fmt: skip
def test_what_could_not_is_left_alone(source):
    assert violations(source, "x.py") == []


def test_the_policy_is_linked_and_gives_no_address_to_write_to():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert not re.search(r"[\w.]+@[\w.]+", text)
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "(SECURITY.md)" in (ROOT / page).read_text(encoding="utf-8")


def test_everything_that_is_installed_for_the_toolkit_is_pinned():
    assert needed() - pinned(FILE.read_text(encoding="utf-8")) == set()
