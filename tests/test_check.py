"""The check of other people's Sequences: each fault is found by its check alone, and the right ones pass."""

import io
import itertools
import math
import os
import random
import re
import sys
import threading
import time

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segfeed import DataGenerator, flip_and_turn, read_image, read_mask
from segfeed.check import CHECKS, PROBES, check_sequence, probe_folder
from segfeed.check.probe import classes_shown, moved, probe_forms, probe_number

SIZE = 16


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    probe_folder(folder)
    return folder


@pytest.fixture(scope="module")
def probe3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe3")
    probe_folder(folder, n_classes=3)
    return folder


def broken(results):
    return {result.check: result.words for result in results if result.passed is False}


def unknown(results):
    return {result.check for result in results if result.passed is None}


# --- A right one, and what can be wrong with it -------------------------------------------------


class Right(keras.utils.Sequence):
    """What a Sequence has to do and no more; each wrong one differs from it in one point."""

    def __init__(self, folder, batch_size=4, **kwargs):
        super().__init__(**kwargs)
        self.begin(folder, batch_size)

    def begin(self, folder, batch_size):
        self.folder, self.batch_size, self.epoch = folder, batch_size, 0
        self.names = sorted(os.listdir(folder / "images"))
        self.order = self.new_order()

    def new_order(self):
        return np.random.default_rng([0, self.epoch]).permutation(len(self.names))

    def on_epoch_end(self):
        self.epoch += 1
        self.order = self.new_order()

    def __len__(self):
        return math.ceil(len(self.names) / self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} does not exist")
        return self.batch(index)

    def numbers(self, index):
        return self.order[index * self.batch_size : (index + 1) * self.batch_size]

    def batch(self, index):
        images, masks = zip(*map(self.sample, self.numbers(index)), strict=True)
        return np.stack(images), np.stack(masks)

    def sample(self, number):
        name = self.names[number]
        return self.flipped(number, self.pixels("images", name), self.pixels("masks", name)[..., :1])

    def flipped(self, number, image, mask):
        if np.random.default_rng([0, self.epoch, number + 1]).random() < 0.5:
            return image[:, ::-1], mask[:, ::-1]
        return image, mask

    def pixels(self, kind, name):
        try:
            with Image.open(self.folder / kind / name) as file:
                resized = file.convert("RGB").resize((SIZE, SIZE), Image.Resampling.NEAREST)
        except OSError as error:
            raise ValueError(f"{name}: {error}") from error
        return np.asarray(resized, np.float32) / np.float32(255)


