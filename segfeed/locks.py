"""A lock on a folder into which one process at a time may write. It ends with that process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from segfeed.errors import CommandError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which need not exist: a file beside it, `.<name>.lock`.

    It is a lock of the operating system (flock, on Windows LockFile), so none is left by a process that was
    killed. It also holds among machines where the file system passes such locks on: NFS and SMB do, as Linux
    mounts them by default. Where a file system has no locks, this is said, and the work goes on without.

    Raises CommandError, with the other process's number and machine, if another holds it.
    """
    folder = folder.resolve()
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "a+", encoding="utf-8"))
            try:
                _lock(file)
            except OSError as error:
                if error.errno in TAKEN:
                    file.seek(0)
                    raise CommandError(
                        f"{file.read() or 'another process'} writes into {folder}: wait until it has ended, "
                        f"or give another folder."
                    ) from None
                print(f"{folder} cannot be locked ({error.strerror}): let no other process write into it.")
                break
            with contextlib.suppress(FileNotFoundError):  # the process before may have just removed this file
                if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                    break
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            if os.name != "nt":
                path.unlink(missing_ok=True)
    if os.name == "nt":  # where an open file cannot be removed, nor one that another has opened since
        with contextlib.suppress(OSError):
            path.unlink()


def _lock(file: IO[str]) -> None:
    """Without waiting; OSError if another process has it."""
    if os.name == "nt":
        os.lseek(file.fileno(), 2**30, os.SEEK_SET)  # behind the words: what is locked cannot be read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
