"""From annotations to masks: which pixels a shape covers, which class it gets, and what is said of a fault."""

import io
import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Outline
from PIL import Image
from skimage.draw import polygon2mask

from segfeed import read_mask, read_pair
from segfeed.__main__ import main
from segfeed.annotations import Drawing, draw_masks, write_labelme
from segfeed.annotations.draw import with_void_border
from segfeed.annotations.problems import NOTES, PROBLEMS
from segfeed.annotations.shapes import Bitmap, Ellipse, Line, Polygon, rectangle
from segfeed.annotations.to_labelme import outlines
from segfeed.classes import ClassRow, ClassTable, class_options, colour_of, make_class_table, read_classes_table
from segfeed.errors import CommandError, DataError
from segfeed.pairing import find_pairs

THIS = Path(__file__)
HEIGHT, WIDTH = 18, 24


def covered(part, height=HEIGHT, width=WIDTH):
    """The pixels that a part of a shape covers, bool (H, W)."""
    mask = np.zeros((height, width), bool)
    pixels, row, column = part.cover(height, width)
    mask[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
    return mask


def centres(height=HEIGHT, width=WIDTH):
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1)


# --- Which pixels a shape covers --------------------------------------------------------------

coordinates = st.floats(-8, 32, width=32)
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9).map(lambda points: np.array(points))
masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def far_from_centres(points):
    """Whether no pixel's centre lies within a thousandth of a pixel of an edge, where rounding would decide."""
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        dx, dy = x1 - x0, y1 - y0
        x, y = centres().T
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        if np.hypot(x - x0 - along * dx, y - y0 - along * dy).min() < 1e-3:
            return False
    return True


@settings(max_examples=200)
@given(points=polygons)
def test_a_polygon_covers_the_pixels_whose_centres_lie_in_it(points):
    """As two independent programs say; scikit-image counts from the first pixel's centre."""
    assume(far_from_centres(points))
    found = covered(Polygon([points]))
    np.testing.assert_array_equal(found, polygon2mask((HEIGHT, WIDTH), points[:, ::-1] - 0.5))
    inside = Outline(np.concatenate([points, points[:1]]), closed=True).contains_points(centres())
    np.testing.assert_array_equal(found, inside.reshape(HEIGHT, WIDTH))


@given(points=polygons)
def test_a_winding_polygon_covers_what_its_outline_goes_around(points):
    """The angle under which the outline is seen from a centre, all turns added."""
    assume(far_from_centres(points))
    seen = (points - centres()[:, None]) @ (1, 1j)
    turns = np.angle(np.roll(seen, -1, axis=1) / seen).sum(axis=1) / (2 * np.pi)
    expected = np.round(turns).astype(bool).reshape(HEIGHT, WIDTH)
    np.testing.assert_array_equal(covered(Polygon([points], winding=True)), expected)


@given(mask=masks)
def test_a_polygon_along_the_borders_of_pixels_covers_exactly_these(mask):
    found = sum(covered(Polygon([ring.astype(float)]), *mask.shape).astype(int) for ring in outlines(mask))
    np.testing.assert_array_equal(found, mask.astype(int))


@given(points=polygons, cut=st.tuples(coordinates, coordinates))
def test_polygons_that_share_edges_share_no_pixel_and_lose_none(points, cut):
    """A star around one point, however it turns: the triangles are added with their direction."""
    turns = np.zeros((HEIGHT, WIDTH), int)
    for first, second in zip(points, np.roll(points, -1, axis=0), strict=True):
        triangle = np.array([cut, first, second], float)
        (a, b), (c, d) = triangle[1:] - triangle[0]
        turns += int(np.sign(a * d - b * c)) * covered(Polygon([triangle]))
    np.testing.assert_array_equal(turns != 0, covered(Polygon([points], winding=True)))


def test_a_centre_on_an_edge_belongs_to_one_side():
    square = np.array([(2.5, 2.5), (5.5, 2.5), (5.5, 5.5), (2.5, 5.5)])
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[2:5, 2:5] = True
    np.testing.assert_array_equal(covered(Polygon([square])), expected)
    np.testing.assert_array_equal(covered(Polygon([square[::-1]])), expected)


