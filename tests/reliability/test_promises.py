"""Every promise, by a few trials of each kind; `python -m tests.reliability` does them all."""

import numpy as np
import pytest

from tests.reliability.promises import HELD, NAMES, Bench, Promise, Skipped, find_promise, hold_to_account


@pytest.mark.parametrize("name", NAMES)
def test_a_promise_holds(name):
    promise = find_promise(name)
    account = hold_to_account(promise, promise.in_tests or promise.least)
    assert not account.broken, "\n".join(account.broken)
    if account.tried == 0:
        pytest.skip("; ".join(sorted(set(account.skipped))))


def test_trials_are_counted_whatever_becomes_of_them():
    def trials(bench: Bench):
        assert bench.folder.is_dir() and isinstance(bench.random, np.random.Generator)
        yield HELD
        yield Skipped("no such machine")
        yield "a line was lost"
        raise ValueError("out of order")

    account = hold_to_account(Promise("some", "", "", 9, trials), 5)
    assert account.row() == {"promise": "some", "tried": 3, "held": 1}
    assert account.broken[0] == "a line was lost" and "ValueError: out of order" in account.broken[1]
    assert account.skipped == ["no such machine"]


def test_trials_that_are_not_done_do_not_hold():
    account = hold_to_account(Promise("some", "", "", 9, lambda bench: iter([HELD])), 3)
    assert account.broken == ["2 of 3 trials were not done"]


@pytest.mark.parametrize(("share", "count"), [(1.0, 200), (0.1, 20), (0.001, 3)])
def test_a_share_is_of_the_full_count_but_meets_each_kind(share, count):
    assert Promise("some", "", "", 200, lambda bench: iter(()), least=3).share(share) == count
