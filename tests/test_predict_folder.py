"""`segfeed predict`: masks, overlays and tables of a folder, tiles, what it reads and refuses, and kills."""

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, TiffImagePlugin
from skimage.measure import label, regionprops_table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from segfeed.classes import read_classes_table  # noqa: E402
from segfeed.decode import read_image  # noqa: E402
from segfeed.inference import folder, pictures, results  # noqa: E402
from segfeed.inference.bands import Band, Grid, TileSum, resized_bands  # noqa: E402
from segfeed.inference.ensemble import Ensemble, Network, symmetries, turned, turned_back  # noqa: E402
from segfeed.inference.folder import Job, Tiling, predict_folder  # noqa: E402
from segfeed.inference.objects import ObjectTable  # noqa: E402
from segfeed.inference.output import Output  # noqa: E402
from segfeed.inference.pictures import LargePicture, SmallPicture  # noqa: E402
from segfeed.inference.png import NpzWriter, PngWriter  # noqa: E402
from segfeed.inference.results import Category, Options, Result, classes_of  # noqa: E402
from segfeed.inference.strips import PartedTiff  # noqa: E402
from segfeed.masks import read_mask  # noqa: E402

BYTES = "\udcb5\udcbf" if sys.platform == "linux" else ""  # in a name, two bytes that are no UTF-8
COIN = [Category("background", (0, 0, 0)), Category("coin, round", (230, 159, 0))]
THREE = [Category(name, (index, 99 * index, 7)) for index, name in enumerate(("background", "leaf", "stem"))]

# --- A picture without a model ---------------------------------------------------------------


