"""`segfeed predict`: its arguments checked, and Keras set as it needs."""

from __future__ import annotations

import argparse
import os

from segfeed.backend import keras_problem, use_tensorflow
from segfeed.errors import CommandError


def run(arguments: argparse.Namespace, words: str) -> int:
    """Raises CommandError for what must be changed first, and KeyboardInterrupt with what is finished."""
    _check(arguments)
    use_tensorflow()
    if problem := keras_problem():
        raise CommandError(f"{problem}.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from segfeed.inference.program import predict

    return predict(arguments)


def _check(arguments: argparse.Namespace) -> None:
    given = arguments
    for name, value, in_range, words in (
        ("--tile", given.tile, given.tile is None or given.tile >= 1, "a side in pixels, at least 1"),
        ("--overlap", given.overlap, 0 <= given.overlap <= 0.9, "a share from 0 to 0.9"),
        ("--threshold", given.threshold, given.threshold is None or 0 < given.threshold <= 1, "more than 0, at most 1"),
        ("--min-area", given.min_area, given.min_area >= 1, "pixels, at least 1"),
        (
            "--pixel-size",
            given.pixel_size,
            given.pixel_size is None or 0 < given.pixel_size < float("inf"),
            "millimetres, more than 0",
        ),
        ("--batch", given.batch, given.batch is None or given.batch >= 1, "at least 1"),
    ):
        if not in_range:
            raise CommandError(f"{name} is {value}: give {words}.")
    if given.output.is_dir() and given.images.is_dir() and given.output.samefile(given.images):
        raise CommandError(f"{given.output} is given for the pictures and for the predictions. Give two folders.")
