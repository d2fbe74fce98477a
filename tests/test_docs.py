"""The documentation says what the code does: options, configuration, formats and examples are compared with it."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import re
import subprocess
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.markdown import ROOT, anchors, code_blocks, command_lines, links, sections, table
from tests.small import HOP, small_vqvae, sound, write_data
from vqaudio import config as configuration
from vqaudio.audio import write_wav
from vqaudio.cli.main import COMMAND
from vqaudio.cli.parser import Group, Parser, Verb, find_verb
from vqaudio.config import PriorTrainingConfig, VQVAETrainingConfig
from vqaudio.config_files import from_dict, to_dict
from vqaudio.corpus import rules
from vqaudio.errors import ConfigError
from vqaudio.evaluation.measures import GROUPS, SAMPLES, SCOPE
from vqaudio.evaluation.results import OBJECTS
from vqaudio.training.prior import train_prior
from vqaudio.training.vqvae import train_vqvae
from vqaudio.units import UnitSpec
from vqaudio.units.extract import extract_units

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for link in links(path.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{path.name}: {link}"


# ---------------------------------------------------------------------------------------------- configuration

CONFIGURATION = sections(read("docs/configuration.md"))
VQVAE, PRIOR = (VQVAETrainingConfig, "default"), (PriorTrainingConfig, "default")
TABLES = {  # heading: which classes' keys it documents, below which key, and in which column their defaults stand
    "Top level": [(*VQVAE, ""), (*PRIOR, "")],
    "Top level of a VQ-VAE": [(*VQVAE, "")],
    "model of a VQ-VAE": [(*VQVAE, "model")],
    "model.encoder": [(*VQVAE, "model.encoder")],
    "model.quantizer": [(*VQVAE, "model.quantizer")],
    "model.decoder": [(*VQVAE, "model.decoder")],
    "model of a prior": [(*PRIOR, "model")],
    "The stack": [
        (VQVAETrainingConfig, "VQ-VAE", "model.decoder.stack"),
        (PriorTrainingConfig, "prior", "model.stack"),
    ],
    "training": [(VQVAETrainingConfig, "VQ-VAE", "training"), (PriorTrainingConfig, "prior", "training")],
}
COMPANIONS = {"layers": {"stacks": 1}, "max_steps": {"max_minutes": None}}  # what else a key at its limit needs


def at(tree: object, path: str) -> object:
    for key in filter(None, path.split(".")):
        tree = tree[key]
    return tree


def documented() -> Iterator[tuple[type, str, str, dict[str, str]]]:
    """Yield the class, the key's whole path, its documented default, and its row."""
    for heading, uses in TABLES.items():
        for row in table(CONFIGURATION[heading], "key"):
            for cls, column, parent in uses:
                yield cls, f"{parent}.{row['key']}".lstrip("."), row[column], row


