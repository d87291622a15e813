"""Memory for batches that is used again."""

from __future__ import annotations

import math
import sys
import threading

import numpy as np


class Buffers:
    """Reuses the memory of batches: the operating system must zero each fresh page of 4 KB, which takes time.

    Memory is used again as soon as nobody holds an array that lies in it. A batch begins on a multiple of
    64 bytes, so that TensorFlow takes it as it is; any other it copies.
    """

    MAX_KEPT = 32

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple:
        return Buffers, ()

    def empty(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Like `np.empty`."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            for buffer in self._kept:
                if len(buffer) == size + 64 and sys.getrefcount(buffer) == UNUSED:
                    break
            else:
                buffer = np.empty(size + 64, np.uint8)
                if len(self._kept) < self.MAX_KEPT:
                    self._kept.append(buffer)
            start = -buffer.ctypes.data % 64
            return buffer[start : start + size].view(dtype).reshape(shape)


UNUSED = 3  # references to a buffer that no array lies in: the list's, the loop's, and getrefcount's own
