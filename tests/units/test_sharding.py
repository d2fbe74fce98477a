"""Work dealt to jobs: all of it, once, evenly; and the same by each job's own reckoning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqaudio.corpus import Utterance
from vqaudio.errors import VQAudioError
from vqaudio.units.sharding import Shard, deal, find_shards, known_seconds, other_shards, remove_shards

COUNTS = st.integers(1, 12)
WEIGHTS = st.lists(st.floats(0, 1e4), max_size=60)


def shards(count: int) -> list[Shard]:
    return [Shard(index=index, count=count) for index in range(1, count + 1)]


@given(WEIGHTS, COUNTS)
def test_every_item_is_in_one_shard_and_in_its_order(weights, count):
    items = list(range(len(weights)))
    parts = [shard.take(items, weights) for shard in shards(count)]
    assert sorted(item for part in parts for item in part) == items
    assert all(part == sorted(part) for part in parts)


@given(WEIGHTS, COUNTS)
def test_no_shard_has_more_than_the_mean_and_one_item(weights, count):
    loads = [sum(w for w, owner in zip(weights, deal(weights, count)) if owner == i) for i in range(1, count + 1)]
    assert max(loads) <= sum(weights) / count + max(weights, default=0) + 1e-6


@given(st.integers(0, 60), COUNTS, st.floats(0.01, 100))
def test_equal_items_go_round_in_turn(number, count, weight):
    assert deal([weight] * number, count) == [1 + i % count for i in range(number)]
    assert shards(count)[0].take(list(range(number))) == list(range(0, number, count))


def test_the_long_ones_are_spread():
    assert deal([2, 1, 9, 8, 3], 2) == [1, 1, 1, 2, 2]  # 9 + 2, 8 + 3, and the 1 to the lower of two equals


@pytest.mark.parametrize(("texts", "part"), [(("1/1",), (1, 1)), (("2/7", "02/07"), (2, 7)), (("12/12",), (12, 12))])
def test_shards_are_written_as_index_and_count(texts, part):
    for text in texts:
        shard = Shard.parse(text, {})
        assert (shard.index, shard.count) == part
        assert str(shard) == "{}/{}".format(*part)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.0/2", "Rank", "¹/²"])
def test_what_is_no_shard_is_told_what_is_one(text):
    with pytest.raises(VQAudioError, match=r"expected I/N with 1 ≤ I ≤ N, such as 1/4"):
        Shard.parse(text, {"RANK": "0", "WORLD_SIZE": "2"})


def test_torchruns_ranks_are_the_shards():
    ranks = [{"RANK": str(rank), "WORLD_SIZE": "4", "LOCAL_RANK": str(rank % 2)} for rank in range(4)]
    assert [Shard.parse("rank", environment) for environment in ranks] == shards(4)


@pytest.mark.parametrize("environment", [{}, {"RANK": "1"}, {"RANK": "x", "WORLD_SIZE": "2"}])
def test_rank_outside_torchrun_is_explained(environment):
    with pytest.raises(VQAudioError, match=r"RANK and WORLD_SIZE.*torchrun"):
        Shard.parse("rank", environment)


def test_seconds_are_known_from_tables_alone():
    timed, cut = Utterance("a", "s", "/no/file", duration=1.5), Utterance("b", "s", "/no/file", start=1.0, end=3.5)
    assert known_seconds([timed, cut]) == [1.5, 2.5]
    assert known_seconds([timed, Utterance("c", "s", "/no/file")]) is None


def test_folders_of_shards_are_found_in_order_and_others_passed_over(tmp_path):
    for name in ("10-of-12", "2-of-12", "1-of-3", "0-of-3", "4-of-3", "x-of-3", "1-of-3.old"):
        (tmp_path / "shards" / name).mkdir(parents=True)
    assert list(map(str, find_shards(tmp_path))) == ["1/3", "2/12", "10/12"]
    assert all(shard.folder(tmp_path) == path for shard, path in find_shards(tmp_path).items())
    assert list(map(str, other_shards(tmp_path, Shard(index=3, count=3)))) == ["2/12", "10/12"]
    assert other_shards(tmp_path, None) == find_shards(tmp_path)
    remove_shards(tmp_path)
    remove_shards(tmp_path)
    assert find_shards(tmp_path) == {} and list(tmp_path.iterdir()) == []
