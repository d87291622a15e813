"""Exercises of notebook 02: their stubs, hints, solutions and checks."""


# %% `__init__`: what there is
# %% Stub
class Start(keras.utils.PyDataset):
    def __init__(self, ids, imgs_dir, masks_dir, batch_size=10, img_size=128,
                 shuffle=True, seed=0, **kwargs):  # fmt: skip
        ...


# %% Hint 1
# Six lines. The first is `super().__init__(**kwargs)`. Each of the others begins with `self.` and gives the object
# something that the other methods will need.
# %% Hint 2
# `self.pairs = find_pairs(imgs_dir, masks_dir, ids)`. The size becomes a pair: `self.size = (img_size, img_size)`. The
# rest is remembered as it is, such as `self.seed = seed`.
# %% Solution
class Start(keras.utils.PyDataset):
    def __init__(self, ids, imgs_dir, masks_dir, batch_size=10, img_size=128,
                 shuffle=True, seed=0, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.pairs = find_pairs(imgs_dir, masks_dir, ids)
        self.batch_size = batch_size
        self.size = (img_size, img_size)
        self.shuffle = shuffle
        self.seed = seed


# %% Check
def judge(Start):
    made = Start(
        split["train"][:5],
        *folders,
        batch_size=2,
        img_size=64,
        shuffle=False,
        seed=3,
        workers=2,
    )
    if made.workers != 2:
        return f"The object was made with workers=2, and has workers={made.workers}. Call super().__init__(**kwargs) first."
    for name, value in {
        "batch_size": 2,
        "size": (64, 64),
        "shuffle": False,
        "seed": 3,
    }.items():
        if not hasattr(made, name):
            return f"self.{name} is missing."
        if getattr(made, name) not in (value, [64, 64]):
            return f"self.{name} should be {value} for this object, and is {getattr(made, name)!r}."
    if not hasattr(made, "pairs"):
        return "self.pairs is missing: find_pairs(imgs_dir, masks_dir, ids) makes it."
    stems = [getattr(pair, "stem", pair) for pair in made.pairs]
    if stems != split["train"][:5]:
        return f"self.pairs should hold the 5 pairs of ids, and holds {len(stems)}: did find_pairs get the ids?"
    try:
        Start([*split["train"][:2], "nobody"], *folders)
    except Exception as error:
        if "nobody" in str(error):
            return "Right. It found 5 pairs, and it refuses an id that has no files."
        return f"With default settings it stops with {type(error).__name__}: {error}."
    return "An id without files, 'nobody', was taken without a word. Let find_pairs look for the ids."


# %% `__len__`: how many batches
# %% Stub
class Counted(Start):
    def __len__(self): ...


# %% Hint 1
# The two numbers that you need are `len(self.pairs)` and `self.batch_size`. What remains after the full batches is one
# more batch.
# %% Hint 2
# `math.ceil(a / b)` divides and rounds up to a whole number.
# %% Solution
class Counted(Start):
    def __len__(self):
        return math.ceil(len(self.pairs) / self.batch_size)


# %% Check
def judge(Counted):
    cases = {(64, 10): 7, (60, 10): 6, (64, 16): 4, (3, 10): 1}
    for (samples, size), right in cases.items():
        made = Counted(split["train"][:samples], *folders, batch_size=size)
        try:
            yours = len(made)
        except TypeError as error:
            if made.__len__() is None:
                return "Nothing was returned: return gives the number back."
            return f"len() takes no such answer ({error}). It must be a whole number: math.ceil gives one."
        if yours != right:
            hint = {
                right - 1: "A smaller last batch is a batch too: round up.",
                samples: "Count batches, not pairs.",
            }
            hint |= {
                samples // size
                + 1: "There is nothing left over here, so no batch more."
            }
            return f"{samples} pairs in batches of {size} are {right} batches, yours are {yours}. {hint.get(yours, '')}"
    return "Right. 64 pairs in batches of 10 are 7 batches, and nobody is left out."


# %% `__getitem__`: one batch
# %% Stub
class Readable(Counted):
    def __getitem__(self, index):
        images, masks = [], []
        for number in ...:  # 1. the places of batch `index` in self.order
            image, mask = read_pair(self.pairs[number])
            images.append(resize_image(image, self.size))
            masks.append(...)  # 2. the mask, resized and encoded
        return ...  # 3. both stacked; images as float32 from 0 to 1


# %% Hint 1
# Batch 3 of size 10 begins at place 30 and ends before place 40. In general it begins at `index * self.batch_size`.
# A slice `order[begin:end]` that goes beyond the end is simply shorter.
# %% Hint 2
# 2: `encode_mask(resize_mask(mask, self.size))`. 3: `np.stack(images)` makes one array. Convert it with
# `.astype(np.float32)` before you divide by 255, and return `images, masks` with a comma between them.
# %% Solution
class Readable(Counted):
    def __getitem__(self, index):
        images, masks = [], []
        begin = index * self.batch_size
        for number in self.order[begin : begin + self.batch_size]:
            image, mask = read_pair(self.pairs[number])
            images.append(resize_image(image, self.size))
            masks.append(encode_mask(resize_mask(mask, self.size)))
        return np.stack(images).astype(np.float32) / 255, np.stack(masks)


# %% Check
def judge(Readable):
    from utils import DataGenerator

    made = Readable(split["train"][:7], *folders, batch_size=3, img_size=96)
    made.order = np.array([4, 2, 0, 6, 1, 3, 5])
    names = [split["train"][number] for number in made.order]
    right = DataGenerator(names, *folders, batch_size=3, img_size=96, shuffle=False)
    for index in range(3):
        batch = made[index]
        if not isinstance(batch, tuple):
            return f"A {type(batch).__name__} came back, and this course returns a tuple: return images, masks."
        if len(batch) != 2:
            return f"{len(batch)} things came back: return two, images and masks."
        for name, yours, wanted in zip(
            ("images", "masks"), batch, right[index], strict=True
        ):
            if not isinstance(yours, np.ndarray):
                return f"The {name} are a {type(yours).__name__}: np.stack makes one array of a list."
            if len(yours) != len(wanted):
                return (
                    f"Batch {index} holds {len(yours)} {name}, and should hold {len(wanted)}: "
                    "look at where the slice begins and ends."
                )
            if yours.shape != wanted.shape:
                return f"The {name} of batch {index} have the shape {yours.shape}, and should have {wanted.shape}."
            if yours.dtype != np.float32:
                cure = (
                    "convert first, then divide"
                    if name == "images"
                    else "encode_mask makes them"
                )
                return f"The {name} are {yours.dtype}, and should be float32: {cure}."
            if yours.max() > 1:
                return f"The {name} go up to {yours.max():g}, and should end at 1."
            if not np.allclose(yours, wanted, atol=1e-6):
                every = DataGenerator(
                    split["train"][:7],
                    *folders,
                    batch_size=7,
                    img_size=96,
                    shuffle=False,
                )[0][name == "masks"]
                gaps = [[np.abs(one - each).mean() for each in every] for one in yours]
                which = np.argmin(gaps, axis=1).tolist()
                places = made.order[index * 3 : index * 3 + 3].tolist()
                if which != places and np.min(gaps, axis=1).max() < 1e-3:
                    return (
                        f"Batch {index} should hold the samples {places}, "
                        f"yours are {which}: take the numbers from self.order."
                    )
                return f"The {name} differ from those of the course by up to {np.abs(yours - wanted).max():.2f}."
    return "Right. Three batches with 3, 3 and 1 samples, in the given order, float32 from 0 to 1."


# %% An index that does not exist
# %% Stub
class Guarded(Readable):
    def __getitem__(self, index):
        ...  # raise an IndexError if there is no batch `index`
        return super().__getitem__(index)


# %% Hint 1
# Batches are numbered from 0 to `len(self) - 1`. Everything else is wrong, numbers below 0 too.
# %% Hint 2
# `if not 0 <= index < len(self):` asks that, and `raise IndexError("...")` stops with your words.
# %% Solution
class Guarded(Readable):
    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}: use 0 to {len(self) - 1}")
        return super().__getitem__(index)


