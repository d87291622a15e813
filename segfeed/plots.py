"""Figures, each with one line that says the same in measured numbers."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL import Image
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries, mark_boundaries

from segfeed.classes import COLOURS
from segfeed.counts import Counts, count_pixels, predicted_picture
from segfeed.errors import printable
from segfeed.masks import mask_classes

if TYPE_CHECKING:
    import keras

    from segfeed.generator import DataGenerator


@dataclass(frozen=True)
class DescribedFigure:
    """A figure and one line that says the same in measured numbers.

    As the last line of a cell it prints the line and shows the figure, the line being its
    alternative text. Elsewhere use `described.figure.savefig(path)`.
    """

    figure: Figure
    text: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        print(self.text)
        display(
            {"image/png": self._png(), "text/plain": self.text}, metadata={"image/png": {"alt": self.text}}, raw=True
        )

    def _png(self) -> bytes:
        """256 colours are enough for the eye, and keep a notebook small."""
        full, small = io.BytesIO(), io.BytesIO()
        self.figure.savefig(full, format="png", dpi=88, bbox_inches="tight")
        rgb = Image.open(full).convert("RGB")
        rgb.quantize(palette=rgb.quantize(256)).save(small, "png", optimize=True)
        return small.getvalue()


def overlay(image: np.ndarray, mask: np.ndarray, ignore: int | None = None) -> np.ndarray:
    """Lay class colours and outlines over an image: float RGB, (H, W, 3), in [0, 1].

    image: (H, W, 1 or 3), uint8 or float in [0, 1]; mask: (H, W, 1) of class indices, 0 or 255, or
    one-hot (H, W, n). Both the tint and the white-and-black outline show where the object is. Void pixels, of the
    value `ignore`, are ground.
    """
    image = image / 255 if image.dtype == np.uint8 else image
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    classes = mask_classes(mask, ignore)
    # label2rgb deals colours out to the classes that are present, in order
    colours = [to_rgb(COLOURS[(c - 1) % len(COLOURS)]) for c in np.unique(classes) if c > 0]
    tinted = label2rgb(classes, image, colours or None, alpha=0.6, bg_color=None, saturation=1)
    outlined = mark_boundaries(tinted, classes, color=(1, 1, 1), mode="inner")
    outlined[find_boundaries(classes, mode="outer") & (classes == 0)] = 0
    return outlined


def _share(mask: np.ndarray, ignore: int | None = None) -> float:
    return float(np.mean(mask_classes(mask, ignore) > 0))


def make_panels(rows: int, columns: int, width: float = 2.4) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width * columns, (width + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def set_title(axis: Axes, title: str) -> None:
    """Show a title letter by letter, no wider than its column. Of a title that is too long both ends stay."""
    room = 0.95 * axis.figure.bbox.width / axis.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    set_words(axis.title, title, room)


def set_words(words: Text, text: str, room: float) -> None:
    """Show a text letter by letter, in at most `room` pixels: `$` begins no formula.

    What the usual font lacks comes from another; what no font has, by its number, as in \\ub3d9.
    """
    usual, others, shown = words.get_fontfamily(), list[str](), ""
    for character in printable(text):
        if not any(_has(family, character) for family in usual + others):
            family = _family_with(character)
            others += [family] if family else []
            character = character if family else character.encode("unicode_escape").decode()
        shown += character
    words.set(text=shown, parse_math=False, family=usual + others)
    for kept in range(len(shown) - 1, 1, -1):
        if words.get_window_extent().width <= room:
            break
        words.set_text(f"{shown[: kept - kept // 2]}…{shown[-(kept // 2) :]}")


def _has(family: str, character: str) -> bool:
    return get_font(fontManager.findfont(FontProperties(family=[family]))).get_char_index(ord(character)) > 0


@functools.cache
def _families() -> list[str]:
    """The plain fonts of this computer, without that of last resort: it has a box for every character."""
    plain = [font for font in fontManager.ttflist if font.weight in (400, "normal") and font.style == "normal"]
    return sorted({font.name for font in plain if "LastResort" not in font.fname})


@functools.cache
def _family_with(character: str) -> str | None:
    """A font that has a character, if there is one."""
    family = next((family for family in _families() if _has(family, character)), None)
    if family:  # it probably has the next one too
        _families().remove(family)
        _families().insert(0, family)
    return family


def plot_pair(image: np.ndarray, mask: np.ndarray, name: str = "pair", ignore: int | None = None) -> DescribedFigure:
    """Show image, mask and overlay side by side. Shapes, and `ignore`, as in `overlay`."""
    name = printable(name)
    figure, axes = make_panels(1, 3)
    panels = {"image": image, "mask": mask_classes(mask, ignore), "overlay": overlay(image, mask, ignore)}
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        axis.imshow(panel, cmap="gray", interpolation="nearest", vmin=0, vmax=max(1, panel.max()))
        set_title(axis, f"{name}: {title}")
    height, width = image.shape[:2]
    return DescribedFigure(figure, f"{name}: {height}×{width} pixels, {_share(mask, ignore):.1%} of them in the mask")


def plot_batch(images: np.ndarray, masks: np.ndarray | None, names: Sequence[str], columns: int = 4) -> DescribedFigure:
    """Show a batch, images (B, H, W, C), one panel each, under its masks (B, H, W, 1 or n) if there are any."""
    names = [printable(name) for name in names]
    figure, axes = make_panels(-(-len(images) // columns), min(columns, len(images)), width=1.9)
    for index, (axis, name) in enumerate(zip(axes.flat, names, strict=False)):
        axis.imshow(images[index] if masks is None else overlay(images[index], masks[index]))
        set_title(axis, name)
    if masks is None:
        means = [
            f"{name} {np.array2string(np.mean(image, (0, 1)), precision=0)}"
            for name, image in zip(names, images, strict=True)
        ]
        return DescribedFigure(figure, f"Mean of each channel: {', '.join(means)}")
    shares = [f"{name} {_share(mask):.1%}" for name, mask in zip(names, masks, strict=True)]
    return DescribedFigure(figure, f"Share of the pixels in the mask: {', '.join(shares)}")


def plot_history(history: dict[str, list[float]]) -> DescribedFigure:
    """Draw the learning curves in `fit(...).history`: a panel each for loss, metrics and learning rate."""
    names = [name for name in history if not name.startswith("val_")]
    epochs = range(1, len(history["loss"]) + 1)
    figure = Figure(figsize=(3 * len(names), 2.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axis.plot(epochs, history[name], color=COLOURS[4], marker="o", label="training")
        if f"val_{name}" in history:
            axis.plot(epochs, history[f"val_{name}"], color=COLOURS[5], marker="s", linestyle="--", label="validation")
            axis.legend()
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.set(xlabel="epoch", ylim=(0, None))
        set_title(axis, name)
    ends = ", ".join(f"{name} {values[-1]:.3g}" for name, values in history.items())
    return DescribedFigure(figure, f"After {len(epochs)} epochs: {ends}")


def plot_predictions(
    model: keras.Model, generator: DataGenerator, count: int = 3, counts: Counts | None = None
) -> DescribedFigure:
    """Show the `count` worst and the `count` best predictions by their own IoU, worst first.

    Above the mask, below what the model says. Pixels of the weight 0, such as void, do not count. `generator` must
    not shuffle, or the names would be those of other pictures: ValueError. `counts`: what `count_pixels` returned for
    the two, if it was called before.
    """
    if generator.shuffle:
        raise ValueError("the generator shuffles, so a prediction cannot be named: make it with shuffle=False.")
    counts = counts or count_pixels(model, generator)
    samples, ious = generator.samples, counts.picture_iou
    order = sorted(range(len(ious)), key=lambda number: (ious[number], number))
    kept = order[:count] + order[max(count, len(order) - count) :]
    figure, axes = make_panels(2, len(kept), width=1.9)
    for column, number in zip(axes.T, kept, strict=True):
        _, truth, found, _ = predicted_picture(model, generator, number, counts.threshold)
        image, _ = generator.pixels(number)
        column[0].imshow(overlay(image, truth[..., None]))
        set_title(column[0], f"{samples[number].stem}: mask")
        column[1].imshow(overlay(image, found[..., None]))
        set_title(column[1], f"prediction, IoU {ious[number]:.2f}")
    scores = ", ".join(f"{printable(samples[number].stem)} {ious[number]:.2f}" for number in kept)
    return DescribedFigure(figure, f"IoU, worst first: {scores}")
