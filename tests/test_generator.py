"""The data generator: what a batch is, in which order batches come, and what Keras makes of both."""

import copy
import functools
import inspect
import os
import pickle
import random
import re
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from segfeed import DataError, DataGenerator, balanced_weights, flip_and_turn, generator, read_mask
from segfeed import buffers as buffers_module
from segfeed.buffers import KEPT, Buffers
from segfeed.check.context import run_at_once


@pytest.fixture
def make(folders):
    """Make a generator over the 13 pairs of `folders`."""

    def make(batch_size=4, img_size=8, ids=None, masks=None, **options):
        return DataGenerator(ids or folders.ids, folders.imgs, masks or folders.masks, batch_size, img_size, **options)

    return make


def numbers(images):
    """Which pairs of `folders` a batch holds: image n is grey n all over."""
    return [int(number) for number in np.rint(images[:, 0, 0, 0] * 255)]


def epoch_of(data, epoch):
    data.set_epoch(epoch)
    return [numbers(images) for images, _ in data]


def same(batch, other):
    return all(np.array_equal(one, two) for one, two in zip(batch, other, strict=True))


# --- A batch ----------------------------------------------------------------------------------


def test_the_positional_arguments_come_in_the_order_of_2019():
    arguments = inspect.signature(DataGenerator).parameters.values()
    positional = [(a.name, a.default) for a in arguments if a.kind is a.POSITIONAL_OR_KEYWORD]
    assert positional == [
        ("ids", inspect.Parameter.empty),
        ("imgs_dir", inspect.Parameter.empty),
        ("masks_dir", inspect.Parameter.empty),
        ("batch_size", 10),
        ("img_size", 128),
        ("n_classes", 1),
        ("n_channels", 3),
        ("shuffle", True),
    ]
    assert issubclass(DataGenerator, keras.utils.Sequence)


@pytest.mark.parametrize(("img_size", "shape"), [(8, (8, 8)), ((8, 20), (8, 20))])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_a_batch_is_float32_in_the_promised_shapes(make, folders, img_size, shape, n_channels, n_classes):
    masks_dir = folders.masks if n_classes == 1 else folders.classes
    data = make(img_size=img_size, masks=masks_dir, n_channels=n_channels, n_classes=n_classes, shuffle=False)
    images, masks = data[3]
    assert (images.shape, images.dtype) == ((1, *shape, n_channels), np.float32)
    assert (masks.shape, masks.dtype) == ((1, *shape, n_classes), np.float32)
    assert np.array_equal(images, np.full_like(images, 12 / 255))
    assert set(np.unique(masks)) == {0, 1}


def test_images_span_0_to_1(tmp_path, write_pair):
    write_pair(tmp_path, "a", np.arange(0, 256, 51, np.uint8).repeat(96).reshape(12, 16, 3))
    ((images, _),) = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", img_size=(12, 16))
    assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize("n_classes", [1, 3])
def test_masks_follow_their_images(make, folders, n_classes):
    masks_dir = folders.masks if n_classes == 1 else folders.classes
    for images, masks in make(img_size=(12, 16), masks=masks_dir, n_classes=n_classes):
        for number, mask in zip(numbers(images), masks, strict=True):
            stored = read_mask(masks_dir / f"{number:02d}.png")
            assert np.array_equal(mask, stored > 0 if n_classes == 1 else stored == np.arange(3))


def test_channels_come_as_red_green_blue_and_grey_is_their_luma(tmp_path, write_pair):
    write_pair(tmp_path, "a", np.full((12, 16, 3), (255, 0, 51), np.uint8))
    for n_channels, expected in ((3, (1, 0, 0.2)), (1, (0.299 + 0.114 * 0.2,))):
        ((images, _),) = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 8, n_channels=n_channels)
        assert np.allclose(images[0, 0, 0], expected, atol=0.5 / 255)


def test_the_last_batch_is_kept_unless_it_is_dropped(make):
    assert [len(images) for images, _ in make(batch_size=5)] == [5, 5, 3]
    assert [len(images) for images, _ in make(batch_size=5, drop_last=True)] == [5, 5]
    assert [len(images) for images, _ in make(batch_size=13, drop_last=True)] == [13]


def test_a_batch_is_new_at_every_call(make):
    data = make()
    images, masks = data[0]
    before = images.copy(), masks.copy()
    images[:], masks[:] = 9, 9
    assert same(data[0], before)


def test_batches_are_counted_from_either_end(make):
    data = make()
    assert len(data) == len(list(data)) == 4
    for index in range(4):
        assert same(data[index], data[index - 4])


@pytest.mark.parametrize("index", [4, -5])
def test_a_batch_that_does_not_exist_is_refused(make, index):
    with pytest.raises(IndexError, match=f"batch {index} does not exist: there are 4, from 0 to 3"):
        make()[index]


