"""Several models, and several views of a picture, as one: their probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """A function from uint8 RGB (B, height, width, 3) to probabilities (B, height, width, C), and its size."""

    size: tuple[int, int]
    predict: Callable[[np.ndarray], np.ndarray]


class Ensemble:
    """`networks`, and with `tta` the flips and turns of each image: 8 of a square, 4 of a rectangle."""

    def __init__(self, networks: Sequence[Network], tta: bool = False):
        self.networks, self.tta = networks, tta
        self.sizes = sorted({network.size for network in networks})

    def predict(self, size: tuple[int, int], batch: np.ndarray) -> np.ndarray:
        """The share of the networks of this size in the mean of all, float32 (B, height, width, C)."""
        networks = [network for network in self.networks if network.size == size]
        views = symmetries(size) if self.tta else [(0, False)]
        total = sum(
            turned_back(np.asarray(network.predict(turned(batch, *view)), np.float32), *view)
            for network in networks
            for view in views
        )
        return np.asarray(total) / np.float32(len(views) * len(self.networks))


def symmetries(size: tuple[int, int]) -> list[tuple[int, bool]]:
    """(quarter turns, mirrored or not) that keep the shape of images of this (height, width)."""
    return [(turns, mirror) for turns in (range(4) if size[0] == size[1] else (0, 2)) for mirror in (False, True)]


def turned(batch: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    batch = np.rot90(batch, turns, axes=(1, 2))
    return np.ascontiguousarray(batch[:, :, ::-1] if mirror else batch)


def turned_back(batch: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    return np.rot90(batch[:, :, ::-1] if mirror else batch, -turns, axes=(1, 2))
