"""Does a Sequence, anyone's, do what `fit` relies on?

    from segfeed.check import check_sequence, probe_folder

    ids = probe_folder("probe")  # pictures that tell their number and their mask
    make = lambda: MySequence(ids, "probe/images", "probe/masks", batch_size=4)
    print(*check_sequence(make, probe="probe", shuffle=True), sep="\n")

Nothing here imports another part of segfeed: the checks know only what Keras asks of a Sequence.
"""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from segfeed.check.context import CHECKS, Context, Hung, run_at_once, said, shared_random
from segfeed.check.probe import PROBES, Unknown, probe_folder

# isort: off
from segfeed.check import form as form  # each registers its checks, in this order
from segfeed.check import behaviour as behaviour
from segfeed.check import epochs as epochs
# isort: on

__all__ = ["CHECKS", "PROBES", "CheckResult", "check_sequence", "probe_folder"]


class CheckResult(NamedTuple):
    """A check; whether it passed, None where that cannot be told; and what was measured, with the cure."""

    check: str
    passed: bool | None
    words: str

    def __str__(self) -> str:
        verdict = {True: "passed", False: "FAILED", None: "?"}[self.passed]
        return f"{verdict:6}  {self.check}: {self.words}"


def check_sequence(
    make: Any,
    *,
    n_classes: int = 1,
    values: tuple[float, float] | None = None,
    shuffle: bool | None = None,
    probe: str | Path | None = None,
    patience: float = 60,
) -> list[CheckResult]:
    """Make every check of a Sequence of images and masks; no fault of it raises an exception here.

    Where a check fails, those that build on it have `passed=None`: mend the fault, and check again.
    Three epochs are held in memory: check a large data set by some of its ids, or by the probe folder.

    Args:
        make: a function without arguments that makes the Sequence, called several times. A Sequence will
            do, but then less can be told, and afterwards it is some epochs further.
        n_classes: channels of the masks: 1 for masks of 0 and 1, more for one-hot.
        values: least and greatest value of an image; None for 0–1 as float and 0–255 as integer.
        shuffle: whether the order changes from epoch to epoch; None if that does not matter.
        probe: the folder that `probe_folder` wrote, if the Sequence reads it. Then samples are known by
            number, even flipped and turned, and masks by their images. One file is damaged for a moment.
        patience: seconds for one check; a Sequence that takes longer is given up.
    """
    it = Context(n_classes, values, shuffle, None if probe is None else Path(probe), patience)
    it.sequence, it.make = (make, None) if isinstance(make, keras.utils.Sequence) else (None, make)
    results: dict[str, CheckResult] = {}
    causes: dict[str, str] = {}  # of checks that are not made
    hung, state = None, shared_random()
    for name, (sentence, needs, function) in CHECKS.items():
        first = hung or next((need for need in needs if not results[need].passed), None)
        if first:
            causes[name] = causes.get(first, first)
            results[name] = CheckResult(name, None, f"not looked at: see {causes[name]!r} first.")
            continue
        (answer,) = run_at_once([lambda function=function: next(function(it), None)], patience)  # type: ignore[misc]
        hung = name if isinstance(answer, Hung) else None
        passed = None if isinstance(answer, Unknown) else answer is None
        words = said(answer) if isinstance(answer, BaseException) else answer
        results[name] = CheckResult(name, passed, words or sentence)
    random.setstate(pickle.loads(state["random"]))
    np.random.set_state(pickle.loads(state["np.random"]))  # noqa: NPY002 — as it was
    return list(results.values())