def test_inner_rings_are_holes_and_a_crossing_outline_is_open_or_not_as_the_format_means():
    outer, inner = rectangle(1, 1, 11, 11).rings[0], rectangle(4, 4, 7, 8).rings[0]
    found = covered(Polygon([outer, inner]))
    assert found.sum() == 100 - 12 and not found[4:8, 4:7].any()
    star = np.array([(9 + 8 * np.sin(turn), 9 - 8 * np.cos(turn)) for turn in np.arange(5) * 4 * np.pi / 5])
    assert not covered(Polygon([star]))[9, 9] and covered(Polygon([star], winding=True))[9, 9]


@given(x=coordinates, y=coordinates, a=st.floats(0.1, 12), b=st.floats(0.1, 12), angle=st.floats(-180, 180))
def test_an_ellipse_covers_the_centres_in_it(x, y, a, b, angle):
    turn = np.radians(angle)
    dx, dy = (centres() - (x, y)).T
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    distance = (along / a) ** 2 + (across / b) ** 2
    assume(np.abs(distance - 1).min() > 1e-9)
    part = Ellipse(x, y, a, b, angle)
    np.testing.assert_array_equal(covered(part), (distance < 1).reshape(HEIGHT, WIDTH))
    left, top, right, bottom = part.box()
    assert a < 0.5 or b < 0.5 or (right - left >= 2 * min(a, b) - 1e-9 and bottom - top >= 2 * min(a, b) - 1e-9)


@given(points=polygons, width=st.floats(0.5, 6))
def test_a_line_covers_the_centres_within_half_its_width(points, width):
    nearest = np.full(HEIGHT * WIDTH, np.inf)
    for start, end in pairwise(points):
        for share in np.linspace(0, 1, 100):
            nearest = np.minimum(nearest, np.hypot(*(centres() - start - share * (end - start)).T))
    found = covered(Line(points, width)).ravel()
    step = 40 * np.sqrt(2) / 100  # the samples on a segment are no further apart
    assert found[nearest <= width / 2].all() and not found[nearest > width / 2 + step].any()


def test_a_point_is_a_disc_and_a_line_without_width_covers_nothing():
    np.testing.assert_array_equal(covered(Line(np.array([(9.0, 8.0)]), 5)), covered(Ellipse(9, 8, 2.5, 2.5)))
    assert not covered(Line(np.array([(2.5, 2.5), (9.5, 2.5)]), 0)).any()
    assert not covered(Ellipse(4, 4, 0, 3)).any()


@given(mask=masks, row=st.integers(-10, 20), column=st.integers(-10, 30))
def test_a_bitmap_lies_at_its_place_and_is_cut_at_the_border(mask, row, column):
    large = np.zeros((HEIGHT + 40, WIDTH + 60), bool)
    large[row + 20 : row + 20 + mask.shape[0], column + 30 : column + 30 + mask.shape[1]] = mask
    found = covered(Bitmap(lambda: mask, *mask.shape, row, column))
    np.testing.assert_array_equal(found, large[20 : 20 + HEIGHT, 30 : 30 + WIDTH])


def test_a_rectangle_turns_clockwise_about_its_middle_or_a_point():
    turned = rectangle(4, 4, 10, 6, 90).rings[0]
    np.testing.assert_allclose(turned.min(axis=0), (6, 2))
    np.testing.assert_allclose(turned.max(axis=0), (8, 8))
    np.testing.assert_allclose(rectangle(4, 4, 10, 6, 90, about=(4, 4)).rings[0], [(4, 4), (4, 10), (2, 10), (2, 4)])


# --- From a folder of LabelMe's files to masks ------------------------------------------------


def polygon(label, *points, **more):
    return {"label": label, "points": points, "shape_type": "polygon"} | more


def square(label, left, top, side, **more):
    return polygon(label, (left, top), (left + side, top), (left + side, top + side), (left, top + side), **more)


