"""Crops of large pictures and the tiles that judge them: where they lie, and that nothing else decides it."""

import hashlib
import pickle
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segfeed import DataError, DataGenerator, balanced_weights, flip_and_turn, generator, iou_per_class
from segfeed.crops import OBJECT_SHARE, Crops, Samples, Tiles, continued
from segfeed.plots import plot_predictions

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def places(height, width):
    """A picture whose pixels say where they are: row and column, and the same in one number as its mask."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows ^ columns], axis=-1).astype(np.uint8)
    return image, value_of(image)[..., None]


def value_of(image):
    return ((image[..., 0].astype(int) * 41 + image[..., 1]) % 199 + 1).astype(np.uint8)


def crops_of(pair, size, void=None, seed=0):
    """Draw crops of one picture: a function of the epoch."""
    crops = Crops(SimpleNamespace(__len__=lambda: 1), size, seed, void)
    return lambda epoch: crops.read(0, lambda number: pair, epoch)


# --- Crops ------------------------------------------------------------------------------------


@given(SIDES, SIDES, st.integers(0, 2**32), st.integers(0, 1000), st.sampled_from([None, 255]))
def test_a_crop_is_one_slice_of_image_and_mask(sides, size, seed, epoch, void):
    image, mask = places(*sides)
    part, part_mask = crops_of((image, mask), size, void, seed)(epoch)
    assert part.shape == (*size, 3) and part_mask.shape == (*size, 1)
    top, left = part[0, 0, :2].tolist()
    rest = [max(0, wanted - side) for wanted, side in zip(size, sides, strict=True)]
    inside = image[top : top + size[0], left : left + size[1]]
    assert inside.shape[:2] == tuple(map(min, size, sides))
    np.testing.assert_array_equal(part, np.pad(inside, ((0, rest[0]), (0, rest[1]), (0, 0)), "reflect"))
    if void is None:
        np.testing.assert_array_equal(part_mask[..., 0], value_of(part))
    else:
        kept = part_mask[: inside.shape[0], : inside.shape[1], 0]
        np.testing.assert_array_equal(kept, value_of(inside))
        assert np.count_nonzero(part_mask == void) == part_mask.size - kept.size


@given(st.integers(1, 9), st.integers(1, 9), SIDES)
def test_what_is_missing_is_the_mirror_image_or_one_value(height, width, more):
    pixels = places(height, width)[0]
    size = height + more[0], width + more[1]
    pads = (0, more[0]), (0, more[1])
    np.testing.assert_array_equal(continued(pixels, size), np.pad(pixels, (*pads, (0, 0)), "reflect"))
    np.testing.assert_array_equal(continued(pixels[..., :1], size, 7)[..., 0],
                                  np.pad(pixels[..., 0], pads, constant_values=7))  # fmt: skip


@pytest.mark.parametrize("with_object", [False, True])
def test_each_place_is_drawn_about_equally_often_and_each_pixel_is_reached(with_object):
    image, mask = places(9, 7)
    draw = crops_of((image, mask if with_object else mask * 0), (4, 3))
    corners = Counter(tuple(draw(epoch)[0][0, 0, :2].tolist()) for epoch in range(6000))
    assert corners.keys() == {(row, column) for row in range(6) for column in range(5)}
    if not with_object:
        np.testing.assert_allclose([*corners.values()], 6000 / 30, rtol=0.35)  # five standard deviations
    covered = np.zeros((9, 7))
    for (top, left), count in corners.items():
        covered[top : top + 4, left : left + 3] += count
    assert covered.min() > 0
    if not with_object:
        np.testing.assert_allclose(covered[3:-3, 2:-2], 6000 * 12 / 30, rtol=0.1)


@pytest.mark.parametrize("values", [(255,), (1,), (1, 2), (3, 7, 9)])
@pytest.mark.parametrize("at", [(0, 0), (60, 30), (99, 79)])
def test_a_third_of_the_crops_holds_an_object_and_a_rare_class_comes_as_often_as_others(values, at):
    image, mask = places(100, 80)[0], np.zeros((100, 80, 1), np.uint8)
    mask[10:50, 10:50] = values[0]
    mask[at] = values[-1]  # one pixel
    mask[:, 70:79] = 200  # void
    draw = crops_of((image, mask), (8, 6), void=200)
    drawn = [draw(epoch)[1] for epoch in range(3000)]
    rare = np.mean([(one == values[-1]).any() for one in drawn])
    if len(values) == 1:
        assert rare >= OBJECT_SHARE
    else:
        chance = 48 / (93 * 75)  # at most, of a crop that lies anywhere
        expected = OBJECT_SHARE / len(set(values) & set(np.unique(mask)))
        assert expected - 0.04 < rare < expected + chance + 0.04


def test_the_pixel_that_a_crop_is_drawn_around_is_any_of_the_object_and_lies_anywhere_in_the_crop():
    image, mask = places(30, 30)[0], np.zeros((30, 30, 1), np.uint8)
    mask[10:14, 20:25] = 255
    draw = crops_of((image, mask), (9, 9))
    seen = np.zeros((9, 9))
    for epoch in range(1500):
        seen += draw(epoch)[1][..., 0] > 0
    assert seen.min() > 0.3 * seen.mean()


def test_a_mask_of_ground_and_void_gives_crops_from_anywhere():
    image, mask = places(12, 12)[0], np.zeros((12, 12, 1), np.uint8)
    mask[:2] = 255
    draw = crops_of((image, mask), (4, 4), void=255)
    assert len({tuple(draw(epoch)[0][0, 0, :2]) for epoch in range(1500)}) == 81


# --- Tiles ------------------------------------------------------------------------------------


class Sized:
    """Pairs of pictures of these sides, without files."""

    def __init__(self, sides):
        self.sides = sides

    def files(self, number):
        return __file__, __file__


@given(st.lists(SIDES, min_size=1, max_size=4), SIDES)
def test_the_tiles_hold_each_pixel_once(sides, size):
    tiles, read = Tiles(Sized(sides), size, 0, 255, np.array(sides)), []

    def whole(number):
        read.append(number)
        return places(*sides[tiles.picture_of(number)])

    assert len(tiles) == sum(-(-height // size[0]) * -(-width // size[1]) for height, width in sides)
    seen = Counter()
    for number in range(len(tiles)):
        image, mask = tiles.read(number, whole, 0)
        known = mask[..., 0] != 255
        np.testing.assert_array_equal(mask[known, 0], value_of(image)[known])
        picture = tiles.picture_of(number)
        seen.update((picture, row, column) for row, column in image[known][:, :2].tolist())
    assert set(seen.values()) == {1}
    assert len(seen) == sum(height * width for height, width in sides)
    assert len(read) == len(sides)  # each picture is decoded once


@pytest.mark.parametrize("fails", [False, True])
def test_threads_that_want_tiles_of_one_picture_decode_it_once(fails):
    sides, entered, go = [(64, 64)], [], threading.Event()
    tiles = Tiles(Sized(sides), (32, 32), 0, 255, np.array(sides))

    def whole(number):
        entered.append(number)
        go.wait()
        if fails:
            raise DataError("cut off")
        return places(*sides[0])

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(tiles.read, number, whole, 0) for number in range(4)]
        time.sleep(0.2)  # whoever asks later finds it, too
        go.set()
        errors = [future.exception() for future in asked]
    if fails:
        assert all(isinstance(error, DataError) for error in errors)
    else:
        assert errors == [None] * 4 and len(entered) == 1
    fails = False
    assert tiles.read(0, whole, 0)[0].shape == (32, 32, 3), "what failed is read again"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of several sizes, one smaller than a tile, with masks of 0/255, of three classes and of colours."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("images", "masks", "classes", "colours"):
        (root / name).mkdir()
    for stem, (height, width) in {"a": (70, 50), "b": (33, 96), "c": (20, 25), "d": (40, 40)}.items():
        image = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (width, height))
        classes = np.digitize(image[..., 0], (100, 170)).astype(np.uint8)
        classes[rng.random((height, width)) < 0.1] = 255
        binary = np.where(classes == 255, 7, np.where(classes > 1, 255, 0)).astype(np.uint8)
        for name, pixels in {"images": image, "masks": binary, "classes": classes}.items():
            Image.fromarray(pixels).save(root / name / f"{stem}.png")
        colours = np.stack([classes, classes, 255 - classes], axis=-1)
        Image.fromarray(colours).save(root / "colours" / f"{stem}.png")
    return root


BINARY = {"ignore": 7}
CLASSES = {"masks": "classes", "n_classes": 3, "ignore": 255}
PALETTE = {(0, 0, 255): 0, (1, 1, 254): 1, (2, 2, 253): 2, (255, 255, 0): 255}
COLOURS = {"masks": "colours", "n_classes": 3, "ignore": 255, "colours": PALETTE}


def make(root, ids="abcd", batch_size=3, masks="masks", **options):
    return DataGenerator([*ids], root / "images", root / masks, batch_size, **{"crop": 32, **options})


@pytest.mark.parametrize("options", [BINARY, CLASSES, COLOURS], ids=["binary", "classes", "colours"])
@pytest.mark.parametrize("size", [32, (24, 40), 128])
def test_the_iou_of_the_tiles_is_that_of_the_whole_pictures(photos, options, size):
    """Of a model that judges each pixel by its colour, and so does not see the borders of a tile."""
    n_classes = options.get("n_classes", 1)

    def model(shape):
        image = keras.Input((*shape, 3))
        layer = keras.layers.Conv2D(n_classes, 1, activation="sigmoid" if n_classes == 1 else "softmax")
        found = keras.Model(image, layer(image))
        rng = np.random.default_rng(3)
        layer.set_weights([rng.normal(size=(1, 1, 3, n_classes)) * 9, rng.normal(size=n_classes)])
        return found

    names = ["ground", "object", "other"][: max(2, n_classes)]
    tiles = make(photos, shuffle=False, crop=size, **options)
    found = iou_per_class(model(tiles.size), tiles, names)
    counts = np.zeros((2, len(names)))
    for stem, sides in zip("abcd", [(70, 50), (33, 96), (20, 25), (40, 40)], strict=True):
        whole = make(photos, stem, img_size=sides, crop=None, shuffle=False, **options)
        (images, masks, weights), net = whole[0], model(sides)
        predicted = net.predict_on_batch(images)
        truth, said = (
            one.argmax(-1) if n_classes > 1 else (one[..., 0] >= 0.5).astype(int) for one in (masks, predicted)
        )
        for index in range(len(names)):
            both = ((truth == index) & (said == index))[weights > 0].sum()
            either = ((truth == index) | (said == index))[weights > 0].sum()
            counts[:, index] += both, either
    np.testing.assert_allclose([score.iou for score in found], counts[0] / counts[1], rtol=1e-6)
    wholes = [make(photos, s, img_size=sides, crop=None, shuffle=False, **options)
              for s, sides in zip("abcd", [(70, 50), (33, 96), (20, 25), (40, 40)], strict=True)]  # fmt: skip
    pixels = sum(int((one[0][2] > 0).sum()) for one in wholes)
    assert sum(int((weights > 0).sum()) for *_, weights in tiles) == pixels
    assert np.isfinite(balanced_weights(tiles)).all()


def test_tiles_have_weights_without_a_void_value_too(tmp_path, write_pair):
    for stem, object_value in (("a", 255), ("b", 1)):
        write_pair(tmp_path, stem, mask=np.full((12, 16), object_value, np.uint8))
    tiles = make(tmp_path, "ab", shuffle=False, crop=(5, 7), batch_size=99)
    (images, masks, weights) = tiles[0]
    assert images.shape == (18, 5, 7, 3) and masks.shape == (18, 5, 7, 1) and weights.shape == (18, 5, 7)
    assert weights.sum() == masks.sum() == 2 * 12 * 16
    assert [sample.stem for sample in tiles.samples][:4] == ["a (0, 0)", "a (0, 7)", "a (0, 9)", "a (5, 0)"]
    assert [pair.stem for pair in tiles.pairs] == ["a", "b"]


@pytest.mark.parametrize("where", [{}, {"cache_memory": 0}, {"cache_memory": 0, "cache_dir": "kept"}], ids=str)
def test_a_picture_that_changes_is_cut_again_and_one_of_another_size_is_named(tmp_path, write_pair, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    write_pair(tmp_path, "a", np.full((12, 16, 3), 9, np.uint8))
    tiles = make(tmp_path, "a", shuffle=False, crop=8, dtype="uint8", **where)
    assert {int(images.max()) for images, *_ in tiles} == {9}
    write_pair(tmp_path, "a", np.full((12, 16, 3), 200, np.uint8))
    tiles.set_epoch(1)
    assert {int(images.max()) for images, *_ in tiles} == {200}
    write_pair(tmp_path, "a", np.full((13, 16, 3), 7, np.uint8), np.zeros((13, 16), np.uint8))
    tiles.set_epoch(2)
    with pytest.raises(DataError, match=r"a\.png: the picture is 13×16 pixels, and was 12×16 when .* anew"):
        list(tiles)


def test_the_tiles_of_a_picture_do_not_decode_it_each_anew(photos, monkeypatch):
    reads = []
    read = generator.read_checked
    monkeypatch.setattr(generator, "read_checked", lambda files, *more: reads.append(files) or read(files, *more))
    monkeypatch.setattr(generator, "CORES", 1)
    tiles = make(photos, shuffle=False, crop=8, batch_size=500, **BINARY)
    assert len(tiles.samples) > 100
    for _ in range(2):
        tiles[0]
    assert len(reads) == 4


def test_a_picture_of_tiles_shows_the_tile_and_its_place(photos):
    tiles = make(photos, shuffle=False, **BINARY)
    image = keras.Input((32, 32, 3))
    net = keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(image))
    text = plot_predictions(net, tiles, count=20).text
    assert all(f"{sample.stem} " in text for sample in tiles.samples) and "a (38, 18) " in text


# --- What decides a sample ---------------------------------------------------------------------


def by_sample(data, epochs=(0, 1)):
    """What each sample is in each epoch: image, mask, weights, by its number; those of several parts together."""
    found = {}
    for part in data if isinstance(data, list) else [data]:
        rank, world = part.shard
        for epoch in epochs:
            part.set_epoch(epoch)
            for index, arrays in enumerate(part):
                order = part._order.numbers[index * part.batch_size : (index + 1) * part.batch_size][rank::world]
                for place, number in enumerate(order.tolist()):
                    found[epoch, number] = [one[place].tobytes() for one in arrays]
    return found


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("options", [BINARY, CLASSES | {"augment": flip_and_turn}], ids=["binary", "classes"])
def test_seed_epoch_and_sample_alone_decide_a_sample(photos, options, shuffle):
    def built(**more):
        return make(photos, **options, shuffle=shuffle, **more)

    first = by_sample(built())
    others = [
        built(batch_size=1),
        built(cache_memory=0),
        [built(shard=(rank, 3)) for rank in range(3)],
        pickle.loads(pickle.dumps(built())),
    ]
    assert all(by_sample(other) == first for other in others)
    resumed = built()
    assert by_sample(resumed, [1]) == {key: value for key, value in first.items() if key[0] == 1}
    assert (by_sample(built(seed=1)) == first) == (not shuffle and "augment" not in options)
    changed = [number for epoch, number in first if epoch and first[0, number] != first[1, number]]
    assert bool(changed) == (shuffle or "augment" in options)


def test_another_process_draws_the_same(photos):
    code = (
        "import hashlib, sys; from segfeed import DataGenerator; root = sys.argv[1]\n"
        "data = DataGenerator([*'abcd'], root + '/images', root + '/masks', 4, crop=32, ignore=7, seed=3)\n"
        "data.set_epoch(5); print(hashlib.sha256(b''.join(part.tobytes() for part in data[0])).hexdigest())"
    )
    done = [
        subprocess.run([sys.executable, "-c", code, photos], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    data = make(photos, batch_size=4, seed=3, **BINARY)
    data.set_epoch(5)
    assert done == [hashlib.sha256(b"".join(part.tobytes() for part in data[0])).hexdigest() + "\n"] * 2


def test_what_is_drawn_for_the_place_is_not_drawn_again_by_augment(photos):
    drawn = []

    def augment(image, mask, rng):
        assert (image.shape, mask.shape, image.dtype, mask.dtype) == ((32, 32, 3), (32, 32, 1), np.uint8, np.uint8)
        drawn.append(rng.random())
        return image, mask

    make(photos, "a", augment=augment, **BINARY)[0]
    assert drawn == [np.random.default_rng([0, 0, 1]).random()]
    assert drawn[0] != np.random.default_rng([0, 0, 1, 1]).random()


def test_crops_are_not_kept(photos, tmp_path):
    data = make(photos, cache_dir=tmp_path / "cache", cache_memory=0, **BINARY)
    assert by_sample(data, [0]) != by_sample(data, [1])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_other_arguments_do_what_they_do_without_crop(photos, shuffle):
    plain = make(photos, shuffle=shuffle, **CLASSES)[0]
    assert [part.dtype for part in plain] == [np.float32] * 3
    images, masks, weights = make(photos, shuffle=shuffle, dtype="uint8", class_weights=[1, 2, 3], **CLASSES)[0]
    np.testing.assert_array_equal(plain[0], images / np.float32(255))
    np.testing.assert_array_equal(plain[1], masks)
    np.testing.assert_array_equal(weights, plain[2] * (masks * [1, 2, 3]).sum(-1))
    grey = make(photos, shuffle=shuffle, dtype="uint8", n_channels=1, **CLASSES)[0][0]
    np.testing.assert_array_equal(grey[0, ..., 0], cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY))
    halved = make(photos, shuffle=shuffle, preprocess=lambda batch: batch / 2, **CLASSES)[0][0]
    np.testing.assert_array_equal(halved, images / np.float32(2))
    coloured = make(photos, shuffle=shuffle, **COLOURS)[0]
    assert all(np.array_equal(one, two) for one, two in zip(coloured, plain, strict=True))
    assert images.shape == (3, 32, 32, 3) and masks.shape == (3, 32, 32, 3)


def test_without_ignore_a_crop_of_a_small_picture_has_a_mirrored_mask_and_no_weights(tmp_path, write_pair):
    image, mask = places(12, 16)
    write_pair(tmp_path, "a", image, mask[..., 0] % 2)
    images, masks = make(tmp_path, "a", dtype="uint8", crop=(30, 40))[0]
    np.testing.assert_array_equal(masks[0, ..., 0], value_of(images[0]) % 2)


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_whole_mask_is_checked(tmp_path, write_pair, shuffle):
    mask = np.zeros((90, 120), np.uint8)
    mask[89, 119] = 7
    write_pair(tmp_path, "a", np.zeros((90, 120, 3), np.uint8), mask)
    for epoch in range(3):
        data = make(tmp_path, "a", crop=8, shuffle=shuffle)
        data.set_epoch(epoch)
        with pytest.raises(DataError, match=r"a\.png: the mask holds 7 \(1 pixel\)"):
            data[0]


def test_a_turned_photograph_is_cut_as_it_is_seen(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    image = np.zeros((40, 64, 3), np.uint8)
    image[:, :32] = 255
    Image.fromarray(image).save(tmp_path / "images" / "a.jpg", exif=exif, quality=95)
    Image.fromarray(np.ascontiguousarray(np.rot90(image[..., 0], 3))).save(tmp_path / "masks" / "a.png")
    tiles = make(tmp_path, "a", crop=24, shuffle=False, dtype="uint8", batch_size=99)
    images, masks, weights = tiles[0]
    assert len(images) == 3 * 2 and weights.sum() == 40 * 64
    assert np.array_equal((images[..., :1] > 127)[weights > 0], masks[weights > 0] > 0)


BAD = {
    "no pixels": ({"crop": 0}, r"crop is \(0, 0\): give one side or \(height, width\)"),
    "half a pixel": ({"crop": 8.5}, "crop is 8.5: give a whole number"),
    "three sides": ({"crop": (8, 8, 3)}, r"crop is \(8, 8, 3\): give one side"),
    "two sizes": ({"img_size": 64}, "img_size is 64 and crop is 32: .* Leave img_size out"),
    "no value for void": ({"n_classes": 256}, "n_classes is 256, and crop .* at most 255"),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD)
def test_a_crop_outside_its_range_is_refused(photos, options, says):
    with pytest.raises(ValueError, match=says):
        make(photos, **options)


def test_img_size_may_be_the_crop(photos):
    assert make(photos, img_size=(32, 32), **BINARY).size == (32, 32)
    assert make(photos, crop=np.uint8(16), **BINARY).crop == (16, 16)


def test_whole_pairs_are_samples_as_they_are():
    pair = places(3, 4)
    assert Samples(Sized([(3, 4)]), (3, 4), 0, None).read(0, lambda number: pair, 0) is pair
