"""What the notebooks share, in the order in which data flow.

(files → pairs → a pair: `pairs.py`) → (a batch: `generator.py`) → a model → a score → (a picture: `pictures.py`)

The names of those files can be imported from here too. Importing this module loads neither
TensorFlow nor matplotlib: what needs them, imports them when it is called.
`python utils.py` checks this computer and the sample before a workshop.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from pairs import DataError, first_names, in_pixels
from pairs import Pair as Pair
from pairs import find_pairs as find_pairs
from pairs import read_image as read_image
from pairs import read_mask as read_mask
from pairs import read_pair as read_pair

if TYPE_CHECKING:
    import keras

    from generator import DataGenerator as DataGenerator
    from generator import KerasAugment as KerasAugment
    from pictures import Picture as Picture
    from pictures import overlay as overlay
    from pictures import plot_batch as plot_batch
    from pictures import plot_history as plot_history
    from pictures import plot_pair as plot_pair
    from pictures import plot_predictions as plot_predictions

ROOT = Path(__file__).resolve().parent
SAMPLE = ROOT / "data_sample"


ELSEWHERE = {"DataGenerator": "generator", "KerasAugment": "generator"} | dict.fromkeys(
    ["Picture", "overlay", "plot_pair", "plot_batch", "plot_history", "plot_predictions"], "pictures"
)


def __getattr__(name: str) -> Any:
    """Load generator.py or pictures.py when a name of theirs is first asked for (PEP 562)."""
    if name in ELSEWHERE:
        return getattr(import_module(ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- Split -----------------------------------------------------------------------------------


def split_ids(ids: Iterable[str], *sizes: int, seed: int = 0) -> list[list[str]]:
    """Shuffle `ids` by `seed` and cut off a part of each size; the rest comes first.

    `train, validation = split_ids(ids, 69)` sets 69 aside. The order in which `ids` come does not
    matter, so a split is the same on every disk. Pictures of one scene must stay in one part: give
    one id per scene then. Raises ValueError when a part, or the rest, would be empty.
    """
    names = sorted(ids)
    if len(set(names)) < len(names):
        raise ValueError(f"the id {Counter(names).most_common(1)[0][0]!r} is given twice: it would be in two parts.")
    if min(sizes, default=0) < 1 or sum(sizes) >= len(names):
        raise ValueError(f"{len(names)} ids cannot give parts of {sizes} and a rest: every part needs at least one id.")
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.cumsum([len(names) - sum(sizes), *sizes])
    return [[names[i] for i in part] for part in np.split(order, ends[:-1])]


def read_split(folder: Path = SAMPLE) -> dict[str, list[str]]:
    """Return the sample's own split: the stems of "train", "validation" and "test"."""
    split: dict[str, list[str]] = {}
    with open(folder / "split.csv", newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            split.setdefault(row["split"], []).append(row["stem"])
    return split


# --- Resize, check, encode -------------------------------------------------------------------------------------


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) to `size` (height, width); no pixel is passed over, so that texture does not alias.

    A side that shrinks 1.5 times or more is averaged; up to there linear interpolation weighs every pixel.
    """
    height, width = (new if old >= 1.5 * new else old for new, old in zip(size, image.shape, strict=False))
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*size, -1)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 1) to `size` (height, width) by the nearest pixel, so that no new value appears."""
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[..., None]


def check_mask(mask: np.ndarray, n_classes: int = 1, ignore: int | None = None) -> None:
    """Raise DataError, with how many pixels have which value, unless a mask as stored keeps the contract.

    `n_classes=1`: 0 is ground, and 1 or 255 (one of them in a file) is the object.
    `n_classes=k` > 1: the values are class indices 0…k-1.
    `ignore`: one more value, for pixels of which nobody knows the class (void).
    """
    if ignore is None and (
        mask.max() < max(2, n_classes) or (n_classes == 1 and (mask + np.uint8(1)).max() <= 1)  # 255 + 1 is 0
    ):
        return
    counts = np.bincount(mask.ravel(), minlength=256)
    allowed = range(n_classes) if n_classes > 1 else (0, 255 if counts[255] and ignore != 255 else 1)
    stray = [value for value in np.flatnonzero(counts) if value not in allowed and value != ignore]
    if stray:
        found = first_names([f"{value} ({in_pixels(counts[value])})" for value in stray])
        expected = "0 and 255, or 0 and 1" if n_classes == 1 else f"class indices 0 to {n_classes - 1}"
        void = "" if ignore is None else f", and {ignore} for void"
        raise DataError(
            f"the mask holds {found}; expected {expected}{void}. "
            f"Save it as PNG, never as JPEG, resize it by the nearest pixel, and check n_classes={n_classes}."
        )