class Folder:
    """Pictures of 12×16 pixels, and a file of LabelMe for each."""

    def __init__(self, root):
        self.images, self.json, self.masks = root / "images", root / "json", root / "masks"
        self.images.mkdir()
        self.json.mkdir()

    def add(self, stem, *shapes, size=(12, 16), orientation=1, **content):
        """A picture, stored with `size`, and its annotation, which declares (12, 16) unless `content` says other."""
        image, exif = Image.new("RGB", size[::-1], (90, 120, 30)), Image.Exif()
        exif[0x0112] = orientation
        image.save(self.images / f"{stem}.jpg", exif=exif)
        told = {"imagePath": f"{stem}.jpg", "imageData": None, "imageHeight": 12, "imageWidth": 16}
        (self.json / f"{stem}.json").write_text(json.dumps({"shapes": shapes} | told | content), encoding="utf-8")

    def draw(self, *args, **kwargs):
        return draw_masks(self.json, self.images, self.masks, *args, **kwargs)

    def mask(self, stem):
        return read_mask(self.masks / f"{stem}.png")[..., 0]

    def run(self, *words):
        return main(["masks", str(self.json), str(self.images), str(self.masks), *words])


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_masks_hold_class_indices_in_colour_beside_a_table(folder, capsys):
    folder.add("a", square("coin", 1, 1, 3), square("hand", 8, 2, 4))
    folder.add("b", square("coin", 0, 0, 2), square("coin", 5, 5, 2))
    assert folder.run() == 0
    assert capsys.readouterr().out.splitlines() == [
        "  0 background: 0 objects, 91.41% of the pixels, in 2 of 2 masks",
        "  1 coin: 3 objects, 4.43% of the pixels, in 2 of 2 masks",
        "  2 hand: 1 object, 4.17% of the pixels, in 1 of 2 masks",
    ]
    assert (folder.masks / "classes.csv").read_bytes().decode() == (
        "index,name,colour\r\n0,background,#000000\r\n1,coin,#56B4E9\r\n2,hand,#E69F00\r\n"
    )
    expected = np.zeros((12, 16), np.uint8)
    expected[1:4, 1:4], expected[2:6, 8:12] = 1, 2
    np.testing.assert_array_equal(folder.mask("a"), expected)
    with Image.open(folder.masks / "a.png") as image:
        assert image.mode == "P"
        assert [*map(tuple, np.array(image.convert("RGB"))[(1, 2), (1, 8)].tolist())] == [(86, 180, 233), (230, 159, 0)]


def test_what_was_drawn_pairs_audits_and_says_the_names(folder, capsys):
    folder.add("a", square("coin", 1, 1, 6), square("hand", 8, 2, 8))
    folder.add("b", square("coin", 0, 0, 2), square("void", 5, 5, 6))
    folder.draw()
    pairs = find_pairs(folder.images, folder.masks)
    assert [pair.stem for pair in pairs] == ["a", "b"] and all(read_pair(pair) for pair in pairs)
    main(["audit", str(folder.images), str(folder.masks)])
    said = capsys.readouterr().out
    assert "class 0 (background)" in said and "class 2 (hand)" in said and "unknown value" not in said
    assert said.endswith("findings in 2 pairs.\n")


def test_later_shapes_lie_on_top_and_an_order_changes_that(folder):
    folder.add("a", square("coin", 0, 0, 4), square("hand", 2, 2, 4), square("coin", 5, 5, 2))
    folder.draw()
    assert folder.mask("a")[3, 3] == 2 and folder.mask("a")[5, 5] == 1
    shutil.rmtree(folder.masks)
    folder.draw(Drawing(order=["hand", "coin"]))
    assert folder.mask("a")[3, 3] == 1
    shutil.rmtree(folder.masks)
    folder.draw(Drawing(order=["coin", "hand"]))
    assert folder.mask("a")[5, 5] == 2


def test_labels_that_are_void_background_or_grouped(folder):
    folder.add("a", square("coin", 0, 0, 9, group_id=1), square("blur", 1, 1, 2), square("_background_", 4, 4, 2))
    folder.add("b", square("coin", 0, 0, 2, group_id=1), square("coin", 5, 5, 2, group_id=1), square("coin", 9, 1, 2))
    found = folder.draw(Drawing(void=["blur"]))
    assert folder.mask("a")[1, 1] == 255 and folder.mask("a")[4, 4] == 0 and folder.mask("a")[0, 0] == 1
    assert [(each.row.name, each.objects) for each in found.classes] == [("background", 1), ("coin", 3), ("void", 1)]
    assert found.table.ignore == 255 and found.table.n_classes == 1


