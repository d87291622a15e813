"""How far with how few: the same training on parts of the training images, to see whether more would help."""

from __future__ import annotations

import argparse
import csv
import gc
import json
import os
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np

from segfeed.atomic import write_atomically, write_json
from segfeed.errors import CommandError
from segfeed.locks import lock_folder
from segfeed.pairing import find_pairs
from segfeed.score_plots import plot_learning_curve
from segfeed.split.tables import write_split_file
from segfeed.train.data import audit_or_stop, cut_off_validation, groups_of, parts_of
from segfeed.train.options import MAX_SEED, check_options
from segfeed.train.run import train

DRAWS = 3  # of each number of images
SCALED = "epochs", "warm_up", "patience", "lr_patience"  # what is counted in epochs
MADE_HERE = re.compile(r"\d+-\d+(\.csv)?|learning_curve\.(csv|png|json)|\..*")


def train_on_parts(arguments: argparse.Namespace, command: str) -> None:
    """Train a run on each number of `--learning-curve`, three times, on images that are drawn anew each time.

    All have the same validation, and are judged by it; a larger part holds the smaller one of the same draw. Small
    parts get more epochs, so that all take about as many steps. The runs lie in folders of the output, and the same
    command goes on with them. Raises as `train` does.
    """
    output = arguments.output
    _refuse_what_cannot_be(arguments)
    groups = {}
    if arguments.split:
        train_ids, validation_ids, _ = parts_of(arguments).values()
        groups = groups_of(arguments)
    else:
        ids = [pair.stem for pair in find_pairs(arguments.images, arguments.masks)]
        train_ids, validation_ids = cut_off_validation(arguments, ids)
    sizes, steps = arguments.learning_curve, [-(-size // arguments.batch) for size in arguments.learning_curve]
    if sizes[-1] > len(train_ids):
        raise CommandError(
            f"--learning-curve asks for {sizes[-1]} training images, and there are {len(train_ids)}: "
            f"give numbers up to {len(train_ids)}."
        )
    _refuse_other_sizes(output, sizes)
    begun = output / "learning_curve.json"
    if not begun.exists():
        audit_or_stop(arguments, lambda: None)
    rows = []
    with lock_folder(output):
        output.mkdir(parents=True, exist_ok=True)
        write_json(begun, {"images": sizes})
        for size, few in zip(sizes, steps, strict=True):
            longer = max(1, round(steps[-1] / few))
            for seed in range(arguments.seed, arguments.seed + DRAWS):
                print(f"\n--- {size} of {len(train_ids)} training images, seed {seed} ---")
                drawn = np.random.default_rng(seed).permutation(sorted(train_ids))[:size].tolist()
                parts, run = {"train": drawn, "validation": validation_ids}, output / f"{size}-{seed}"
                table = output / f"{size}-{seed}.csv"
                table.unlink(missing_ok=True)
                named = {name: groups.get(name, name) for names in parts.values() for name in names}
                write_split_file(table, parts, named if groups else None)
                changes = {"learning_curve": None, "split": table, "validation": None, "output": run, "seed": seed}
                changes |= {name: longer * getattr(arguments, name) for name in SCALED}
                train(argparse.Namespace(**vars(arguments) | changes), command, curve=output)
                rows.append((size, seed, _mean_iou(run)))
                keras.utils.clear_session()
                gc.collect()
        described = plot_learning_curve([(size, iou) for size, _, iou in rows])
        write_atomically(output / "learning_curve.csv", lambda part: _write_rows(part, rows))
        write_atomically(output / "learning_curve.png", lambda part: described.figure.savefig(part, dpi=100))
    print(f"\n{described.text}\n{output} holds learning_curve.png, learning_curve.csv and the runs.")


def _refuse_what_cannot_be(arguments: argparse.Namespace) -> None:
    output = arguments.output
    if os.environ.get("TF_CONFIG"):
        raise CommandError("--learning-curve trains many small models: start it on one machine, without TF_CONFIG.")
    if arguments.dry_run:
        raise CommandError("--learning-curve trains many models: leave --dry-run out, or --learning-curve.")
    if arguments.overwrite:
        raise CommandError(f"--learning-curve goes on with its runs: leave --overwrite out, or delete {output}.")
    check_options(arguments)
    if arguments.seed + DRAWS - 1 > MAX_SEED:
        raise CommandError(f"--seed is {arguments.seed}: give at most {MAX_SEED - DRAWS + 1}.")
    others = [path.name for path in output.iterdir() if not MADE_HERE.fullmatch(path.name)] if output.is_dir() else []
    if others or output.is_file():
        raise CommandError(
            f"{output} holds other files, such as {min(others, default=output.name)}: give --learning-curve an "
            f"--output of its own."
        )


def _refuse_other_sizes(output: Path, sizes: list[int]) -> None:
    path = output / "learning_curve.json"
    if path.is_file() and (old := json.loads(path.read_text(encoding="utf-8"))["images"]) != sizes:
        raise CommandError(
            f"{output} holds a curve of {','.join(map(str, old))} images. How many epochs a part gets depends on the "
            f"largest part, so its runs do not fit. Give another --output, or delete {output}."
        )


def _mean_iou(run: Path) -> float:
    """On validation, the mean over the classes besides ground that are in the masks or are found."""
    scores = json.loads((run / "run.json").read_text(encoding="utf-8"))["scores"]
    occur = [row["iou"] for row in list(scores.values())[1:] if _occurs(row)]
    return float(np.mean(occur)) if occur else 0.0


def _occurs(row: dict[str, Any]) -> bool:
    if "true_pixels" in row:
        return row["true_pixels"] + row["found_pixels"] > 0
    return row["iou"] > 0 or row["boundary_f"] is not None  # a run of an earlier version, which did not count them


def _write_rows(path: Path, rows: list[tuple[int, int, float]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("images", "seed", "validation_iou"), *rows])