def encode_mask(mask: np.ndarray, n_classes: int = 1) -> np.ndarray:
    """Turn a mask as stored, uint8 (H, W, 1), into float32 targets of 0 and 1.

    One class gives (H, W, 1); more give one-hot, (H, W, n_classes). DataError as in `check_mask`.
    """
    check_mask(mask, n_classes)
    if n_classes == 1:
        return (mask > 0).astype(np.float32)
    return np.eye(n_classes, dtype=np.float32)[mask[..., 0]]


def balanced_weights(generator: DataGenerator) -> list[float]:
    """A weight for each class index with which every class weighs the same in the whole set.

    weight = pixels / (classes · pixels of the class) (King and Zeng, 2001); void pixels do not
    count. One class has two: ground and object. Raises ValueError for a class without any pixel.
    """
    counts = np.zeros(max(2, generator.n_classes), np.int64)
    for _, masks, *weights in generator:
        one_hot = masks if generator.n_classes > 1 else np.concatenate([1 - masks, masks], axis=-1)
        known = weights[0] > 0 if weights else np.ones(masks.shape[:3], bool)
        counts += np.count_nonzero(one_hot[known], axis=0)
    if not counts.all():
        raise ValueError(
            f"the classes {np.flatnonzero(counts == 0).tolist()} have no pixel in this set: no weight fits."
        )
    return (counts.sum() / (len(counts) * counts)).tolist()


