"""What the checks look at: a Sequence, what is said about it, and the batches it has handed out."""

from __future__ import annotations

import hashlib
import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segfeed.check.probe import Unknown, probe_number

Batch = tuple[np.ndarray, ...]
PARTS = "images", "masks", "weights"


class Hung(Exception):
    """No answer came in time."""


@dataclass
class Context:
    """A Sequence, what is said about it, and what it has handed out."""

    n_classes: int
    values: tuple[float, float] | None
    shuffle: bool | None
    probe: Path | None
    patience: float
    make: Callable[[], Any] | None = None
    sequence: Any = None
    length: int = 0
    batches: list[Any] = field(default_factory=list)  # of the first epoch
    later: list[list[Batch]] = field(default_factory=list)  # epochs
    beyond: list[Any] = field(default_factory=list)  # the samples of a batch after the last
    faults: dict[str, str] | None = None  # of the form of the batches: the first of each kind

    def read(self, sequence: Any) -> list[Batch]:
        """An epoch, each batch copied at once."""
        return [arrays(sequence[index]) for index in range(self.length)]

    def read_as_keras(self, sequence: Any) -> list[list[Batch]]:
        """Two epochs as `fit` calls them: before the first it looks at two batches and ends an epoch."""
        epochs = []
        for index in [*range(min(2, self.length))] * 2:
            sequence[index]
        sequence.on_epoch_end()
        sequence.on_epoch_end()
        for _ in range(2):
            sequence.on_epoch_begin()
            epochs.append(self.read(sequence))
            sequence.on_epoch_end()
        return epochs

    def numbers(self, batches: list[Batch]) -> list[Any]:
        """Each sample of some batches: a probe's number (None if blank), else the checksum of the image."""
        images = [image for batch in batches for image in batch[0]]
        if self.probe is None:
            return [hashlib.sha256(image.tobytes()).hexdigest()[:8] for image in images]
        return [probe_number(image, self.n_classes) for image in images]


def copied(batch: Any) -> Any:
    """The same in memory that nobody else writes to."""
    if isinstance(batch, tuple | list):
        return (tuple if isinstance(batch, tuple) else list)(copied(part) for part in batch)
    return batch.copy() if isinstance(batch, np.ndarray) else batch


def arrays(batch: Any) -> Batch:
    return tuple(np.asarray(part) for part in copied(batch))


def classes_of(masks: np.ndarray) -> np.ndarray:
    return masks.argmax(-1) if masks.shape[-1] > 1 else masks[..., 0].astype(int)


def difference(expected: list[Batch], found: list[Batch], indices: Sequence[int] | None = None) -> str:
    """The first difference between batches, in words; empty if there is none."""
    for index, one, two in zip(indices or range(len(expected)), expected, found, strict=True):
        shapes, then = ([part.shape for part in batch] for batch in (one, two))
        if shapes != then:
            return f"batch {index} holds {shapes}, then {then}"
        for name, first, second in zip(PARTS, one, two, strict=False):
            if wrong := np.count_nonzero(first != second):
                return f"batch {index}: {wrong} of {first.size} values of the {name} differ"
    return ""


def said(error: BaseException) -> str:
    try:
        words = " ".join(map(str, [error, *getattr(error, "__notes__", [])]))[:500]
    except BaseException as worse:
        words = f"(its message raises {type(worse).__name__})"
    return words if isinstance(error, Unknown | Hung) else f"{type(error).__name__}: {words}"


def run_at_once(calls: Sequence[Callable[[], Any]], seconds: float) -> list[Any]:
    """What each call returns, or the exception it raises, or Hung; all run at the same time."""
    answers: list[Any] = [Hung(f"no answer in {seconds:g} s: it waits or loops for ever.")] * len(calls)

    def ask(place: int, call: Callable[[], Any]) -> None:
        try:
            answers[place] = call()
        except BaseException as error:  # SystemExit too: in this thread only the Sequence raises it
            answers[place] = error

    threads = [threading.Thread(target=ask, args=both, daemon=True) for both in enumerate(calls)]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return list(answers)


def shared_random() -> dict[str, bytes]:
    """The states of the random numbers that all share."""
    states = {"random": random.getstate(), "np.random": np.random.get_state()}  # noqa: NPY002 — it is looked at
    return {name: pickle.dumps(state) for name, state in states.items()}


# --- The list of checks: each yields what is wrong, and the first is told ------------------------

Check = Callable[[Context], Iterator[str]]
CHECKS: dict[str, tuple[str, tuple[str, ...], Check]] = {}  # name: what must hold, the checks it needs, the check


def check(name: str, sentence: str, *needs: str) -> Callable[[Check], Check]:
    """Register a check, to be made where those that it needs have passed."""

    def register(function: Check) -> Check:
        CHECKS[name] = sentence, needs, function
        return function

    return register
