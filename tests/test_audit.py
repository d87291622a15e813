"""The audit finds each fault, by file and measured value, and nothing else; it changes nothing."""

import csv
import hashlib
import io
import re
import shutil
import struct
import subprocess
import sys
import tracemalloc
import unicodedata
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segfeed.audit import FATAL_FINDINGS, FAULTS, Finding, audit, write_csv
from segfeed.audit.folder import FolderSummary
from segfeed.audit.small import lost_objects
from segfeed.near_duplicates import MAX_DISTANCE
from utils import SAMPLE, DataError, DataGenerator, find_pairs, read_image, read_mask, read_split, resize_mask

STEMS = [f"동전 {number}" for number in range(8)]


def picture(seed, height=40, width=56):
    """Blobs of colour, smooth as a photograph, RGB: no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def disc(height=40, width=56, value=255):
    """A mask of one disc."""
    return cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), 13, value, -1)


def saved(pixels, kind="png", **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(seed, **options):
    return saved(picture(seed), "jpeg", quality=90, **options)


def with_thumbnail(data):
    """A JPEG with a small JPEG in its header, as cameras write it."""
    small = saved(picture(0, 12, 16), "jpeg")
    return data[:2] + b"\xff\xe2" + struct.pack(">H", len(small) + 2) + small + data[2:]


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def half(data):
    """The first half of a JPEG, with the mark of an end."""
    return data[: len(data) // 2] + b"\xff\xd9"


def alpha(pixels, value):
    return np.dstack([pixels, np.full(pixels.shape[:2], value, np.uint8)])


def palette(classes):
    image = Image.fromarray(classes, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    return image


def greys(classes, *shades):
    """A palette file whose indices are shown as shades of grey."""
    image = Image.fromarray(classes, "P")
    image.putpalette([value for shade in shades for value in (shade, shade, shade)])
    return image


def several(kind):
    """Two pictures in one file."""
    first, second = Image.fromarray(disc()), Image.fromarray(255 - disc())
    if kind == "webp":
        first, second = first.convert("RGB"), second.convert("RGB")
    return saved(first, kind, save_all=True, append_images=[second])


def tiff(pixels, tags=(), bits=8):
    """A TIFF of grey pixels, uint8 (H, W), with other tags, {number: (type, value)}, in place of the usual ones."""
    rows = b"".join(np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes() for row in pixels)
    usual = {256: (3, pixels.shape[1]), 257: (3, len(pixels)), 258: (3, bits), 259: (3, 1), 262: (3, 1), 273: (4, 8)}
    usual |= {277: (3, 1), 278: (3, len(pixels)), 279: (4, len(rows))} | dict(tags)
    extra, entries = b"", b""
    for number, (kind, value) in sorted(usual.items()):
        if isinstance(value, bytes):
            entries += struct.pack("<HHII", number, kind, len(value) // (2 if kind == 3 else 1), 8 + len(rows + extra))
            extra += value
        else:
            entries += struct.pack("<HHII", number, kind, 4 if kind == 1 else 1, value)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(rows + extra))
        + rows
        + extra
        + struct.pack("<H", len(usual))
        + entries
        + bytes(4)
    )


def with_size(png, width, height):
    """A PNG file whose header tells another size, and is sealed as if it were true."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def with_pixels(pixels, *places):
    """A copy with other values: (row, column, value)."""
    pixels = pixels.copy()
    for row, column, value in places:
        pixels[row, column] = value
    return pixels


RED, GREEN = (255, 0, 0), (0, 255, 0)
COLOURS = {(0, 0, 0): 0, RED: 1, GREEN: 2}


def coloured(classes):
    return np.array(list(COLOURS), np.uint8)[classes]


@pytest.fixture
def folder(tmp_path):
    """Two folders of 8 pairs without fault: JPEG, and PNG masks of 0 and 255."""
    return make_folder(tmp_path)


def make_folder(root, mask=saved(disc())):  # noqa: B008
    for name in ("images", "masks"):
        (root / name).mkdir()
    for seed, stem in enumerate(STEMS):
        (root / "images" / f"{stem}.jpg").write_bytes(jpeg(seed))
        (root / "masks" / f"{stem}.png").write_bytes(mask)
    return root


def look(folder, **options):
    return audit(folder / "images", folder / "masks", progress=False, **options)


def seen(report, folder):
    """(kind, file) of each finding."""
    return [(finding.kind, Path(finding.file).relative_to(folder).as_posix()) for finding in report]