def bands(array, cuts):
    """The array in bands that end at these rows."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(array)}), len(array)]
    return [(start, array[start:stop]) for start, stop in itertools.pairwise(edges)]


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)),
    st.lists(st.integers(1, 11)),
    st.integers(1, 4),
)
def test_objects_are_those_that_scikit_image_finds_in_the_whole_picture(classes, cuts, min_area):
    probabilities = np.random.default_rng(0).random(classes.shape, np.float32)
    table = ObjectTable()
    for start, rows in bands(classes, cuts):
        table.add(start, rows, probabilities[start : start + len(rows)])
    found, kept = table.finish(min_area)
    whole = label(classes, background=0, connectivity=2)
    properties = ("area", "centroid", "bbox", "intensity_mean")
    expected = regionprops_table(whole, probabilities, properties=properties)
    expected["class"] = [classes[whole == n][0] for n in range(1, whole.max() + 1)]
    names = ("class", "area", "centroid-1", "centroid-0", "bbox-1", "bbox-0", "bbox-3", "bbox-2", "intensity_mean")
    rows = [row for row in zip(*(expected[name] for name in names), strict=True) if row[1] >= min_area]
    assert len(rows) == len(found)
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(rows), rtol=1e-5)
    assert [(one.top, one.left) for one in found] == sorted((one.top, one.left) for one in found)
    areas = np.bincount(whole.ravel())
    areas[0] = 0
    for start, stop, known in table.bands(kept):
        parts = label(classes[start:stop], background=0, connectivity=2)
        assert (known[parts] == (areas >= min_area)[whole[start:stop]]).all()


@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(1, 8)), st.integers(1, 256))
def test_a_png_written_by_rows_is_read_by_others(tmp_path_factory, height, width, cuts, colours):
    rng, path = np.random.default_rng(height), tmp_path_factory.getbasetemp() / "rows.png"
    palette = [tuple(map(int, colour)) for colour in rng.integers(0, 256, (colours, 3))]
    for dtype, given_palette in ((np.uint8, palette), (np.uint16, ())):
        pixels = rng.integers(0, colours if given_palette else 65536, (height, width)).astype(dtype)
        writer = PngWriter(path, height, width, given_palette)
        for _, rows in bands(pixels, cuts):
            writer.write(rows)
        writer.close()
        with Image.open(path) as image:
            assert image.mode == ("P" if given_palette else "I;16")
            assert (np.array(image) == pixels).all()
            if given_palette:
                assert (np.array(image.convert("RGB")) == np.array(palette, np.uint8)[pixels]).all()
            else:
                assert (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == pixels).all()


def test_an_npz_written_by_rows_is_read_by_numpy(tmp_path):
    probabilities = np.random.default_rng(0).random((7, 5, 3), np.float32)
    writer = NpzWriter(tmp_path / "p.npz", probabilities.shape)
    for _, rows in bands(probabilities, [3, 4]):
        writer.write(rows)
    writer.close()
    with np.load(tmp_path / "p.npz") as found:
        assert (found["probabilities"] == probabilities.astype(np.float16)).all()


SIDES = st.integers(1, 40)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(1, 5), st.integers(1, 2000))
def test_probabilities_are_resized_in_bands_as_opencv_resizes_the_whole(h, w, height, width, channels, values):
    small = np.random.default_rng(0).random((h, w, channels), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segfeed.inference.bands.BAND", values)
        found = list(resized_bands([small, small], height, width))
    assert [band.start for band in found] == [0, *(band.stop for band in found[:-1])] and found[-1].stop == height
    whole = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)
    np.testing.assert_allclose(np.concatenate([band.probabilities for band in found]), 2 * whole, atol=1e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 100), st.floats(0, 0.9))
def test_tiles_cover_a_picture_and_their_weights_add_up_to_one(height, width, tile, overlap):
    grid = Grid(height, width, tile, overlap)
    total = np.zeros((max(height, tile), max(width, tile)))
    for index in range(len(grid)):
        top, left = grid.tops[index // len(grid.lefts)], grid.lefts[index % len(grid.lefts)]
        total[top : top + tile, left : left + tile] += grid.weights(index)[..., 0]
    np.testing.assert_allclose(total, 1, atol=1e-5)
    for starts, side in ((grid.tops, height), (grid.lefts, width)):
        assert starts[-1] == max(0, side - tile)
        assert all(after - before <= max(1, tile - overlap * tile) for before, after in itertools.pairwise(starts))


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.floats(0, 0.9), st.integers(1, 3))
def test_tiles_of_a_picture_give_the_picture_again(height, width, tile, overlap, channels):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    grid = Grid(height, width, tile, overlap)
    tiles = TileSum(grid)
    found = [
        tiles.add(grid.read(SmallPicture(image), index)[..., :channels] / np.float32(1)) for index in range(len(grid))
    ]
    rows = np.concatenate([band.probabilities for band in found if band])
    np.testing.assert_allclose(rows, image[..., :channels], atol=1e-3)


@given(st.integers(1, 9), st.integers(1, 9))
def test_views_are_all_different_and_are_turned_back(height, width):
    batch = np.arange(2 * height * width * 3).reshape(2, height, width, 3)
    views = symmetries((height, width))
    assert len(views) == (8 if height == width else 4)
    for view in views:
        assert (turned_back(turned(batch, *view), *view) == batch).all()
        assert turned(batch, *view).shape == batch.shape
    if height > 2 and width > 2:
        assert len({turned(batch, *view).tobytes() for view in views}) == len(views)


# --- Large pictures --------------------------------------------------------------------------

FILES = {
    "jpg": {},
    "png": {},
    "bmp": {},
    "uncompressed.tif": {},
    "one strip.tif": {"tiffinfo": {278: 1000}},
    "deflate.tif": {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 7}},
    "lzw.tif": {"compression": "tiff_lzw", "tiffinfo": {278: 16}},
    "packbits.tif": {"compression": "packbits", "tiffinfo": {278: 5}},
    "jpeg.tif": {"compression": "jpeg", "tiffinfo": {278: 16}},
}


MODES_AND_TURNS = [("RGB", 1), ("RGB", 2), ("RGB", 3), ("RGB", 6), ("RGB", 8), ("L", 5), ("P", 1), ("P", 7), ("1", 1)]


@pytest.mark.parametrize(("mode", "turn"), MODES_AND_TURNS)
@pytest.mark.parametrize("name", FILES)
def test_a_large_picture_has_the_pixels_of_a_small_one(tmp_path, monkeypatch, name, mode, turn):
    if (mode in "P1" and "jp" in name) or (turn > 1 and name == "bmp"):
        return  # such a file does not exist
    monkeypatch.setattr(pictures, "STEP", 500)
    monkeypatch.setattr("segfeed.inference.strips.PART", 500)
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8), (53, 61))
    path = tmp_path / f"picture.{name}"
    options = dict(FILES[name])
    exif = Image.Exif()
    exif[274] = turn
    if name.endswith("tif"):
        info = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in (options.pop("tiffinfo", {}) | {274: turn}).items():
            info[tag] = value
        options["tiffinfo"] = info
    elif name != "bmp":
        options["exif"] = exif
    Image.fromarray(smooth).convert(mode).save(path, **options)
    whole, large = read_image(path), LargePicture(path, tmp_path)
    assert (PartedTiff.open(path) is not None) == (name.endswith("tif") and turn == 1)
    assert (large.height, large.width) == whole.shape[:2]
    found = np.concatenate([large.rows(start, stop) for start, stop in large.bands()])
    assert np.abs(found.astype(int) - whole).max() <= (
        2 if name == "jpeg.tif" else 0
    )  # where strips meet, colours are smoothed
    resized = large.resized((20, 15)).astype(int)
    assert np.abs(resized - SmallPicture(found).resized((20, 15))).max() <= 1  # that rounds once more


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([16, 32, 48]))
@settings(max_examples=15)
def test_a_tiff_of_tiles_is_read_row_of_tiles_by_row(tmp_path_factory, height, width, side):
    """Written here, because Pillow writes no tiles."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    down, across = -(-height // side), -(-width // side)
    padded = np.zeros((down * side, across * side, 3), np.uint8)
    padded[:height, :width] = image
    pixels = [padded[y * side :][:side, x * side :][:, :side] for y in range(down) for x in range(across)]
    tiles = [zlib.compress(tile.tobytes()) for tile in pixels]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    start = 8 + 2 + 12 * 12 + 4 + 6 + 8 * len(tiles)
    places = itertools.accumulate(map(len, tiles[:-1]), initial=start)
    for tag, value in {
        256: width, 257: height, 258: (8, 8, 8), 259: 8, 262: 2, 277: 3, 284: 1, 322: side, 323: side,
        324: tuple(places), 325: tuple(map(len, tiles)),
    }.items():  # fmt: skip
        tags[tag] = value
    path = tmp_path_factory.getbasetemp() / "tiles.tif"
    with open(path, "wb") as file:
        tags.save(file)
        file.seek(start)
        file.write(b"".join(tiles))
    assert (read_image(path) == image).all()
    large = LargePicture(path, path.parent)
    assert PartedTiff.open(path)
    assert (large.rows(0, height) == image).all()


# --- One picture and its files ---------------------------------------------------------------


