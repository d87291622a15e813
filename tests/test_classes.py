"""Several classes, colours, void pixels, weights and augmentation: what reaches the loss, and what never may."""

import pickle

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segfeed import (
    DataError,
    DataGenerator,
    KerasAugment,
    balanced_weights,
    flip_and_turn,
    iou_per_class,
    mask_classes,
    read_mask,
)
from segfeed.generator import VOID

COLOURS = {(0, 0, 0): 0, (220, 20, 60): 1, (0, 0, 142): 2, (255, 255, 255): 255}
RGB = np.array([*COLOURS], np.uint8)
INDICES = np.array([*COLOURS.values()], np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """8 pairs of 32×32 pixels: masks of the classes 0, 1, 2 and void (255), as indices and in colour.

    The red of an image is its mask, times 60; void is 240.
    """
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    masks = []
    for name in ("images", "indices", "colours"):
        (root / name).mkdir()
    for number in range(8):
        blocks = rng.choice(4, (8, 8), p=(0.7, 0.2, 0.05, 0.05)).repeat(4, 0).repeat(4, 1)
        image = np.stack([blocks * 80, blocks * 0 + number, blocks * 0], -1).astype(np.uint8)
        for name, pixels in (("images", image), ("indices", INDICES[blocks]), ("colours", RGB[blocks])):
            Image.fromarray(pixels).save(root / name / f"{number}.png")
        masks.append(INDICES[blocks])
    return root, np.stack(masks)


def make(world, masks="indices", img_size=32, n_classes=3, **options):
    options = {"shuffle": False, "ignore": 255} | options
    ids = [str(number) for number in range(8)]
    return DataGenerator(ids, world[0] / "images", world[0] / masks, 4, img_size, n_classes, **options)


def whole(data):
    return [np.concatenate(parts) for parts in zip(*data, strict=True)]


# --- Colours ----------------------------------------------------------------------------------


def test_colours_are_classes(world):
    for number, truth in enumerate(world[1]):
        assert np.array_equal(read_mask(world[0] / "colours" / f"{number}.png", COLOURS)[..., 0], truth)


def test_a_palette_is_its_colours_and_grey_is_a_colour(tmp_path):
    palette = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    palette.putpalette(RGB.tobytes())
    palette.save(tmp_path / "palette.png")
    assert read_mask(tmp_path / "palette.png", COLOURS).ravel().tolist() == [0, 1, 2, 255]
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "grey.png")
    assert read_mask(tmp_path / "grey.png", COLOURS).ravel().tolist() == [0, 255]