def state(folder):
    """What tells whether anything in a folder has changed."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


ONE_OTHER = with_pixels(disc(), (3, 5, 7), (3, 6, 7))
SOFT = cv2.GaussianBlur(disc(), (5, 5), 0)

IN_IMAGES = {  # kind: (name of the file, its bytes or None to remove it, what is measured)
    "orphan mask": ("동전 3.jpg", None, "no image 동전 3"),
    "empty file": ("동전 3.jpg", b"", "0 bytes"),
    "truncated file": ("동전 3.jpg", jpeg(3)[:-300], ""),
    "unreadable file": ("동전 3.jpg", b"hello", "b'hell'"),
    "decompression bomb": ("동전 3.png", with_size(saved(picture(3)), 20_000, 20_001), "20001×20000 = 400 megapixels"),
    "wrong extension": ("동전 3.jpg", saved(picture(3)), "holds PNG"),
    "turned by EXIF": ("동전 3.jpg", jpeg(3, exif=turned(3)), "orientation 3"),
    "grey image": ("동전 3.jpg", saved(picture(3)[..., 0], "jpeg"), "no colour; 7 of 8"),
    "several pictures": ("동전 3.gif", several("gif"), "holds 2 pictures"),
    "raw file": ("동전 3.tiff", tiff(picture(3)[..., 0], {50706: (1, 0x04010104)}), "only the small preview"),
    "other channels": (
        "동전 3.tiff",
        tiff(np.zeros((40, 56 * 5), np.uint8), {256: (3, 56), 277: (3, 5)}),
        "5 channels",
    ),
    "transparent image": ("동전 3.png", saved(alpha(picture(3), 127)), "100.0% of the pixels are transparent"),
    "image with alpha": ("동전 3.png", saved(alpha(picture(3), 255)), "all of it is opaque"),
    "image not of 8 bits": ("동전 3.png", saved(picture(3)[..., 0].astype(np.uint16) * 16), "uint16 pixels up to 4"),
    "palette image": ("동전 3.png", saved(Image.fromarray(picture(3)).quantize(16)), "16 colours"),
    "constant image": ("동전 3.jpg", saved(np.full((40, 56, 3), 9, np.uint8), "jpeg"), "every pixel is (9, 9, 9)"),
}

IN_MASKS = {
    "missing mask": ("동전 3.png", None, "no mask 동전 3"),
    "two files for one stem": ("동전 3.tif", saved(disc(), "tiff"), "beside 동전 3.png"),
    "unequal sizes": ("동전 3.png", saved(disc(40, 60)), "40×60 pixels, its image 40×56"),
    "mask saved as JPEG": ("동전 3.jpg", saved(disc(), "jpeg"), "more"),
    "inverted scale": ("동전 3.tiff", tiff(disc(), {262: (3, 0)}), "the scale is inverted"),
    "mask in colour": ("동전 3.png", saved(coloured(disc(value=1))), "(0, 0, 0) in 1"),
    "two object values": ("동전 3.png", saved(with_pixels(disc(), (1, 1, 1))), "1 in 1 pixel, 255 in 5"),
    "soft edges": ("동전 3.png", saved(SOFT), "more"),
    "unknown value": ("동전 3.png", saved(ONE_OTHER), "7 in 2 pixels, the first at row 3, column 5"),
    "mask not of 8 bits": ("동전 3.png", saved(disc().astype(np.uint16) * 4), "uint16 values from 0 to 1020"),
    "empty mask": ("동전 3.png", saved(disc(value=0)), "0 of 2240 pixels"),
    "inverted mask": ("동전 3.png", saved(255 - disc()), "100% of the border; usual is 23."),
}

CATALOGUE = {
    **{kind: ("images", *rest) for kind, rest in IN_IMAGES.items()},
    **{kind: ("masks", *rest) for kind, rest in IN_MASKS.items()},
    "truncated file, mask": ("masks", "동전 3.png", saved(disc())[:-20], ""),
    "truncated file, palette without its end": (
        "masks",
        "동전 3.png",
        saved(palette(disc(value=1)))[:-12],
        "cut off",
    ),
    "truncated file, a grey PNG without its end": ("masks", "동전 3.png", saved(disc())[:-12], "cut off"),
    "truncated file, behind a small picture": ("images", "동전 3.jpg", with_thumbnail(jpeg(3))[:-300], ""),
    "truncated file, PNG": ("images", "동전 3.png", saved(picture(3))[:-200], ""),
    "truncated file, only the mark at the end": ("images", "동전 3.jpg", jpeg(3)[:-2], ""),
    "truncated file, progressive": ("images", "동전 3.jpg", jpeg(3, progressive=True)[:-60], ""),
    "transparent image, by one colour": (
        "images",
        "동전 3.png",
        saved(np.where(disc() > 0, 9, picture(3)[..., 0] | 16).astype(np.uint8), transparency=9),
        "of the pixels are transparent",
    ),
    **{
        f"several pictures, {kind}": ("masks", f"동전 3.{kind}", several(kind), "holds 2 pictures")
        for kind in ("png", "tiff", "webp")
    },
    "several pictures, PGM": ("masks", "동전 3.pgm", 2 * saved(disc(), "ppm"), "holds more than one picture"),
    "several pictures, joined PNG": ("images", "동전 3.png", 2 * saved(picture(3)), "holds more than one picture"),
    "truncated file, half with an end": ("images", "동전 3.jpg", half(jpeg(3)), "cut off"),
    "truncated file, half of a progressive one with an end": (
        "images",
        "동전 3.jpg",
        half(jpeg(3, progressive=True)),
        "cut off",
    ),
    "truncated file, half of one in inks with an end": (
        "images",
        "동전 3.jpg",
        half(saved(Image.fromarray(picture(3)).convert("CMYK"), "jpeg")),
        "cut off",
    ),
    "several pictures, ImageJ": (
        "masks",
        "동전 3.tiff",
        tiff(disc(), {270: (2, b"ImageJ=1.54f\nimages=30\nslices=30\n\0")}),
        "holds 30 pictures",
    ),
    "palette of greys": ("masks", "동전 3.gif", saved(greys(disc(value=1), 0, 2), "gif"), "the value 1 as the grey 2"),
    "palette of greys, inverted": ("masks", "동전 3.bmp", saved(greys(disc(value=1), 255, 0), "bmp"), "the grey 255"),
    "inverted scale, PBM": ("masks", "동전 3.pbm", saved(disc() > 0, "ppm"), "inverted"),
    "image not of 8 bits, colour": (
        "images",
        "동전 3.png",
        cv2.imencode(".png", picture(3).astype(np.uint16) * 16)[1].tobytes(),
        "uint16",
    ),
    "constant image, PNG": ("images", "동전 3.png", saved(np.full((40, 56, 3), RED, np.uint8)), "(255, 0, 0)"),
    "wrong extension, mask": ("masks", "동전 3.bmp", saved(disc()), "holds PNG"),
    "mask in colour, transparent": (
        "masks",
        "동전 3.png",
        saved(alpha(np.dstack([disc()] * 3), 9)),
        "of the mask's pixels are transparent",
    ),
    "empty file, mask": ("masks", "동전 3.png", b"", "0 bytes"),
    "mask in another case": ("masks", "동전 3A.png", saved(disc()), "its mask is"),
}


def break_it(folder, where, name, data):
    """Put one fault into a folder; returns the file."""
    path = folder / where / name
    if data is None:
        path.unlink()
        other = "masks" if where == "images" else "images"
        return next((folder / other).glob(f"{path.stem}.*"))
    if "3A" in name:
        (folder / "masks" / "동전 3.png").unlink()
        (folder / "images" / "동전 3.jpg").rename(folder / "images" / "동전 3a.jpg")
        path.write_bytes(data)
        return folder / "images" / "동전 3a.jpg"
    if path.suffix != ".tif":
        for old in (folder / where).glob(f"{path.stem}.*"):
            old.unlink()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("where", "name", "data", "measured"), CATALOGUE.values(), ids=CATALOGUE)
def test_each_fault_is_found_for_its_file_and_nothing_else(folder, request, where, name, data, measured):
    kind = request.node.callspec.id.partition(",")[0]
    file = break_it(folder, where, name, data)
    before = state(folder)
    report = look(folder)
    assert seen(report, folder) == [(kind, file.relative_to(folder).as_posix())]
    assert measured in report[0].measured
    assert report[0][3:] == FAULTS[kind]
    assert state(folder) == before


def stops(folder):
    """Whether the generator stops somewhere in a folder, with an error that names the pair."""
    folders = folder / "images", folder / "masks"
    try:
        generator = DataGenerator([pair.stem for pair in find_pairs(*folders)], *folders, batch_size=1, img_size=32)
        for index in range(len(generator)):
            generator[index]
    except DataError as error:
        assert "동전 3" in unicodedata.normalize("NFC", str(error))
        return True
    return False


@pytest.mark.parametrize(("where", "name", "data", "measured"), CATALOGUE.values(), ids=CATALOGUE)
def test_a_fault_is_fatal_if_and_only_if_the_generator_stops(folder, request, where, name, data, measured):
    case = request.node.callspec.id
    break_it(folder, where, name, data)
    assert stops(folder) == (case.partition(",")[0] in FATAL_FINDINGS)


def test_a_folder_without_fault_has_no_finding(folder):
    report = look(folder)
    assert report == [] and report.pairs == 8
    assert [share.images for share in report.balance] == [1, 1]
    share = np.mean(disc() > 0)
    assert [share.pixels for share in report.balance] == pytest.approx([1 - share, share])


def test_masks_of_classes_keep_their_indices(tmp_path):
    make_folder(tmp_path, saved(disc(value=2)))
    (tmp_path / "masks" / "동전 4.png").write_bytes(saved(palette(disc(value=2))))
    (tmp_path / "masks" / "동전 5.png").write_bytes(saved(with_pixels(disc(value=2), (30, 9, 4))))
    report = look(tmp_path, n_classes=3)
    assert seen(report, tmp_path) == [("unknown value", "masks/동전 5.png"), ("rare class", "masks")]
    assert report[0].measured == "4 in 1 pixel, the first at row 30, column 9"
    assert report[1].measured == "class 1: 0.00% of the pixels, in 0.0% of the masks"
    assert seen(look(tmp_path, n_classes=3, ignore=4), tmp_path) == [("rare class", "masks")]
    with pytest.raises(ValueError, match="ignore is 256"):
        look(tmp_path, ignore=256)


def test_masks_in_colour_become_classes_by_the_table(tmp_path):
    make_folder(tmp_path, saved(coloured(np.maximum(disc(value=1), np.eye(40, 56, dtype=np.uint8) * 2))))
    strange = with_pixels(coloured(disc(value=1)), (7, 2, (9, 8, 7)), (7, 3, (9, 8, 7)), (8, 0, (1, 1, 1)))
    (tmp_path / "masks" / "동전 5.png").write_bytes(saved(strange))
    report = look(tmp_path, colours=COLOURS)
    assert seen(report, tmp_path) == [("unknown colour", "masks/동전 5.png")]
    assert report[0].measured == "(9, 8, 7) in 2 pixels, the first at row 7, column 2; 1 more, 1 pixel"
    assert len(report.balance) == 3 and report.balance[2].pixels == pytest.approx(40 / 2240, abs=1e-3)
    assert seen(look(tmp_path, colours={**COLOURS, (9, 8, 7): 255, (1, 1, 1): 255}, ignore=255), tmp_path) == []


def test_with_a_table_the_audit_and_the_generator_take_the_same_masks(tmp_path):
    table = {(0, 0, 0): 0, (128, 0, 0): 1, (255, 255, 255): 2}
    make_folder(tmp_path, saved(palette(disc(value=1))))
    masks = tmp_path / "masks"
    (masks / "동전 4.png").write_bytes(saved(disc()))  # grey: black and white are colours too
    (masks / "동전 5.png").write_bytes(saved(palette(disc(value=2))))  # green is not in the table
    (masks / "동전 6.png").write_bytes(saved(alpha(np.dstack([disc()] * 3), 254)))
    report = look(tmp_path, colours=table)
    assert seen(report, tmp_path) == [("mask in colour", "masks/동전 6.png"), ("unknown colour", "masks/동전 5.png")]
    assert report[0].measured == "100.0% of the mask's pixels are transparent, and what lies there is not said"
    assert read_mask(masks / "동전 4.png", table).max() == 2
    for stem in ("동전 5", "동전 6"):
        with pytest.raises(DataError, match=f"{stem}.png"):
            read_mask(masks / f"{stem}.png", table)


def test_an_image_in_another_unicode_form_than_its_mask_is_found(folder):
    name = unicodedata.normalize("NFD", "동전 3.jpg")
    (folder / "images" / "동전 3.jpg").rename(folder / "images" / name)
    report = look(folder)
    assert seen(report, folder) == [("names differ in Unicode form", f"images/{name}")]
    assert "in NFD, its mask '동전 3.png' in NFC" in report[0].measured


def test_one_name_in_two_unicode_forms_is_found(folder):
    name = unicodedata.normalize("NFD", "동전 3.png")
    (folder / "masks" / name).write_bytes(saved(disc()))
    if len(list((folder / "masks").iterdir())) == 8:
        pytest.skip("this disk takes both forms for one name")
    (finding,) = look(folder)
    assert finding.kind == "two files for one stem" and Path(finding.file).name == name
    assert "in NFD, beside" in finding.measured


def test_a_mask_whose_name_differs_in_case_belongs_to_one_image_only(folder):
    for stem, seed in (("b", 20), ("B", 21)):
        (folder / "images" / f"{stem}a.jpg").write_bytes(jpeg(seed))
    (folder / "masks" / "BA.png").write_bytes(saved(disc()))
    if len(list((folder / "images").iterdir())) == 9:
        pytest.skip("this disk takes both for one name")
    kinds = [finding.kind for finding in look(folder)]
    assert sorted(kinds) == ["mask in another case", "missing mask", "names differ in case"]


def test_two_pairs_whose_names_differ_in_case_are_found(folder):
    for stem, seed in (("b", 20), ("B", 21)):
        (folder / "images" / f"{stem}.jpg").write_bytes(jpeg(seed))
        (folder / "masks" / f"{stem}.png").write_bytes(saved(disc()))
    if len(list((folder / "masks").iterdir())) == 9:
        pytest.skip("this disk takes both for one name")
    report = look(folder)
    assert seen(report, folder) == [("names differ in case", "images/b.jpg"), ("names differ in case", "masks/b.png")]
    assert report[0].measured == "beside B.jpg"


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_the_size_of_a_turned_image_is_that_which_the_reader_gives(tmp_path, folder, orientation, kind):
    break_it(folder, "images", f"동전 3.{kind}", saved(picture(3), kind, exif=turned(orientation)))
    kinds = [finding.kind for finding in look(folder)]
    upright = read_image(folder / "images" / f"동전 3.{kind}").shape[:2]
    assert kinds == ["turned by EXIF"] + ["unequal sizes"] * (upright != (40, 56))
    assert kind == "png" or upright == (56, 40)


def test_a_jpeg_that_is_damaged_in_the_middle_is_found(folder):
    data = bytearray(jpeg(3))
    data[-120:-100] = b"\xff\xd0" * 10  # marks that do not belong there
    break_it(folder, "images", "동전 3.jpg", bytes(data))
    (finding,) = look(folder)
    assert finding.kind == "truncated file" and finding.measured == "the file is cut off or damaged: pixels are missing"
    assert stops(folder)


def test_a_jpeg_with_bytes_that_mean_nothing_is_damaged_and_read(folder):
    break_it(folder, "images", "동전 3.jpg", jpeg(3)[:-2] + bytes(9) + b"\xff\xd9")
    (finding,) = look(folder)
    assert finding.kind == "damaged file" and "extraneous bytes" in finding.measured
    assert not stops(folder)


def test_a_jpeg_of_inks_and_one_with_something_behind_its_end_are_no_fault(folder):
    break_it(folder, "images", "동전 3.jpg", saved(Image.fromarray(picture(3)).convert("CMYK"), "jpeg"))
    break_it(folder, "images", "동전 4.jpg", jpeg(4) + b"a film of the same scene")
    assert look(folder) == []


def test_a_folder_of_grey_images_is_no_fault(folder):
    for seed, stem in enumerate(STEMS):
        (folder / "images" / f"{stem}.jpg").write_bytes(saved(picture(seed)[..., 0], "jpeg"))
    assert look(folder) == []


# --- Splits ----------------------------------------------------------------------------------


def test_a_picture_saved_again_in_another_split_is_found_once(folder):
    small = Image.fromarray(picture(1)).resize((112, 80))
    (folder / "images" / "동전 6.jpg").write_bytes(saved(small, "jpeg", quality=60))
    (folder / "masks" / "동전 6.png").write_bytes(saved(disc(80, 112)))
    splits = {"train": STEMS[:4], "validation": STEMS[4:6], "test": [*STEMS[6:], "없음"]}
    report = look(folder, splits=splits)
    assert seen(report, folder) == [
        ("split without file", "images/없음"),
        ("same picture in two splits", "images/동전 6.jpg"),
    ]
    assert report[0].measured == "in test"
    assert "of 144 bits differ from 동전 1.jpg in train" in report[1].measured
    assert seen(look(folder, splits={"train": STEMS}), folder) == []


def test_a_stem_in_two_splits_is_found(folder):
    report = look(folder, splits={"train": STEMS[:5], "test": STEMS[4:]})
    assert seen(report, folder) == [("same picture in two splits", "images/동전 4.jpg")]
    assert report[0].measured == "in test; 0 of 144 bits differ from 동전 4.jpg in train"
    parts = {"train": STEMS[:2], "validation": [*STEMS[2:4], STEMS[0]], "test": [*STEMS[4:], STEMS[0]]}
    assert seen(look(folder, splits=parts), folder) == [("same picture in two splits", "images/동전 0.jpg")]  # once


def test_twins_are_those_of_a_plain_comparison():
    rng = np.random.default_rng(0)
    kept = FolderSummary(3000, 2)
    kept.hashes = rng.integers(0, [2**64, 2**64, 2**16], (3000, 3), np.uint64)
    kept.hashed = rng.random(3000) < 0.9
    for number in range(2000, 2100):  # up to 56 bits differ
        kept.hashes[number] = kept.hashes[number - 2000] ^ rng.integers(0, [2**20, 2**20, 2**16], 3, np.uint64)
    ones, others = np.arange(2000), np.arange(2000, 3000)

    def differ(one, other):
        return int(np.bitwise_count(kept.hashes[one] ^ kept.hashes[other]).sum())

    plain = {
        other
        for other in range(2000, 2100)  # the others, drawn by chance, are far from all
        if kept.hashed[other] and kept.hashed[other - 2000] and differ(other - 2000, other) <= MAX_DISTANCE
    }
    found = list(kept.twins(ones, others))
    assert {other for other, _, _ in found} == plain and len(found) == len(plain) > 20
    for other, one, bits in found:
        assert differ(one, other) == bits


# --- The sample, and all at once -------------------------------------------------------------


def test_the_sample_has_no_fault():
    assert audit(SAMPLE / "images", SAMPLE / "masks", splits=read_split(), progress=False) == []
    report = audit(SAMPLE / "images", SAMPLE / "masks_by_class", n_classes=3, progress=False)
    assert report == [] and len(report.balance) == 3


def test_all_faults_at_once_are_all_found_and_none_twice(tmp_path):
    """Each fault in a pair of its own, beside 60 good ones."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for seed in range(60):
        (tmp_path / "images" / f"good {seed}.jpg").write_bytes(jpeg(1000 + seed))
        (tmp_path / "masks" / f"good {seed}.png").write_bytes(saved(disc()))
    expected = set()
    for number, (name, (where, file, data, _)) in enumerate(CATALOGUE.items()):
        kind, stem, suffix = name.partition(",")[0], f"탈 {number}", Path(file).suffix
        image, mask = f"{stem}.jpg", f"{stem}.png"
        (tmp_path / "images" / image).write_bytes(jpeg(2000 + number))
        (tmp_path / "masks" / mask).write_bytes(saved(disc()))
        if kind == "mask in another case":
            (tmp_path / "masks" / mask).rename(tmp_path / "masks" / mask.replace("탈", "Ж"))
            (tmp_path / "images" / image).rename(tmp_path / "images" / image.replace("탈", "ж"))
            expected.add((kind, f"images/ж {number}.jpg"))
            continue
        old = tmp_path / where / (image if where == "images" else mask)
        if data is None:
            expected.add((kind, f"masks/{mask}" if where == "images" else f"images/{image}"))
        else:
            expected.add((kind, f"{where}/{stem}{suffix}"))
        if kind != "two files for one stem":
            old.unlink()
        if data is not None:
            (tmp_path / where / f"{stem}{suffix}").write_bytes(data)
    before = state(tmp_path)
    report = look(tmp_path)
    found = seen(report, tmp_path)
    assert len(set(found)) == len(found) and set(found) == expected
    assert [finding.kind for finding in report] == sorted((f.kind for f in report), key=list(FAULTS).index)
    assert state(tmp_path) == before


