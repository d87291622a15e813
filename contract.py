"""Does this Sequence, anyone's, keep its promises?

    from contract import check_sequence, probe_folder

    ids = probe_folder("probe")  # pictures that tell their number and their mask
    make = lambda: MySequence(ids, "probe/images", "probe/masks", batch_size=4)
    print(*check_sequence(make, probe="probe", shuffle=True), sep="\n")

The promises stand below in the order in which they are looked at.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import operator
import pickle
import random
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

Batch = tuple[np.ndarray, ...]
PARTS = "images", "masks", "weights"


class Finding(NamedTuple):
    """A promise; whether it is kept, None where that cannot be told; and what was measured, with the cure."""

    promise: str
    kept: bool | None
    words: str

    def __str__(self) -> str:
        return f"{dict([(True, 'kept'), (False, 'BROKEN'), (None, '?')])[self.kept]:6}  {self.promise}: {self.words}"


class Unknown(Exception):
    """A promise cannot be judged; the message says what would be needed."""


class Hung(Exception):
    """No answer came in time."""


def check_sequence(
    make: Any,
    *,
    n_classes: int = 1,
    values: tuple[float, float] | None = None,
    shuffle: bool | None = None,
    probe: str | Path | None = None,
    patience: float = 60,
) -> list[Finding]:
    """Judge every promise of a Sequence of images and masks; no fault of it raises an exception here.

    Where a promise is broken, those that build on it have `kept=None`: mend it, and check again.
    Three epochs are held in memory: check a large data set by some of its ids, or by the probe folder.

    Args:
        make: a function without arguments that makes the Sequence, called several times. A Sequence will
            do, but then less can be told, and afterwards it is some epochs further.
        n_classes: channels of the masks: 1 for masks of 0 and 1, more for one-hot.
        values: least and greatest value of an image; None for 0–1 as float and 0–255 as integer.
        shuffle: whether the order changes from epoch to epoch; None if that does not matter.
        probe: the folder that `probe_folder` wrote, if the Sequence reads it. Then samples are known by
            number, even flipped and turned, and masks by their images. One file is damaged for a moment.
        patience: seconds for one promise; a Sequence that takes longer is given up.
    """
    it = Subject(n_classes, values, shuffle, None if probe is None else Path(probe), patience)
    it.sequence, it.make = (make, None) if isinstance(make, keras.utils.Sequence) else (None, make)
    findings: dict[str, Finding] = {}
    causes: dict[str, str] = {}  # of promises that are not looked at
    hung, state = None, shared_random()
    for name, (sentence, needs, check) in PROMISES.items():
        first = hung or next((need for need in needs if not findings[need].kept), None)
        if first:
            causes[name] = causes.get(first, first)
            findings[name] = Finding(name, None, f"not looked at: see {causes[name]!r} first.")
            continue
        (answer,) = at_once([lambda check=check: next(check(it), None)], patience)  # type: ignore[misc]
        hung = name if isinstance(answer, Hung) else None
        kept = None if isinstance(answer, Unknown) else answer is None
        words = said(answer) if isinstance(answer, BaseException) else answer
        findings[name] = Finding(name, kept, words or sentence)
    random.setstate(pickle.loads(state["random"]))
    np.random.set_state(pickle.loads(state["np.random"]))  # noqa: NPY002 — as it was
    return list(findings.values())


# --- The probe: pictures that tell their number and their mask ---------------------------------

PROBES = 13  # a prime: almost every batch size leaves a rest


def probe_folder(folder: str | Path, n_classes: int = 1) -> list[str]:
    """Write images/<stem>.png and masks/<stem>.png, 64×64 pixels, below `folder`; return the stems.

    A picture is a board of 4×4 fields, as bright as their classes are high, from black to yellow: with half as
    much blue as red.
    """
    top = max(2, n_classes) - 1
    pictures = [(f"probe{number:02d}", board) for number, (board, *_) in enumerate(probe_forms(n_classes))]
    colour, grey = np.array([255, 255, 127]) // top, np.array([255 if n_classes == 1 else 1])
    for kind, factors in (("images", colour), ("masks", grey)):
        (Path(folder) / kind).mkdir(parents=True, exist_ok=True)
        for stem, board in pictures:
            pixels = board.repeat(16, 0).repeat(16, 1)[..., None] * factors
            keras.utils.save_img(Path(folder) / kind / f"{stem}.png", pixels, scale=False)
        pictures.reverse()  # who pairs files in the order of writing shall pair wrongly
    return [stem for stem, _ in pictures]


@functools.cache
def probe_forms(n_classes: int) -> np.ndarray:
    """The boards, turned and mirrored in 8 ways, (PROBES, 8, 4, 4); any two of them differ in 4 fields or more."""
    classes, rng = max(2, n_classes), np.random.default_rng(0)
    forms: list[np.ndarray] = []
    while len(forms) < PROBES:
        board = rng.integers(classes, size=(4, 4))
        new = np.stack([np.rot90(side, turn) for side in (board, board.T) for turn in range(4)])
        others = np.concatenate([new[1:], *forms])
        if np.sum(others != board, axis=(1, 2)).min() >= 4 and np.ptp(board) == classes - 1:
            forms.append(new)
    return np.stack(forms)


def classes_shown(image: np.ndarray, n_classes: int) -> np.ndarray | None:
    """The class of each pixel of a probe's image, whatever was done to its values; None if it is blank."""
    grey = image.mean(axis=-1, dtype=np.float64)
    if np.ptp(grey) == 0:
        return None
    return np.rint((grey - grey.min()) / np.ptp(grey) * (max(2, n_classes) - 1)).astype(int)