def test_colours_that_are_not_certain_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5, 4), 254, np.uint8)).save(tmp_path / "alpha.png")
    with pytest.raises(DataError, match=r"alpha\.png: 100\.0% of the mask's pixels are transparent"):
        read_mask(tmp_path / "alpha.png", COLOURS)
    Image.fromarray(np.full((4, 5), 300, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: uint16 colours up to 300, expected 8-bit"):
        read_mask(tmp_path / "deep.png", COLOURS)


@given(data=st.data(), height=st.integers(1, 9), width=st.integers(1, 9))
def test_any_table_is_undone(tmp_path_factory, data, height, width):
    colour = st.tuples(*[st.integers(0, 255)] * 3)
    table = data.draw(st.dictionaries(colour, st.integers(0, 255), min_size=1, max_size=20))
    keys = list(table)
    chosen = np.random.default_rng(height * width).integers(len(keys), size=(height, width))
    path = tmp_path_factory.mktemp("table") / "mask.png"
    Image.fromarray(np.array(keys, np.uint8)[chosen]).save(path)
    assert np.array_equal(read_mask(path, table)[..., 0], np.array(list(table.values()))[chosen])


@pytest.mark.parametrize("colour", [(0, 0, 1), (255, 255, 254), (221, 20, 60), (220, 20, 59)])
def test_an_unknown_colour_is_named_with_its_file_and_pixel(tmp_path, colour):
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[3, 4] = pixels[3, 6] = colour
    Image.fromarray(pixels).save(tmp_path / "street.png")
    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "street.png", COLOURS)
    red, green, blue = colour
    assert str(error.value).startswith(
        f"{tmp_path / 'street.png'}: the colour ({red}, {green}, {blue}) of the pixel in row 3, column 4, is no class "
        f"(2 pixels of unknown colour)."
    )


def test_a_mask_in_colour_without_a_table_says_how_to_give_one(world):
    with pytest.raises(DataError, match=r"colours.0\.png: a mask in colour, .* say with `colours` which colour is"):
        read_mask(world[0] / "colours" / "0.png")


def test_colours_give_the_batches_of_indices(world):
    indices, colours = whole(make(world)), whole(make(world, "colours", colours=COLOURS))
    assert all(map(np.array_equal, indices, colours))


def test_another_table_has_another_cache_file(world, tmp_path):
    where = {"cache_memory": 0, "cache_dir": tmp_path}
    turned = COLOURS | {(220, 20, 60): 2, (0, 0, 142): 1}
    first = whole(make(world, "colours", colours=COLOURS, **where))
    second = whole(make(world, "colours", colours=turned, **where))
    assert np.array_equal(first[1][..., [0, 2, 1]], second[1])
    assert len(list(tmp_path.iterdir())) == 2


# --- Void -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_void_has_no_class_and_no_weight(world, dtype):
    _, masks, weights = whole(make(world, dtype=dtype))
    truth = world[1]
    assert np.array_equal(masks, np.eye(256, 3)[truth])
    assert np.array_equal(weights, truth != 255)
    assert (masks.dtype, weights.dtype, weights.shape) == (dtype, np.float32, (8, 32, 32))


@pytest.mark.parametrize(("stored", "ignore"), [((0, 255, 128), 128), ((0, 1, 255), 255), ((0, 1, 2), 2)])
@pytest.mark.parametrize("augment", [None, flip_and_turn])
def test_void_beside_one_class(tmp_path, write_pair, stored, ignore, augment):
    ground, thing, void = stored
    write_pair(tmp_path, "a", np.zeros((8, 8, 3), np.uint8), np.array([[ground, thing, void, void]] * 4, np.uint8))
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    data = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 4, ignore=ignore, augment=augment)
    _, masks, weights = data[0]
    assert (masks.sum(), weights.sum()) == (4, 8)
    assert not masks[weights == 0].any()


def test_without_ignore_void_is_an_error(world):
    with pytest.raises(DataError, match=r"0\.png: the mask holds 255 \(\d+ pixels\); expected class indices 0 to 2\."):
        make(world, ignore=None)[0]
    with pytest.raises(DataError, match=r"the mask holds 255 \(\d+ pixels\); expected .* 0 to 2, and 9 for void\."):
        make(world, ignore=9)[0]


def test_a_loss_does_not_see_void_pixels(world):
    _, masks, weights = whole(make(world))
    guess = np.random.default_rng(0).dirichlet(np.ones(3), masks.shape[:3]).astype(np.float32)
    spoilt = np.where(weights[..., None] == 0, np.float32([0.9, 0.05, 0.05]), guess)
    loss = keras.losses.CategoricalCrossentropy()
    assert float(loss(masks, guess, weights)) == float(loss(masks, spoilt, weights)) > 0


class Painter(keras.Model):
    """Says class 1 where red is 80, class 2 where it is 160, and class 1 where it is void."""

    def call(self, images):
        level = keras.ops.cast(keras.ops.round(images[..., 0] * 255 / 80), "int32")
        return keras.ops.one_hot(keras.ops.where(level == 3, 1, level), 3)


def test_the_score_does_not_see_void_pixels(world):
    perfect = iou_per_class(Painter(), make(world), ("ground", "red", "blue"))
    assert [score.iou for score in perfect] == pytest.approx([1, 1, 1])  # Keras counts in float32
    with_void = make(world, "colours", colours=COLOURS | {(255, 255, 255): 0}, ignore=None)
    assert iou_per_class(Painter(), with_void, ("ground", "red", "blue"))[0].iou < 0.99


@given(st.data(), st.integers(2, 256), st.sampled_from([None, 255, 7]))
def test_class_indices_beside_void_stay_what_they_are(data, n_classes, ignore):
    """One pixel of 255 does not make objects of all classes."""
    indices = [index for index in range(n_classes) if index != ignore]
    mask = np.array(data.draw(st.lists(st.sampled_from(indices), min_size=1, max_size=30)), np.uint8)
    mask = np.append(mask, [0, 1, 255 if ignore is None else ignore]).astype(np.uint8)[None, :, None]
    found = mask_classes(mask, ignore)
    assert found.dtype.kind == "i" and np.array_equal(found, np.where(mask == ignore, 0, mask)[..., 0])


