"""The two folders of notebook 06: annotated photographs, and a pair for each fault.

They are made of pictures of the sample, which is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from segfeed.annotations import write_labelme
from segfeed.classes import make_class_table
from segfeed.pairing import Pair
from utils import SAMPLE, find_pairs, read_image, read_mask


def annotate(folder: Path, stems: Sequence[str]) -> None:
    """Make `images`, `sample_masks` and `annotations`, a LabelMe file for each picture.

    Somebody wrote "coper" in the first file that shows copper, and "Silver" in the
    last one that shows silver.
    """
    images, masks, files = (
        folder / name for name in ("images", "sample_masks", "annotations")
    )
    table = make_class_table(["silver", "copper"], void=False)
    for here in (images, masks):
        here.mkdir(parents=True)
    for stem in stems:
        shutil.copy(SAMPLE / "images" / f"{stem}.jpg", images)
        shutil.copy(SAMPLE / "masks_by_class" / f"{stem}.png", masks)
    write_labelme(masks, images, files, table=table)
    for label, slip, place in (("copper", "coper", 0), ("silver", "Silver", -1)):
        having = [one for one in sorted(files.iterdir()) if f'"{label}"' in text(one)]
        changed = text(having[place]).replace(f'"{label}"', f'"{slip}"', 1)
        having[place].write_text(changed, encoding="utf-8")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


IMAGE_FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # another camera
    "grey image": lambda image: image[..., 1],
    # a drawing program
    "transparent image": lambda image: np.dstack([image, image[..., 1]]),
    # a microscope
    "image not of 8 bits": lambda image: image[..., 1].astype(np.uint16) * 257,
    # the lens cap
    "constant image": lambda image: 0 * image,
}
MASK_FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # cut, and the image was not
    "unequal sizes": lambda mask: mask[:128],
    # saved with 16 bits
    "mask not of 8 bits": lambda mask: mask.astype(np.uint16) * 257,
    # painted in red
    "mask in colour": lambda mask: np.dstack([mask, 0 * mask, 0 * mask]),
    # 127 for the object
    "unknown value": lambda mask: mask // 2,
    # two annotators
    "two object values": lambda mask: np.where(np.arange(256) % 2, mask // 255, mask),
    # a soft brush
    "soft edges": lambda mask: cv2.blur(mask, (5, 5)),
    # saved before anything was drawn
    "empty mask": lambda mask: 0 * mask,
    # ground painted white
    "inverted mask": lambda mask: 255 - mask,
}


def spoil(folder: Path, parts: dict[str, list[str]]) -> dict[str, str]:
    """Make `images` and `masks` of all parts; return the stem of each kind of fault.

    Some pairs stay without a fault. "9999" has no file, and comes into the test part.
    """
    sample, folders = ((base / "images", base / "masks") for base in (SAMPLE, folder))
    for here in folders:
        here.mkdir(parents=True)
    stems = [stem for names in parts.values() for stem in names]
    for pair in find_pairs(*sample, stems):
        for file, here in zip((pair.image, pair.mask), folders, strict=True):
            shutil.copy(file, here)
    untouched, planted = iter(find_pairs(*folders)), {"split without file": "9999"}

    def victim(kind: str) -> Pair:
        pair = next(untouched)
        planted[kind] = pair.stem
        return pair

    victim("empty file").image.write_bytes(b"")
    victim("missing mask").mask.unlink()
    victim("orphan mask").image.unlink()
    image = victim("truncated file").image  # a download that broke off
    image.write_bytes(image.read_bytes()[:5000])
    image = victim("two files for one stem").image  # converted, and the original kept
    Image.open(image).save(image.with_suffix(".png"))
    image = victim("wrong extension").image  # renamed, and not converted
    image.rename(image.with_suffix(".png"))
    for kind, change in IMAGE_FAULTS.items():
        image = victim(kind).image
        Image.fromarray(change(read_image(image))).save(image.with_suffix(".png"))
        image.unlink()
    for kind, change in MASK_FAULTS.items():
        mask = victim(kind).mask
        Image.fromarray(change(read_mask(mask)[..., 0])).save(mask)
    lying = Image.Exif()
    lying[0x0112] = 6  # a telephone that was held upright
    image = victim("turned by EXIF").image
    Image.open(image).rotate(90).save(image, exif=lying)
    mask = victim("mask saved as JPEG").mask
    Image.open(mask).save(mask.with_suffix(".jpg"))
    mask.unlink()
    trained_on, *_, tested = untouched  # a copy in the test, compressed more strongly
    planted["same picture in two splits"] = tested.stem
    Image.open(trained_on.image).save(tested.image, quality=60)
    shutil.copy(trained_on.mask, tested.mask)
    parts["test"].append("9999")
    return planted