def probe_number(image: np.ndarray, n_classes: int) -> int | None:
    """Which probe an image shows, flipped and turned or not; None if it is blank."""
    shown = classes_shown(image, n_classes)
    if shown is None:
        return None
    rows, columns = (((np.arange(4) + 0.5) * side / 4).astype(int) for side in shown.shape)
    board = shown[np.ix_(rows, columns)]
    errors = np.sum(probe_forms(n_classes) != board, axis=(2, 3)).min(axis=1)
    if errors.min() > 1:
        raise Unknown("the images are no probes any more: flip and turn them, but do not crop or zoom.")
    return int(np.argmin(errors))


def moved(shown: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """By how many rows and columns a mask would have to be moved to fit its image much better; (0, 0) if it fits.

    Looked for up to 1/16 of the sides, in steps of 1/32: resizing image and mask in two ways moves them less.
    """
    rows, columns = ([steps * max(1, side // 32) for steps in (0, -2, -1, 1, 2)] for side in shown.shape)
    shares = {place: np.mean(np.roll(mask, place, (0, 1)) == shown) for place in itertools.product(rows, columns)}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= shares[0, 0] + 0.02 else (0, 0)  # a move of 1/32 changes 6 in 100 pixels


# --- What is looked at -------------------------------------------------------------------------


@dataclass
class Subject:
    """A Sequence, what is said about it, and what it has handed out."""

    n_classes: int
    values: tuple[float, float] | None
    shuffle: bool | None
    probe: Path | None
    patience: float
    make: Callable[[], Any] | None = None
    sequence: Any = None
    length: int = 0
    batches: list[Any] = field(default_factory=list)  # of the first epoch
    later: list[list[Batch]] = field(default_factory=list)  # epochs
    beyond: list[Any] = field(default_factory=list)  # the samples of a batch after the last

    def read(self, sequence: Any) -> list[Batch]:
        """An epoch, each batch copied at once."""
        return [arrays(sequence[index]) for index in range(self.length)]

    def read_as_keras(self, sequence: Any) -> list[list[Batch]]:
        """Two epochs as `fit` calls them: before the first it looks at two batches and ends an epoch."""
        epochs = []
        for index in [*range(min(2, self.length))] * 2:
            sequence[index]
        sequence.on_epoch_end()
        sequence.on_epoch_end()
        for _ in range(2):
            sequence.on_epoch_begin()
            epochs.append(self.read(sequence))
            sequence.on_epoch_end()
        return epochs

    def numbers(self, batches: list[Batch]) -> list[Any]:
        """Each sample of some batches: a probe's number (None if blank), else the checksum of the image."""
        images = [image for batch in batches for image in batch[0]]
        if self.probe is None:
            return [hashlib.sha256(image.tobytes()).hexdigest()[:8] for image in images]
        return [probe_number(image, self.n_classes) for image in images]

    @functools.cached_property
    def faults(self) -> dict[str, str]:
        """What is wrong with the form of the batches: the first fault of each kind."""
        faults: dict[str, str] = {}
        for index in range(self.length):
            for name, words in faults_of_form(self, index):
                faults.setdefault(name, f"batch {index}{words}")
            if faults.keys() & {"tuple", "arrays"}:
                break
        return faults


def copied(batch: Any) -> Any:
    """The same in memory that nobody else writes to."""
    if isinstance(batch, tuple | list):
        return (tuple if isinstance(batch, tuple) else list)(copied(part) for part in batch)
    return batch.copy() if isinstance(batch, np.ndarray) else batch


def arrays(batch: Any) -> Batch:
    return tuple(np.asarray(part) for part in copied(batch))


def classes_of(masks: np.ndarray) -> np.ndarray:
    return masks.argmax(-1) if masks.shape[-1] > 1 else masks[..., 0].astype(int)


def difference(expected: list[Batch], found: list[Batch], indices: Sequence[int] | None = None) -> str:
    """The first difference between batches, in words; empty if there is none."""
    for index, one, two in zip(indices or range(len(expected)), expected, found, strict=True):
        shapes, then = ([part.shape for part in batch] for batch in (one, two))
        if shapes != then:
            return f"batch {index} holds {shapes}, then {then}"
        for name, first, second in zip(PARTS, one, two, strict=False):
            if wrong := np.count_nonzero(first != second):
                return f"batch {index}: {wrong} of {first.size} values of the {name} differ"
    return ""


def said(error: BaseException) -> str:
    try:
        words = " ".join(map(str, [error, *getattr(error, "__notes__", [])]))[:500]
    except BaseException as worse:
        words = f"(its message raises {type(worse).__name__})"
    return words if isinstance(error, Unknown | Hung) else f"{type(error).__name__}: {words}"


def at_once(calls: Sequence[Callable[[], Any]], seconds: float) -> list[Any]:
    """What each call returns, or the exception it raises, or Hung; all run at the same time."""
    answers: list[Any] = [Hung(f"no answer in {seconds:g} s: it waits or loops for ever.")] * len(calls)

    def ask(place: int, call: Callable[[], Any]) -> None:
        try:
            answers[place] = call()
        except BaseException as error:  # SystemExit too: in this thread only the Sequence raises it
            answers[place] = error

    threads = [threading.Thread(target=ask, args=both, daemon=True) for both in enumerate(calls)]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return list(answers)


# --- The promises: a check yields what is wrong, and the first is told -----------------------------

Check = Callable[[Subject], Iterator[str]]
PROMISES: dict[str, tuple[str, tuple[str, ...], Check]] = {}


def promise(name: str, sentence: str, *needs: str) -> Callable[[Check], Check]:
    """Enter a promise, to be judged where those that it needs are kept."""

    def enter(check: Check) -> Check:
        PROMISES[name] = sentence, needs, check
        return check

    return enter


@promise("made", "it is a Sequence of Keras.")
def _(it: Subject) -> Iterator[str]:
    if it.make is not None:
        it.sequence = it.make()
    if not isinstance(it.sequence, keras.utils.Sequence):
        yield f"this is a {type(it.sequence).__name__}: derive the class from keras.utils.Sequence."


@promise("super", "__init__ calls super().__init__(**kwargs).", "made")
def _(it: Subject) -> Iterator[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        workers = it.sequence.workers
    if any("super" in str(warning.message) for warning in caught):
        yield f"__init__ never calls it, so workers is {workers} for ever: make it the first line."
    if not isinstance(workers, int):
        yield f"workers is {workers!r}: write super().__init__(**kwargs), with two stars."


@promise("length", "len is a whole number above 0.", "made")
def _(it: Subject) -> Iterator[str]:
    kind = type(it.sequence)
    length = kind.__len__(it.sequence) if hasattr(kind, "__len__") else it.sequence.num_batches
    if not hasattr(length, "__index__") or length < 1:
        yield f"len is {length!r}, of type {type(length).__name__}: return math.ceil(samples / batch_size)."
    it.length = int(length)


@promise("batches", "every batch, from 0 to the last, can be got.", "length")
def _(it: Subject) -> Iterator[str]:
    for index in range(it.length):
        try:
            it.batches.append(copied(it.sequence[index]))
        except BaseException as error:
            yield f"batch {index} of {it.length} raises {said(error)}"


FORM = {
    "tuple": ("every batch is a tuple, (images, masks) or (images, masks, weights).", "batches"),
    "arrays": ("images and masks are arrays of numbers, and none is empty.", "tuple"),
    "axes": ("images are (B, H, W, channels) and masks (B, H, W, classes).", "arrays"),
    "number": ("a batch has as many masks as images.", "axes"),
    "size": ("masks are as high and wide as their images.", "axes"),
    "shapes": ("shapes are the same in all batches; only the last may hold fewer.", "number", "size"),
    "dtypes": ("images and masks have one dtype each, of 4 bytes or fewer.", "arrays"),
    "finite": ("no value is NaN or infinite.", "arrays"),
    "masks": ("masks hold 0 and 1, one-hot for several classes.", "axes", "finite"),
    "weights": ("weights, if any, are (B, H, W): one a pixel, and not negative.", "number", "size", "finite"),
}
for _name, (_sentence, *_needs) in FORM.items():
    promise(_name, _sentence, *_needs)(lambda it, name=_name: iter([it.faults[name]] if name in it.faults else []))  # type: ignore[misc]


def faults_of_form(it: Subject, index: int) -> Iterator[tuple[str, str]]:
    """What is wrong with one batch: the promise, and words to follow "batch 3"."""
    batch, first, k = it.batches[index], it.batches[0], it.n_classes
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        size = f" of {len(batch)}" if hasattr(batch, "__len__") else ""
        yield "tuple", f" is a {type(batch).__name__}{size}: return (images, masks)."
        return
    for name, part in zip(PARTS, batch, strict=False):
        if not hasattr(part, "shape") or not hasattr(part, "dtype"):
            yield "arrays", f": the {name} are a {type(part).__name__}: make one array of them, with np.stack."
            return
        if np.asarray(part).dtype.kind not in "fiub":
            yield "arrays", f": the {name} are of dtype {part.dtype}: resize all to one shape, then np.stack."
            return
        if 0 in part.shape:
            yield "arrays", f" of {it.length}: the {name} have shape {part.shape}: len counts too many batches."
            return
    it.batches[index] = batch = arrays(batch)
    for name, part, one in zip(PARTS, batch, first, strict=False):
        if part.dtype != one.dtype:
            yield "dtypes", f": the {name} are {part.dtype}, in batch 0 {one.dtype}: use .astype(np.float32)."
        if part.dtype.itemsize > 4:
            yield "dtypes", f": the {name} are {part.dtype}, twice the bytes of float32: use .astype(np.float32)."
        if wrong := np.count_nonzero(~np.isfinite(part)):
            yield "finite", f": {wrong} values of the {name} are NaN or infinite: look for a division by 0."
    images, masks, *weights = batch
    if images.ndim != 4:
        yield "axes", f": images of shape {images.shape}, {images.ndim} axes: expected (B, H, W, channels)."
        return
    if masks.ndim != 4 or masks.shape[-1] != k:
        cure = "read masks as grey, with one channel" if k == 1 else "make them one-hot"
        yield "axes", f": masks of shape {masks.shape}, {masks.ndim} axes, expected (B, H, W, {k}): {cure}."
        return
    if len(images) != len(masks):
        yield "number", f" has {len(images)} images and {len(masks)} masks: cut both from one list of pairs."
    if images.shape[1:3] != masks.shape[1:3]:
        yield "size", f": images of {images.shape[1:3]} pixels, masks of {masks.shape[1:3]}: resize both alike."
    shapes, expected = ([part.shape[1:] for part in each] for each in (batch, first))
    if shapes != expected:
        yield "shapes", f" holds samples of the shapes {shapes}, batch 0 {expected}: make all alike."
    if len(images) > len(first[0]) or (len(images) < len(first[0]) and index + 1 < it.length):
        yield (
            "shapes",
            f" of {it.length} has {len(images)} images, batch 0 {len(first[0])}: only the last may have fewer.",
        )
    if stray := np.count_nonzero((masks != 0) & (masks != 1)):
        found = ", ".join(f"{value:.4g}" for value in np.setdiff1d(masks, (0, 1))[:4])
        cure = "divide by 255" if masks.max() > 1 else "resize masks by the nearest pixel"
        yield "masks", f": {stray} of {masks.size} values of the masks are neither 0 nor 1 but {found}: {cure}."
    elif k > 1 and (wrong := np.count_nonzero(masks.sum(-1) != 1)):
        yield "masks", f": {wrong} pixels belong to no class or to several: make the masks one-hot."
    for part in weights:
        if part.shape not in (masks.shape[:3], (*masks.shape[:3], 1)):  # Keras does not spread (B,) over the pixels
            yield "weights", f": weights of shape {part.shape}, expected {masks.shape[:3]}: give each pixel its own."
        elif part.min() < 0:
            yield "weights", f": a weight is {part.min():.4g}: weights are 0 or more."


@promise("range", "images use the range of values that they should.", "finite")
def _(it: Subject) -> Iterator[str]:
    images = [batch[0] for batch in it.batches]
    least, most = float(min(map(np.min, images))), float(max(map(np.max, images)))
    whole = images[0].dtype.kind in "iu"
    low, high = it.values or ((0, 255) if whole else (0, 1))
    found = f"images hold {least:.4g} to {most:.4g} as {images[0].dtype}"
    if least < low or most > high:
        cure = "divide by 255" if (low, high) == (0, 1) else "scale them, or say values=(least, greatest)"
        yield f"{found}, expected {low} to {high}: {cure}."
    if it.values is None and (most <= 1 if whole else most < 1.01 / 255):
        yield f"{found}: all black, or divided by 255 {'and cut to whole numbers' if whole else 'twice'}."


@promise("object", "the masks hold more than one class.", "masks", "number")
def _(it: Subject) -> Iterator[str]:
    found = {int(value) for batch in it.batches for value in np.unique(classes_of(batch[1]))}
    if len(found) == 1:
        count = sum(len(batch[1]) for batch in it.batches)
        yield f"all {count} masks hold class {found.pop()} alone: look at the files, and at what scaling does to them."


@promise("colour", "images of three channels are red, green, blue.", "axes", "finite")
def _(it: Subject) -> Iterator[str]:
    if it.probe is None or it.values is not None:
        raise Unknown("this needs a probe folder, and values as they are in the files, or divided by 255.")
    images = it.batches[0][0]
    red, blue = (images[..., channel].mean(dtype=np.float64) for channel in (0, -1))
    if images.shape[-1] == 3 and blue > red:
        yield "red and blue have changed places: after cv2.imread, take cv2.cvtColor(image, cv2.COLOR_BGR2RGB)."


@promise("global random", "the random numbers that all share, of Python and NumPy, are left alone.", "arrays")
def _(it: Subject) -> Iterator[str]:
    sequence, make = it.sequence, it.make
    steps: dict[str, Callable[[], Any]] = {"__getitem__": lambda: it.read(sequence)}
    if make is not None:
        sequence = make()
        steps |= {"__init__": make, "on_epoch_end": sequence.on_epoch_end}
    for step, act in steps.items():
        random.random(), np.random.random()  # noqa: NPY002 — so that seeding shows too
        before = shared_random()
        with contextlib.suppress(Exception):  # other promises are about these
            act()
        for name, state in shared_random().items():
            if state != before[name]:
                yield f"{step} draws from {name}, or seeds it: use np.random.default_rng([seed, epoch, index])."


def shared_random() -> dict[str, bytes]:
    states = {"random": random.getstate(), "np.random": np.random.get_state()}  # noqa: NPY002 — it is looked at
    return {name: pickle.dumps(state) for name, state in states.items()}


@promise("repeat", "a batch is the same when it is asked for again, in whatever order.", "finite", "global random")
def _(it: Subject) -> Iterator[str]:
    for index in reversed(range(it.length)):
        if words := difference([it.batches[index]], [arrays(it.sequence[index])], [index]):
            yield f"asked for again, {words}: let (seed, epoch, index) alone say what it holds."


@promise("kept", "a batch that was handed out stays as it is.", "repeat")
def _(it: Subject) -> Iterator[str]:
    held = [it.sequence[index] for index in range(it.length)]
    if words := difference(it.batches, [arrays(batch) for batch in held]):
        yield f"after all were handed out, {words}: make new arrays for each batch."


@promise("threads", "threads may ask at the same time.", "kept")
def _(it: Subject) -> Iterator[str]:
    def ask(first: int) -> str:
        order = [*range(first, it.length), *range(first)]
        return difference([it.batches[i] for i in order], [arrays(it.sequence[i]) for i in order], order)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet where they seldom do
    try:
        asked = [functools.partial(ask, number * it.length // 8) for number in range(8)]
        answers = at_once(asked, 0.9 * it.patience)
    finally:
        sys.setswitchinterval(interval)
    for answer in filter(None, answers):
        if isinstance(answer, Hung):
            raise answer
        words = said(answer) if isinstance(answer, BaseException) else answer
        yield f"with 8 threads, {words}: let __getitem__ write to nothing that belongs to self."


@promise("pickle", "it can be sent to another process.", "repeat")
def _(it: Subject) -> Iterator[str]:
    try:
        twin = pickle.loads(pickle.dumps(it.sequence))
    except Exception as error:
        yield f"{said(error)}. use_multiprocessing needs it: keep no lambda, lock or open file in self."
    if words := difference(it.batches, it.read(twin)):
        yield f"after pickling, {words}: let __getstate__ keep all that a batch depends on."


@promise("once", "no sample comes twice in an epoch.", "repeat", "shapes")
def _(it: Subject) -> Iterator[str]:
    counts = Counter(it.numbers(it.batches))
    if blanks := counts.pop(None, 0):
        yield f"{blanks} images of an epoch are blank, and no probe is: do not fill up the last batch."
    sample, times = counts.most_common(1)[0]
    if times > 1:
        cure = "take other samples for each index, and do not fill up the last batch (or are two files equal?)"
        yield f"sample {sample} comes {times} times, and only {len(counts)} of {counts.total()} differ: {cure}."


@promise("end", "beyond the last batch there is none.", "once")
def _(it: Subject) -> Iterator[str]:
    try:
        batch = arrays(it.sequence[it.length])
    except Exception:
        return  # IndexError, at best
    if batch and batch[0].ndim == 4 and len(batch[0]):
        it.beyond = it.numbers([batch])
        if set(it.beyond) <= set(it.numbers(it.batches)):
            yield f"len is {it.length}, and batch {it.length} gives {len(it.beyond)} images again: raise IndexError."


@promise("all", "no sample is left out.", "end")
def _(it: Subject) -> Iterator[str]:
    seen = set(it.numbers(it.batches))
    if lost := len(set(it.beyond) - seen) if it.probe is None else PROBES - len(seen):
        cure = "round len up, with math.ceil, unless you mean to drop them"
        yield f"{lost} of {lost + len(seen)} samples never come, with a len of {it.length}: {cure}."
    elif it.probe is None:
        raise Unknown("how many samples there are is known with a probe folder only.")


@promise("epochs", "on_epoch_end loses nothing, though Keras calls it before the first epoch too.", "repeat", "axes")
def _(it: Subject) -> Iterator[str]:
    it.later = it.read_as_keras(it.sequence)
    first = len(set(it.numbers(it.batches)))
    for number, epoch in enumerate(it.later, 1):
        if (now := len(set(it.numbers(epoch)))) != first:
            yield f"epoch 0 has {first} samples, epoch {number} has {now}: change their order, not the list."


@promise("order", "the order changes from epoch to epoch, or not, as it should.", "epochs", "once")
def _(it: Subject) -> Iterator[str]:
    if it.shuffle is None:
        raise Unknown("say shuffle=True or shuffle=False.")
    first, second, third = orders = [it.numbers(epoch) for epoch in (it.batches, *it.later)]
    if it.probe is None and len(set(map(frozenset, orders))) > 1:
        raise Unknown("augmented samples are recognised with a probe folder only.")
    if len(first) < 5:
        raise Unknown(f"{len(first)} samples can keep their places by chance: take 5 or more.")
    if it.shuffle and second == third:
        yield f"after an epoch 0 of {len(first)} samples have moved: draw a new order in on_epoch_end."
    if not it.shuffle and orders != [first] * 3:
        moved = max(sum(map(operator.ne, first, order)) for order in (second, third))
        yield f"after an epoch {moved} of {len(first)} samples have moved: predictions and ids no longer agree."


@promise("together", "an image has its own mask, flipped and turned as it is.", "size", "object")
def _(it: Subject) -> Iterator[str]:
    if it.probe is None:
        raise Unknown("which mask belongs to an image is known with a probe folder only.")
    for number, epoch in enumerate((it.batches, *it.later)):
        for index, (images, masks, *_) in enumerate(epoch):
            for image, mask in zip(images, classes_of(masks), strict=True):
                where = f"epoch {number}, batch {index}: an image and its mask"
                if (shown := classes_shown(image, it.n_classes)) is None:
                    continue
                if (share := np.mean(shown == mask)) < 0.85:
                    yield f"{where} agree in {share:.0%} of the pixels: pair by name, and flip both or none."
                rows, columns = moved(shown, mask)
                if rows or columns:
                    yield f"{where} fit better with the mask moved by {rows} rows, {columns} columns: treat both alike."


@promise("seed", "two that are made alike give the same.", "epochs")
def _(it: Subject) -> Iterator[str]:
    if it.make is None:
        raise Unknown("hand in a function that makes the Sequence, then this can be told.")
    runs = [[it.read(each), *it.read_as_keras(each)] for each in (it.make(), it.make())]
    for epoch, both in enumerate(zip(*runs, strict=True)):
        if words := difference(*both):
            yield f"epoch {epoch}, {words}: let seed and epoch begin all random numbers, and sort what a folder lists."


@promise("errors", "a damaged file is named.", "once", "seed")
def _(it: Subject) -> Iterator[str]:
    if it.probe is None or it.make is None:
        raise Unknown("this needs a probe folder, and a function that makes the Sequence.")
    path = sorted((it.probe / "images").iterdir())[it.numbers(it.batches)[0]]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    words, cure = "no error at all", "let it stop with the file's name, not skip or guess"
    try:
        it.read(it.make())
    except BaseException as error:
        words, cure = said(error), "catch it where the file is read, and say the file's name"
    finally:
        path.write_bytes(whole)
    if path.stem not in words:
        yield f"{path.name} was cut in half, and what came was {words.rstrip('.')}: {cure}."


@promise("own", "writing into a batch changes no other.", "kept")
def _(it: Subject) -> Iterator[str]:
    before, batch = it.read(it.sequence), it.sequence[0]
    mine = [part for part in batch if isinstance(part, np.ndarray) and part.flags.writeable]
    old = copied(mine)
    for part in mine:
        part[...] = 7
    after = it.read(it.sequence)
    for part, values in zip(mine, old, strict=True):
        part[...] = values
    if words := difference(before, after):
        yield f"after 7 was written into batch 0, {words}: hand out copies of what is stored."