def all_keys(tree: dict, parent: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{parent}{key}"
        if isinstance(value, dict):
            yield from all_keys(value, f"{parent}{key}.")


@pytest.mark.parametrize("cls", [VQVAETrainingConfig, PriorTrainingConfig])
def test_every_key_of_the_configuration_is_documented_and_no_other(cls):
    listed = [path for owner, path, _, _ in documented() if owner is cls]
    assert sorted(listed) == sorted(all_keys(to_dict(cls())))


def test_documented_defaults_are_the_defaults():
    for cls, path, default, _ in documented():
        value = at(to_dict(cls()), path)
        if isinstance(value, dict):
            assert default == "see below"
        else:
            assert yaml.safe_load(default) == value, path


def hint_of(cls: type, path: str) -> object:
    for key in path.split("."):
        cls = typing.get_type_hints(cls)[key]
    if isinstance(cls, types.UnionType):  # "int | None"
        cls = next(part for part in typing.get_args(cls) if part is not type(None))
    return cls


def build(cls: type, path: str, value: object) -> object:
    """Return a configuration with one key set, and with its companions."""
    tree = to_dict(cls())
    *parents, last = path.split(".")
    at(tree, ".".join(parents)).update({**COMPANIONS.get(last, {}), last: value})
    return from_dict(cls, tree)


def limits(cls: type, path: str, text: str) -> tuple[list, list]:
    """Return values that a documented range takes and refuses, at its very ends."""
    hint = hint_of(cls, path)
    if dataclasses.is_dataclass(hint):
        assert text == "keys"
        return [], ["text"]
    if typing.get_origin(hint) is typing.Literal:
        assert set(text.split(", ")) == set(typing.get_args(hint)), path
        return list(typing.get_args(hint)), ["nonsense"]
    if hint is str:
        assert text == "text"
        return ["asterisk-50hz"], [1, [], True]
    if hint is bool:
        assert text == "bool"
        return [True, False], [1, "no"]
    if typing.get_origin(hint) is tuple:
        if text == "[] or two int ≥ 0":
            return [[], [0, 0], [5, 4]], [[1], [1, 2, 3], [-1, 0], [2, 1.5], 4]
        assert text == "list of int ≥ 1"
        return [[1], [5, 4]], [[], [0], [2, 1.5], 4]
    kind, step = ("int", 1) if hint is int else ("float", 1e-6)
    assert kind in text.split(), path
    takes, refuses = [], [math.nan, "text"] + [1.5] * (hint is int)
    if match := re.search(rf"{kind} (≥|>) (\d+)", text):
        least = int(match[2]) + (step if match[1] == ">" else 0)
        takes.append(least)
        refuses.append(least - step if match[1] == ">" else least - 1)
    if match := re.fullmatch(r"0 (<|≤) float (<|≤) ([\d.]+)", text):
        most = float(match[3])
        takes += [0] * (match[1] == "≤") + [most] * (match[2] == "≤")
        refuses += [-step if match[1] == "≤" else 0, most if match[2] == "<" else most + step]
    if text.startswith(("even", "odd")):
        takes, even = takes + [4, 8] * (text[0] == "e") + [1, 3] * (text[0] == "o"), text[0] == "e"
        refuses.append(3 if even else 2)
    return takes, refuses


@pytest.mark.parametrize(("cls", "path", "text"), [(c, p, row["range"]) for c, p, _, row in documented()])
def test_documented_ranges_are_those_that_are_checked(cls, path, text):
    takes, refuses = limits(cls, path, text)
    for value in takes:
        build(cls, path, value)
    for value in refuses:
        with pytest.raises(ConfigError, match=path.rpartition(".")[2]):
            build(cls, path, value)


def test_every_class_of_the_configuration_is_reached():
    """A class that no file can hold would be a dead option."""

    def reached(cls: type) -> set[type]:
        hints = typing.get_type_hints(cls).values()
        return {cls}.union(*(reached(hint) for hint in hints if dataclasses.is_dataclass(hint)))

    classes = {c for c in vars(configuration).values() if isinstance(c, type) and dataclasses.is_dataclass(c)}
    assert classes == reached(VQVAETrainingConfig) | reached(PriorTrainingConfig)


# --------------------------------------------------------------------------------------------------- commands

COMMANDS = sections(read("docs/commands.md"))
SHARED = {"#generation": "Generation", "#seed": "Seed", "#computing": "Computing", "#several-jobs": "Several jobs"}


def all_verbs(command: str = "vqaudio", group: Group = COMMAND) -> Iterator[tuple[str, Verb]]:
    for name, found in group.verbs.items():
        if isinstance(found, Group):
            yield from all_verbs(f"{command} {name}", found)
        else:
            yield f"{command} {name}", found


def options_of(verb: Verb) -> dict[str, str]:
    """Return a verb's options and their defaults as the documentation writes them."""
    found = {}
    parser = Parser("vqaudio", verb)
    required = {
        action for group in parser._mutually_exclusive_groups if group.required for action in group._group_actions
    }
    for action in parser._actions:
        if not action.option_strings or action.dest == "help":
            continue
        if action.required or action in required:
            default = "required"
        elif action.nargs == 0:
            default = "off"
        elif isinstance(action.default, list):
            default = " ".join(map(str, action.default)) or "–"
        else:
            default = "–" if action.default is None else str(action.default)
        found[action.option_strings[0]] = default
    return found


@pytest.mark.parametrize(("command", "verb"), list(all_verbs()), ids=[name for name, _ in all_verbs()])
def test_every_option_of_a_verb_is_documented_with_its_default(command, verb):
    body = COMMANDS[command]
    bodies = [body] * ("| option |" in body) + [COMMANDS["Messages"]]
    bodies += [COMMANDS[SHARED[link]] for link in links(body) if link in SHARED]
    rows = [(row["option"], row["default"]) for part in bodies for row in table(part, "option")]
    assert sorted(rows) == sorted(options_of(verb).items())


def test_every_section_is_of_a_verb_that_there_is():
    named = {heading for heading in COMMANDS if heading.startswith("vqaudio ")}
    assert named == {command for command, _ in all_verbs()} | {"vqaudio data"}


def test_the_verbs_that_go_on_after_an_interruption_are_named():
    sentence = next(p for p in read("docs/commands.md").split("\n\n") if "go on where they stood" in p)
    named = set(re.findall(r"`([a-z -]+)`", sentence))
    assert named == {command.removeprefix("vqaudio ") for command, verb in all_verbs() if verb.resumes}


def examples() -> list[list[str]]:
    own = [line for _, verb in all_verbs() for line in verb.example.replace("\\\n", " ").splitlines() if line.strip()]
    in_documents = [line for path in DOCUMENTS for line in command_lines(path.read_text(encoding="utf-8"), "vqaudio ")]
    return [line.split() for line in own] + in_documents


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_every_command_that_is_shown_can_be_parsed(words):
    command, verb, rest = find_verb("vqaudio", COMMAND, words[1:])
    if "…" in rest:  # the rest of a command that was shown before: only its options are of interest
        known = options_of(verb)
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known.keys()
    else:
        Parser(command, verb).parse(rest)


def test_the_stages_and_options_of_recipes_are_documented():
    body = COMMANDS["run.sh of a recipe"]
    script = ROOT / "recipes/asterisk/run.sh"
    said = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True, check=True).stdout
    common = said.partition("Options of this corpus")[0]
    assert [(row["stage"], row["name"]) for row in table(body, "stage")] == re.findall(r"^ +(\d+)  (\w+)", said, re.M)
    rows = table(body, "option")
    assert [row["option"] for row in rows] == re.findall(r"^  (--\w+)", common, re.M)
    for row in rows:
        line = re.search(rf"^  {row['option']} .*$", common, re.M)[0]
        if row["default"] not in ("–", "off"):
            assert line.endswith(f"({row['default']})"), line