def test_preprocess_takes_the_place_of_the_division(make):
    seen = []

    def preprocess(images):
        seen.append(images.copy())
        return images - 100

    images, _ = make(shuffle=False, preprocess=preprocess)[3]
    assert seen[0].dtype == np.float32
    assert np.array_equal(seen[0], np.full((1, 8, 8, 3), 12))
    assert np.array_equal(images, np.full((1, 8, 8, 3), -88))


# --- The order --------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 14), st.integers(0, 2**32), st.integers(0, 1000), st.booleans())
def test_every_sample_comes_once_in_an_epoch(folders, data, batch_size, seed, epoch, shuffle):
    ids = data.draw(st.lists(st.sampled_from(folders.ids), min_size=1, unique=True))
    made = DataGenerator(ids, folders.imgs, folders.masks, batch_size, 1, shuffle=shuffle, seed=seed)
    batches = epoch_of(made, epoch)
    flat = [number for batch in batches for number in batch]
    assert sorted(flat) == sorted(map(int, ids))
    assert shuffle or flat == list(map(int, ids))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}


@given(st.data(), st.integers(1, 14), st.integers(1, 6), st.integers(0, 2**32), st.integers(0, 1000), st.booleans())
def test_the_parts_of_all_workers_are_the_batches_of_one(folders, data, batch_size, world, seed, epoch, drop_last):
    """Disjoint, together everything, as many steps for each, and shares that differ by one at most."""
    batch_size = max(batch_size, world)
    ids = data.draw(st.lists(st.sampled_from(folders.ids), unique=True, min_size=1 + drop_last * batch_size))
    options = {"seed": seed, "drop_last": drop_last}
    paths = folders.imgs, folders.masks, batch_size, 4
    one = epoch_of(DataGenerator(ids, *paths, **options), epoch)
    parts = [epoch_of(DataGenerator(ids, *paths, **options, shard=(rank, world)), epoch) for rank in range(world)]
    for batch, *shares in zip(one, *parts, strict=True):
        assert [shares[place % world][place // world] for place in range(len(batch))] == batch
        assert sum(map(len, shares)) == len(batch)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("options", [{}, {"dtype": "uint8"}, {"class_weights": (1, 2), "n_channels": 1}])
def test_a_worker_without_a_sample_gets_empty_arrays_of_the_same_shape(make, options):
    data = make(batch_size=12, shard=(1, 2), **options)  # 13 pairs
    assert [[len(array) for array in batch] for batch in data] == [[6] * len(data[0]), [0] * len(data[0])]
    for full, empty in zip(data[0], data[1], strict=True):
        assert (empty.shape[1:], empty.dtype) == (full.shape[1:], full.dtype)


@pytest.mark.parametrize(("options", "ranks"), [({"augment": flip_and_turn, "class_weights": (1, 2)}, 2), ({}, 3)])
def test_a_part_holds_the_very_pixels_of_the_whole(make, options, ranks):
    whole = make(batch_size=5, seed=3, **options)
    parts = [make(batch_size=5, seed=3, **options, shard=(rank, ranks)) for rank in range(ranks)]
    for _ in range(2):
        for index in range(len(whole)):
            for rank, part in enumerate(parts):
                assert same(part[index], [array[rank::ranks] for array in whole[index]])
        for data in (whole, *parts):
            data.on_epoch_end()


def test_the_order_is_a_function_of_seed_and_epoch_alone(make):
    assert epoch_of(make(batch_size=13, seed=7), 3) == [[7, 5, 2, 4, 11, 8, 3, 12, 10, 0, 1, 9, 6]]
    orders = [epoch_of(make(batch_size=13, seed=seed), epoch)[0] for seed in range(3) for epoch in range(3)]
    assert len(set(map(tuple, orders))) == 9


def test_the_global_random_state_is_neither_used_nor_changed(make):
    np.random.seed(1)  # noqa: NPY002 — the global state is what is looked at
    random.seed(1)
    before = repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    first = [batch for batch in make(augment=flip_and_turn)]
    assert (repr(np.random.get_state()), random.getstate()) == before  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    assert all(map(same, first, make(augment=flip_and_turn)))


def draws_of(data, epoch=0):
    """The number that each sample draws in its augmentation."""
    drawn = {}

    def augment(image, mask, rng):
        assert (image.dtype, mask.dtype, image.shape, mask.shape) == (np.uint8, np.uint8, (8, 8, 3), (8, 8, 1))
        drawn[image[0, 0, 0]] = rng.random()
        return image, mask

    data.augment = augment
    epoch_of(data, epoch)
    return drawn


def test_a_sample_draws_the_same_whatever_its_batch(make):
    drawn = draws_of(make())
    assert len(set(drawn.values())) == 13
    assert draws_of(make(batch_size=5, shuffle=False)) == drawn
    for other in (draws_of(make(), epoch=1), draws_of(make(seed=1))):
        assert not set(other.values()) & set(drawn.values())


def test_no_sample_draws_the_numbers_that_gave_the_order(make):
    assert np.random.default_rng([0, 0]).random() not in draws_of(make()).values()


def test_what_augment_returns_is_the_batch(make):
    images, masks = make(augment=lambda image, mask, rng: (image + np.uint8(100), 1 - mask), shuffle=False)[3]
    assert numbers(images) == [112]
    assert masks.mean() > 0.5


@pytest.mark.parametrize("n_channels", [1, 3])
def test_augmented_pictures_are_the_same_pixels_elsewhere(tmp_path, write_pair, n_channels):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    write_pair(tmp_path, "a", noise, np.where(noise[..., 0] > 128, np.uint8(255), np.uint8(0)))
    plain, turned = (
        DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 8, n_channels=n_channels, augment=augment)
        for augment in (None, flip_and_turn)
    )

    def pixels(batch):
        return sorted(np.concatenate(batch, axis=-1).reshape(64, -1).tolist())

    seen = set()
    for epoch in range(40):
        turned.set_epoch(epoch)
        assert pixels(turned[0]) == pixels(plain[0])
        seen.add(turned[0][0].tobytes())
    assert len(seen) == 8


# --- Faster, and still the same ----------------------------------------------------------------

FASTER = {
    "2 workers": {"workers": 2},
    "no cache": {"cache_memory": 0},
    "a part in the cache": {"cache_memory": 5 * (8 * 8 * 4 + 16)},
}


@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("augment", [None, flip_and_turn])
def test_uint8_holds_the_same_pixels(make, folders, n_classes, n_channels, augment):
    options = {"masks": folders.masks if n_classes == 1 else folders.classes, "n_classes": n_classes}
    options |= {"n_channels": n_channels, "augment": augment}
    floats, bytes_ = make(**options), make(**options, dtype="uint8")
    for epoch in range(3):  # from the files, then from the cache
        floats.set_epoch(epoch)
        bytes_.set_epoch(epoch)
        for (images, masks), (images8, masks8) in zip(floats, bytes_, strict=True):
            assert (images8.dtype, masks8.dtype) == (np.uint8, np.uint8)
            np.testing.assert_array_equal(images, images8 / np.float32(255), strict=True)
            np.testing.assert_array_equal(masks, masks8.astype(np.float32), strict=True)


def test_rescaling_inside_a_model_gives_the_same_pixels(make):
    images, images8 = make()[0][0], make(dtype="uint8")[0][0]
    scaled = np.asarray(keras.layers.Rescaling(1 / 255)(images8))
    # Keras multiplies by 1/255, which is rounded, where the generator divides: one unit in the last place.
    np.testing.assert_array_max_ulp(scaled, images, maxulp=1)


@pytest.mark.parametrize("options", FASTER.values(), ids=FASTER)
def test_order_and_contents_do_not_depend_on_what_makes_it_fast(make, options):
    plain, fast = make(augment=flip_and_turn), make(augment=flip_and_turn, **options)
    for epoch in (0, 1, 2):
        plain.set_epoch(epoch)
        fast.set_epoch(epoch)
        assert all(map(same, plain, fast))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12))
