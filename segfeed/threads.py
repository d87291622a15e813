"""Threads that decode images side by side: OpenCV and simplejpeg release the GIL while they work."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import cv2

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_threads(name: str) -> ThreadPoolExecutor:
    """One thread a core; OpenCV starts no threads of its own in them."""
    return ThreadPoolExecutor(CORES, name, initializer=cv2.setNumThreads, initargs=(1,))
