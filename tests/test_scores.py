"""Scores, their interval, threshold and calibration, beside plain counts over pixels; and the pictures of them."""

import io
import itertools
import unicodedata
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from PIL import Image
from test_plots import EYES, NAMES, apart, linear

from segfeed import counts as counting
from segfeed import scores
from segfeed.counts import BINS, Counts, count_boundaries, count_pixels
from segfeed.score_plots import PARTS, error_parts, plot_calibration, plot_confusion, plot_worst
from utils import DataGenerator

ECHO = SimpleNamespace(predict_on_batch=lambda images: images)
SEEDS = st.integers(0, 2**32 - 1)


class Batches(list):
    """Stands for a generator whose images are what `ECHO` predicts; a picture is one (height, width)."""

    def __init__(self, probabilities, truth, known=None, batch=2):
        self.n_classes, k = probabilities.shape[-1], probabilities.shape[-1]
        masks = truth[..., None] if k == 1 else (truth[..., None] == np.arange(k)) & (truth[..., None] < 256)
        cuts = range(0, len(truth), batch)
        weights = [] if known is None else [known.astype(np.float32)]
        super().__init__(
            tuple(a[at : at + batch] for a in (probabilities, masks.astype(np.float32), *weights)) for at in cuts
        )


def pictures(seed, n_classes, count=5, size=(6, 7), levels=None):
    """Probabilities, classes and which are known; with `levels`, few different probabilities, so that edges are hit."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((count, *size, n_classes), np.float32)
    if levels:
        probabilities = np.float32(rng.integers(0, levels + 1, probabilities.shape) / levels)
    return probabilities, rng.integers(0, max(2, n_classes), (count, *size)), rng.random((count, *size)) > 0.2


def classes_found(probabilities, threshold):
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] >= threshold).astype(int)
    return probabilities.argmax(axis=-1)


def divided(part, whole):
    return part / whole if whole else 0.0


# --- Counts ------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 4), st.integers(1, BINS), st.booleans())
def test_counts_are_those_of_a_loop_over_pixels(seed, n_classes, edge, void):
    probabilities, truth, known = pictures(seed, n_classes, levels=16)
    known = known if void else np.ones_like(known)
    counts = count_pixels(ECHO, Batches(probabilities, truth, known if void else None), edge / BINS)
    found = classes_found(probabilities, edge / BINS)
    k = max(2, n_classes)
    for number, row, column in np.ndindex(len(truth), k, k):
        here = known[number] & (truth[number] == row) & (found[number] == column)
        if row == column:
            assert counts.pixels[number, 2, row] == here.sum()
    for number, index in np.ndindex(len(truth), k):
        assert counts.pixels[number, 0, index] == (known[number] & (truth[number] == index)).sum()
        assert counts.pixels[number, 1, index] == (known[number] & (found[number] == index)).sum()
    expected = [[(known & (truth == row) & (found == column)).sum() for column in range(k)] for row in range(k)]
    assert (counts.confusion == expected).all()
    assert counts.histogram.sum() == known.sum() and (counts.threshold is None) == (n_classes > 1)
    objects = [(known[n] & (truth[n] > 0)).sum() for n in range(len(truth))]
    for number, iou in enumerate(counts.picture_iou):
        right = known[number] & (truth[number] > 0) & (truth[number] == found[number])
        either = known[number] & ((truth[number] > 0) | (found[number] > 0))
        assert iou == (pytest.approx(right.sum() / either.sum()) if either.any() else 1) and objects[number] >= 0


def test_what_is_kept_does_not_grow_with_the_size_of_the_pictures():
    sizes = [
        [array.nbytes for array in count_pixels(ECHO, Batches(*pictures(0, 3, size=size)[:2])).__getnewargs__()[1:]]
        for size in ((8, 8), (80, 90))
    ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("n_classes", [1, 3])
def test_void_pixels_count_nowhere(n_classes):
    probabilities, truth, known = pictures(0, n_classes, size=(20, 30))
    others = pictures(1, n_classes, size=(20, 30))
    swapped = np.where(known[..., None], probabilities, others[0]), np.where(known, truth, others[1])
    one, other = (
        count_pixels(ECHO, Batches(*pair, known), boundaries=True) for pair in ((probabilities, truth), swapped)
    )
    for mine, theirs in zip(one, other, strict=True):
        assert np.array_equal(mine, theirs) or mine is theirs


def test_what_is_no_probability_stops_nothing():
    values = np.array([-3, 0, 0.5, 1, 7, np.nan], np.float32).reshape(1, 1, 6, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = count_pixels(ECHO, Batches(values, np.array([[[0, 0, 1, 1, 1, 0]]])))
    assert counts.confusion.tolist() == [[3, 0], [0, 3]] and counts.histogram[0, 0] == 3


# --- Boundaries --------------------------------------------------------------------------------


def plain_boundary(classes, known, index):
    """The (row, column) of each boundary pixel of a class."""
    found = []
    for row, column in np.ndindex(*classes.shape):
        around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        inside = [at for at in around if 0 <= at[0] < classes.shape[0] and 0 <= at[1] < classes.shape[1] and known[at]]
        if classes[row, column] == index and known[row, column] and any(classes[at] != index for at in inside):
            found.append((row, column))
    return found


def plain_near(pixels, others, reach):
    return sum(any(np.hypot(a - c, b - d) <= reach + 1e-6 for c, d in others) for a, b in pixels)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 14), st.integers(1, 14), st.sampled_from([0.0075, 0.1, 0.2, 0.25]))
def test_boundaries_are_those_of_a_loop_over_pixels(seed, height, width, tolerance):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 3, (2, height, width)) * (rng.random((2, height, width)) > 0.6)
    known = rng.random((height, width)) > 0.1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "TOLERANCE", tolerance)
        counts = count_boundaries(truth, found, known, 4)
    for index in range(4):
        true, predicted = (plain_boundary(classes, known, index) for classes in (truth, found))
        reach = tolerance * np.hypot(height, width)
        expected = [plain_near(predicted, true, reach), len(predicted), plain_near(true, predicted, reach), len(true)]
        assert counts[:, index].tolist() == expected


@pytest.mark.parametrize(("shift", "near"), [(0, True), (3, True), (4, False)])
def test_the_tolerance_is_three_quarters_of_a_percent_of_the_diagonal(shift, near):
    """A picture of 240×320 pixels has a diagonal of 400: 3 pixels."""
    truth = np.zeros((240, 320), int)
    truth[:, 100:] = 1
    counts = count_boundaries(
        truth, np.roll(truth, shift, axis=1) * (np.arange(320) >= 100), np.ones_like(truth) > 0, 2
    )
    assert (counts[0] == counts[1]).all() == near and (counts[1] == 240).all()


# --- Scores ------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 4))
def test_scores_are_those_of_a_plain_count(seed, n_classes):
    probabilities, truth, known = pictures(seed, n_classes)
    counts = count_pixels(ECHO, Batches(probabilities, truth, known), boundaries=True)
    intervals = scores.iou_intervals(counts.pixels, np.arange(len(truth)))
    rows, found, k = scores.class_scores(counts, intervals), classes_found(probabilities, 0.5), max(2, n_classes)
    for index, row in enumerate(rows):
        true, said = known & (truth == index), known & (found == index)
        hit = (true & said).sum()
        assert row["iou"] == pytest.approx(divided(hit, (true | said).sum()))
        assert row["dice"] == pytest.approx(divided(2 * hit, true.sum() + said.sum()))
        assert row["precision"] == pytest.approx(divided(hit, said.sum()))
        assert row["recall"] == pytest.approx(divided(hit, true.sum()))
        assert row["baseline_iou"] == pytest.approx(divided(true.sum(), known.sum()) if index == 0 else 0)
        near_said, all_said, near_true, all_true = counts.boundary[:, index].tolist()
        precision, recall = divided(near_said, all_said), divided(near_true, all_true)
        assert row["boundary_f"] == pytest.approx(divided(2 * precision * recall, precision + recall))
        assert row["iou_interval"][0] <= row["iou_interval"][1]
    overall = scores.overall_scores(counts, intervals)
    assert overall["mean_iou"] == pytest.approx(np.mean([row["iou"] for row in rows]))
    assert overall["pixel_accuracy"] == pytest.approx((known & (truth == found)).sum() / known.sum())
    assert len(rows) == k


def test_a_class_without_a_pixel_scores_0_and_has_no_interval_and_no_boundary():
    probabilities = np.zeros((3, 4, 5, 3), np.float32)
    probabilities[..., 0] = 1
    truth = np.zeros((3, 4, 5), int)
    counts = count_pixels(ECHO, Batches(probabilities, truth), boundaries=True)
    intervals = scores.iou_intervals(counts.pixels, np.arange(3))
    ground, _, copper = scores.class_scores(counts, intervals)
    assert (ground["iou"], ground["boundary_f"], ground["iou_interval"]) == (1, None, [1, 1])
    assert (copper["iou"], copper["dice"], copper["boundary_f"], copper["iou_interval"]) == (0, 0, None, None)
    overall = scores.overall_scores(counts, intervals)
    assert (overall["mean_iou"], overall["mean_iou_interval"]) == (1, [1, 1]), "what is nowhere is no part of the mean"


def test_a_boundary_that_only_one_of_the_two_has_scores_0():
    truth = np.zeros((1, 8, 8), int)
    truth[:, :, 4:] = 1
    for probabilities, real in ((np.zeros((1, 8, 8, 1)), truth), (truth[..., None], 0 * truth)):
        counts = count_pixels(ECHO, Batches(np.float32(probabilities), real), boundaries=True)
        rows = scores.class_scores(counts, scores.iou_intervals(counts.pixels, np.arange(1)))
        assert [row["boundary_f"] for row in rows] == [0, 0]


def test_a_set_of_void_alone_scores_nothing():
    probabilities, truth, known = pictures(0, 1)
    counts = count_pixels(ECHO, Batches(probabilities, truth, 0 * known), boundaries=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        intervals = scores.iou_intervals(counts.pixels, np.arange(len(truth)))
        assert [row["iou"] for row in scores.class_scores(counts, intervals)] == [0, 0]
        assert scores.overall_scores(counts, intervals)["mean_iou"] is None
        assert scores.best_threshold(counts.histogram) == (0.5, 0)
        assert scores.calibration(counts).error == 0
        for picture in (plot_confusion(counts, ["ground", "object"]), plot_calibration(counts)):
            picture.figure.savefig(io.BytesIO())


# --- Intervals ---------------------------------------------------------------------------------


def some_pixels(seed, count, k=3):
    return count_pixels(ECHO, Batches(*pictures(seed, k, count, size=(4, 4))[:2])).pixels


def test_the_interval_is_that_of_drawing_whole_pictures():
    pixels, count = some_pixels(0, 7), 7
    rng, drawn = np.random.default_rng(5), []
    for _ in range(1000):
        true, found, hit = sum(pixels[number] for number in rng.integers(count, size=count))
        drawn.append(hit / (true + found - hit))
    expected = np.percentile(drawn, (2.5, 97.5), axis=0).T
    found = scores.iou_intervals(pixels, np.arange(count), seed=5)
    np.testing.assert_allclose(found[:-1], expected)
    np.testing.assert_allclose(found[-1], np.percentile(np.mean(drawn, axis=1), (2.5, 97.5)))


@given(SEEDS, st.integers(2, 6), st.integers(1, 3))
def test_a_group_is_drawn_as_one_picture(seed, groups, size):
    pixels = some_pixels(seed, groups * size)
    joined = pixels.reshape(groups, size, *pixels.shape[1:]).sum(axis=1)
    found = scores.iou_intervals(pixels, np.repeat(np.arange(groups), size))
    np.testing.assert_array_equal(found, scores.iou_intervals(joined, np.arange(groups)))


def test_pictures_alike_leave_no_doubt_and_one_alone_says_nothing():
    pixels = some_pixels(0, 1)
    alike = scores.iou_intervals(np.repeat(pixels, 9, axis=0), np.arange(9))
    np.testing.assert_allclose(alike[:-1], scores.ious(pixels[0])[:, None].repeat(2, 1))
    assert np.isnan(scores.iou_intervals(pixels, np.zeros(1, int))).all()
    assert np.isnan(scores.iou_intervals(np.repeat(pixels, 9, axis=0), np.zeros(9, int))).all(), "one group"


# --- Threshold and calibration ------------------------------------------------------------------


@given(SEEDS, st.sampled_from([None, 1, 4, 10, 64]), st.booleans())
def test_the_threshold_has_the_best_iou_of_all(seed, levels, empty):
    probabilities, truth, known = pictures(seed, 1, levels=levels)
    truth = 0 * truth if empty else truth
    threshold, best = scores.best_threshold(count_pixels(ECHO, Batches(probabilities, truth, known)).histogram)
    ious = np.zeros(BINS + 1)
    for edge in range(1, BINS + 1):
        found = known & (probabilities[..., 0] >= edge / BINS)
        ious[edge] = divided((found & (truth > 0)).sum(), (found | (known & (truth > 0))).sum())
    assert best == pytest.approx(ious.max()) and ious[round(threshold * BINS)] == pytest.approx(ious.max())
    nearest = np.abs(np.flatnonzero(np.isclose(ious[1:], ious.max())) + 1 - BINS / 2).min()
    assert abs(threshold * BINS - BINS / 2) == nearest
    chosen = count_pixels(ECHO, Batches(probabilities, truth, known), threshold).pixels.sum(axis=0)
    assert np.nan_to_num(scores.ious(chosen))[1] == pytest.approx(best), "of that threshold, to the pixel"


@given(SEEDS, st.integers(1, 3), st.sampled_from([None, 2, 16, 20]))
def test_calibration_is_that_of_a_plain_count(seed, n_classes, levels):
    probabilities, truth, known = pictures(seed, n_classes, levels=levels)
    found = scores.calibration(count_pixels(ECHO, Batches(probabilities, truth, known)))
    likely = probabilities.max(axis=-1)[known]
    right = (truth == 1 if n_classes == 1 else truth == probabilities.argmax(axis=-1))[known]
    error = 0.0
    for place in range(16):
        here = np.minimum((likely * 16).astype(int), 15) == place
        assert found.pixels[place] == here.sum()
        if here.any():
            assert found.probability[place] == pytest.approx(likely[here].mean(), abs=1e-6)
            assert found.right[place] == pytest.approx(right[here].mean())
            error += here.mean() * abs(likely[here].mean() - right[here].mean())
    assert found.error == pytest.approx(error, abs=1e-6)


# --- The table ---------------------------------------------------------------------------------


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@given(st.lists(st.one_of(NAMES, st.text("W동$a ", min_size=1, max_size=60)), min_size=2, max_size=4), st.booleans())
def test_the_table_is_readable_at_100_columns_whatever_the_classes_are_called(names, empty):
    row = {name: 1.0 for name in ("iou", "dice", "precision", "recall", "baseline_iou")}
    row |= {"boundary_f": None if empty else 1.0, "iou_interval": None if empty else [1.0, 1.0]}
    lines = scores.score_table(names, [row] * len(names))
    assert len({columns(line) for line in lines}) == 1 and columns(lines[0]) <= 100
    assert len(lines) == 1 + len(names) and all(line.isprintable() for line in lines)
    assert all(line.endswith("–" if empty else "1.000") for line in lines[1:])


def test_a_line_of_the_table_says_what_was_measured():
    row = {"iou": 0.912, "dice": 0.954, "precision": 0.948, "recall": 0.96, "baseline_iou": 0, "boundary_f": 0.871}
    assert scores.score_table(["object"], [row | {"iou_interval": [0.874, 0.941]}]) == [
        "          IoU  95 % interval  baseline   Dice  precision  recall  boundary F",
        "object  0.912    0.874–0.941     0.000  0.954      0.948   0.960       0.871",
    ]


# --- Pictures ----------------------------------------------------------------------------------


def counts_of(confusion, threshold=None):
    confusion = np.array(confusion)
    pixels = np.stack([confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()])[None]
    empty = np.zeros((2, BINS + 1), np.int64)
    return Counts(threshold, pixels, confusion, empty, empty[0].astype(float), np.zeros((4, len(confusion)), np.int64))


def words_of(picture):
    panels = [axis for axis in picture.figure.axes if not axis.axison]  # their numbers are not drawn
    hidden = {text for panel in panels for axis in (panel.xaxis, panel.yaxis) for text in axis.findobj(Text)}
    found = [text for text in picture.figure.findobj(Text) if text.get_text() and text.get_visible()]
    return [text for text in found if text not in hidden]


def assert_readable(picture):
    """Nothing is cut off, nothing is smaller than 14 pixels, and no name is taken for a formula."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture.figure.savefig(file, dpi=100)
    pixels = np.array(Image.open(file).convert("L"))
    assert min(pixels[[0, -1]].min(), pixels[:, [0, -1]].min()) == 255, "something is cut off at the border"
    assert min(text.get_fontsize() for text in words_of(picture)) * 100 / 72 >= 14
    assert not any(text.get_parse_math() for text in words_of(picture) if "$" in text.get_text())
    assert picture.text.isprintable()