@pytest.mark.parametrize(
    ("stored", "ignore", "classes"),
    [
        ([0, 255], None, [0, 1]),
        ([255, 255], None, [1, 1]),
        ([0, 255], 255, [0, 0]),
        ([255, 255], 255, [0, 0]),
        ([0, 1, 255], 255, [0, 1, 0]),
        ([0, 128, 255], 128, [0, 0, 1]),
        ([0, 2, 255], None, [0, 2, 255]),
        ([False, True], None, [0, 1]),
    ],
)
def test_255_is_the_object_void_or_an_index(stored, ignore, classes):
    mask = np.array(stored) if isinstance(stored[0], bool) else np.array(stored, np.uint8)
    assert mask_classes(mask[None, :, None], ignore).tolist() == [classes]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_probabilities_of_every_precision_are_cut_at_a_half(dtype):
    found = keras.ops.convert_to_numpy(keras.ops.cast([[[0.25], [0.5], [0.75], [1.0]]], dtype))
    assert mask_classes(found).tolist() == [[0, 1, 1, 1]]
    assert mask_classes(np.concatenate([1 - found, found], axis=-1))[0, [0, 2, 3]].tolist() == [0, 1, 1]


# --- Weights ----------------------------------------------------------------------------------


def test_every_pixel_has_the_weight_of_its_class(world):
    _, _, weights = whole(make(world, class_weights=[0.5, 2, 7]))
    assert np.array_equal(weights, np.choose(np.minimum(world[1], 3), [0.5, 2, 7, 0]))


def test_balanced_weights_balance(world):
    data = make(world)
    weights = balanced_weights(data)
    _, masks, per_pixel = whole(make(world, class_weights=weights))
    sums = (masks * per_pixel[..., None]).sum(axis=(0, 1, 2), dtype=np.float64)
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-5)  # the weights are float32
    assert per_pixel[world[1] != 255].mean() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_balanced_weights_of_one_class(folders, dtype):
    data = DataGenerator(folders.ids, folders.imgs, folders.masks, 4, (12, 16), dtype=dtype)
    pixels, coin = 13 * 12 * 16, sum(range(1, 14))
    assert balanced_weights(data) == pytest.approx([pixels / (2 * (pixels - coin)), pixels / (2 * coin)])


def test_void_pixels_do_not_count_as_ground(tmp_path, write_pair):
    write_pair(tmp_path, "a", np.zeros((4, 4, 3), np.uint8), np.array([[0, 255, 128, 128]] * 4, np.uint8))
    data = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, 4, ignore=128)
    assert balanced_weights(data) == [1, 1]


def test_a_class_without_pixels_has_no_weight(folders):
    data = DataGenerator(folders.ids, folders.imgs, folders.classes, 4, (12, 16), 4)
    with pytest.raises(ValueError, match=r"classes without a pixel in this set: 3\. Add images"):
        balanced_weights(data)


def test_fit_takes_the_weights(world):
    """Ground alone has a weight: a model that can only say one thing learns to say ground."""
    model = keras.Sequential([keras.layers.Conv2D(3, 1, activation="softmax", kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1.0), "categorical_crossentropy")
    model.fit(make(world, class_weights=[0, 0, 1]), epochs=8, verbose=0)
    assert model.predict(make(world), verbose=0).argmax(axis=-1).min() == 2


# --- Augmentation -----------------------------------------------------------------------------

LAYERS = {
    "flip": lambda: keras.layers.RandomFlip(),
    "rotation": lambda: keras.layers.RandomRotation(0.5, fill_mode="reflect"),
    "zoom": lambda: keras.layers.RandomZoom(0.5, fill_mode="constant"),
    "translation": lambda: keras.layers.RandomTranslation(0.3, 0.3),
    "brightness": lambda: keras.layers.RandomBrightness(0.4),
    "contrast": lambda: keras.layers.RandomContrast(0.4),
}


@pytest.mark.parametrize("name", LAYERS)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([8, 15, 32]))
def test_masks_stay_exact_class_values(name, seed, size):
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 1, 2, VOID], np.uint8), (size, size, 1))
    image, moved = KerasAugment(LAYERS[name]())(np.repeat(mask, 3, axis=2), mask, rng)
    assert set(np.unique(moved)) <= {0, 1, 2, VOID}
    assert (image.dtype, moved.dtype, image.shape, moved.shape) == ("uint8", "uint8", (size, size, 3), mask.shape)


