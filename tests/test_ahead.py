"""Work ahead of whoever waits for it: in order, no further ahead than it should be, and no failure is lost."""

from __future__ import annotations

import threading

import pytest

from coinlake.ahead import ahead


def test_results_come_in_the_order_of_their_tasks_though_a_later_one_is_done_first() -> None:
    second_is_done = threading.Event()

    def work(task: int) -> int:
        if task == 0:
            assert second_is_done.wait(30), "the second is not worked on while the first is"
        if task == 1:
            second_is_done.set()
        return task * 10

    assert list(ahead(work, range(5), hands=2)) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("hands", [1, 2, 3])
def test_no_more_is_begun_than_there_are_hands_for(hands: int) -> None:
    begun: list[int] = []
    results = ahead(begun.append, range(9), hands)
    for taken, _ in enumerate(results, 1):
        assert len(begun) <= taken + hands
    assert sorted(begun) == list(range(9))


def test_a_failure_comes_where_its_result_would_have_and_what_follows_is_not_begun() -> None:
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        return 1 // (task - 2)

    results = ahead(work, range(9))
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert max(begun) <= 3
