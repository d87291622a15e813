"""What the notebooks share, in the order in which data flow.

files → pairs → a pair → (a batch: `generator.py`) → a model → a score → (a picture: `pictures.py`)

The names of those two files can be imported from here too. Importing this module loads neither
TensorFlow nor matplotlib: what needs them, imports them when it is called.
`python utils.py` checks this computer and the sample before a workshop.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    import keras

    from generator import DataGenerator as DataGenerator
    from pictures import Picture as Picture
    from pictures import overlay as overlay
    from pictures import plot_batch as plot_batch
    from pictures import plot_history as plot_history
    from pictures import plot_pair as plot_pair
    from pictures import plot_predictions as plot_predictions

ROOT = Path(__file__).resolve().parent
SAMPLE = ROOT / "data_sample"


ELSEWHERE = {"DataGenerator": "generator"} | dict.fromkeys(
    ["Picture", "overlay", "plot_pair", "plot_batch", "plot_history", "plot_predictions"], "pictures"
)


def __getattr__(name: str) -> Any:
    """Load generator.py or pictures.py when a name of theirs is first asked for (PEP 562)."""
    if name in ELSEWHERE:
        return getattr(import_module(ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- Locate -----------------------------------------------------------------------------------


class DataError(ValueError):
    """An image or a mask that cannot be used: the message names the file, the value and the cure."""


class Pair(NamedTuple):
    """An image and its mask: two files with the same stem."""

    stem: str
    image: Path
    mask: Path


def find_pairs(imgs_dir: str | Path, masks_dir: str | Path, ids: Iterable[str] | None = None) -> list[Pair]:
    """Match the images of one folder with the masks of another by stem.

    `ids` are stems or names of image files ("0007" or "0007.jpg") and fix the order; without them every file
    of both folders takes part, sorted by stem. Hidden files are passed over, and names are compared
    in one Unicode form (NFC), because macOS may store another than the one you type.

    Raises DataError for an image without a mask (or a mask without an image, when there are no
    `ids`), two files for one stem, an id given twice, and when there is nothing to pair.
    """
    images, masks = _files_by_stem(imgs_dir), _files_by_stem(masks_dir)
    if ids is None:
        stems = sorted(images.keys() | masks.keys())
    else:
        stem_of = {unicodedata.normalize("NFC", file): stem for stem, files in images.items() for file in files}
        names = [unicodedata.normalize("NFC", str(name)) for name in ids]
        stems = [name if name in images else stem_of.get(name, name) for name in names]
    if not stems:
        raise DataError(f"no pair to load: the ids are empty, or {imgs_dir} holds no file. Check the folder's name.")
    if len(set(stems)) < len(stems):
        stem, times = Counter(stems).most_common(1)[0]
        raise DataError(f"the id {stem!r} is given {times} times. Give each id once.")
    for kind, folder, files in (("image", imgs_dir, images), ("mask", masks_dir, masks)):
        missing = [stem for stem in stems if stem not in files]
        if missing:
            raise DataError(
                f"no {kind} in {folder} for {len(missing)} of {len(stems)} ids: {_first(missing)}. "
                f"An image and its mask have the same name up to the extension: "
                f"add the {kind}, or leave the id out."
            )
        for stem in stems:
            if len(files[stem]) > 1:
                raise DataError(
                    f"{len(files[stem])} {kind} files in {folder} for the id {stem!r}: "
                    f"{_first(sorted(files[stem]))}. Keep one of them."
                )
    return [Pair(stem, Path(imgs_dir, images[stem][0]), Path(masks_dir, masks[stem][0])) for stem in stems]


def _files_by_stem(folder: str | Path) -> dict[str, list[str]]:
    if not Path(folder).is_dir():
        raise DataError(f"there is no folder {folder}. Check the path; it is relative to {Path.cwd()}.")
    files: dict[str, list[str]] = {}
    with os.scandir(os.fspath(folder)) as entries:
        for entry in entries:
            if entry.is_file() and not entry.name.startswith(".") and entry.name not in {"Thumbs.db", "desktop.ini"}:
                stem = unicodedata.normalize("NFC", Path(entry.name).stem)
                files.setdefault(stem, []).append(entry.name)
    return files


def _first(names: Sequence[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


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


# --- Pair -------------------------------------------------------------------------------------


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as RGB uint8, (H, W, 3), turned upright as its EXIF tag says.

    Grey becomes three equal channels and a palette becomes its colours. Raises DataError for a file
    that is missing, empty or unreadable, for 16-bit values and for transparent pixels: there is more
    than one way to make those 8-bit RGB, and only you know the right one.
    """
    data = _read_bytes(path)
    image = _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:
        raise DataError(
            f"{path}: {image.dtype} pixels up to {image.max()}, expected 8-bit. "
            f"Scale them to 0–255 by the full range of your camera and save again."
        )
    if data[:2] != b"\xff\xd8" and Image.open(io.BytesIO(data)).has_transparency_data:  # a JPEG has no alpha
        alpha = _decode(path, data, cv2.IMREAD_UNCHANGED)[..., -1]
        if alpha.min() < 255:
            raise DataError(
                f"{path}: {np.mean(alpha < 255):.1%} of the pixels are transparent. "
                f"Lay the image on the background you want and save it without an alpha channel."
            )
    return image


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask file as it was stored, uint8 (H, W, 1): no colours, no scaling, no smoothing.

    A palette file (Pascal VOC) gives its indices. Raises DataError for a file that is missing, empty
    or unreadable, for colour and transparency, and for values above 255.
    """
    data = _read_bytes(path)
    if data[:4] == b"\x89PNG" and data[25:26] == b"\x03":  # palette: OpenCV would give its colours
        return _checked(path, lambda: np.array(Image.open(io.BytesIO(data))))[..., None]
    mask = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if mask.ndim == 3:
        if (mask != mask[..., :1])[..., :3].any() or (mask.shape[2] == 4 and mask[..., 3].min() < 255):
            raise DataError(
                f"{path}: a mask in colour, shape {mask.shape}, expected one value a pixel. "
                f"Save it as a grey or palette PNG that holds 0/255 or the class index."
            )
        mask = mask[..., 0]
    if (mask != mask.astype(np.uint8)).any():
        found = f"{mask.dtype} values from {mask.min()} to {mask.max()}"
        raise DataError(f"{path}: {found}, expected whole numbers 0–255. Save the mask with 8 bits.")
    return mask.astype(np.uint8)[..., None]


def _read_bytes(path: str | Path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the path and the permissions.") from error
    if not data:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from its source.")
    return data


def _checked(path: str | Path, decode: Callable[[], np.ndarray | None]) -> np.ndarray:
    try:
        pixels = decode()
    except (cv2.error, OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DataError(
            f"{path}: cannot be decoded ({error}). Open it in an image viewer, and save it again."
        ) from error
    if pixels is None:
        start = Path(path).read_bytes()[:4]
        raise DataError(
            f"{path}: not an image that can be decoded (it begins with {start!r}). "
            f"Open it in an image viewer; save it again, or copy it again from its source."
        )
    return pixels


def _decode(path: str | Path, data: bytes, flags: int) -> np.ndarray:
    # From memory, because cv2.imread cannot open a path with Korean letters on Windows.
    return _checked(path, lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 (H, W, 3), and its mask, uint8 (H, W, 1); DataError if the sizes differ."""
    image, mask = read_image(pair.image), read_mask(pair.mask)
    if image.shape[:2] != mask.shape[:2]:
        raise DataError(
            f"{pair.mask}: the mask is {mask.shape[0]}×{mask.shape[1]} pixels and its image "
            f"{image.shape[0]}×{image.shape[1]}. Make the mask again from this image; "
            f"if the two are turned against each other, look at the image's EXIF orientation."
        )
    return image, mask


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) to `size` (height, width); averages where it shrinks, so that nothing aliases."""
    height, width = np.minimum(size, image.shape[:2]).tolist()
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*size, -1)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 1) to `size` (height, width) by the nearest pixel, so that no new value appears."""
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[..., None]


