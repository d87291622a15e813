"""Label Studio: its JSON export, and its brush export, several PNG files for a picture."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, Size, as_label, as_size, last_name, load_json
from segfeed.annotations.shapes import Bitmap, Ellipse, Line, Part, Polygon, Shape, as_points, rectangle
from segfeed.files import PICTURES
from segfeed.masks import read_mask

BRUSH_FILE = re.compile(r"task-(\d+)-annotation-(\d+)(?:-by-[^-]*)?-[^-]+-(.+?)(?:-\d+)?\.png")
COVERED = 128  # of 255: from here on a brush covers a pixel
DRAWN = {"polygon", "rectangle", "ellipse", "brush", "keypoint"}
NO_SHAPES = {"choices", "textarea", "rating", "number", "datetime", "taxonomy", "pairwise", "ranker", "relation"}


def is_labelstudio(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and "data" in first and ("annotations" in first or "completions" in first)


def read_labelstudio(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    for file in files:
        with problems.reading(file):
            content = load_json(file)
            if not is_labelstudio(content):
                raise OtherFormatError("it has no tasks with data and annotations, as Label Studio's JSON has")
            for task in content if isinstance(content, list) else [content]:
                where = f"{file}, task {task.get('id')}"
                with problems.reading(where):
                    name = _picture(task["data"])
                    own_name = re.sub("^[0-9a-f]{8}-", "", name)  # an upload gets a prefix
                    done = task.get("annotations", task.get("completions"))
                    results = [each["result"] for each in done if not each.get("was_cancelled")]
                    for result in results or [[]]:
                        shapes, size = _shapes(result, where, problems)
                        yield Annotated(where, name, size, shapes, own_name, upright=True)


def _picture(data: dict[str, Any]) -> str:
    """The name of the picture's file, from its path, its address, or the query of a local file."""
    texts = [text for text in (data.get("image"), *data.values()) if isinstance(text, str)]
    paths = [unquote(text.partition("?d=")[2] or text.partition("?")[0]) for text in texts]
    return last_name(([path for path in paths if path.lower().endswith(PICTURES)] or paths)[0])


def _shapes(results: list[dict[str, Any]], where: str, problems: Problems) -> tuple[list[Shape], Size | None]:
    labels = {each.get("id"): each["value"]["labels"] for each in results if each.get("type") == "labels"}
    shapes, sizes = [], set()
    for number, each in enumerate(results):
        place, value, kind = f"result {number}", each.get("value", {}), str(each.get("type")).removesuffix("labels")
        with problems.reading(f"{where}, {place}"):
            if kind not in DRAWN:
                note = "no shape" if kind in NO_SHAPES else "shape of an unknown kind"
                problems.extend([(note, f"{where}, {place}: {each['type']}")] * bool(kind))  # "labels" adds to another
                continue
            if each.get("image_rotation"):
                raise ValueError(f"the picture is turned by {each['image_rotation']}°, which is not read")
            size = as_size(each["original_height"], each["original_width"])
            found = [*map(as_label, value.get(each["type"]) or labels.get(each.get("id")) or [])]
            if len(found) > 1:
                problems.add("shape with several labels", f"{where}, {place}: {', '.join(found)}")
            elif not any(found) or size is None:
                problems.add("shape without a label", f"{where}, {place}")
            else:
                sizes.add(size)
                shapes.append(Shape(found[0], _parts(kind, value, size), place))
    if len(sizes) > 1:
        raise ValueError(f"its results are for pictures of several sizes, {sorted(sizes)}")
    return shapes, next(iter(sizes), None)


def _parts(kind: str, value: dict[str, Any], size: Size) -> list[Part]:
    """What a result covers; lengths are in percent of the width or the height."""
    height, width = size
    if kind == "brush":
        return [Bitmap(functools.partial(_pixels_of_brush, bytes(value["rle"]), size), height, width)]
    if kind == "polygon":
        return [Polygon([as_points(value["points"], 3) * (width / 100, height / 100)], winding=True)]
    x, y, angle = value["x"] * width / 100, value["y"] * height / 100, value.get("rotation", 0)
    if kind == "keypoint":
        return [Line(as_points([(x, y)]))]
    if kind == "ellipse":
        return [Ellipse(x, y, value["radiusX"] * width / 100, value["radiusY"] * height / 100, angle)]
    right, bottom = x + value["width"] * width / 100, y + value["height"] * height / 100
    return [rectangle(x, y, right, bottom, angle, about=(x, y))]


def _pixels_of_brush(data: bytes, size: Size) -> np.ndarray:
    values = unpack_brush(data)
    if len(values) != 4 * size[0] * size[1]:
        raise ValueError(f"its brush has {len(values)} values, expected {size[0]}×{size[1]}×4")
    return values.reshape(*size, 4)[..., 3] >= COVERED


def unpack_brush(data: bytes) -> np.ndarray:
    """The values, uint8, that were packed as @thi.ng/rle-pack does (https://docs.thi.ng/umbrella/rle-pack/).

    A stream of bits, the highest of each number first: how many values (32 bits), the bits of a value less one (5),
    four lengths, in bits less one (4 each); then blocks: whether one value is repeated (1), which of the lengths
    the count has (2), the count less one, and that value or all values.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    digits, place = (bits + ord("0")).tobytes(), 0

    def read(length: int) -> int:
        nonlocal place
        place += length
        if place > len(bits):
            raise ValueError("its brush data are cut off")
        return int(digits[place - length : place], 2)

    values = np.zeros(read(32), np.uint8)
    word = read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if word > 8:
        raise ValueError(f"its brush values have {word} bits, expected 8")
    at = 0
    while at < len(values):
        repeated = read(1)
        count = min(read(lengths[read(2)]) + 1, len(values) - at)
        if repeated:
            values[at : at + count] = read(word)
        else:
            place += count * word
            if place > len(bits):
                raise ValueError("its brush data are cut off")
            rows = bits[place - count * word : place].reshape(count, word)
            values[at : at + count] = np.packbits(rows, axis=1)[:, 0] >> (8 - word)
        at += count
    return values


def read_brush_files(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """PNG files task-…-annotation-…-by-…-tag-<label>-….png; Label Studio's JSON beside them names the pictures."""
    names: dict[str, str] = {}
    grouped: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for file in files:
        if file.suffix.lower() == ".json":
            with problems.reading(file):
                names.update({str(task["id"]): _picture(task["data"]) for task in load_json(file)})
        elif match := BRUSH_FILE.fullmatch(file.name):
            grouped.setdefault((match[1], match[2]), []).append((match[3], file))
        else:
            problems.add("broken annotation", f"{file}: its name is not task-…-annotation-…-tag-….png")
    for (task, _), parts in grouped.items():
        where = parts[0][1]
        with problems.reading(where):
            shapes, sizes = [], set()
            for label, file in parts:
                height, width, _ = read_mask(file).shape
                sizes.add((height, width))
                decode = functools.partial(lambda file: read_mask(file)[..., 0] >= COVERED, file)
                shapes.append(Shape(as_label(label), [Bitmap(decode, height, width)], file.name))
            if len(sizes) > 1:
                raise ValueError(f"the masks of task {task} have several sizes, {sorted(sizes)}")
            name = names.get(task, f"task-{task}")
            own_name = re.sub("^[0-9a-f]{8}-", "", name) if task in names else task
            yield Annotated(str(where), name, sizes.pop(), shapes, own_name, upright=True)
