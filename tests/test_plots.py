"""Every picture of plots.py: what it draws, and the line of numbers that says the same."""

import io
import itertools
import os
import warnings
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_rgb
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from segfeed import DataGenerator, iou_per_class, lesson_plots, plots, worker_plots

Call = namedtuple("Call", "what thread start end")
NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
OBJECT = np.zeros((12, 16), np.uint8)
OBJECT[2:9, 3:12] = 255

# --- overlay ----------------------------------------------------------------------------------

SQUARE = np.zeros((20, 20, 1), np.uint8)
SQUARE[4:16, 4:16] = 1


def tint(index, grey=0.5):
    return 0.6 * np.array(to_rgb(plots.COLOURS[index - 1])) + 0.4 * grey


def test_an_overlay_tints_and_outlines_the_object_and_leaves_the_ground():
    laid = plots.overlay(np.full((20, 20, 3), 0.5), SQUARE)
    assert laid.shape == (20, 20, 3) and laid.dtype.kind == "f"
    assert np.allclose(laid[:2], 0.5)
    assert np.allclose(laid[10, 10], tint(1))
    assert np.allclose(laid[10, 4], 1) and np.allclose(laid[10, 3], 0)


@pytest.mark.parametrize("index", range(1, 7))
def test_a_class_has_one_colour_in_every_picture(index):
    assert np.allclose(plots.overlay(np.full((20, 20, 3), 0.5), SQUARE * np.uint8(index))[10, 10], tint(index))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_overlay_takes_grey_and_colour_in_bytes_and_fractions(channels, dtype):
    image = NOISE[..., :channels] if dtype == np.uint8 else NOISE[..., :channels].astype(dtype) / 255
    before = image.copy()
    laid = plots.overlay(image, OBJECT[..., None])
    assert laid.shape == (12, 16, 3) and 0 <= laid.min() < laid.max() <= 1
    assert np.allclose(laid[-2:], NOISE[-2:, :, :channels] / 255, atol=1e-6)
    assert np.array_equal(image, before)


def test_an_empty_mask_leaves_the_image():
    assert np.allclose(plots.overlay(NOISE, np.zeros((12, 16, 1), np.uint8)), NOISE / 255)


# --- Pictures ---------------------------------------------------------------------------------


def titles(picture):
    return [axis.get_title() for axis in picture.figure.axes]


def test_a_pair_is_shown_with_its_mask_and_overlay():
    picture = plots.plot_pair(NOISE, OBJECT[..., None], name="0007")
    assert titles(picture) == ["0007: image", "0007: mask", "0007: overlay"]
    assert picture.text == "0007: 12×16 pixels, 32.8% of them in the mask"


def test_every_class_counts_towards_the_share_of_the_mask():
    mask = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16, 1) % 3
    assert plots.plot_pair(NOISE, mask).text == "pair: 12×16 pixels, 66.7% of them in the mask"


def test_a_mask_full_of_object_is_not_drawn_like_an_empty_one():
    full, empty = (plots.plot_pair(NOISE, np.full((12, 16, 1), value, np.uint8)) for value in (255, 0))
    panels = [picture.figure.axes[1].images[0] for picture in (full, empty)]
    bright, dark = (panel.to_rgba(panel.get_array())[..., :3].mean() for panel in panels)
    assert bright > dark + 0.5


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (4, 4), (5, 8)])
def test_a_batch_is_shown_with_the_share_of_each_mask(count, panels):
    images, masks = np.stack([NOISE] * count), np.stack([OBJECT[..., None]] * count)
    picture = plots.plot_batch(images, masks, [f"p{number}" for number in range(count)])
    assert titles(picture) == [f"p{number}" for number in range(count)] + [""] * (panels - count)
    shares = ", ".join(f"p{number} 32.8%" for number in range(count))
    assert picture.text == f"Share of the pixels in the mask: {shares}"