class Weighted(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks, self.weights(masks)

    def weights(self, masks):
        return 1 + masks[..., 0]


WRONG = {}


def wrong(check, says, **options):
    """Enter a Sequence that breaks one check, and what is said of it."""

    def enter(kind):
        WRONG[kind.__name__] = kind, check, says, options
        return kind

    return enter


@wrong("made", "this is a list: derive the class")
class IsAList(Right):
    def __new__(cls, folder):
        return list(Right(folder))


@wrong("made", "ValueError: no data")
class CannotBeMade(Right):
    def begin(self, folder, batch_size):
        raise ValueError("no data")


@wrong("super", "never calls it, so workers is 1 for ever")
class WithoutSuper(Right):
    def __init__(self, folder):
        self.begin(folder, 4)


@wrong("super", "workers is 'workers': write super")
class OneStar(Right):
    def __init__(self, folder, **kwargs):
        keras.utils.Sequence.__init__(self, *{"workers": 2, **kwargs})
        self.begin(folder, 4)


@wrong("length", r"len is 3\.25, of type float: return math\.ceil")
class LengthIsAFloat(Right):
    def __len__(self):
        return len(self.names) / self.batch_size


@wrong("length", "len is 0, of type int")
class TooFewForABatch(Right):
    def __len__(self):
        return len(self.names) // 20


@wrong("batches", "batch 4 of 5 raises ValueError: not enough")
class LengthTooLarge(Right):
    def __len__(self):
        return len(self.names) // self.batch_size + 2


@wrong("arrays", r"batch 4 of 5: the images have shape \(0,\): len counts too many")
class LastBatchIsEmpty(Right):
    def __len__(self):
        return 5

    def batch(self, index):
        return super().batch(index) if index < 4 else (np.array([]), np.array([]))


@wrong("tuple", r"batch 0 is a list of 2: return \(images, masks\)")
class GivesLists(Right):
    def batch(self, index):
        return list(super().batch(index))


@wrong("tuple", "batch 2 is a NoneType: return")
class GivesNone(Right):
    def batch(self, index):
        return super().batch(index) if index != 2 else None


@wrong("tuple", "batch 0 is a dict of 2: return")
class GivesADict(Right):
    def batch(self, index):
        return dict(zip(("images", "segmentation_masks"), super().batch(index), strict=True))


@wrong("arrays", "batch 0: the images are a list: make one array of them")
class ListOfPictures(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return list(images), masks


@wrong("arrays", "batch 0: the images are of dtype object: resize all to one shape")
class ManySizes(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return np.array([*images, None], object)[:-1], masks


@wrong("axes", r"batch 0: masks of shape \(4, 16, 16, 1, 3\), 5 axes, expected \(B, H, W, 1\)")
class ColourMasks(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks[..., None].repeat(3, -1)


@wrong("axes", r"batch 0: masks of shape \(4, 16, 16\), 3 axes")
class MasksWithoutChannel(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks[..., 0]


@wrong("axes", r"batch 0: images of shape \(4, 768\), 2 axes")
class FlatImages(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images.reshape(len(images), -1), masks


@wrong("number", "batch 3 has 1 images and 0 masks|batch 1 has 4 images and 3 masks: cut both")
class MaskMissing(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks[: 3 if index == 1 else None]


@wrong("size", r"batch 0: images of \(16, 16\) pixels, masks of \(8, 8\)")
class SmallMasks(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks[:, ::2, ::2]


@wrong("shapes", r"batch 2 holds samples of the shapes \[\(16, 8, 3\), .*, batch 0 \[\(16, 16, 3\)")
class OneBatchNarrow(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return (images, masks) if index != 2 else (images[:, :, ::2], masks[:, :, ::2])


@wrong("shapes", "batch 1 of 4 has 3 images, batch 0 4: only the last")
class BatchInTheMiddleShort(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return (images[:3], masks[:3]) if index == 1 else (images, masks)


@wrong("dtypes", "batch 0: the images are float64, twice the bytes")
class Float64(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images.astype(np.float64), masks


@wrong("dtypes", "batch 2: the masks are uint8, in batch 0 float32")
class MixedDtypes(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks.astype(np.uint8) if index == 2 else masks


@wrong("finite", "batch 1: 1 values of the images are NaN")
class NotANumber(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        images[0, 0, 0, 0] = np.nan if index == 1 else images[0, 0, 0, 0]
        return images, masks


@wrong("range", "images hold 0 to 255 as float32, expected 0 to 1: divide by 255")
class NotScaled(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images * 255, masks


@wrong("range", r"images hold 0 to 0\.003922 as float32: all black, or divided by 255 twice")
class ScaledTwice(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images / 255, masks


@wrong("range", "images hold 0 to 1 as uint8: all black, or divided by 255 and cut")
class ScaledAndCut(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images.astype(np.uint8), masks


@wrong("range", r"images hold 0 to 1 as float32, expected -1 to 0\.5: scale them", values=(-1, 0.5))
class NotInTheRangeThatIsSaid(Right):
    pass


@wrong("masks", r"batch 0: \d+ of 1024 values of the masks are neither 0 nor 1 but 0\.\d+.*nearest pixel")
class MasksInterpolated(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, (masks + np.roll(masks, 1, axis=1)) / 2


@wrong("masks", r"batch 0: \d+ of 1024 values of the masks are neither 0 nor 1 but 255: divide by 255")
class MasksOf255(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks * 255


@wrong("object", "all 13 masks hold class 0 alone")
class MasksAllGround(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        return images, masks * 0


@wrong("weights", r"batch 0: weights of shape \(4, 16, 16, 3\), expected \(4, 16, 16\): give")
class WeightsOfColour(Weighted):
    def weights(self, masks):
        return masks.repeat(3, -1)


@wrong("weights", r"batch 0: weights of shape \(4,\), expected \(4, 16, 16\): give each pixel")
class WeightsOfSamples(Weighted):  # Keras raises, or takes them as one a column if there are as many columns
    def weights(self, masks):
        return np.ones(len(masks), np.float32)


@wrong("weights", "batch 0: a weight is -1: weights are 0 or more")
class WeightsNegative(Weighted):
    def weights(self, masks):
        return -np.ones_like(masks)


@wrong("colour", r"red and blue have changed places: after cv2\.imread")
class BlueGreenRed(Right):
    def sample(self, number):
        image, mask = super().sample(number)
        return image[..., ::-1], mask


@wrong("global random", r"__getitem__ draws from np\.random")
class FlipsByGlobalRandom(Right):
    def flipped(self, number, image, mask):
        return (image[::-1], mask[::-1]) if np.random.rand() < 0.5 else (image, mask)  # noqa: NPY002


@wrong("global random", "on_epoch_end draws from random")
class ShufflesByGlobalRandom(Right):
    def on_epoch_end(self):
        random.shuffle(self.names)


@wrong("global random", r"__init__ draws from np\.random, or seeds it")
class SeedsGlobalRandom(Right):
    def begin(self, folder, batch_size):
        np.random.seed(0)  # noqa: NPY002
        super().begin(folder, batch_size)


@wrong("repeat", r"asked for again, batch 3: \d+ of \d+ values of the images differ")
class ShufflesInGetitem(Right):
    def numbers(self, index):
        return self.rng.permutation(super().numbers(index))[: None if index < 3 else 1]

    def begin(self, folder, batch_size):
        self.rng = np.random.default_rng(0)
        super().begin(folder, batch_size)

    def flipped(self, number, image, mask):
        return (image[::-1], mask[::-1]) if self.rng.integers(1000) & 1 else (image, mask)


@wrong("repeat", r"asked for again, batch 3 holds \[\(1, .*, then \[\(4, ")
class CountsCalls(Right):
    calls = 0

    def batch(self, index):
        self.calls += 1
        return super().batch((self.calls - 1) % len(self))


@wrong("kept", r"after all were handed out, batch \d: \d+ of 3072 values of the images differ")
class OneBuffer(Right):
    def batch(self, index):
        images, masks = super().batch(index)
        self.buffer = getattr(self, "buffer", np.empty((4, SIZE, SIZE, 3), np.float32))
        self.buffer[: len(images)] = images
        return self.buffer[: len(images)], masks


@wrong("threads", r"with 8 threads, batch \d.* differ|with 8 threads, batch \d holds")
class RemembersTheIndex(Right):
    def batch(self, index):
        self.index = index
        time.sleep(0.002)
        return super().batch(self.index)


@wrong("threads", "with 8 threads, RuntimeError: busy")
class OneAtATime(Right):
    busy = False

    def batch(self, index):
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True
        time.sleep(0.002)
        self.busy = False
        return super().batch(index)


@wrong("threads", r"no answer in 2\.7 s", patience=3)
class LocksForEver(Right):
    busy = False

    def batch(self, index):
        while self.busy:
            time.sleep(0.01)
        self.busy = threading.current_thread() is not threading.main_thread() and len(self.threads()) > 2
        time.sleep(0.001)
        return super().batch(index)

    def threads(self):
        return [thread for thread in threading.enumerate() if thread.name.endswith("(ask)")]


@wrong("pickle", "TypeError: cannot pickle '_thread.lock' object.*lambda, lock or open file")
class HoldsALock(Right):
    def begin(self, folder, batch_size):
        self.lock = threading.Lock()
        super().begin(folder, batch_size)


@wrong("pickle", r"Can't pickle|Can't get local object|local object")
class HoldsALambda(Right):
    def begin(self, folder, batch_size):
        self.scale = lambda pixels: pixels
        super().begin(folder, batch_size)


@wrong("pickle", r"after pickling, batch 0: \d+ of 3072 values of the images differ")
class ForgetsItsOrder(Right):
    def __getstate__(self):
        return self.__dict__ | {"order": self.order[::-1]}


@wrong("once", r"sample \d+ comes 4 times, and only 4 of 13 differ")
class IgnoresTheIndex(Right):
    def numbers(self, index):
        return self.order[:4] if index < 3 else self.order[:1]


@wrong("once", r"sample \d+ comes 2 times, and only 13 of 16 differ")
class FillsUpWithTheFirst(Right):
    def numbers(self, index):
        return np.take(self.order, range(index * 4, index * 4 + 4), mode="wrap")


@wrong("once", "3 images of an epoch are blank")
class FillsUpWithZeros(Right):
    def batch(self, index):
        return tuple(np.pad(part, [(0, 4 - len(part)), *[(0, 0)] * 3]) for part in super().batch(index))


@wrong("once", r"sample \d+ comes 2 times, and only 12 of 13 differ")
class DrawsWithReplacement(Right):
    def new_order(self):
        order = super().new_order()
        order[0] = order[-1]
        return order


@wrong("end", "len is 4, and batch 4 gives 4 images again: raise IndexError")
class BeginsAgain(Right):
    def __getitem__(self, index):
        return self.batch(index % len(self))


@wrong("end", r"no answer in 3 s", patience=3)
class WaitsForMore(Right):
    def __getitem__(self, index):
        while len(self.numbers(index)) == 0:
            time.sleep(0.01)
        return self.batch(index)


@wrong("all", r"1 of 13 samples never come, with a len of 3: round len up, with math\.ceil")
class RoundsDown(Right):
    def __len__(self):
        return len(self.names) // self.batch_size


@wrong("all", "2 of 13 samples never come")
class ForgetsTwo(Right):
    def begin(self, folder, batch_size):
        super().begin(folder, batch_size)
        self.names = self.names[:-2]
        self.order = self.new_order()


@wrong("epochs", r"ValueError: no more epochs")
class LastsOneEpoch(Right):
    def on_epoch_end(self):
        raise ValueError("no more epochs")


@wrong("epochs", r"epoch 0 has 13 samples, epoch 1 has 12")
class LosesOneAnEpoch(Right):
    def on_epoch_end(self):
        super().on_epoch_end()
        self.order[0] = self.order[1]


@wrong("order", "after an epoch 0 of 13 samples have moved: draw a new order")
class NeverShuffles(Right):
    def new_order(self):
        return np.arange(len(self.names))


@wrong("order", "after an epoch 0 of 13 samples have moved: draw a new order")
class ShufflesTheSameAgain(Right):
    def new_order(self):
        return np.random.default_rng(int(self.epoch > 0)).permutation(len(self.names))


@wrong("order", r"after an epoch 1\d of 13 samples have moved: predictions", shuffle=False)
class ValidationShuffled(Right):
    pass


@wrong("together", r"epoch \d, batch \d: an image and its mask agree in \d+% of the pixels")
class FlipsTheImageAlone(Right):
    def flipped(self, number, image, mask):
        return super().flipped(number, image, mask)[0], mask


@wrong("together", r"epoch 0, batch 0: an image and its mask agree in \d+% of the pixels: pair by name")
class PairsByListing(Right):
    def sample(self, number):
        image = self.pixels("images", self.names[number])
        return image, self.pixels("masks", self.names[::-1][number])[..., :1]


@wrong("together", r"epoch 0, batch 0: an image and its mask fit better with the mask moved by 0 rows, -1 columns")
class MaskOneToTheRight(Right):
    def sample(self, number):
        image, mask = super().sample(number)
        return image, np.roll(mask, 1, axis=1)


@wrong("seed", r"epoch 0, batch \d: \d+ of \d+ values of the images differ")
class NoSeed(Right):
    def begin(self, folder, batch_size):
        self.seed = np.random.SeedSequence().entropy
        super().begin(folder, batch_size)

    def new_order(self):
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.names))


@wrong("seed", r"epoch 1, batch \d: \d+ of \d+ values of the images differ")
class NoSeedAfterTheFirst(Right):
    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.random.default_rng().permutation(len(self.names))


@wrong("errors", r"probe\d\d\.png was cut in half, and what came was OSError: image file is truncated: catch it")
class ErrorWithoutName(Right):
    def pixels(self, kind, name):
        data = io.BytesIO((self.folder / kind / name).read_bytes())
        return np.asarray(Image.open(data).convert("RGB").resize((SIZE, SIZE), 0), np.float32) / np.float32(255)


@wrong("errors", r"probe\d\d\.png was cut in half, and what came was no error at all: let it stop")
class SkipsDamagedFiles(Right):
    def pixels(self, kind, name):
        try:
            return super().pixels(kind, name)
        except ValueError:
            return np.zeros((SIZE, SIZE, 3), np.float32)


@wrong("own", r"after 7 was written into batch 0, batch 0: 3072 of 3072 values of the images differ")
class HandsOutItsStore(Right):
    def begin(self, folder, batch_size):
        self.store = {}
        super().begin(folder, batch_size)

    def batch(self, index):
        if (self.epoch, index) not in self.store:
            self.store[self.epoch, index] = super().batch(index)
        return self.store[self.epoch, index]


@pytest.mark.parametrize("name", WRONG)
def test_each_fault_breaks_its_promise_alone(probe, name):
    kind, check, says, options = WRONG[name]
    interval = sys.getswitchinterval()
    results = check_sequence(lambda: kind(probe), **{"probe": probe, "shuffle": True, **options})
    assert sys.getswitchinterval() == interval
    assert set(broken(results)) == {check}
    assert re.search(says, broken(results)[check]), broken(results)[check]
    assert list(CHECKS) == [result.check for result in results]


def test_every_promise_is_broken_by_somebody():
    assert {check for _, check, _, _ in WRONG.values()} == set(CHECKS)


# --- Those that are right ----------------------------------------------------------------------


class ByTheBook(keras.utils.Sequence):
    """Nothing but what Keras' page asks for: no __init__ of its own, and no error beyond the end."""

    images = np.random.default_rng(0).random((13, 8, 8, 3), np.float32)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        images = self.images[index * 4 : index * 4 + 4].copy()
        return images, (images[..., :1] > 0.5).astype(np.float32)


class WithAlpha(Right):
    def sample(self, number):
        image, mask = super().sample(number)
        return np.dstack([image, np.ones_like(mask)]), mask


RIGHT = {
    "minimal": (Right, {}),
    "with a channel of alpha": (WithAlpha, {}),
    "workers": (Right, {"workers": 3}),
    "weighted": (Weighted, {}),
    "one batch": (Right, {"batch_size": 20}),
    "one by one": (Right, {"batch_size": 1}),
}


@pytest.mark.parametrize(("kind", "options"), RIGHT.values(), ids=RIGHT)
def test_a_right_one_keeps_every_promise(probe, kind, options):
    results = check_sequence(lambda: kind(probe, **options), probe=probe, shuffle=True)
    assert {result.passed for result in results} == {True}, results


GENERATORS = {
    "float32": {},
    "uint8": {"dtype": "uint8"},
    "in order": {"shuffle": False},
    "augmented": {"augment": flip_and_turn},
    "augmented uint8 in order": {"augment": flip_and_turn, "dtype": "uint8", "shuffle": False},
    "grey": {"n_channels": 1},
    "3 classes": {"n_classes": 3},
    "3 classes augmented uint8": {"n_classes": 3, "augment": flip_and_turn, "dtype": "uint8"},
    "2 workers": {"workers": 2},
    "no cache": {"cache_memory": 0, "augment": flip_and_turn},
    "enlarged": {"img_size": 100},
    "not square": {"img_size": (32, 48)},
    "crops": {"img_size": 64, "crop": 64, "augment": flip_and_turn},  # as large as a probe
    "tiles": {"img_size": 64, "crop": 64, "shuffle": False, "dtype": "uint8"},
}


@pytest.mark.parametrize("options", GENERATORS.values(), ids=GENERATORS)
def test_the_generator_keeps_every_promise(probe, probe3, options):
    n_classes = options.get("n_classes", 1)
    folder = probe3 if n_classes == 3 else probe
    ids = [f"probe{number:02d}" for number in range(PROBES)]

    def make():
        return DataGenerator(ids, folder / "images", folder / "masks", 5, **{"img_size": 32, **options})

    results = check_sequence(make, n_classes=n_classes, probe=folder, shuffle=options.get("shuffle", True))
    assert {result.passed for result in results} == {True}, results


def test_what_cannot_be_told_is_not_called_kept(probe):
    results = check_sequence(ByTheBook)
    assert not broken(results)
    assert unknown(results) == {"colour", "all", "order", "together", "errors"}
    results = check_sequence(Right(probe))
    assert not broken(results)
    assert unknown(results) == {"colour", "all", "order", "together", "seed", "errors"}
    assert "hand in a function" in next(result.words for result in results if result.check == "seed")


def test_without_a_probe_a_tail_that_is_lost_is_seen_beyond_the_end():
    class Short(ByTheBook):
        def __len__(self):
            return 3

    results = check_sequence(Short())
    assert broken(results)["all"].startswith("1 of 13 samples never come, with a len of 3")


# --- Never an exception ------------------------------------------------------------------------


class Nasty(Exception):
    def __str__(self):
        raise ValueError("not even its message")


ERRORS = [ValueError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(), GeneratorExit(), MemoryError(), Nasty()]
METHODS = ["__init__", "__len__", "__getitem__", "on_epoch_end", "on_epoch_begin", "__getstate__", "workers"]
VALUES = [None, 7, "batch", (), (None, None), ({}, {}), (np.zeros(()), np.zeros(())), (np.array(["a"]),) * 2, -1, 2.5]
VALUES += [np.array([1, 2]), (np.zeros((2, 2)), 3), [np.ones((2, 4, 4, 1))] * 2, (np.ones((2, 4, 4, 1)),) * 3, object()]


def replaced(folder, method, error, value, after):
    calls = []

    def act(self, *args, **kwargs):
        calls.append(args)
        if len(calls) <= after:
            return getattr(Right, method)(self, *args, **kwargs)
        if error is not None:
            raise error
        return value

    return type("Replaced", (Right,), {method: property(act) if method == "workers" else act})(folder)


@given(
    st.sampled_from(METHODS),
    st.sampled_from([None, None, *ERRORS]),
    st.sampled_from(VALUES),
    st.sampled_from([0, 1, 5]),
)
def test_no_fault_raises_an_exception(probe, method, error, value, after):
    if method == "workers":
        after = 0
    results = check_sequence(lambda: replaced(probe, method, error, value, after), probe=probe, patience=5)
    assert [result.check for result in results] == list(CHECKS)
    assert all(isinstance(result.words, str) and str(result) for result in results)
    assert not any("no answer" in result.words for result in results)


@pytest.mark.parametrize("method", ["__len__", "__getitem__"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_named_whatever_its_kind(probe, method, error):
    results = check_sequence(lambda: replaced(probe, method, error, None, 0), patience=5)
    ((_, words),) = broken(results).items()
    assert type(error).__name__ in words or "StopIteration" in words


@pytest.mark.parametrize("make", [None, 3, "", [], object(), lambda: None, lambda x: x, type], ids=itertools.count())
def test_what_is_no_sequence_is_said_to_be_none(make):
    results = check_sequence(make)
    assert set(broken(results)) == {"made"}
    assert unknown(results) == set(CHECKS) - {"made"}


def test_the_damaged_probe_is_whole_again(probe):
    before = {path: path.read_bytes() for path in probe.rglob("*.png")}
    check_sequence(lambda: ErrorWithoutName(probe), probe=probe)
    assert {path: path.read_bytes() for path in probe.rglob("*.png")} == before


def test_the_global_random_state_is_as_before(probe):
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    assert "global random" in broken(check_sequence(lambda: FlipsByGlobalRandom(probe)))
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


def test_a_finding_reads_as_a_line(probe):
    lines = list(map(str, check_sequence(lambda: RoundsDown(probe), probe=probe)))
    assert lines[0] == "passed  made: it is a Sequence of Keras."
    assert "FAILED  all: 1 of 13 samples never come, with a len of 3: round len up" in "\n".join(lines)
    assert "?       order: say shuffle=True or shuffle=False." in lines


# --- The probe ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 3])
def test_a_probe_is_known_at_any_size_and_however_it_is_turned(probe, probe3, n_classes):
    folder = probe if n_classes == 1 else probe3
    for number in range(PROBES):
        image = Image.open(folder / "images" / f"probe{number:02d}.png")
        mask = read_mask(folder / "masks" / f"probe{number:02d}.png")[..., 0] // (255 if n_classes == 1 else 1)
        assert np.array_equal(classes_shown(np.asarray(image), n_classes), mask)
        for size in (8, 20, 33, 200):
            pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
            for turned in (pixels, pixels[::-1], np.rot90(pixels), np.rot90(pixels[:, ::-1])):
                assert probe_number(turned * 0.3 - 50, n_classes) == number
    assert probe_number(np.zeros((8, 8, 3)), n_classes) is None


WAYS = [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC], [cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT]


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (64, 96), (100, 100), (224, 160)], ids=str)
@pytest.mark.parametrize("ways", list(itertools.product(*WAYS)), ids=str)
@pytest.mark.parametrize("n_classes", [1, 3])
def test_resizing_moves_no_mask_and_a_move_is_measured(probe, probe3, n_classes, ways, size):
    folder = probe3 if n_classes == 3 else probe
    for path in sorted((folder / "images").iterdir()):
        mask = read_mask(folder / "masks" / path.name) // (255 if n_classes == 1 else 1)
        image, mask = (
            cv2.resize(a, size, interpolation=b) for a, b in zip((read_image(path), mask), ways, strict=True)
        )
        shown = classes_shown(image, n_classes)
        assert moved(shown, mask) == (0, 0)
        away = mask.shape[0] // 32, -2 * (mask.shape[1] // 32)
        assert moved(shown, np.roll(mask, away, (0, 1))) == (-away[0], -away[1])


@given(st.integers(1, 32))
def test_no_probe_looks_like_another(n_classes):
    forms = probe_forms(n_classes).reshape(-1, 4, 4)
    assert len(forms) == PROBES * 8
    assert all((one != two).sum() >= 4 for place, one in enumerate(forms) for two in forms[:place])
