"""What one pass of a model over a set counts, sample by sample. Void pixels count nowhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    import keras

    from segfeed.generator import DataGenerator

BINS = 1024  # of probabilities from 0 to 1; a power of two, so that every edge is exact in float32
TOLERANCE = 0.0075  # of a picture's diagonal: how far apart boundary pixels may lie (Csurka et al., 2013)


class Counts(NamedTuple):
    """Of N samples and K classes; one class of the generator is K = 2, ground and object."""

    threshold: float | None  # from which probability on a pixel is the object; None for several classes
    pixels: np.ndarray  # int64 (N, 3, K): pixels that are of the class, that the model gives to it, and both
    confusion: np.ndarray  # int64 (K, K): pixels of the class [row] that the model gives to the class [column]
    histogram: np.ndarray  # int64 (2, BINS + 1): see `count_pixels`
    sums: np.ndarray  # float64 (BINS + 1,): the sum of the probabilities in each bin
    boundary: np.ndarray  # int64 (4, K): as `count_boundaries` returns it

    @property
    def picture_iou(self) -> np.ndarray:
        """The IoU of the object, or of all classes but ground together, in each picture, (N,); 1 where none is."""
        hit = self.pixels[:, 2]
        either = self.pixels[:, 0].sum(axis=1) - hit[:, 0]
        return np.divide(hit[:, 1:].sum(axis=1), either, out=np.ones(len(hit)), where=either > 0)


def count_pixels(
    model: keras.Model, generator: DataGenerator, threshold: float = 0.5, boundaries: bool = False
) -> Counts:
    """Count in one pass over a generator; what is kept of a picture does not depend on its size.

    For one class, probabilities from `threshold` on are the object; of several classes, the largest wins. Pixels
    with the sample weight 0, such as void, do not count. The histogram holds the probability of the object, apart for
    pixels of ground [0] and of the object [1]; for several classes that of the class that won, apart for pixels where
    this class is wrong [0] and right [1]. Without `boundaries` these are not counted, and stay 0.
    """
    n_classes = max(2, generator.n_classes)
    pixels: list[np.ndarray] = []
    confusion, boundary = np.zeros((n_classes, n_classes), np.int64), np.zeros((4, n_classes), np.int64)
    histogram, sums = np.zeros((2, BINS + 1), np.int64), np.zeros(BINS + 1)
    for images, masks, *weights in generator:
        probabilities = np.asarray(model.predict_on_batch(images), np.float32)
        truth, found = classes_at(masks, 0.5), classes_at(probabilities, threshold)
        known = weights[0] > 0 if weights else np.ones(truth.shape, bool)
        likely = probabilities.max(axis=-1)[known]
        right = (truth if generator.n_classes == 1 else truth == found)[known]
        bins = np.fmin(np.fmax(likely * BINS, 0), BINS).astype(np.int64)  # what is no probability counts at the ends
        histogram += np.bincount(bins + (BINS + 1) * right, minlength=2 * (BINS + 1)).reshape(2, -1)
        sums += np.bincount(bins, likely, BINS + 1)
        for one in zip(truth, found, known, strict=True):
            table = _confusion(*one, n_classes)
            pixels.append(np.stack([table.sum(axis=1), table.sum(axis=0), table.diagonal()]))
            confusion += table
            if boundaries:
                boundary += count_boundaries(*one, n_classes)
    each = np.array(pixels, np.int64).reshape(-1, 3, n_classes)
    return Counts(threshold if generator.n_classes == 1 else None, each, confusion, histogram, sums, boundary)


def classes_at(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Class indices, int (...), of probabilities or targets, (..., 1) or (..., number of classes)."""
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] >= threshold).astype(np.int64)
    return probabilities.argmax(axis=-1)


def predicted_picture(
    model: keras.Model, generator: DataGenerator, number: int, threshold: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image `number` of a generator that does not shuffle, its classes, those found, and which are known, (H, W)."""
    index, row = divmod(number, generator.batch_size)
    images, masks, *weights = generator[index]
    truth = classes_at(masks[row], 0.5)
    found = classes_at(model.predict_on_batch(images)[row], threshold or 0.5)
    return images[row], truth, found, weights[0][row] > 0 if weights else np.ones(truth.shape, bool)


def _confusion(truth: np.ndarray, found: np.ndarray, known: np.ndarray, n_classes: int) -> np.ndarray:
    codes = (n_classes * truth + found)[known]
    return np.bincount(codes, minlength=n_classes**2).reshape(n_classes, n_classes)


def count_boundaries(truth: np.ndarray, found: np.ndarray, known: np.ndarray, n_classes: int) -> np.ndarray:
    """Boundary pixels of each class in one picture, int64 (4, K), where `truth` and `found` are class indices (H, W).

    In this order: those found that lie near the true boundary of the class, all found, the true ones that lie near
    a found one, all true. A boundary pixel has a neighbour, at one of its four sides, of another class; neither is
    void. Near is a distance of up to `TOLERANCE` times the diagonal (G. Csurka, D. Larlus, F. Perronnin, "What is a
    good evaluation measure for semantic segmentation?", BMVC 2013).
    """
    counts = np.zeros((4, n_classes), np.int64)
    reach = TOLERANCE * math.hypot(*truth.shape) + 1e-3  # distances are rounded to float32
    true_edges, found_edges = _edges(truth, known), _edges(found, known)
    for index in np.union1d(truth[true_edges], found[found_edges]):
        true, predicted = true_edges & (truth == index), found_edges & (found == index)
        both = (predicted, true), (true, predicted)
        counts[::2, index] = [_near(*pair, reach) for pair in both]
        counts[1::2, index] = [np.count_nonzero(one) for one, _ in both]
    return counts


def _edges(classes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether a pixel and one of its four neighbours are of different classes, bool (H, W)."""
    edges = np.zeros(classes.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (classes[one] != classes[other]) & known[one] & known[other]
        edges[one] |= differ
        edges[other] |= differ
    return edges


def _near(pixels: np.ndarray, others: np.ndarray, reach: float) -> int:
    """How many of `pixels` lie no further than `reach` from one of `others`, both bool (H, W)."""
    if not others.any():
        return 0
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return int(np.count_nonzero(distance[pixels] <= reach))
