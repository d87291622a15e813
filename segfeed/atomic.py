"""Atomic writes: a temporary file, fsync, rename. A reader sees the old file or the new one, never a part."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_file() or os.name == "posix":  # Windows opens no folder
        descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then rename it to `path`."""
    part = path.with_name(f"part-{path.name}")
    try:
        write(part)
        sync(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # a full disk needs the room
        raise
    sync(path.parent)


def replace_folder(part: Path, target: Path) -> None:
    """Put the folder `part` into the place of `target`, if there is one."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(part, target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """In UTF-8; half a character, as in a file's name that is no UTF-8, becomes the escape that JSON has for it."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8", errors="backslashreplace"))