def test_every_kind_of_fault_is_in_the_tests():
    elsewhere = {"names differ in Unicode form", "split without file", "damaged file", "unknown colour"}
    elsewhere |= {"same picture in two splits", "rare class", "names differ in case", "object lost at this size"}
    elsewhere |= {"dead link", "special file", "hidden file", "subfolder", "ambiguous name"}
    elsewhere |= {"group in two splits", "id twice in a split", "picture in no split"}
    assert {name.partition(",")[0] for name in CATALOGUE} | elsewhere == FAULTS.keys()
    for why, cure in FAULTS.values():
        assert why.endswith(".") and cure.endswith(".")


# --- The report ------------------------------------------------------------------------------


def test_the_report_is_a_table_by_kind_with_counts(folder):
    break_it(folder, "masks", "동전 3.png", saved(disc(value=0)))
    break_it(folder, "masks", "동전 4.png", saved(disc(value=0)))
    break_it(folder, "images", "동전 5.jpg", b"")
    lines = str(look(folder)).splitlines()
    assert lines[0] == "empty file (1)" and "empty mask (2)" in lines
    assert lines[-1] == "3 findings in 8 pairs."
    assert sum("동전 3.png" in line for line in lines) == 1
    assert any(line.startswith("class 1:") and "in  75.00% of the masks" in line for line in lines)


