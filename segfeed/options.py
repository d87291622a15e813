"""What the commands of `segfeed` can be told: their arguments, and the words that argparse cannot read by itself."""

from __future__ import annotations

import argparse
import csv
import math
import re
from pathlib import Path
from typing import Any

from segfeed.annotations.formats import FORMATS
from segfeed.annotations.reader import as_label
from segfeed.augment import KINDS
from segfeed.errors import DataError
from segfeed.masks import Colours, read_colours

EXIT = """exit status: 0 done, nothing is wrong; 1 done, something is wrong (findings,
failed checks, damaged shards); 2 stopped, says what to change; 130 interrupted"""


PRESETS: dict[str | None, dict[str, Any]] = {  # a value, or a function of the other arguments
    None: {
        "backbone": "small",
        "encoder_weights": lambda given: "none" if given.backbone == "small" else "imagenet",
        "warm_up": lambda given: 0 if given.encoder_weights == "none" else 2,
        "augment": lambda given: ("flips", "turns") if given.size[0] == given.size[1] else ("flips",),
        "validation": lambda given: None if given.split else 0.2,
        "batch": lambda given: min(8, max(1, 2**19 // math.prod(given.size))),
        "learning_rate": 1e-3,
        "decay": 0.0,
    },
    "article": {
        "backbone": "resnet34",
        "encoder_weights": lambda given: "none" if given.backbone == "small" else "imagenet",
        "warm_up": 0,
        "augment": (),
        "validation": lambda given: None if given.split else 69,
        "batch": 2,
        "learning_rate": 1e-5,
        "decay": 1e-5,
    },
}


def fill_settings(arguments: argparse.Namespace) -> None:
    """Give each setting of `segfeed train` that was not given the value of its preset."""
    arguments.size = arguments.size or ((arguments.crop, arguments.crop) if arguments.crop else (384, 384))
    for name, value in PRESETS[arguments.preset].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value(arguments) if callable(value) else value)


class Help(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """The default at the end, unless it stands there in words, or there is none to tell."""
        text = action.help or ""
        told = "default" in text or action.required or action.default in (None, False, [], argparse.SUPPRESS)
        return text if told else f"{text} (default: %(default)s)"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "segfeed",
        description="Feed images and masks to Keras for segmentation.",
        epilog=f"segfeed COMMAND --help says more of each.\n\n{EXIT}",
        formatter_class=Help,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=description, description=description, epilog=EXIT, formatter_class=Help)

    _add_masks(add("masks", "Draw masks from annotations (LabelMe, COCO, CVAT, ...)."))
    _add_audit(add("audit", "Look for faults in images and masks; changes nothing."))
    _add_split(add("split", "Divide pictures into train, validation and test."))
    _add_check(add("check", "Check anyone's Keras Sequence for what fit relies on."))
    _add_train(add("train", "Train a U-Net; a run that was interrupted goes on."))
    _add_predict(add("predict", "Use a trained model on a folder of pictures."))
    _add_export(add("export", "Write a trained model as ONNX, LiteRT and SavedModel."))
    _add_bench(add("bench", "Say where the time goes when your pairs are read."))
    _add_port(add("port", "Say what a script of old Keras needs today, or a message."))
    _add_pack(add("pack", "Pack pairs into a few large files for shared storage."))
    return parser


def _add_classes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--classes",
        type=int,
        help="number of classes; 1 for masks of 0 and 255, else class indices (default: from MASKS/classes.csv, or 1)",
    )
    add("--colours", type=_colours, help="for masks in colour: CSV file without header, red,green,blue,class, 0-255")
    add(
        "--ignore",
        type=_mask_value,
        help="mask value of void pixels, 0-255, of no class (default: from MASKS/classes.csv)",
    )


