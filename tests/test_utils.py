"""Every public function of utils: what it returns, and what it says when it cannot."""

import hashlib
import inspect
import io
import multiprocessing
import re
import socket
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

import segfeed
import utils
from segfeed.transforms import nearest_pixels
from utils import DataError

sys.path.insert(0, str(utils.ROOT / "tools"))
import preflight

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
OBJECT = np.zeros((12, 16), np.uint8)
OBJECT[2:9, 3:12] = 255
CLASSES = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % 3


def png(pixels, mode=None, **options):
    """The bytes of a PNG file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, "png", **options)
    return file.getvalue()


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", **options)
    return file.getvalue()


def tiff(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "tiff")
    return file.getvalue()


def voc(classes):
    """A palette image in the manner of Pascal VOC: the pixels are class indices, the palette is for the eye."""
    image = Image.fromarray(classes, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


def with_alpha(pixels, alpha):
    return np.dstack([pixels, np.full(pixels.shape[:2], alpha, np.uint8)])


# --- The module -------------------------------------------------------------------------------


def test_importing_utils_loads_neither_tensorflow_nor_matplotlib():
    code = "import sys, utils; assert not {'tensorflow', 'keras', 'matplotlib'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=utils.ROOT, check=True)


def test_the_generator_and_the_pictures_can_be_imported_from_utils():
    assert utils.DataGenerator is segfeed.DataGenerator
    for name in segfeed.__all__:
        assert getattr(utils, name) is getattr(segfeed, name), name
    with pytest.raises(AttributeError, match="DataGenerators"):
        _ = utils.DataGenerators


# --- find_pairs -------------------------------------------------------------------------------


@pytest.fixture
def make_files(tmp_path):
    """Make empty files by name in images/ and masks/, and return both folders."""

    def make(images, masks):
        for folder, names in (("images", images), ("masks", masks)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        return tmp_path / "images", tmp_path / "masks"

    return make


def test_pairs_are_matched_by_stem_and_sorted(make_files):
    imgs, masks = make_files(["b.jpg", "a.PNG"], ["a.png", "b.bmp"])
    assert list(utils.find_pairs(imgs, str(masks))) == [
        ("a", imgs / "a.PNG", masks / "a.png"),
        ("b", imgs / "b.jpg", masks / "b.bmp"),
    ]


def test_ids_are_stems_or_file_names_and_fix_the_order(make_files):
    folders = make_files(["a.jpg", "b.jpg", "c.jpg"], ["a.png", "b.png", "c.png"])
    assert [pair.stem for pair in utils.find_pairs(*folders, ids=["c", "a.jpg"])] == ["c", "a"]


def test_a_stem_may_have_dots_spaces_and_korean_letters(make_files):
    stems = ["scan.v2", "동전 사진", "two words"]
    folders = make_files([f"{stem}.jpg" for stem in stems], [f"{stem}.png" for stem in stems])
    assert [pair.stem for pair in utils.find_pairs(*folders, ids=stems)] == stems
    assert [pair.stem for pair in utils.find_pairs(*folders, ids=[f"{stem}.jpg" for stem in stems])] == stems


def test_hidden_files_and_folders_are_passed_over(make_files):
    imgs, masks = make_files(["a.png", ".DS_Store", "Thumbs.db"], ["a.png", "desktop.ini", "._a.png"])
    (imgs / "old").mkdir()
    assert [pair.stem for pair in utils.find_pairs(imgs, masks)] == ["a"]


@pytest.mark.parametrize("file_form", ["NFC", "NFD"])
@pytest.mark.parametrize("id_form", ["NFC", "NFD"])
def test_a_name_is_found_in_either_unicode_form(make_files, file_form, id_form):
    imgs, masks = make_files([unicodedata.normalize(file_form, "동전.png")], ["동전.png"])
    (pair,) = utils.find_pairs(imgs, masks, ids=[unicodedata.normalize(id_form, "동전")])
    assert pair.stem == "동전"
    assert pair.image.is_file() and pair.mask.is_file()


BAD_FOLDERS = {  # images, masks, ids, what the message says
    "missing mask": (["a.png", "b.png"], ["a.png"], None, ["no mask in", "masks", "1 of 2", "b", "add the mask"]),
    "orphan mask": (["a.png"], ["a.png", "b.png"], None, ["no image in", "images", "1 of 2", "b", "leave the id out"]),
    "id without files": (["a.png"], ["a.png"], ["a", "z"], ["no image in", "1 of 2", "z", "same name"]),
    "many missing": ([f"{n}.png" for n in range(7)], [], None, ["7 of 7", "0, 1, 2, 3, 4 and 2 more"]),
    "names with an addition": (
        ["a.png", "b.png"],
        ["a_mask.png", "b_mask.png"],
        None,
        ["2 of 4", "if 'a_mask' belongs to 'a'"],
    ),
    "numbers alike": (["1.png", "10.png"], ["1.png", "2.png"], None, ["1 of 3 ids: 2.", "add the image"]),
    "two masks": (["a.png"], ["a.png", "a.bmp"], None, ["2 mask files", "'a'", "a.bmp, a.png", "Keep one"]),
    "two images": (["a.png", "a.jpg"], ["a.png"], ["a"], ["2 image files", "'a'", "a.jpg, a.png", "Keep one"]),
    "id twice": (["a.png", "b.png"], ["a.png", "b.png"], ["b", "a", "a.png"], ["'a' is given 2 times", "once"]),
    "no ids": (["a.png"], ["a.png"], [], ["no pair", "ids are empty", "images", "Check"]),
    "empty folders": ([], [], None, ["no pair", "images", "Check the folder"]),
}


@pytest.mark.parametrize(("images", "masks", "ids", "says"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_files_that_do_not_pair_are_refused_by_name(make_files, images, masks, ids, says):
    with pytest.raises(DataError) as error:
        utils.find_pairs(*make_files(images, masks), ids=ids)
    assert [part for part in says if part not in str(error.value)] == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere.*Check the path") as error:
        utils.find_pairs(tmp_path / "nowhere", tmp_path)
    assert str(Path.cwd()) in str(error.value)


# --- split_ids and read_split -----------------------------------------------------------------


@given(st.sets(st.text("ab동", max_size=4), min_size=3, max_size=30), st.integers(0, 9), st.randoms())
def test_a_split_holds_each_id_once_in_whatever_order_they_come(ids, seed, random):
    shuffled = list(ids)
    random.shuffle(shuffled)
    parts = utils.split_ids(shuffled, 1, len(ids) - 2, seed=seed)
    assert [len(part) for part in parts] == [1, 1, len(ids) - 2]
    assert sorted(chain(*parts)) == sorted(ids)
    assert parts == utils.split_ids(ids, 1, len(ids) - 2, seed=seed)


def test_a_split_is_fixed_by_its_seed():
    assert utils.split_ids(list("abcdefgh"), 2, 1) == [list("cedgf"), list("ab"), list("h")]
    assert utils.split_ids(list("abcdefgh"), 2, 1, seed=1) != utils.split_ids(list("abcdefgh"), 2, 1)


@pytest.mark.parametrize("sizes", [(), (0,), (-1, 2), (3,), (2, 1)])
def test_a_split_with_an_empty_part_is_refused(sizes):
    with pytest.raises(ValueError, match=f"3 ids cannot give parts of {re.escape(str(sizes))}.*at least one"):
        utils.split_ids(list("abc"), *sizes)


def test_a_split_is_read_from_its_table(tmp_path):
    (tmp_path / "split.csv").write_text("id,part,coins\n0001,train,1 2\n0002,test,3\n0003,train,1\n")
    assert utils.read_split(tmp_path) == {"train": ["0001", "0003"], "validation": [], "test": ["0002"]}


# --- read_image -------------------------------------------------------------------------------

GOOD_IMAGES = {
    "RGB": png(NOISE),
    "grey": png(NOISE, "L"),
    "1 bit": png(NOISE, "1"),
    "palette": png(Image.fromarray(NOISE).quantize(16)),
    "opaque RGBA": png(with_alpha(NOISE, 255)),
    "opaque grey with alpha": png(with_alpha(NOISE[..., 0], 255)),
    "TIFF": tiff(NOISE),
}


@pytest.mark.parametrize("data", GOOD_IMAGES.values(), ids=GOOD_IMAGES)
def test_an_image_becomes_rgb(tmp_path, data):
    path = tmp_path / "동전 사진.image"
    path.write_bytes(data)
    image = utils.read_image(path)
    assert image.dtype == np.uint8
    assert np.array_equal(image, Image.open(path).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photograph.jpg"
    path.write_bytes(jpeg(NOISE, exif=exif))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)), int)
    image = utils.read_image(path)
    assert image.shape == upright.shape
    assert np.abs(image - upright).max() <= 2  # two builds of libjpeg may round otherwise


UNREADABLE = {  # what stands in the file, and what the message says beside the file's name
    "empty": (b"", ["empty (0 bytes)", "Copy it again"]),
    "text": (b"hello", ["b'hell'", "image viewer", "copy it again"]),
    "truncated PNG": (png(NOISE)[:300], ["cut off (300 bytes, no end)", "Copy it again"]),
    "truncated palette PNG": (png(voc(CLASSES))[:80], ["cut off (80 bytes"]),
    "palette PNG truncated in its palette": (png(voc(CLASSES))[:48], ["cut off (48 bytes"]),
    "damaged palette PNG": (png(voc(CLASSES)).replace(b"PLTE", b"PLTF"), ["image viewer"]),
    "truncated JPEG": (jpeg(NOISE)[:-40], ["cut off (", "Copy it again"]),
}

BAD_IMAGES = UNREADABLE | {
    "16 bits": (png(np.full((12, 16), 4095, np.uint16)), ["uint16", "4095", "expected 8-bit", "Scale"]),
    "half transparent": (
        png(np.vstack([with_alpha(NOISE, 255), with_alpha(NOISE, 254)])),
        ["50.0%", "transparent", "background"],
    ),
    "transparent colour": (png(np.zeros((4, 4, 3), np.uint8), transparency=(0, 0, 0)), ["100.0%", "background"]),
    "transparent index": (png(voc(CLASSES), transparency=0), ["33.3%", "transparent", "background"]),
}


def message_of(read, path, data):
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read(path)
    return str(error.value)


@pytest.mark.parametrize(("data", "says"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_refused_by_name(tmp_path, data, says):
    message = message_of(utils.read_image, tmp_path / "동전 1.png", data)
    assert [part for part in ["동전 1.png", *says] if part not in message] == []


@pytest.mark.parametrize("read", [utils.read_image, utils.read_mask])
def test_a_file_that_is_missing_is_named(tmp_path, read):
    with pytest.raises(DataError, match=r"lost\.png: cannot be opened \(No such file.*Check the path"):
        read(tmp_path / "lost.png")


# --- read_mask --------------------------------------------------------------------------------

GOOD_MASKS = {
    "grey": (png(CLASSES), CLASSES),
    "1 bit": (png(Image.fromarray(OBJECT).convert("1")), OBJECT // 255),
    "palette": (png(voc(CLASSES)), CLASSES),
    "palette of 2 bits": (png(voc(CLASSES), bits=2), CLASSES),
    "palette with a transparent ground": (png(voc(CLASSES), transparency=0), CLASSES),
    "grey saved as RGB": (png(OBJECT, "RGB"), OBJECT),
    "grey saved as RGBA": (png(OBJECT, "RGBA"), OBJECT),
    "16 bits, low values": (png(CLASSES.astype(np.uint16)), CLASSES),
    "TIFF": (tiff(CLASSES), CLASSES),
}


@pytest.mark.parametrize(("data", "stored"), GOOD_MASKS.values(), ids=GOOD_MASKS)
def test_a_mask_is_read_as_it_was_stored(tmp_path, data, stored):
    path = tmp_path / "가면 1.mask"
    path.write_bytes(data)
    mask = utils.read_mask(path)
    assert (mask.dtype, mask.shape) == (np.uint8, (12, 16, 1))
    assert np.array_equal(mask[..., 0], stored)


BAD_MASKS = UNREADABLE | {
    "colour": (png(NOISE), ["in colour", "(12, 16, 3)", "Save it as a grey"]),
    "colour in one pixel": (png(np.where(np.arange(48).reshape(4, 4, 3) == 7, np.uint8(1), 0)), ["in colour"]),
    "transparent": (
        png(with_alpha(np.dstack([OBJECT] * 3), 128)),
        ["of the mask's pixels are transparent", "without an alpha"],
    ),
    "16 bits": (png(np.full((12, 16), 256, np.uint16)), ["uint16", "256", "Save the mask with 8 bits"]),
    "fractions": (tiff(np.full((12, 16), 0.5, np.float32)), ["float32", "0.5", "Save the mask with 8 bits"]),
    "negative": (tiff(np.full((12, 16), -3, np.int32)), ["int32", "-3", "Save the mask with 8 bits"]),
}


@pytest.mark.parametrize(("data", "says"), BAD_MASKS.values(), ids=BAD_MASKS)
def test_a_mask_that_cannot_be_used_is_refused_by_name(tmp_path, data, says):
    message = message_of(utils.read_mask, tmp_path / "가면 1.png", data)
    assert [part for part in ["가면 1.png", *says] if part not in message] == []


# --- read_pair --------------------------------------------------------------------------------


def test_a_pair_is_read_from_a_korean_path_with_spaces(tmp_path, write_pair):
    folder = tmp_path / "동전 사진"
    folder.mkdir()
    write_pair(folder, "하나 둘", NOISE, OBJECT)
    (pair,) = utils.find_pairs(folder / "images", folder / "masks")
    image, mask = utils.read_pair(pair)
    assert np.array_equal(image, NOISE) and np.array_equal(mask[..., 0], OBJECT)


def test_an_image_and_a_mask_of_unequal_sizes_are_refused(tmp_path, write_pair):
    write_pair(tmp_path, "a", NOISE, OBJECT.T)
    with pytest.raises(DataError, match=r"masks.a\.png: the mask is 16×12 .* image 12×16\. Make .* EXIF"):
        utils.read_pair(*utils.find_pairs(tmp_path / "images", tmp_path / "masks"))


# --- Resize -----------------------------------------------------------------------------------

SIDES = st.integers(1, 40)


@given(arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(1))), SIDES, SIDES)
def test_resizing_a_mask_makes_no_new_value(mask, height, width):
    resized = utils.resize_mask(mask, (height, width))
    assert (resized.shape, resized.dtype) == ((height, width, 1), np.uint8)
    assert np.isin(resized, mask).all()


@given(st.integers(1, 5000), st.integers(1, 800), st.integers(1, 300), st.integers(1, 300))
def test_a_resized_mask_takes_the_nearest_pixels(height, width, new_height, new_width):
    mask = np.random.default_rng(height).integers(0, 256, (height, width, 1), np.uint8)
    rows, columns = nearest_pixels(height, new_height), nearest_pixels(width, new_width)
    assert np.array_equal(utils.resize_mask(mask, (new_height, new_width)), mask[rows][:, columns])


@given(st.integers(2, 60), st.data(), st.integers(1, 60), st.booleans())
def test_a_resized_mask_stays_on_its_image(side, data, new_side, upright):
    edge = data.draw(st.integers(1, side - 1))
    mask = np.zeros((side, side, 1), np.uint8)
    mask[edge:] = 255
    if not upright:
        mask = mask.swapaxes(0, 1)
    resized = utils.resize_mask(mask, (new_side, new_side))
    image = utils.resize_image(np.repeat(mask, 3, axis=2), (new_side, new_side))[..., :1]
    # The mean of a picture with one edge says where the edge is; half a pixel of the coarser grid is allowed,
    # and 1/255 for the rounding of the image.
    assert abs(float(resized.mean()) - float(image.mean())) / 255 <= 0.5 / min(side, new_side) + 1 / 255


@given(st.integers(1, 8), st.integers(1, 8), st.integers(4, 12), st.booleans())
def test_a_resized_mask_moves_to_no_side(old, new, times, upright):
    """Over all places of an edge, a mask and its image agree on it within 0.05 new pixels on average."""
    old, new, apart = old * times, new * times, []
    for edge in range(old + 1):
        mask = np.zeros((old, 1, 1), np.uint8)
        mask[:edge] = 255
        mask, size = (mask, (new, 1)) if upright else (mask.swapaxes(0, 1), (1, new))
        image = utils.resize_image(np.repeat(mask, 3, axis=2), size)
        apart.append((float(utils.resize_mask(mask, size).mean()) - float(image.mean())) / 255 * new)
    assert abs(np.mean(apart)) <= 0.05


@given(arrays(np.uint8, st.tuples(st.sampled_from([2, 4, 12, 16]), st.just(8), st.just(1))), st.sampled_from([2, 4, 6]))
def test_a_mirrored_mask_is_resized_to_the_mirrored_mask(mask, side):
    for flip in (np.s_[::-1], np.s_[:, ::-1]):
        assert np.array_equal(utils.resize_mask(mask[flip], (side, side)), utils.resize_mask(mask, (side, side))[flip])


@pytest.mark.parametrize("factors", [(2, 2), (3, 3), (3, 5), (4, 5), (15, 15)])
def test_shrinking_an_image_does_not_alias(factors):
    checkerboard = np.repeat(np.indices((60, 60)).sum(axis=0) % 2 * 255, 3).reshape(60, 60, 3).astype(np.uint8)
    shrunk = utils.resize_image(checkerboard, (60 // factors[0], 60 // factors[1]))
    # A new pixel covers as many black pixels as white ones, or one more: grey but for that one, and the rounding.
    assert np.abs(shrunk - 127.5).max() <= 127.5 / np.prod(factors) * (np.prod(factors) % 2) + 0.5


def test_an_image_that_shrinks_one_way_and_grows_the_other_does_not_alias():
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    # Each new column averages as many white columns as black ones: 127.5, rounded.
    assert set(np.unique(utils.resize_image(stripes, (16, 32)))) <= {127, 128}


@given(st.integers(6, 40), st.data())
def test_every_pixel_counts_where_an_image_shrinks(side, data):
    """One white pixel, wherever it lies, is seen in the small image."""
    new = data.draw(st.integers(max(2, side // 8), side))
    image = np.zeros((side, side, 3), np.uint8)
    row, column = data.draw(st.tuples(st.integers(0, side - 1), st.integers(0, side - 1)))
    image[row, column] = 255
    # averaged over fewer than 12×12 pixels: 255/144; interpolated, up to 1.5 times: a quarter each way, 255/16
    assert utils.resize_image(image, (new, new)).sum(axis=(0, 1)).min() >= 1


# --- Large photographs ------------------------------------------------------------------------


def photograph(height, width):
    """A photograph with edges, texture and a camera's noise, RGB."""
    pixels = cv2.resize(skimage.data.astronaut(), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(384, 384), (128, 128), (200, 500), (96, 33)])