def test_a_table_gives_the_indices(folder, tmp_path):
    folder.add("a", square("coin", 0, 0, 4), square("void", 6, 6, 2))
    table = ClassTable((ClassRow(0, "background", "#000000"), ClassRow(7, "coin", "#ff0000")))
    found = folder.draw(table=table)
    assert folder.mask("a")[0, 0] == 7 and folder.mask("a")[6, 6] == 255
    assert found.table.n_classes == 8 and read_classes_table(folder.masks / "classes.csv") == found.table


@given(mask=arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 2, 255])), width=st.integers(1, 3))
def test_a_void_border_has_its_width_on_both_sides_and_none_beside_void(mask, width):
    expected = mask.copy()
    for row in range(9):
        for column in range(11):
            near = mask[max(0, row - width) : row + width + 1, max(0, column - width) : column + width + 1]
            if len(set(near[near != 255].tolist()) | {int(mask[row, column])} - {255}) > 1:
                expected[row, column] = 255
    np.testing.assert_array_equal(with_void_border(mask, width), expected)


def test_a_void_border_is_drawn_and_in_the_table(folder):
    folder.add("a", square("coin", 4, 4, 6))
    found = folder.draw(Drawing(void_border=1))
    mask = folder.mask("a")
    assert (mask[5:9, 5:9] == 1).all() and (mask[3:5, 3:11] == 255).all() and found.table.ignore == 255
    assert np.sum(mask == 255) == 64 - 16


def test_lines_and_points_have_the_width_that_is_given(folder):
    line = {"label": "hair", "points": [(2, 3), (12, 3)], "shape_type": "line"}
    point = {"label": "hair", "points": [(8, 8)], "shape_type": "point"}
    folder.add("a", line, point, square("coin", 0, 0, 1))
    with pytest.raises(DataError, match=r"shape without area \(2\): .*a.json, shape 0, hair; .*shape 1, hair"):
        folder.draw()
    found = folder.draw(Drawing(line_width=2))
    assert (folder.mask("a")[2:4, 2:12] == 2).all() and folder.mask("a")[7:9, 7:9].all() and not found.notes
    shutil.rmtree(folder.masks)
    found = folder.draw(Drawing(line_width=0))
    assert folder.mask("a").sum() == 1 and found.notes[0].startswith("left out (2; lines or points, left out as")


def test_a_shape_beyond_the_border_is_cut_and_one_that_covers_nothing_is_named(folder):
    folder.add("a", square("coin", 12, 8, 10), polygon("coin", (1.1, 1.1), (1.3, 1.1), (1.3, 1.3)))
    cut, thin = folder.draw().notes
    assert cut.startswith("cut off (1; ") and "shape 0, coin: x from 12 to 22, y from 8 to 18, in 12×16 pixels" in cut
    assert thin.startswith("covers no pixel (1; ") and thin.endswith("a.json, shape 1, coin")
    assert folder.mask("a").sum() == 16


def test_a_picture_without_shapes_gets_an_empty_mask_when_that_is_asked(folder):
    folder.add("a", square("coin", 0, 0, 4))
    folder.add("b")
    Image.new("RGB", (16, 12)).save(folder.images / "c.png")
    with pytest.raises(
        DataError, match=r"picture without annotation \(2\): .*b.jpg; .*c.png\n  Annotate it; or give --empty"
    ):
        folder.draw()
    assert not folder.masks.exists()
    folder.draw(Drawing(empty=True))
    assert not folder.mask("b").any() and folder.mask("c").shape == (12, 16)


