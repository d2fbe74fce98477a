"""Units as Parquet: what is read is what was written, by us and by others; what is not units is refused."""

import dataclasses

import numpy as np
import pytest

from vqaudio.errors import UnitsError
from vqaudio.units.parquet import count_rows, part_path, read_parts, write_part
from vqaudio.units.spec import UnitSpec
from vqaudio.units.text import read_frame_units, read_units

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
SPEC = UnitSpec(sample_rate=8000, hop_length=16, codebook_size=16, model_hash="abc")
COLLAPSED = dataclasses.replace(SPEC, collapsed=True)
SEQUENCES = {"b with a space": np.array([3, 3, 15]), "a": np.array([0])}


@pytest.fixture
def folder(tmp_path):
    write_part(part_path(tmp_path, 0), SEQUENCES, SPEC)
    write_part(part_path(tmp_path, 1), {"c": np.arange(16)}, SPEC)
    (tmp_path / "units.json").write_text(SPEC.to_json())
    return tmp_path


def same(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_folder_of_parts_is_read_like_any_folder_of_units(folder):
    sequences, spec = read_units(folder)
    assert spec == SPEC and sequences["a"].dtype == np.int64
    same(sequences, dict(sorted((SEQUENCES | {"c": np.arange(16)}).items())))
    assert count_rows(part_path(folder, 0), SPEC) == 2


def test_collapsed_units_are_restored(tmp_path):
    write_part(part_path(tmp_path, 0), {"a": np.array([3, 15])}, COLLAPSED, {"a": np.array([2, 70_000])})
    (tmp_path / "units.json").write_text(COLLAPSED.to_json())
    restored, _ = read_frame_units(tmp_path)
    same(restored, {"a": np.repeat([3, 15], [2, 70_000])})
    assert read_units(tmp_path)[0]["a"].tolist() == [3, 15]


def test_others_read_the_columns(folder):
    table = pq.read_table(folder / "parts")
    assert table.column("id").to_pylist() == ["b with a space", "a", "c"]
    assert table.column("units").to_pylist() == [[3, 3, 15], [0], list(range(16))]
    assert table.schema.field("units").type.value_type == pa.uint16()


def test_many_codes_take_wider_integers(tmp_path):
    spec = dataclasses.replace(SPEC, codebook_size=1 << 20)
    write_part(part_path(tmp_path, 0), {"a": np.array([1 << 19])}, spec)
    same(read_parts(tmp_path, spec)[0], {"a": np.array([1 << 19])})


def test_a_part_of_rejected_utterances_alone_is_a_part(tmp_path):
    write_part(part_path(tmp_path, 0), {}, SPEC)
    assert count_rows(part_path(tmp_path, 0), SPEC) == 0
    with pytest.raises(UnitsError, match="no units"):
        read_parts(tmp_path, SPEC)


def test_parts_of_other_units_are_refused(folder):
    other = dataclasses.replace(SPEC, model_hash="def")
    write_part(part_path(folder, 2), {"d": np.array([1])}, other)
    with pytest.raises(UnitsError, match=r"part-000002\.parquet: not of the units that units\.json .*model abc"):
        read_units(folder)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ({"a": np.array([1])}, "'a' was given before"),
        ({"d": np.array([16])}, "16 of 'd' is outside the codebook"),
        ({"d": np.array([], dtype=int)}, "expected integers"),
    ],
)
def test_what_cannot_be_units_is_refused(folder, sequences, words):
    write_part(part_path(folder, 2), sequences, SPEC)
    with pytest.raises(UnitsError, match=words):
        read_units(folder)


@pytest.mark.parametrize("damage", ["cut", "no column", "not Parquet"])
def test_files_that_are_no_parts(folder, damage):
    path = part_path(folder, 1)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "no column":
        table = pa.table({"id": ["x"]}).replace_schema_metadata({b"vqaudio.units": SPEC.to_json()})
        pq.write_table(table, path)
    else:
        path.write_text("units")
    with pytest.raises(UnitsError, match=r"part-000001\.parquet: "):
        read_units(folder)
