"""Make .venv, the course's environment, unless it stands already: every `make` target calls this.

    python3 tools/bootstrap.py

Runs on any Python 3 with nothing installed, so that even a Python that is too old says so in one
line. The stamp is written last: a set-up that was interrupted is made again by the next call.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
if os.name == "nt":
    PYTHON, PACKAGES = os.path.join(VENV, "Scripts", "python.exe"), os.path.join(VENV, "Lib", "site-packages")
else:
    PYTHON = os.path.join(VENV, "bin", "python")
    PACKAGES = os.path.join(VENV, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
REQUIREMENTS = os.path.join(ROOT, "requirements.txt")
STAMP = os.path.join(VENV, "made-from")
LOG = os.path.join(ROOT, "setup.log")
OLDEST, NEWEST = (3, 11), (3, 13)
GIGABYTES = 5  # 4.5 were taken at most: 3.8 by .venv, and the rest by what pip unpacks beside it


def version(number):
    return ".".join(map(str, number[:2]))


def fingerprint():
    """What the environment was made from and what stands in it, as one digest."""
    digest = hashlib.sha256((sys.version + VENV).encode())
    with open(REQUIREMENTS, "rb") as file:
        digest.update(file.read())
    digest.update("\n".join(sorted(os.listdir(PACKAGES))).encode())
    return digest.hexdigest()


def stands():
    try:
        with open(STAMP) as file:
            return os.path.exists(PYTHON) and file.read() == fingerprint()
    except OSError:
        return False


def check_python():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        fitting = ["python" + version((3, minor)) for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
        found = [name for name in fitting if shutil.which(name)]
        cure = f"run `make PYTHON={found[0]} ...`" if found else f"install Python {version(NEWEST)}"
        supported = f"{version(OLDEST)} to {version(NEWEST)}"
        sys.exit(f"Python {version(sys.version_info)} is not supported, only {supported}: {cure}.")
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        sys.exit("TensorFlow has no package for Macs with an Intel processor: use Linux, Windows or Apple silicon.")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit("Python's venv module is missing: on Debian and Ubuntu run `apt-get install python3-venv`.")
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES:
        sys.exit(f"The disk has {free:.1f} GB free and the set-up needs {GIGABYTES}: free some space and try again.")


def run(*command):
    with open(LOG, "a") as log:
        return subprocess.call(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)


def explain():
    """Say in one line why the set-up failed."""
    with open(LOG, errors="replace") as file:
        text = file.read()
    reasons = [
        ("No space left on device", f"the disk is full: free {GIGABYTES} GB and try again"),
        ("Permission denied", "a file may not be written: check who owns this folder"),
        ("DO NOT MATCH THE HASHES", "a package is not the one that was pinned: empty pip's cache (`pip cache purge`)"),
        ("Connection", "the package index cannot be reached: the set-up needs a network once"),
        (
            "No matching distribution",
            "a package is not to be had: Python must be 64-bit, and the network open or the wheels of its kind",
        ),
    ]
    for symptom, reason in reasons:
        if symptom in text:
            return reason
    return "see the last lines of setup.log"


def make():
    check_python()
    print("Setting up .venv: about 1 GB to download, some minutes, once ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    if os.path.exists(LOG):
        os.remove(LOG)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar=off"]
    steps = [[sys.executable, "-m", "venv", VENV], [*pip, "--require-hashes", "-r", REQUIREMENTS]]
    for step in steps:
        if run(*step) != 0:
            sys.exit(f"The set-up failed: {explain()}.")
    with open(STAMP, "w") as file:
        file.write(fingerprint())
    os.remove(LOG)


if __name__ == "__main__":
    try:
        if not stands():
            make()
    except KeyboardInterrupt:
        sys.exit("Interrupted: the next `make` begins the set-up again.")
    except OSError as error:
        sys.exit(f"The set-up failed: {error}. Check the disk and who owns this folder.")