def check_mask(mask: np.ndarray, n_classes: int = 1) -> None:
    """Raise DataError, with how many pixels have which value, unless a mask as stored keeps the contract.

    `n_classes=1`: 0 is ground, and 1 or 255 (one of them in a file) is the object.
    `n_classes=k` > 1: the values are class indices 0…k-1.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    allowed = range(n_classes) if n_classes > 1 else (0, 255 if counts[255] else 1)
    stray = [value for value in np.flatnonzero(counts) if value not in allowed]
    if stray:
        found = _first([f"{value} ({counts[value]} pixels)" for value in stray])
        expected = "0 and 255, or 0 and 1" if n_classes == 1 else f"class indices 0 to {n_classes - 1}"
        raise DataError(
            f"the mask holds {found}; expected {expected}. "
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
    batches, which would weigh a batch with few coin pixels like one with many. Probabilities of a
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
    for images, masks in generator:
        predicted = model.predict_on_batch(images)
        ground = np.zeros_like(masks)
        if generator.n_classes > 1:
            ground[..., 0] = 1
        for score, baseline in zip(scores, baselines, strict=True):
            score.update_state(masks, predicted)
            baseline.update_state(masks, ground)
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
    line(not wrong, f"the sample, {len(wrong)} files wrong", f"`git checkout data_sample` brings back {_first(wrong)}")
    return all(passed)


if __name__ == "__main__":
    sys.exit(0 if preflight() else 1)
