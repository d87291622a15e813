"""What `fit`, `evaluate` and `predict` do with a Sequence: notebook 04 teaches it, so a change must be seen."""

import random
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from packaging.version import Version

seen = []  # the batches that a step really got


class Diary(keras.utils.Sequence):
    """Batch i is made of the number first + i; every call is written down."""

    def __init__(self, batches, first=0, **kwargs):
        super().__init__(**kwargs)
        self.batches, self.first, self.calls = batches, first, []

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        self.calls.append(index)
        images = np.full((2, 8, 8, 1), self.first + index, np.float32)
        return images, images

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Patient(keras.callbacks.Callback):
    """Wait after step `after` of each epoch until the workers have nothing more to do; count their lead."""

    def __init__(self, diary, after):
        super().__init__()
        self.diary, self.after = diary, after

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.after:
            made = -1
            while made != len(self.diary.calls):
                made = len(self.diary.calls)
                time.sleep(0.05)
            self.ahead = sum(isinstance(call, int) for call in self.diary.calls) - 2 - len(seen)


def watched_loss(truth, guess):
    seen.append(int(truth[0, 0, 0, 0]))
    return keras.ops.mean(guess - truth)


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1)])
    model.compile(loss=watched_loss, run_eagerly=True)
    return model


@pytest.fixture
def watch(model):
    def fit(diary, **settings):
        seen.clear()
        model.fit(diary, **{"shuffle": False, "verbose": 0, **settings})
        return diary.calls

    return fit


def calls(text):
    return [int(word) if word.isdigit() else word for word in text.split()]