def flip_and_turn(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn a square pair by 0, 90, 180 or 270 degrees and mirror it or not: image and mask alike."""
    turns, mirror = int(rng.integers(4)), rng.integers(2)
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    return (image[:, ::-1], mask[:, ::-1]) if mirror else (image, mask)


# --- Model ------------------------------------------------------------------------------------


def build_unet(
    backbone: str = "resnet34",
    n_classes: int = 1,
    img_size: int | tuple[int, int] = 128,
    n_channels: int = 3,
    encoder_weights: str | None = None,
    momentum: float = 0.9,
) -> keras.Model:
    """Build the U-Net of `segmentation_models`: (B, H, W, n_channels) → probabilities (B, H, W, n_classes).

    The last layer is a sigmoid for one class and a softmax for more. `momentum` goes to every
    batch normalisation: with Keras' 0.99 the averages that validation uses need some 500 steps to
    leave their start values, more than a small data set has. `encoder_weights="imagenet"` loads
    weights that expect what `segmentation_models.get_preprocessing(backbone)` returns, so hand that
    to the generator as `preprocess`.

    Raises ValueError for a size that five halvings do not divide, and FileNotFoundError, with the
    file's name and its place, when the weights are neither on this computer nor can be fetched.
    """
    os.environ.setdefault("SM_FRAMEWORK", "tf.keras")  # read at the import; without it the import fails
    import keras
    import segmentation_models as sm

    height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
    if height % 32 or width % 32:
        raise ValueError(f"img_size is {height}×{width}: the U-Net halves it five times, so use multiples of 32.")
    try:
        model = sm.Unet(
            backbone,
            input_shape=(height, width, n_channels),
            classes=n_classes,
            activation="sigmoid" if n_classes == 1 else "softmax",
            encoder_weights=encoder_weights,
        )
    except Exception as error:
        fetch = re.search(r"URL fetch failure on (\S+?):? ", str(error))
        if fetch is None:
            raise
        name = fetch[1].rpartition("/")[2]
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras"), "models").expanduser()
        raise FileNotFoundError(
            f"The {encoder_weights} weights of {backbone} are not on this computer and cannot be fetched. "
            f"Fetch {name} where there is a network and put it into {folder}, "
            f"or train from random weights with encoder_weights=None."
        ) from error
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    return model


# --- Judge ------------------------------------------------------------------------------------


class ClassScore(NamedTuple):
    """IoU of one class over a whole set, beside that of a model that always says ground (class 0)."""

    name: str
    iou: float
    baseline: float


def iou_per_class(model: keras.Model, generator: DataGenerator, names: Sequence[str]) -> list[ClassScore]:
    """Intersection over union of each class, over all pixels of all batches together.

    IoU = TP / (TP + FP + FN) (Jaccard, 1901), counted in one confusion matrix: not a mean over
    batches, which would weigh a batch with few coin pixels like one with many. Void pixels, and those
    with the weight 0, do not count. Probabilities of a
    single class are cut at 0.5; of several, the largest wins. A class that the set does not hold
    scores 0. `names`: ("ground", "coin"), or one for each class index.
    """
    import keras

    if len(names) != max(2, generator.n_classes):
        raise ValueError(f"{len(names)} names for {max(2, generator.n_classes)} classes: {', '.join(names)}.")

    def metric(index: int) -> keras.metrics.IoU:
        if generator.n_classes == 1:
            return keras.metrics.BinaryIoU([index])
        return keras.metrics.OneHotIoU(generator.n_classes, [index])

    scores = [metric(index) for index in range(len(names))]
    baselines = [metric(index) for index in range(len(names))]
    for images, masks, *weights in generator:
        predicted = model.predict_on_batch(images)
        known = weights[0] > 0 if weights else None
        ground = np.zeros_like(masks)
        if generator.n_classes > 1:
            ground[..., 0] = 1
        for score, baseline in zip(scores, baselines, strict=True):
            score.update_state(masks, predicted, known)
            baseline.update_state(masks, ground, known)
    return [
        ClassScore(name, float(score.result()), float(baseline.result()))
        for name, score, baseline in zip(names, scores, baselines, strict=True)
    ]


def mask_classes(mask: np.ndarray) -> np.ndarray:
    """Class indices, int (H, W), of a mask of indices, of 0/255, of probabilities or one-hot."""
    if mask.shape[-1] > 1:
        return mask.argmax(axis=-1)
    mask = mask[..., 0]
    return (mask >= 0.5).astype(int) if mask.dtype.kind == "f" or mask.max() == 255 else mask.astype(int)


def predict_mask(
    model: keras.Model, image: np.ndarray, preprocess: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Class indices, uint8 (H, W, 1), that a model finds in an image of any size, uint8 (H, W, 3).

    The image is resized to the model's input and scaled to [0, 1], or by the generator's
    `preprocess`; the probabilities are resized back before they are cut, so that outlines stay smooth.
    """
    batch = resize_image(image, model.input_shape[1:3])[None].astype(np.float32)
    probabilities = model.predict_on_batch(batch / 255 if preprocess is None else preprocess(batch))[0]
    probabilities = cv2.resize(probabilities, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    probabilities = probabilities.reshape(*image.shape[:2], -1)
    return mask_classes(probabilities).astype(np.uint8)[..., None]


# --- Pre-flight -------------------------------------------------------------------------------


def check_sample(folder: Path = SAMPLE) -> list[str]:
    """Names of the sample's files that are missing or differ from the list in SHA256SUMS."""
    wrong = []
    for line in (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    return wrong


def preflight() -> bool:
    """Print PASS or FAIL with the cure for each thing a workshop needs; True if all passed."""
    from importlib.metadata import PackageNotFoundError, version

    import psutil

    passed = []

    def line(ok: bool, what: str, cure: str) -> None:
        passed.append(ok)
        print(f"{'PASS' if ok else 'FAIL'}  {what}" + ("" if ok else f"\n      {cure}"))

    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    for name in ("tensorflow", "keras", "segmentation-models", "numpy", "opencv-python-headless", "jupyterlab"):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        line(found == pins[name], f"{name} {found}", f"expected {pins[name]}: run `make clean`, then `make lab`")
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().available / 1e9
    line(cores >= 2, f"{cores} cores", "one core trains at half the speed: plan twice the minutes for notebook 03")
    line(memory >= 4, f"{memory:.1f} GB of memory free", "notebook 03 needs 4 GB: close other programs")
    try:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        gpus = len(tf.config.list_physical_devices("GPU"))
        line(True, f"{gpus} GPU, the course needs none" if gpus == 0 else f"{gpus} GPU", "")
    except Exception as error:
        line(False, f"TensorFlow does not start: {error}", "run `make clean`, then `make lab`")
    wrong = check_sample()
    line(
        not wrong,
        f"the sample, {len(wrong)} files wrong",
        f"`git checkout data_sample` brings back {first_names(wrong)}",
    )
    return all(passed)


if __name__ == "__main__":
    sys.exit(0 if preflight() else 1)