def test_a_batch_without_masks_is_shown_with_the_mean_of_each_channel():
    images = np.stack([np.full((12, 16, 3), (10, 20, 30), np.uint8), np.full((12, 16, 3), 7, np.uint8)])
    picture = plots.plot_batch(images, None, ["a", "b"])
    assert titles(picture) == ["a", "b"]
    assert np.array_equal(picture.figure.axes[0].images[0].get_array(), images[0])
    assert picture.text == "Mean of each channel: a [10. 20. 30.], b [7. 7. 7.]"


def test_the_curves_of_a_training_and_its_validation_are_drawn_together():
    history = {"loss": [0.9, 0.5], "iou": [0.1, 0.2], "val_loss": [1.0, 0.7], "val_iou": [0.0, 0.3], "rate": [1, 1e-4]}
    picture = plots.plot_history(history)
    assert titles(picture) == ["loss", "iou", "rate"]
    drawn = [[list(line.get_ydata()) for line in axis.lines] for axis in picture.figure.axes]
    assert drawn == [[[0.9, 0.5], [1.0, 0.7]], [[0.1, 0.2], [0.0, 0.3]], [[1, 1e-4]]]
    assert list(picture.figure.axes[0].lines[1].get_xdata()) == [1, 2]
    assert picture.text == "After 2 epochs: loss 0.5, iou 0.2, val_loss 0.7, val_iou 0.3, rate 0.0001"


def test_a_training_without_validation_has_curves_too():
    picture = plots.plot_history({"loss": [0.9, 0.5, 0.25]})
    assert titles(picture) == ["loss"]
    assert picture.text == "After 3 epochs: loss 0.25"


@pytest.mark.parametrize("epochs", [1, 2, 7, 12, 100])
def test_the_axis_of_a_training_counts_whole_epochs(epochs):
    (axis,) = plots.plot_history({"loss": [0.5] * epochs}).figure.axes
    assert all(tick == int(tick) for tick in axis.get_xticks())


class FourPixels:
    """A model that finds the first four pixels of every image, whatever it shows."""

    def predict_on_batch(self, images):
        found = np.zeros((*images.shape[:3], 1), np.float32)
        found[:, 0, :4] = 1
        return found


@pytest.fixture
def predict(folders):
    """Show the predictions for some of `folders`, where mask n has its n + 1 pixels in the same place."""

    def predict(ids, count, **options):
        data = DataGenerator(ids, folders.imgs, folders.masks, 2, (12, 16), **options)
        return plots.plot_predictions(FourPixels(), data, count)

    return predict


def test_predictions_are_shown_worst_first(predict):
    picture = predict(["03", "00", "01", "02", "12"], count=2, shuffle=False)
    assert picture.text == "IoU, worst first: 00 0.25, 12 0.31, 02 0.75, 03 1.00"
    assert titles(picture)[:4] == ["00: mask", "12: mask", "02: mask", "03: mask"]
    assert titles(picture)[4:] == [f"prediction, IoU {iou}" for iou in ("0.25", "0.31", "0.75", "1.00")]


def test_a_set_smaller_than_twice_the_count_is_shown_once(predict):
    assert predict(["03", "00", "01"], count=3, shuffle=False).text == "IoU, worst first: 00 0.25, 01 0.50, 03 1.00"


def test_finding_nothing_where_there_is_nothing_is_right(tmp_path, write_pair):
    write_pair(tmp_path, "a")
    data = DataGenerator(["a"], tmp_path / "images", tmp_path / "masks", 1, (12, 16), shuffle=False)
    blind = SimpleNamespace(predict_on_batch=lambda images: np.zeros((len(images), 12, 16, 1), np.float32))
    assert plots.plot_predictions(blind, data).text == "IoU, worst first: a 1.00"


def test_predictions_are_laid_on_the_images_of_the_files(predict):
    picture = predict(["12"], count=1, shuffle=False, preprocess=lambda images: images - 500)
    image, mask, found = (np.full((12, 16, 3), 12, np.uint8), *np.zeros((2, 12, 16, 1), np.uint8))
    mask[0, :13], found[0, :4] = 255, 255
    for axis, expected in zip(picture.figure.axes, (mask, found), strict=True):
        assert np.allclose(axis.images[0].get_array(), plots.overlay(image, expected))


