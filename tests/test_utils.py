"""Every public function of utils: what it returns, and what it says when it cannot."""

import hashlib
import inspect
import io
import re
import shutil
import subprocess
import sys
import threading
import unicodedata
from collections import namedtuple
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import utils
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps
from utils import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
OBJECT = np.zeros((12, 16), np.uint8)
OBJECT[2:9, 3:12] = 255


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


def test_importing_utils_loads_no_tensorflow():
    code = "import sys, utils; sys.exit(str({'tensorflow', 'keras'} & sys.modules.keys() or ''))"
    done = subprocess.run([sys.executable, "-c", code], cwd=utils.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (1, "")


def test_the_generator_can_be_imported_from_utils():
    from generator import DataGenerator
    from utils import DataGenerator as same

    assert same is DataGenerator
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
    assert utils.find_pairs(imgs, str(masks)) == [
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
    "two masks": (["a.png"], ["a.png", "a.bmp"], None, ["2 mask files", "'a'", "a.bmp, a.png", "Keep one"]),
    "two images": (["a.png", "a.jpg"], ["a.png"], ["a"], ["2 image files", "'a'", "a.jpg, a.png", "Keep one"]),
    "id twice": (["a.png"], ["a.png"], ["a", "a.png"], ["'a' is given twice", "once"]),
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
    assert sorted(sum(parts, [])) == sorted(ids)
    assert parts == utils.split_ids(ids, 1, len(ids) - 2, seed=seed)


def test_a_split_is_fixed_by_its_seed():
    assert utils.split_ids("abcdefgh", 2, 1) == [list("ecdba"), list("hg"), list("f")]
    assert utils.split_ids("abcdefgh", 2, 1, seed=1) != utils.split_ids("abcdefgh", 2, 1)


@pytest.mark.parametrize("sizes", [(), (0,), (-1, 2), (3,), (2, 1)])
def test_a_split_with_an_empty_part_is_refused(sizes):
    with pytest.raises(ValueError, match=f"3 ids cannot give parts of {re.escape(str(sizes))}.*at least one"):
        utils.split_ids("abc", *sizes)


def test_a_split_is_read_from_its_table(tmp_path):
    (tmp_path / "split.csv").write_text("stem,split,coins\n0001,train,1 2\n0002,test,3\n0003,train,1\n")
    assert utils.read_split(tmp_path) == {"train": ["0001", "0003"], "test": ["0002"]}


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
    "truncated PNG": (png(NOISE)[:300], ["PNG", "image viewer"]),
    "truncated palette PNG": (png(voc(OBJECT % 3))[:70], ["image viewer"]),
    "damaged palette PNG": (png(voc(OBJECT % 3)).replace(b"PLTE", b"PLTF"), ["image viewer"]),
    "truncated JPEG": (jpeg(NOISE)[:-40], ["xff", "image viewer"]),
}

BAD_IMAGES = UNREADABLE | {
    "16 bits": (png(np.full((12, 16), 4095, np.uint16)), ["uint16", "4095", "expected 8-bit", "Scale"]),
    "half transparent": (
        png(np.vstack([with_alpha(NOISE, 255), with_alpha(NOISE, 254)])),
        ["50.0%", "transparent", "background"],
    ),
    "transparent colour": (png(np.zeros((4, 4, 3), np.uint8), transparency=(0, 0, 0)), ["100.0%", "background"]),
    "transparent index": (png(voc(OBJECT % 2), transparency=0), ["%", "transparent", "background"]),
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

CLASSES = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16) % 3
GOOD_MASKS = {
    "grey": (png(CLASSES), CLASSES),
    "1 bit": (png(Image.fromarray(OBJECT).convert("1")), OBJECT),
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
    "transparent": (png(with_alpha(np.dstack([OBJECT] * 3), 128)), ["(12, 16, 4)", "Save it as a grey"]),
    "16 bits": (png(np.full((12, 16), 256, np.uint16)), ["uint16", "256", "Save the mask with 8 bits"]),
    "fractions": (tiff(np.full((12, 16), 0.7, np.float32)), ["float32", "0.7", "Save the mask with 8 bits"]),
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


@pytest.mark.parametrize("size", [(32, 32), (16, 16), (8, 32), (2, 4)])
def test_shrinking_an_image_does_not_alias(size):
    checkerboard = np.repeat(np.indices((64, 64)).sum(axis=0) % 2 * 255, 3).reshape(64, 64, 3).astype(np.uint8)
    # Each new pixel covers as many black pixels as white ones: 127.5, which may be rounded either way.
    assert np.abs(utils.resize_image(checkerboard, size) - 127.5).max() == 0.5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(6, 8), (24, 40), (12, 16)])
def test_a_resized_image_keeps_its_dtype_and_channels(size, channels):
    image = utils.resize_image(NOISE[..., :channels], size)
    assert (image.shape, image.dtype) == ((*size, channels), np.uint8)


def test_an_image_of_the_right_size_is_not_changed():
    assert np.array_equal(utils.resize_image(NOISE, (12, 16)), NOISE)


# --- encode_mask ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 255])
def test_an_object_mask_becomes_zeros_and_ones(value):
    target = utils.encode_mask((OBJECT > 0).astype(np.uint8)[..., None] * np.uint8(value))
    assert target.dtype == np.float32
    assert np.array_equal(target[..., 0], OBJECT > 0)


def test_an_empty_mask_and_a_full_mask_are_masks():
    assert not utils.encode_mask(np.zeros((3, 4, 1), np.uint8)).any()
    assert utils.encode_mask(np.full((3, 4, 1), 255, np.uint8)).all()


@given(st.integers(2, 256).flatmap(lambda n: st.tuples(st.just(n), arrays(np.uint8, (5, 4, 1), elements=st.integers(0, n - 1)))))
def test_a_class_mask_becomes_one_hot(case):
    n_classes, mask = case
    target = utils.encode_mask(mask, n_classes)
    assert (target.shape, target.dtype) == ((5, 4, n_classes), np.float32)
    assert np.array_equal(target, mask == np.arange(n_classes))


BAD_VALUES = {  # pixels, n_classes, what the message says
    "0/1/255": ([0, 1, 255, 255], 1, ["1 (1 pixels)", "0 and 255, or 0 and 1", "n_classes=1"]),
    "two grey values": ([0, 128, 128, 7], 1, ["7 (1 pixels), 128 (2 pixels)", "PNG"]),
    "index too high": ([0, 1, 2, 3], 3, ["3 (1 pixels)", "class indices 0 to 2", "n_classes=3"]),
    "255 among classes": ([0, 1, 255, 255], 2, ["255 (2 pixels)", "class indices 0 to 1", "n_classes=2"]),
}


@pytest.mark.parametrize(("pixels", "n_classes", "says"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_values_outside_the_contract_are_counted_and_refused(pixels, n_classes, says):
    with pytest.raises(DataError) as error:
        utils.encode_mask(np.array(pixels, np.uint8).reshape(2, 2, 1), n_classes)
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