def _add_masks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("annotations", type=Path, metavar="ANNOTATIONS", help="file or folder; the format is told by the content")
    add("images", type=Path, metavar="IMAGES", help="folder of the pictures that were annotated")
    add("masks", type=Path, metavar="MASKS", help="new folder for the masks and classes.csv")
    add("--format", metavar="NAME", choices=FORMATS, help=f"one of {', '.join(FORMATS)}")
    add("--classes-table", type=Path, metavar="CSV", help="a classes.csv: index,name,colour of each label")
    add("--order", type=_labels, metavar="A,B,C", help="labels; where shapes overlap the later one lies on top")
    add("--void", type=_labels, metavar="A,B", help="labels of pixels that belong to no class")
    add("--void-border", type=int, default=0, metavar="N", help="pixels that become void on both sides of a border")
    add("--line-width", type=float, metavar="N", help="width in pixels of lines and points; 0 leaves them out")
    add("--empty", action="store_true", help="write an empty mask for a picture without shapes")
    add("--exif", choices=["upright", "stored"], help="how turned pictures lay in the tool, if sizes cannot tell")
    add("--to", choices=["labelme"], help="the way back: ANNOTATIONS holds masks, MASKS gets files of LabelMe")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of the images")
    add("masks", type=Path, metavar="MASKS", help="folder of the masks, with the same names")
    _add_classes(parser)
    add("--size", type=_size, help="side, or HEIGHTxWIDTH, for training: name the objects that would vanish there")
    add("--csv", type=Path, help="write the findings into this file too")
    add("--split", type=Path, metavar="CSV", help="look for pictures and groups that are in two parts of this split")
    _add_groups(parser)