# %% Check
def judge(Guarded):
    made = Guarded(split["train"][:7], *folders, batch_size=3, img_size=32)
    made.order = np.arange(7)
    for index in (0, 2):
        try:
            made[index]
        except IndexError:
            return f"Batch {index} of 0, 1, 2 exists, and yours refuses it."
    for index in (3, 7, -1, -2):
        try:
            made[index]
        except IndexError as error:
            if not str(error):
                return "The error has no words. Say which index was asked for, and which there are."
        except Exception as error:
            return f"There is no batch {index}, and yours stops with {type(error).__name__}: {error}."
        else:
            return f"There are the batches 0, 1 and 2, and yours gives something for {index}."
    return (
        "Right. The batches 0, 1 and 2 come, and 3, 7, -1 and -2 raise an IndexError."
    )


# %% `on_epoch_end`: a new order
# %% Stub
class Shuffled(Guarded):
    epoch = -1  # so that the first call makes epoch 0

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.arange(len(self.pairs))
        ...  # if self.shuffle: shuffle self.order, by seed and epoch


# %% Hint 1
# `np.random.default_rng(key)` makes a random generator whose numbers depend on its key alone. A list of numbers can be
# the key.
# %% Hint 2
# `np.random.default_rng([self.seed, self.epoch]).shuffle(self.order)` shuffles the array in place. It returns
# nothing, so do not assign its result.
# %% Solution
class Shuffled(Guarded):
    epoch = -1  # so that the first call makes epoch 0

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.arange(len(self.pairs))
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(self.order)