def test_findings_come_back_from_csv(folder, tmp_path):
    break_it(folder, "masks", "동전 3.png", saved(ONE_OTHER))
    break_it(folder, "images", "동전 5.jpg", b"")
    report = look(folder)
    write_csv(report, tmp_path / "findings.csv")
    with open(tmp_path / "findings.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == Finding._fields
    assert [Finding(*row) for row in rows[1:]] == report and len(report) == 2


def test_the_pairs_are_counted_on_the_error_output(folder, capsys):
    audit(folder / "images", folder / "masks")
    captured = capsys.readouterr()
    assert captured.out == "" and re.search(r"\raudit: 100%.* 8/8 ", captured.err)
    look(folder)
    assert capsys.readouterr().err == ""


def test_the_command_writes_a_table_and_tells_by_its_status(folder, tmp_path):
    command = [sys.executable, "-m", "segfeed", "audit", folder / "images", folder / "masks"]
    command += ["--csv", tmp_path / "a.csv"]
    good = subprocess.run(command, capture_output=True, check=True)
    assert b"0 findings in 8 pairs." in good.stdout
    break_it(folder, "images", "동전 5.jpg", b"")
    bad = subprocess.run(command, capture_output=True)
    assert bad.returncode == 1 and "동전 5.jpg" in (tmp_path / "a.csv").read_text(encoding="utf-8-sig")


def test_the_command_knows_colours_and_void(tmp_path):
    make_folder(tmp_path, saved(coloured(np.where(disc() > 0, 2, 0))))
    (tmp_path / "table.csv").write_text("0,0,0,0\n255,0,0,1\n0,255,0,255\n")

    def said(*more):
        command = [sys.executable, "-m", "segfeed", "audit", tmp_path / "images", tmp_path / "masks", *more]
        return subprocess.run(command, capture_output=True, text=True)

    assert "mask in colour" in said().stdout
    report = look(tmp_path, colours={**COLOURS, GREEN: 255}, ignore=255)
    assert said("--colours", tmp_path / "table.csv", "--ignore", "255").stdout == f"{report}\n"
    assert "mask in colour" not in str(report)
    refused = said("--ignore", "300")
    assert refused.returncode == 2 and "--ignore: 300: a mask holds values from 0 to 255" in refused.stderr
    assert "cannot be opened" in said("--colours", tmp_path / "none").stderr


def test_a_missing_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        audit(tmp_path / "nowhere", tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="nothing to look at"):
        audit(tmp_path / "a", tmp_path / "b")
    command = [sys.executable, "-m", "segfeed", "audit", tmp_path / "nowhere", tmp_path]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.startswith("Stopped: there is no folder") and not refused.stdout


# --- Decompression bombs, memory, clean folders ----------------------------------------------


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("kind", ["png", "bmp", "jpeg"])
def test_a_bomb_is_refused_by_name_and_size_before_it_is_decoded(tmp_path, read, kind):
    data = bytearray(saved(disc(), kind))
    if kind == "png":
        data = with_size(bytes(data), 60_000, 4_000)
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", 60_000, 4_000)
    else:
        start = data.index(b"\xff\xc0")
        data[start + 5 : start + 9] = struct.pack(">HH", 4_000, 60_000)
    (tmp_path / "폭탄").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"폭탄: .*(4000×60000|240000000 pixels)[^.]* .*Cut the picture into tiles"):
        read(tmp_path / "폭탄")
    assert tracemalloc.get_traced_memory()[1] < 2**24  # of 720 MB
    tracemalloc.stop()


