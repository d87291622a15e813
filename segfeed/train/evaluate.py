"""The best model of a run, scored and shown."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import segmentation_models as sm
import tensorflow as tf

from segfeed.atomic import write_atomically, write_json
from segfeed.distributed.replicas import ShardedBatches
from segfeed.errors import CommandError
from segfeed.generator import DataGenerator
from segfeed.metrics import iou_per_class
from segfeed.plots import DescribedFigure, plot_history, plot_predictions
from segfeed.train.checkpoint import RunCheckpoint
from segfeed.train.data import Data

RESULTS = "best.keras", "curves.png", "predictions.png"  # and run.json
MODULES = (tf, keras, np, cv2, sm)  # asked themselves: a package may have another name, such as keras-nightly


def evaluate_best(checkpoint: RunCheckpoint, data: Data, arguments: argparse.Namespace, command: str) -> None:
    """Score the best model as it will be used, from its file, and write everything that was found.

    All is written before a word is printed, and a result that fails costs no other. Raises CommandError then;
    run.json names what is missing, so that the same command makes it.
    """
    output, content = arguments.output, checkpoint.content
    validation = data.validation.whole if isinstance(data.validation, ShardedBatches) else data.validation
    write_atomically(output / "best.keras", checkpoint.load("best").save)
    model = keras.models.load_model(output / "best.keras", safe_mode=True)
    names = ["ground", "object"] if arguments.classes == 1 else [f"class {n}" for n in range(arguments.classes)]
    names = [data.class_names.get(index, name) for index, name in enumerate(names)]
    missing: dict[str, str] = {}
    words = [f"\nBest epoch: {content['best']['epoch']} of {content['epochs']}. On the {len(validation.pairs)} "
             "validation images, which chose it (so new images will do a little worse):"]  # fmt: skip
    scores = {"scores": _score(model, validation, names, words)}
    if data.test:
        words.append(f"On the {len(data.test.pairs)} test images, which chose nothing:")
        scores["test_scores"] = _score(model, data.test, names, words)

    def make(name: str, write: Callable[[Path], object]) -> None:
        try:
            (output / name).unlink(missing_ok=True)  # that of an earlier best model
            write(output / name)
        except Exception as error:
            missing[name] = f"{name} could not be made ({type(error).__name__}: {error})"

    def draw(plot: Callable[[], DescribedFigure], path: Path) -> None:
        described = plot()
        write_atomically(path, lambda part: described.figure.savefig(part, dpi=100))
        words.append(described.text)

    history = {key: [row[key] for row in content["history"]] for key in content["history"][0] if key != "epoch"}
    make("curves.png", lambda path: draw(lambda: plot_history(history), path))
    make("predictions.png", lambda path: draw(lambda: plot_predictions(model, validation), path))
    run = {
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
    print(f"{output} holds best.keras, run.json, log.csv, curves.png, predictions.png, tensorboard and checkpoints.")


def _score(model: keras.Model, generator: DataGenerator, names: list[str], words: list[str]) -> dict[str, Any]:
    """The scores of each class, for run.json, and a line for each."""
    scores = {}
    for name, iou, baseline in iou_per_class(model, generator, names):
        dice, dice_baseline = (2 * value / (1 + value) for value in (iou, baseline))
        scores[name] = {"iou": iou, "dice": dice, "baseline_iou": baseline, "baseline_dice": dice_baseline}
        words.append(
            f"{name:10} IoU {iou:.3f} (baseline {baseline:.3f})   Dice {dice:.3f} (baseline {dice_baseline:.3f})"
        )
    return scores


def evaluated_epochs(output: Path) -> int:
    """How many epochs had been trained when the best of them was evaluated; 0 if a result is missing or damaged."""
    try:
        run = json.loads((output / "run.json").read_text(encoding="utf-8"))
        whole = "missing" not in run and all((output / name).is_file() for name in RESULTS)
        return run["epochs"] if whole else 0
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{module.__name__: module.__version__ for module in MODULES}}