@pytest.mark.parametrize("name", ["flip", "rotation", "zoom", "translation"])
def test_image_and_mask_move_together(name):
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[8:40, 20:50] = 1
    image = np.repeat(mask * np.uint8(255), 3, axis=2)
    augment = KerasAugment(LAYERS[name]())
    moved = 0
    for seed in range(8):
        new_image, new_mask = augment(image, mask, np.random.default_rng(seed))
        apart = (new_image[..., :1] > 127) != (new_mask > 0)
        assert apart.mean() < 0.03  # an outline of some 120 pixels in 4096, where image is blended and mask is not
        moved += (new_mask != mask).any()
    assert moved >= 4


@pytest.mark.parametrize("augment", [flip_and_turn, KerasAugment(LAYERS["flip"](), LAYERS["rotation"]())])
def test_draws_belong_to_seed_epoch_and_sample(world, augment):
    def epoch(number, workers=1, **options):
        data = make(world, augment=augment, workers=workers, **options)
        data.set_epoch(number)
        return whole(data)

    first = epoch(0)
    assert all(map(np.array_equal, first, epoch(0, workers=2, cache_memory=0)))
    assert not np.array_equal(first[0], epoch(1)[0])
    assert not np.array_equal(first[0], epoch(0, seed=1)[0])


@pytest.mark.parametrize("given", [[LAYERS["flip"]()], LAYERS["flip"], keras.layers.Rescaling(1 / 255)])
def test_a_keras_augment_takes_layers_that_draw_one_by_one(given):
    with pytest.raises(TypeError, match="give such layers one by one"):
        KerasAugment(LAYERS["rotation"](), given)


def test_a_keras_augment_survives_a_pickle():
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    augment = KerasAugment(LAYERS["rotation"]())
    one, two = (
        a(np.repeat(mask, 3, 2), mask, np.random.default_rng(5)) for a in (augment, pickle.loads(pickle.dumps(augment)))
    )
    assert all(map(np.array_equal, one, two))


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (
            lambda image, mask, rng: (image, mask + np.uint8(2)),
            r"augment made \d of a class index; expected 0 to 2, and",
        ),
        (lambda image, mask, rng: (image, mask // 2 + np.uint8(50)), r"0\.png: augment made 5\d of a class index"),
    ],
)
def test_an_augmentation_that_blends_masks_is_named(world, augment, words):
    with pytest.raises(DataError, match=words):
        make(world, augment=augment)[0]


# --- Arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ignore": 2}, "ignore is 2: a value of 0 to 255 that is no class"),
        ({"ignore": 256}, "ignore is 256"),
        ({"ignore": -1}, "ignore is -1"),
        ({"n_classes": 256}, "ignore is 255: a value of 0 to 255 that is no class"),
        ({"colours": {}}, "colours gives no class: class indices are 0 to 2, or ignore"),
        ({"colours": {(1, 2, 3): 3}}, r"colours gives \[\(\(1, 2, 3\), 3\)\]"),
        ({"class_weights": [1, 2]}, r"class_weights is \[1, 2\]: give each of 3 classes a number from 0 on"),
        ({"class_weights": [1, 2, -1]}, "a number from 0 on"),
    ],
)
def test_an_argument_outside_its_range_is_named(world, options, words):
    with pytest.raises(ValueError, match=words):
        make(world, **options)


def test_iou_counts_more_pixels_than_float32_can_tell_apart():
    from segfeed.metrics import make_iou

    metric = make_iou(2)
    truth = np.zeros((20, 1024, 1024, 2), np.uint8)
    truth[..., 1] = 1
    found = truth[..., ::-1].copy()
    found[:18] = truth[:18]  # 18 of 20 pictures, 18,874,368 pixels: float32 stops at 16,777,216
    metric.update_state(truth, found)
    assert float(metric.result()) == pytest.approx(0.9 / 2)  # class 0 is never right
