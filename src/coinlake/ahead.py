"""Work that is done ahead of whoever waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def ahead(work: Callable[[Task], Result], tasks: Iterable[Task], hands: int = 1) -> Iterator[Result]:
    """What `work` gives for each task, in their order: by so many threads, for as many tasks, while the result before
    them is in use.
    """
    left = iter(tasks)
    with ThreadPoolExecutor(hands) as threads:
        coming = deque(threads.submit(work, task) for task in islice(left, hands))
        while coming:
            result = coming.popleft().result()
            coming.extend(threads.submit(work, task) for task in islice(left, 1))
            yield result