def test_memory_grows_by_less_than_a_kilobyte_a_file(tmp_path):
    def peak(count):
        root = tmp_path / str(count)
        root.mkdir()
        for name in ("images", "masks"):
            (root / name).mkdir()
        for number in range(count):
            shutil.copy(tmp_path / "a.jpg", root / "images" / f"{number}.jpg")
            shutil.copy(tmp_path / "a.png", root / "masks" / f"{number}.png")
        tracemalloc.start()
        assert look(root) == []
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    (tmp_path / "a.png").write_bytes(saved(disc()))
    peak(100)  # loads what is loaded once
    few, many = peak(300), peak(600)
    assert (many - few) / 600 < 1000


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=6, unique=True), st.integers(16, 70), st.data())
def test_random_folders_without_fault_have_no_finding(tmp_path_factory, seeds, side, data):
    root = tmp_path_factory.mktemp("clean")
    n_classes = data.draw(st.sampled_from([1, 2, 5]))
    for name in ("images", "masks"):
        (root / name).mkdir()
    for seed in seeds:
        stem = data.draw(st.text("abc동전 ._-", min_size=1, max_size=3)).strip(" .") + f"{seed}"
        height, width = data.draw(st.tuples(st.integers(16, 70), st.just(side)))
        kind, options = data.draw(st.sampled_from([("png", {}), ("jpeg", {"quality": 80}), ("bmp", {})]))
        (root / "images" / f"{stem}.{kind}").write_bytes(saved(picture(seed, height, width), kind, **options))
        mask = np.arange(height * width).reshape(height, width) % max(2, n_classes)
        mask = (mask * (255 if n_classes == 1 else 1)).astype(np.uint8)
        mask_kind = data.draw(st.sampled_from(["png", "bmp", "tiff"]))
        (root / "masks" / f"{stem}.{mask_kind}").write_bytes(saved(mask, mask_kind))
    assert look(root, n_classes=n_classes) == []