def test_fit_looks_at_two_batches_and_ends_an_epoch_before_the_first(watch):
    epoch = " begin 0 1 2 3 end"
    assert watch(Diary(4), epochs=2) == calls("0 1 end" + 2 * epoch)
    assert seen == 2 * [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("epochs", [1, 3])
def test_e_epochs_are_e_plus_1_ends_and_2_e_in_validation(watch, workers, epochs):
    validation = Diary(3, workers=workers)
    made = watch(Diary(3, workers=workers), epochs=epochs, validation_data=validation)
    assert made.count("end") == epochs + 1
    assert made.count("begin") == validation.calls.count("begin") == epochs
    assert validation.calls.count("end") == 2 * epochs


def test_the_calls_of_evaluate_and_predict(model):
    tested, predicted = Diary(3), Diary(3)
    model.evaluate(tested, verbose=0)
    model.predict(predicted, verbose=0)
    assert tested.calls == calls("0 1 end begin 0 1 2 end")
    assert predicted.calls == calls("0 1 begin 0 1 2 end")


def shuffled(*generators):
    """The numbers of 8 batches, shuffled once by each of these random generators."""
    orders = [list(range(8)) for _ in generators]
    for generator, order in zip(generators, orders, strict=True):
        generator.shuffle(order)
    return [number for order in orders for number in order]


@pytest.mark.parametrize("workers", [1, 4])
def test_fit_shuffles_the_batches_by_a_rule_of_its_own_unless_told_not_to(watch, workers):
    shared = random.Random(1)
    by_the_global_random, by_the_epoch = shuffled(shared, shared), shuffled(random.Random(1), random.Random(2))
    random.seed(1)
    watch(Diary(8, workers=workers), shuffle=True, epochs=2)
    assert seen in (by_the_global_random, by_the_epoch)  # up to Keras 3.15, and after it
    watch(Diary(8, workers=workers))
    assert seen == list(range(8))


def test_validation_is_not_shuffled(watch):
    watch(Diary(2), validation_data=Diary(6, first=100), shuffle=True)
    assert seen[2:] == list(range(100, 106))


def test_workers_are_no_argument_of_fit(model):
    with pytest.raises(TypeError, match="unexpected keyword argument 'workers'"):
        model.fit(Diary(2), workers=4)


def test_workers_make_several_batches_at_once_and_deliver_them_in_order(watch):
    import threading

    together = threading.Barrier(4)

    class Together(Diary):
        def __getitem__(self, index):
            if threading.current_thread() is not threading.main_thread():
                together.wait(timeout=10)  # passes only when four batches are in the making
                time.sleep(0.01 * (3 - index % 4))
            return super().__getitem__(index)

    watch(Together(8, workers=4))
    assert seen == list(range(8))


@pytest.mark.parametrize(("workers", "size"), [(4, 2), (2, 10), (4, 10)])
def test_workers_run_ahead_by_the_queue_and_one(watch, workers, size):
    diary = Diary(20, workers=workers, max_queue_size=size)
    patient = Patient(diary, after=0)
    watch(diary, callbacks=[patient])
    assert patient.ahead == size + 1


@pytest.mark.parametrize(
    ("batches", "workers", "size", "different"), [(40, 1, 10, 40), (40, 4, 10, 21), (40, 4, 4, 15), (20, 4, 10, 20)]
)
def test_fewer_steps_than_batches_with_workers_never_reach_most(watch, batches, workers, size, different):
    diary = Diary(batches, workers=workers, max_queue_size=size)
    watch(diary, steps_per_epoch=10, epochs=4, callbacks=[Patient(diary, after=9)] if workers > 1 else None)
    assert set(seen) == set(range(different))


@pytest.mark.parametrize("workers", [1, 4])
def test_a_window_that_moves_at_the_end_of_an_epoch_that_has_begun_reaches_all(watch, workers):
    class Window(Diary):
        begun = False

        def on_epoch_begin(self):
            self.begun = True

        def on_epoch_end(self):
            if self.begun:
                self.first = (self.first + self.batches) % 40
            self.begun = False

    watch(Window(10, workers=workers), epochs=5)
    assert seen == [*range(40), *range(10)]
    watch(Diary(1, first=99), validation_data=Window(10, workers=workers), epochs=5)
    assert [number for number in seen if number != 99] == [*range(40), *range(10)]


class Gap(Diary):
    def __getitem__(self, index):
        return None if index == 2 else super().__getitem__(index)


def test_none_raises_with_one_worker(watch):
    with pytest.raises(Exception, match=r"must return a tuple or a dict.*Received: None"):
        watch(Gap(4))
    assert seen == [0, 1]


def test_none_is_dropped_in_silence_with_workers():
    """`fit` would wait for ever for the batch that is lacking, so only three are asked for."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(Gap(4, workers=2))
    adapter.on_epoch_begin()
    batches = adapter.get_numpy_iterator()
    assert [int(next(batches)[0][0, 0, 0, 0]) for _ in range(3)] == [0, 1, 3]
    adapter.on_epoch_end()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(watch, workers):
    class Damaged(Diary):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("0003.png is damaged")
            return super().__getitem__(index)

    with pytest.raises(Exception, match=r"0003\.png is damaged"):
        watch(Damaged(4, workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_shapes_equal_in_the_first_two_batches_are_frozen(watch, workers):
    class Heights(Diary):
        def __init__(self, *heights):
            super().__init__(len(heights), workers=workers)
            self.heights = heights

        def __getitem__(self, index):
            images = np.full((2, self.heights[index], 8, 1), index, np.float32)
            return images, images

    with pytest.raises(Exception, match=r"shape \(2, 16, 8, 1\) where .* shape \(None, 8, 8, 1\) was expected"):
        watch(Heights(8, 8, 16))
    watch(Heights(8, 16, 24))
    assert seen == [0, 1, 2]


class Coins(keras.utils.Sequence):
    """A quarter of the pixels is coin; `weight` gives those pixels a weight."""

    def __init__(self, weight=None):
        super().__init__()
        self.weight = weight

    def __len__(self):
        return 2

    def __getitem__(self, index):
        images, masks = np.zeros((2, 2, 8, 8, 1), np.float32)
        masks[:, :2] = 1
        if self.weight is None:
            return images, masks
        return images, masks, np.where(masks[..., 0] == 1, np.float32(self.weight), np.float32(1))


def test_class_weight_refuses_masks_and_sample_weight_takes_them():
    bias = keras.initializers.Constant(-2)
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer="zeros", bias_initializer=bias)
    doubter = keras.Sequential([keras.Input((8, 8, 1)), layer])
    doubter.compile(loss="binary_crossentropy", optimizer="sgd")
    # Keras makes an int of a whole row of a mask; which arrays may become one depends on NumPy.
    refused = "0-dimensional" if Version(np.__version__) >= Version("2.4") else "length-1"
    with pytest.raises(TypeError, match=refused):
        doubter.fit(Coins(), class_weight={0: 1, 1: 3}, verbose=0)
    coin, ground = np.log1p(np.exp(2)), np.log1p(np.exp(-2))
    assert doubter.evaluate(Coins(), verbose=0) == pytest.approx((coin + 3 * ground) / 4, rel=1e-4)
    assert doubter.evaluate(Coins(3), verbose=0) == pytest.approx((3 * coin + 3 * ground) / 4, rel=1e-4)


def test_validation_steps_replay_the_first_batches_with_one_worker(watch):
    watch(Diary(1), validation_data=Diary(6, first=100), validation_steps=2, epochs=3)
    assert [number for number in seen if number >= 100] == 3 * [100, 101]


def test_validation_steps_with_workers_judge_by_other_batches_each_time(watch):
    watch(Diary(1), validation_data=Diary(6, first=100, workers=4), validation_steps=2, epochs=3)
    judged = [number for number in seen if number >= 100]
    assert judged[:2] == [100, 101] and judged[2:] != 2 * [100, 101]


def test_predict_ends_with_on_epoch_end_so_that_a_shuffled_order_is_gone():
    class Named(Diary):
        order = (0, 1, 2)

        def __getitem__(self, index):
            return (np.full((1, 8, 8, 1), self.order[index], np.float32),)

        def on_epoch_end(self):
            self.order = tuple(reversed(self.order))

    named = Named(3)
    reader = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D()])
    assert reader.predict(named, verbose=0).ravel().tolist() == [0, 1, 2]
    assert named.order == (2, 1, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_forked_processes_share_the_global_state_of_numpy():
    script = """
import multiprocessing
import numpy as np
def work(answers):
    answers.put(np.random.random())
np.random.random()  # NumPy makes the state when it is first asked for; TensorFlow asks at its import
fork = multiprocessing.get_context("fork")
answers = fork.Queue()
processes = [fork.Process(target=work, args=(answers,)) for _ in range(3)]
for process in processes:
    process.start()
print(len({answers.get() for process in processes}))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "1", run.stderr
