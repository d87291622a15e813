"""Drawings of a training by several workers: who reads what, and whether their trainings are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from segfeed.classes import COLOURS
from segfeed.plots import DescribedFigure

HATCHES = "", "//", "..", "xx", "--", "oo"
SHADES = *COLOURS[:3], *COLOURS[4:]  # of rings on white, where yellow is hard to see


def plot_parts(read: Sequence[tuple[int, int, int, str]]) -> DescribedFigure:
    """A panel for each epoch and in it a row for each step: the samples, coloured by the worker that reads them.

    read: (epoch, step, rank, name) of each sample, sorted by epoch; of at most six workers.
    """
    epochs = [[*rows] for _, rows in groupby(read, key=lambda row: row[0])]
    steps = 1 + max(step for _, step, *_ in read)
    figure = Figure(figsize=(9.2, 0.5 * steps + 1.4), layout="constrained")
    for axis, rows in zip(figure.subplots(1, len(epochs), squeeze=False)[0], epochs, strict=True):
        for step, row in groupby(sorted(rows, key=lambda row: row[1:3]), key=lambda row: row[1]):
            for place, (*_, rank, name) in enumerate(row):
                axis.barh(step, 1, left=place, height=0.9, edgecolor="white", **_looks(rank))
                box = {"color": "white", "pad": 1}
                axis.text(place + 0.5, step, name, ha="center", va="center", fontsize=11, bbox=box)
        axis.set_title(f"Epoch {rows[0][0]}", fontsize=13)
        axis.set_xticks([])
        axis.set_yticks(range(steps))
        axis.set_ylabel("step", fontsize=12)
        axis.invert_yaxis()
    counts = Counter(rank for *_, rank, _ in read)
    handles = [Patch(label=f"worker {rank}", **_looks(rank)) for rank in sorted(counts)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=12)
    said = ", ".join(f"worker {rank} {counts[rank]}" for rank in sorted(counts))
    return DescribedFigure(figure, f"Samples read in {len(epochs)} epochs: {said}")


def _looks(rank: int) -> dict[str, Any]:
    return {"facecolor": COLOURS[rank], "hatch": HATCHES[rank]}


def plot_agreement(runs: Mapping[str, Sequence[float]]) -> DescribedFigure:
    """The losses of several trainings by epoch, each marked by a larger ring than the one before it.

    runs: by name a positive loss for each epoch, equally many for all.
    """
    figure = Figure(figsize=(9.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, losses) in enumerate(runs.items()):
        style: dict[str, Any] = {"marker": "o", "markersize": 7 + 6 * number, "mfc": "none", "mew": 2, "lw": 1}
        axes.plot(range(1, len(losses) + 1), losses, color=SHADES[number % len(SHADES)], label=name, **style)
    axes.set_xticks(range(1, len(losses) + 1))
    axes.set_xlabel("epoch", fontsize=12)
    axes.set_ylabel("loss of the validation", fontsize=12)
    axes.margins(0.15, 0.4)
    axes.set_title("Rings around one point are trainings that agree", fontsize=13)
    figure.legend(loc="outside right center", fontsize=12, markerscale=0.5)
    apart = max(np.abs(np.divide(a, b) - 1).max() for a, b in combinations(runs.values(), 2))
    return DescribedFigure(figure, f"{len(runs)} trainings; losses of one epoch differ by {apart:.0e} at most")
