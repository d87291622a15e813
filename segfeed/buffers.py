"""Memory for batches that is used again."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

KEPT = 2**28  # bytes of memory that nobody uses, at most


class Buffers:
    """Reuses the memory of batches: the operating system must zero each fresh page of 4 KB, which takes time.

    Memory is used again as soon as nobody holds an array that lies in it; beyond 256 MB it goes back to the
    operating system. A batch begins on a multiple of 64 bytes, so that TensorFlow takes it as it is; any other
    it copies.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[np.ndarray]] = defaultdict(list)  # by size in bytes

    def __reduce__(self) -> tuple:
        return Buffers, ()

    @property
    def kept(self) -> int:
        """Bytes of memory that nobody uses."""
        return sum(size * len(free) for size, free in [*self._free.items()])

    def empty(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Like `np.empty`."""
        size = math.prod(shape) * np.dtype(dtype).itemsize + 64
        try:
            memory = self._free[size].pop()  # one step, so threads need no lock
        except IndexError:
            memory = np.empty(size, np.uint8)
        return np.asarray(_Lease(self, memory, shape, np.dtype(dtype)))

    def give_back(self, memory: np.ndarray, most: int = KEPT) -> None:  # when Python ends, the name KEPT is None
        if self.kept + len(memory) <= most:
            self._free[len(memory)].append(memory)


class _Lease:
    """Memory in use: every array that lies in it holds this object, and the last one to go gives it back."""

    def __init__(self, buffers: Buffers, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype):
        self._buffers, self._memory = buffers, memory
        first = memory.__array_interface__["data"][0]
        self.__array_interface__ = {
            "version": 3,
            "data": (first + -first % 64, False),  # may be written to
            "shape": shape,
            "typestr": dtype.str,
        }

    def __del__(self) -> None:
        self._buffers.give_back(self._memory)