# --- Turned pictures --------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_declared_size_says_whether_the_turned_picture_was_annotated(folder, orientation):
    """The shape covers the picture's first stored row in one annotation, and its first seen row in the other."""
    lies = orientation > 4
    folder.add("seen", square("coin", 0, 0, 3), size=(12, 16), orientation=orientation,
               imageHeight=16 if lies else 12, imageWidth=12 if lies else 16)  # fmt: skip
    folder.add("stored", square("coin", 0, 0, 3), size=(12, 16), orientation=orientation)
    found = folder.draw(Drawing(exif=None if lies else "stored"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored = np.zeros((12, 16), np.uint8)
    stored[:3, :3] = 255
    Image.fromarray(stored).save(file, "png", exif=exif)
    (folder.images.parent / "stored.png").write_bytes(file.getvalue())
    turned = read_mask(folder.images.parent / "stored.png")[..., 0] > 0
    np.testing.assert_array_equal(folder.mask("stored") > 0, turned)
    if lies:
        assert folder.mask("seen")[:3, :3].all() and folder.mask("seen").shape == (16, 12)
        assert len(found.notes) == 1 and found.notes[0].startswith("turned by EXIF (1; drawn on the picture as it is")
        assert found.notes[0].endswith(f"stored.json, stored.jpg: orientation {orientation}")


def test_where_the_size_does_not_tell_the_tool_does_or_the_user(folder, tmp_path):
    folder.add("a", square("coin", 0, 0, 3), orientation=3)
    folder.draw()
    assert folder.mask("a")[0, 0] == 1, "LabelMe shows pictures upright"
    shutil.rmtree(folder.masks)
    (folder.json / "a.json").unlink()
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square("", 0, 0, 3)["points"]]}}
    (folder.json / "a.geojson").write_text(json.dumps(feature | {"properties": {"classification": {"name": "coin"}}}))
    with pytest.raises(
        DataError, match=r"unclear orientation \(1\): .*a.geojson, a.jpg: EXIF orientation 3\n  Look at it"
    ):
        folder.draw()
    folder.draw(Drawing(exif="upright"))
    assert folder.mask("a")[0, 0] == 1
    shutil.rmtree(folder.masks)
    folder.draw(Drawing(exif="stored"))
    assert folder.mask("a")[-1, -1] == 1


# --- What is wrong ----------------------------------------------------------------------------


