"""`segfeed train`: its loss, its messages, and that it survives whatever happens to it."""

import contextlib
import csv
import dataclasses
import io
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["SM_FRAMEWORK"] = "3", "tf.keras"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import keras
import segmentation_models as sm
import tensorflow as tf

from segfeed import DataGenerator, atomic, build_unet, load_run, losses
from segfeed.__main__ import main, make_parser
from segfeed.classes import make_class_table, write_classes_table
from segfeed.distributed.cluster import Workers
from segfeed.distributed.replicas import Replicas
from segfeed.errors import WorkerError
from segfeed.options import fill_settings
from segfeed.split.tables import read_split_file
from segfeed.train import callbacks, evaluate, run
from segfeed.train.checkpoint import RunCheckpoint
from segfeed.train.data import make_data
from segfeed.train.learning_curve import _mean_iou
from segfeed.train.options import check_options
from utils import ROOT, SAMPLE

PICTURES = ["curves.png", "predictions.png", "worst.png", "confusion.png", "calibration.png"]
EPOCHS, STEPS, EVERY = 12, 5, 2  # of the runs that are killed: how many, how long, and saved how often


def tiny(backbone, n_classes, img_size, encoder_weights=None):
    """In the place of the U-Net: three layers, with everything that has a state."""
    image = keras.Input((*img_size, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization(momentum=0.9)(x))
    last = "sigmoid" if n_classes == 1 else "softmax"
    return keras.Model(image, keras.layers.Conv2D(n_classes, 3, padding="same", activation=last)(x))


def write_photos(root, count=12, height=32, width=32):
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        image, mask = rng.integers(0, 150, (height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        y, x = rng.integers(0, 16, 2)
        mask[y : y + 16, x : x + 16] = 255
        image[mask > 0] += 100
        Image.fromarray(image).save(root / "images" / f"{number:02d}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:02d}.png")
    return root


def command(photos, output, epochs=4, *more):
    given = ["train", "--images", photos / "images", "--masks", photos / "masks", "--output", output]
    usual = f"--preset article --epochs {epochs} --size 32 --encoder-weights none --validation 0.25 --augment"
    return [str(word) for word in (*given, *usual.split(), "--learning-rate", 0.01, *more)]


def arrays(path):
    """Every array of a .keras file: weights, optimizer, random states."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def read_state(output):
    return json.loads((output / "checkpoints" / "state.json").read_text())


def assert_same(one, other):
    """Two runs ended alike: all arrays of the last and the best model, the history, the callbacks, the log."""
    states = [{**read_state(output), "seconds": 0, "options": {}} for output in (one, other)]
    assert states[0] == states[1]
    for name in ("best.keras", f"checkpoints/{states[0]['file']}"):
        ours, theirs = arrays(one / name), arrays(other / name)
        assert ours.keys() == theirs.keys() and len(ours) > 6
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours), name
    assert (one / "log.csv").read_bytes() == (other / "log.csv").read_bytes()


@pytest.fixture(scope="module", autouse=True)
def deterministic_here_only():
    yield
    from tensorflow.python.framework import config

    config.disable_op_determinism()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "coins")


@pytest.fixture(autouse=True)
def small(request, monkeypatch):
    """A network of three layers; and pictures, which take longer than its training, of one pixel, if not `drawn`."""
    monkeypatch.setattr(run, "build_unet", tiny)
    if request.node.get_closest_marker("drawn") is None:
        monkeypatch.setattr(Figure, "savefig", lambda figure, part, **_: Image.new("L", (1, 1)).save(part, "png"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run that nobody interrupted."""
    output = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "build_unet", tiny)
        assert main(command(photos, output)) == 0
    return output


@pytest.fixture
def raising(monkeypatch):
    """Let something happen at the end of the n-th training step."""

    def at_step(number, what):
        steps = []

        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)
            if len(steps) == number:
                what()

        monkeypatch.setattr(callbacks.EpochTimer, "on_train_batch_end", on_train_batch_end)

    return at_step


# --- Loss and decay --------------------------------------------------------------------------


def batch(classes, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.uniform(0.01, 1, (3, 8, 8, classes)).astype(np.float32)
    if classes == 1:
        return (rng.random((3, 8, 8, 1)) > 0.6).astype(np.float32), found
    return np.eye(classes, dtype=np.float32)[rng.integers(classes, size=(3, 8, 8))], found / found.sum(
        -1, keepdims=True
    )


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("weights", [None, np.ones((3, 8, 8), np.float32)], ids=["none", "ones"])
def test_without_weights_the_loss_is_that_of_segmentation_models(classes, weights):
    truth, found = batch(classes)
    theirs = sm.losses.bce_dice_loss if classes == 1 else sm.losses.cce_dice_loss
    ours = losses.CrossEntropyDice()(truth, found, weights)
    np.testing.assert_allclose(ours, theirs(tf.constant(truth), tf.constant(found)), rtol=1e-5)
    empty = np.zeros_like(truth) if classes == 1 else np.eye(classes, dtype=np.float32)[np.zeros((3, 8, 8), int)]
    np.testing.assert_allclose(
        losses.CrossEntropyDice()(empty, found), theirs(tf.constant(empty), tf.constant(found)), rtol=1e-5
    )


@pytest.mark.parametrize("classes", [1, 4])
def test_void_pixels_have_no_influence_on_the_loss(classes):
    truth, found = batch(classes)
    weights = np.ones((3, 8, 8), np.float32)
    weights[:, 5:] = 0
    expected = losses.CrossEntropyDice()(truth[:, :5], found[:, :5])
    other = found.copy()
    other[:, 5:] = batch(classes, seed=1)[1][:, 5:]
    for predicted in (found, other):
        np.testing.assert_allclose(losses.CrossEntropyDice()(truth, predicted, weights), expected, rtol=1e-6)
    variable = tf.Variable(found)
    with tf.GradientTape() as tape:
        value = losses.CrossEntropyDice()(truth, variable, weights)
    gradient = tape.gradient(value, variable).numpy()
    assert not gradient[:, 5:].any() and gradient[:, :5].any()


def test_weights_weigh_the_cross_entropy_and_a_batch_of_void_is_no_error():
    truth, found = batch(1)
    weights = np.random.default_rng(2).uniform(0.5, 2, (3, 8, 8)).astype(np.float32)
    entropy = -np.log(np.where(truth > 0, found, 1 - found))[..., 0]
    ours = [losses.CrossEntropyDice()(truth, found, some) for some in (weights, None)]
    np.testing.assert_allclose(ours[0] - ours[1], (weights * entropy).mean() - entropy.mean(), atol=1e-6)
    assert losses.CrossEntropyDice()(truth, found, 0 * weights) == 0


def test_the_rate_decays_as_in_old_keras_and_composes_with_the_plateau():
    model = tiny("", 1, (32, 32))
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    decay = callbacks.LearningRateDecay(1e-2, 30)
    decay.set_model(model)
    for epoch in range(6):
        decay.on_epoch_begin(epoch)
        halved = 0.5 if epoch > 3 else 1
        np.testing.assert_allclose(model.optimizer.learning_rate, halved * 1e-3 / (1 + 1e-2 * 30 * epoch), rtol=1e-6)
        if epoch == 3:
            model.optimizer.learning_rate = 0.5 * float(model.optimizer.learning_rate)


# --- A whole run -----------------------------------------------------------------------------


def test_a_run_leaves_everything_that_describes_it(whole, photos, capsys):
    run = json.loads((whole / "run.json").read_text())
    assert run["command"] == "segfeed " + " ".join(command(photos, whole))
    assert run["options"]["size"] == [32, 32] and run["options"]["decay"] == 1e-5 and run["seed"] == 0
    assert run["versions"]["python"] == sys.version.split()[0] and run["versions"]["tensorflow"] == tf.__version__
    assert run["versions"]["keras"] == keras.__version__ and run["versions"]["numpy"] == np.__version__
    assert run["data"]["pairs"] == 12 and len(run["data"]["sha256"]) == 64
    assert run["epochs"] == 4 and 1 <= run["best_epoch"] <= 4 and run["seconds"] > 0
    for score in run["scores"].values():
        np.testing.assert_allclose(score["dice"], 2 * score["iou"] / (1 + score["iou"]))
    assert list(run["scores"]) == ["ground", "object"] and run["scores"]["object"]["baseline_iou"] == 0
    for score in run["scores"].values():
        assert score["iou_interval"][0] <= score["iou"] <= score["iou_interval"][1]
        assert {"precision", "recall", "boundary_f"} < score.keys()
    assert run["overall"]["mean_iou"] == pytest.approx(np.mean([score["iou"] for score in run["scores"].values()]))
    assert (run["format"], run["input"], run["size"], run["void"]) == (2, "uint8", [32, 32], None)
    assert [(row["index"], row["name"]) for row in run["classes"]] == [(0, "ground"), (1, "object")]
    assert 0 < run["threshold"] <= 1
    rows = list(csv.DictReader((whole / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert set(rows[0]) == {"epoch", "loss", "iou", "val_loss", "val_iou", "learning_rate"}
    best = max(rows, key=lambda row: (float(row["val_iou"]), -float(row["val_loss"])))
    assert run["best_epoch"] == int(best["epoch"])
    assert run["scores"]["object"]["iou"] == pytest.approx(float(best["val_iou"]), abs=1e-6)
    for name in PICTURES:
        assert Image.open(whole / name).size > (100, 100)
    assert sorted(path.name for path in (whole / "tensorboard").iterdir()) == ["training", "validation"]
    assert not [path for path in whole.rglob("part-*")] and list(whole.parent.iterdir()) == [whole]
    kept = {path.name for path in (whole / "checkpoints").iterdir()}
    assert kept == {"state.json", "epoch-0004.keras", f"epoch-{run['best_epoch']:04d}.keras"}


def test_versions_are_told_whatever_the_packages_are_called(monkeypatch):
    def unknown(name):
        raise PackageNotFoundError(name)  # as where keras-nightly, tensorflow-cpu or opencv-python is installed

    monkeypatch.setattr("importlib.metadata.distribution", unknown)
    modules = (tf, keras, np, cv2, sm)
    assert evaluate.versions() == {
        "python": sys.version.split()[0],
        **{module.__name__: module.__version__ for module in modules},
    }


def probabilities_in_training(output, validation, preprocess=None):
    """Of the best model as it was trained, behind the generator that scales or preprocesses."""
    model = keras.models.load_model(output / "checkpoints" / read_state(output)["best"]["file"])
    return np.concatenate([model.predict_on_batch(images) for images, *_ in validation(preprocess=preprocess)])


def probabilities_of_the_run(output, validation):
    model = load_run(output).model
    return np.concatenate([model.predict_on_batch(images) for images, *_ in validation(dtype="uint8")])


@pytest.fixture
def validation(photos):
    """Make a generator of all pictures."""
    ids = [f"{number:02d}" for number in range(12)]
    return lambda **options: DataGenerator(ids, photos / "images", photos / "masks", 4, 32, shuffle=False, **options)


def test_the_saved_model_takes_bytes_and_finds_what_it_found_in_training(whole, validation):
    found, expected = probabilities_of_the_run(whole, validation), probabilities_in_training(whole, validation)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    loaded, run = load_run(whole), json.loads((whole / "run.json").read_text())
    assert loaded.model.inputs[0].dtype == "uint8" and loaded.size == (32, 32)
    assert loaded.threshold == run["threshold"]
    assert [category.name for category in loaded.categories] == ["ground", "object"]


@pytest.mark.parametrize("backbone", ["resnet34", "mobilenetv2", "densenet121"])
def test_the_saved_model_contains_the_preprocessing_of_its_backbone(backbone, photos, whole, tmp_path, validation):
    """As it is for resnet34, to -1…1, and by the mean of each channel; with a model that was trained without."""
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    state = read_state(output)
    state["options"] |= {"backbone": backbone, "encoder_weights": "imagenet"}
    (output / "checkpoints" / "state.json").write_text(json.dumps(state))
    (output / "run.json").unlink()
    assert main(command(photos, output, 4, "--encoder-weights", "imagenet", "--backbone", backbone)) == 0
    expected = probabilities_in_training(output, validation, sm.get_preprocessing(backbone))
    np.testing.assert_allclose(probabilities_of_the_run(output, validation), expected, atol=1e-5)
    assert np.abs(expected - probabilities_in_training(output, validation)).max() > 1e-3, "it would not show"


def test_the_best_model_opens_in_safe_mode_without_the_course(whole):
    code = "import keras, sys; print(keras.models.load_model(sys.argv[1], safe_mode=True).output_shape)"
    done = subprocess.run([sys.executable, "-c", code, whole / "best.keras"], capture_output=True, text=True, cwd="/")
    assert done.stdout.split("\n")[-2] == "(None, 32, 32, 1)"


def test_the_logs_for_tensorboard_hold_each_epoch_once(whole):
    for name, keys in {"training": ["loss", "iou", "learning_rate"], "validation": ["loss", "iou"]}.items():
        (path,) = (whole / "tensorboard" / name).iterdir()
        events = [tf.compat.v1.Event.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
        steps = [(value.tag, event.step) for event in events for value in event.summary.value if value.tag in keys]
        assert sorted(steps) == sorted((key, epoch) for key in keys for epoch in range(1, 5))


def test_it_says_what_it_does_and_how_long_it_takes(photos, tmp_path, capsys):
    assert main(command(photos, tmp_path / "run", 1)) == 0
    said = capsys.readouterr().out
    assert "audit: 0 findings" in said
    assert "9 images to train on, 3 to validate, 32×32 pixels; 5 steps of 2 an epoch, 1 epochs at most" in said
    assert "resnet34, 0.0 million weights" in said
    assert "An epoch takes about" in said and "s a step, measured in 3 steps." in said
    assert "Best epoch: 1 of 1. On the 3 validation images, which chose it" in said
    for line in (r"          IoU  95 % interval  baseline   Dice .*", r"ground  0\.\d{3}  .*", r"object  0\.\d{3}  .*"):
        (found,) = re.findall(f"^{line}$", said, re.M)
        assert len(found) <= 100
    assert "Interval: 1,000 draws of 3 pictures. " in said
    chosen = r"These images chose the threshold too: [01]\.\d{3}, where the IoU of the object is 0\.\d{3}\.\n"
    assert re.search(chosen + "`segfeed predict` uses it; the scores above are at 0.5.", said)
    assert "After 1 epochs: " in said and "IoU, worst first: " in said and "Lowest IoU of a picture: " in said
    assert "Expected calibration error 0." in said and "Taken for another class: " in said
    assert main(command(photos, tmp_path / "run", 1)) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'run'} holds this run, complete after epoch 1: nothing to do. " \
        "--overwrite trains it again.\n"  # fmt: skip
    assert main(command(photos, tmp_path / "run", 1, "--overwrite")) == 0
    assert "9 images to train on" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_classes_colours_void_and_balance(tmp_path, monkeypatch, raising, capsys):
    monkeypatch.chdir(tmp_path)
    photos = write_photos(tmp_path / "coloured")
    (tmp_path / "table.csv").write_text("0,0,0,0\n255,0,0,1\n0,0,255,2\n255,255,255,9\n")
    for path in (photos / "masks").iterdir():
        mask = np.array(Image.open(path))
        rgb = np.zeros((32, 32, 3), np.uint8)
        rgb[mask > 0] = 255, 0, 0
        rgb[:8], rgb[30:] = (0, 0, 255), 255
        Image.fromarray(rgb).save(path)
    words = command(photos, "x", 2, "--classes", 3, "--colours", "table.csv", "--ignore", 9, "--balanced")
    del words[words.index("--output") : words.index("--output") + 2]
    assert main(words) == 0
    run = json.loads((tmp_path / "runs" / "coloured" / "run.json").read_text())
    assert list(run["scores"]) == ["class 0", "class 1", "class 2"]
    assert run["options"]["colours"][1] == [255, 0, 0, 1]
    assert [row["colour"] for row in run["classes"]] == ["#000000", "#FF0000", "#0000FF"]
    assert run["void"] == 9 and run["threshold"] == 0.5
    assert [category.colour for category in load_run("runs/coloured").categories] == [
        (0, 0, 0),
        (255, 0, 0),
        (0, 0, 255),
    ]
    assert "threshold" not in capsys.readouterr().out
    capsys.readouterr()
    assert main(words) == 0
    assert "complete after epoch 2: nothing to do" in capsys.readouterr().out
    words += ["--output", "cut", "--save-every", "1"]
    raising(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(words) == 130
    raising(0, lambda: None)
    assert main(words) == 0
    assert "Going on after step 2 of epoch 1." in capsys.readouterr().out
    assert_same(tmp_path / "runs" / "coloured", tmp_path / "cut")


def test_the_table_beside_the_masks_says_the_classes_and_their_names(photos, tmp_path, raising):
    """As it is when the training begins: what somebody writes into it meanwhile does not cost the results."""
    shutil.copytree(photos, tmp_path / "photos")
    for path in (tmp_path / "photos" / "masks").iterdir():
        mask = np.where(np.array(Image.open(path)) > 0, np.uint8(2), np.uint8(1))
        mask[:4], mask[30:] = 0, 255
        Image.fromarray(mask).save(path)
    write_classes_table(tmp_path / "photos" / "masks" / "classes.csv", make_class_table(["hand", "coin"], void=True))
    raising(1, lambda: (tmp_path / "photos" / "masks" / "classes.csv").write_text("no table"))
    assert main(command(tmp_path / "photos", tmp_path / "run", 1)) == 0
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["options"]["classes"] == 3 and run["options"]["ignore"] == 255
    assert list(run["scores"]) == ["background", "hand", "coin"]
    table = make_class_table(["hand", "coin"], void=True)
    assert run["classes"] == [dataclasses.asdict(row) for row in table.rows[:3]] and run["void"] == 255


# --- It survives -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(number, photos, whole, tmp_path, raising, capsys):
    words = command(photos, tmp_path / "run")
    before = signal.getsignal(signal.SIGINT)  # a shell that starts the tests with & lets them ignore it
    raising(3, lambda: os.kill(os.getpid(), number))
    assert main(words) == 130
    assert capsys.readouterr().err.endswith("\nInterrupted. No epoch is saved yet; the same command begins again.\n")
    raising(13, lambda: os.kill(os.getpid(), number))
    assert main(words) == 130
    saved = "Epoch 2 is saved; the same command goes on after it, or with --epochs 2 scores the best."
    assert capsys.readouterr().err.endswith(f"\nInterrupted. {saved}\n")
    assert signal.getsignal(signal.SIGINT) is before
    raising(0, lambda: None)
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Going on after epoch 2." in said and "Epoch 3/4" in said and "Epoch 2/4" not in said
    assert_same(whole, tmp_path / "run")


@pytest.mark.parametrize(
    ("engine", "batch", "crop"),
    [
        ("fit", 2, ()),
        ("fit", 2, ("--crop", 32)),
        pytest.param("fit", 5, (), marks=pytest.mark.long),
        pytest.param("strategy", 2, (), marks=pytest.mark.long),
    ],
)
def test_a_run_goes_on_within_an_epoch(engine, batch, crop, photos, tmp_path, monkeypatch, raising, capsys):
    """9 images in batches of 2 are 5 steps an epoch, and in batches of 5 they are 2; each but the last is saved."""
    steps = -(-9 // batch)
    photos = write_photos(tmp_path / "large", height=40, width=52) if crop else photos
    if engine == "strategy":
        monkeypatch.setattr(run, "make_replicas", lambda cluster: Replicas(tf.distribute.get_strategy(), 0, 1))
    more = ("--batch", batch, "--balanced", "--decay", 0.1, *crop)
    raising(0, lambda: None)
    assert main(command(photos, tmp_path / "whole", 3, *more)) == 0
    words = command(photos, tmp_path / "cut", 3, *more, "--save-every", 1)
    trained = 0
    for cut in (2, 3, steps):
        raising(cut, lambda: os.kill(os.getpid(), signal.SIGINT))
        capsys.readouterr()
        assert main(words) == 130
        said = capsys.readouterr()
        epochs, step = divmod(trained, steps)
        place = f"step {step} of epoch {epochs + 1}" if step else f"epoch {epochs}"
        assert (f"Going on after {place}.\n" in said.out) == (trained > 0)
        trained += cut - 1  # it is interrupted before its last step is saved
        epochs, step = divmod(trained, steps)
        state = read_state(tmp_path / "cut")
        assert (state["epochs"], state["step"], len(state["history"])) == (epochs, step, epochs)
        assert (state["best"]["epoch"] > 0) == (epochs > 0) and "step" not in state["best"]["file"]
        place = f"Step {step} of epoch {epochs + 1}" if step else f"Epoch {epochs}"
        assert f"{place} is saved; the same command goes on after it" in said.err
        assert (f", or with --epochs {epochs} scores the best." in said.err) == (epochs > 0)
    raising(0, lambda: None)
    assert main(words) == 0
    assert_same(tmp_path / "whole", tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["crop"] == (32 if crop else None)
    assert load_run(tmp_path / "cut").crop == (32 if crop else None)


def test_the_validation_of_crops_is_of_whole_pictures(tmp_path):
    """By tiles, of which each judges pixels of its own; a part of several workers holds its part of the tiles."""
    photos = write_photos(tmp_path / "large", 6, height=40, width=52)
    arguments = make_parser().parse_args(command(photos, tmp_path / "run", 1, "--crop", 32))
    arguments.classes = 1
    fill_settings(arguments)
    check_options(arguments)
    ids = [f"{number:02d}" for number in range(6)]
    data = make_data(arguments, ids)
    assert (len(data.train.pairs), len(data.validation.pairs), data.train.size) == (4, 2, (32, 32))
    assert sum(float(weights.sum()) for *_, weights in data.validation) == 2 * 40 * 52
    assert len(data.validation.samples) == 8 and len(data.train.samples) == 4
    arguments.batch = 3
    shared = make_data(arguments, ids, Replicas(tf.distribute.get_strategy(), 0, 1)).validation
    assert [shared.samples(index) for index in range(len(shared))] == [3, 3, 2]
    assert sum(float(weights.sum()) for parts in shared for *_, weights in parts) == 2 * 40 * 52


@pytest.mark.parametrize("engine", ["fit", "strategy"])
def test_the_progress_of_an_epoch_that_goes_on_is_that_of_the_whole(
    engine, photos, tmp_path, monkeypatch, raising, capsys
):
    if engine == "strategy":
        monkeypatch.setattr(run, "make_replicas", lambda cluster: Replicas(tf.distribute.get_strategy(), 0, 1))
    words = command(photos, tmp_path / "run", 3, "--save-every", 1)
    raising(4, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(words) == 130
    raising(0, lambda: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(keras.utils.Progbar, "update", lambda bar, seen, *_, **more: print("bar", seen, bar.target))
    capsys.readouterr()
    assert main(words) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("Epoch ", "bar"))]
    epoch = [f"bar {step} 5" for step in (1, 2, 3, 4, 5, 5)]
    assert said == ["Epoch 1/3", *epoch[3:], "Epoch 2/3", *epoch, "Epoch 3/3", *epoch]


def test_a_run_goes_on_within_an_epoch_with_more_replicas_or_fewer(photos, whole, tmp_path, monkeypatch, raising):
    """The sums of the epoch mean the same to `fit` and to a strategy; only their rounding may differ."""
    words, alone = command(photos, tmp_path / "run", 1, "--save-every", 1), run.make_replicas
    shared = lambda cluster: Replicas(tf.distribute.get_strategy(), 0, 1)  # noqa: E731
    for make, cut, code in ((alone, 3, 130), (shared, 2, 130), (alone, 0, 0)):
        monkeypatch.setattr(run, "make_replicas", make)
        raising(cut, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert main(words) == code
    first, expected = (read_state(output)["history"][0] for output in (tmp_path / "run", whole))
    assert first == pytest.approx(expected, rel=1e-3)


def test_a_run_is_saved_after_the_time_that_it_is_given(photos, tmp_path, monkeypatch):
    """Each step takes 7 seconds of a clock of the test's own, and the validation 100."""
    now, saved = [0], []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])

    def pass_time(self, batch, logs=None):
        now[0] += 7

    def validate(self, logs=None):
        now[0] += 100

    monkeypatch.setattr(callbacks.EpochTimer, "on_train_batch_end", pass_time)
    monkeypatch.setattr(callbacks.EpochTimer, "on_test_end", validate)
    save = RunCheckpoint.save

    def record(self, model, epochs, *more, step=0, **others):
        saved.append((epochs, step))
        save(self, model, epochs, *more, step=step, **others)

    monkeypatch.setattr(RunCheckpoint, "save", record)
    assert main(command(photos, tmp_path / "run", 2, "--save-every", "14s")) == 0
    assert saved == [(0, 0), (0, 2), (0, 4), (1, 0), (1, 2), (1, 4), (2, 0)]
    saved.clear()
    assert main(command(photos, tmp_path / "default", 2)) == 0
    assert saved == [(0, 0), (1, 0), (2, 0)]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seconds"] == 270


@pytest.mark.long
def test_a_real_u_net_goes_on_to_the_bit(photos, tmp_path, monkeypatch, raising):
    monkeypatch.setattr(run, "build_unet", build_unet)
    for name, step in (("whole", 0), ("cut", 8)):
        words = command(photos, tmp_path / name, 2, "--backbone", "resnet18", "--save-every", 2)
        raising(step, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert main(words) == (130 if step else 0)
    raising(0, lambda: None)
    assert main(words) == 0
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path, capsys):
    """tests/begun_run is the folder of a run that the version of commit 438c95c began and was interrupted in."""
    photos, output = tmp_path / "photos", tmp_path / "run"
    for kind in ("images", "masks"):
        (photos / kind).mkdir(parents=True)
        for path in sorted((SAMPLE / kind).iterdir())[:12]:
            shutil.copy(path, photos / kind)
    shutil.copytree(ROOT / "tests" / "begun_run", output)
    begun = read_state(output)
    assert main(command(photos, output)) == 0
    said = capsys.readouterr().out
    assert "Going on after epoch 2." in said and "Epoch 3/4" in said and "Epoch 2/4" not in said
    history = read_state(output)["history"]
    assert history[:2] == begun["history"] and [row["epoch"] for row in history] == [1, 2, 3, 4]
    waited = read_state(output)["callbacks"]["EarlyStopping"]
    assert waited["best"] <= begun["callbacks"]["EarlyStopping"]["best"] < history[1]["val_loss"], "it has forgotten"
    assert json.loads((output / "run.json").read_text())["epochs"] == 4


def test_a_run_can_be_given_fewer_epochs_and_more(photos, whole, tmp_path, raising, capsys):
    def trained(epochs):
        assert main(command(photos, tmp_path / "run", epochs)) == 0
        return json.loads((tmp_path / "run" / "run.json").read_text()), capsys.readouterr().out

    raising(13, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(command(photos, tmp_path / "run", 9)) == 130
    raising(0, lambda: None)
    capsys.readouterr()
    run, said = trained(2)  # it ends there, with what a run leaves
    assert (run["epochs"], run["options"]["epochs"]) == (2, 2) and "Epoch 3" not in said
    assert "of 2. On the 3 validation images" in said and (tmp_path / "run" / "best.keras").exists()
    assert "complete after epoch 2: nothing to do" in trained(2)[1]
    run, said = trained(4)
    assert (run["epochs"], run["options"]["epochs"]) == (4, 4) and "Going on after epoch 2." in said
    assert_same(whole, tmp_path / "run")
    said = stopped(command(photos, tmp_path / "run", 3), capsys)
    assert f"{tmp_path / 'run'} holds another run, saved up to epoch 4: --epochs is 3, and 4 are trained. " in said


def test_a_run_that_was_given_more_epochs_is_judged_even_if_it_was_killed_before(photos, tmp_path, monkeypatch, capsys):
    words = command(photos, tmp_path / "run", 1)
    assert main(words) == 0
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(run, "evaluate_best", lambda *_: sys.exit(9))
        main([*words, "--epochs", "2"])
    capsys.readouterr()
    assert main([*words, "--epochs", "2"]) == 0
    assert "Best epoch" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == 2


@pytest.mark.long
def test_callbacks_go_on_counting(photos, tmp_path, monkeypatch, raising, capsys):
    """No epoch is better than the first; the rate is halved after 2, 4, ..., and after 5 it ends."""
    monkeypatch.setattr(keras.callbacks.EarlyStopping, "_is_improvement", lambda self, value, best: best is None)
    monkeypatch.setattr(keras.callbacks.ReduceLROnPlateau, "_is_improvement", lambda self, value, best: best is None)
    more = ("--patience", 5, "--lr-patience", 2, "--decay", 0)
    for name, steps in (("whole", []), ("cut", [22, 7, 3, 11])):
        words = command(photos, tmp_path / name, 30, *more, *(("--save-every", 2) if steps else ()))
        for step in steps:
            raising(step, lambda: os.kill(os.getpid(), signal.SIGINT))
            main(words)
        raising(0, lambda: None)
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "Epoch 6: early stopping" in said
        assert main([*words, "--epochs", "40"]) == 0  # it ended by itself, and does so whatever is allowed
        assert "complete after epoch 6: nothing to do" in capsys.readouterr().out
    rates = [row["learning_rate"] for row in read_state(tmp_path / "cut")["history"]]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025], rtol=1e-6)
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_full_disk_stops_it_with_a_message_and_the_last_epoch_stays(photos, whole, tmp_path, monkeypatch, capsys):
    output = tmp_path / "run"
    save = keras.Model.save

    def full(model, path, **kwargs):
        if path.name == "part-epoch-0002.keras":
            path.symlink_to("/dev/full")  # every write fails as on a full disk
        save(model, path, **kwargs)

    monkeypatch.setattr(keras.Model, "save", full)
    assert main(command(photos, output)) == 2
    said = capsys.readouterr().err
    assert said.endswith(
        f"Stopped: the disk of {output} is full. Make room on it. "
        "Epoch 1 is saved; the same command goes on after it, or with --epochs 1 scores the best.\n"
    )
    assert "Traceback" not in said and not list(output.rglob("part-*"))
    monkeypatch.setattr(keras.Model, "save", save)
    assert main(command(photos, output)) == 0
    assert_same(whole, output)


@pytest.mark.parametrize("step", [1, 6])
def test_a_file_that_goes_stops_it_by_name(step, tmp_path, raising, capsys):
    """Before it was read for the first time, or when it is in the cache already."""
    photos = write_photos(tmp_path / "photos")
    path = photos / "masks" / "05.png"
    raising(step, path.unlink)
    assert main(command(photos, tmp_path / "run")) == 2
    said = capsys.readouterr().err
    assert (
        f"Stopped: {path}: cannot be opened (No such file or directory). Check the path and the permissions. " in said
    )
    assert "the same command " in said and "Traceback" not in said


@pytest.mark.drawn
def test_any_names_are_trained_on_and_described(tmp_path, capfd):
    photos, bytes_name = write_photos(tmp_path / "photos"), "\udcb5\udcbf" if sys.platform == "linux" else "é"
    for number, name in enumerate(["$1_$2", "동전", "–", "a b", bytes_name]):
        for kind in ("images", "masks"):
            (photos / kind / f"{number:02d}.png").rename(photos / kind / f"{name}.png")
    output = tmp_path / os.fsdecode(b"\xb5") if sys.platform == "linux" else tmp_path / "동전"
    assert main(command(photos, output, 1, "--validation", 6)) == 0
    assert not [line for line in capfd.readouterr().err.splitlines() if "arning" in line]
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert run["options"]["output"] == str(output) and run["data"]["pairs"] == 12
    assert (output / "predictions.png").is_file() and any((output / "tensorboard" / "training").iterdir())
    assert main(command(photos, output, 1, "--validation", 6)) == 0
    assert "complete after epoch 1: nothing to do" in capfd.readouterr().out


RESULTS = ["best.keras", "run.json", *PICTURES]
LATER = [pytest.param(name, marks=pytest.mark.long) for name in PICTURES[1:]]


@pytest.mark.drawn
@pytest.mark.parametrize("name", ["run.json", PICTURES[0], *LATER])
def test_a_result_that_cannot_be_made_costs_no_other_and_the_same_command_makes_it(
    name, photos, whole, tmp_path, monkeypatch, capsys
):
    output, write = tmp_path / "run", evaluate.write_atomically
    shutil.copytree(whole, output)
    (output / "run.json").unlink()
    for made in RESULTS:
        (output / made).write_bytes(b'{"epochs": 3}')  # of a best model before this one

    def broken(path, how):
        if path.name == name:
            raise OverflowError("no picture of that")
        write(path, how)

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "write_atomically", broken)
        patch.setattr(atomic, "write_atomically", broken)
        said = stopped(command(photos, output), capsys)
    assert said == (
        f"{name} could not be made (OverflowError: no picture of that). The other results are in {output}; "
        "the same command makes what is missing."
    )
    left = {path.name: path.stat().st_size for path in output.iterdir() if path.name in RESULTS}
    assert left.keys() == {*RESULTS} - {name} and min(left.values()) > 100 and not list(output.rglob("part-*"))
    assert main(command(photos, output)) == 0
    said = capsys.readouterr().out
    assert "Best epoch: " in said and "Epoch 4/4" not in said and "After 4 epochs: " in said
    assert {path.name for path in output.iterdir()} >= {*RESULTS}
    assert main(command(photos, output)) == 0
    assert "complete after epoch 4: nothing to do" in capsys.readouterr().out


def test_all_results_are_written_before_the_last_words(photos, tmp_path, monkeypatch):
    """The reader of a pipe may have gone."""

    def gone(*words, **_):
        if "Best epoch" in str(words):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("builtins.print", gone)
    assert main(command(photos, tmp_path / "run", 1)) == 2
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {*RESULTS}


@pytest.mark.parametrize(("rate", "step", "where"), [
    ("1e38", 0, r"loss is (nan|inf) in step \d of epoch 1"),
    ("1e38", -1, r"loss is (nan|inf) in step \d of epoch 1"),
    ("0.01", 7, "loss is nan in step 3 of epoch 2"),
    ("0.01", 10, "loss of the validation is nan after epoch 2"),
])  # fmt: skip
def test_a_loss_that_is_not_finite_ends_the_run_and_nothing_of_it_is_kept(
    rate, step, where, photos, tmp_path, monkeypatch, capsys
):
    steps = []

    def spoil(timer, batch, logs=None):
        steps.append(batch)
        if len(steps) == step:
            timer.model.set_weights([np.full_like(weight, np.nan) for weight in timer.model.get_weights()])

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.EpochTimer, "on_train_batch_end", spoil)
        if step < 0:  # not by model.fit
            alone = Replicas(tf.distribute.get_strategy(), 0, 1)
            patch.setattr(run, "make_replicas", lambda cluster: alone)
        said = stopped(command(photos, tmp_path / "run", 4, "--learning-rate", rate, "--save-every", 1), capsys)
    saved = int(where[-1]) - 1
    words = "Epoch 1 is saved; --epochs 1 scores the best. " if saved else ""
    words += f"Train anew with --overwrite and a --learning-rate below {float(rate):g}."
    assert re.fullmatch(f"the {where}: the training diverges. {re.escape(words)}", said), said
    state = read_state(tmp_path / "run")
    assert state["epochs"] == saved == len(state["history"])
    assert all(np.isfinite(array).all() for array in arrays(tmp_path / "run" / "checkpoints" / state["file"]).values())
    if step == 7:  # as the message says
        assert main(command(photos, tmp_path / "run", 1)) == 0
        assert main(command(photos, tmp_path / "run", 1, "--learning-rate", "1e-3", "--overwrite")) == 0
        assert capsys.readouterr().out.count("Best epoch: 1 of 1") == 2


def test_a_run_that_goes_on_within_an_epoch_names_the_step_of_the_epoch(photos, tmp_path, monkeypatch, capsys):
    steps = []

    def spoil(timer, batch, logs=None):
        steps.append(batch)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        if len(steps) == 4:
            timer.model.set_weights([np.full_like(weight, np.nan) for weight in timer.model.get_weights()])

    monkeypatch.setattr(callbacks.EpochTimer, "on_train_batch_end", spoil)
    words = command(photos, tmp_path / "run", 2, "--save-every", 1)
    assert main(words) == 130
    assert stopped(words, capsys).startswith("the loss is nan in step 4 of epoch 1: ")


@pytest.mark.parametrize("look", [1, 12, 13, 24])
def test_it_looks_at_each_pair_whether_the_other_workers_live(look, photos, tmp_path, monkeypatch, capsys):
    """It reads the 12 pairs for their checksum, and again for the audit: either can take hours."""
    looks = itertools.count(1)

    def check(workers):
        if next(looks) == look:
            raise WorkerError("worker 1 is gone.")

    monkeypatch.setattr(Workers, "check", check)
    assert stopped(command(photos, tmp_path / "run"), capsys) == "worker 1 is gone."
    assert not list(tmp_path.iterdir())


def test_killed_between_the_last_checkpoint_and_its_log_it_has_the_whole_log(photos, whole, tmp_path, monkeypatch):
    write_log = callbacks.WriteLogs._log

    def die(self, rows):
        if len(self.checkpoint.content["history"]) == 4:  # all epochs
            raise KeyboardInterrupt
        write_log(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.WriteLogs, "_log", die)
        assert main(command(photos, tmp_path / "run")) == 130
    assert len((tmp_path / "run" / "log.csv").read_text(encoding="utf-8").splitlines()) == 1 + 3
    assert main(command(photos, tmp_path / "run")) == 0
    assert_same(whole, tmp_path / "run")


# --- One at a time ---------------------------------------------------------------------------


def test_two_runs_do_not_share_an_output(photos, whole, tmp_path, raising, capsys):
    words, said = command(photos, tmp_path / "run"), []
    raising(7, lambda: said.append(stopped([*words, "--overwrite"], capsys)))
    assert main(words) == 0
    assert said == [
        f"process {os.getpid()} on {socket.gethostname()} writes into {tmp_path / 'run'}: "
        "wait until it has ended, or give another folder."
    ]
    assert_same(whole, tmp_path / "run")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


long = pytest.mark.long


@pytest.mark.parametrize(
    ("kills", "workers"), [(2, 1), pytest.param(20, 1, marks=long), pytest.param(20, 2, marks=long)]
)
def test_killed_at_any_moment_it_ends_with_the_same_weights(photos, tmp_path, kills, workers):
    """A child that imports once forks a run for each kill; half of them die by the clock, half inside saving."""
    child = [sys.executable, __file__, str(photos), str(tmp_path), str(kills), str(workers)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=7200)  # a run that hangs
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert sum(report["killed"] for report in reports) == kills, reports
    for report in reports:
        assert report["trained"] - report["saved"] <= EVERY, report
    assert_same(tmp_path / "whole", tmp_path / "killed")


def drive(photos, root, kills, workers):
    rng = random.Random(0)
    words = command(photos, root / "whole", EPOCHS // workers)
    start = time.monotonic()
    assert not run_forked(words, root / "ignored", workers)
    seconds = time.monotonic() - start
    plans = [("clock", rng.uniform(0.0, 0.5 * seconds / workers)) for _ in range(kills // 2)]
    plans += [("saving", rng.randrange(1, 45)) for _ in range(kills - len(plans))]
    rng.shuffle(plans)
    output, trained = root / "killed", root / "trained"
    words = command(photos, output, EPOCHS // workers, "--save-every", EVERY)
    trained.write_bytes(b"0")
    while plans:
        plan = plans.pop()
        killed = run_forked(words, trained, workers, plan, 0 if plan[0] == "saving" else rng.randrange(workers))
        state = RunCheckpoint.read(output)
        saved = STEPS * state.content["epochs"] + state.content["step"] if state else 0
        if state:
            for name in {state.content["file"], state.content["best"]["file"]}:
                with zipfile.ZipFile(state.folder / name) as archive:
                    assert archive.testzip() is None
        print(json.dumps({"killed": killed, "how": plan, "saved": saved, "trained": int(trained.read_bytes())}))
        if not killed:  # it ended before its kill: the next one begins anew, and dies earlier
            assert_same(root / "whole", output)
            shutil.rmtree(output)
            kind, when = plan
            plans.append((kind, when / 2 if kind == "clock" else (when + 1) // 2))
            trained.write_bytes(b"0")
    assert not run_forked(words, trained, workers)


def run_forked(words, trained, workers, plan=("never", 0), victim=0):
    """Run the command in a child for each worker; True if the victim was killed."""
    kind, when = plan
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(workers)]
        addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    children, file = [], os.open(trained, os.O_CREAT | os.O_WRONLY)
    for rank in range(workers):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                os.dup2(2, 1)
                task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
                os.environ["TF_CONFIG"] = json.dumps(task) if workers > 1 else ""
                run.build_unet = tiny
                if rank == 0:
                    at_each_step(lambda step: os.pwrite(file, b"%06d" % step, 0))
                if rank == victim and kind == "saving":
                    die_in_saving(when)
                if rank == victim and kind == "clock" and workers > 1:
                    die_after_the_first_step(when)
                code = main(words)
            finally:
                os._exit(code)
        children.append(child)
    os.close(file)
    if kind == "clock" and workers == 1:
        time.sleep(when)
        os.kill(children[victim], signal.SIGKILL)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    killed = os.WIFSIGNALED(statuses.pop(victim))
    for status in statuses:  # the others stop with a message, or they are done as well
        assert os.WIFEXITED(status) and os.WEXITSTATUS(status) in ((0, 2) if killed else (0,)), f"status {status}"
    return killed


def at_each_step(what):
    """Call it with the number of steps of a run so far, after each and before it is saved."""
    before = callbacks.LearningRateDecay.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        before(self, batch, logs)
        what(int(self.model.optimizer.iterations.numpy()))

    callbacks.LearningRateDecay.on_train_batch_end = on_train_batch_end


def die_after_the_first_step(seconds):
    """Not before all workers are there: the others would wait long for one that never comes."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    at_each_step(lambda step: timer.ident or timer.start())


def die_in_saving(number):
    """SIGKILL at the n-th of the moments before and after each call that changes the disk, or in half a model."""
    count = 0

    def moment():
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function):
        def wrapped(*arguments, **kwargs):
            moment()
            result = function(*arguments, **kwargs)
            moment()
            return result

        return wrapped

    save = keras.Model.save

    def half(model, path, **kwargs):
        save(model, path, **kwargs)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        moment()
        path.write_bytes(data)

    keras.Model.save = half
    os.fsync, os.replace, Path.unlink, Path.write_text = map(
        around, (os.fsync, os.replace, Path.unlink, Path.write_text)
    )


# --- What it refuses -------------------------------------------------------------------------


def stopped(words, capsys):
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Stopped: ") and said.count("\n") == 1
    return said.removeprefix("Stopped: ").removesuffix("\n")


def test_a_folder_that_is_taken_stays_as_it_is(photos, whole, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    for more in ((), ("--overwrite",)):
        said = stopped(command(photos, tmp_path, 4, *more), capsys)
        assert said == f"{tmp_path} holds files that are no run of this program: give another --output."
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    said = stopped(command(photos, whole, 5, "--batch", 3, "--decay", 0), capsys)
    assert said == (
        f"{whole} holds another run, saved up to epoch 4: --batch was 2 and is 3; --decay was 1e-05 and is 0.0. "
        "Give another --output, or --overwrite to replace it."
    )
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


def test_what_others_lay_beside_the_models_stays(photos, whole, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    others = {".ipynb_checkpoints/state-checkpoint.json", "notes.txt", "epoch-0003-the-good-one.keras", "mine.keras"}
    for name in others:
        path = output / "checkpoints" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    left = {"epoch-0002-step-000003.keras", "part-epoch-0003.keras", "part-state.json"}  # by runs that were killed
    for name in left:
        (output / "checkpoints" / name).touch()
    assert main(command(photos, output, 5)) == 0
    found = {str(path.relative_to(output / "checkpoints")) for path in (output / "checkpoints").rglob("*.*")}
    state = read_state(output)
    assert found == others | {".ipynb_checkpoints", "state.json", state["file"], state["best"]["file"]}


@pytest.mark.parametrize("there", [True, pytest.param(False, marks=pytest.mark.long)])
def test_an_output_that_is_a_link_stays_one(there, photos, tmp_path):
    """The large disk is often reached by a link."""
    disk = tmp_path / "disk"
    disk.mkdir()
    target, link = disk / "run", tmp_path / "link"
    link.symlink_to(target)
    if there:
        target.mkdir()
    for more in ((), ("--overwrite", "--batch", 3)):
        assert main(command(photos, link, 1, *more)) == 0
        assert link.is_symlink() and (target / "best.keras").is_file()
        assert sorted(path.name for path in tmp_path.glob("*")) == ["disk", "link"] and list(disk.iterdir()) == [target]


def test_an_output_whose_place_a_new_folder_cannot_take_is_named_at_once(photos, tmp_path, monkeypatch, capsys):
    """As the volume of a container."""
    output = tmp_path / "volume"
    output.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == output)
    monkeypatch.setattr(run, "audit_or_stop", None)
    words = stopped(command(photos, output, 1), capsys)
    assert words == f"{output} is a whole disk or volume: give a folder in it, such as --output {output / 'run'}."


DAMAGES = {
    "cut": lambda data: data[:100],
    "empty": lambda data: b"",
    "another list": lambda data: b"[1]",
    "another object": lambda data: b"{}",
    "no text": lambda data: b"\xff\xfe" + data,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_named_and_damaged_results_are_made_again(damage, photos, whole, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    path = output / "run.json"
    path.write_bytes(damage(path.read_bytes()))
    assert main(command(photos, output)) == 0
    assert "Best epoch" in capsys.readouterr().out and json.loads(path.read_text())["epochs"] == 4
    path = output / "checkpoints" / "state.json"
    path.write_bytes(damage(path.read_bytes()))
    for more in ((), ("--overwrite",)):
        said = stopped(command(photos, output, 4, *more), capsys)
        assert re.fullmatch(rf"{path} is damaged \(.+\)\. Move the folder {output} away, .*", said), said


@pytest.mark.parametrize("name", ["best.keras", PICTURES[0], *LATER])
def test_a_result_that_was_removed_is_made_again(name, photos, whole, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    (output / name).unlink()
    assert main(command(photos, output)) == 0
    assert (output / name).is_file() and "Epoch 4/4" not in capsys.readouterr().out


def test_a_run_of_an_earlier_version_is_complete_with_what_that_left(photos, whole, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    run = json.loads((output / "run.json").read_text())
    for name in ("format", "model", "input", "size", "classes", "void", "threshold", "overall"):
        del run[name]
    (output / "run.json").write_text(json.dumps(run))
    for name in PICTURES[2:]:
        (output / name).unlink()
    assert main(command(photos, output)) == 0
    assert "complete after epoch 4: nothing to do" in capsys.readouterr().out
    (output / "curves.png").unlink()
    assert main(command(photos, output)) == 0
    assert {path.name for path in output.iterdir()} >= {*RESULTS}
    assert json.loads((output / "run.json").read_text())["format"] == 2


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


MODEL_DAMAGES = {
    "removed": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:2000]),
    "one bit": flip_a_byte,
}


@pytest.mark.parametrize("epochs", [4, 5], ids=["best", "last"])
@pytest.mark.parametrize("damage", MODEL_DAMAGES.values(), ids=MODEL_DAMAGES)
def test_a_damaged_model_is_named(damage, epochs, photos, whole, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    state = read_state(output)
    path = output / "checkpoints" / (state["file"] if epochs > 4 else state["best"]["file"])
    damage(path)
    (output / "run.json").unlink()
    said = stopped(command(photos, output, epochs), capsys)
    assert re.fullmatch(rf"{path} is missing or damaged \(.+\)\. .*", said), said


@pytest.mark.parametrize("more", [("--overwrite",), ("--batch", 3), ("--epochs", 9)])
def test_before_the_run_begins_nothing_is_said_to_be_saved(more, photos, whole, tmp_path, monkeypatch, capsys):
    """What is in the folder may be of another run, or be about to be replaced."""
    output = tmp_path / "run"
    shutil.copytree(whole, output)
    for stop, code in ((lambda *_: os.kill(os.getpid(), signal.SIGINT), 130), (no_room, 2)):
        monkeypatch.setattr(run, "checksum", stop)
        assert main(command(photos, output, 4, *more)) == code
        said = capsys.readouterr().err
        assert said.endswith(" Nothing was trained or changed.\n") and "saved" not in said
    assert_same(whole, output)


def no_room(*_):
    raise OSError(28, "No space left on device")


def test_changed_data_are_refused_and_moved_data_are_not(photos, tmp_path, raising, capsys):
    first, moved = write_photos(tmp_path / "a" / "coins"), write_photos(tmp_path / "b" / "coins")
    raising(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(command(first, tmp_path / "run", 2)) == 130
    mask = moved / "masks" / "03.png"
    data = mask.read_bytes()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(mask)
    said = stopped(command(moved, tmp_path / "run", 2), capsys)
    assert said == (
        f"{tmp_path / 'run'} holds another run, saved up to epoch 1: images or masks have changed (12 pairs then, "
        "12 now). Give another --output, or --overwrite to replace it."
    )
    mask.write_bytes(data)
    raising(0, lambda: None)
    assert main(command(moved, tmp_path / "run", 2, "--overwrite")) == 0  # unfinished, the same: it goes on
    assert "Going on after epoch 1." in capsys.readouterr().out
    assert main(command(moved, tmp_path / "run", 1, "--overwrite")) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == 1


def test_the_audit_stops_what_cannot_be_trained(tmp_path, capsys):
    photos = write_photos(tmp_path / "photos")
    (photos / "images" / "05.png").write_bytes(b"")
    assert main(command(photos, tmp_path / "run", 1)) == 2
    said = capsys.readouterr()
    assert f"audit: empty file (1); the first: {photos / 'images' / '05.png'}" in said.out
    assert "1 of the findings would stop the training. Repair these files first; `segfeed audit" in said.err
    assert not (tmp_path / "run").exists()


def test_arguments_out_of_range_are_named(photos, tmp_path, capsys):
    def changed(*words):
        return stopped(command(photos, tmp_path / "run", 2, *words), capsys)

    for name in ("batch", "epochs", "lr-patience", "patience", "classes"):
        assert changed(f"--{name}", 0) == f"--{name} is 0: give at least 1."
    assert changed("--seed", -1) == "--seed is -1: give at least 0."
    assert changed("--seed", 2**32) == "--seed is 4294967296: give at most 4294967295."
    for name, number in itertools.product(("--learning-rate", "--decay"), (-1, "nan", "inf")):
        assert changed(name, number) == "--learning-rate must be above 0, --decay at least 0, and both finite."
    assert changed("--learning-rate", 0).startswith("--learning-rate must be above 0")
    for here in (".", ".."):
        assert changed("--output", here) == f"--output is {here}: give the name of a folder, which may be new."
    said = changed("--backbone", "resnet33")
    assert said.startswith("--backbone is resnet33: give one of small, densenet121, ") and ", resnet34, " in said
    assert changed("--crop", 64) == (
        "--size is 32x32 and --crop 64: crops keep the pictures' own pixels, and nothing is resized. "
        "Leave one of them out."
    )
    assert changed("--size", "32x64") == "--augment turns needs a square: give one --size, or leave turns out."
    small = changed("--backbone", "small", "--encoder-weights", "imagenet")
    assert small == "--backbone small has no ImageNet weights: leave --encoder-weights out."
    assert changed("--warm-up", -1) == "--warm-up is -1: give at least 0."
    assert changed("--warm-up", 2) == "--warm-up is for an encoder that has learned already (imagenet): leave it out."
    assert changed("--size", 384, "--crop", 64).startswith("--size is 384x384 and --crop 64")
    said = changed("--crop", 32, "--classes", 256)
    assert said.startswith("--crop needs a mask value for void, and 256 classes leave none")
    assert changed("--validation", 69) == (
        "69 validation images are more than half of the 12 images: give --validation 0.2, a fifth of them, "
        "or a number up to 6."
    )
    nowhere = ["train", "--images", tmp_path / "none", "--masks", photos / "masks", "--output", tmp_path / "run"]
    assert stopped(nowhere, capsys).startswith(f"there is no folder {tmp_path / 'none'}.")
    assert not (tmp_path / "run").exists()


def test_one_pair_is_told_what_to_do_and_two_train(tmp_path, capsys):
    photos = write_photos(tmp_path / "photos", 1)
    for validation in ("0.2", "1", "5"):
        said = stopped(command(photos, tmp_path / "run", 1, "--validation", validation), capsys)
        assert said == (
            "1 pair cannot be divided: the training and the validation need at least one each. Add pairs; to see "
            "whether a model learns one picture by heart, copy it and its mask under a second name."
        )
    for kind in ("images", "masks"):
        shutil.copy(photos / kind / "00.png", photos / kind / "copy.png")
    said = stopped(command(photos, tmp_path / "run", 1, "--validation", 2), capsys)
    cure = re.search(r"give --validation (\S+), a fifth of them, or a number up to (\d)\.", said)
    for validation in cure.groups():
        output = tmp_path / validation
        assert main(command(photos, output, 1, "--validation", validation)) == 0


def test_a_batch_smaller_than_the_replicas_names_the_option(photos, tmp_path, monkeypatch, capsys):
    three = Replicas(SimpleNamespace(num_replicas_in_sync=3), 0, 1)
    monkeypatch.setattr(run, "make_replicas", lambda cluster: three)
    said = stopped(command(photos, tmp_path / "run", 1), capsys)
    assert said == "--batch is 2, and 3 replicas of the model share each batch: give --batch 3 or more."


def test_the_audit_that_is_named_finds_the_same(tmp_path, capsys):
    photos = write_photos(tmp_path / "some photos")
    (photos / "masks" / "03.png").write_bytes((photos / "images" / "03.png").read_bytes())
    said = stopped(command(photos, tmp_path / "run", 1, "--classes", 256, "--ignore", 7), capsys)
    words = shlex.split(re.search(r"`(segfeed audit .+)` lists them all", said)[1])
    assert main(words[1:]) == 1
    assert "mask in colour (1)" in capsys.readouterr().out and words[4:] == [
        "--classes",
        "256",
        "--ignore",
        "7",
        "--size",
        "32x32",
    ]


def test_a_class_without_a_pixel_is_named_with_the_cure(photos, tmp_path, capsys):
    said = stopped(command(photos, tmp_path / "run", 1, "--classes", 256, "--balanced"), capsys)
    assert said.startswith("classes without a pixel in this set: 1, 2, 3, 4, 5 and ")
    assert said.endswith("or weigh no classes (without --balanced).")


def test_words_that_cannot_be_read_are_named(photos, tmp_path, capsys):
    for name, text in {
        "table": "1,2,3,0\n1,2,red,0\n",
        "class": "1,2,3,300\n",
        "twice": "1,2,3,0\n4,5,6,1\n1,2,3,1\n",
        "empty": "",
        "five": "1,2,3,0,5\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(text)
    every = "a number of steps, such as 500, or a time, such as 90s, 10m or 2h"
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for words, message in {
        ("--size", "100"): "100: a side, or HEIGHTxWIDTH, in multiples of 32 pixels",
        ("--crop", "100"): "100: a side in pixels, a multiple of 32, such as 512",
        ("--crop", "64x64"): "64x64: a side in pixels, a multiple of 32, such as 512",
        ("--crop", "0"): "0: a side in pixels, a multiple of 32, such as 512",
        ("--validation", "1.5"): "1.5: a whole number of images, or a share between 0 and 1",
        ("--validation", "nan"): "nan: a whole number of images, or a share between 0 and 1",
        ("--validation", "inf"): "inf: a whole number of images, or a share between 0 and 1",
        ("--validation", "a fifth"): "a fifth: a whole number of images, or a share between 0 and 1",
        ("--colours", tmp_path / "none"): f"{tmp_path / 'none'}: cannot be opened (No such file or directory)",
        ("--colours", tmp_path / "table.csv"): "the row ['1', '2', 'red', '0'] is not red,green,blue,class in numbers",
        ("--colours", tmp_path / "class.csv"): "the row ['1', '2', '3', '300'] is not red,green,blue,class in numbers",
        (
            "--colours",
            tmp_path / "five.csv",
        ): "the row ['1', '2', '3', '0', '5'] is not red,green,blue,class in numbers",
        ("--colours", tmp_path / "binary.csv"): "no text in UTF-8. Save the table as CSV in UTF-8.",
        ("--colours", tmp_path / "twice.csv"): "the colour 1,2,3 has the classes 0 and 1",
        ("--colours", tmp_path / "empty.csv"): "no row of red,green,blue,class",
        ("--ignore", 300): "300: a mask holds values from 0 to 255",
        **{("--save-every", word): f"{word}: {every}" for word in ("0", "0m", "1.5", "10d", "m", "1" * 400, "10 m")},
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(command(photos, tmp_path / "run", 2, *words))
        assert ended.value.code == 2 and message in capsys.readouterr().err


def test_missing_imagenet_weights_name_the_option(photos, tmp_path, monkeypatch, capsys):
    def missing(*_, **__):
        raise FileNotFoundError("The weights are not on this computer.")

    monkeypatch.setattr(run, "build_unet", missing)
    said = stopped(command(photos, tmp_path / "run"), capsys)
    assert said == "The weights are not on this computer. Here: --encoder-weights none."
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [("--encoder-weights", "foo"), ("--backbone", "inceptionv3")])
def test_a_u_net_that_cannot_be_built_names_the_options(words, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "build_unet", build_unet)
    said = stopped(command(photos, tmp_path / "run", 1, "--backbone", "resnet18", *words), capsys)
    assert said.startswith("the U-Net cannot be built: ")
    assert said.endswith(". Check --backbone, --size and --encoder-weights (imagenet, or none).")
    assert not (tmp_path / "run").exists()


def test_help_gives_units_and_default_of_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    actions = make_parser()._subparsers._group_actions[0].choices["train"]._actions[1:]
    for action in actions:
        assert action.help and len(action.help) > 15
        told = action.required or action.default in (None, False) or "default" in action.help
        assert told or f"{action.help} (default: {action.default})" in said, action.dest
    assert "(default: None)" not in said and said.count("(default: 384)") == 1
    units = {"size": "pixels", "patience": "epochs", "lr_patience": "epochs", "decay": "steps", "batch": "images"}
    for action in actions:
        assert units.get(action.dest, "") in action.help


ARTICLE = {"backbone": "resnet34", "size": (384, 384), "batch": 2, "learning_rate": 1e-5, "decay": 1e-5, "epochs": 50}
ARTICLE |= {"validation": 69, "encoder_weights": "imagenet", "warm_up": 0, "augment": ()}
USUAL = {"backbone": "small", "size": (384, 384), "batch": 3, "learning_rate": 1e-3, "decay": 0, "epochs": 50}
USUAL |= {"validation": 0.2, "encoder_weights": "none", "warm_up": 0, "augment": ("flips", "turns")}


@pytest.mark.parametrize(("words", "settings"), [
    ("", USUAL),
    ("--size 64x96", USUAL | {"size": (64, 96), "batch": 8, "augment": ("flips",)}),
    ("--size 1024", USUAL | {"size": (1024, 1024), "batch": 1}),
    ("--split s.csv --augment none", USUAL | {"validation": None, "augment": ()}),
    ("--augment blur,flips", USUAL | {"augment": ("flips", "blur")}),
    ("--backbone resnet18", USUAL | {"backbone": "resnet18", "encoder_weights": "imagenet", "warm_up": 2}),
    ("--backbone resnet18 --encoder-weights none", USUAL | {"backbone": "resnet18"}),
    ("--preset article", ARTICLE),
    ("--batch 8 --preset article --augment", ARTICLE | {"batch": 8, "augment": ("flips", "turns")}),
    ("--preset article --split s.csv", ARTICLE | {"validation": None}),
    ("--preset article --backbone small", ARTICLE | {"backbone": "small", "encoder_weights": "none"}),
    ("--crop 64", USUAL | {"size": (64, 64), "batch": 8}),
])  # fmt: skip
def test_a_setting_that_is_not_given_is_that_of_the_preset(words, settings):
    given = make_parser().parse_args(["train", "--images", "i", "--masks", "m", *words.split()])
    fill_settings(given)
    assert {name: getattr(given, name) for name in settings} == settings


@pytest.mark.drawn
def test_by_default_the_small_u_net_learns_from_changed_pictures_and_shows_them(photos, tmp_path, capsys):
    words = ["train", "--images", photos / "images", "--masks", photos / "masks", "--output", tmp_path / "run"]
    assert main([*map(str, words), "--size", "32", "--epochs", "2"]) == 0
    said = capsys.readouterr().out
    assert "10 images to train on, 2 to validate" in said and "small, 0.5 million weights" in said
    with Image.open(tmp_path / "run" / "augmented.png") as drawn:
        assert drawn.width > 600 and drawn.height > 400


@pytest.mark.long
def test_a_learning_curve_says_what_more_images_bring_and_goes_on(photos, tmp_path, capsys):
    words = command(photos, tmp_path / "curve", 1, "--learning-curve", "2,4")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.count("to validate") == 6 and "--- 4 of 9 training images, seed 2 ---" in said
    assert said.count("audit: ") == 1 and said.count("of 2. On the 3") == 3, "as many steps with fewer images"
    assert "From 2 to 4 images it grows by" in said
    with open(tmp_path / "curve" / "learning_curve.csv", encoding="utf-8", newline="") as file:
        rows = [(int(row["images"]), int(row["seed"]), float(row["validation_iou"])) for row in csv.DictReader(file)]
    assert [row[:2] for row in rows] == [(size, seed) for size in (2, 4) for seed in range(3)]
    parts = {size: read_split_file(tmp_path / "curve" / f"{size}-1.csv") for size in (2, 4)}
    assert {*parts[2]["train"]} < {*parts[4]["train"]} and parts[2]["validation"] == parts[4]["validation"]
    for size, seed, iou in rows:
        run = json.loads((tmp_path / "curve" / f"{size}-{seed}" / "run.json").read_text(encoding="utf-8"))
        assert (run["seed"], run["scores"]["object"]["iou"]) == (seed, iou)
    shutil.rmtree(tmp_path / "curve" / "4-2")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.count("nothing to do") == 5 and said.count("Best epoch: 1 of 1") == 1 and "--overwrite" not in said
    curve = tmp_path / "curve"
    given = f"its runs do not fit. Give another --output, or delete {curve}."
    assert stopped(command(photos, curve, 1, "--learning-curve", "2,3"), capsys).endswith(given)
    given = f"--learning-rate was 0.01 and is 0.1. Give another --output, or delete {curve}."
    other = command(photos, curve, 1, "--learning-curve", "2,4", "--learning-rate", "0.1")
    assert stopped(other, capsys).endswith(given)


def test_a_learning_curve_counts_a_class_that_fills_pictures_and_was_missed(tmp_path):
    none = {"boundary_f": None, "iou": 0.0}
    for pixels, mean in (((5, 0), 0.2), ((0, 5), 0.2), ((0, 0), 0.4)):
        rows = [none | {"true_pixels": 9, "found_pixels": 9, "iou": 0.9}]
        rows += [none | {"true_pixels": 9, "found_pixels": 9, "iou": 0.4}]
        rows += [none | dict(zip(("true_pixels", "found_pixels"), pixels, strict=True))]
        content = {"scores": dict(zip("abc", rows, strict=True))}
        (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
        assert _mean_iou(tmp_path) == pytest.approx(mean)
    for row in rows:  # of an earlier version, with an outline of the class that was missed
        del row["true_pixels"], row["found_pixels"]
    rows[2]["boundary_f"] = 0.0
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    assert _mean_iou(tmp_path) == pytest.approx(0.2)


def test_a_learning_curve_in_an_empty_folder_is_audited_too(tmp_path, capsys):
    photos = write_photos(tmp_path / "photos", 6)
    first = min((photos / "masks").iterdir())
    first.write_bytes(first.read_bytes()[:60])
    (tmp_path / "curve").mkdir()
    for _ in range(2):
        said = stopped(command(photos, tmp_path / "curve", 1, "--learning-curve", "2"), capsys)
        assert "Repair these files first" in said and not any((tmp_path / "curve").iterdir())


def test_a_learning_curve_that_cannot_be_drawn_is_refused(photos, whole, tmp_path, monkeypatch, capsys):
    given = "--learning-curve asks for 10 training images, and there are 9: give numbers up to 9."
    assert stopped(command(photos, tmp_path / "curve", 1, "--learning-curve", "2,10"), capsys) == given
    given = f"{whole} holds other files, such as augmented.png: give --learning-curve an --output of its own."
    assert stopped(command(photos, whole, 1, "--learning-curve", "2,4"), capsys) == given
    for more, given in (
        (("--seed", -1), "--seed is -1: give at least 0."),
        (("--seed", 2**32 - 1), "--seed is 4294967295: give at most 4294967293."),
        (("--overwrite",), f"leave --overwrite out, or delete {tmp_path / 'curve'}."),
    ):
        assert stopped(command(photos, tmp_path / "curve", 1, "--learning-curve", "2,4", *more), capsys).endswith(given)
    alone = write_photos(tmp_path / "alone", 1)
    assert stopped(command(alone, tmp_path / "curve", 1, "--learning-curve", "1"), capsys).startswith("1 pair cannot")
    with pytest.raises(SystemExit):
        main(command(photos, tmp_path / "curve", 1, "--learning-curve", "4,2"))
    assert "4,2: numbers of images that grow, such as 8,16,32,64" in capsys.readouterr().err
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert "start it on one machine, without TF_CONFIG" in stopped(
        command(photos, tmp_path / "curve", 1, "--learning-curve", "2,4"), capsys
    )


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.long)])
def test_half_precision_goes_on_to_the_bit_and_leaves_a_model_of_float32(
    policy, photos, tmp_path, monkeypatch, raising, capsys
):
    """float16 as on a GPU: with a scaled loss, whose scale is saved as well."""
    monkeypatch.setattr(run, "mixed_policy", lambda: policy)
    assert main(command(photos, tmp_path / "whole", 3, "--mixed")) == 0
    words = command(photos, tmp_path / "cut", 3, "--mixed", "--save-every", 1)
    raising(8, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(words) == 130
    model = keras.models.load_model(tmp_path / "cut" / "checkpoints" / read_state(tmp_path / "cut")["file"])
    assert {layer.dtype_policy.name for layer in model.layers[1:]} == {policy, "float32"}
    assert model.layers[-1].dtype_policy.name == "float32" and model(np.zeros((1, 32, 32, 3))).dtype == tf.float32
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    raising(0, lambda: None)
    assert main(words) == 0
    assert_same(tmp_path / "whole", tmp_path / "cut")
    saved = keras.models.load_model(tmp_path / "cut" / "best.keras")
    assert {layer.dtype_policy.name for layer in saved._flatten_layers()} == {"float32"}
    assert "--mixed was True and is False" in stopped(command(photos, tmp_path / "cut", 3), capsys)


def test_determinism_is_the_default_and_xla_is_never_used(photos, tmp_path, monkeypatch):
    asked, xla = [], []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    usual = run._fit
    monkeypatch.setattr(
        run, "_fit", lambda words, model, *more: (xla.append(model.jit_compile), usual(words, model, *more))
    )
    assert main(command(photos, tmp_path / "fast", 1, "--no-determinism")) == 0 and not asked
    assert main(command(photos, tmp_path / "usual", 1)) == 0 and asked
    assert xla == [False, False]


def test_a_dry_run_says_what_a_run_takes_and_writes_nothing(photos, whole, tmp_path, monkeypatch, capsys):
    assert main(command(photos, tmp_path / "run", 9, "--dry-run")) == 0
    said = capsys.readouterr().out
    assert "audit: 0 findings" in said and "9 images to train on, 3 to validate, 32×32 pixels; 5 steps of 2" in said
    assert "0.0 million weights" in said and "s a step, measured in 3 steps." in said
    assert 0.2 < float(re.search(r"Peak memory: (.+) GB\.", said)[1]) < 50
    assert said.endswith("This was a dry run: nothing was written.\n") and not [*tmp_path.iterdir()]
    assert main(command(photos, tmp_path / "run", 9, "--dry-run", "--batch", 9)) == 0
    assert "1 steps are too few to be timed: that needs more images, or a smaller --batch." in capsys.readouterr().out
    assert "holds another run" in stopped(command(photos, whole, 4, "--dry-run", "--mixed"), capsys)
    words = command(photos, tmp_path / "run", 9, "--dry-run")
    assert "leave --dry-run out" in stopped([*words, "--learning-curve", "2,4"], capsys)
    monkeypatch.setattr(run, "make_replicas", lambda cluster: Replicas(tf.distribute.get_strategy(), 0, 1))
    for option in ("--dry-run", "--mixed"):
        assert stopped(command(photos, tmp_path / "run", 9, option), capsys) == (
            f"{option} is for one process with at most one GPU: leave it out, or set CUDA_VISIBLE_DEVICES=0."
        )


def test_a_run_of_an_earlier_version_names_the_preset(photos, tmp_path, capsys):
    shutil.copytree(ROOT / "tests" / "begun_run", tmp_path / "run")
    words = [word for word in command(photos, tmp_path / "run") if word not in ("--preset", "article")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--backbone was resnet34 and is small" in said and "its defaults are --preset article" in said


if __name__ == "__main__":
    drive(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