# %% Check
def judge(Shuffled):
    def orders(seed, shuffle=True, epochs=3):
        made = Shuffled(split["train"], *folders, seed=seed, shuffle=shuffle)
        found = []
        for _ in range(epochs):
            made.on_epoch_end()
            found.append(
                None if made.order is None else [int(number) for number in made.order]
            )
        return found, made.epoch

    shared = str(np.random.get_state())
    (first, epoch), (still, _) = orders(5), orders(5, shuffle=False)
    if None in first:
        return "self.order is None: shuffle works in place and returns nothing, so do not assign its result."
    if epoch != 2:
        return f"After three calls self.epoch should be 2, and is {epoch}: add 1 in each call."
    if any(sorted(order) != [*range(64)] for order in first + still):
        return "self.order does not hold each of the 64 samples once."
    if still != 3 * [[*range(64)]]:
        return "With shuffle=False the order must stay 0, 1, 2, …: ask if self.shuffle."
    if first[0] == [*range(64)]:
        return "With shuffle=True the order is still 0, 1, 2, …"
    if str(np.random.get_state()) != shared:
        return "It draws from np.random, or seeds it: the state that the whole program shares. Make a generator of your own."
    if orders(5)[0] != first:
        return "The same seed gave another order in a second object. It must follow from seed and epoch alone."
    if first[0] == first[1]:
        return "Epoch 0 and epoch 1 have the same order: put the epoch into the key."
    if orders(6)[0][0] == first[0]:
        return "Two seeds give the same order in epoch 0: put the seed into the key."
    late = Shuffled(split["train"], *folders, seed=5)
    late.epoch = 1
    late.on_epoch_end()
    if late.order.tolist() != first[2]:
        return "An object that begins with epoch 2 has another order there: make the generator anew in each call."
    if orders(6)[0][0] == first[1] or orders(4)[0][1] == first[0]:
        return "Seed 5 in epoch 1 has the order of seed 6 in epoch 0: give the key as a list, and do not add the two."
    return "Right. Each epoch and each seed has an order of its own, and every run has the same ones."


# %% All in one class
# %% Stub
class CoinSequence(keras.utils.PyDataset):
    """Your four methods, one below the other."""


# %% Hint 1
# Copy the bodies of `__init__`, `__len__`, `__getitem__` with the IndexError, and `on_epoch_end`. Nothing calls
# `on_epoch_end` before the first epoch, so somebody must make the first order.
# %% Hint 2
# End `__init__` with `self.epoch = -1` and `self.on_epoch_end()`. The test for the IndexError stands at the top of
# `__getitem__`, and `super().__getitem__` is no longer needed.
# %% Names
import math

import keras
import numpy as np
from pathlib import Path

import cv2
import utils
from utils import encode_mask, find_pairs, read_pair, resize_image, resize_mask

ROOT = utils.ROOT