def test_a_batch_is_the_same_in_whatever_order_batches_are_asked_for(folders, calls):
    def new():
        return DataGenerator(folders.ids, folders.imgs, folders.masks, 4, 8, augment=flip_and_turn)

    data = new()
    for index, epoch in calls:
        if data.epoch != epoch:
            data.set_epoch(epoch)
        fresh = new()
        fresh.set_epoch(epoch)
        assert same(data[index], fresh[index])


def test_threads_may_ask_at_the_same_time(make):
    data, expected = make(), list(make())
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            assert all(map(same, threads.map(data.__getitem__, range(4)), expected))


def test_a_batch_begins_where_tensorflow_needs_no_copy(make):
    for dtype in ("float32", "uint8"):
        for batch in make(dtype=dtype, img_size=(7, 9)):
            assert [part.ctypes.data % 64 for part in batch] == [0, 0]


def test_memory_is_used_again_once_nobody_holds_a_batch():
    empty = Buffers().empty
    first = empty((4, 8), "float32")
    first[:] = 1
    place, row = first.ctypes.data, first[2]
    del first  # but a row of it is held
    second = empty((4, 8), "float32")
    second[:] = 2
    assert second.ctypes.data != place and (row == 1).all()
    del row
    third = empty((4, 8), "float32")
    assert third.ctypes.data == place and (second == 2).all()


def test_batches_that_are_kept_are_not_written_over(make):
    data = make(dtype="uint8", batch_size=1)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        kept = [batch for batch in data]
        assert [numbers(images / 255)[0] for images, _ in kept] == [
            n for batch in epoch_of(make(), epoch) for n in batch
        ]


def test_a_batch_that_outlives_the_module_raises_nothing(monkeypatch):
    """When Python ends it sets the names of modules to None, and arrays that TensorFlow holds may go after that."""
    batch, raised = Buffers().empty((4,), "uint8"), []
    monkeypatch.setattr("sys.unraisablehook", raised.append)
    for name in [name for name in vars(buffers_module) if not name.startswith("__")]:
        monkeypatch.setattr(buffers_module, name, None)
    del batch
    assert not raised