@pytest.mark.parametrize("n_classes", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_the_iou_of_a_picture_is_that_of_the_scores_without_void(tmp_path, write_pair, n_classes, seed):
    rng = np.random.default_rng(seed)
    mask = rng.choice(np.array([0, 1, 255], np.uint8), (12, 16))
    write_pair(tmp_path, "a", np.repeat(rng.choice(np.array([0, 255], np.uint8), (12, 16, 1)), 3, axis=2), mask)
    data = DataGenerator(
        ["a"], tmp_path / "images", tmp_path / "masks", 1, (12, 16), n_classes, shuffle=False, ignore=255
    )

    def predict_on_batch(images):
        return images[..., :1] if n_classes == 1 else np.concatenate([1 - images[..., :1], images[..., :1]], axis=-1)

    model = SimpleNamespace(predict_on_batch=predict_on_batch)
    score = iou_per_class(model, data, ("ground", "object"))[1].iou
    assert float(plots.plot_predictions(model, data).text.rpartition(" ")[2]) == pytest.approx(score, abs=0.0051)


def test_void_is_drawn_as_ground_when_its_value_is_given():
    mask = np.zeros((20, 20, 1), np.uint8)
    mask[4:16, 4:16], mask[18:] = 2, 255
    plain = np.where(mask == 255, np.uint8(0), mask)
    grey = np.full((20, 20, 3), 0.5)
    assert np.array_equal(plots.overlay(grey, mask, ignore=255), plots.overlay(grey, plain))
    assert plots.plot_pair(grey, mask, ignore=255).text == plots.plot_pair(grey, plain).text
    assert plots.plot_pair(grey, np.where(mask == 2, np.uint8(0), mask), ignore=255).text.endswith(
        ", 0.0% of them in the mask"
    )


def test_predictions_of_a_generator_that_shuffles_are_refused(predict):
    with pytest.raises(ValueError, match="shuffle=False"):
        predict(["00"], count=1)


def test_the_alternative_text_of_a_picture_is_what_it_prints(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    picture = plots.plot_pair(NOISE, OBJECT[..., None])
    assert DisplayFormatter().format(picture) == ({}, {})  # Jupyter's way to show a result: it shows itself
    ((data, options),) = shown
    assert capsys.readouterr().out == f"{picture.text}\n"
    assert options == {"metadata": {"image/png": {"alt": picture.text}}, "raw": True}
    assert data["text/plain"] == picture.text
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.format == "PNG" and image.width > 2 * image.height


# --- Names in titles --------------------------------------------------------------------------

NAMES = st.text(st.characters(), min_size=1, max_size=8)  # of all Unicode, halves of characters included


@settings(max_examples=12)
@given(st.one_of(NAMES, st.text("$\\_^{}%\n동전aé–\udcb5", min_size=1, max_size=8)))
@example("$1_$2")
@example("$\\frac$")
@example("동전")
def test_any_name_is_a_title_and_nothing_is_warned_of(name):
    picture = plots.plot_pair(NOISE, OBJECT[..., None], name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture.figure.savefig(io.BytesIO())
    assert picture.text.encode() and len(picture.text.splitlines()) == 1
    assert not any(axis.title.get_parse_math() for axis in picture.figure.axes)


def test_names_reach_every_picture_as_they_are(tmp_path, write_pair, capfd):
    names = ["$1_$2", "a_b^c", "x\\"] if os.name == "posix" else ["$1_$2", "a_b^c"]
    for name in names:
        write_pair(tmp_path, name)
    data = DataGenerator(names, tmp_path / "images", tmp_path / "masks", 3, (12, 16), shuffle=False)
    pictures = [
        plots.plot_batch(*data[0], names),
        plots.plot_predictions(FourPixels(), data),
        plots.plot_history({"$1_$2": [1.0], "loss": [1.0], "val_loss": [1.0]}),
    ]
    for picture in pictures:
        picture.figure.savefig(io.BytesIO())
        assert "$1_$2" in " ".join(titles(picture)) and "$1_$2" in picture.text
    assert capfd.readouterr() == ("", "")


def test_a_character_comes_from_a_font_that_has_it_or_by_its_number(monkeypatch, caplog):
    usual, others = (
        {code for font in fonts for code in get_font(font.fname).get_charmap() if chr(code).isprintable()}
        for fonts in (
            [font for font in fontManager.ttflist if font.name == "DejaVu Sans"],
            [font for font in fontManager.ttflist if font.name.startswith("STIX")],  # matplotlib brings them too
        )
    )
    lacked = chr(min(others - usual))
    assert titles(plots.plot_batch(NOISE[None], None, [f"a{lacked}"])) == [f"a{lacked}"]
    plots._family_with.cache_clear()
    plots.plot_batch(NOISE[None], None, ["\U00012000"])  # which is looked for in every font
    assert caplog.records == []
    plots._family_with.cache_clear()
    monkeypatch.setattr(plots, "_families", list)
    assert titles(plots.plot_batch(NOISE[None], None, [f"a{lacked}é"])) == [f"a\\u{ord(lacked):04x}é"]
    plots._family_with.cache_clear()


@pytest.mark.parametrize("name", ["IMG_20240131_235959_segmentation_0001", "W" * 40, "i" * 40])
def test_a_long_name_does_not_run_into_its_neighbour(name):
    picture = plots.plot_batch(np.stack([NOISE] * 8), None, [f"{number}{name}{number}" for number in range(8)])
    picture.figure.savefig(io.BytesIO())
    boxes = [axis.title.get_window_extent() for axis in picture.figure.axes]
    assert all(left.x1 < right.x0 for row in (boxes[:4], boxes[4:]) for left, right in itertools.pairwise(row))
    assert boxes[0].x0 >= 0 and boxes[3].x1 <= picture.figure.bbox.x1
    for number, axis in enumerate(picture.figure.axes):  # both ends, which tell names apart, stay
        assert axis.get_title().startswith(str(number)) and axis.get_title().endswith(str(number))
        assert len(axis.get_title()) > 6 and "…" in axis.get_title() and f"{number}{name}{number}" in picture.text


# --- For every eye, and from the back of a room ----------------------------------------------

# How linear RGB is seen without one of the three kinds of cones: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.0.
EYES = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


ALIKE = {
    "protanopia": ("#f04b69", "#697869"),
    "deuteranopia": ("#d22d96", "#0f9696"),
    "tritanopia": ("#5af0c3", "#3cf0f0"),
}


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def apart(one, other, eye):
    """How different two colours look (CIEDE2000); 2 is what an eye just notices between patches side by side."""
    light = [np.clip(EYES[eye] @ linear(colour), 0, 1) for colour in (one, other)]
    first, second = (
        rgb2lab(np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)) for rgb in light
    )
    return float(deltaE_ciede2000(first, second))


@pytest.mark.parametrize("eye", EYES)
def test_the_colours_of_the_classes_stay_apart(eye):
    pairs = list(itertools.combinations(plots.COLOURS, 2))
    assert min(apart(*pair, eye) for pair in pairs) > 10  # five times what is just noticed


@pytest.mark.parametrize(("eye", "pair"), ALIKE.items())
def test_the_simulation_finds_colours_that_look_alike(eye, pair):
    assert apart(*pair, "usual") > 10 and apart(*pair, eye) < 3


def test_lines_stand_out_from_the_white_of_a_chart():
    """WCAG 2.2, 1.4.11: 3 to 1."""
    for colour in plots.COLOURS[4:]:  # the others come with black edges, as areas and as marks on a line
        assert 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3


def test_no_letter_is_smaller_than_ten_points(predict):
    drawn = [
        plots.plot_pair(NOISE, OBJECT[..., None]),
        plots.plot_batch(NOISE[None], None, ["a"]),
        plots.plot_history({"loss": [0.9, 0.5], "val_loss": [1.0, 0.7]}),
        predict(["03", "00"], count=1, shuffle=False),
    ]
    for picture in drawn:
        letters = [text.get_fontsize() for text in picture.figure.findobj(Text) if text.get_text()]
        assert letters and min(letters) >= 10


# --- Drawings of what the notebooks explain --------------------------------------------------


def test_batches_that_stay_together_and_batches_that_are_mixed():
    same = lesson_plots.plot_batches([np.arange(12)] * 2, 4)
    assert same.text == (
        "2 epochs of 12 samples in batches of 4: each sample once in each; "
        "of two that share a batch 100% share the next"
    )
    apart = [np.arange(9), np.arange(9).reshape(3, 3).T.ravel()]
    assert "of two that share a batch 0% share the next" in lesson_plots.plot_batches(apart, 3).text
    assert "not every sample once" in lesson_plots.plot_batches([np.arange(12), np.zeros(12, int)], 4).text
    numbers = [text.get_text() for text in same.figure.axes[0].texts]
    assert numbers == 2 * [str(place // 4) for place in range(12)]


def test_calls_are_counted_and_drawn_in_their_parts():
    calls = [0, 1, "end", 0, 1, 2, "end", 2, 0, 1, "end"]
    drawn = lesson_plots.plot_calls(calls, epochs=2)
    assert drawn.text == "2 epochs: 8 calls of __getitem__, 6 of them within the epochs, and 3 of on_epoch_end"
    words = [text.get_text() for text in drawn.figure.axes[0].texts]
    assert words[:3] == ["look ahead", "epoch 1", "epoch 2"]
    assert words[3:] == [str(call) for call in calls if call != "end"]


def test_values_of_pixels_can_be_read():
    parts = [np.array([[0, 255], [255, 0]], np.uint8)[..., None], np.arange(4, dtype=np.uint8).reshape(2, 2, 1)]
    drawn = lesson_plots.plot_values(parts, ["a", "b"])
    assert drawn.text == "Different values: a 2, b 4"
    assert [text.get_text() for text in drawn.figure.axes[1].texts] == ["0", "1", "2", "3"]


def test_progress_says_the_iou_of_each_epoch():
    mask = np.zeros((4, 4, 1))
    mask[:2] = 1
    drawn = lesson_plots.plot_progress(np.zeros((4, 4, 3)), mask, {0: 1 - mask, 3: np.ones((4, 4, 1)), 9: mask})
    assert drawn.text == "IoU after epoch 0: 0.00, 3: 0.50, 9: 1.00"


@pytest.mark.tensorflow
def test_a_u_net_is_drawn_with_its_sizes():
    from segfeed import small_unet

    drawn = lesson_plots.plot_unet(small_unet(img_size=(64, 96)))
    assert drawn.text == "Height 64 → 32 → 16 → 8 → 4 → 8 → 16 → 32 → 64; up to 128 channels"
    boxes = [text.get_text() for text in drawn.figure.axes[0].texts if "×" in text.get_text()]
    assert boxes[0] == "64×96\n× 8" and boxes[4] == "4×6\n× 128" and boxes[-2:] == ["64×96\n× 8", "64×96\n× 1"]


def test_feature_maps_are_told_by_their_size():
    maps = [np.zeros((8, 8, 8)), np.ones((4, 4, 16))]
    drawn = lesson_plots.plot_feature_maps(np.zeros((8, 8, 3)), maps, ["first", "second"])
    assert drawn.text == "6 of the channels of each layer: first 8×8, second 4×4" and len(drawn.figure.axes) == 14


def test_a_timeline_shows_each_batch_where_it_was_made_and_trained_on():
    made = [Call(0, "w1", 0.0, 1.0), Call(1, "w2", 0.0, 1.5), Call(2, "w1", 1.0, 2.0), Call("end", "MainThread", 9, 9)]
    trained = [Call(number, "any", start, start + 0.5) for number, start in enumerate((1.0, 3.0, 4.0))]
    drawn = lesson_plots.plot_timeline({"both": (made, trained), "one": (made[:1], trained[:1])})
    assert drawn.text == "both: 2 at once, 4.5 s in all; one: 1 at once, 1.5 s in all"
    axis = drawn.figure.axes[0]
    boxes = {(round(box.get_y() + 0.45), box.get_x(), round(box.get_width(), 6)) for box in axis.patches}
    assert {row: [box for box in sorted(boxes) if box[0] == row] for row in range(4)} == {
        0: [(0, 0.0, 1.0), (0, 1.0, 1.0)],
        1: [(1, 0.0, 1.5)],
        2: [(2, 1.5, 0.5), (2, 2.0, 1.0), (2, 3.0, 1.0)],  # one lies ready, then two, then one
        3: [(3, 1.0, 0.5), (3, 3.0, 0.5), (3, 4.0, 0.5)],
    }
    assert [text.get_text() for text in axis.texts] == ["0", "1", "2", "1", "2", "1", "0", "1", "2"]


def test_what_was_never_trained_on_is_grey():
    numbers = np.array([[0, 1], [1, 3]])
    drawn = lesson_plots.plot_reached({"few": numbers, "all": np.arange(6).reshape(3, 2)}, batches=6)
    assert drawn.text == "Different batches trained on: few 3 of 6, all 6 of 6"
    few, whole = drawn.figure.axes
    assert [patch.get_x() for patch in few.patches] == [1.5, 3.5, 4.5] and not whole.patches
    assert few.collections[0].get_offsets().tolist() == [[0, 0], [1, 0], [1, 1], [3, 1]]


def test_a_sheet_of_findings_shows_what_a_viewer_shows(tmp_path):
    pixels = {"grey": NOISE[..., 0], "16 bits": NOISE[..., 0].astype(np.uint16) * 257, "colour": NOISE}
    found = [("absent", tmp_path / "absent.png"), ("broken", tmp_path / "broken.png")]
    found[1][1].write_bytes(b"no picture")
    for name, array in pixels.items():
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        found.append((name, tmp_path / f"{name}.png"))
    drawn = lesson_plots.plot_findings(found, columns=3)
    assert drawn.text == "5 findings; a viewer shows 3 of the files"
    assert titles(drawn)[:5] == ["absent", "broken", *pixels]
    words = [text.get_text() for axis in drawn.figure.axes for text in axis.texts]
    assert words == ["no such file", "cannot be read"]
    shown = [np.asarray(axis.images[0].get_array()) for axis in drawn.figure.axes[2:5]]
    assert np.array_equal(shown[0], NOISE[..., 0]) and np.array_equal(shown[1], NOISE[..., 0])
    assert np.array_equal(shown[2], NOISE)


def test_the_answers_of_networks_are_drawn_beside_the_mask_with_their_iou():
    mask = np.zeros((4, 4, 1))
    mask[:2] = 1
    answers = {"all": np.ones((4, 4, 1), bool), "right": mask > 0, "none": mask > 1}
    drawn = lesson_plots.plot_answers(np.zeros((4, 4, 3)), mask, answers)
    assert drawn.text == "IoU of this picture: all 0.50, right 1.00, none 0.00"
    assert titles(drawn) == ["true mask", *answers]


def test_the_parts_of_workers_are_drawn_and_counted():
    read = [(epoch, step, rank, "0001") for epoch in (0, 1) for step in (0, 1) for rank in (0, 0, 1)]
    drawn = worker_plots.plot_parts(read)
    assert drawn.text == "Samples read in 2 epochs: worker 0 8, worker 1 4"
    assert [axis.get_title() for axis in drawn.figure.axes] == ["Epoch 0", "Epoch 1"]
    bars = [patch for patch in drawn.figure.axes[0].patches]
    assert len(bars) == 6 and len({(bar.get_x(), bar.get_y()) for bar in bars}) == 6, "none hides another"
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == 2


def test_trainings_that_agree_are_rings_around_one_point_and_the_largest_difference_is_said():
    drawn = worker_plots.plot_agreement({"one": [2.0, 1.0], "two": [2.0, 1.001], "three": [2.0, 1.0]})
    assert drawn.text == "3 trainings; losses of one epoch differ by 1e-03 at most"
    sizes = [line.get_markersize() for line in drawn.figure.axes[0].lines]
    assert sizes == sorted(set(sizes)), "each ring is larger than the one before"
