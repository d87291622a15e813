"""From counts to scores: IoU and its interval, Dice, precision, recall, boundaries, threshold, calibration."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from segfeed.counts import BINS, Counts
from segfeed.errors import printable

RESAMPLES = 1000
NAME = 24  # columns of a class's name in the printed table


def ious(pixels: np.ndarray) -> np.ndarray:
    """IoU of each class, (..., K), of counts as in `Counts.pixels`, (..., 3, K); NaN where a class is nowhere."""
    true, found, hit = np.moveaxis(pixels, -2, 0)
    return _ratio(hit, true + found - hit)


def iou_and_baseline(pixels: np.ndarray) -> np.ndarray:
    """IoU of each class, of counts (3, K), and that of a model that always says ground, (2, K)."""
    true, ground = pixels[0], np.arange(pixels.shape[1]) == 0
    return ious(np.stack([pixels, [true, ground * true.sum(), ground * true]]))


def class_scores(counts: Counts, intervals: np.ndarray) -> list[dict[str, Any]]:
    """The scores of each class over the whole set, for run.json; `intervals` as `iou_intervals` returns them.

    "true_pixels" are those of the masks, "found_pixels" those of the model. A class without a pixel scores 0. What
    cannot be said is None: an interval, and the boundary of a class that has none.
    """
    true, found, hit = total = counts.pixels.sum(axis=0)
    iou, baseline = iou_and_baseline(total)
    near_found, all_found, near_true, all_true = counts.boundary
    precision, recall = _ratio(near_found, all_found), _ratio(near_true, all_true)
    boundary = np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
    boundary[all_true + all_found == 0] = np.nan
    columns = {
        "iou": iou,
        "dice": _ratio(2 * hit, true + found),
        "precision": _ratio(hit, found),
        "recall": _ratio(hit, true),
        "baseline_iou": baseline,
        "baseline_dice": 2 * baseline / (1 + baseline),
    }
    rows = [{name: float(np.nan_to_num(values[k])) for name, values in columns.items()} for k in range(len(true))]
    return [
        row
        | {"boundary_f": _known(boundary[k]), "iou_interval": _interval(intervals[k])}
        | {"true_pixels": int(true[k]), "found_pixels": int(found[k])}
        for k, row in enumerate(rows)
    ]


def overall_scores(counts: Counts, intervals: np.ndarray) -> dict[str, Any]:
    """The mean IoU of the classes that occur, with its interval, and the share of right pixels, with its baseline."""
    total = counts.pixels.sum(axis=0)
    true, _, hit = total
    return {
        "mean_iou": _known(_mean(ious(total))),
        "mean_iou_interval": _interval(intervals[-1]),
        "pixel_accuracy": _known(_ratio(hit.sum(), true.sum())),
        "baseline_pixel_accuracy": _known(_ratio(true[0], true.sum())),
    }


def iou_intervals(pixels: np.ndarray, units: np.ndarray, seed: int = 0) -> np.ndarray:
    """The ends of the 95 % bootstrap interval of each class's IoU, and last of their mean, (K + 1, 2).

    Units, pictures or groups of them, are drawn with replacement 1,000 times, and the IoU of the whole is taken each
    time: its 2.5th and 97.5th percentile (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993).
    NaN for fewer than two units, and for a class that is in no draw.

    Args:
        pixels: as in `Counts`, (N, 3, K).
        units: the number of each picture's unit, int (N,), from 0 on.
        seed: of the draws.
    """
    n_classes, count = pixels.shape[-1], int(units.max(initial=-1)) + 1
    if count < 2:
        return np.full((n_classes + 1, 2), np.nan)
    summed = np.zeros((count, *pixels.shape[1:]), np.int64)
    np.add.at(summed, units, pixels)
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(RESAMPLES))
    samples = ious(np.array([np.tensordot(times, summed, 1) for times in drawn]))
    samples = np.column_stack([samples, _mean(samples)])
    known = (column[~np.isnan(column)] for column in samples.T)
    return np.array([np.percentile(column, (2.5, 97.5)) if len(column) else (np.nan, np.nan) for column in known])


def best_threshold(histogram: np.ndarray) -> tuple[float, float]:
    """The threshold with the highest IoU of the object, and that IoU; of equally good ones the nearest to 0.5.

    `histogram` as in `Counts`, for one class. The threshold is a multiple of 1/1024.
    """
    false, hit = np.cumsum(histogram[:, ::-1], axis=1)[:, -2::-1]  # from each edge on, but the one at 0
    iou = np.nan_to_num(_ratio(hit, histogram[1].sum() + false))
    best = 1 + np.flatnonzero(iou == iou.max())
    edge = best[np.abs(best - BINS / 2).argmin()]
    return float(edge / BINS), float(iou.max())


class Calibration(NamedTuple):
    """Of 16 bins of probability from 0 to 1: pixels, mean probability and share of right pixels, NaN where empty."""

    pixels: np.ndarray
    probability: np.ndarray
    right: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of the two, each bin weighed by its pixels.

        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
        """
        gaps = np.nan_to_num(np.abs(self.probability - self.right))
        return float(np.sum(self.pixels * gaps) / max(1, self.pixels.sum()))


def calibration(counts: Counts, bins: int = 16) -> Calibration:
    """How often pixels of a probability are the object; of several classes, how often the class that won is right."""
    parts = np.vstack([counts.histogram, counts.sums])
    parts[:, BINS - 1] += parts[:, BINS]  # a probability of 1 belongs to the last bin
    wrong, right, sums = parts[:, :BINS].reshape(3, bins, -1).sum(axis=2)
    return Calibration(right + wrong, _ratio(sums, right + wrong), _ratio(right, right + wrong))


def score_table(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line of words, then a line for each class, of at most 92 columns."""
    shown = [_shortened(printable(name)) for name in names]
    width = max(map(_columns, ["", *shown]))
    lines = [f"{'':{width}}    IoU  95 % interval  baseline   Dice  precision  recall  boundary F"]
    for name, row in zip(shown, rows, strict=True):
        low, high = row["iou_interval"] or (None, None)
        interval = "–" if low is None else f"{low:.3f}–{high:.3f}"
        boundary = "–" if row["boundary_f"] is None else f"{row['boundary_f']:.3f}"
        lines.append(
            f"{name}{' ' * (width - _columns(name))}  {row['iou']:.3f}  {interval:>13}  {row['baseline_iou']:8.3f}  "
            f"{row['dice']:.3f}  {row['precision']:9.3f}  {row['recall']:6.3f}  {boundary:>10}"
        )
    return lines


def _columns(text: str) -> int:
    """How many columns a terminal needs for it: two for a Korean letter, none for an accent of its own."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _shortened(name: str) -> str:
    """Both ends of a long name, which tell names apart."""
    kept, shown = len(name), name
    while _columns(shown) > NAME:
        kept -= 1
        shown = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return shown


def _ratio(part: Any, whole: Any) -> np.ndarray:
    """NaN where the whole is 0."""
    whole = np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, without NaN."""
    return _ratio(np.nansum(values, axis=-1), np.count_nonzero(~np.isnan(values), axis=-1))


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _interval(ends: np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else ends.tolist()
