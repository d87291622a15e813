"""`segfeed export`: a trained model for programs without Keras, each file compared with Keras in its own runtime."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from segfeed.atomic import replace_folder, write_json
from segfeed.backend import keras_problem, use_tensorflow
from segfeed.errors import CommandError, DataError, printable
from segfeed.locks import lock_folder

if TYPE_CHECKING:
    import keras

    from segfeed.inference.runs import Run

PICTURES = 20  # that are compared
ABOUT = "export.json"
Predict = Callable[[np.ndarray], np.ndarray]


class Format(NamedTuple):
    """A kind of file that `keras.Model.export` writes, and how its own runtime loads it."""

    title: str
    name: str  # as `keras.Model.export` calls it
    file: str
    packages: tuple[str, ...]  # that it needs besides TensorFlow
    load: Callable[[Path], Predict]


def _load_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _load_litert(path: Path) -> Predict:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:  # TensorFlow up to 2.21 brings it too
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter

    interpreter = Interpreter(model_path=os.fspath(path), num_threads=os.cpu_count())
    given, found = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def predict(batch: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, batch)
        interpreter.invoke()
        return interpreter.get_tensor(found)

    return predict


def _load_saved_model(path: Path) -> Predict:
    import tensorflow as tf

    loaded = tf.saved_model.load(os.fspath(path))
    return lambda batch: loaded.serve(batch).numpy()


FORMATS = (
    Format("SavedModel", "tf_saved_model", "saved_model", (), _load_saved_model),
    Format("LiteRT", "litert", "model.tflite", (), _load_litert),
    Format("ONNX", "onnx", "model.onnx", ("tf2onnx", "onnx", "onnxruntime"), _load_onnx),
)


def run(arguments: argparse.Namespace, words: str) -> int:
    """The exit status: 1 if a format could not be made, or not be compared, else 0."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    use_tensorflow()
    if problem := keras_problem():
        raise CommandError(f"{problem}.")
    from segfeed.inference.runs import load_run

    trained, output = load_run(arguments.run), arguments.output
    if output.exists() and not (output / ABOUT).is_file() and (output.is_file() or any(output.iterdir())):
        raise CommandError(f"{output} holds other files: give a new folder.")
    pictures, which = _pictures(arguments.images, trained.size)
    model = _of_fixed_size(trained)
    expected = np.concatenate([model.predict_on_batch(picture[None]) for picture in pictures])
    height, width = trained.size
    print(f"Compared with Keras on {len(pictures)} {which}, {height}×{width} pixels, one at a time:")
    milliseconds = _milliseconds(model.predict_on_batch, pictures)
    print(f"{'Keras':10} {_megabytes(arguments.run / 'best.keras'):7.1f} MB {milliseconds:8.1f} ms a picture")
    with lock_folder(output):
        part = output.with_name(f".{output.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        found = {one.title: _make(one, model, part, pictures, expected) for one in FORMATS}
        about = {
            "input": f"uint8 RGB, (batch, {height}, {width}, 3)",
            "output": f"probabilities, float32 (batch, {height}, {width}, {model.output_shape[-1]})",
            "classes": [{"index": n, "name": one.name} for n, one in enumerate(trained.categories)],
            "threshold": trained.threshold,
            "files": {title: row for title, row in found.items() if row},
        }
        write_json(part / ABOUT, about)
        replace_folder(part, output)
    print(f"{output} holds {', '.join(row['file'] for row in found.values() if row)} and {ABOUT}.")
    return 0 if all(found.values()) else 1


def _of_fixed_size(run: Run) -> keras.Model:
    """The model for pictures of the run's size and batches of any length."""
    import keras

    if run.model.input_shape[1:3] == run.size:
        return run.model
    images = keras.Input((*run.size, 3), dtype="uint8", name="image")
    return keras.Model(images, run.model(images))


def _pictures(folder: Path | None, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """uint8 (N, height, width, 3), and what they are in words."""
    if folder is None:
        noise = np.random.default_rng(0).integers(0, 256, (PICTURES, *size, 3), dtype=np.uint8)
        return noise, "pictures of noise"
    from segfeed.decode import read_image
    from segfeed.files import file_name, list_folder
    from segfeed.transforms import resize_image

    found: list[np.ndarray] = []
    for stem, rest in sorted(list_folder(folder, folder / ABOUT).files.items()):
        with contextlib.suppress(DataError):
            found.append(resize_image(read_image(folder / file_name(stem, rest.split("/")[0])), size))
        if len(found) == PICTURES:
            break
    if not found:
        raise CommandError(f"--images {folder} holds no picture that can be read. `segfeed audit` says why.")
    return np.stack(found), f"pictures of {printable(str(folder))}"


def _make(
    one: Format, model: keras.Model, folder: Path, pictures: np.ndarray, expected: np.ndarray
) -> dict[str, Any] | None:
    """Write a file, load it, compare it and print a line; None if something of it is not possible."""
    missing = [package for package in one.packages if not _is_installed(package)]
    if missing:
        print(f"{one.title:10} was not made: pip install {' '.join(missing)}")
        return None
    path = folder / one.file
    try:
        with _quietly():
            model.export(os.fspath(path), format=one.name, verbose=False)
            predict = one.load(path)
            found = np.concatenate([predict(picture[None]) for picture in pictures])
    except Exception as error:  # converters and runtimes raise anything
        problem = str(error).strip().split("\n")[0]
        print(f"{one.title:10} was not made: {type(error).__name__}: {printable(problem)}")
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    row = {
        "file": one.file,
        "megabytes": round(_megabytes(path), 2),
        "milliseconds": round(_milliseconds(predict, pictures), 2),
        "largest_difference": float(np.abs(found - expected).max()),
    }
    print(
        f"{one.title:10} {row['megabytes']:7.1f} MB {row['milliseconds']:8.1f} ms a picture, "
        f"largest difference of a probability {row['largest_difference']:.1e}"
    )
    return row


def _is_installed(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Converters tell of every step; what matters is raised."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _milliseconds(predict: Predict, pictures: np.ndarray) -> float:
    """The median over the pictures, after a first call."""
    predict(pictures[:1])
    seconds = []
    for picture in pictures:
        start = time.perf_counter()
        predict(picture[None])
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))
