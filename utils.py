"""What the notebooks share: the sample and its split, and every public name of segfeed.

`from utils import DataGenerator` gives the same object as `from segfeed import DataGenerator`. Importing this
module loads neither TensorFlow nor matplotlib; a name that needs them loads them when it is asked for.
`python utils.py` checks this computer and the sample before a workshop (`tools/preflight.py`).
"""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import segfeed

if TYPE_CHECKING:
    from segfeed import *  # noqa: F403 — so that editors and type checkers know the names

ROOT = Path(__file__).resolve().parent
SAMPLE = ROOT / "data_sample"


def __getattr__(name: str) -> Any:
    """A public name of segfeed (PEP 562)."""
    return getattr(segfeed, name)


def __dir__() -> list[str]:
    return [*globals(), *dir(segfeed)]


def read_split(folder: Path = SAMPLE) -> dict[str, list[str]]:
    """Return the sample's own split: the stems of "train", "validation" and "test"."""
    return segfeed.read_split_file(folder / "split.csv")


def check_sample(folder: Path = SAMPLE) -> list[str]:
    """Names of the sample's files that are missing or differ from the list in SHA256SUMS."""
    wrong = []
    for line in (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, name = line.split()
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    return wrong


if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tools" / "preflight.py"), run_name="__main__")
