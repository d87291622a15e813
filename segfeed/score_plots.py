"""Figures of how a model was judged: the worst pictures, what is taken for what, and how sure is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, NullFormatter, PercentFormatter

from segfeed.classes import COLOURS
from segfeed.counts import Counts, predicted_picture
from segfeed.errors import first_names, printable
from segfeed.plots import DescribedFigure, make_panels, set_title, set_words
from segfeed.scores import calibration, ious

if TYPE_CHECKING:
    import keras

    from segfeed.generator import DataGenerator

LETTERS = 11  # points: 15 pixels at 100 dots an inch
SHOWN = 20  # classes in a confusion matrix
ROOM = 160  # pixels of the name of a class
PARTS = {"ground": "#303030", "hit": COLOURS[0], "missed": COLOURS[3], "false": COLOURS[5]}
PARTS |= {"wrong class": COLOURS[2], "void": "#FFFFFF"}
ALWAYS = "hit", "missed", "false"  # in the legend


def plot_worst(model: keras.Model, generator: DataGenerator, counts: Counts, count: int = 10) -> DescribedFigure:
    """Show the `count` pictures with the lowest IoU: the image, and below where the model hit, missed and was wrong.

    `generator` gives uint8 images, and does not shuffle; `counts` is what `count_pixels` returned for the two.
    """
    samples, iou = generator.samples, counts.picture_iou
    worst = sorted(range(len(iou)), key=lambda number: (iou[number], number))[:count]
    columns = min(5, max(3, len(worst)))  # the legend needs three
    figure, axes = make_panels(2 * -(-len(worst) // columns), columns)
    colours, seen = np.array([to_rgb(colour) for colour in PARTS.values()]), np.zeros(len(PARTS), np.int64)
    for place, number in enumerate(worst):
        image, truth, found, known = predicted_picture(model, generator, number, counts.threshold)
        parts = error_parts(truth, found, known)
        seen += np.bincount(parts.ravel(), minlength=len(PARTS))
        above, below = axes[2 * (place // columns) :, place % columns][:2]
        above.imshow(image)
        set_title(above, samples[number].stem)
        below.imshow(colours[parts])
        below.set(xticks=[], yticks=[])
        below.set_axis_on()  # its frame: void is white as the page
        set_title(below, f"IoU {iou[number]:.2f}")
    shown = [name for name, pixels in zip(PARTS, seen, strict=True) if pixels or name in ALWAYS]
    patches = [Patch(facecolor=PARTS[name], edgecolor="black", label=name) for name in shown]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=LETTERS)
    scores = ", ".join(f"{printable(samples[number].stem)} {iou[number]:.2f}" for number in worst)
    shares = ", ".join(f"{name} {pixels / seen.sum():.1%}" for name, pixels in zip(PARTS, seen, strict=True) if pixels)
    return DescribedFigure(figure, f"Lowest IoU of a picture: {scores}. Of all pixels of these: {shares}")


def error_parts(truth: np.ndarray, found: np.ndarray, known: np.ndarray) -> np.ndarray:
    """For each pixel its place in `PARTS`, int (H, W), of class indices (H, W)."""
    kinds = [~known, truth == found, found == 0, truth == 0]
    return np.select(kinds, [5, np.where(truth > 0, 1, 0), 2, 3], 4)


def plot_confusion(counts: Counts, names: Sequence[str]) -> DescribedFigure:
    """Show which share of each class the model takes for which: each row is a true class, and adds up to 1.

    Of more than 20 classes those with the lowest IoU have a row and a column, and the others share a column.
    """
    iou, pixels = np.nan_to_num(ious(counts.pixels.sum(axis=0))), counts.confusion.sum(axis=1)
    rows = np.sort(np.lexsort((iou, pixels == 0))[:SHOWN])
    table, labels = counts.confusion[np.ix_(rows, rows)], [names[row] for row in rows]
    if len(rows) < len(names):
        table = np.column_stack([table, pixels[rows] - table.sum(axis=1)])
    total = pixels[rows, None]
    shares = np.divide(table, total, out=np.full(table.shape, np.nan), where=total > 0)
    figure = Figure(figsize=(4 + 0.62 * table.shape[1], 2.6 + 0.5 * len(rows)), layout="constrained")
    axis = figure.subplots()
    drawn = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        words = "–" if np.isnan(share) else f"{share:.2f}"
        colour = "white" if share > 0.6 else "black"
        axis.text(column, row, words, ha="center", va="center", color=colour, fontsize=LETTERS)
    columns = labels if len(rows) == len(names) else [*labels, "others"]
    _set_ticks(figure, axis.xaxis, columns, rotation=45, ha="right", rotation_mode="anchor")
    _set_ticks(figure, axis.yaxis, labels)
    axis.set_xlabel("class that the model gives", fontsize=LETTERS)
    axis.set_ylabel("true class", fontsize=LETTERS)
    figure.colorbar(drawn, format=PercentFormatter(1)).ax.tick_params(labelsize=LETTERS)
    taken = sorted(((share, *at) for at, share in np.ndenumerate(shares) if at[0] != at[1] and share > 0), reverse=True)
    said = [f"{share:.1%} of {printable(labels[row])} for {printable(columns[column])}" for share, row, column in taken]
    return DescribedFigure(figure, f"Taken for another class: {first_names(said, 3) or 'no pixel'}")


def _set_ticks(figure: Figure, axis: Axis, names: Sequence[str], **how: Any) -> None:
    """Name the places 0, 1, … of an axis, as `set_words` writes a name."""
    shown, families = list[str](), list[str]()
    for name in names:
        scratch = figure.text(0, 0, "", fontsize=LETTERS)
        set_words(scratch, name, ROOM)
        shown.append(scratch.get_text())
        families += [family for family in scratch.get_fontfamily() if family not in families]
        scratch.remove()
    axis.set_ticks(range(len(names)), shown, fontsize=LETTERS, family=families, parse_math=False, **how)


def plot_calibration(counts: Counts) -> DescribedFigure:
    """Show how often pixels of a probability are what the model says, and below how many pixels have it."""
    found = calibration(counts)
    one = counts.threshold is not None
    filled = found.pixels > 0
    figure = Figure(figsize=(6, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    above.plot([0, 1], [0, 1], color="black", linestyle="--", label="as it should be")
    points = found.probability[filled], found.right[filled]
    above.plot(*points, color=COLOURS[4], marker="o", label="measured")
    above.set(xlim=(0, 1), ylim=(-0.02, 1.02), title=f"expected calibration error {found.error:.3f}")
    above.set_ylabel("share that is the object" if one else "share that is right", fontsize=LETTERS)
    above.legend(fontsize=LETTERS)
    width = 1 / len(filled)
    below.bar(np.arange(len(filled)) * width, found.pixels, width, align="edge", color=COLOURS[0], edgecolor="black")
    below.set_yscale("symlog", linthresh=1)  # as "log", with a place for 0
    below.set_ylim(0, 2 * max(1, found.pixels.max()))
    below.set_xlabel("probability of the object" if one else "probability of the class that won", fontsize=LETTERS)
    below.set_ylabel("pixels", fontsize=LETTERS)
    below.yaxis.set_major_formatter(EngFormatter(sep=""))  # an exponent would be too small to read
    below.yaxis.set_minor_formatter(NullFormatter())
    for axis in (above, below):
        axis.tick_params(labelsize=LETTERS)
    gaps = np.where(found.pixels >= found.pixels.sum() / 100, np.nan_to_num(np.abs(found.probability - found.right)), 0)
    at = gaps.argmax()
    what = "are the object" if one else "are right"
    text = f"Expected calibration error {found.error:.3f}, of {found.pixels.sum():,.0f} pixels in {len(filled)} bins"
    if gaps[at]:
        text += f"; largest gap: of the pixels with a probability of about {found.probability[at]:.2f}, "
        text += f"{found.right[at]:.1%} {what}"
    return DescribedFigure(figure, text)


def plot_learning_curve(scores: Sequence[tuple[int, float]]) -> DescribedFigure:
    """Show the IoU against the number of training images: `scores` holds a pair of the two for each training."""
    sizes = sorted({size for size, _ in scores})
    drawn = [np.array([iou for size, iou in scores if size == wanted]) for wanted in sizes]
    means = [float(iou.mean()) for iou in drawn]
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(*zip(*scores, strict=True), color=COLOURS[5], marker="o", linestyle="", label="one training")
    axis.plot(sizes, means, color=COLOURS[4], marker="s", label="mean")
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_ylim(min(iou.min() for iou in drawn) - 0.05, 1)
    axis.set_xlabel("training images", fontsize=LETTERS)
    axis.set_ylabel("mean IoU of the objects", fontsize=LETTERS)
    axis.tick_params(labelsize=LETTERS)
    axis.legend(fontsize=LETTERS, loc="lower right")
    axis.set_title("more images, better masks?")
    parts = [f"{size} images {mean:.3f} ({iou.min():.3f}–{iou.max():.3f})"
             for size, mean, iou in zip(sizes, means, drawn, strict=True)]  # fmt: skip
    text = f"Mean IoU on the validation, of all classes but ground, and its range: {', '.join(parts)}"
    if len(sizes) > 1:
        spread = np.ptp(drawn[-1])
        text += f". From {sizes[-2]} to {sizes[-1]} images it grows by {means[-1] - means[-2]:+.3f}, "
        text += f"and trainings on {sizes[-1]} differ by {spread:.3f}"
    return DescribedFigure(figure, text)