def test_buffers_do_not_keep_what_a_program_once_held():
    buffers = Buffers()
    for size in (2**20, 2**24, 2**25):  # nothing is written, so the operating system gives no memory
        held = [buffers.empty((size,), "uint8") for _ in range(20)]
        assert buffers.kept <= KEPT
        del held
        assert 2**20 <= buffers.kept <= KEPT


def test_every_array_that_lies_in_a_batch_keeps_its_memory():
    """Whatever is made of a batch, a new batch lies elsewhere until nothing of it is left."""
    buffers = Buffers()
    ways = [lambda a: a[1:], lambda a: a.T, lambda a: a.view("uint8"), lambda a: a.reshape(-1), lambda a: memoryview(a)]
    for way in [
        *ways,
        lambda a: np.frombuffer(a, "uint8"),
        keras.ops.convert_to_tensor,
        lambda a: a.T.view(np.ndarray),
    ]:
        held = way(buffers.empty((64, 64), "float32"))
        first, others = np.asarray(held), [buffers.empty((64, 64), "float32") for _ in range(3)]
        assert not any(np.shares_memory(first, other) for other in others), way
        del held, first, others


def test_threads_take_and_give_back_memory_at_the_same_time():
    buffers = Buffers()

    def use(number):
        for _ in range(300):
            array = buffers.empty((50,), "int64")
            array[:] = number
            if (array != number).any():
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(8)))
    assert 0 < buffers.kept <= 8 * (50 * 8 + 64)


@pytest.mark.parametrize("options", [{"cache_memory": 0}, {}], ids=["from files", "from the cache"])
def test_memory_is_flat_over_50_epochs(make, options):
    data = make(img_size=256, augment=flip_and_turn, **options)
    memory = []
    for epoch in range(60):
        data.set_epoch(epoch)
        for batch in data:
            del batch
        memory.append(psutil.Process().memory_info().rss)
    # 1 MB a batch: of one batch in a hundred kept in each epoch, 2 % of the process would be passed after 50.
    assert memory[-1] <= 1.02 * memory[9]


def test_a_million_pairs_fit_into_150_mb(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()

    def peak(first, last):
        ids = [f"{number:07d}" for number in range(last)]
        for stem in ids[first:]:
            for name, suffix in (("images", ".jpg"), ("masks", ".png")):
                os.close(os.open(tmp_path / name / (stem + suffix), os.O_CREAT))
        tracemalloc.start()
        data = DataGenerator(ids, tmp_path / "images", tmp_path / "masks", cache_memory=0)
        assert data.pairs[7].image.name == "0000007.jpg"
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert (-peak(0, 1_000) + peak(1_000, 60_000)) / 59_000 <= 150  # bytes for each pair more


def test_of_very_many_names_the_missing_one_is_told_with_the_first_batch(make, folders, monkeypatch):
    monkeypatch.setattr(generator, "CHECKED_AT_ONCE", 12)
    data = make(ids=[*folders.ids, "99"])
    with pytest.raises(DataError, match="1 of 14 ids: 99"):
        data[0]


def test_the_error_of_a_batch_comes_when_it_is_asked_for(tmp_path, write_pair):
    for name in "abcd":
        write_pair(tmp_path, name)
    (tmp_path / "images" / "c.png").write_bytes(b"")
    data = DataGenerator([*"abcd"], tmp_path / "images", tmp_path / "masks", 1, 8, shuffle=False)
    for index in (0, 1, 3):
        assert data[index][0].max() == 0
    with pytest.raises(DataError, match=r"c\.png: the file is empty"):
        data[2]


def test_of_two_bad_files_the_first_is_named(tmp_path, write_pair):
    for name in "abcdef":
        write_pair(tmp_path, name)
    for name in "bf":
        (tmp_path / "images" / f"{name}.png").write_bytes(b"")
    for _ in range(10):
        data = DataGenerator([*"abcdef"], tmp_path / "images", tmp_path / "masks", 6, 8, shuffle=False)
        with pytest.raises(DataError, match=r"b\.png: the file is empty"):
            data[0]


FORKED = """
import os, sys; sys.path.insert(0, {root!r}); os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from segfeed import DataGenerator
data = DataGenerator({ids!r}, {imgs!r}, {masks!r}, 4, 8)
expected = [batch[0].sum() for batch in data]
data.set_epoch(0)
data[0]  # and now others are read ahead
child = os.fork()
if child == 0:
    os._exit(0 if [batch[0].sum() for batch in data] == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_reads_for_itself(folders):
    root = str(Path(generator.__file__).parents[1])
    code = FORKED.format(root=root, ids=folders.ids, imgs=str(folders.imgs), masks=str(folders.masks))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "0\n", done.stderr


# --- Keras ------------------------------------------------------------------------------------


class Recorder(keras.Model):
    """A model of TensorFlow that learns nothing and writes down what it is given, an epoch a list."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.compile(run_eagerly=True)

    def train_step(self, data):
        self.seen.append(numbers(data[0].numpy()))
        return {"loss": 0.0}

    test_step = train_step

    def fit(self, data, **options):
        """Train; return the epochs."""
        self.seen.clear()
        super().fit(data, shuffle=False, verbose=0, **options)
        return [self.seen[start : start + len(data)] for start in range(0, len(self.seen), len(data))]


def epochs(data, first, last):
    return [epoch_of(data, epoch) for epoch in range(first, last)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("workers", [1, 4])
def test_fit_sees_the_epochs_from_0_with_any_number_of_workers(make, workers):
    data = make(workers=workers)
    assert Recorder().fit(data, epochs=3) == epochs(make(), 0, 3)
    assert data.epoch == 3


@pytest.mark.tensorflow
def test_a_second_fit_goes_on_where_the_first_stopped(make):
    data = make()
    Recorder().fit(data, epochs=2)
    assert Recorder().fit(data, epochs=2) == epochs(make(), 2, 4)


@pytest.mark.tensorflow
def test_an_interrupted_training_is_resumed_by_its_epoch(make):
    data = make()
    data.set_epoch(5)
    assert Recorder().fit(data, epochs=2) == epochs(make(), 5, 7)


@pytest.mark.tensorflow
def test_an_epoch_that_is_broken_off_is_not_given_twice(make):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    data = make()
    assert Recorder().fit(data, epochs=9, callbacks=[Stop()]) == [epoch_of(make(), 0)[:2]]
    assert Recorder().fit(data, epochs=1) == epochs(make(), 1, 2)


@pytest.mark.tensorflow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_evaluation_is_an_epoch_and_keeps_the_order_without_shuffle(make, workers):
    data, ordered = make(workers=workers), make(workers=workers, shuffle=False)
    for times in (1, 2):
        model = Recorder()
        model.evaluate(ordered, verbose=0)
        assert model.seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12]]
        model.evaluate(data, verbose=0)
        assert data.epoch == times


