"""The way back: LabelMe's files from masks, to correct masks there. Their polygons cover the same pixels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from segfeed.annotations.folders import new_folder
from segfeed.classes import ClassTable, find_classes_table, read_classes_table
from segfeed.errors import CommandError, DataError, first_names
from segfeed.pairing import find_pairs, read_pair


def write_labelme(
    masks_dir: Path, imgs_dir: Path, target: Path, *, table: ClassTable | None = None, progress: bool = False
) -> str:
    """Write a file of LabelMe, <stem>.json, for each pair of picture and mask, and say how many.

    Each object is a polygon: pixels of one class that share sides. Labels are the names in `table`, or in the masks'
    classes.csv; of one class, 255 may stand for 1. Raises DataError for files that do not pair, for values that are not
    in the table, and CommandError if there is no table.
    """
    if table is None:
        path = find_classes_table(masks_dir)
        if path is None:
            raise CommandError(f"{masks_dir} has no classes.csv: give one with --classes-table, for the labels.")
        table = read_classes_table(path)
    names, objects = table.names, 0
    pairs = find_pairs(imgs_dir, masks_dir)
    with new_folder(target) as folder:
        for pair in tqdm(pairs, "polygons", unit="mask", disable=not progress):
            _, mask = read_pair(pair)
            if table.n_classes == 1 and table.ignore is None and np.isin(mask, (0, 255)).all():
                mask = mask // 255  # the one class is stored as 255
            if unknown := sorted(set(np.unique(mask).tolist()) - names.keys()):
                values = first_names([*map(str, unknown)])
                raise DataError(f"{pair.mask}: the values {values} are not in the table of classes. Add rows for them.")
            shapes: list[dict[str, Any]] = [
                {
                    "label": names[index],
                    "points": [[float(x), float(y)] for x, y in outline],
                    "group_id": None,
                    "description": "",
                    "shape_type": "polygon",
                    "flags": {},
                    "mask": None,
                }
                for index in np.unique(mask).tolist()
                if index
                for outline in outlines(mask[..., 0] == index)
            ]
            objects += len(shapes)
            content: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageData": None}
            content["imagePath"] = os.path.relpath(pair.image, target).replace(os.sep, "/")
            content["imageHeight"], content["imageWidth"] = mask.shape[:2]
            text = json.dumps(content, ensure_ascii=False, indent=1)
            (folder / f"{pair.stem}.json").write_text(text, encoding="utf-8")
    return f"{len(pairs)} files of LabelMe with {objects} polygons are in {target}."


def outlines(region: np.ndarray) -> Iterator[np.ndarray]:
    """A polygon, int (N, 2), x and y of corners, around each part of a bool (H, W) whose pixels share sides.

    A hole is joined to the outline by a cut of no width, there and back.
    """
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        x, y, width, height = boxes[number, :4]
        outline, *holes = _rings(parts[y : y + height, x : x + width] == number)
        for hole in holes:
            at = int(np.abs(outline - hole[0]).sum(axis=1).argmin())
            outline = np.concatenate([outline[: at + 1], hole, hole[:1], outline[at:]])
        yield outline + np.array([x, y])


def _rings(inside: np.ndarray) -> Iterator[np.ndarray]:
    """The borders of a region, the outer one first: corners, with the region on the right hand of the way.

    `ways` says whether a border leaves a place to the right, down, to the left, or up.
    """
    padded = np.pad(inside, 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    ways = [below_right & ~above_right, below_left & ~below_right, above_left & ~below_left, above_right & ~above_left]
    horizontal = (below_right != above_right) | (below_left != above_left)
    rows, columns = np.nonzero(horizontal & ((above_left != above_right) | (below_left != below_right)))
    corners = len(rows)
    by_columns = np.lexsort((rows, columns))  # `nonzero` gives the corners by rows
    place = np.empty(corners, int)
    place[by_columns] = np.arange(corners)
    neighbours = np.arange(corners)[:, None] + (1, 0, -1, 0)
    neighbours[:, 1], neighbours[:, 3] = (by_columns[(place + step) % corners] for step in (1, -1))
    there, following = np.stack(ways, axis=-1)[rows, columns].tolist(), neighbours.tolist()
    free = [list(each) for each in there]
    for start in range(corners):
        for way in range(4):
            corner, ring = start, []
            while free[corner][way]:
                free[corner][way] = False
                ring.append(corner)
                corner = following[corner][way]
                right = (way + 1) % 4  # where two pixels touch at a corner, stay with the same one
                way = right if there[corner][right] else (way + 3) % 4
            if ring:
                yield np.stack([columns[ring], rows[ring]], axis=1)