def test_a_photograph_decoded_small_looks_like_one_decoded_whole(tmp_path, size):
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph(1600, 2000)).save(path, quality=90)
    small, whole = utils.read_image(path, size), utils.read_image(path)
    assert whole.shape == (1600, 2000, 3)
    assert small.shape[0] >= size[0] and small.shape[1] >= size[1] and small.size <= whole.size / 4
    difference = np.abs(utils.resize_image(small, size).astype(int) - utils.resize_image(whole, size))
    # Both average the same pixels, libjpeg with another window: of 255 levels up to 1.5 in the mean were seen,
    # and 1 % of the pixels, at edges, above 12.
    assert difference.mean() <= 2 and np.percentile(difference, 99) <= 15


def test_decoding_small_does_not_alias(tmp_path):
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.jpg", quality=95)
    small = utils.resize_image(utils.read_image(tmp_path / "a.jpg", (100, 100)), (100, 100))
    assert np.abs(small.astype(int) - 127).max() <= 3  # grey: one column picked of each ten would be black or white


@pytest.mark.parametrize("shape", [(300, 400), (64, 48), (769, 513), (1501, 2000)])
def test_a_small_jpeg_is_decoded_pixel_for_pixel_as_by_opencv(tmp_path, shape):
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph(*shape)).save(path)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    for size in (None, shape, (385, 385) if shape[0] < 1501 else (8, 8), (1, 10_000)):
        assert np.array_equal(utils.read_image(path, size), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_photograph_is_turned_upright(tmp_path, orientation):
    path, exif = tmp_path / "images" / "a.jpg", Image.Exif()
    path.parent.mkdir()
    (tmp_path / "masks").mkdir()
    exif[274] = orientation
    Image.fromarray(photograph(600, 800)).save(path, exif=exif)
    whole = utils.read_image(path)
    Image.new("L", whole.shape[1::-1]).save(tmp_path / "masks" / "a.png")
    small, mask = utils.read_pair(*utils.find_pairs(tmp_path / "images", tmp_path / "masks"), (64, 64))
    assert small.shape[0] * 4 == whole.shape[0] and mask.shape[:2] == whole.shape[:2]
    difference = np.abs(utils.resize_image(small, (64, 64)).astype(int) - utils.resize_image(whole, (64, 64)))
    assert difference.mean() <= 1.5  # as above; a picture that lies on its side is 40 levels away


@pytest.mark.parametrize("turned", [False, True])
def test_a_mask_of_another_size_is_refused_beside_an_image_decoded_small(tmp_path, turned):
    path, exif = tmp_path / "images" / "a.jpg", Image.Exif()
    path.parent.mkdir()
    (tmp_path / "masks").mkdir()
    exif[274] = 6 if turned else 1
    Image.fromarray(photograph(600, 800)).save(path, exif=exif)
    for size in ((800, 600), (600, 800), (599, 800), (75, 100)):
        Image.new("L", size[::-1]).save(tmp_path / "masks" / "a.png")
        pairs = utils.find_pairs(tmp_path / "images", tmp_path / "masks")
        if size == ((800, 600) if turned else (600, 800)):
            utils.read_pair(*pairs, (64, 64))
        else:
            with pytest.raises(DataError, match=f"the mask is {size[0]}×{size[1]} pixels and its image"):
                utils.read_pair(*pairs, (64, 64))


def test_a_jpeg_in_cmyk_is_read_as_opencv_reads_it(tmp_path):
    Image.fromarray(photograph(64, 64)).convert("CMYK").save(tmp_path / "a.jpg")
    expected = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(utils.read_image(tmp_path / "a.jpg", (64, 64)), expected)


def test_a_stem_with_a_dot_is_not_cut(write_pair, tmp_path):
    write_pair(tmp_path, "scan")
    folders = tmp_path / "images", tmp_path / "masks"
    with pytest.raises(utils.DataError, match=r"scan\.v2"):
        utils.find_pairs(*folders, ["scan.v2"])
    write_pair(tmp_path, "scan.v2")
    assert [pair.image.name for pair in utils.find_pairs(*folders, ["scan.v2", "scan.png"])] == [
        "scan.v2.png",
        "scan.png",
    ]


def test_a_split_refuses_an_id_given_twice():
    with pytest.raises(ValueError, match="'a' is given twice"):
        utils.split_ids(["a", "a", "b", "c"], 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(6, 8), (24, 40), (12, 16)])