# ------------------------------------------------------------------------------------- formats, by example runs

TINY = {
    "batch_size": 2,
    "crop_units": 8,
    "max_steps": 6,
    "max_minutes": None,
    "precision": "float32",
    "log_interval": 3,
}
TINY_STACK = {"layers": 2, "stacks": 1, "residual_channels": 8, "gate_channels": 8, "skip_channels": 8}
TINY_VQVAE = {
    "model": {
        "encoder": {"strides": [4, 4], "channels": 8, "residual_blocks": 1},
        "quantizer": {"codebook_size": 16, "code_dim": 4, "start_step": 2},
        "decoder": {"stack": TINY_STACK, "classes": 32},
    },
    "training": {**TINY, "mel_loss": 0.5},
}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory) -> dict[str, Path]:
    """A VQ-VAE and a prior, trained for a few steps; folders by kind."""
    root = tmp_path_factory.mktemp("documented")
    data = write_data(root / "data", {f"{who}-{n}": 40 * HOP for who in ("anna", "boris") for n in range(2)})
    train_vqvae(from_dict(VQVAETrainingConfig, TINY_VQVAE), root / "data", root / "data", root / "vqvae")
    from vqaudio.models.folder import load_vqvae

    extract_units(load_vqvae(root / "vqvae/model")[0], data, root / "units", progress=False)
    prior = from_dict(PriorTrainingConfig, {"model": {"stack": TINY_STACK}, "training": TINY})
    utt2spk = {u.id: u.speaker for u in data.utterances}
    train_prior(prior, root / "vqvae/model", root / "units", root / "units", utt2spk, root / "prior")
    return {"VQ-VAE": root / "vqvae", "prior": root / "prior"}


FORMATS = sections(read("docs/file-formats.md"))


def test_what_tensorboard_shows_is_documented(experiments):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown, kinds = set(), {"scalar": "scalars", "histogram": "histograms", "audio": "audio", "image": "images"}
    for kind, folder in experiments.items():
        events = EventAccumulator(str(folder / "tensorboard"))
        events.Reload()
        for form, category in kinds.items():
            shown |= {(_generic(tag), form, kind) for tag in events.Tags()[category]}
    rows = table(COMMANDS["What TensorBoard shows"], "name")
    listed = set()
    for row in rows:
        kind = re.search(r"\((VQ-VAE|prior)\)$", row["what it is"])
        listed |= {(row["name"], row["kind"], k) for k in ([kind[1]] if kind else experiments)}
    assert listed == shown


def _generic(tag: str) -> str:
    tag = re.sub(r"/(anna|boris)-\d/", "/<utterance>/", tag)
    return re.sub(r"^unconditional/\d+", "unconditional/<n>", tag)


def test_the_experiment_folder_holds_what_is_documented(experiments):
    listed = {row["path"].rstrip("/") for row in table(FORMATS["Experiment folders"], "path")}
    for folder in experiments.values():
        # A lock is there while a training runs, a list of bad audio where there is audio: not of a prior's.
        assert {path.name for path in folder.iterdir()} | {".lock", "rejected.tsv"} == listed
        weights = {path.name for path in (folder / "model").iterdir()}
        assert weights == {row["file"] for row in table(FORMATS["Model folders"], "file")}


