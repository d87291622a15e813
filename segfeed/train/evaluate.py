"""The best model of a run, scored and shown."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import cv2
import keras
import numpy as np
import segmentation_models as sm
import tensorflow as tf

from segfeed.atomic import write_atomically, write_json
from segfeed.distributed.replicas import ShardedBatches
from segfeed.metrics import iou_per_class
from segfeed.plots import plot_history, plot_predictions
from segfeed.train.checkpoint import RunCheckpoint
from segfeed.train.data import Data

MODULES = (tf, keras, np, cv2, sm)  # asked themselves: a package may have another name, such as keras-nightly


def evaluate_best(checkpoint: RunCheckpoint, data: Data, arguments: argparse.Namespace, command: str) -> None:
    """Score the best model as it will be used, from its file, and write everything that was found."""
    output, content = arguments.output, checkpoint.content
    validation = data.validation.whole if isinstance(data.validation, ShardedBatches) else data.validation
    write_atomically(output / "best.keras", checkpoint.load("best").save)
    model = keras.models.load_model(output / "best.keras", safe_mode=True)
    names = ["ground", "object"] if arguments.classes == 1 else [f"class {n}" for n in range(arguments.classes)]
    scores = {}
    print(f"\nBest epoch: {content['best']['epoch']} of {content['epochs']}. On the {len(validation.pairs)} "
          "validation images, which chose it (so new images will do a little worse):")  # fmt: skip
    for name, iou, baseline in iou_per_class(model, validation, names):
        dice, dice_baseline = (2 * value / (1 + value) for value in (iou, baseline))
        scores[name] = {"iou": iou, "dice": dice, "baseline_iou": baseline, "baseline_dice": dice_baseline}
        print(f"{name:10} IoU {iou:.3f} (baseline {baseline:.3f})   Dice {dice:.3f} (baseline {dice_baseline:.3f})")
    history = {key: [row[key] for row in content["history"]] for key in content["history"][0] if key != "epoch"}
    figures = {"curves.png": plot_history(history), "predictions.png": plot_predictions(model, validation)}
    for file_name, described in figures.items():
        write_atomically(output / file_name, lambda part, figure=described.figure: figure.savefig(part, dpi=100))  # type: ignore[misc]
        print(described.text)
    run = {
        "command": command,
        "options": content["options"],
        "data": content["data"],
        "versions": versions(),
        "seed": arguments.seed,
        "best_epoch": content["best"]["epoch"],
        "epochs": content["epochs"],
        "scores": scores,
        "seconds": round(content["seconds"], 1),
    }
    write_json(output / "run.json", run)
    print(f"{output} holds best.keras, run.json, log.csv, curves.png, predictions.png, tensorboard and checkpoints.")


def evaluated_epochs(output: Path) -> int:
    """How many epochs had been trained when the best of them was evaluated; 0 if none was."""
    path = output / "run.json"
    return json.loads(path.read_text(encoding="utf-8"))["epochs"] if path.is_file() else 0


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{module.__name__: module.__version__ for module in MODULES}}