def test_all_that_is_wrong_is_said_together_and_nothing_is_written(folder, capsys):
    folder.add("sound", square("coin", 0, 0, 3))
    folder.add("case", square("Coin", 0, 0, 3))
    folder.add("size", square("coin", 0, 0, 3), imageWidth=17)
    folder.add("away", square("coin", 40, 0, 3))
    folder.add("odd", {"label": "coin", "points": [(0, 0)], "shape_type": "cuboid"})
    folder.add("mute", square(" ", 0, 0, 3), square(None, 0, 0, 3))
    folder.add("thin", polygon("coin", (0, 0), (1, 1)))
    folder.add("nan", polygon("coin", (0, 0), (1, float("nan")), (2, 2)))
    folder.add("lost", square("coin", 0, 0, 3))
    (folder.images / "lost.jpg").rename(folder.images / "LOST.jpg")
    folder.add("one", square("coin", 0, 0, 3))
    folder.add("two", square("coin", 0, 0, 3), imagePath="..\\old\\one.jpg")
    (folder.json / "again.json").write_bytes((folder.json / "sound.json").read_bytes())
    (folder.json / "broken.json").write_text('{"shapes": [')
    Image.new("RGB", (16, 12)).save(folder.images / "sound.png")
    (folder.images / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    folder.add("bad_too", square("coin", 0, 0, 3))
    (folder.images / "bad_too.jpg").write_bytes(b"nothing")
    assert folder.run() == 2
    said = capsys.readouterr().err
    assert said.startswith("Stopped: nothing was written, because of ")
    for words in (
        "annotation without picture (1): .*lost.json: lost.jpg \\(there is LOST.jpg\\)",
        "two annotations for one picture (1): sound.jpg: .*again.json and .*sound.json",
        "annotation of two pictures (1): .*two.json: one.jpg",
        "picture without annotation (7): ",
        "two files for one stem (1): .*images: sound.jpg and sound.png",
        "unreadable picture (2): .*bad.jpg: .*bad_too.jpg: ",
        "unequal sizes (1): .*size.json, size.jpg: 12×17 pixels, the picture has 12×16",
        "shape outside the picture (1): .*away.json, shape 0, coin: x from 40 to 43, y from 0 to 3, in 12×16 pixels",
        "labels that look alike (1): 'Coin' and 'coin'",
        "shape of an unknown kind (1): .*odd.json, shape 0: cuboid",
        "shape without a label (2): .*mute.json, shape 0; .*mute.json, shape 1",
        "broken annotation (3): .*broken.json: Expecting value: line 1 column 13 .*nan.json, shape 0: points are not "
        "pairs of numbers below 1e\\+09; .*thin.json, shape 0: 2 points, and it takes at least 3",
    ):
        kind, count, rest = re.fullmatch(r"(.*?) \((\d+)\): (.*)", words).groups()
        assert re.search(rf"^{kind} \({count}\): {rest}", said, re.MULTILINE), words
        assert f"\n  {PROBLEMS[kind]}\n" in said + "\n"
    assert not folder.masks.exists() and not [*folder.masks.parent.glob(".part*")]


def test_every_kind_has_a_test_here_or_beside_the_formats():
    tests = "".join(path.read_text(encoding="utf-8") for path in (THIS, THIS.with_name("test_annotation_formats.py")))
    for kind in (*PROBLEMS, *NOTES):
        assert f"{kind} (" in tests or f"{kind} \\(" in tests, kind


@pytest.mark.skipif(os.name == "nt", reason="it has no named pipes")
def test_pictures_that_would_be_lost_are_named(folder):
    folder.add("a", square("coin", 0, 0, 3))
    for place in ("more/b.jpg", ".c.jpg"):
        (folder.images / place).parent.mkdir(exist_ok=True)
        shutil.copy(folder.images / "a.jpg", folder.images / place)
    (folder.images / "gone.jpg").symlink_to(folder.images / "nowhere.jpg")
    os.mkfifo(folder.images / "pipe")
    with pytest.raises(DataError) as error:
        folder.draw()
    said = str(error.value)
    assert "because of 4 problems" in said
    assert re.search(r"subfolder \(1\): .*more: it holds 1 picture\n  Subfolders are not read", said)
    assert re.search(r"hidden file \(1\): .*\.c.jpg: its name begins with a dot\n", said)
    assert re.search(r"dead link \(1\): .*gone.jpg: a link to ", said)
    assert re.search(r"special file \(1\): .*pipe: a named pipe\n", said)


def test_a_label_that_is_not_in_the_table_is_named_with_its_count(folder, tmp_path, capsys):
    folder.add("a", square("coim", 0, 0, 3), square("coim", 5, 5, 3), square("coin", 8, 1, 2))
    (tmp_path / "table.csv").write_text("index,name,colour\n0,background,#000000\n1,coin,#ff0000\n")
    assert folder.run("--classes-table", str(tmp_path / "table.csv")) == 2
    said = capsys.readouterr().err
    assert re.search(r"label that is not in the table \(1\): 'coim' \(2 shapes, the first in .*a.json\)\n", said)


def test_words_that_do_not_fit_the_labels_are_refused(folder, capsys):
    folder.add("a", square("coin", 0, 0, 3), square("hand", 5, 5, 3))
    for words, said in {
        ("--order", "coin"): "--order lacks hand. Name each label once, the lowest first.",
        ("--order", "coin,hand,moon"): "--order has labels that no shape has: moon. Name each label once",
        ("--order", "coin,hand,coin"): "--order has twice coin. Name each label once, the lowest first.",
        ("--void", "moon"): "--void: no shape has the label moon. There are coin, hand.",
        ("--void-border", "-1"): "--void-border is -1: give a number of pixels, 0 to 999.",
        ("--line-width", "nan"): "--line-width is nan: give a number of pixels, 0 to 999.",
        ("--to", "labelme", "--void", "coin"): "--void draws masks, and --to labelme draws none: leave it out.",
        ("--to", "labelme"): f"{folder.json} has no classes.csv: give one with --classes-table, for the labels.",
    }.items():
        assert folder.run(*words) == 2
        assert capsys.readouterr().err.startswith(f"Stopped: {said}"), words
        assert not folder.masks.exists()


def test_nothing_is_overwritten(folder, capsys):
    folder.add("a", square("coin", 0, 0, 3))
    folder.masks.mkdir()
    assert folder.run() == 0
    before = {path.name: path.read_bytes() for path in folder.masks.iterdir()}
    assert before.keys() == {"a.png", "classes.csv"}
    folder.add("a", square("coin", 0, 0, 5))
    capsys.readouterr()
    assert folder.run() == 2
    said = f"Stopped: {folder.masks} is there already, and nothing is overwritten. Give a new folder.\n"
    assert capsys.readouterr().err == said
    assert before == {path.name: path.read_bytes() for path in folder.masks.iterdir()}


def test_too_many_classes_are_refused(folder):
    folder.add("a", *(square(f"class {number}", 0, 0, 3) for number in range(255)))
    with pytest.raises(DataError, match="255 classes, and a mask of 8 bits holds at most 254"):
        folder.draw()


def test_annotations_may_lie_beside_the_pictures(folder):
    folder.add("a", square("coin", 0, 0, 3))
    shutil.move(folder.json / "a.json", folder.images)
    draw_masks(folder.images, folder.images, folder.masks)
    assert [pair.image.name for pair in find_pairs(folder.images, folder.masks)] == ["a.jpg"]


# --- The way back -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    mask=arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 255]))
)
def test_masks_become_polygons_and_the_same_masks_again(tmp_path_factory, mask):
    root = tmp_path_factory.mktemp("back")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    Image.new("RGB", mask.shape[::-1]).save(root / "images" / "a.png")
    Image.fromarray(mask).save(root / "masks" / "a.png")
    table = make_class_table(["coin", "hand"], void=True)
    said = write_labelme(root / "masks", root / "images", root / "json", table=table)
    assert re.fullmatch(r"1 files of LabelMe with \d+ polygons are in .*json\.", said)
    draw_masks(root / "json", root / "images", root / "again", Drawing(empty=True), table=table)
    np.testing.assert_array_equal(read_mask(root / "again" / "a.png")[..., 0], mask)