@pytest.mark.tensorflow
def test_a_validation_does_not_disturb_the_training(make):
    assert Recorder().fit(make(), epochs=1, validation_data=make(shuffle=False)) == [
        epoch_of(make(), 0),
        epoch_of(make(shuffle=False), 0),
    ]


class TwoProcesses(keras.distribution.DataParallel):
    num_processes = num_model_replicas = 2


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize("shard", [(0, 1), (0, 2)])
def test_keras_does_not_divide_a_part_again(make, shard, automatic):
    data = make(shard=shard)
    with TwoProcesses(devices=["cpu:0"], auto_shard_dataset=automatic).scope():
        divided = PyDatasetAdapter(data).num_batches < len(data)  # from Keras 3.16 on
        if divided and shard[1] > 1:
            with pytest.raises(ValueError, match=r"shard=\(0, 2\) and keras\.distribution both divide"):
                data.on_epoch_begin()
        else:
            data.on_epoch_begin()


def test_an_epoch_ends_only_after_it_has_begun(make):
    data = make()
    data.on_epoch_end()
    assert data.epoch == 0
    data.on_epoch_begin()
    list(data)
    data.on_epoch_end()
    data.on_epoch_end()
    assert data.epoch == 1
    list(data)
    data.on_epoch_end()
    assert data.epoch == 2


def look(data):
    list(data)


def weigh(data):
    balanced_weights(data)


@pytest.mark.tensorflow
@pytest.mark.parametrize("batch_size", [2, 5, 7, 13])
@pytest.mark.parametrize("see", [look, weigh, lambda data: data[len(data) - 1], lambda data: data[0]])
def test_to_look_at_batches_is_no_epoch(make, batch_size, see):
    data = make(batch_size=batch_size)
    for epoch in (0, 1):
        see(data)
        assert Recorder().fit(data, epochs=1) == epochs(make(batch_size=batch_size), epoch, epoch + 1)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # the last steps of an order may be fewer
