"""The catalogue of faults: what each kind means for the training, and its cure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from segfeed.errors import printable
from segfeed.pairing import LOST_CURES

FAULTS = {  # kind: why it hurts the training, and the cure; the report comes in this order
    "missing mask": (
        "An image without a mask cannot be learned from; the generator stops.",
        "Add the mask under the image's name, or take the image out.",
    ),
    "orphan mask": (
        "Perhaps its image was lost or renamed; the generator stops.",
        "Add the image under the mask's name, or take the mask out.",
    ),
    "two files for one stem": (
        "Nobody can say which of them belongs to the pair; the generator stops.",
        "Keep one of them.",
    ),
    "ambiguous name": (
        "As an id it may mean this file or another, as a.png beside a.png.png; the generator stops.",
        "Rename one of them.",
    ),
    "dead link": (
        "The file that it points to is gone: the pair would be missing; the generator stops.",
        f"{LOST_CURES['dead link']}.",
    ),
    "special file": (
        "A pipe, a socket or a device holds no picture, and reading it may never end; the generator stops.",
        f"{LOST_CURES['special file']}.",
    ),
    "hidden file": (
        "Programs pass over names that begin with a dot: the pair would be missing; the generator stops.",
        f"{LOST_CURES['hidden file']}.",
    ),
    "subfolder": (
        "Pictures in subfolders are not read: their pairs would be missing; the generator stops.",
        f"{LOST_CURES['subfolder']}.",
    ),
    "mask in another case": (
        "On Linux these are two names, so the image has no mask; the generator stops.",
        "Rename one of them; small letters everywhere are safest.",
    ),
    "names differ in case": (
        "Linux takes them for two names, Windows and macOS for one: there they overwrite each other.",
        "Rename one of them; small letters everywhere are safest.",
    ),
    "names differ in Unicode form": (
        "They look the same and are not (NFC and NFD): this course's reader pairs them, other programs do not.",
        "Rename the files to one form, NFC.",
    ),
    "split without file": (
        "The split names a picture that the folder does not hold: a generator for it would stop.",
        "Correct the split, or add the picture.",
    ),
    "empty file": ("A file of 0 bytes holds no picture; the generator stops.", "Copy it again from its source."),
    "truncated file": (
        "Pixels are missing, and some readers fill their places with grey; the generator stops.",
        "Copy it again from its source.",
    ),
    "damaged file": (
        "The decoder repaired what it could; some pixels may be invented.",
        "Copy it again from its source.",
    ),
    "unreadable file": ("It cannot be decoded; the generator stops.", "Open it in a viewer; copy or save it again."),
    "decompression bomb": (
        "Decoding it would take the memory of the whole training; the generator stops.",
        "Cut the picture into tiles, or copy it again if it should be smaller.",
    ),
    "several pictures": (
        "The file holds several pages, slices or frames, and one would be read; the generator stops.",
        "Save each of them as a file of its own, images and masks under the same names.",
    ),
    "raw file": (
        "Only the small preview in a camera's raw file can be read; the generator stops.",
        "Develop it with the camera's program and save it as PNG or JPEG.",
    ),
    "other channels": (
        "Channels beyond grey or RGB, such as infrared, have no place in three colours; the generator stops.",
        "Save the channels that you want as RGB.",
    ),
    "wrong extension": (
        "Programs that go by the name fail or read it wrongly; a mask that is secretly a JPEG has false values.",
        "Rename the file after what it holds.",
    ),
    "turned by EXIF": (
        "The pixels lie on their side and a tag says how to turn them. Programs that ignore the tag "
        "draw masks on the lying picture.",
        "Save the image upright, without the tag, and see that its mask fits.",
    ),
    "grey image": (
        "Most of the images have colour: a few grey ones teach the model to tell sources apart, not objects.",
        "Take colour versions, or make all images grey with n_channels=1.",
    ),
    "transparent image": (
        "What is transparent has no certain colour; the generator stops.",
        "Lay the image on the background you want and save it as RGB.",
    ),
    "image with alpha": (
        "The fourth channel is not a colour; here all of it is opaque, and it is left out.",
        "Save the image as RGB.",
    ),
    "image not of 8 bits": (
        "There is more than one way to make 8 bits of them; the generator stops.",
        "Scale the values to 0–255 by the full range of the camera and save again.",
    ),
    "palette image": (
        "At most 256 colours: a photograph has lost its shades, or this is a mask among the images.",
        "Take the photograph it was made from, or move the mask to its folder.",
    ),
    "constant image": ("One colour all over: there is nothing to learn from.", "Take the pair out, or find the image."),
    "unequal sizes": (
        "The mask does not lie on its image: every pixel's class is that of another place; the generator stops.",
        "Make the mask again from this image; if they are turned against each other, look at the EXIF tag.",
    ),
    "mask saved as JPEG": (
        "JPEG changes values: near every edge are classes that nobody drew; the generator stops.",
        "Save the mask as PNG, from its source; rounding the values back moves the edges.",
    ),
    "inverted scale": (
        "A low value is seen as white: programs disagree about which pixels are the object; the generator stops.",
        "Save the mask as a grey PNG, 0 for ground.",
    ),
    "palette of greys": (
        "The value and the grey that it is shown as differ, and either may be the class; the generator stops.",
        "Save the mask as a grey PNG that holds 0/255 or the class index.",
    ),
    "mask in colour": (
        "A colour is no class: without a table nobody knows which is which; the generator stops.",
        "Give colours={(r, g, b): class}, and save the masks as PNG with the class index for the training.",
    ),
    "unknown colour": (
        "A colour that is not in the table has no class; the generator stops.",
        "Add it to the table, or repaint those pixels; blends at edges come from a brush or resize with smoothing.",
    ),
    "two object values": (
        "1 and 255 both mean the object, or one of them means something else; the generator stops.",
        "Use 0 and 255 throughout; look at what the other value marks.",
    ),
    "soft edges": (
        "Values between ground and object, which a smooth brush or resize makes, have no class; the generator stops.",
        "Draw with a hard brush, resize by the nearest pixel; or cut the mask at 128.",
    ),
    "unknown value": (
        "A value that is no class index cannot be encoded; the generator stops.",
        "Repaint those pixels, check n_classes, or give ignore= for a border that does not count.",
    ),
    "mask not of 8 bits": (
        "Values above 255, negative or broken ones are no class indices; the generator stops.",
        "Save the class index with 8 bits.",
    ),
    "empty mask": (
        "No object anywhere: right for a picture without one, and false where the drawing was forgotten.",
        "Look at the image; keep the pair only if it really shows no object.",
    ),
    "inverted mask": (
        "Probably ground and object are exchanged: the model is taught the opposite.",
        "Look at it beside its image; if so, save 255 minus the mask.",
    ),
    "same picture in two splits": (
        "The model is tested on what it has learned by heart: the score promises too much.",
        "Look at both; leave one out, or put them into the same split; `segfeed split --near-duplicates` does.",
    ),
    "group in two splits": (
        "Pictures of one group show the same things: the model is tested on what it has learned by heart.",
        "Put all of the group into one split; `segfeed split` does.",
    ),
    "id twice in a split": (
        "A picture that is listed twice would count twice; the generator stops.",
        "Keep one of the rows.",
    ),
    "picture in no split": (
        "It is neither learned from nor tested on.",
        "Add it to a split, unless it is left out on purpose.",
    ),
    "object lost at this size": (
        "The object is so small or thin that no pixel of it is left when the mask is resized: it cannot be learned.",
        "Train at the size that keeps it, or cut the pictures into tiles.",
    ),
    "rare class": (
        "A model that never says this class is nearly always right, and that is what it learns.",
        "Collect more of it, weigh it in the loss, or draw its images more often; judge by IoU per class.",
    ),
}

FATAL_FINDINGS = FAULTS.keys() - {  # the generator stops at such a file, and goes on with these:
    *("names differ in case", "names differ in Unicode form", "split without file", "damaged file", "wrong extension"),
    *("turned by EXIF", "grey image", "image with alpha", "palette image", "constant image", "empty mask"),
    *("inverted mask", "same picture in two splits", "group in two splits", "id twice in a split"),
    *("picture in no split", "object lost at this size", "rare class"),
}


class Finding(NamedTuple):
    """One fault of one file, or of the folder: what was measured, why it hurts the training, and the cure."""

    kind: str
    file: str
    measured: str
    why: str
    cure: str


class ClassShare(NamedTuple):
    """How often a class occurs: its share of all pixels, and of the images that show it at all."""

    value: int
    pixels: float
    images: float


class Report(list[Finding]):
    """The findings, by kind; printed, a table with a paragraph for each kind."""

    pairs = 0
    balance: list[ClassShare]
    names: dict[int, str]  # of the classes that have one
    keeps: tuple[int, ...] | None = None  # the size at which no object would be lost, if the chosen one loses some

    def name_of(self, value: int) -> str:
        name = self.names.get(value)
        return f"class {value} ({name})" if name else f"class {value}"

    def __str__(self) -> str:
        lines = []
        for kind, group in groupby(self, key=lambda finding: finding.kind):
            found = list(group)
            names = [printable(finding.file) for finding in found]
            width = max(map(len, names))
            lines += [f"{kind} ({len(found)})", f"  why   {found[0].why}", f"  cure  {found[0].cure}"]
            lines += [
                f"    {name:{width}}  {printable(finding.measured)}" for name, finding in zip(names, found, strict=True)
            ]
            lines.append("")
        for share in self.balance:
            lines.append(
                f"{self.name_of(share.value)}: {share.pixels:7.2%} of the pixels, in {share.images:7.2%} of the masks"
            )
        if self.keeps:
            lines.append(f"At {self.keeps[0]}×{self.keeps[1]} no object would be lost.")
        return "\n".join([*lines, f"{len(self)} findings in {self.pairs} pairs."])


def make_finding(kind: str, file: str | Path, measured: str) -> Finding:
    return Finding(kind, str(file), measured, *FAULTS[kind])


def write_csv(findings: Iterable[Finding], path: str | Path) -> None:
    """Write findings as a table, with the mark (BOM) by which spreadsheets read Korean letters rightly."""
    with open(path, "w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(Finding._fields)
        writer.writerows(findings)