def test_a_hole_belongs_to_its_polygon():
    ring = np.ones((7, 7), bool)
    ring[2:5, 2:5] = ring[3, 6] = False
    (outline,) = outlines(ring)
    assert len(outline) == 8 + 4 + 2
    steps = np.abs(np.diff(np.concatenate([outline, outline[:1]]), axis=0))
    assert np.sum(steps.all(axis=1)) <= 2, "only the cut to the hole is slanted"


def test_the_way_back_of_the_command(folder, tmp_path, capsys):
    folder.add("a", square("coin", 1, 1, 6), square("hand", 3, 3, 2))
    folder.draw()
    words = ["masks", str(folder.masks), str(folder.images), str(tmp_path / "back"), "--to", "labelme"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"1 files of LabelMe with 2 polygons are in {tmp_path / 'back'}.\n"
    content = json.loads((tmp_path / "back" / "a.json").read_text())
    assert content["imagePath"] == "../images/a.jpg" and (content["imageHeight"], content["imageWidth"]) == (12, 16)
    assert [shape["label"] for shape in content["shapes"]] == ["coin", "hand"]
    draw_masks(tmp_path / "back", folder.images, tmp_path / "again")
    assert (tmp_path / "again" / "a.png").read_bytes() == (folder.masks / "a.png").read_bytes()


def test_masks_of_0_and_255_have_a_way_back(folder, tmp_path):
    folder.add("a", square("coin", 1, 1, 6))
    folder.draw()
    table = make_class_table(["coin"], void=False)
    write_labelme(folder.masks, folder.images, tmp_path / "usual", table=table)
    Image.fromarray(read_mask(folder.masks / "a.png")[..., 0] * 255).save(folder.masks / "a.png")
    write_labelme(folder.masks, folder.images, tmp_path / "back", table=table)
    assert (tmp_path / "back" / "a.json").read_text() == (tmp_path / "usual" / "a.json").read_text()
    with pytest.raises(DataError, match=r"a.png: the values 255 are not in the table of classes"):
        write_labelme(
            folder.masks, folder.images, tmp_path / "two", table=make_class_table(["coin", "hand"], void=False)
        )


def test_a_value_without_a_name_has_no_way_back(folder, tmp_path):
    folder.add("a", square("coin", 1, 1, 6), square("hand", 3, 3, 2))
    folder.draw()
    table = make_class_table(["coin"], void=False)
    with pytest.raises(DataError, match=r"a.png: the values 2 are not in the table of classes. Add rows for them."):
        write_labelme(folder.masks, folder.images, tmp_path / "back", table=table)
    assert not (tmp_path / "back").exists()


# --- The table of classes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the first line is '', expected index,name,colour"),
        ("0,background,#000000\n", "the first line is '0,background,#000000', expected index,name,colour"),
        ("index,name,colour\n0,background\n", "the row '0,background' is not index,name,colour"),
        ("index,name,colour\n0, ,#000000\n", "the row '0, ,#000000' is not index,name,colour"),
        ("index,name,colour\n256,coin,#000000\n", "the index '256' of coin is no whole number of 0–255"),
        ("index,name,colour\n1.0,coin,#000000\n", "the index '1.0' of coin is no whole number of 0–255"),
        ("index,name,colour\n1,coin,red\n", "the colour 'red' of coin is not of the form #rrggbb"),
        ("index,name,colour\n2,coin,#808080\n", "the colour #808080 of coin is the grey 128, and its index is 2"),
        ("index,name,colour\n1,coin,#ff0000\n1,hand,#00ff00\n", "the index 1 stands in 2 rows"),
        ("index,name,colour\n1,coin,#ff0000\n2,coin,#00ff00\n", "the name coin stands in 2 rows"),
        ("index,name,colour\n1,coin,#ff0000\n", "no row of index 0. Add 0,background,#000000."),
        ("index,name,colour\n0,ground,#000000\n", "0 and background belong together"),
        ("index,name,colour\n0,background,#000000\n255,coin,#ff0000\n", "255 and void belong together"),
        ("index,name,colour\n0,background,#000000\n9,void,#ff0000\n", "255 and void belong together"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path, text, said):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {said}')}"):
        read_classes_table(path)


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match=r"classes.csv: cannot be opened"):
        read_classes_table(tmp_path / "classes.csv")
    (tmp_path / "classes.csv").write_bytes("index,name,colour\n1,동전,#ff0000\n".encode("cp949"))
    with pytest.raises(DataError, match=r"classes.csv: no text in UTF-8"):
        read_classes_table(tmp_path / "classes.csv")