def _add_split(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of the images")
    add("--output", type=Path, default=Path("split.csv"), help="new file, a row id,part for each picture")
    add("--masks", type=Path, help="folder of the masks: spread their classes evenly over the parts")
    _add_classes(parser)
    _add_groups(parser)
    add("--near-duplicates", action="store_true", help="put pictures that look alike into one part")
    add("--validation", type=_number_or_share, default=0.2, help="validation images, a number, or a share below 1")
    add("--test", type=_number_or_share_or_none, default=0.2, help="test images, the same; 0 for no test part")
    add("--seed", type=int, default=0, help="number that fixes what is left to chance")


def _add_groups(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--group", metavar="REGEX", help="pictures are of one group if this finds the same in their names: '^[^_]+'")
    add("--groups", type=Path, metavar="CSV", help="table of the groups instead, with the columns id,group")


def _add_check(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("make", metavar="MODULE:FUNCTION", help="a function without arguments that makes the Sequence")
    add("--probe", type=Path, help="write a probe into this folder; the function reads its images and masks")
    add("--classes", type=int, default=1, help="channels of the masks; 1 for masks of 0 and 1, more for one-hot")
    add("--shuffle", choices=["yes", "no"], help="whether the order should change from epoch to epoch")


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of the images")
    add("--masks", type=Path, required=True, help="folder of the masks, with the same names")
    add("--output", type=Path, help="folder for the results (default: runs/<folder around the images>)")
    add("--overwrite", action="store_true", help="replace a run that is finished, or has other arguments")
    add("--preset", choices=[*PRESETS][1:], help="article: the settings of 2019 in place of the defaults below")
    add("--backbone", help="small, a U-Net of 0.49 million weights, or an encoder of segmentation_models, such as "
        "resnet34 (default: small)")  # fmt: skip
    add("--encoder-weights", help="start of the encoder: imagenet, or none for random "
        "weights (default: imagenet, and none for small)")  # fmt: skip
    add("--warm-up", type=int, help="epochs in which an encoder with weights stays as it is (default: 2)")
    add("--size", type=_size, help="side, or HEIGHTxWIDTH, in pixels: multiples of 32 "
        "(default: 384)")  # fmt: skip
    add("--crop", type=_side, help="train on squares of this side, not resized; for pictures far above --size")
    _add_classes(parser)
    add("--balanced", action="store_true", help="weigh each pixel so that all classes weigh the same in the loss")
    add("--augment", type=_kinds, nargs="?", const=("flips", "turns"), metavar="KINDS", help=f"some of "
        f"{','.join(KINDS)}, or none, for the training images (default: flips,turns; rectangles: flips)")  # fmt: skip
    add("--split", type=Path, metavar="CSV", help="file of `segfeed split`; its test part is judged at the end")
    add("--validation", type=_number_or_share, help="without --split: number, or share below 1 (default: 0.2)")
    add("--batch", type=int, help="images in a batch (default: half a million pixels, at most 8 images)")
    add("--epochs", type=int, default=50, help="epochs that are trained at most; a run can be given more, or fewer")
    add("--learning-rate", type=float, help="learning rate of Adam at the start, per step (default: 0.001)")
    add("--decay", type=float, help="the rate falls as 1 / (1 + decay * steps), set anew each epoch (default: 0)")
    add("--lr-patience", type=int, default=5, help="epochs without a lower validation loss until the rate is halved")
    add("--patience", type=int, default=15, help="epochs without a lower validation loss until the training ends")
    add("--learning-curve", type=_sizes, metavar="N,N", help="train on so many images each, to see if more would help")
    add("--seed", type=int, default=0, help="number that fixes the split, the first weights and the order")
    add("--mixed", action="store_true", help="compute in half precision: bfloat16 on a processor, float16 on a GPU")
    add("--no-determinism", action="store_true", help="let the last digits differ from run to run, for faster steps")
    add("--dry-run", action="store_true", help="say weights, memory, steps and minutes of an epoch; write nothing")
    add("--save-every", type=_steps_or_time, default="10m", help="save within an epoch too, after so many steps, "
        "or so long, such as 90s, 10m, 2h")  # fmt: skip


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run of `segfeed train`")
    add("images", type=Path, metavar="IMAGES", help="folder of the pictures")
    add("output", type=Path, metavar="OUT", help="folder for the predictions; the same command goes on in it")
    add("--model", type=Path, nargs="+", default=[], metavar="RUN", help="more runs: the mean of all is taken")
    add("--tile", type=int, help="cut pictures into squares of this side in pixels (default: resize them whole)")
    add("--overlap", type=float, default=0.25, help="share of a tile's side by which tiles overlap")
    add("--tta", action="store_true", help="mean over the flips and turns of each picture, 8 of squares, else 4")
    add("--threshold", type=float, help="probability from which on a pixel is the object (default: the run's)")
    add("--min-area", type=int, default=1, help="smallest object in pixels; smaller ones become background")
    add("--pixel-size", type=float, help="side of a pixel in mm, for areas in mm²")
    add("--probabilities", action="store_true", help="store them too: 16-bit PNG, or npz of several classes")
    add("--batch", type=int, help="images that the model takes at once (default: by their size)")


def _add_export(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a finished run of `segfeed train`")
    add("output", type=Path, metavar="OUT", help="folder for the files; an earlier export there is replaced")
    add("--images", type=Path, help="folder whose first 20 pictures are compared (default: noise)")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of the images")
    add("masks", type=Path, metavar="MASKS", help="folder of the masks, with the same names")
    _add_classes(parser)
    add("--size", type=_size, default=(384, 384), help="side, or HEIGHTxWIDTH, for training (default: 384)")


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .py, a .ipynb, or a text with a message")


def _add_pack(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="IMAGES MASKS PACKED", help="or --verify PACKED")
    add("--verify", action="store_true", help="read a packed folder and compare its checksums")
    add("--shard-mb", type=float, default=256, help="millions of bytes in a shard")


# --- Words that argparse cannot read by itself -----------------------------------------------


def _colours(text: str) -> Colours:
    try:
        return read_colours(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _labels(text: str) -> list[str]:
    return [as_label(label) for label in next(csv.reader([text]))]


def _kinds(text: str) -> tuple[str, ...]:
    given = () if text == "none" else tuple(text.split(","))
    if unknown := [kind for kind in given if kind not in KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(KINDS)}; none changes nothing")
    return tuple(kind for kind in KINDS if kind in given)


def _sizes(text: str) -> list[int]:
    sizes = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if min(sizes) < 1 or sizes != sorted({*sizes}):
        raise argparse.ArgumentTypeError(f"{text}: numbers of images that grow, such as 8,16,32,64")
    return sizes


def _mask_value(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"{text}: a mask holds values from 0 to 255")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    sides = [int(side) if side.isdecimal() else 0 for side in text.lower().split("x")]
    if len(sides) > 2 or any(side < 32 or side % 32 for side in sides):
        raise argparse.ArgumentTypeError(f"{text}: a side, or HEIGHTxWIDTH, in multiples of 32 pixels")
    return sides[0], sides[-1]


def _side(text: str) -> int:
    if not text.isdecimal() or int(text) < 32 or int(text) % 32:
        raise argparse.ArgumentTypeError(f"{text}: a side in pixels, a multiple of 32, such as 512")
    return int(text)


def _number_or_share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf") or (number >= 1 and number != int(number)):
        raise argparse.ArgumentTypeError(f"{text}: a whole number of images, or a share between 0 and 1")
    return number if number < 1 else int(number)


def _number_or_share_or_none(text: str) -> float:
    return 0 if text == "0" else _number_or_share(text)


def _steps_or_time(text: str) -> float:
    """An int is a number of steps, a float a number of seconds."""
    match = re.fullmatch(r"(\d{1,9})([smh]?)", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text}: a number of steps, such as 500, or a time, such as 90s, 10m or 2h")
    return int(match[1]) * {"": 1, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]
