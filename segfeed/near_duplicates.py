"""Pictures that look alike: a hash that hardly changes when a picture is copied, and the search among many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

SIDE, FREQUENCIES = 32, 12
HASH_BITS, HASH_WORDS = FREQUENCIES**2, 3  # 144 bits in 3 words of 64
MAX_DISTANCE = 32  # bits: pictures whose hashes differ in no more look alike
MAX_DISTANCE_TURNED = 8  # the same for a picture that is mirrored or turned by quarters
MIN_CONTRAST = 8  # grey levels between the brightest and the darkest of the 32×32 places

COSINES = np.rint(1024 * np.cos(np.pi * np.outer(np.arange(FREQUENCIES), 2 * np.arange(SIDE) + 1) / (2 * SIDE))).astype(
    np.int64
)


def picture_hash(pixels: np.ndarray, data: bytes) -> np.ndarray:
    """What a picture looks like in 144 bits, uint64 (3,): the signs of its 12×12 lowest frequencies.

    `pixels` are uint8, (H, W) or RGB (H, W, 3); `data` are the bytes of the file. The picture is averaged in 32×32
    places and transformed by the discrete cosine transform, after C. Zauner, "Implementation and Benchmarking of
    Perceptual Image Hash Functions" (2010), all in whole numbers: every machine gives the same bits.
    A picture too plain to be recognised gets bits of the SHA-256 of `data`, so that it is like its exact copies alone.
    """
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    places = 16 * _sums(_sums(grey).T).T // grey.size
    if np.ptp(places) < 16 * MIN_CONTRAST:
        digest = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
        return _packed(np.unpackbits(digest, count=HASH_BITS).reshape(FREQUENCIES, FREQUENCIES))
    return _packed(COSINES @ places @ COSINES.T > 0)


def find_alike(ones: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each of `others` that looks like some of `ones`: its number, their numbers, and how many bits differ.

    Both are hashes, uint64 (N, 3).
    """
    at_once = max(1, 2**20 // max(1, len(ones)))  # some MB of differences
    for start in range(0, len(others) if len(ones) else 0, at_once):
        part = others[start : start + at_once]
        distances = np.full((len(part), len(ones)), HASH_BITS, np.uint16)
        for turned, limit in zip(_turned(part), (MAX_DISTANCE, *7 * (MAX_DISTANCE_TURNED,)), strict=True):
            bits = np.zeros_like(distances)
            for word in range(HASH_WORDS):
                bits += np.bitwise_count(turned[:, None, word] ^ ones[None, :, word])
            np.minimum(distances, bits, out=distances, where=bits <= limit)
        for row in np.flatnonzero(distances.min(axis=1) < HASH_BITS):
            near = np.flatnonzero(distances[row] < HASH_BITS)
            yield start + int(row), near, distances[row, near]


def join_alike(hashes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The group of each picture once those that look alike are in one, and so the groups that they were in.

    `groups`, int (N,), gives pictures of one group one number; the lowest number of those joined stays.
    """
    groups = groups.copy()
    for _, near, _ in find_alike(hashes, hashes):
        joined = np.unique(groups[near])
        if len(joined) > 1:
            groups[np.isin(groups, joined)] = joined[0]
    return groups


def _sums(pixels: np.ndarray) -> np.ndarray:
    """Sums over 32 equal parts of the rows, times 32: a row on a border counts for both sides, by its shares."""
    rows, shares = np.divmod(np.arange(SIDE + 1) * len(pixels), SIDE)
    whole = np.stack([pixels[start:end].sum(axis=0, dtype=np.int64) for start, end in pairwise(rows)])
    cut = shares[:, None] * pixels[np.minimum(rows, len(pixels) - 1)]
    return SIDE * whole + np.diff(cut, axis=0)


def _turned(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """The hashes of the pictures as they are, and mirrored and turned by quarters: signs of odd frequencies change."""
    signs = np.unpackbits(hashes.view(np.uint8), axis=-1, count=HASH_BITS).reshape(-1, FREQUENCIES, FREQUENCIES)
    odd = np.arange(FREQUENCIES, dtype=np.uint8) % 2
    for turned in (signs, signs.swapaxes(1, 2)):
        for rows in (0, odd[:, None]):
            for columns in (0, odd):
                yield _packed(turned ^ rows ^ columns)


def _packed(signs: np.ndarray) -> np.ndarray:
    bits = np.zeros((*signs.shape[:-2], 64 * HASH_WORDS), bool)
    bits[..., :HASH_BITS] = signs.reshape(*signs.shape[:-2], HASH_BITS)
    return np.packbits(bits, axis=-1).view(np.uint64)
