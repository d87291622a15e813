"""Check this computer and the sample before a workshop: `python utils.py`, or `python tools/preflight.py`.

Prints PASS, or FAIL with the cure, for each thing a workshop needs.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import utils
from segfeed.backend import keras_problem
from segfeed.errors import first_names

PACKAGES = "tensorflow", "keras", "segmentation-models", "numpy", "opencv-python-headless", "jupyterlab"


def preflight() -> bool:
    """Print a line for each thing; True if all passed."""
    passed = []

    def line(ok: bool, what: str, cure: str) -> None:
        passed.append(ok)
        print(f"{'PASS' if ok else 'FAIL'}  {what}" + ("" if ok else f"\n      {cure}"))

    requirements = (utils.ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", requirements, re.MULTILINE))
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        line(found == pins[name], f"{name} {found}", f"expected {pins[name]}: run `make clean`, then `make lab`")
    cores, memory = os.cpu_count() or 1, psutil.virtual_memory().available / 1e9
    line(cores >= 2, f"{cores} cores", "one core trains at half the speed: plan twice the minutes for notebook 03")
    line(memory >= 4, f"{memory:.1f} GB of memory free", "notebook 03 needs 4 GB: close other programs")
    try:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        gpus = len(tf.config.list_physical_devices("GPU"))
        line(True, f"{gpus} GPU, the course needs none" if gpus == 0 else f"{gpus} GPU", "")
        what, _, cure = keras_problem().partition(": ")
        line(not what, what or "Keras on TensorFlow, with channels last, in float32", cure)
    except Exception as error:
        line(False, f"TensorFlow does not start: {error}", "run `make clean`, then `make lab`")
    wrong = utils.check_sample()
    line(
        not wrong,
        f"the sample, {len(wrong)} files wrong",
        f"`git checkout data_sample` brings back {first_names(wrong)}",
    )
    return all(passed)


if __name__ == "__main__":
    sys.exit(0 if preflight() else 1)
