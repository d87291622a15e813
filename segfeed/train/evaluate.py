"""The best model of a run, scored and shown."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import segmentation_models as sm
import tensorflow as tf

from segfeed.atomic import write_atomically, write_json
from segfeed.counts import Counts, count_pixels
from segfeed.errors import CommandError
from segfeed.generator import DataGenerator
from segfeed.inference.runs import with_preprocessing
from segfeed.plots import DescribedFigure, plot_history, plot_predictions
from segfeed.score_plots import plot_calibration, plot_confusion, plot_worst
from segfeed.scores import best_threshold, class_scores, iou_intervals, overall_scores, score_table
from segfeed.train.checkpoint import RunCheckpoint
from segfeed.train.data import Data
from segfeed.train.precision import with_policy

FORMAT = 2  # of run.json
FIRST_RESULTS = "best.keras", "curves.png", "predictions.png"
RESULTS = {1: FIRST_RESULTS, FORMAT: (*FIRST_RESULTS, "worst.png", "confusion.png", "calibration.png")}  # and run.json
MODULES = (tf, keras, np, cv2, sm)  # asked themselves: a package may have another name, such as keras-nightly


def evaluate_best(checkpoint: RunCheckpoint, data: Data, arguments: argparse.Namespace, command: str) -> None:
    """Score the best model as it will be used, from its file, and write everything that was found.

    All is written before a word is printed, and a result that fails costs no other. Raises CommandError then;
    run.json names what is missing, so that the same command makes it.
    """
    output, content = arguments.output, checkpoint.content
    best = checkpoint.load("best")
    if arguments.mixed:  # for every machine and every format of `segfeed export`
        best = with_policy(best, "float32")
    write_atomically(output / "best.keras", with_preprocessing(best, data.preprocess).save)
    model = keras.models.load_model(output / "best.keras", safe_mode=True)
    names = [row["name"] for row in data.classes]
    missing: dict[str, str] = {}
    counts = count_pixels(model, data.judged, boundaries=True)
    words = [f"\nBest epoch: {content['best']['epoch']} of {content['epochs']}. On the {len(data.judged.pairs)} "
             "validation images, which chose it (so new images will do a little worse):"]  # fmt: skip
    scores = _score(counts, data.judged, data, "", words)
    threshold = 0.5
    if arguments.classes == 1:
        threshold, iou = best_threshold(counts.histogram)
        users = "The scores of the test and `segfeed predict` use" if data.test else "`segfeed predict` uses"
        words.append(
            f"These images chose the threshold too: {threshold:.3f}, where the IoU of the object is {iou:.3f}.\n"
            f"{users} it; the scores above are at 0.5."
        )
    if data.test:
        words.append(f"On the {len(data.test.pairs)} test images, which chose nothing:")
        scores |= _score(count_pixels(model, data.test, threshold, boundaries=True), data.test, data, "test_", words)

    def make(name: str, write: Callable[[Path], object]) -> None:
        try:
            (output / name).unlink(missing_ok=True)  # that of an earlier best model
            write(output / name)
        except Exception as error:
            missing[name] = f"{name} could not be made ({type(error).__name__}: {error})"

    def draw(name: str, plot: Callable[[], DescribedFigure]) -> None:
        def write(path: Path) -> None:
            described = plot()
            write_atomically(path, lambda part: described.figure.savefig(part, dpi=100))
            words.append(described.text)

        make(name, write)

    history = {key: [row[key] for row in content["history"]] for key in content["history"][0] if key != "epoch"}
    draw("curves.png", lambda: plot_history(history))
    draw("predictions.png", lambda: plot_predictions(model, data.judged, counts=counts))
    draw("worst.png", lambda: plot_worst(model, data.judged, counts))
    draw("confusion.png", lambda: plot_confusion(counts, names))
    draw("calibration.png", lambda: plot_calibration(counts))
    run = {
        "format": FORMAT,
        "model": "best.keras",
        "input": "uint8",
        "size": arguments.size,
        "classes": data.classes,
        "void": arguments.ignore,
        "threshold": threshold,
        "command": command,
        "options": content["options"],
        "data": content["data"],
        "versions": versions(),
        "seed": arguments.seed,
        "crop": arguments.crop,
        "best_epoch": content["best"]["epoch"],
        "epochs": content["epochs"],
        **scores,
        "seconds": round(content["seconds"], 1),
    }
    make("run.json", lambda path: write_json(path, run | ({"missing": [*missing]} if missing else {})))
    print(*words, sep="\n")
    if missing:
        raise CommandError(
            f"{'; '.join(missing.values())}. The other results are in {output}; the same command makes what is missing."
        )
    model_file, *pictures = RESULTS[FORMAT]
    print(f"{output} holds {model_file}, run.json, log.csv, {', '.join(pictures)}, tensorboard and checkpoints.")


def _score(counts: Counts, generator: DataGenerator, data: Data, prefix: str, words: list[str]) -> dict[str, Any]:
    """The scores for run.json, of each class and over all, and a line for each class."""
    pairs, samples, numbers = generator.pairs, generator.samples, dict[Hashable, int]()
    stems = [pairs[samples.picture_of(number)].stem for number in range(len(samples))]
    units = [numbers.setdefault(data.groups.get(stem, (stem,)), len(numbers)) for stem in stems]
    intervals = iou_intervals(counts.pixels, np.array(units))
    rows, overall = class_scores(counts, intervals), overall_scores(counts, intervals)
    names = [row["name"] for row in data.classes]
    words += score_table(names, rows)
    drawn = f"{len(numbers)} groups" if data.groups else f"{len(numbers)} pictures"
    words.append(
        f"Interval: 1,000 draws of {drawn}. Mean IoU {overall['mean_iou'] or 0:.3f}; right pixels "
        f"{overall['pixel_accuracy'] or 0:.1%} (baseline {overall['baseline_pixel_accuracy'] or 0:.1%})."
    )
    return {f"{prefix}scores": dict(zip(names, rows, strict=True)), f"{prefix}overall": overall}


def evaluated_epochs(output: Path) -> int:
    """How many epochs had been trained when the best of them was evaluated; 0 if a result is missing or damaged."""
    try:
        run = json.loads((output / "run.json").read_text(encoding="utf-8"))
        results = RESULTS[run.get("format", 1)]
        return run["epochs"] if "missing" not in run and all((output / name).is_file() for name in results) else 0
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return 0


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{module.__name__: module.__version__ for module in MODULES}}