def make_result(folder, image, probabilities, cuts=(), **changes):
    options = Options(COIN if probabilities.shape[-1] < 3 else THREE, 0.5, 1, None, True)._replace(**changes)
    result = Result(SmallPicture(image), options, folder, "x")
    for start, rows in bands(probabilities, cuts):
        result.add(Band(start, start + len(rows), rows))
    return result.finish()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_files_of_a_picture_do_not_depend_on_its_bands(tmp_path, monkeypatch, channels):
    rng = np.random.default_rng(channels)
    image = rng.integers(0, 256, (50, 41, 3), dtype=np.uint8)
    probabilities = cv2.resize(rng.random((10, 9, channels), np.float32), (41, 50)).reshape(50, 41, channels)
    probabilities[:9, :9] = np.eye(max(2, channels))[0, :channels] if channels > 1 else 0
    probabilities[4:6, 4:6] = 1 - probabilities[4:6, 4:6]  # four pixels of another class
    whole = make_result(tmp_path, image, probabilities, min_area=20)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    mask = np.array(Image.open(tmp_path / "x.mask"))
    suffix = "npz" if channels > 1 else "png"
    assert set(files) == {"x.mask", "x.overlay", f"x.{suffix}"}
    monkeypatch.setattr(results, "STEP", 200)
    (tmp_path / "cut").mkdir()
    assert make_result(tmp_path / "cut", image, probabilities, (1, 9, 30), min_area=20) == whole
    assert (np.array(Image.open(tmp_path / "cut" / "x.mask")) == mask).all()
    assert (tmp_path / "cut" / "x.overlay").read_bytes() == files["x.overlay"]
    classes, _ = classes_of(probabilities, 0.5)
    assert whole["pixels_per_class"] == np.bincount(mask.ravel(), minlength=len(whole["pixels_per_class"])).tolist()
    assert ((mask == classes) | (mask == 0)).all() and (mask != classes).any()
    assert min(np.bincount(label(mask, connectivity=2).ravel())) >= 20


