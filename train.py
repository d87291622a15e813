"""Train a U-Net on a folder of images and a folder of masks of your own.

    python train.py --images images --masks masks

The defaults are those of the article of 2019 that this course grew out of. After each epoch everything
is saved; a run that was interrupted or killed goes on with the same command, loses at most one epoch, and
ends with the same weights as one that was not. `python train.py --help` lists what can be changed.
Where TF_CONFIG says so (see workers.py), several machines train one model together, each with this command.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import platform
import re
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SM_FRAMEWORK", "tf.keras")
import keras
import segmentation_models as sm
import tensorflow as tf

from audit import audit, read_colours
from disk import replace, write_json
from generator import DataGenerator
from loss import CrossEntropyDice
from pairs import DataError, find_pairs
from pictures import plot_history, plot_predictions
from survive import Decay, Resume, Save, State, checksum
from utils import balanced_weights, build_unet, flip_and_turn, iou_per_class, split_ids
from workers import Loop, Parts, Place, Team, WorkerError, differences, make_team, meet

STOPPING = {  # findings of the audit with which the generator would stop, sooner or later
    *("missing mask", "orphan mask", "two files for one stem", "empty file", "truncated file", "unreadable file"),
    *("decompression bomb", "image not of 8 bits", "unequal sizes", "mask in colour", "unknown colour"),
    *("two object values", "soft edges", "unknown value", "mask not of 8 bits"),
}
NOT_COMPARED = {"images", "masks", "output", "overwrite", "audit"}  # what the files hold counts, not where they lie
PACKAGES = ["tensorflow", "keras", "numpy", "opencv-python-headless", "segmentation-models"]


class Stop(Exception):
    """What ends the program with a message that says why, and what to do."""


# --- What the user says ----------------------------------------------------------------------


class Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """The default at the end, unless it stands there in words."""
        return action.help if "default" in (action.help or "") else super()._get_help_string(action)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train a U-Net on images and masks of the same names; a run that was interrupted goes on.",
        formatter_class=Help,
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of the images (no default)")
    add("--masks", type=Path, required=True, help="folder of the masks, PNG (no default)")
    add("--output", type=Path, help="folder for the results (default: runs/<folder around the images>)")
    add("--overwrite", action="store_true", help="replace a run that is finished, or has other arguments")
    add("--audit", action="store_true", help="only look for faults in the images and masks")
    add("--backbone", default="resnet34", help="encoder of the U-Net, a name that segmentation_models knows")
    add("--encoder-weights", default="imagenet", help="start of the encoder: imagenet, or none for random weights")
    add(
        "--size",
        type=_size,
        default=(384, 384),
        help="side, or HEIGHTxWIDTH, in pixels: multiples of 32 (default: 384)",
    )
    add("--classes", type=int, default=1, help="number of classes; 1 for masks of 0 and 255, else class indices")
    add(
        "--colours",
        type=read_colours,
        help="CSV file without header, rows of red,green,blue,class, 0-255, for masks in colour (default: none)",
    )
    add("--ignore", type=int, help="mask value of void pixels, 0-255, which count nowhere (default: none)")
    add("--balanced", action="store_true", help="weigh each pixel so that all classes weigh the same in the loss")
    add("--augment", action="store_true", help="mirror the training images and turn them by quarters")
    add("--validation", type=_number_or_share, default=69, help="validation images, a number, or a share below 1")
    add("--batch", type=int, default=2, help="images in a batch")
    add("--epochs", type=int, default=50, help="epochs that are trained at most; a run can be given more, or fewer")
    add("--learning-rate", type=float, default=1e-5, help="learning rate of Adam at the start, per step")
    add("--decay", type=float, default=1e-5, help="the rate falls as 1 / (1 + decay * steps), set anew each epoch")
    add("--lr-patience", type=int, default=5, help="epochs without a lower validation loss until the rate is halved")
    add("--patience", type=int, default=15, help="epochs without a lower validation loss until the training ends")
    add("--seed", type=int, default=0, help="number that fixes the split, the first weights and the order")
    return parser


def _size(text: str) -> tuple[int, int]:
    sides = [int(side) for side in text.lower().split("x")]
    if len(sides) > 2 or any(side < 32 or side % 32 for side in sides):
        raise argparse.ArgumentTypeError(f"{text}: a side, or HEIGHTxWIDTH, in multiples of 32 pixels")
    return sides[0], sides[-1]


def _number_or_share(text: str) -> float:
    number = float(text)
    if number <= 0 or (number >= 1 and number != int(number)):
        raise argparse.ArgumentTypeError(f"{text}: a whole number of images, or a share between 0 and 1")
    return number if number < 1 else int(number)


def checked_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """All arguments by name, as JSON keeps them; Stop for one out of its range."""
    for name, least in {"batch": 1, "epochs": 1, "lr_patience": 1, "patience": 1, "seed": 0, "classes": 1}.items():
        if getattr(arguments, name) < least:
            raise Stop(f"--{name.replace('_', '-')} is {getattr(arguments, name)}: give at least {least}.")
    if not arguments.learning_rate > 0 or not arguments.decay >= 0:
        raise Stop("--learning-rate must be above 0, and --decay at least 0.")
    if arguments.backbone not in (names := sm.get_available_backbone_names()):
        raise Stop(f"--backbone is {arguments.backbone}: give one of {', '.join(sorted(names))}.")
    if arguments.augment and arguments.size[0] != arguments.size[1]:
        raise Stop("--augment turns images by quarters, which needs a square: give one --size, or leave it out.")
    options = {**vars(arguments), "colours": arguments.colours and [[*c, i] for c, i in arguments.colours.items()]}
    return json.loads(json.dumps(options, default=lambda path: str(path.resolve())))


# --- The data --------------------------------------------------------------------------------


class Data(NamedTuple):
    train: DataGenerator | Parts
    validation: DataGenerator | Parts


def look(arguments: argparse.Namespace) -> None:
    """Print what the audit finds; Stop for what would stop the training."""
    options = {"n_classes": arguments.classes, "colours": arguments.colours, "ignore": arguments.ignore}
    try:
        findings = audit(arguments.images, arguments.masks, progress=sys.stderr.isatty(), **options)
    except ValueError as error:
        raise Stop(str(error)) from None
    first = {finding.kind: finding for finding in reversed(findings)}
    for kind, count in Counter(finding.kind for finding in findings).items():
        print(f"audit: {kind} ({count}); the first: {first[kind].file}, {first[kind].measured}. {first[kind].cure}")
    print(f"audit: {len(findings)} findings")
    stopping = [finding for finding in findings if finding.kind in STOPPING]
    if stopping:
        raise Stop(
            f"{len(stopping)} of the findings would stop the training. Repair these files first; "
            f"`python audit.py {arguments.images} {arguments.masks}` lists them all."
        )


def make_data(arguments: argparse.Namespace, ids: Sequence[str], team: Team | None = None) -> Data:
    count = arguments.validation if arguments.validation >= 1 else max(1, round(arguments.validation * len(ids)))
    if count > len(ids) / 2:
        raise Stop(
            f"{count} validation images are more than half of the {len(ids)} images: give --validation 0.2, "
            f"a fifth of them, or a number up to {len(ids) // 2}."
        )
    train_ids, validation_ids = split_ids(ids, count, seed=arguments.seed)
    common: dict[str, Any] = {
        "imgs_dir": arguments.images,
        "masks_dir": arguments.masks,
        "batch_size": arguments.batch,
        "img_size": arguments.size,
        "n_classes": arguments.classes,
        "colours": arguments.colours,
        "ignore": arguments.ignore,
        "seed": arguments.seed,
    }
    weights = balanced_weights(DataGenerator(train_ids, shuffle=False, **common)) if arguments.balanced else None
    if arguments.encoder_weights != "none":
        common["preprocess"] = sm.get_preprocessing(arguments.backbone)
    augment = flip_and_turn if arguments.augment else None

    def train(shard: tuple[int, int] = (0, 1)) -> DataGenerator:
        return DataGenerator(train_ids, augment=augment, class_weights=weights, shard=shard, **common)

    def validation(shard: tuple[int, int] = (0, 1)) -> DataGenerator:
        """Judged as it is: weights are a means of the training."""
        return DataGenerator(validation_ids, shuffle=False, shard=shard, **common)

    return Data(train(), validation()) if team is None else Data(Parts(train, team), Parts(validation, team))


# --- The model -------------------------------------------------------------------------------


def make_iou(classes: int) -> keras.metrics.Metric:
    """As float, or sample weights would be cut to whole numbers."""
    if classes == 1:
        return keras.metrics.BinaryIoU([1], name="iou", dtype="float32")
    return keras.metrics.OneHotMeanIoU(classes, name="iou", dtype="float32")


def make_model(arguments: argparse.Namespace) -> keras.Model:
    weights = None if arguments.encoder_weights == "none" else arguments.encoder_weights
    try:
        model = build_unet(arguments.backbone, arguments.classes, arguments.size, encoder_weights=weights)
    except FileNotFoundError as error:
        raise Stop(f"{error} Here: --encoder-weights none.") from None
    iou = make_iou(arguments.classes)  # under `weighted_metrics`, for void pixels have the weight 0
    model.compile(keras.optimizers.Adam(arguments.learning_rate), CrossEntropyDice(), weighted_metrics=[iou])
    model.optimizer.build(model.trainable_variables)  # so that it is saved whole
    return model


class Pace(keras.callbacks.Callback):
    """Say how long an epoch takes, from the time of some steps after the first two."""

    SKIPPED, TIMED = 2, 5

    def __init__(self, data: Data):
        super().__init__()
        self.steps, self.validation_steps = len(data.train), len(data.validation)
        self.timed = min(self.TIMED, self.steps - self.SKIPPED)
        self.seen = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.seen += 1
        if self.seen == self.SKIPPED:
            self.begun = time.monotonic()
        if self.timed > 0 and self.seen == self.SKIPPED + self.timed:
            step = (time.monotonic() - self.begun) / self.timed
            seconds = step * (self.steps + self.validation_steps / 3)
            print(f"\nAn epoch takes about {_duration(seconds)}: {step:.2f} s a step, measured in {self.timed} steps.")


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


# --- The run ---------------------------------------------------------------------------------


def find_state(arguments: argparse.Namespace, options: dict[str, Any], data: str, pairs: int) -> State | None:
    """The state to go on from, or None to begin; Stop when the folder is taken."""
    output = arguments.output
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    state = State.read(output)
    if state is None:
        raise Stop(f"{output} holds files that are no run of this program: give another --output.")
    old = state.content
    differences = [
        f"--{name.replace('_', '-')} was {old['options'].get(name)} and is {value}"
        for name, value in options.items()
        if name not in NOT_COMPARED | {"epochs"} and old["options"].get(name) != value
    ]
    if arguments.epochs < old["epochs"]:
        differences.append(f"--epochs is {arguments.epochs}, and {old['epochs']} are trained")
    if old["data"] != {"sha256": data, "pairs": pairs}:
        differences.append(f"images or masks have changed ({old['data']['pairs']} pairs then, {pairs} now)")
    if (differences or (output / "run.json").is_file()) and arguments.overwrite:
        return None
    if differences:
        raise Stop(
            f"{output} holds another run: {'; '.join(differences)}. "
            f"Give another --output, or --overwrite to replace it."
        )
    return state


def judged_epochs(output: Path) -> int:
    """How many epochs had been trained when the best of them was judged; 0 if none was."""
    path = output / "run.json"
    return json.loads(path.read_text(encoding="utf-8"))["epochs"] if path.is_file() else 0


def judge(state: State, data: Data, arguments: argparse.Namespace, command: str) -> None:
    """Score the best model as it will be used, from its file, and write everything that was found."""
    output, content = arguments.output, state.content
    validation = data.validation.whole if isinstance(data.validation, Parts) else data.validation
    replace(output / "best.keras", state.load("best").save)
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
    pictures = {"curves.png": plot_history(history), "predictions.png": plot_predictions(model, validation)}
    for file_name, picture in pictures.items():
        replace(output / file_name, lambda part, figure=picture.figure: figure.savefig(part, dpi=100))  # type: ignore[misc]
        print(picture.text)
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


def card_of(arguments: argparse.Namespace, options: dict[str, Any], data: str, pairs: int) -> dict[str, Any]:
    """What must be the same for all workers that train together."""
    settings = {f"--{key.replace('_', '-')}": value for key, value in options.items() if key not in NOT_COMPARED}
    return settings | {"the data": f"{pairs} pairs, SHA-256 {data[:12]}…"} | versions()


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def run(arguments: argparse.Namespace, command: str) -> None:
    options = checked_options(arguments)
    if arguments.audit:
        look(arguments)
        return
    place = Place.read()
    pairs = find_pairs(arguments.images, arguments.masks)
    data_sum = checksum(path for pair in pairs for path in (pair.image, pair.mask))
    card, state, progress = card_of(arguments, options, data_sum, len(pairs)), None, {}
    if place.rank == 0:  # the others have the same data, and write nothing
        try:
            state = find_state(arguments, options, data_sum, len(pairs))
            if state is None:
                look(arguments)
                progress = {"epochs": 0, "callbacks": {}, "finished": False, "judged": 0}
            else:
                state.content["options"] = options  # other folders, perhaps, and another --epochs
                progress = state.progress | {"judged": judged_epochs(arguments.output)}
        except Stop as error:
            meet(place, {"stop": str(error)})
            raise
    cards = meet(place, {"progress": progress, "card": card})
    if stop := cards[0].get("stop"):
        raise Stop(f"worker 0 stopped: {stop}")
    if different := differences([card["card"] for card in cards]):
        raise WorkerError(f"the workers differ: {'; '.join(different)}. Start all with the same command and data.")
    progress = cards[0]["progress"]
    trained = progress["finished"] or progress["epochs"] == arguments.epochs
    if trained and progress["epochs"] == progress["judged"]:
        print(f"{arguments.output} holds this run, complete after epoch {progress['epochs']}: nothing to do. "
              "--overwrite trains it again.")  # fmt: skip
        return
    keras.utils.set_random_seed(arguments.seed)
    tf.config.experimental.enable_op_determinism()
    team = make_team(place)
    try:
        data = make_data(arguments, [pair.stem for pair in pairs], team)
    except ValueError as error:
        raise Stop(str(error)) from None
    if state is None and place.rank == 0:
        content = {"options": options, "data": {"sha256": data_sum, "pairs": len(pairs)}}
        state = State.begin(arguments.output, content, make_model(arguments))
    first = state.load() if state else make_model(arguments)  # from the file the first time too: all go one way
    model = team.copy(first, lambda: make_model(arguments)) if team else first
    print(
        f"{len(data.train.pairs)} images to train on, {len(data.validation.pairs)} to validate, "
        f"{arguments.size[0]}×{arguments.size[1]} pixels; {len(data.train)} steps of {arguments.batch} an epoch, "
        f"{arguments.epochs} epochs at most; {arguments.backbone}, {model.count_params() / 1e6:.1f} million weights."
    )
    if team:
        print(f"Worker {team.rank} of {team.world}; {team.replicas} replicas of the model share each batch.")
    if progress["epochs"]:
        print(f"Going on after epoch {progress['epochs']}.")
    if not trained:
        train(arguments, model, data, state, progress)
    if state:
        judge(state, data, arguments, command)
    if team:
        team.wait()


def train(
    arguments: argparse.Namespace,
    model: keras.Model,
    data: Data,
    state: State | None,
    progress: dict[str, Any],
) -> None:
    plateau = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=arguments.lr_patience, verbose=1)
    stopping = keras.callbacks.EarlyStopping(patience=arguments.patience, verbose=1)
    judges = [plateau, stopping]
    callbacks = [Decay(arguments.decay, len(data.train)), Pace(data), *judges]
    callbacks.append(Resume(progress["callbacks"], judges, arguments.seed))
    if state:
        callbacks.append(Save(state, arguments.output, judges))
    common: dict[str, Any] = {
        "validation_data": data.validation,
        "epochs": arguments.epochs,
        "initial_epoch": progress["epochs"],
        "callbacks": callbacks,
        "verbose": 1 if sys.stdout.isatty() else 2,
    }
    if isinstance(data.train, Parts):
        Loop(data.train.team, model, make_iou(arguments.classes)).fit(data.train, **common)
    else:
        data.train.set_epoch(progress["epochs"])
        model.fit(data.train, shuffle=False, **common)


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is done, 1 when something must be changed first, 130 when interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = make_parser().parse_args(argv)
    if arguments.output is None:
        arguments.output = Path("runs", arguments.images.resolve().parent.name or "run")
    signals = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in signals.items()}
    try:
        run(arguments, "python train.py " + shlex.join(argv))
        return 0
    except KeyboardInterrupt:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the last words
        print(f"\nInterrupted. {State.message(arguments.output)}", file=sys.stderr)
        return 130
    except (Stop, DataError, WorkerError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        # raised in the generator it comes through TensorFlow as the text of another error
        wrapped = re.search(r"DataError: (.+?)(?=\nTraceback|\n\n|\Z)", str(error), re.DOTALL)
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
        gone = isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError)
        if gone and os.environ.get("TF_CONFIG"):
            saved = State.message(arguments.output).replace("the same", "start all workers again: the same")
            print(f"Stopped: another worker is gone. {saved}", file=sys.stderr)
            return 1
        if not wrapped and not full:
            raise
        reason = wrapped[1] if wrapped else f"the disk of {arguments.output} is full. Make room on it."
        print(f"Stopped: {reason} {State.message(arguments.output)}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