def test_classes_for_the_generator():
    def table(*indices):
        return ClassTable(tuple(ClassRow(index, f"{index}", "#ff0000") for index in indices))

    assert [table(*indices).n_classes for indices in ((0,), (0, 1), (0, 1, 255), (0, 5), (0, 1, 2))] == [1, 1, 1, 6, 3]
    assert table(0, 1).ignore is None and table(0, 1, 255).ignore == 255


def test_no_colour_of_a_class_is_grey_and_none_comes_twice():
    colours = [colour_of(index) for index in range(1, 255)]
    assert len(set(colours)) == 254
    assert all(len({colour[1:3], colour[3:5], colour[5:]}) > 1 for colour in colours)


def test_options_beside_a_table_may_repeat_it_and_not_contradict_it(folder):
    folder.add("a", square("coin", 1, 1, 6), square("hand", 8, 8, 2), square("void", 3, 3, 2))
    names = folder.draw().table.names
    path = folder.masks / "classes.csv"
    assert class_options(folder.masks, None, None) == class_options(folder.masks, 3, 255) == (3, 255, names)
    with pytest.raises(
        CommandError, match=re.escape(f"--classes is 2, and {path} says 3. Leave the option out, or mend")
    ):
        class_options(folder.masks, 2, None)
    with pytest.raises(CommandError, match=re.escape(f"--ignore is 0, and {path} says 255.")):
        class_options(folder.masks, None, 0)
    shutil.rmtree(folder.masks)
    folder.add("a", square("coin", 1, 1, 6))
    folder.draw()
    with pytest.raises(CommandError, match=re.escape(f"--ignore is 255, and {path} says that no pixel is void.")):
        class_options(folder.masks, None, 255)
    assert class_options(folder.images, None, 7) == (1, 7, {}) and class_options(folder.images, 0, None)[0] == 0


def test_the_commands_read_the_table(folder, capsys):
    folder.add("a", square("coin", 1, 1, 6), square("hand", 8, 8, 2), square("void", 3, 3, 2))
    folder.add("b", square("coin", 1, 1, 6))
    folder.draw()
    for words in (
        ["audit", str(folder.images), str(folder.masks), "--classes", "2"],
        ["train", "--images", str(folder.images), "--masks", str(folder.masks), "--ignore", "9"],
    ):
        assert main(words) == 2
        assert "classes.csv says " in capsys.readouterr().err