def test_a_confusion_is_drawn_in_shares_of_the_true_class():
    picture = plot_confusion(counts_of([[90, 10], [5, 15]], 0.5), ["ground", "object"])
    drawn = picture.figure.axes[0].images[0].get_array()
    assert np.allclose(drawn, [[0.9, 0.1], [0.25, 0.75]])
    assert picture.text == "Taken for another class: 25.0% of object for ground, 10.0% of ground for object"
    assert {"0.90", "0.10", "0.25", "0.75", "ground", "object"} <= {text.get_text() for text in words_of(picture)}
    assert_readable(picture)


def test_a_class_without_a_pixel_has_an_empty_row():
    picture = plot_confusion(counts_of([[90, 0, 0], [0, 15, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert picture.text == "Taken for another class: no pixel"
    assert sum(text.get_text() == "–" for text in words_of(picture)) == 3
    assert_readable(picture)


@pytest.mark.parametrize("names", [
    ["$1_$2", "동전 $\\frac$", "\udcb5\udcbf"], ["W" * 50, "i" * 50, "\n%"], ["a", "b", "c"]
])  # fmt: skip
def test_classes_have_any_name(names):
    picture = plot_confusion(counts_of(np.arange(9).reshape(3, 3)), names)
    assert_readable(picture)
    labels = [*picture.figure.axes[0].get_xticklabels(), *picture.figure.axes[0].get_yticklabels()]
    assert not any(label.get_parse_math() for label in labels) and labels[0].get_text() == labels[3].get_text()


@pytest.mark.parametrize("k", [20, 21, 256])
def test_of_many_classes_those_with_the_lowest_iou_are_drawn(k):
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 50, (k, k)) + 100 * np.diag(np.arange(k))
    confusion[3] = 0  # a class that no picture shows
    picture = plot_confusion(counts_of(confusion), [f"class {index}" for index in range(k)])
    shares = picture.figure.axes[0].images[0].get_array()
    assert shares.shape == (20, 20 if k == 20 else 21) and np.allclose(np.nansum(shares, axis=1)[-1], 1)
    labels = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    assert labels == [f"class {index}" for index in range(21) if k == 20 or index != 3][:20]
    assert_readable(picture)


@pytest.mark.parametrize("n_classes", [1, 3])
def test_calibration_is_drawn_with_its_pixels_and_its_error(n_classes):
    counts = count_pixels(ECHO, Batches(*pictures(0, n_classes, size=(40, 50))[:2]))
    picture, found = plot_calibration(counts), scores.calibration(counts)
    above, below = picture.figure.axes
    filled = found.pixels > 0
    assert np.allclose(above.lines[1].get_xydata(), np.column_stack([found.probability, found.right])[filled])
    assert [bar.get_height() for bar in below.patches] == found.pixels.tolist()
    assert picture.text.startswith(f"Expected calibration error {found.error:.3f}, of 10,000 pixels in 16 bins; ")
    assert_readable(picture)


def test_each_pixel_of_an_error_map_has_its_part():
    truth, found = np.array([[0, 1, 1, 0, 1, 2, 0]]), np.array([[0, 1, 0, 1, 2, 2, 1]])
    known = np.array([[1, 1, 1, 1, 1, 1, 0]]) > 0
    names = [list(PARTS)[place] for place in error_parts(truth, found, known)[0]]
    assert names == ["ground", "hit", "missed", "false", "wrong class", "hit", "void"]


class FirstPixels:
    """A model that finds the first four pixels of every image, whatever it shows."""

    def predict_on_batch(self, images):
        found = np.zeros((*images.shape[:3], 1), np.float32)
        found[:, 0, :4] = 1
        return found


@pytest.mark.parametrize("count", [1, 3, 13])
def test_the_worst_pictures_are_shown_with_their_errors(folders, count):
    """Mask n of `folders` has its n + 1 pixels in the place of those that the model finds."""
    data = DataGenerator(folders.ids[:count], folders.imgs, folders.masks, 4, (12, 16), shuffle=False, dtype="uint8")
    model = FirstPixels()
    counts = count_pixels(model, data)
    picture = plot_worst(model, data, counts)
    expected = [min(4, n + 1) / max(4, n + 1) for n in range(count)]
    order = sorted(range(count), key=lambda n: (expected[n], n))[:10]
    titles = [axis.get_title() for axis in picture.figure.axes if axis.get_title()]
    assert sorted(titles) == sorted([folders.ids[n] for n in order] + [f"IoU {expected[n]:.2f}" for n in order])
    listed = ", ".join(f"{folders.ids[n]} {expected[n]:.2f}" for n in order)
    assert picture.text.startswith(f"Lowest IoU of a picture: {listed}. Of all pixels of these: ground ")
    image, errors = picture.figure.axes[0], picture.figure.axes[max(3, min(5, count))]
    assert np.array_equal(image.images[0].get_array(), np.full((12, 16, 3), order[0], np.uint8))
    drawn = {tuple(np.round(colour, 6)) for colour in errors.images[0].get_array().reshape(-1, 3)}
    assert len(drawn) == 3  # ground, hit, and missed or false
    assert_readable(picture)


def test_names_reach_the_worst_pictures_as_they_are(tmp_path, write_pair):
    names = ["$1_$2", "동전", "W" * 60]
    for name in names:
        write_pair(tmp_path, name)
    data = DataGenerator(names, tmp_path / "images", tmp_path / "masks", 2, (12, 16), shuffle=False, dtype="uint8")
    picture = plot_worst(FirstPixels(), data, count_pixels(FirstPixels(), data))
    assert "$1_$2 0.00" in picture.text and "동전 0.00" in picture.text
    assert_readable(picture)


@pytest.mark.parametrize("eye", EYES)
def test_the_colours_of_errors_stay_apart_for_every_eye(eye):
    assert min(apart(*pair, eye) for pair in itertools.combinations(PARTS.values(), 2)) > 10


def test_hit_missed_and_false_differ_in_brightness_too():
    light = {name: linear(colour) @ [0.2126, 0.7152, 0.0722] for name, colour in PARTS.items()}
    order = [light[name] for name in ("ground", "false", "hit", "missed")]
    assert all(brighter + 0.05 > 1.5 * (darker + 0.05) for darker, brighter in itertools.pairwise(order))