def test_an_overlay_shows_class_and_outline_and_is_no_larger_than_a_screen_can_use(tmp_path, monkeypatch):
    image, probabilities = np.full((60, 90, 3), 200, np.uint8), np.zeros((60, 90, 1), np.float32)
    probabilities[20:40, 30:60] = 1
    make_result(tmp_path, image, probabilities)
    drawn = np.array(Image.open(tmp_path / "x.overlay")).astype(int)
    assert drawn.shape == (60, 90, 3)
    assert np.abs(drawn[30, 45] - (np.array(COIN[1].colour) // 2 + 100)).max() < 12
    assert np.abs(drawn[5, 5] - 200).max() < 5 and drawn[30, 30].min() > 180 and drawn[30, 29].max() < 90
    monkeypatch.setattr(results, "OVERLAY_SIDE", 40)
    make_result(tmp_path, image, probabilities)
    assert Image.open(tmp_path / "x.overlay").size == (30, 20)


# --- Runs and the command --------------------------------------------------------------------


def bright(side=32, slope=20.0):
    """A Keras model whose probability is a steep function of the brightness, and 0.5 at 127.5."""
    import keras

    images = keras.Input((side, side, 3), dtype="uint8")
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid")
    model = keras.Model(images, layer(keras.layers.Rescaling(1 / 255)(images)))
    layer.set_weights([np.full((1, 1, 3, 1), slope / 3, np.float32), np.array([-slope / 2], np.float32)])
    return model


def write_run(folder, model, categories=COIN, **about):
    folder.mkdir(parents=True)
    model.save(folder / "best.keras")
    rows = [
        {"index": index, "name": one.name, "colour": "#{:02x}{:02x}{:02x}".format(*one.colour)}
        for index, one in enumerate(categories)
    ]
    content = {"format": 2, "model": "best.keras", "input": "uint8", "classes": rows}
    content |= {
        "size": list(model.input_shape[1:3]),
        "threshold": 0.5,
        "crop": None,
        "versions": {},
        "scores": {},
    } | about
    (folder / "run.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "bright", bright())


def discs(path, seed=0, size=(90, 120), turn=1):
    """A dark picture with two bright discs."""
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 30, np.uint8)
    for centre in ((30, 30), (85, 60)):
        cv2.circle(image, centre, int(rng.integers(8, 16)), (220, 210, 200), -1)
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(image).save(path, exif=exif)
    return image


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(4):
        discs(tmp_path / "images" / f"{number}.png", number)
    return tmp_path / "images"


@pytest.fixture
def predict(run_folder, tmp_path, capsys):
    """Run the command on `images`; its exit status and what it said."""
    from segfeed.__main__ import main

    def run(*words, runs=run_folder, images=tmp_path / "images", out=tmp_path / "out"):
        status = main(["predict", *map(str, [runs, images, out, *words])])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def rows_of(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_masks_overlays_and_tables(photos, predict, tmp_path):
    out = tmp_path / "out"
    whole = discs(photos / "turned.jpg", 9, (100, 60), turn=6)
    status, said = predict("--pixel-size", "0.5", "--probabilities")
    assert status == 0, said
    assert (
        said == f"5 pictures predicted; 9 objects in all. {out} holds masks, overlays, objects.csv and pictures.csv.\n"
    )
    assert sorted(os.listdir(out)) == [
        *("finished.jsonl", "masks", "objects.csv", "overlays", "pictures.csv", "predict.json", "probabilities"),
    ]
    for stem, size in {"0": (120, 90), "turned": (100, 60)}.items():
        mask, overlay = Image.open(out / "masks" / f"{stem}.png"), Image.open(out / "overlays" / f"{stem}.jpg")
        assert (
            mask.mode == "P" and mask.getpalette()[:6] == [0, 0, 0, 230, 159, 0] and mask.size == overlay.size == size
        )
        probability = np.array(Image.open(out / "probabilities" / f"{stem}.png"))
        assert ((probability > 32767.5) == np.array(mask)).all()
    upright = np.rot90(whole, -1)[..., 0] > 127  # as EXIF says
    assert np.mean((np.array(mask) > 0) != upright) < 0.05
    pictures_csv, objects_csv = rows_of(out / "pictures.csv"), rows_of(out / "objects.csv")
    assert [row["picture"] for row in pictures_csv] == ["0.png", "1.png", "2.png", "3.png", "turned.jpg"]
    assert list(pictures_csv[0]) == ["picture", "height", "width", "coin, round_objects", "coin, round_share"]
    share = np.mean(np.array(Image.open(out / "masks" / "0.png")) > 0)
    assert pictures_csv[0]["coin, round_objects"] == "2"
    assert float(pictures_csv[0]["coin, round_share"]) == pytest.approx(share, abs=1e-6)
    first = objects_csv[0]
    assert (first["picture"], first["object"], first["class"]) == ("0.png", "1", "coin, round")
    assert float(first["area_mm2"]) == int(first["area_px"]) / 4
    assert abs(float(first["centre_x"]) - 30) < 2 and abs(float(first["centre_y"]) - 30) < 2
    assert int(first["left"]) < 30 < int(first["right"]) and 0.5 < float(first["mean_probability"]) <= 1
    status, said = predict("--pixel-size", "0.5", "--probabilities")
    assert status == 0 and said.startswith("0 pictures predicted, 5 were finished before; 9 objects in all.")


def test_small_objects_become_background(photos, predict, tmp_path):
    discs(photos / "0.png", 0, (50, 60))  # one disc
    image = np.array(Image.open(photos / "0.png"))
    image[40:46, 50:56] = 255
    Image.fromarray(image).save(photos / "0.png")
    assert predict("--min-area", "100")[0] == 0
    mask = np.array(Image.open(tmp_path / "out" / "masks" / "0.png"))
    assert mask[30, 30] == 1 and not mask[36:, 46:].any()
    assert all(int(row["area_px"]) >= 100 for row in rows_of(tmp_path / "out" / "objects.csv"))


def test_pictures_in_shards_are_predicted(photos, predict, tmp_path):
    from segfeed.pack import pack_pairs

    (tmp_path / "masks").mkdir()
    for path in photos.iterdir():
        Image.fromarray(np.zeros((90, 120), np.uint8)).save(tmp_path / "masks" / path.name)
    pack_pairs(photos, tmp_path / "masks", tmp_path / "packed")
    assert predict()[0] == 0 and predict(images=tmp_path / "packed" / "images", out=tmp_path / "again")[0] == 0
    for name in ("objects.csv", "masks/3.png", "overlays/3.jpg"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize(
    "colours",
    [
        [(0, 0, 0), (128, 128, 128), (255, 255, 255)],
        [(255, 255, 255), (1, 2, 3), (2, 2, 2)],
        [(9, 8, 7), (1,) * 3, (0,) * 3],
    ],
)
def test_masks_and_the_table_beside_them_can_be_read_whatever_the_colours(photos, predict, tmp_path, colours):
    categories = [Category(name, colour) for name, colour in zip(("ground", "동전", "a,b"), colours, strict=True)]
    run, out = write_run(tmp_path / "run", three_classes(), categories), tmp_path / "out"
    stripes(photos / "0.png")
    assert predict(runs=run)[0] == 0
    table = read_classes_table(path := out / "masks" / "classes.csv")
    assert table.names == {0: "background", 1: "동전", 2: "a,b"}
    assert colours[1] != (1, 2, 3) or table.rows[1].colour == "#010203"
    palette = np.array(Image.open(out / "masks" / "0.png").getpalette()[:9]).reshape(3, 3)
    assert [row.colour for row in table.rows] == ["#{:02X}{:02X}{:02X}".format(*colour) for colour in palette]
    assert np.unique(read_mask(out / "masks" / "0.png")).tolist() == [0, 1, 2]
    with Output(out, json.loads((out / "predict.json").read_text(encoding="utf-8"))) as output:
        path.write_text("mine")
        output.write_classes(categories)
        assert path.read_text() == "mine"


def three_classes():
    """A model that finds class 1 where red is, and class 2 where green is."""
    import keras

    images = keras.Input((32, 32, 3), dtype="uint8")
    scores = keras.layers.Conv2D(3, 1, activation="softmax")
    model = keras.Model(images, scores(keras.layers.Rescaling(1 / 255)(images)))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 0, 1] = kernel[0, 0, 1, 2] = 20
    scores.set_weights([kernel, np.array([10, 0, 0], np.float32)])
    return model


def stripes(path):
    """A picture with red beside green, on black."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 20:40, 0], image[:, 40:60, 1] = 255, 255
    Image.fromarray(image).save(path)


@pytest.mark.parametrize("side", [1e-4, 0.05, 3.0])
def test_areas_have_six_digits_however_small_a_pixel_is(photos, predict, tmp_path, side):
    assert predict("--pixel-size", str(side))[0] == 0
    rows = rows_of(tmp_path / "out" / "objects.csv")
    assert rows
    for row in rows:
        assert float(row["area_mm2"]) == pytest.approx(int(row["area_px"]) * side**2, rel=1e-5)


def test_names_may_be_odd_and_files_broken(photos, predict, tmp_path):
    out = tmp_path / "out"
    odd = [
        "동전, 둘.png",
        "–.png",
        "$1.png",
        "=1+1.png",
        f"a{BYTES}.png",
        *(["new\nline.png"] if os.name != "nt" else []),
    ]
    for name in odd:
        discs(photos / name)
    (photos / "cut.png").write_bytes((photos / "0.png").read_bytes()[:200])
    (photos / "empty.jpg").touch()
    (photos / "notes.txt").write_text("no picture")
    discs(photos / "3.jpg")
    discs(photos / ".hidden.png")
    (photos / "deeper").mkdir()
    discs(photos / "deeper" / "5.png")
    (photos / "Thumbs.db").touch()
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(photos / "deep.png")
    status, said = predict()
    assert status == 1
    assert (
        f"8 files could not be predicted; {out / 'errors.csv'} names all. The first: {photos / '.hidden.png'}: hid"
        in said
    )
    errors = {row["picture"]: row["error"] for row in rows_of(out / "errors.csv")}
    assert {name: words.replace(f"{photos}{os.sep}", "") for name, words in errors.items()} == {
        ".hidden.png": ".hidden.png: hidden file, its name begins with a dot. Rename it without the dot, or delete it.",
        "3.jpg": "3.jpg: 3.jpg and 3.png would get one mask. Rename one of them.",
        "3.png": "3.png: 3.jpg and 3.png would get one mask. Rename one of them.",
        "cut.png": "cut.png: the file is cut off (200 bytes, no end). Copy it again from its source.",
        "deep.png": "deep.png: uint16 pixels up to 0, expected 8-bit. Scale them to 0–255 by the full range of your "
        "camera and save again.",
        "deeper": "deeper: subfolder, it holds 1 picture. Subfolders are not read. Move the pictures up (each needs a "
        "name of its own), or move it elsewhere.",
        "empty.jpg": "empty.jpg: the file is empty (0 bytes). Copy it again from its source.",
        "notes.txt": errors["notes.txt"].replace(f"{photos}{os.sep}", ""),
    }
    assert "notes.txt: not an image that can be decoded (it begins with b'no p')" in errors["notes.txt"]
    named = [name.encode(errors="backslashreplace").decode() for name in odd]
    assert {row["picture"] for row in rows_of(out / "pictures.csv")} == {"0.png", "1.png", "2.png", *named}
    masks = {os.fsdecode(path) for path in os.listdir(out / "masks")}
    assert masks == {"0.png", "1.png", "2.png", "classes.csv", *odd}
    for name in ("cut.png", "empty.jpg", "notes.txt", "3.jpg", ".hidden.png", "deep.png"):
        (photos / name).unlink()
    (photos / "deeper" / "5.png").rename(photos / "5.png")
    status, said = predict()
    assert status == 0 and said.startswith("2 pictures predicted, 9 were finished before"), said
    assert not (out / "errors.csv").exists() and len(rows_of(out / "pictures.csv")) == 11


def test_what_lies_in_the_folder_is_not_overwritten(photos, predict, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()
    assert predict() == (2, f"Stopped: {out} holds other files, such as mine.txt: give a new folder.\n")
    (out / "mine.txt").unlink()
    assert predict()[0] == 0
    corrected = (out / "masks" / "0.png").write_bytes(b"corrected by hand")
    discs(photos / "new.png")
    (out / "masks" / "new.png").write_bytes(b"somebody's")
    status, said = predict()
    assert (
        status == 1 and f"{out / 'masks' / 'new.png'} is there already, and not by this command. Move it away" in said
    )
    assert (out / "masks" / "0.png").stat().st_size == corrected
    (out / "masks" / "new.png").unlink()
    assert predict()[0] == 0
    os.utime(photos / "1.png")  # as after a copy
    assert predict()[0] == 0
    discs(photos / "1.png", 77)
    status, said = predict()
    assert (
        status == 1
        and f"{photos / '1.png'} has changed since it was predicted. Delete {out / 'masks' / '1.png'}" in said
    )
    (out / "masks" / "1.png").unlink()
    status, said = predict()
    assert status == 0 and said.startswith("1 pictures predicted, 4 were finished before")
    assert len(rows_of(out / "pictures.csv")) == 5
    (out / "masks" / "x").mkdir()
    (out / "finished.jsonl").write_bytes(b"{}\n" + (out / "finished.jsonl").read_bytes())
    assert predict() == (2, f"Stopped: {out / 'finished.jsonl'} is damaged at byte 0: give a new folder.\n")


def test_other_options_in_the_same_folder_are_refused(photos, predict, tmp_path):
    out = tmp_path / "out"
    assert predict()[0] == 0
    for words, told in {
        ("--threshold", "0.7"): "--threshold was 0.5 and is 0.7",
        ("--tile", "64"): "--tile was None and is 64; --overlap was None and is 0.25",
        ("--tta",): "--tta was False and is True",
        ("--min-area", "3", "--pixel-size", "2"): "--min-area was 1 and is 3; --pixel-size was None and is 2.0",
        ("--probabilities",): "--probabilities was False and is True",
    }.items():
        said = f"Stopped: {out} holds predictions with other options: {told}. Give a new folder.\n"
        assert predict(*words) == (2, said)
    other = write_run(tmp_path / "other", bright(slope=30))
    assert "holds predictions with other options: the model was " in predict(runs=other)[1]
    assert predict("--batch", "1")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tile", "0"), "--tile is 0: give a side in pixels, at least 1."),
        (("--overlap", "1"), "--overlap is 1.0: give a share from 0 to 0.9."),
        (("--overlap", "nan"), "--overlap is nan: give a share from 0 to 0.9."),
        (("--threshold", "0"), "--threshold is 0.0: give more than 0, at most 1."),
        (("--min-area", "0"), "--min-area is 0: give pixels, at least 1."),
        (("--pixel-size", "-1"), "--pixel-size is -1.0: give millimetres, more than 0."),
        (("--pixel-size", "inf"), "--pixel-size is inf: give millimetres, more than 0."),
        (("--batch", "0"), "--batch is 0: give at least 1."),
    ],
)
def test_options_out_of_their_range_are_named(photos, predict, tmp_path, words, told):
    assert predict(*words) == (2, f"Stopped: {told}\n")
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_fit_are_named(photos, predict, tmp_path, run_folder):
    said = f"Stopped: {photos} is given for the pictures and for the predictions. Give two folders.\n"
    assert predict(out=photos) == (2, said)
    told = "holds no run.json: give the folder of a finished run, as `segfeed train --output` names it."
    assert predict(runs=tmp_path) == (2, f"Stopped: {tmp_path} {told}\n")
    status, said = predict(images=tmp_path / "none")
    assert status == 2 and f"there is no folder {tmp_path / 'none'}" in said
    (tmp_path / "bare").mkdir()
    assert predict(images=tmp_path / "bare") == (
        2,
        f"Stopped: {tmp_path / 'bare'} holds no picture. Check the folder's name.\n",
    )
    (tmp_path / "file").touch()
    said = f"Stopped: {tmp_path / 'file'} is a file: give the name of a folder, which may be new.\n"
    assert predict(out=tmp_path / "file") == (2, said)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 3}, "is of format 3, and at most 2 is read here: install the version of segfeed that wrote it."),
        ({"classes": []}, "cannot be read (ValueError: the classes have not the indices 0, 1, …)."),
        ({"size": 7}, "cannot be read (TypeError: cannot unpack non-iterable int object). Train the run again."),
        ({"classes": [{"index": 0, "name": "a", "colour": "red"}, {"index": 1, "name": "b", "colour": "red"}]},
         "cannot be read (ValueError: the colour 'red' is not #rrggbb). Train the run again."),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_named(photos, predict, tmp_path, run_folder, change, told):
    run = tmp_path / "run"
    run.mkdir()
    content = json.loads((run_folder / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | change))
    (run / "best.keras").write_bytes((run_folder / "best.keras").read_bytes())
    status, said = predict(runs=run)
    assert status == 2 and said.startswith(f"Stopped: {run / 'run.json'} {told}")


def test_damaged_files_of_a_run_are_named(photos, predict, tmp_path, run_folder):
    run = write_run(tmp_path / "run", bright())
    (run / "best.keras").write_bytes(b"damaged")
    status, said = predict(runs=run)
    assert (
        status == 2 and f"Stopped: {run / 'best.keras'} cannot be loaded (" in said and "Train the run again." in said
    )
    (run / "run.json").write_text("{")
    status, said = predict(runs=run)
    assert status == 2 and f"Stopped: {run / 'run.json'} cannot be read (JSONDecodeError" in said


# --- Several models, views, classes, tiles ---------------------------------------------------


def test_several_runs_and_views_are_averaged(photos, predict, tmp_path, run_folder):
    steep = write_run(tmp_path / "steep", bright(slope=60))
    large = write_run(tmp_path / "large", bright(side=48))
    for name, words in {"one": (), "two": ("--model", steep), "again": ("--model", run_folder, steep)}.items():
        assert predict("--probabilities", *words, out=tmp_path / name)[0] == 0
    assert predict("--probabilities", runs=steep, out=tmp_path / "steep only")[0] == 0
    one, two, again, other = (
        np.array(Image.open(tmp_path / name / "probabilities" / "0.png")).astype(float)
        for name in ("one", "two", "again", "steep only")
    )
    assert (two == again).all() and np.abs(two - (one + other) / 2).max() <= 1 and np.abs(two - one).max() > 1000
    assert predict("--model", large, "--tta", out=tmp_path / "sizes")[0] == 0
    assert predict("--model", large, "--tta", "--tile", "40", out=tmp_path / "tiles")[0] == 0
    renamed = [COIN[0], Category("leaf", (1, 2, 3))]
    leaf = write_run(tmp_path / "leaf", bright(), renamed)
    said = (
        f"Stopped: the runs have other classes: background, coin, round in {run_folder}, background, leaf in {leaf}. "
    )
    assert predict("--model", leaf, out=tmp_path / "x") == (
        2,
        f"{said}Give runs that were trained on the same classes.\n",
    )
    crops = write_run(tmp_path / "crops", bright(), crop=32)
    said = f"Stopped: the runs were trained on squares of different sides (whole pictures in {run_folder}, 32 in "
    assert predict("--model", crops, out=tmp_path / "x") == (2, f"{said}{crops}): give --tile.\n")


def test_views_of_a_model_that_looks_to_one_side_are_averaged():
    seen = []

    def left(batch):
        """As probable as the left half is bright."""
        seen.append(batch)
        return np.repeat(np.repeat(batch[:, :1, :1, :1] / 255, 4, 1), 4, 2)

    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[0, 0, 0] = 255
    found = Ensemble([Network((4, 4), left)], tta=True).predict((4, 4), image)
    assert len(seen) == 8 and np.allclose(found, 0.25)  # two of the eight views have the bright corner there


def test_three_classes(photos, predict, tmp_path):
    run = write_run(tmp_path / "run", three_classes(), THREE)
    stripes(photos / "0.png")  # leaf beside stem
    assert predict("--probabilities", runs=run)[0] == 0
    out = tmp_path / "out"
    mask = Image.open(out / "masks" / "0.png")
    assert mask.getpalette()[:9] == [0, 0, 7, 1, 99, 7, 2, 198, 7]
    assert [int(np.array(mask)[30, x]) for x in (10, 30, 50, 70)] == [0, 1, 2, 0]
    assert np.load(out / "probabilities" / "0.npz")["probabilities"].shape == (60, 80, 3)
    row = rows_of(out / "pictures.csv")[0]
    assert list(row)[3:] == ["leaf_objects", "leaf_share", "stem_objects", "stem_share"] and row["leaf_objects"] == "1"
    assert [one["class"] for one in rows_of(out / "objects.csv") if one["picture"] == "0.png"] == ["leaf", "stem"]
    said = predict("--threshold", "0.4", runs=run, out=tmp_path / "x")[1]
    assert said == (
        f"Stopped: --threshold is 0.4, and {run} has a probability for each of 3 classes, of which the largest wins. "
        f"Leave it out.\n"
    )


def convolutions(size, halvings=0):
    """Random layers that see 3 pixels to each side, or more where an image is halved; any size of images."""
    import keras

    keras.utils.set_random_seed(1)
    images = keras.Input((*size, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    for _ in range(2):
        x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", bias_initializer="random_normal")(x)
    wide = x
    for _ in range(halvings):
        x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(keras.layers.MaxPooling2D()(x))
    for _ in range(halvings):
        x = keras.layers.UpSampling2D()(x)
    x = keras.layers.Concatenate()([x, wide])
    outputs = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid", kernel_initializer="random_normal")(x)
    return keras.Model(images, outputs)


@pytest.mark.parametrize(
    ("halvings", "tile", "overlap", "size"),
    [(0, 32, 0.4, (50, 71)), (0, 24, 0.5, (24, 99)), (0, 64, 0.2, (70, 130)), (3, 192, 0.6, (256, 320))],
)
def test_tiles_are_without_seams(halvings, tile, overlap, size):
    """Where what a network sees fits into the outer quarter of an overlap, tiles are the whole picture's prediction.

    The difference is that of float32 sums in another order.
    """
    from segfeed import predict as predict_image

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    model = convolutions((None, None), halvings)
    whole = np.asarray(model.predict_on_batch(image[None])[0])
    _, tiled = predict_image(model, image, tile=tile, overlap=overlap)
    np.testing.assert_allclose(tiled, whole, atol=2e-6)
    assert np.ptp(whole) > 0.01


def test_a_model_of_one_size_takes_tiles_of_another(photos, predict, tmp_path):
    run = write_run(tmp_path / "run", convolutions((32, 32)))
    assert predict("--tile", "48", "--overlap", "0.5", "--probabilities", runs=run)[0] == 0
    from segfeed import load_run
    from segfeed import predict as predict_image

    image = read_image(photos / "0.png")
    _, tiled = predict_image(load_run(run), image, tile=48, overlap=0.5)
    stored = np.array(Image.open(tmp_path / "out" / "probabilities" / "0.png")) / 65535
    np.testing.assert_allclose(stored, tiled[..., 0], atol=2e-5)
    whole = convolutions(image.shape[:2]).predict_on_batch(image[None])[0]
    np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_tiles_that_a_model_cannot_take_are_named(photos, predict, tmp_path):
    import keras

    run = write_run(tmp_path / "run", convolutions((32, 32), halvings=3))
    status, said = predict("--tile", "36", runs=run)
    assert status == 2 and f"the model of {run} cannot take tiles of 36×36 pixels (" in said
    assert said.endswith("Give --tile a multiple of 32, or the side on which it was trained, 32.\n")
    images = keras.Input((8, 8, 3), dtype="uint8")
    flat = keras.layers.Dense(64, activation="sigmoid")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images)))
    fixed = write_run(tmp_path / "fixed", keras.Model(images, keras.layers.Reshape((8, 8, 1))(flat)))
    assert "cannot take tiles of 32×32 pixels" in predict("--tile", "32", runs=fixed)[1]
    assert predict(runs=fixed)[0] == 0


def test_a_run_that_was_trained_on_squares_is_used_on_tiles(photos, predict, tmp_path):
    run = write_run(tmp_path / "run", convolutions((32, 32)), crop=32)
    assert predict(runs=run)[0] == 0
    assert json.loads((tmp_path / "out" / "predict.json").read_text(encoding="utf-8"))["--tile"] == 32


# --- Earlier runs ----------------------------------------------------------------------------


def write_old_run(folder, model, **options):
    folder.mkdir(parents=True)
    model.save(folder / "best.keras")
    classes = model.output_shape[-1]
    options = {"size": [32, 32], "classes": classes, "encoder_weights": "none", "backbone": "resnet18"} | options
    names = ["ground", "object"] if classes == 1 else [f"class {n}" for n in range(classes)]
    content = {"command": "segfeed train", "options": options, "scores": {name: {"iou": 0.5} for name in names}}
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def float_model(channels=1):
    import keras

    images = keras.Input((32, 32, 3))
    return keras.Model(images, keras.layers.Conv2D(channels, 3, padding="same", activation="sigmoid")(images))


@pytest.mark.parametrize(
    "backbone", ["resnet18", "vgg16", "mobilenetv2", "efficientnetb0", "densenet121", "inceptionv3"]
)
def test_an_earlier_run_gets_the_preprocessing_that_its_generator_did(tmp_path, backbone):
    from segfeed import load_run

    model = float_model()
    run = load_run(write_old_run(tmp_path / backbone, model, backbone=backbone, encoder_weights="imagenet"))
    import segmentation_models as sm

    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = model.predict_on_batch(sm.get_preprocessing(backbone)(images.astype(np.float32)))
    np.testing.assert_allclose(run.model.predict_on_batch(images), expected, atol=1e-5)


def test_an_earlier_run_without_preprocessing_gets_fractions(photos, predict, tmp_path):
    from segfeed import load_run

    model = float_model()
    folder = write_old_run(tmp_path / "old", model)
    run = load_run(folder)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        run.model.predict_on_batch(images), model.predict_on_batch(images.astype(np.float32) / 255), atol=1e-6
    )
    assert [one.name for one in run.categories] == ["ground", "object"] and run.threshold == 0.5
    assert predict(runs=folder)[0] == 0 and predict("--tile", "40", runs=folder, out=tmp_path / "tiles")[0] == 0
    colours = [[220, 20, 60, 1], [1, 2, 3, 0], [9, 9, 9, 2]]
    three = load_run(write_old_run(tmp_path / "three", float_model(3), colours=colours))
    assert [one.colour for one in three.categories] == [(1, 2, 3), (220, 20, 60), (0xE6, 0x9F, 0)]  # no grey
    wrong = write_old_run(tmp_path / "wrong", float_model(4))
    content = json.loads((wrong / "run.json").read_text())
    del content["scores"]["class 3"]
    (wrong / "run.json").write_text(json.dumps(content))
    status, said = predict(runs=wrong, out=tmp_path / "x")
    assert status == 2
    assert said == f"Stopped: {wrong}: run.json names 3 classes, and the model has 4 outputs. Train the run again.\n"


# --- Interrupted and killed ------------------------------------------------------------------


def test_an_interrupted_command_goes_on(photos, predict, tmp_path, monkeypatch):
    record = Output.record

    def interrupted(self, finished):
        record(self, finished)
        if finished:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(folder, "READ_AHEAD", 1)
    monkeypatch.setattr(Output, "record", interrupted)
    status, said = predict()
    assert (status, said) == (130, "\nInterrupted. 1 pictures are finished; the same command goes on.\n")
    monkeypatch.setattr(Output, "record", record)
    status, said = predict()
    assert status == 0 and said.startswith("3 pictures predicted, 1 were finished before; 8 objects in all.")


def test_a_full_disk_is_named(photos, predict, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Result, "finish", full)
    said = f"Stopped: the disk of {tmp_path / 'out'} is full. Make room on it; the same command goes on.\n"
    assert predict() == (2, said)


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_ends_with_the_same_files(tmp_path, kills):
    """Each process dies at a call that changes a file; the next goes on, and predicts nothing that is finished."""
    (tmp_path / "images").mkdir()
    for number in range(12):
        discs(tmp_path / "images" / f"{number}.png", number)
    child = [sys.executable, __file__, str(tmp_path / "images")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    rng = random.Random(0)

    def run(out, dies_at):
        done = subprocess.run([*child, str(out), str(dies_at)], env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 9), done.stderr
        return done.returncode, [name for name in done.stdout.split() if name]

    whole = tmp_path / "whole"
    assert run(whole, 0) == (0, [f"{number}.png" for number in sorted(map(str, range(12)))])
    predicted = []
    for kill in range(kills):
        out = tmp_path / f"killed-{kill // 10}"
        before = out / "masks"
        finished = set(os.listdir(before)) if before.is_dir() else set()
        _, names = run(out, rng.randrange(1, 40))
        predicted += names
        assert not finished & set(names), "what was finished was predicted again"
    for out in tmp_path.glob("killed-*"):
        assert run(out, 0)[0] == 0
        for path in sorted(whole.rglob("*")):
            if path.is_file() and path.name not in ("finished.jsonl",):
                assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
        assert not (out / ".parts").exists()
        assert len((out / "finished.jsonl").read_text().splitlines()) >= 12


def child(images, out, dies_at):
    """Predict with a network of NumPy, without Keras; die at the given call that changes a file."""
    calls = 0

    def counted(function):
        def call(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls == dies_at:
                os._exit(9)
            return function(*arguments, **named)

        return call

    for name in ("replace", "fsync"):
        setattr(os, name, counted(getattr(os, name)))
    network = Network((32, 32), lambda batch: batch[..., :1] / np.float32(255))
    options = Options(COIN, 0.5, 1, None, False)
    with Output(Path(out), {"--threshold": 0.5}) as output:
        paths = sorted(Path(images).iterdir(), key=lambda path: path.stem)
        left = [path for path in paths if not output.is_finished(path, path.stem, ["mask", "overlay"])]
        jobs = (Job(number, path, path.stem, options, output) for number, path in enumerate(left))
        for job, error in predict_folder(Ensemble([network]), jobs, output, None, 2):
            assert error is None
            print(job.path.name, flush=True)
        output.write_tables(["coin"], None)
        output.write_errors({})


# --- Memory and order ------------------------------------------------------------------------


def test_pictures_in_memory_are_bounded_and_order_is_kept(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "READ_AHEAD", 3 * 90 * 120 * 2)
    for number in range(4, 20):
        discs(photos / f"{number}.png", number)
    held, most = set(), []
    read, record = Job.read, Output.record

    def counted_read(self, *arguments):
        held.add(self.name)
        most.append(len(held))
        read(self, *arguments)

    def counted_record(self, finished):
        record(self, finished)
        held.difference_update(one.name for one in finished)

    monkeypatch.setattr(Job, "read", counted_read)
    monkeypatch.setattr(Output, "record", counted_record)
    network = Network((16, 16), lambda batch: batch[..., :1] / np.float32(255))
    for tiling in (None, Tiling(16, 0.25)):
        with Output(tmp_path / str(tiling), {}) as output:
            jobs = (
                Job(number, path, path.stem, Options(COIN, 0.5, 1, None, False), output)
                for number, path in enumerate(sorted(photos.iterdir()))
            )
            found = [job.name for job, _ in predict_folder(Ensemble([network]), jobs, output, tiling, None)]
        assert found == [f"{number:08d}" for number in range(20)] and max(most) <= 2


MEASURE = """
import resource, sys
from segfeed.__main__ import main
import keras, skimage.measure
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
status = main(sys.argv[1:])
print(peak() - before)
sys.exit(status)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit, or is not there")
def test_a_hundred_megapixels_are_never_in_memory_whole(tmp_path):
    """That would be 286 MB of pixels, and as many of the file, besides the model; TensorFlow itself is not counted."""
    run = write_run(tmp_path / "run", convolutions((256, 256), halvings=1))
    (tmp_path / "images").mkdir()
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8), (10_000, 10_000))
    Image.fromarray(image).save(tmp_path / "images" / "large.tif")
    words = ["predict", run, tmp_path / "images", tmp_path / "out", "--tile", "256", "--probabilities"]
    done = subprocess.run([sys.executable, "-c", MEASURE, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 400, done.stdout


if __name__ == "__main__":
    child(sys.argv[1], sys.argv[2], int(sys.argv[3]))