@pytest.mark.parametrize("batch_size", [2, 4, 7])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_with_fewer_steps_than_batches_each_sample_still_comes_once_in_an_order(make, batch_size, steps, shuffle):
    def seen():
        model, data = Recorder(), make(batch_size=batch_size)
        rounds = -(-len(data) // steps)  # calls of `on_epoch_end` in which all batches come
        random.seed(1)
        keras.Model.fit(model, data, epochs=3 * rounds, steps_per_epoch=steps, shuffle=shuffle, verbose=0)
        return [model.seen[first : first + len(data)] for first in range(0, 3 * len(data), len(data))]

    found, expected = seen(), epochs(make(batch_size=batch_size), 0, 3)
    assert list(map(sorted, found)) == list(map(sorted, expected)) if shuffle else found == expected
    assert found == seen()


@pytest.mark.tensorflow
def test_an_evaluation_in_part_is_an_order_that_was_left(make):
    data, model = make(batch_size=2), Recorder()
    for epoch in range(3):
        model.seen.clear()
        model.evaluate(data, steps=2, verbose=0)
        assert model.seen == epoch_of(make(batch_size=2), epoch)[:2]
    validated = Recorder()
    keras.Model.fit(
        validated, make(ids=["12"]), validation_data=make(batch_size=2), validation_steps=2, epochs=3, verbose=0
    )
    judged = [batch for batch in validated.seen if batch != [12]]
    assert judged == [batch for epoch in range(3) for batch in epoch_of(make(batch_size=2), epoch)[:2]]


@pytest.mark.tensorflow
def test_an_order_that_was_left_in_its_midst_does_not_come_again(make):
    data, model = make(batch_size=2), Recorder()
    for epoch in range(3):
        assert model.fit(data, epochs=1, steps_per_epoch=2)[0] == epoch_of(make(batch_size=2), epoch)[:2]


@pytest.mark.tensorflow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_middle_of_an_epoch_names_the_file(tmp_path, write_pair, workers):
    for number in range(12):
        write_pair(tmp_path, f"{number:02d}")
    (tmp_path / "masks" / "11.png").write_bytes(b"")
    data = DataGenerator(
        map("{:02d}".format, range(12)), tmp_path / "images", tmp_path / "masks", 4, 8, shuffle=False, workers=workers
    )
    with pytest.raises(Exception, match=r"DataError: .*11\.png: the file is empty"):  # TensorFlow wraps what it is
        Recorder().fit(data)


def test_what_keras_knows_reaches_keras(make):
    assert make(max_queue_size=7).max_queue_size == 7
    with pytest.raises(TypeError, match="wokers"):
        make(wokers=3)


def test_a_generator_can_be_sent_to_another_process(make):
    data = make(seed=3, augment=flip_and_turn)
    data.set_epoch(2)
    assert all(map(same, pickle.loads(pickle.dumps(data)), data))


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy])
def test_a_copy_counts_its_epochs_for_itself(make, make_copy):
    first = make(augment=flip_and_turn)
    other = make_copy(first)
    for data in (first, other):
        data.on_epoch_begin()
    list(first)
    for data in (first, other):
        data.on_epoch_end()
    assert (first.epoch, other.epoch) == (1, 0)


def returns_a_lambda():
    return lambda *arguments: arguments


@pytest.mark.parametrize("name", ["augment", "preprocess"])
@pytest.mark.parametrize("function", [lambda *a: a, returns_a_lambda(), functools.partial(returns_a_lambda())])
def test_what_cannot_be_sent_to_another_process_is_named(make, name, function):
    for send in (pickle.dumps, copy.deepcopy):
        with pytest.raises(pickle.PicklingError, match=f"{name} cannot be copied or sent to another process: .*`def`"):
            send(make(**{name: function}))


TENSOR = type(keras.ops.convert_to_tensor(0)).__name__

# --- What the user's functions return ---------------------------------------------------------

IMAGE, MASK = "uint8 (8, 8, 3)", "uint8 (8, 8, 1)"
AUGMENTS = {
    "nothing": (lambda i, m, r: None, "images/{0}.png: augment returned None; expected (image, mask)"),
    "an image": (lambda i, m, r: i, "images/{0}.png: augment returned uint8 (8, 8, 3); expected (image, mask)"),
    "three": (lambda i, m, r: (i, m, r), "augment returned a tuple; expected (image, mask)"),
    "no mask": (lambda i, m, r: (i, None), f"masks/{{0}}.png: augment returned None for the mask; expected {MASK}"),
    "fractions": (lambda i, m, r: (i / 255, m), f"augment returned float64 (8, 8, 3) for the image; expected {IMAGE}"),
    "float32": (lambda i, m, r: (i.astype("f"), m), "augment returned float32 (8, 8, 3) for the image"),
    "grey": (lambda i, m, r: (i[..., :1], m), "augment returned uint8 (8, 8, 1) for the image"),
    "no channel": (lambda i, m, r: (i, m[..., 0]), "masks/{0}.png: augment returned uint8 (8, 8) for the mask"),
    "a part": (lambda i, m, r: (i[:4], m[:4]), "augment returned uint8 (4, 8, 3) for the image"),
    "a blend": (lambda i, m, r: (i, m * 0.6), "augment returned float64 (8, 8, 1) for the mask"),
    "bool": (lambda i, m, r: (i, m > 0), "augment returned bool (8, 8, 1) for the mask"),
    "a tensor": (lambda i, m, r: (keras.ops.convert_to_tensor(i), m), f"augment returned a {TENSOR} for the image"),
    "turned": (lambda i, m, r: (m, i), "augment returned uint8 (8, 8, 1) for the image"),
}


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(("augment", "says"), AUGMENTS.values(), ids=AUGMENTS)
@pytest.mark.parametrize("number", [0, 7])
def test_an_augment_that_returns_something_else_is_named_whatever_the_sample(make, dtype, augment, says, number):
    data = make(dtype=dtype, shuffle=False)
    data.augment = lambda i, m, r: augment(i, m, r) if i[0, 0, 0] == number else (i, m)
    with pytest.raises(DataError, match=re.escape(says.format(f"{number:02d}"))):
        list(data)


