"""The formats of annotation tools, each written here as its public description says."""

import base64
import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco

from segfeed import DataError, read_mask
from segfeed.__main__ import main
from segfeed.annotations import Drawing, draw_masks
from segfeed.annotations.coco import bitmap_of_runs, counts_of
from segfeed.annotations.labelstudio import unpack_brush
from segfeed.annotations.shapes import Polygon
from segfeed.classes import ClassRow, ClassTable
from segfeed.errors import CommandError

HEIGHT, WIDTH = 12, 16
RED, GREEN, SAND = (128, 0, 0), (0, 128, 0), (224, 224, 192)


class Folder:
    """Pictures of 12×16 pixels, and a folder for annotations of any format."""

    def __init__(self, root):
        self.images, self.annotations, self.masks = root / "images", root / "annotations", root / "masks"
        self.images.mkdir()
        self.annotations.mkdir()
        self.picture("a.jpg")

    def picture(self, name):
        Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 30)).save(self.images / name)

    def write(self, name, content):
        path = self.annotations / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def save(self, name, pixels, palette=None):
        image = Image.fromarray(pixels)
        if palette is not None:
            image.putpalette(palette)
        (self.annotations / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(self.annotations / name)

    def draw(self, *args, **kwargs):
        shutil.rmtree(self.masks, ignore_errors=True)
        return draw_masks(self.annotations, self.images, self.masks, *args, **kwargs)

    def mask(self, stem="a"):
        return read_mask(self.masks / f"{stem}.png")[..., 0]

    def fails(self, *words, **kwargs):
        """That the command says all these words, and writes nothing."""
        with pytest.raises(DataError) as error:
            self.draw(**kwargs)
        for pattern in words:
            assert re.search(pattern, str(error.value)), f"{pattern}\n{error.value}"
        assert not self.masks.exists()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def boxes(*places, value=1):
    """A mask of 12×16 pixels with boxes (top, bottom, left, right)."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top, bottom, left, right in places:
        mask[top:bottom, left:right] = value
    return mask


def corners(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def disc(x, y, radius):
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)


# --- LabelMe ----------------------------------------------------------------------------------


def labelme(*shapes, **content):
    told = {"version": "5.5.0", "flags": {}, "imagePath": "a.jpg", "imageData": None}
    return told | {"shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH} | content


def encoded(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"points": corners(2, 3, 7, 9)}, boxes((3, 9, 2, 7))),
        ({"points": corners(2, 3, 7, 9), "shape_type": "oriented_rectangle"}, boxes((3, 9, 2, 7))),
        ({"points": [[7, 9], [2, 3]], "shape_type": "rectangle"}, boxes((3, 9, 2, 7))),
        ({"points": corners(2, 3, 7, 9), "shape_type": "rectangle"}, boxes((3, 9, 2, 7))),
        ({"points": [[8, 6], [8, 2]], "shape_type": "circle"}, disc(8, 6, 4)),
        ({"points": [[2, 4], [7, 4]], "shape_type": "line"}, boxes((3, 5, 2, 7)) | disc(2, 4, 1) | disc(7, 4, 1)),
        ({"points": [[5, 5]], "shape_type": "point"}, disc(5, 5, 1)),
        ({"points": [[5, 5], [9, 5]], "shape_type": "points"}, disc(5, 5, 1) | disc(9, 5, 1)),
        ({"points": [[2, 3], [2, 8], [9, 8]], "shape_type": "linestrip"},
         boxes((3, 8, 1, 3), (7, 9, 2, 9)) | disc(2, 3, 1) | disc(2, 8, 1) | disc(9, 8, 1)),
        ({"points": [[2, 3], [4, 4]], "shape_type": "mask", "mask": encoded(np.eye(3, dtype=np.uint8)[:2])},
         np.pad(np.eye(3, dtype=np.uint8)[:2], ((3, 7), (2, 11)))),
        ({"points": [[13.6, 9.7], [17.2, 12.8]], "shape_type": "mask", "mask": encoded(np.full((3, 4), 255, np.uint8))},
         boxes((10, 12, 14, 16))),
    ],
)  # fmt: skip
def test_labelme_shapes(folder, shape, expected):
    folder.write("a.json", labelme({"label": "coin"} | shape))
    folder.draw(Drawing(line_width=2))
    np.testing.assert_array_equal(folder.mask(), expected)


def test_a_labelme_mask_that_is_no_picture_or_does_not_fit_its_box_is_named(folder):
    for text in ("no base64", encoded(np.ones((5, 3), np.uint8)), base64.b64encode(b"no picture").decode()):
        folder.write(
            "a.json", labelme({"label": "coin", "points": [[2, 3], [4, 5]], "shape_type": "mask", "mask": text})
        )
        folder.fails(r"broken annotation \(1\): .*a.json, shape 0: ")
    folder.write("a.json", labelme({"label": "coin", "points": [[2, 3], [4, 5]], "shape_type": "mask",
                                    "mask": encoded(np.ones((5, 3), np.uint8))}))  # fmt: skip
    folder.fails("shape 0: its mask is 5×3 pixels, and its box has 3×3")


@pytest.mark.parametrize(
    "path", ["a.jpg", "..\\images\\a.jpg", "C:\\photos\\a.jpg", "../images/a.jpg", "old/a.PNG", None, ""]
)
def test_labelme_finds_its_picture(folder, path):
    """By the name at the end of its path, on any system; and by its own name if that is not there."""
    folder.write("a.json", labelme({"label": "coin", "points": corners(2, 3, 7, 9)}, imagePath=path))
    folder.draw()
    assert folder.mask().sum() == 30


def test_labelme_takes_the_size_of_an_embedded_picture_where_none_is_declared(folder):
    shape = {"label": "coin", "points": corners(2, 3, 7, 9)}
    content = labelme(shape, imageHeight=None, imageWidth=None)
    folder.write("a.json", content | {"imageData": encoded(np.zeros((HEIGHT, WIDTH, 3), np.uint8))})
    folder.draw()
    folder.write("a.json", content | {"imageData": encoded(np.zeros((HEIGHT, 20, 3), np.uint8))})
    folder.fails(r"unequal sizes \(1\): .*a.json, a.jpg: 12×20 pixels, the picture has 12×16")
    folder.write("a.json", content)
    folder.draw()
    folder.write("a.json", labelme(shape, imageHeight=0))
    folder.fails(r"broken annotation \(1\): .*a.json: the picture's height and width are 0 and 16")


def test_names_in_another_unicode_form_and_korean_labels(folder):
    folder.picture("\u1103\u1169\u11bc\u110c\u1165\u11ab.jpg")  # 동전 in NFD, as macOS stores it
    folder.write("a.json", labelme({"label": "동전", "points": corners(0, 0, 2, 2)}))
    content = labelme(
        {"label": " \u1103\u1169\u11bc\u110c\u1165\u11ab", "points": corners(0, 0, 2, 2)}, imagePath="동전.jpg"
    )
    folder.write("b.json", content)
    found = folder.draw()
    assert found.table.indices == {"background": 0, "동전": 1} and folder.mask("동전").sum() == 4


# --- COCO -------------------------------------------------------------------------------------


def coco_file(*annotations, images=None, **content):
    pictures = [{"id": 7, "file_name": "train/a.jpg", "height": HEIGHT, "width": WIDTH}] if images is None else images
    told = {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0}
    numbered = [told | {"id": number} | each for number, each in enumerate(annotations, 1)]
    categories = [{"id": 3, "name": "coin"}, {"id": 5, "name": "hand"}]
    return {"images": pictures, "annotations": numbered, "categories": categories} | content


def flat(points):
    return [value for point in points for value in point]


def test_coco_polygons_runs_and_crowds(folder):
    hand = coco.encode(np.asfortranarray(boxes((0, 2, 0, 2), (4, 9, 10, 12))))
    folder.write("instances.json", coco_file(
        {"segmentation": [flat(corners(2, 3, 7, 9)), flat(corners(6, 8, 9, 11))]},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": hand["counts"].decode()}, "category_id": 5},
        {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * 3, HEIGHT * 13]}, "iscrowd": 1},
    ))  # fmt: skip
    found = folder.draw()
    expected = boxes((0, 12, 0, 3), value=255)
    expected[3:9, 2:7] = expected[8:11, 6:9] = 1
    expected[boxes((0, 2, 0, 2), (4, 9, 10, 12)) > 0] = 2
    np.testing.assert_array_equal(folder.mask(), expected)
    assert found.table.indices == {"background": 0, "coin": 1, "hand": 2, "void": 255}
    assert [each.objects for each in found.classes] == [0, 1, 1, 1]


@settings(max_examples=100)
@given(mask=arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))), share=st.floats(0, 1))
def test_coco_runs_are_read_as_by_coco(mask, share):
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = mask.shape
    runs = counts_of(packed["counts"].decode())
    assert coco.frPyObjects({"size": [height, width], "counts": runs}, height, width) == packed
    np.testing.assert_array_equal(bitmap_of_runs(runs, width, height, by_columns=True).decode(), mask)


@settings(max_examples=100)
@given(points=st.lists(st.tuples(st.floats(0, 16), st.floats(0, 12)), min_size=3, max_size=8))
def test_coco_draws_the_same_but_for_the_pixels_at_the_outline(points):
    """COCO rounds an outline to fifths of a pixel before it fills it; no other pixel may differ."""
    theirs = coco.decode(coco.frPyObjects([flat(points)], HEIGHT, WIDTH))[..., 0] > 0
    ours = np.zeros((HEIGHT, WIDTH), bool)
    pixels, row, column = Polygon([np.array(points)]).cover(HEIGHT, WIDTH)
    ours[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
    for y, x in zip(*np.nonzero(ours != theirs), strict=True):
        distances = []
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x + 0.5 - x0) * dx + (y + 0.5 - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
            distances.append(np.hypot(x + 0.5 - x0 - along * dx, y + 0.5 - y0 - along * dy))
        assert min(distances) <= 1


def test_coco_draws_polygons_along_the_borders_of_pixels_as_we_do(folder):
    for left, top, right, bottom in ((0, 0, 16, 12), (3, 2, 4, 3), (5, 1, 9, 11)):
        theirs = coco.decode(coco.frPyObjects([flat(corners(left, top, right, bottom))], HEIGHT, WIDTH))[..., 0]
        np.testing.assert_array_equal(theirs, boxes((top, bottom, left, right)))


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"segmentation": []}, r"box without an outline \(1\): .*x.json, annotation 1"),
        ({"bbox": [1, 1, 4, 4]}, r"box without an outline \(1\): "),
        ({"image_id": 8, "segmentation": [[0, 0, 1, 0, 1, 1]]}, r"annotation without picture \(1\): .*: image_id 8"),
        ({"category_id": 9, "segmentation": [[0, 0, 1, 0, 1, 1]]}, r"annotation 1: its category_id, 9, is none of"),
        ({"segmentation": [[0, 0, 1, 0]]}, r"broken annotation \(1\): .*: 2 points, and it takes at least 3"),
        ({"segmentation": [[0, 0, 1, 0, 1]]}, r"broken annotation \(1\): .*annotation 1: "),
        ({"segmentation": {"size": [12, 16], "counts": [5, 6]}}, "its run lengths give 11 pixels, expected 12×16"),
        ({"segmentation": {"size": [16, 12], "counts": [192]}}, "its run lengths are for 16×12 pixels, and its"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_coco_is_named(folder, annotation, said):
    folder.write("x.json", coco_file(annotation))
    folder.fails(said)


def test_pictures_of_coco_in_two_folders_with_one_name_are_two_annotations(folder):
    images = [{"id": n, "file_name": f"{n}/a.jpg", "height": HEIGHT, "width": WIDTH} for n in (7, 8)]
    folder.write("x.json", coco_file({"segmentation": [[0, 0, 4, 0, 4, 4]]}, images=images))
    folder.fails(r"two annotations for one picture \(1\): a.jpg: .*x.json, 7/a.jpg and .*x.json, 8/a.jpg")


def test_a_category_without_a_name(folder):
    content = coco_file({"segmentation": [[0, 0, 4, 0, 4, 4]]}, categories=[{"id": 3, "name": ""}])
    folder.write("x.json", content)
    folder.fails(r"shape without a label \(1\): .*x.json, annotation 1")


# --- CVAT -------------------------------------------------------------------------------------


def cvat(*elements, name="a.jpg", height=HEIGHT, width=WIDTH):
    inside = "\n".join(elements)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>'
        f'<image id="0" name="{name}" width="{width}" height="{height}">{inside}</image></annotations>'
    )


RUNS = ", ".join(map(str, [1, 2, 1, 2]))  # 0 1 1 / 0 1 1


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ('<polygon label="coin" points="2.00,3.00;7.00,3.00;7.00,9.00;2.00,9.00" z_order="0"/>', boxes((3, 9, 2, 7))),
        ('<box label="coin" xtl="2.0" ytl="3.0" xbr="7.0" ybr="9.0"/>', boxes((3, 9, 2, 7))),
        ('<box label="coin" xtl="4" ytl="3" xbr="10" ybr="5" rotation="90.0"/>', boxes((1, 7, 6, 8))),
        ('<ellipse label="coin" cx="8" cy="6" rx="4" ry="4" rotation="30"/>', disc(8, 6, 4)),
        (f'<mask label="coin" rle="{RUNS}" left="4" top="5" width="3" height="2"/>', boxes((5, 7, 5, 7))),
        ('<polyline label="coin" points="2,4;7,4"/>', boxes((3, 5, 2, 7)) | disc(2, 4, 1) | disc(7, 4, 1)),
        ('<points label="coin" points="5,5;9,5"/>', disc(5, 5, 1) | disc(9, 5, 1)),
    ],
)
def test_cvat_shapes(folder, element, expected):
    folder.write("annotations.xml", cvat(element))
    folder.draw(Drawing(line_width=2))
    np.testing.assert_array_equal(folder.mask(), expected)


def test_cvat_draws_by_z_order_and_counts_groups(folder):
    box = '<box label="{}" xtl="{}" ytl="0" xbr="{}" ybr="4" z_order="{}" group_id="{}"/>'
    folder.write("annotations.xml", cvat(box.format("hand", 2, 6, 1, 0), box.format("coin", 0, 4, 0, 5),
                                         box.format("coin", 8, 9, 0, 5)))  # fmt: skip
    found = folder.draw()
    assert folder.mask()[0, :10].tolist() == [1, 1, 2, 2, 2, 2, 0, 0, 1, 0]
    assert [each.objects for each in found.classes] == [0, 1, 1]


def test_what_is_wrong_in_cvat_is_named(folder):
    folder.write(
        "annotations.xml", cvat('<polyline label="coin" points="0,0;4,4"/>', '<points label="coin" points="1,1"/>')
    )
    folder.fails(r"shape without area \(2\): .*annotations.xml, a.jpg, polyline 0, coin; .*points 1, coin")
    folder.write("annotations.xml", cvat('<cuboid label="coin"/>', '<box xtl="0"/>', '<box label="coin" xtl="0"/>',
                                         '<polygon label="coin" points="0,0;x,y;1,1"/>'))  # fmt: skip
    folder.fails(r"shape of an unknown kind \(1\): .*a.jpg, cuboid 0", r"shape without a label \(1\): .*box 1",
                 r"broken annotation \(2\): .*box 2: no 'ytl'; .*polygon 3: could not convert")  # fmt: skip
    for values in ('xtl="nan" ytl="0" xbr="2"', 'xtl="0" ytl="0" xbr="1e12"'):
        folder.write("annotations.xml", cvat(f'<box label="coin" {values} ybr="2"/>'))
        folder.fails(r"broken annotation \(1\): .*box 0, coin: its coordinates are no numbers below 1e\+09")
    folder.write("annotations.xml", "<annotations><track/></annotations>")
    folder.fails("annotations.xml: it holds the tracks of a video. Export it as CVAT for images")
    folder.write("second.xml", "<annotations><image>")
    folder.write("annotations.xml", cvat('<box label="coin" xtl="0" ytl="0" xbr="2" ybr="2"/>'))
    folder.fails(r"broken annotation \(1\): .*second.xml: no element found: line 1, column 20")
    (folder.annotations / "second.xml").unlink()
    folder.write(
        "annotations.xml", cvat('<tag label="blurred"/>', '<box label="coin" xtl="0" ytl="0" xbr="2" ybr="2"/>')
    )
    found = folder.draw()
    assert re.fullmatch(
        r"no shape \(1; no shape, and left out\): .*annotations.xml, a.jpg, tag 0: blurred", *found.notes
    )


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncoin:128,0,0::\nhand:0,128,0::\nvoid:224,224,192::\n"


def test_cvat_segmentation_masks(folder):
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[2:4, 2:6], colours[6:8, 1:3], colours[0] = GREEN, RED, SAND
    folder.write("labelmap.txt", LABELMAP)
    folder.save("SegmentationClass/a.png", colours)
    folder.save("SegmentationObject/a.png", colours // 2)
    folder.draw()
    expected = boxes((2, 4, 2, 6), value=2)
    expected[6:8, 1:3], expected[0] = 1, 255
    np.testing.assert_array_equal(folder.mask(), expected)
    colours[5, 6] = (1, 2, 3)
    folder.save("SegmentationClass/a.png", colours)
    folder.fails(
        r"unknown colour \(1\): .*a.png: \(1, 2, 3\) in row 5, column 6 \(1 pixel of unknown colour\)\n  Add the"
    )
    folder.write("labelmap.txt", LABELMAP + "moon:0,128,0::\n")
    folder.fails(r"broken annotation \(1\): .*labelmap.txt: the colour 0,128,0 has two labels")
    folder.write("labelmap.txt", "coin:red::\n")
    folder.fails(r"broken annotation \(1\): .*labelmap.txt: ")


# --- Pascal VOC -------------------------------------------------------------------------------

VOC_PALETTE = [*(0, 0, 0), *RED, *GREEN, *(128, 128, 0), *([0] * 753), *SAND]


@pytest.mark.parametrize("place", ["a.png", "VOC2012/SegmentationClass/a.png"])
def test_voc_keeps_its_indices(folder, place):
    mask = boxes((2, 4, 2, 6), value=3)
    mask[0] = 255
    folder.save(place, mask, VOC_PALETTE)
    if "/" in place:
        folder.save("VOC2012/SegmentationObject/a.png", mask // 3, VOC_PALETTE)
        folder.write("VOC2012/Annotations/a.xml", "<annotation/>")
        folder.write("VOC2012/ImageSets/Segmentation/train.txt", "a\n")
    found = folder.draw()
    np.testing.assert_array_equal(folder.mask(), mask)
    assert found.table.names == {0: "background", 3: "class 3", 255: "void"}
    table = ClassTable((ClassRow(0, "background", "#000000"), ClassRow(3, "boat", "#ff0000")))
    assert folder.draw(table=table).table.names == {0: "background", 3: "boat", 255: "void"}
    table = ClassTable((ClassRow(0, "background", "#000000"), ClassRow(2, "bird", "#ff0000")))
    folder.fails(r"label that is not in the table \(1\): 3 \(1 shape, the first in .*a.png\)", table=table)


def test_grey_masks_are_not_taken_for_vocs(folder):
    folder.save("a.png", boxes((2, 4, 2, 6), value=255))
    folder.fails(
        r"file of another format \(1\): .*a.png: it has no palette, as Pascal VOC's masks have. Grey masks of class"
    )


def test_cvat_shows_pictures_upright_and_nobody_knows_of_voc(folder):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder.images / "a.jpg", exif=exif)
    mask = boxes((0, 3, 0, 2))
    folder.save("a.png", mask, VOC_PALETTE)
    folder.fails(r"unclear orientation \(1\): .*a.png, a.jpg: EXIF orientation 3")
    folder.write("labelmap.txt", LABELMAP)
    folder.draw()
    np.testing.assert_array_equal(folder.mask(), mask)


# --- Label Studio -----------------------------------------------------------------------------


def result(kind, value, label="coin", **more):
    told = {"id": "r1", "type": kind, "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return told | {"value": value | ({kind: [label]} if kind.endswith("labels") else {})} | more


def task(*results, image="/data/upload/1/0a1b2c3d-a.jpg", **more):
    return {"id": 12, "data": {"image": image}, "annotations": [{"id": 34, "result": results}]} | more


def percent(*points):
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def box(left, top, width, height, **more):
    (x, y), (wide, high) = percent((left, top), (width, height))
    return {"x": x, "y": y, "width": wide, "height": high} | more


def packed(values, word=8, lengths=(3, 4, 8, 16), repeat=True):
    """Values as @thi.ng/rle-pack writes them: runs of one value, and blocks of different ones."""
    digits = f"{len(values):032b}{word - 1:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    at = 0
    while at < len(values):
        run = 1
        while at + run < len(values) and values[at + run] == values[at] and repeat:
            run += 1
        single = run > 1
        if not single:
            while at + run < len(values) and (not repeat or values[at + run] != values[at + run - 1]) and run < 200:
                run += 1
        run = min(run, 2 ** lengths[-1])
        size = next(place for place, length in enumerate(lengths) if run <= 2**length)
        digits += f"{int(single)}{size:02b}{run - 1:0{lengths[size]}b}"
        digits += "".join(f"{value:0{word}b}" for value in values[at : at + (1 if single else run)])
        at += run
    digits += "0" * (-len(digits) % 8)
    return [int(digits[place : place + 8], 2) for place in range(0, len(digits), 8)]


@settings(max_examples=80)
@given(values=st.lists(st.sampled_from([0, 0, 0, 7, 255]), max_size=300), repeat=st.booleans())
def test_brush_data_are_unpacked(values, repeat):
    assert unpack_brush(bytes(packed(values, repeat=repeat))).tolist() == values


@given(values=st.lists(st.integers(0, 7), min_size=1, max_size=40))
def test_brush_data_of_fewer_bits_are_unpacked_and_cut_ones_named(values):
    data = bytes(packed(values, word=3))
    assert unpack_brush(data).tolist() == values
    with pytest.raises(ValueError, match="its brush data are cut off"):
        unpack_brush(data[:-2])


def rgba(mask):
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[..., 3] = 255 * mask
    return packed(pixels.ravel().tolist())


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("polygonlabels", {"points": percent(*corners(2, 3, 7, 9)), "closed": True}, boxes((3, 9, 2, 7))),
        ("rectanglelabels", box(2, 3, 5, 6, rotation=0), boxes((3, 9, 2, 7))),
        ("rectanglelabels", box(8, 2, 6, 2, rotation=90), boxes((2, 8, 6, 8))),
        ("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 3, "rotation": 0}, disc(8, 6, 4)),
        ("keypointlabels", {"x": 50, "y": 50, "width": 0.3}, disc(8, 6, 1)),
        ("brushlabels", {"format": "rle", "rle": rgba(boxes((3, 9, 2, 7)))}, boxes((3, 9, 2, 7))),
    ],
)
def test_labelstudio_shapes(folder, kind, value, expected):
    folder.write("export.json", [task(result(kind, value))])
    folder.draw(Drawing(line_width=2))
    np.testing.assert_array_equal(folder.mask(), expected)


@pytest.mark.parametrize("image", [
    "a.jpg", "/data/upload/1/0a1b2c3d-a.jpg", "/data/local-files/?d=photos%2Fa.jpg", "s3://bucket/photos/a.jpg",
    "https://example.org/a.jpg?width=3",
])  # fmt: skip
def test_labelstudio_finds_its_picture(folder, image):
    folder.write("export.json", [task(result("rectanglelabels", box(2, 3, 5, 6)), image=image)])
    folder.draw()
    assert folder.mask().sum() == 30


def test_labelstudio_labels_may_stand_in_a_result_of_their_own(folder):
    area = box(2, 3, 5, 6)
    folder.write("export.json", [task(result("rectangle", area), result("labels", area | {"labels": ["coin"]}))])
    assert folder.draw().table.indices == {"background": 0, "coin": 1}


def test_what_is_wrong_in_labelstudio_is_named(folder):
    area = box(2, 3, 5, 6)
    wrong = [
        result("rectanglelabels", area | {"rectanglelabels": ["coin", "hand"]} | {}),
        result("rectangle", area, id="r2"),
        result("rectanglelabels", area, image_rotation=90),
        result("brushlabels", {"format": "rle", "rle": packed([0] * 40)}),
        result("brushlabels", {"format": "rle", "rle": [0, 0, 1]}),
        result("vectorlabels", {}),
    ]
    wrong[0]["value"]["rectanglelabels"] = ["coin", "hand"]
    folder.write("export.json", [task(*wrong)])
    folder.fails(r"shape with several labels \(1\): .*task 12, result 0: coin, hand",
                 r"shape without a label \(1\): .*task 12, result 1",
                 r"broken annotation \(3\): .*result 2: the picture is turned by 90°, which is not read; "
                 r".*result 3, coin: its brush has 40 values, expected 12×16×4; .*result 4, coin: its brush data are",
                 r"shape of an unknown kind \(1\): .*result 5: vectorlabels")  # fmt: skip
    two = result("rectanglelabels", area), result("rectanglelabels", area, original_width=99)
    folder.write("export.json", [task(*two)])
    folder.fails(
        r"broken annotation \(1\): .*task 12: its results are for pictures of several sizes, \[\(12, 16\), \(12, 99\)\]"
    )
    twice = [{"result": [result("rectanglelabels", area)]}] * 2
    folder.write("export.json", [task(annotations=twice)])
    folder.fails(r"two annotations for one picture \(1\): ")
    folder.write("export.json", [task(annotations=[twice[0], twice[1] | {"was_cancelled": True}])])
    folder.draw()
    folder.write("export.json", [task(annotations=[])])
    folder.fails(r"picture without annotation \(1\): .*a.jpg")
    folder.write("export.json", [task(result("rectanglelabels", area), {"id": "c", "type": "choices", "value": {}})])
    assert re.fullmatch(r"no shape \(1; .*task 12, result 1: choices", *folder.draw().notes)


def brush(label, number=0, by="-by-1", annotation=34):
    return f"task-12-annotation-{annotation}{by}-tag-{label}-{number}.png"


@pytest.mark.parametrize("name", ["12.jpg", "task-12.jpg", "a.jpg"])
def test_labelstudio_brush_files(folder, name):
    """The number of the task is the picture's name, unless Label Studio's JSON lies beside the files."""
    shutil.move(folder.images / "a.jpg", folder.images / name)
    folder.save(brush("coin"), boxes((0, 2, 0, 2), value=255))
    folder.save(brush("coin", 1), boxes((4, 6, 0, 2), value=255))
    folder.save(brush("left hand", by=""), boxes((5, 9, 1, 3), value=255))
    if name == "a.jpg":
        folder.fails(r"annotation without picture \(1\): .*: task-12")
        folder.write("export.json", [task()])
    found = folder.draw()
    expected = boxes((0, 2, 0, 2), (4, 6, 0, 2))
    expected[5:9, 1:3] = 2
    np.testing.assert_array_equal(folder.mask(name[:-4]), expected)
    assert [(each.row.name, each.objects) for each in found.classes[1:]] == [("coin", 2), ("left hand", 1)]


def test_what_is_wrong_in_labelstudio_brush_files_is_named(folder):
    shutil.move(folder.images / "a.jpg", folder.images / "12.jpg")
    folder.save(brush("coin"), boxes((0, 2, 0, 2), value=255))
    folder.save(brush("hand", annotation=35), boxes((0, 2, 0, 2), value=255))
    folder.fails(r"two annotations for one picture \(1\): task-12: ")
    (folder.annotations / brush("hand", annotation=35)).unlink()
    folder.save(brush("hand"), np.zeros((4, 4), np.uint8))
    folder.fails(r"broken annotation \(1\): .*: the masks of task 12 have several sizes, \[\(4, 4\), \(12, 16\)\]")
    (folder.annotations / brush("hand")).unlink()
    folder.save("other.png", np.zeros((4, 4), np.uint8))
    folder.fails(r"broken annotation \(1\): .*other.png: its name is not task-…-annotation-…-tag-….png")


# --- GeoJSON, QuPath --------------------------------------------------------------------------


def feature(kind, coordinates, name="coin", **geometry):
    properties = {"objectType": "annotation"} | (
        {"classification": {"name": name, "color": [200, 0, 0]}} if name else {}
    )
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates} | geometry,
        "properties": properties,
    }


def ring(*box):
    return [*corners(*box), corners(*box)[0]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (feature("Polygon", [ring(2, 3, 7, 9)]), boxes((3, 9, 2, 7))),
        (feature("Polygon", [ring(2, 3, 7, 9), ring(3, 4, 5, 6)]), boxes((3, 9, 2, 7)) - boxes((4, 6, 3, 5))),
        (feature("MultiPolygon", [[ring(0, 0, 4, 4), ring(1, 1, 2, 2)], [ring(3, 3, 6, 6)]]),
         boxes((0, 4, 0, 4), (3, 6, 3, 6)) - boxes((1, 2, 1, 2))),
        (feature("LineString", [[2, 4], [7, 4]]), boxes((3, 5, 2, 7)) | disc(2, 4, 1) | disc(7, 4, 1)),
        (feature("MultiPoint", [[5, 5], [9, 5]]), disc(5, 5, 1) | disc(9, 5, 1)),
        (feature("GeometryCollection", [], geometries=[{"type": "Polygon", "coordinates": [ring(2, 3, 7, 9)]}]),
         boxes((3, 9, 2, 7))),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: [one], lambda one: {"type": "FeatureCollection", "features": [one]}]
)
def test_geojson_shapes(folder, given, expected, wrap):
    folder.write("a.geojson", wrap(given))
    folder.draw(Drawing(line_width=2))
    np.testing.assert_array_equal(folder.mask(), expected)


def test_geojson_is_named_after_its_picture_and_labels_may_be_plain(folder):
    folder.write("a.jpg.json", {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring(0, 0, 2, 2)]},
                                "properties": {"label": "coin"}})  # fmt: skip
    assert folder.draw().table.indices == {"background": 0, "coin": 1}
    folder.write("a.jpg.json", [feature("Polygon", [ring(0, 0, 2, 2)], name=None), feature("Circle", [])])
    folder.fails(
        r"shape without a label \(1\): .*a.jpg.json, feature 0", r"shape of an unknown kind \(1\): .*feature 1: Circle"
    )


# --- ImageJ -----------------------------------------------------------------------------------


def region(points, kind="POLYGON", name="coin", **fields):
    roi = roifile.ImagejRoi.frompoints(np.array(points), name=name)  # of a part of a pixel if one is no whole number
    for field, value in fields.items() | {"roitype": roifile.ROI_TYPE[kind]}.items():
        setattr(roi, field, value)
    return roi


@pytest.mark.parametrize(
    ("points", "kind", "expected"),
    [
        (corners(2, 3, 7, 9), "POLYGON", boxes((3, 9, 2, 7))),
        (corners(2.6, 3.4, 7.4, 8.6), "FREEHAND", boxes((3, 9, 3, 7))),
        (corners(2, 3, 7, 9), "TRACED", boxes((3, 9, 2, 7))),
        ([[4, 2], [11, 9]], "OVAL", disc(8, 6, 4)),
        ([[2, 3], [6, 8]], "RECT", boxes((3, 9, 2, 7))),
        ([[2.5, 4], [7.5, 4]], "POLYLINE", boxes((3, 5, 2, 8))),
        ([[5.5, 5], [9.5, 5]], "POINT", disc(5.5, 5, 1) | disc(9.5, 5, 1)),
        ([[5, 4]], "POINT", disc(5.5, 4.5, 1)),
    ],
)
def test_imagej_regions(folder, points, kind, expected):
    whole = {"integer_coordinates": None, "n_coordinates": 0} if kind in ("OVAL", "RECT") else {}
    region(points, kind, **whole).tofile(folder.annotations / "a.roi")
    folder.draw(Drawing(line_width=2))
    np.testing.assert_array_equal(folder.mask(), expected)


@pytest.mark.parametrize(("kind", "expected"), [("RECT", boxes((3, 8, 3, 7))), ("OVAL", disc(4.6, 5.2, 2))])
def test_imagej_boxes_of_parts_of_pixels(folder, kind, expected):
    part = roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    height = 5.0 if kind == "RECT" else 4.0
    region([[2, 3], [6, 8]], kind, integer_coordinates=None, n_coordinates=0, options=part, xd=2.6, yd=3.2,
           widthd=4.0, heightd=height).tofile(folder.annotations / "a.roi")  # fmt: skip
    folder.draw()
    np.testing.assert_array_equal(folder.mask(), expected)


def test_imagej_regions_of_a_picture_in_one_file(folder):
    regions = [region(corners(0, 0, 4, 4)), region(corners(2, 2, 6, 6), name="hand"),
               region(corners(8, 8, 9, 9), name="0008-0008", group=3)]  # fmt: skip
    roifile.roiwrite(folder.annotations / "a_RoiSet.zip", regions)
    found = folder.draw()
    assert found.table.indices == {"background": 0, "coin": 1, "group 3": 2, "hand": 3}
    assert folder.mask()[3, 3] == 3 and folder.mask()[8, 8] == 2


def test_what_is_wrong_in_imagej_is_named(folder, monkeypatch, capsys):
    region(corners(0, 0, 4, 4), name="0002-0002").tofile(folder.annotations / "a.roi")
    folder.fails(r"shape without a label \(1\): .*a.roi, region 0")
    region(corners(0, 0, 4, 4), "NOROI").tofile(folder.annotations / "a.roi")
    folder.fails(r"shape of an unknown kind \(1\): .*a.roi, region 0: noroi")
    data = (folder.annotations / "a.roi").read_bytes()
    for broken in (b"no region", data[:30]):
        (folder.annotations / "a.roi").write_bytes(broken)
        folder.fails(r"broken annotation \(1\): .*a.roi: ")
    (folder.annotations / "a.roi").rename(folder.annotations / "a.zip")
    folder.fails(r"broken annotation \(1\): .*a.zip: ", kind="imagej")
    monkeypatch.setitem(sys.modules, "roifile", None)
    words = ["masks", str(folder.annotations), str(folder.images), str(folder.masks), "--format", "imagej"]
    assert main(words) == 2
    assert capsys.readouterr().err.endswith(': pip install "segfeed[imagej]"\n')


# --- Which format it is -----------------------------------------------------------------------


def test_files_of_another_format_are_named(folder):
    folder.write("a.json", labelme({"label": "coin", "points": corners(0, 0, 2, 2)}))
    folder.write("b.json", coco_file())
    folder.fails(r"file of another format \(1\): .*b.json: it has no list of shapes, as LabelMe's files have")
    for kind, words in {
        "coco": "it has no lists of images and annotations, as COCO's",
        "labelstudio": "it has no tasks with data and annotations, as Label Studio's",
        "geojson": "it has no features, as GeoJSON has",
    }.items():
        folder.fails(rf"file of another format \(\d\): .*a.json: {words}", kind=kind)
    folder.write("a.xml", "<other/>")
    folder.fails("a.xml: it has no images, as CVAT's files have", kind="cvat")


def test_what_is_no_annotation_is_refused(folder, tmp_path, capsys):
    folders = [str(folder.annotations), str(folder.images), str(folder.masks)]
    folder.write("notes.txt", "")
    folder.write("other.json", [{"image": "/data/upload/1/a.jpg", "label": []}])
    for words, said in {
        (): f"{folder.annotations} holds no annotations of a format that is known (notes.txt, other.json). Known are",
        ("--format", "cvat"): f"{folder.annotations} holds no .xml of the format cvat. Check the path and --format.",
    }.items():
        assert main(["masks", *folders, *words]) == 2
        assert capsys.readouterr().err.startswith(f"Stopped: {said}")
    (folder.annotations / "export.zip").touch()
    with pytest.raises(CommandError, match=r"annotations holds export.zip: unpack it, and give the folder."):
        folder.draw()
    with pytest.raises(CommandError, match=r"there is no .*nowhere. Check the path; it is relative to "):
        draw_masks(tmp_path / "nowhere", folder.images, folder.masks)


def test_one_file_may_be_given_and_subfolders_are_read_but_hidden_files_are_not(folder):
    content = labelme({"label": "coin", "points": corners(0, 0, 2, 2)})
    folder.write("deep/er/a.json", content)
    folder.write(".hidden/b.json", content)
    folder.write("__MACOSX/b.json", content)
    folder.write("._a.json", "")
    folder.draw()
    shutil.rmtree(folder.masks)
    draw_masks(folder.annotations / "deep" / "er" / "a.json", folder.images, folder.masks)
    assert folder.mask().sum() == 4