def test_a_resized_image_keeps_its_dtype_and_channels(size, channels):
    image = utils.resize_image(NOISE[..., :channels], size)
    assert (image.shape, image.dtype) == ((*size, channels), np.uint8)


def test_an_image_of_the_right_size_is_not_changed():
    assert np.array_equal(utils.resize_image(NOISE, (12, 16)), NOISE)


# --- check_mask and encode_mask ----------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 255])
def test_an_object_mask_becomes_zeros_and_ones(value):
    target = utils.encode_mask((OBJECT > 0).astype(np.uint8)[..., None] * np.uint8(value))
    assert target.dtype == np.float32
    assert np.array_equal(target[..., 0], OBJECT > 0)


def test_an_empty_mask_and_a_full_mask_are_masks():
    assert not utils.encode_mask(np.zeros((3, 4, 1), np.uint8)).any()
    assert utils.encode_mask(np.full((3, 4, 1), 255, np.uint8)).all()


@given(
    st.integers(2, 256).flatmap(
        lambda n: st.tuples(st.just(n), arrays(np.uint8, (5, 4, 1), elements=st.integers(0, n - 1)))
    )
)
def test_a_class_mask_becomes_one_hot(case):
    n_classes, mask = case
    target = utils.encode_mask(mask, n_classes)
    assert (target.shape, target.dtype) == ((5, 4, n_classes), np.float32)
    assert np.array_equal(target, mask == np.arange(n_classes))