PREPROCESSES = {
    "nothing": (lambda x: None, "preprocess returned None; expected float32 (4, 8, 8, 3)"),
    "float64": (lambda x: x / np.ones(3), "preprocess returned float64 (4, 8, 8, 3); expected float32"),
    "bytes": (lambda x: x.astype("uint8"), "preprocess returned uint8 (4, 8, 8, 3)"),
    "one image": (lambda x: x[0], "preprocess returned float32 (8, 8, 3)"),
    "channels first": (lambda x: x.transpose(0, 3, 1, 2), "preprocess returned float32 (4, 3, 8, 8)"),
    "a tensor": (keras.ops.convert_to_tensor, f"preprocess returned a {TENSOR}"),
    "no deviation": (lambda x: (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True), "768 of 768"),
    "infinite": (lambda x: np.where(x == 9, np.float32(np.inf), x), "preprocess made 192 of 768 values infinite or"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("preprocess", "says"), PREPROCESSES.values(), ids=PREPROCESSES)
def test_a_preprocess_that_returns_something_else_is_named(make, preprocess, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        list(make(preprocess=preprocess))


def test_preprocess_is_not_called_for_a_worker_without_a_sample(make):
    images, masks = make(shard=(3, 4), preprocess=lambda x: x / x.max())[3]
    assert images.shape == (0, 8, 8, 3) and images.dtype == np.float32 and len(masks) == 0


def test_a_preprocess_may_give_large_numbers(make):
    assert np.isfinite(make(preprocess=lambda x: x + np.float32(3e38))[0][0]).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "backbone", ["resnet34", "vgg16", "efficientnetb0", "mobilenetv2", "inceptionv3", "seresnet18"]
)
def test_the_preprocessing_of_a_backbone_is_taken(make, backbone):
    os.environ["SM_FRAMEWORK"] = "tf.keras"
    import segmentation_models as sm

    assert make(preprocess=sm.get_preprocessing(backbone))[0][0].dtype == np.float32


# --- Beside other programs and generators -----------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_an_augment_may_read_another_generator(make, depth):
    """Copied pieces, mixed pictures: to any depth, from the files or read ahead, as from one thread."""
    plain = make(batch_size=1, shuffle=False, dtype="uint8")
    mixed = plain
    for _ in range(depth):

        def mix(image, mask, rng, other=mixed):
            return image + other[int(rng.integers(len(other)))][0][0], mask

        mixed = make(batch_size=1, shuffle=False, dtype="uint8", augment=mix, cache_memory=0)
        mixed[0]  # and others are read ahead

    batches = run_at_once([lambda data=data: list(data) for data in (mixed, mixed, plain, mixed)], 60)
    alone = pickle.loads(pickle.dumps([image for image, _ in batches[0]]))
    for found in (batches[1], batches[3]):
        assert np.array_equal(alone, [image for image, _ in found])
    assert [numbers(image / 255)[0] for image, _ in batches[2]] == list(range(13))


def test_the_threads_of_opencv_are_left_to_the_program(make):
    before = cv2.getNumThreads()
    try:
        for count in (1, 2, 3):
            cv2.setNumThreads(count)
            generator._threads.cache_clear()  # so that new threads begin
            list(make(cache_memory=0))
            assert cv2.getNumThreads() == count
    finally:
        cv2.setNumThreads(before)


def test_numbers_of_numpy_are_numbers(make, folders):
    plain = make(5, (8, 16), masks=folders.classes, n_classes=3, seed=7, ignore=9, shard=(1, 2), n_channels=1)
    numpy = make(
        np.int64(5),
        np.array([8, 16]),
        masks=folders.classes,
        n_classes=np.uint8(3),
        seed=np.int32(7),
        ignore=np.uint8(9),
        shard=np.array([1, 2]),
        n_channels=np.int8(1),
        cache_memory=np.int64(2**20),
        class_weights=np.ones(3),
    )
    numpy.set_epoch(np.int64(0))
    assert all(map(same, plain, numpy))
    assert make(img_size=np.uint16(8)).size == (8, 8)


# --- Refusals ---------------------------------------------------------------------------------

BAD_ARGUMENTS = {
    "no batch": ({"batch_size": 0}, "batch_size is 0: a batch holds at least 1"),
    "no pixels": ({"img_size": 0}, "img_size is (0, 0): give one side or (height, width)"),
    "no width": ({"img_size": (8, 0)}, "img_size is (8, 0)"),
    "three sides": ({"img_size": (8, 8, 3)}, "img_size is (8, 8, 3)"),
    "two channels": ({"n_channels": 2}, "n_channels is 2: 3 gives RGB, 1 gives grey"),
    "no class": ({"n_classes": 0}, "n_classes is 0: 1 for object or ground"),
    "too many classes": ({"n_classes": 257}, "n_classes is 257: 1 for object or ground, else 2 to 256"),
    "no such dtype": ({"dtype": "float16"}, "dtype is 'float16': 'float32' gives images in [0, 1], 'uint8' in 0–255"),
    "preprocess and uint8": ({"dtype": "uint8", "preprocess": abs}, "preprocess makes float32 of the images"),
    "processes": ({"use_multiprocessing": True}, "use_multiprocessing is True: Keras would copy this process"),
    "half a batch": ({"batch_size": 2.5}, "batch_size is 2.5: give a whole number"),
    "half a pixel": ({"img_size": 8.5}, "img_size is 8.5: give a whole number"),
    "a word": ({"img_size": "8"}, "img_size is '8': give a whole number"),
    "no classes": ({"n_classes": None}, "n_classes is None: give a whole number"),
    "negative seed": ({"seed": -1}, "seed is -1: give a whole number from 0 on"),
    "no seed": ({"seed": None}, "seed is None: give a whole number"),
    "no such weight": ({"class_weights": [1, float("nan")]}, "class_weights is [1, nan]: give each of 2 classes"),
    "weights by name": (
        {"class_weights": {0: 1.0, 1: 5.0}},
        "class_weights is {0: 1.0, 1: 5.0}: give each of 2 classes",
    ),
    "one weight": ({"class_weights": 5}, "class_weights is 5: give each of 2 classes a number"),
    "weights in words": ({"class_weights": ["1", "2"]}, "class_weights is ['1', '2']: give each of 2 classes"),
    "weights in a set": ({"class_weights": {1.0, 2.0}}, "class_weights is {1.0, 2.0}: give each of 2 classes"),
    "no weight": ({"class_weights": [1, None]}, "class_weights is [1, None]: give each of 2 classes a number"),
    "rows of weights": ({"class_weights": [[1], [2]]}, "class_weights is [[1], [2]]: give each of 2 classes"),
    "more than float32 holds": ({"class_weights": [1, 1e39]}, "class_weights is [1, 1e+39]: give each of 2 classes"),
    "a number of workers": ({"shard": 2}, "shard is 2: (rank, world)"),
    "no shard": ({"shard": None}, "shard is None: (rank, world)"),
    "half a worker": ({"shard": (0, 1.5)}, "shard is 1.5: give a whole number"),
    "augment as a layer": ({"augment": keras.layers.RandomFlip()}, "give KerasAugment(layer)"),
    "augment by name": ({"augment": "flip"}, "augment is 'flip': give a function"),
    "preprocess by name": ({"preprocess": "resnet34"}, "preprocess is 'resnet34': give a function"),
    "colours without classes": ({"colours": [(0, 0, 0)]}, "colours is [(0, 0, 0)]: give a table of (red, green, blue)"),
    "a colour's name": ({"colours": {"red": 1}}, "colours holds 'red': a colour is (red, green, blue)"),
    "a colour of floats": ({"colours": {(0.0, 0.0, 0.0): 1}}, "(0.0, 0.0, 0.0): a colour is (red, green, blue), whole"),
    "a grey": ({"colours": {7: 1}}, "colours holds 7: a colour is (red, green, blue)"),
    "half a colour": ({"colours": {(0, 0, 0.5): 1}}, "colours holds (0, 0, 0.5): a colour is (red, green, blue)"),
    "half a class": ({"colours": {(0, 0, 0): 0.5}}, "colours gives [((0, 0, 0), 0.5)]: class indices are 0 to 1"),
    "no class of a colour": ({"colours": {(0, 0, 0): None}}, "colours gives [((0, 0, 0), None)]: class indices"),
    "a third of a shard": ({"shard": (0, 1, 2)}, "shard is (0, 1, 2): (rank, world)"),
    "memory": ({"cache_memory": -1}, "cache_memory is -1: give a whole number from 0 on"),
    "no such colour": ({"colours": {(0, 0, 256): 0}}, "colours holds (0, 0, 256): a colour is (red, green, blue)"),
    "no such worker": ({"shard": (2, 2)}, "shard is (2, 2): (rank, world), with a rank of 0 to world - 1."),
    "a worker too many": ({"shard": (0, 5)}, "batch_size is 4: 5 replicas share a batch of at least 5."),
    "no full batch": ({"batch_size": 14, "drop_last": True}, "13 samples give no batch of 14 with drop_last=True"),
}


@pytest.mark.parametrize(("options", "says"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_an_argument_outside_its_range_is_refused_with_its_value(make, options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        make(**options)


def test_a_file_that_is_missing_is_named_at_once(make):
    with pytest.raises(DataError, match=r"no image in .* 1 of 2 ids: 99"):
        make(ids=["00", "99"])


def test_a_stray_value_is_found_even_where_resizing_would_drop_it(tmp_path, write_pair):
    mask = np.zeros((12, 16), np.uint8)
    mask[0, 0] = 7
    write_pair(tmp_path, "a", mask=mask)
    with pytest.raises(DataError, match=r"a\.png: the mask holds 7 \(1 pixel\)"):
        DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 4)[0]


def test_a_mask_outside_the_contract_is_named_when_it_is_read(make, folders):
    data = make(masks=folders.classes, n_classes=2, shuffle=False)
    with pytest.raises(DataError, match=r"classes.01\.png: the mask holds 2 \(\d+ pixels?\).*n_classes=2"):
        data[0]
