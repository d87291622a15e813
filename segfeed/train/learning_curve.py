"""How far with how few: the same training on parts of the training images, to see whether more would help."""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np

from segfeed.atomic import write_atomically
from segfeed.errors import CommandError
from segfeed.pairing import find_pairs
from segfeed.score_plots import plot_learning_curve
from segfeed.split.tables import write_split_file
from segfeed.train.data import cut_off_validation, parts_of
from segfeed.train.run import train

DRAWS = 3  # of each number of images


def train_on_parts(arguments: argparse.Namespace, command: str) -> None:
    """Train a run on each number of `--learning-curve`, three times, on images that are drawn anew each time.

    All have the same validation, and are judged by it; a larger part holds the smaller one of the same draw. The runs
    lie in folders of the output, and the same command goes on with them. Raises as `train` does.
    """
    output = arguments.output
    if os.environ.get("TF_CONFIG"):
        raise CommandError("--learning-curve trains many small models: start it on one machine, without TF_CONFIG.")
    if (output / "checkpoints").exists():
        raise CommandError(f"{output} holds a run: give --learning-curve an --output of its own.")
    if arguments.split:
        train_ids, validation_ids, _ = parts_of(arguments).values()
    else:
        ids = [pair.stem for pair in find_pairs(arguments.images, arguments.masks)]
        train_ids, validation_ids = cut_off_validation(arguments, ids)
    sizes = arguments.learning_curve
    if sizes[-1] > len(train_ids):
        raise CommandError(
            f"--learning-curve asks for {sizes[-1]} training images, and there are {len(train_ids)}: "
            f"give numbers up to {len(train_ids)}."
        )
    rows = []
    output.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        for seed in range(arguments.seed, arguments.seed + DRAWS):
            print(f"\n--- {size} of {len(train_ids)} training images, seed {seed} ---")
            drawn = np.random.default_rng(seed).permutation(sorted(train_ids))[:size].tolist()
            run, table = output / f"{size}-{seed}", output / f"{size}-{seed}.csv"
            table.unlink(missing_ok=True)
            write_split_file(table, {"train": drawn, "validation": validation_ids})
            changes = {"learning_curve": None, "split": table, "validation": None, "output": run, "seed": seed}
            train(argparse.Namespace(**vars(arguments) | changes), command)
            rows.append((size, seed, _mean_iou(run)))
    described = plot_learning_curve([(size, iou) for size, _, iou in rows])
    write_atomically(output / "learning_curve.csv", lambda part: _write_rows(part, rows))
    write_atomically(output / "learning_curve.png", lambda part: described.figure.savefig(part, dpi=100))
    print(f"\n{described.text}\n{output} holds learning_curve.png, learning_curve.csv and the runs.")


def _mean_iou(run: Path) -> float:
    """On validation, the mean over the classes besides ground."""
    scores = json.loads((run / "run.json").read_text(encoding="utf-8"))["scores"]
    return float(np.mean([score["iou"] for score in list(scores.values())[1:]]))


def _write_rows(path: Path, rows: list[tuple[int, int, float]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("images", "seed", "validation_iou"), *rows])