BAD_VALUES = {  # pixels, n_classes, what the message says
    "0/1/255": ([0, 1, 255, 255], 1, ["1 (1 pixel)", "0 and 255, or 0 and 1", "n_classes=1"]),
    "two grey values": ([0, 128, 128, 7], 1, ["7 (1 pixel), 128 (2 pixels)", "PNG"]),
    "index too high": ([0, 1, 2, 3], 3, ["3 (1 pixel)", "class indices 0 to 2", "n_classes=3"]),
    "255 among classes": ([0, 1, 255, 255], 2, ["255 (2 pixels)", "class indices 0 to 1", "n_classes=2"]),
}


@pytest.mark.parametrize("function", [utils.check_mask, utils.encode_mask])
@pytest.mark.parametrize(("pixels", "n_classes", "says"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_values_outside_the_contract_are_counted_and_refused(function, pixels, n_classes, says):
    with pytest.raises(DataError) as error:
        function(np.array(pixels, np.uint8).reshape(2, 2, 1), n_classes)
    assert [part for part in says if part not in str(error.value)] == []


def test_a_mask_saved_as_jpeg_is_refused(tmp_path):
    (tmp_path / "mask.jpg").write_bytes(jpeg(OBJECT))
    with pytest.raises(DataError, match=r"and \d+ more; expected .* never as JPEG"):
        utils.encode_mask(utils.read_mask(tmp_path / "mask.jpg"))


# --- flip_and_turn ----------------------------------------------------------------------------


def test_all_eight_turns_and_flips_come_up():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    turned = [np.rot90(image, turns) for turns in range(4)]
    expected = {pixels.tobytes() for pixels in [*turned, *(pixels[:, ::-1] for pixels in turned)]}
    results = [utils.flip_and_turn(image, image, np.random.default_rng(seed))[0].tobytes() for seed in range(200)]
    assert set(results) == expected and len(expected) == 8
    assert min(map(results.count, expected)) > 8  # each is due 25 times


@given(arrays(np.uint8, (5, 5, 3)), st.integers(0, 2**32))
def test_image_and_mask_move_together(image, seed):
    turned, mask = utils.flip_and_turn(image, image[..., :1], np.random.default_rng(seed))
    assert (turned.shape, mask.shape) == ((5, 5, 3), (5, 5, 1))
    assert np.array_equal(turned[..., :1], mask)


# --- build_unet -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unet():
    return utils.build_unet("resnet18", img_size=32)


@pytest.fixture(scope="module")
def grey_unet():
    return utils.build_unet("resnet18", n_classes=3, img_size=(32, 64), n_channels=1, momentum=0.5)


def test_a_unet_of_one_class_ends_in_a_sigmoid(unet):
    assert unet.input_shape == (None, 32, 32, 3)
    assert unet.layers[-1].get_config()["activation"] == "sigmoid"
    probabilities = unet.predict_on_batch(np.linspace(0, 1, 32 * 32 * 3).reshape(1, 32, 32, 3))
    assert probabilities.shape == (1, 32, 32, 1)
    assert 0 < probabilities.min() < probabilities.max() < 1


def test_a_unet_of_several_classes_ends_in_a_softmax(grey_unet):
    assert grey_unet.input_shape == (None, 32, 64, 1)
    probabilities = grey_unet.predict_on_batch(np.linspace(0, 1, 2 * 32 * 64).reshape(2, 32, 64, 1))
    assert probabilities.shape == (2, 32, 64, 3)
    assert np.allclose(probabilities.sum(axis=-1), 1, atol=1e-5)


def test_every_batch_normalisation_gets_the_momentum(unet, grey_unet):
    for model, momentum in ((unet, 0.9), (grey_unet, 0.5)):
        found = [layer.momentum for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        assert len(found) > 20 and set(found) == {momentum}


def test_a_unet_is_a_resnet34_from_random_weights_unless_told_otherwise():
    defaults = {name: argument.default for name, argument in inspect.signature(utils.build_unet).parameters.items()}
    assert (defaults["backbone"], defaults["encoder_weights"], defaults["img_size"]) == ("resnet34", None, 128)


@pytest.mark.parametrize(("img_size", "shown"), [(100, "100×100"), ((64, 48), "64×48"), ((48, 64), "48×64")])
def test_a_size_that_five_halvings_do_not_divide_is_refused(img_size, shown):
    with pytest.raises(ValueError, match=f"img_size is {shown}.*multiples of 32"):
        utils.build_unet("resnet18", img_size=img_size)


def test_an_unknown_backbone_is_not_taken_for_missing_weights():
    with pytest.raises(ValueError, match="resnet17"):
        utils.build_unet("resnet17")


# --- ImageNet weights: a process of its own, because Keras reads KERAS_HOME when it is imported


def build_with_weights_from(url, md5, backbone):
    """Build a U-Net whose ImageNet weights lie at `url`; return the weights of each layer."""
    from classification_models.weights import WEIGHTS_COLLECTION

    (entry,) = (e for e in WEIGHTS_COLLECTION if e["name"] == f"{backbone}_imagenet_1000_no_top.h5")
    entry.update(url=f"{url}/{entry['name']}", md5=md5)
    model = utils.build_unet(backbone, img_size=32, encoder_weights="imagenet")
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    return tmp_path_factory.mktemp("keras_home")


@pytest.fixture(scope="module")
def elsewhere(keras_home):
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        patch.setenv("KERAS_HOME", str(keras_home))
        yield lambda *call: pool.submit(*call).result()


@pytest.fixture
def server(tmp_path):
    """The address of a web server over `tmp_path`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_imagenet_weights_are_fetched_and_loaded_exactly(tmp_path, server, elsewhere, keras_home):
    import h5py
    from classification_models.tfkeras import Classifiers
    from keras.src.legacy.saving import legacy_h5_format

    encoder = Classifiers.get("resnet18")[0]((32, 32, 3), include_top=False)
    rng = np.random.default_rng(0)
    stored = {layer.name: [rng.random(w.shape, np.float32) for w in layer.weights] for layer in encoder.layers}
    for layer in encoder.layers:
        layer.set_weights(stored[layer.name])
    file = tmp_path / "resnet18_imagenet_1000_no_top.h5"
    with h5py.File(file, "w") as h5:
        legacy_h5_format.save_weights_to_hdf5_group(h5, encoder)
    md5 = hashlib.md5(file.read_bytes()).hexdigest()

    loaded = elsewhere(build_with_weights_from, server, md5, "resnet18")

    assert (keras_home / "models" / file.name).read_bytes() == file.read_bytes()
    for name, weights in stored.items():
        for one, other in zip(weights, loaded.get(name, []), strict=True):
            assert np.array_equal(one, other), name


def test_imagenet_weights_that_cannot_be_fetched_are_never_replaced_by_random_ones(elsewhere, keras_home):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but it does not listen: nobody answers there
        with pytest.raises(FileNotFoundError) as error:
            elsewhere(build_with_weights_from, f"http://127.0.0.1:{closed.getsockname()[1]}", None, "resnet34")
    for part in ("resnet34_imagenet_1000_no_top.h5", str(keras_home / "models"), "encoder_weights=None"):
        assert part in str(error.value)


# --- iou_per_class ----------------------------------------------------------------------------


class Batches(list):
    """Stands for a generator: (images, masks), where the images are what `ECHO` predicts for them."""

    def __init__(self, batches, n_classes=1):
        super().__init__(batches)
        self.n_classes = n_classes


ECHO = SimpleNamespace(predict_on_batch=lambda images: images)


def plain_iou(truth, found, index):
    either = np.count_nonzero((truth == index) | (found == index))
    return np.count_nonzero((truth == index) & (found == index)) / either if either else 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_classes", [1, 3])
def test_iou_is_that_of_a_plain_count_over_the_whole_set(n_classes, seed):
    rng = np.random.default_rng(seed)
    names = ("ground", "silver", "copper")[: max(2, n_classes)]
    truth = rng.integers(len(names), size=(7, 6, 8, 1))
    predicted = rng.random((7, 6, 8, n_classes), np.float32)
    found = predicted.argmax(axis=-1)[..., None] if n_classes > 1 else predicted > 0.5
    masks = (truth == np.arange(len(names))).astype(np.float32) if n_classes > 1 else truth.astype(np.float32)
    cuts = np.split(predicted, [3, 6]), np.split(masks, [3, 6])  # batches of 3, 3 and 1
    scores = utils.iou_per_class(ECHO, Batches(zip(*cuts, strict=True), n_classes), names)
    assert [score.name for score in scores] == list(names)
    for index, score in enumerate(scores):
        assert score.iou == pytest.approx(plain_iou(truth, found, index))
        assert score.baseline == pytest.approx(plain_iou(truth, np.zeros_like(truth), index))


def test_iou_is_not_a_mean_over_batches():
    full, empty = np.ones((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4, 1), np.float32)
    one_pixel = empty.copy()
    one_pixel[0, 0, 0] = 1
    batches = [(full, full), (empty, one_pixel)]  # IoU 1 over 16 pixels, and 0 over 1
    (_, whole), (_, first), (_, second) = (
        utils.iou_per_class(ECHO, Batches(part), ("ground", "coin"))[1][:2]
        for part in (batches, batches[:1], batches[1:])
    )
    assert whole == pytest.approx(16 / 17)
    assert (first + second) / 2 == pytest.approx(1 / 2)


def test_a_class_that_the_set_does_not_hold_scores_0():
    masks = np.eye(3, dtype=np.float32)[np.zeros((2, 4, 4), int)]
    scores = utils.iou_per_class(ECHO, Batches([(masks, masks)], n_classes=3), ("ground", "silver", "copper"))
    assert [score.name for score in scores] == ["ground", "silver", "copper"]
    assert [score[1:] for score in scores] == [pytest.approx((1, 1)), (0, 0), (0, 0)]


@pytest.mark.parametrize(("n_classes", "expected"), [(1, 2), (3, 3)])
def test_one_name_too_many_or_too_few_is_refused(n_classes, expected):
    for names in (["a"] * (expected - 1), ["a"] * (expected + 1)):
        with pytest.raises(ValueError, match=f"{len(names)} names for {expected} classes: a"):
            utils.iou_per_class(ECHO, Batches([], n_classes), names)


# --- predict_mask and mask_classes ------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 3])
@pytest.mark.parametrize("shape", [(8, 16), (20, 30), (5, 7)])
def test_a_predicted_mask_has_the_size_of_its_image(n_classes, shape):
    seen = []

    def predict_on_batch(images):  # red is the object, or the last class
        seen.append(images)
        return images[..., :1] if n_classes == 1 else images[..., ::-1]

    image = np.zeros((*shape, 3), np.uint8)
    image[..., 2] = 100
    image[:, : shape[1] // 2] = (255, 0, 0)
    mask = utils.predict_mask(SimpleNamespace(input_shape=(None, 8, 16, 3), predict_on_batch=predict_on_batch), image)
    assert (mask.shape, mask.dtype) == ((*shape, 1), np.uint8)
    (images,) = seen
    assert (images.shape, images.dtype, images.max()) == ((1, 8, 16, 3), np.float32, 1)
    expected = np.where(image[..., 0] > 0, max(1, n_classes - 1), 0)
    assert np.mean(mask[..., 0] != expected) < 1 / shape[1]  # less than a column: the outline is smooth


BINARY = np.array([[0, 1], [1, 0]])
INDICES = np.array([[0, 2], [1, 0]])
MASKS = {
    "0 and 255": (BINARY.astype(np.uint8)[..., None] * np.uint8(255), BINARY),
    "0 and 1": (BINARY.astype(np.uint8)[..., None], BINARY),
    "probabilities": (np.where(BINARY, 0.51, 0.49)[..., None], BINARY),
    "indices": (INDICES.astype(np.uint8)[..., None], INDICES),
    "one-hot": (np.eye(3, dtype=np.float32)[INDICES], INDICES),
}


@pytest.mark.parametrize(("mask", "classes"), MASKS.values(), ids=MASKS)
def test_every_form_of_a_mask_gives_class_indices(mask, classes):
    found = utils.mask_classes(mask)
    assert found.dtype.kind == "i"
    assert np.array_equal(found, classes)


# --- Pre-flight -------------------------------------------------------------------------------


def test_a_sample_file_that_is_missing_or_changed_is_named(tmp_path):
    for name in ("same", "changed", "missing"):
        (tmp_path / name).write_text(name)
    sums = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("same", "changed", "missing")]
    (tmp_path / "SHA256SUMS").write_text("".join(sums))
    assert utils.check_sample(tmp_path) == []
    (tmp_path / "changed").write_text("change")
    (tmp_path / "missing").unlink()
    assert utils.check_sample(tmp_path) == ["changed", "missing"]


@pytest.fixture
def good_computer(monkeypatch):
    """A computer with all that a workshop needs; returns monkeypatch, to take some of it away."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", (utils.ROOT / "requirements.txt").read_text(), re.MULTILINE))
    monkeypatch.setattr("preflight.version", pins.__getitem__)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8e9))
    return monkeypatch


