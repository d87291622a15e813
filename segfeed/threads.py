"""Threads that decode images side by side: OpenCV and simplejpeg release the GIL while they work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads(ThreadPoolExecutor):
    """One thread a core. OpenCV's own threads stay as they are: it lets one call at a time use them.

    A task that a task submits runs at once. So no thread waits for a task that waits for a thread.
    """

    def __init__(self, name: str):
        self._here = threading.local()
        super().__init__(CORES, name, initializer=setattr, initargs=(self._here, "inside", True))

    @property
    def inside(self) -> bool:
        """Whether the caller is a task of these threads."""
        return hasattr(self._here, "inside")

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if not self.inside:
            return super().submit(task, *args, **kwargs)
        done: Future = Future()
        try:
            done.set_result(task(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def map_in_order(name: str, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What `function` returns for each item, in order, from one thread a core, each of which takes 16 at a time."""
    parts = [items[start : start + 16] for start in range(0, len(items), 16)]
    pool = Threads(name)
    try:
        for results in pool.map(lambda part: [function(item) for item in part], parts):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)
