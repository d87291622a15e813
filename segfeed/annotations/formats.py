"""Which format annotations have, told by what the files hold."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from segfeed.annotations.coco import is_coco, read_coco
from segfeed.annotations.cvat import read_cvat
from segfeed.annotations.geojson import is_geojson, read_geojson
from segfeed.annotations.imagej import read_imagej
from segfeed.annotations.labelme import is_labelme, read_labelme
from segfeed.annotations.labelstudio import BRUSH_FILE, is_labelstudio, read_brush_files, read_labelstudio
from segfeed.annotations.palette import LABELMAP, read_cvat_masks, read_voc
from segfeed.annotations.problems import Problems
from segfeed.annotations.reader import Annotated, load_json
from segfeed.errors import CommandError, first_names

Reader = Callable[[Sequence[Path], Problems], Iterator[Annotated]]

FORMATS: dict[str, tuple[Reader, tuple[str, ...]]] = {  # the reader of each, and the endings of its files
    "labelme": (read_labelme, (".json",)),
    "coco": (read_coco, (".json",)),
    "cvat": (read_cvat, (".xml",)),
    "cvat-masks": (read_cvat_masks, (".png", LABELMAP)),
    "voc": (read_voc, (".png",)),
    "labelstudio": (read_labelstudio, (".json",)),
    "labelstudio-brush": (read_brush_files, (".png", ".json")),
    "geojson": (read_geojson, (".json", ".geojson")),
    "imagej": (read_imagej, (".roi", ".zip")),
}


def read_annotations(path: Path, kind: str | None, problems: Problems) -> Iterator[Annotated]:
    """All annotations in a file, or in a folder with its subfolders; `kind` is one of FORMATS, or told by the content.

    Raises CommandError if there are none of a kind that is known.
    """
    load_json.cache_clear()  # a file may have changed since
    if not path.exists():
        raise CommandError(f"there is no {path}. Check the path; it is relative to {Path.cwd()}.")
    inside = [path] if path.is_file() else sorted(path.rglob("*"))
    files = [file for file in inside if file.is_file() and not any(map(_is_side_name, file.relative_to(path).parts))]
    kind = kind or _kind_of(files, path)
    reader, endings = FORMATS[kind]
    chosen = [file for file in files if file.name.lower().endswith(endings)]
    if kind in ("voc", "cvat-masks"):  # these exports hold pictures of the objects, and perhaps the photographs, too
        classes = [file for file in chosen if "SegmentationClass" in file.parts or file.name == LABELMAP]
        chosen = classes if any(file.suffix == ".png" for file in classes) else chosen
    if not chosen or (kind == "cvat-masks" and sum(file.name == LABELMAP for file in chosen) != 1):
        raise CommandError(
            f"{path} holds no {' and '.join(endings)} of the format {kind}. Check the path and --format."
        )
    return reader(chosen, problems)


def _is_side_name(name: str) -> bool:
    return name[0] == "." or name == "__MACOSX"


def _kind_of(files: Sequence[Path], path: Path) -> str:
    names = [file.name for file in files]
    if LABELMAP in names:
        return "cvat-masks"
    if any("SegmentationClass" in file.parts for file in files):
        return "voc"
    if any(map(BRUSH_FILE.fullmatch, names)):
        return "labelstudio-brush"
    zipped = [file for file in files if file.suffix.lower() == ".zip"]
    if any(file.suffix.lower() == ".roi" for file in files) or any(map(_holds_regions, zipped)):
        return "imagej"
    if zipped:
        raise CommandError(f"{path} holds {zipped[0].name}: unpack it, and give the folder.")
    for file in files:
        if file.suffix.lower() in (".json", ".geojson", ".xml") and (kind := _kind_by_content(file)):
            return kind
    if files and all(name.lower().endswith((".png", ".txt")) for name in names):
        return "voc"
    raise CommandError(
        f"{path} holds no annotations of a format that is known ({first_names(names) or 'no file'}). Known are "
        f"{', '.join(FORMATS)}; export Label Studio's as JSON, not JSON-MIN. Say which with --format."
    )


def _holds_regions(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith(".roi") for name in archive.namelist())


def _kind_by_content(file: Path) -> str | None:
    if file.suffix.lower() == ".xml":
        try:
            return "cvat" if ElementTree.parse(file).getroot().tag == "annotations" else None
        except ElementTree.ParseError:
            return None
    try:
        content = load_json(file)
    except ValueError:
        return None
    tests = {"labelme": is_labelme, "coco": is_coco, "labelstudio": is_labelstudio, "geojson": is_geojson}
    return next((kind for kind, test in tests.items() if test(content)), None)
