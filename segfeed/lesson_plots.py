"""Drawings of what the notebooks explain: batches, calls, workers, the network, and what it has learned when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from segfeed.classes import COLOURS
from segfeed.film import Call, scene
from segfeed.plots import DescribedFigure, make_panels, overlay, set_title

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from matplotlib.axes import Axes

SKY, *_, BLUE, VERMILION = COLOURS
SHADES = *COLOURS, "#009E73"  # of batches; the seventh is of Okabe and Ito (2008) too


def plot_batches(orders: Sequence[np.ndarray], batch_size: int) -> DescribedFigure:
    """A row for each epoch, a cell for each sample: the number and the colour of the batch that it is in.

    orders: for each epoch the numbers 0 to n - 1 of the samples, in the order in which they come.
    """
    figure = Figure(figsize=(9.2, 0.75 * len(orders) + 1.1), layout="constrained")
    axes = figure.subplots()
    for epoch, order in enumerate(orders):
        for place, sample in enumerate(order):
            batch = place // batch_size
            shade = SHADES[batch % len(SHADES)]
            axes.add_patch(Rectangle((sample, epoch + 0.06), 1, 0.88, facecolor=shade, edgecolor="white", alpha=0.75))
            axes.text(sample + 0.5, epoch + 0.5, str(batch), ha="center", va="center", fontsize=10)
    axes.set_xlim(0, len(orders[0]))
    axes.set_ylim(len(orders), 0)
    axes.set_yticks([epoch + 0.5 for epoch in range(len(orders))], [f"epoch {n}" for n in range(len(orders))])
    axes.set_xlabel("sample")
    axes.set_title("Number and colour: the batch in which a sample comes")
    axes.tick_params(length=0, labelsize=12)
    once = all(np.array_equal(np.sort(order), np.arange(len(order))) for order in orders)
    together = _share_together(orders, batch_size)
    counted = f"{len(orders)} epochs of {len(orders[0])} samples in batches of {batch_size}"
    every = "each sample once in each" if once else "not every sample once in each"
    return DescribedFigure(figure, f"{counted}: {every}; of two that share a batch {together:.0%} share the next")


def _share_together(orders: Sequence[np.ndarray], batch_size: int) -> float:
    """Of the pairs of samples that share a batch in an epoch, the share that shares one in the next epoch too."""
    batches = np.empty((len(orders), len(orders[0])), int)
    for row, order in zip(batches, orders, strict=True):
        row[order] = np.arange(len(order)) // batch_size
    equal = batches[:, :, None] == batches[:, None, :]
    others = ~np.eye(batches.shape[1], dtype=bool)
    return float(np.mean((equal[1:] & equal[:-1])[:, others])) / float(np.mean(equal[:-1][:, others]))


def plot_calls(calls: Sequence[int | str], epochs: int) -> DescribedFigure:
    """Which method of a Sequence `fit` called, from left to right, and in which of its parts.

    calls: the index of each `__getitem__`, and "end" for each `on_epoch_end`; the first "end" closes the look ahead.
    """
    ends = [place for place, call in enumerate(calls) if call == "end"]
    figure = Figure(figsize=(9.2, 3.2), layout="constrained")
    axes = figure.subplots()
    parts = ["look ahead", *(f"epoch {number + 1}" for number in range(epochs))]
    begin = 0
    for part, end, shade in zip(parts, ends, ["#DDDDDD", *["#F2F2F2", "white"] * epochs], strict=False):
        axes.axvspan(begin - 0.5, end + 0.5, color=shade, zorder=0)
        axes.text((begin + end) / 2, -0.75, part, ha="center", fontsize=13)
        begin = end + 1
    for place, call in enumerate(calls):
        row, shape, colour = (2, "s", VERMILION) if call == "end" else (1, "o", BLUE)
        axes.plot([place, place], [0, row], color=colour, lw=1.5, zorder=1)
        axes.plot(place, row, shape, color=colour, ms=20, zorder=2)
        if call != "end":
            axes.text(place, row, str(call), color="white", ha="center", va="center", fontsize=13, zorder=3)
    axes.axhline(0, color="black", lw=2)
    axes.set_yticks([0, 1, 2], ["fit", "__getitem__(index)", "on_epoch_end()"], fontsize=13)
    axes.set_xlim(-0.5, len(calls) - 0.5)
    axes.set_ylim(2.5, -1.1)
    axes.set_xticks([])
    axes.set_xlabel("time →", fontsize=13)
    batches = len(calls) - len(ends)
    said = f"{epochs} epochs: {batches} calls of __getitem__, {batches - ends[0]} of them within the epochs"
    return DescribedFigure(figure, f"{said}, and {len(ends)} of on_epoch_end")


def plot_timeline(runs: Mapping[str, tuple[Sequence[Call], Sequence[Call]]]) -> DescribedFigure:
    """Runs of `fit` on one time axis: the batches in the making, those that lie ready, and the training steps.

    runs: by title the calls of `__getitem__` and the training steps, as for `segfeed.film.film`.
    """
    scenes = {title: scene(*run) for title, run in runs.items()}
    heights = [one["workers"] + 2 for one in scenes.values()]
    figure = Figure(figsize=(9.2, 0.42 * sum(heights) + 0.8 * len(runs) + 0.6), layout="constrained")
    axes = figure.subplots(len(runs), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    longest = max(batch["used"][1] for one in scenes.values() for batch in one["batches"] if batch["used"])

    def box(axis: Axes, span: Sequence[float], row: int, number: int, colour: str) -> None:
        axis.barh(row, span[1] - span[0], left=span[0], height=0.9, color=colour, edgecolor="black", lw=0.8)
        if span[1] - span[0] > longest / 50:  # else it would not fit
            axis.text(sum(span) / 2, row, str(number), ha="center", va="center", fontsize=10)

    said = []
    for axis, (title, one) in zip(axes, scenes.items(), strict=True):
        workers, batches = one["workers"], one["batches"]
        used = [batch for batch in batches if batch["used"]]
        for batch in batches:
            box(axis, batch["made"], batch["row"], batch["number"], SKY)
        moments = sorted({batch["made"][1] for batch in batches} | {batch["used"][0] for batch in used})
        for begin, end in pairwise(moments):
            ready = sum(
                batch["made"][1] <= begin and (not batch["used"] or batch["used"][0] > begin) for batch in batches
            )
            if ready:
                box(axis, (begin, end), workers, ready, "#DDDDDD")
        for batch in used:
            box(axis, batch["used"], workers + 1, batch["number"], VERMILION)
        names = [*(f"worker {number}" for number in range(1, workers + 1)), "ready", "training"]
        axis.set_yticks(range(workers + 2), names, fontsize=12)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=13)
        said.append(f"{title}: {workers} at once, {max(batch['used'][1] for batch in used):.1f} s in all")
    axes[-1].set_xlabel("seconds since the first batch was begun; “ready” counts, the other rows number the batches")
    return DescribedFigure(figure, "; ".join(said))


def plot_reached(runs: Mapping[str, np.ndarray], batches: int) -> DescribedFigure:
    """A dot for each batch that the model got, by epoch.

    runs: by title the numbers of the batches, int (epochs, steps); batches: how many there are.
    """
    figure = Figure(figsize=(9.2, 2.1 * len(runs) + 0.4), layout="constrained")
    axes = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, numbers) in zip(axes, runs.items(), strict=True):
        epochs = np.repeat(np.arange(len(numbers)), numbers.shape[1])
        axis.scatter(numbers.ravel(), epochs, color=BLUE, s=40)
        never = np.setdiff1d(np.arange(batches), numbers)
        for number in never:
            axis.axvspan(number - 0.5, number + 0.5, color="#DDDDDD", zorder=0)
        axis.set(ylabel="epoch", xlim=(-1, batches), ylim=(len(numbers) - 0.5, -0.5))
        axis.set_yticks(range(len(numbers)), range(1, len(numbers) + 1))
        axis.set_title(f"{title}: grey batches are never trained on" if len(never) else title, fontsize=13)
    axes[-1].set_xlabel("number of the batch")
    counted = (f"{title} {len(np.unique(numbers))} of {batches}" for title, numbers in runs.items())
    return DescribedFigure(figure, f"Different batches trained on: {', '.join(counted)}")


def plot_values(parts: Sequence[np.ndarray], names: Sequence[str]) -> DescribedFigure:
    """Small cuttings of masks, uint8 (H, W, 1), so large that each pixel shows its value."""
    figure, axes = make_panels(1, len(parts), width=9.2 / len(parts))
    for axis, part, name in zip(axes[0], parts, names, strict=True):
        axis.imshow(part[..., 0], cmap="gray", vmin=0, vmax=255)
        set_title(axis, name)
        for (row, column), value in np.ndenumerate(part[..., 0]):
            shade = "white" if value < 128 else "black"
            axis.text(column, row, str(value), ha="center", va="center", fontsize=10, color=shade)
    counted = (f"{name} {len(np.unique(part))}" for name, part in zip(names, parts, strict=True))
    return DescribedFigure(figure, f"Different values: {', '.join(counted)}")


def plot_unet(model: keras.Model) -> DescribedFigure:
    """A U-Net drawn as a U: a box for each size of the arrays that flow through it, with height, width and channels."""
    shapes = [layer.output.shape[1:] for layer in model.layers]
    steps = [(side, [shape[2] for shape in group][-1]) for side, group in groupby(shapes, key=lambda shape: shape[:2])]
    if shapes[-2][2] != shapes[-1][2]:  # the last layer makes classes of channels
        steps.insert(-1, (steps[-1][0], shapes[-2][2]))
    whole, deepest = steps[0][0][0], min(side[0] for side, _ in steps)
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    axes = figure.subplots()
    places: dict[tuple[int, int], float] = {}
    for x, ((height, width), channels) in enumerate(steps):
        y, half = math.log2(height / deepest), 0.36 + 0.015 * math.log2(channels)
        axes.add_patch(Rectangle((x - half, y - 0.32), 2 * half, 0.64, facecolor=SKY, edgecolor="black"))
        axes.text(x, y, f"{height}×{width}\n× {channels}", ha="center", va="center", fontsize=12)
        if x:
            before = math.log2(steps[x - 1][0][0] / deepest)
            left, right, below = (x - half, y), (x - 1 + half, before), 0.32
            here = left if y <= before else (x, y - below)
            there = right if y >= before else (x - 1, before - below)
            axes.annotate("", here, there, arrowprops={"arrowstyle": "->", "lw": 1.5})
        if (height, width) in places and steps[x - 1][0] != (height, width):
            axes.annotate(
                "",
                (x - half, y),
                (places[height, width], y),
                arrowprops={"arrowstyle": "->", "lw": 1.5, "ls": "--", "color": VERMILION},
            )
        places[height, width] = x + half
    axes.text(
        len(steps) / 2 - 0.5,
        math.log2(whole / deepest) + 0.45,
        "dashed: copies",
        ha="center",
        fontsize=13,
        color=VERMILION,
    )
    axes.set_xlim(-0.7, len(steps) - 0.3)
    axes.set_ylim(-0.6, math.log2(whole / deepest) + 0.8)
    axes.set_axis_off()
    path = " → ".join(str(side) for side, _ in groupby(side[0] for side, _ in steps))
    return DescribedFigure(figure, f"Height {path}; up to {max(channels for _, channels in steps)} channels")


def plot_feature_maps(image: np.ndarray, maps: Sequence[np.ndarray], names: Sequence[str]) -> DescribedFigure:
    """An image, and beside it in a row for each layer its first 6 channels, each from its darkest to its brightest.

    image: (H, W, 3) in [0, 1]; maps: for each layer (h, w, channels).
    """
    figure, axes = make_panels(len(maps), 7, width=1.15)
    for row, part, name in zip(axes, maps, names, strict=True):
        row[0].imshow(image)
        set_title(row[0], name)
        for number in range(6):
            row[number + 1].imshow(part[..., number], cmap="viridis")
            set_title(row[number + 1], f"channel {number}")
    sizes = ", ".join(f"{name} {part.shape[0]}×{part.shape[1]}" for part, name in zip(maps, names, strict=True))
    return DescribedFigure(figure, f"6 of the channels of each layer: {sizes}")


def plot_progress(image: np.ndarray, mask: np.ndarray, found: dict[int, np.ndarray]) -> DescribedFigure:
    """What a model says of one picture after some of its epochs, as a strip.

    image: (H, W, 3) in [0, 1]; mask: (H, W, 1) of 0 and 1; found: by epoch the probabilities, (H, W, 1).
    """
    figure, axes, ious = _strip(image, mask, [probabilities >= 0.5 for probabilities in found.values()])
    set_title(axes[0], "mask")
    for axis, epoch, iou in zip(axes[1:], found, ious, strict=True):
        set_title(axis, f"epoch {epoch}: {iou:.2f}")
    said = (f"{epoch}: {iou:.2f}" for epoch, iou in zip(found, ious, strict=True))
    return DescribedFigure(figure, f"IoU after epoch {', '.join(said)}")


def _strip(image: np.ndarray, mask: np.ndarray, found: Sequence[np.ndarray]) -> tuple[Figure, np.ndarray, list[float]]:
    """An image with its mask, and then with each of what was found, bool (H, W, 1): the panels, and the IoUs."""
    figure, axes = make_panels(1, len(found) + 1, width=9.2 / (len(found) + 1))
    for axis, part in zip(axes[0], [mask, *found], strict=True):
        axis.imshow(overlay(image, part.astype(np.uint8)))
    true = mask > 0.5
    return figure, axes[0], [float(np.sum(part & true)) / max(1, int(np.sum(part | true))) for part in found]


def plot_findings(findings: Sequence[tuple[str, Path]], columns: int = 6) -> DescribedFigure:
    """A sheet of the files that an audit names, each under its kind of fault, as a viewer shows it."""
    figure, axes = make_panels(-(-len(findings) // columns), columns, width=1.5)
    shown = 0
    for axis, (kind, path) in zip(axes.flat, findings, strict=False):
        try:
            with Image.open(path) as file:
                picture = np.asarray(file.convert("I").point(lambda value: value / 257) if "16" in file.mode else file)
            axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
            shown += 1
        except (OSError, ValueError):
            axis.imshow(np.full((8, 8), 160), cmap="gray", vmin=0, vmax=255)
            words = "cannot be read" if path.is_file() else "no such file"
            axis.text(3.5, 3.5, words, ha="center", va="center", fontsize=10)
        set_title(axis, kind)
    return DescribedFigure(figure, f"{len(findings)} findings; a viewer shows {shown} of the files")


def plot_answers(image: np.ndarray, mask: np.ndarray, answers: Mapping[str, np.ndarray]) -> DescribedFigure:
    """What several networks find in one picture, beside its true mask.

    image: (H, W, 3) in [0, 1]; mask: (H, W, 1) of 0 and 1; answers: by name what is called object, bool (H, W, 1).
    """
    figure, axes, ious = _strip(image, mask, [*answers.values()])
    for axis, name in zip(axes, ["true mask", *answers], strict=True):
        set_title(axis, name)
    said = (f"{name} {iou:.2f}" for name, iou in zip(answers, ious, strict=True))
    return DescribedFigure(figure, f"IoU of this picture: {', '.join(said)}")
