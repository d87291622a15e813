"""One writer at a time: the lock of a folder."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segfeed import locks
from segfeed.errors import CommandError
from segfeed.locks import lock_folder

ROOT = Path(__file__).resolve().parent.parent
HOLD = """
import sys
from pathlib import Path
from segfeed.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path/run."""
    command = [sys.executable, "-c", HOLD, tmp_path / "run"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_other_process_is_named_and_when_it_ends_the_lock_is_free(holder, tmp_path, monkeypatch):
    with pytest.raises(CommandError, match=rf"process {holder.pid} on \S+ writes into {tmp_path / 'run'}: wait"):
        lock_folder(tmp_path / "run").__enter__()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=f"process {holder.pid} "):
        lock_folder(Path("run")).__enter__()  # the same by another path
    with lock_folder(tmp_path / "other"):
        assert sorted(os.listdir(tmp_path)) == [".other.lock", ".run.lock"]
    holder.communicate("")
    with lock_folder(tmp_path / "run"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_killed_process_leaves_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    holder.wait()
    with lock_folder(tmp_path / "run"):
        pass
    assert os.listdir(tmp_path) == []


def test_of_many_that_come_and_go_one_is_inside(tmp_path):
    inside, entered = [], []

    def come(number):
        for _ in range(50):
            with contextlib.suppress(CommandError), lock_folder(tmp_path / "run"):
                inside.append(number)
                entered.append(list(inside))
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come, range(8)))
    assert entered and all(len(together) == 1 for together in entered)
    assert os.listdir(tmp_path) == []


def test_without_locks_it_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    def none(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", none)
    with lock_folder(tmp_path / "run"):
        said = capsys.readouterr().out
    assert said == f"{tmp_path / 'run'} cannot be locked (No locks available): let no other process write into it.\n"