def test_the_keys_of_train_json_are_documented(experiments):
    listed = {row["key"]: row["what it says"] for row in table(FORMATS["Experiment folders"], "key")}
    for kind, folder in experiments.items():
        other = next(name for name in experiments if name != kind)
        expected = {key for key, text in listed.items() if not text.endswith(f"({other})")}
        assert json.loads((folder / "train.json").read_text()).keys() == expected


def test_the_keys_of_units_json_are_documented():
    written = json.loads(UnitSpec.of_model(small_vqvae()).to_json())
    assert {row["key"] for row in table(FORMATS["Units"], "key")} == written.keys()


def test_the_keys_of_results_json_are_documented():
    keys = {measure.key for group in GROUPS.values() for measure in group} | set(SCOPE)
    rows = table(FORMATS["Results"], "key")
    assert {row["key"] for row in rows} == keys and len(rows) == len(keys)
    assert {row["sample key"] for row in table(FORMATS["Results"], "sample key")} == {m.key for m in SAMPLES}
    assert {row["object"] for row in table(FORMATS["Results"], "object")} == set(OBJECTS)


def test_the_rules_of_data_directories_are_documented():
    checked = re.findall(r"^([a-z0-9-]+)  +\S", rules.__doc__, flags=re.MULTILINE)[1:]  # without the line of headings
    assert [row["rule"] for row in table(FORMATS["Data directories"], "rule")] == checked
    assert {row["file"] for row in table(FORMATS["Data directories"], "file")} == rules.FORMS.keys()


def test_the_example_of_reading_units_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_data(tmp_path / "data", {"anna-1": 20 * HOP})
    extract_units(small_vqvae(), data, "my_units", collapse=True, progress=False)
    (block,) = code_blocks(read("docs/file-formats.md"), "python")
    names: dict = {}
    exec(compile(block, "file-formats.md", "exec"), names)
    assert names["seconds"] == 20 * HOP / 8000


def test_the_corpus_module_of_the_guide_works(tmp_path):
    (block,) = code_blocks(read("docs/adding-a-corpus.md"), "python")
    names: dict = {}
    exec(compile(block, "adding-a-corpus.md", "exec"), names)
    for stem in ("anna_one_0", "anna_one_1", "anna_one_2", "boris_two_3", "noise"):
        write_wav(tmp_path / "audio" / f"{stem}.wav", sound(800), 8000)
    made = names["prepare"](tmp_path / "audio", tmp_path / "data")
    ids = {name: [u.id for u in data.utterances] for name, data in made.items()}
    assert ids == {"train": ["anna-one-2", "boris-two-3"], "dev": ["anna-one-1"], "test": ["anna-one-0"]}
    assert (tmp_path / "data/findings.tsv").read_text().startswith("noise.wav\tleft out")


# ------------------------------------------------------------------------------------------------------ floors


def floors() -> dict[str, int]:
    """Return the floor of each room of the package, as CONTRIBUTING.md has it."""
    rows = table(sections(read("CONTRIBUTING.md"))["How the code is laid out"], "floor")
    return {room.removesuffix(".py"): int(row["floor"]) for row in rows for room in row["rooms"].split(", ")}


def imports() -> Iterator[tuple[str, str]]:
    """Yield (room, room that it imports from), within the package."""
    for path in (ROOT / "vqaudio").rglob("*.py"):
        place = path.relative_to(ROOT / "vqaudio")
        if len(place.parts) == 1 and place.stem.startswith("__"):
            continue  # the package itself, which hands on the API
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module] if node.module != "vqaudio" else [f"vqaudio.{alias.name}" for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "vqaudio" and len(parts) > 1 and parts[1] != place.parts[0].removesuffix(".py"):
                    yield place.parts[0].removesuffix(".py"), parts[1]


def test_every_room_has_a_floor():
    entries = (ROOT / "vqaudio").iterdir()
    rooms = {p.stem for p in entries if (p / "__init__.py").exists() or (p.suffix == ".py" and p.stem[0] != "_")}
    assert rooms == floors().keys()


def test_rooms_import_from_their_floor_or_below_and_in_no_circle():
    floor, below = floors(), {}
    for room, imported in set(imports()):
        assert floor[imported] <= floor[room], f"{room} imports from {imported}, a floor above"
        below.setdefault(room, set()).add(imported)

    def visit(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"a circle: {' imports from '.join((*path, room))}"
        for imported in below.get(room, ()):
            visit(imported, (*path, room))

    for room in floor:
        visit(room, ())