# %% Solution
class CoinSequence(keras.utils.PyDataset):
    def __init__(self, ids, imgs_dir, masks_dir, batch_size=10, img_size=128,
                 shuffle=True, seed=0, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.pairs = find_pairs(imgs_dir, masks_dir, ids)
        self.batch_size, self.size = batch_size, (img_size, img_size)
        self.shuffle, self.seed, self.epoch = shuffle, seed, -1
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.pairs) / self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}: use 0 to {len(self) - 1}")
        images, masks = [], []
        begin = index * self.batch_size
        for number in self.order[begin : begin + self.batch_size]:
            image, mask = read_pair(self.pairs[number])
            images.append(resize_image(image, self.size))
            masks.append(encode_mask(resize_mask(mask, self.size)))
        return np.stack(images).astype(np.float32) / 255, np.stack(masks)

    def on_epoch_end(self):
        self.epoch += 1
        self.order = np.arange(len(self.pairs))
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(self.order)


# %% Check
def judge(CoinSequence):
    from segfeed.check import check_sequence, probe_folder

    folder = ROOT / "build" / "probe"
    names = probe_folder(folder)
    probes = {
        "ids": names,
        "imgs_dir": folder / "images",
        "masks_dir": folder / "masks",
        "batch_size": 4,
    }
    made = CoinSequence(**probes)
    for name in ("order", "epoch", "seed", "pairs"):
        if not hasattr(made, name):
            cure = (
                " Let __init__ call self.on_epoch_end() at its end."
                if name == "order"
                else ""
            )
            return f"A new object has no self.{name}.{cure}"
    few = CoinSequence(
        **probes | {"ids": names[:5], "batch_size": 2, "img_size": 32}, shuffle=False
    )
    if len(few) != 3:
        cure = "round up" if len(few) == 2 else "did find_pairs get the ids?"
        return f"5 ids in batches of 2 are 3 batches, and yours are {len(few)}: {cure}"
    if few[0][0].shape != (2, 32, 32, 3):
        return f"With batch_size=2 and img_size=32 the images have the shape {few[0][0].shape}."
    if [*few.order] != [0, 1, 2, 3, 4]:
        return "With shuffle=False the order must stay 0, 1, 2, …: ask if self.shuffle."
    if [*CoinSequence(**probes, seed=1).order] == [
        *CoinSequence(**probes, seed=2).order
    ]:
        return "Two seeds give the same order: put the seed into the key."
    try:
        made[len(made)]
    except IndexError:
        pass
    except Exception as error:
        return f"There is no batch {len(made)}, and yours stops with {type(error).__name__}: raise an IndexError."
    results = check_sequence(lambda: CoinSequence(**probes), probe=folder, shuffle=True)
    kept = sum(result.passed is True for result in results)
    if kept < len(results):
        first = next(result for result in results if not result.passed)
        return f"{kept} of {len(results)} promises are kept. The first that is not, {first.check!r}: {first.words}"
    return f"Right. All {len(results)} promises are kept."


# %% A grey Sequence
# %% Stub
class GreySequence(CoinSequence):
    def __getitem__(self, index):
        return super().__getitem__(index)


# %% Hint 1
# Reading, resizing and stacking is done already: `super().__getitem__(index)` returns images and masks, and only the
# last axis of the images is to be averaged.
# %% Hint 2
# Take the two apart with `images, masks = super().__getitem__(index)`. Then `images.mean(axis=-1, keepdims=True)` has
# one channel; return it together with the masks.
# %% Solution
class GreySequence(CoinSequence):
    def __getitem__(self, index):
        images, masks = super().__getitem__(index)
        return images.mean(axis=-1, keepdims=True), masks


# %% Check
def judge(GreySequence):
    grey, colour = (
        GreySequence(split["train"], *folders)[0],
        CoinSequence(split["train"], *folders)[0],
    )
    if not isinstance(grey, tuple):
        return f"A {type(grey).__name__} came back, and this course returns a tuple: end the method with return images, masks."
    elif grey[0].shape == colour[0].shape:
        return "The images still have three channels."
    elif grey[0].shape != (10, 128, 128, 1):
        return f"The images have the shape {grey[0].shape}, expected (10, 128, 128, 1): axis=-1 and keepdims=True."
    elif not np.allclose(grey[0][..., 0], colour[0].mean(axis=-1)):
        return "One channel, but not the mean of the three. The images come first, then the masks."
    elif grey[0].dtype != np.float32:
        return f"The right mean, but as {grey[0].dtype}, expected float32."
    else:
        return (
            "Right."
            if np.array_equal(grey[1], colour[1])
            else "The masks changed: return them as they were."
        )
