"""Checks of one epoch asked for again: repeated, held, from threads, in another process, written into."""

from __future__ import annotations

import contextlib
import functools
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from segfeed.check.context import Context, Hung, arrays, check, difference, run_at_once, said, shared_random


@check("global random", "the random numbers that all share, of Python and NumPy, are left alone.", "arrays")
def _(it: Context) -> Iterator[str]:
    sequence, make = it.sequence, it.make
    steps: dict[str, Callable[[], Any]] = {"__getitem__": lambda: it.read(sequence)}
    if make is not None:
        sequence = make()
        steps |= {"__init__": make, "on_epoch_end": sequence.on_epoch_end}
    for step, act in steps.items():
        random.random(), np.random.random()  # noqa: NPY002 — so that seeding shows too
        before = shared_random()
        with contextlib.suppress(Exception):  # other checks are about these
            act()
        for name, state in shared_random().items():
            if state != before[name]:
                yield f"{step} draws from {name}, or seeds it: use np.random.default_rng([seed, epoch, index])."


@check("repeat", "a batch is the same when it is asked for again, in whatever order.", "finite", "global random")
def _(it: Context) -> Iterator[str]:
    for index in reversed(range(it.length)):
        if words := difference([it.batches[index]], [arrays(it.sequence[index])], [index]):
            yield f"asked for again, {words}: let (seed, epoch, index) alone say what it holds."


@check("kept", "a batch that was handed out stays as it is.", "repeat")
def _(it: Context) -> Iterator[str]:
    held = [it.sequence[index] for index in range(it.length)]
    if words := difference(it.batches, [arrays(batch) for batch in held]):
        yield f"after all were handed out, {words}: make new arrays for each batch."


@check("threads", "threads may ask at the same time.", "kept")
def _(it: Context) -> Iterator[str]:
    def ask(first: int) -> str:
        order = [*range(first, it.length), *range(first)]
        return difference([it.batches[i] for i in order], [arrays(it.sequence[i]) for i in order], order)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet where they seldom do
    try:
        asked = [functools.partial(ask, number * it.length // 8) for number in range(8)]
        answers = run_at_once(asked, 0.9 * it.patience)
    finally:
        sys.setswitchinterval(interval)
    for answer in filter(None, answers):
        if isinstance(answer, Hung):
            raise answer
        words = said(answer) if isinstance(answer, BaseException) else answer
        yield f"with 8 threads, {words}: let __getitem__ write to nothing that belongs to self."


@check("pickle", "it can be sent to another process.", "repeat")
def _(it: Context) -> Iterator[str]:
    try:
        twin = pickle.loads(pickle.dumps(it.sequence))
    except Exception as error:
        yield f"{said(error)}. use_multiprocessing needs it: keep no lambda, lock or open file in self."
    if words := difference(it.batches, it.read(twin)):
        yield f"after pickling, {words}: let __getstate__ keep all that a batch depends on."
