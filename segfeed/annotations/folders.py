"""The folders of `segfeed masks`: pictures by stem, and a new folder that is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from segfeed.annotations.problems import Problems
from segfeed.errors import CommandError
from segfeed.files import file_name, list_folder, stem_of


def list_pictures(imgs_dir: Path, beside: Path, problems: Problems) -> dict[str, Path]:
    """The pictures of a folder by stem, sorted; what would be lost is a problem."""
    files, lost = list_folder(imgs_dir, beside)
    problems.extend((kind, f"{imgs_dir / name}: {measured}") for kind, name, measured in lost)
    pictures = {}
    for stem, rest in sorted(files.items()):
        names = sorted(file_name(stem, part) for part in rest.split("/"))
        if len(names) > 1:
            problems.add("two files for one stem", f"{imgs_dir}: {' and '.join(names)}")
        pictures[stem] = imgs_dir / names[0]
    return pictures


def stem_in(name: str, pictures: Mapping[str, Path]) -> str | None:
    """The stem of the picture that a name means, with or without an extension, if it is there."""
    name = unicodedata.normalize("NFC", name)
    return next((stem for stem in (stem_of(name), name) if stem in pictures), None)


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `target` when all went well; CommandError if that holds anything."""
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise CommandError(f"{target} is there already, and nothing is overwritten. Give a new folder.")
    folder = target.with_name(f".part-{target.name}-{os.getpid()}")
    folder.mkdir(parents=True)
    try:
        yield folder
        if target.is_dir():
            target.rmdir()
        os.replace(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