# --- Objects that vanish -----------------------------------------------------------------------


@given(st.integers(0, 2**32), st.sampled_from([(32, 32), (32, 64), (64, 64), (96, 96)]))
def test_lost_objects_are_those_without_a_pixel_left(seed, size):
    rng = np.random.default_rng(seed)
    mask = np.zeros((200, 260), np.uint8)
    for number in range(12):  # far apart, so that each is an object
        row, column = 10 + 60 * (number // 4), 8 + 64 * (number % 4)
        height, width = rng.integers(1, 30, 2)
        mask[row : row + height, column : column + width] = number % 3 + 1
    small = resize_mask(mask[..., None], size)[..., 0]
    where = [resize_mask(((mask == c) * 255).astype(np.uint8)[..., None], size) for c in (1, 2, 3)]
    found = lost_objects(mask, size)
    classes = [c for c in (1, 2, 3) if not (small == c).any()]
    if found is None:
        assert not classes and all(cv2.connectedComponents(one)[0] == 5 for one in where)
        return
    assert found.objects == 12 and found.classes == classes
    assert lost_objects(mask, found.keeps) is None and found.keeps[0] % 32 == 0
    assert found.lost == sum(5 - cv2.connectedComponents(one)[0] for one in where)


def test_the_audit_names_objects_that_vanish_at_a_size(folder):
    thin = with_pixels(disc(), *((row, 3, 255) for row in range(40)))
    (folder / "masks" / "동전 3.png").write_bytes(saved(thin))
    assert look(folder) == []
    report = look(folder, size=(32, 32))
    assert seen(report, folder) == [("object lost at this size", "masks/동전 3.png")]
    assert report[0].measured == "1 of 2 objects at 32×32; 64×64 keeps them"
    assert "At 64×64 no object would be lost." in str(report)
    command = [sys.executable, "-m", "segfeed", "audit", folder / "images", folder / "masks", "--size", "32"]
    assert "1 of 2 objects at 32×32" in subprocess.run(command, capture_output=True, text=True).stdout


def test_a_class_that_vanishes_is_named(tmp_path):
    make_folder(tmp_path, saved(with_pixels(disc(value=1), (2, 9, 2))))
    report = look(tmp_path, n_classes=3, size=(32, 32))
    lost = next(finding for finding in report if finding.kind == "object lost at this size")
    assert lost.measured == "1 of 2 objects at 32×32; nothing is left of class 2; 64×64 keeps them"