@pytest.mark.pinned
def test_a_good_computer_passes_the_pre_flight(good_computer, capsys):
    assert preflight.preflight() is True
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11 and all(line.startswith("PASS  ") for line in lines)


def no_package(name):
    raise PackageNotFoundError(name)


def no_gpu_list(kind):
    raise RuntimeError("no kernel")


BAD_COMPUTERS = {  # what is put in place of what, and what the pre-flight says
    "old package": (
        "preflight.version",
        lambda name: "0.1",
        r"keras 0\.1\n +expected 3\.\S+: run `make clean`",
    ),
    "no package": ("preflight.version", no_package, r"numpy missing\n +expected 2\.\S+: run `make clean`"),
    "one core": ("os.cpu_count", lambda: None, r"1 cores\n +one core"),
    "no memory": ("psutil.virtual_memory", lambda: SimpleNamespace(available=2e9), r"2\.0 GB .*\n +.* 4 GB: close"),
    "no TensorFlow": ("tensorflow.config.list_physical_devices", no_gpu_list, r"start: no kernel\n +run `make clean`"),
    "other Keras": ("keras.config.backend", lambda: "jax", r"Keras runs on jax, .*\n +set KERAS_BACKEND=tensorflow"),
    "bad sample": ("utils.check_sample", lambda: ["a.png"], r"1 files wrong\n +`git checkout data_sample` .* a\.png"),
}


@pytest.mark.parametrize(("name", "replacement", "says"), BAD_COMPUTERS.values(), ids=BAD_COMPUTERS)
def test_the_pre_flight_says_what_fails_and_the_cure(good_computer, capsys, name, replacement, says):
    good_computer.setattr(name, replacement)
    assert preflight.preflight() is False
    assert re.search(f"FAIL  .*{says}", capsys.readouterr().out)
