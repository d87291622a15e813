"""`segfeed predict`: what it is told, and what it does."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from segfeed.backend import keras_problem, use_tensorflow
from segfeed.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run of `segfeed train`")
    add("images", type=Path, metavar="IMAGES", help="folder of the pictures")
    add("output", type=Path, metavar="OUT", help="folder for the predictions; the same command goes on in it")
    add("--model", type=Path, nargs="+", default=[], metavar="RUN", help="more runs: the mean of all is taken")
    add("--tile", type=int, help="cut pictures into squares of this side in pixels (default: resize them whole)")
    add("--overlap", type=float, default=0.25, help="share of a tile's side by which tiles overlap")
    add("--tta", action="store_true", help="mean over the flips and turns of each picture, 8 of squares, else 4")
    add("--threshold", type=float, help="probability from which on a pixel is the object (default: the run's)")
    add("--min-area", type=int, default=1, help="smallest object in pixels; smaller ones become background")
    add("--pixel-size", type=float, help="side of a pixel in mm, for areas in mm²")
    add("--probabilities", action="store_true", help="store them too: 16-bit PNG, or npz of several classes")
    add("--batch", type=int, help="images that the model takes at once (default: by their size)")


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
