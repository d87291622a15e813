"""The command `segfeed`, also `python -m segfeed`: what it is told, and how it ends."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segfeed.backend import keras_problem, use_tensorflow
from segfeed.errors import NO_TENSORFLOW, CommandError, DataError
from segfeed.masks import Colours, read_colours

EXIT = """exit status: 0 done, nothing is wrong; 1 done, something is wrong (findings,
failed checks, damaged shards); 2 stopped, says what to change; 130 interrupted"""


class Help(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """The default at the end, unless it stands there in words, or there is none to tell."""
        text = action.help or ""
        told = "default" in text or action.required or action.default in (None, False, argparse.SUPPRESS)
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

    _add_audit(add("audit", "Look for faults in a folder of images and masks; changes nothing."))
    _add_check(add("check", "Check a Keras Sequence, anyone's, for what fit relies on."))
    _add_train(add("train", "Train a U-Net; a run that was interrupted goes on."))
    _add_pack(add("pack", "Pack pairs into a few large files, for storage that machines share."))
    return parser


def _add_classes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--classes", type=int, default=1, help="number of classes; 1 for masks of 0 and 255, else class indices")
    add("--colours", type=_colours, help="for masks in colour: CSV file without header, red,green,blue,class, 0-255")
    add("--ignore", type=_mask_value, help="mask value of void pixels, 0-255, which belong to no class")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of the images")
    add("masks", type=Path, metavar="MASKS", help="folder of the masks, with the same names")
    _add_classes(parser)
    add("--size", type=_size, help="side, or HEIGHTxWIDTH, for training: name the objects that would vanish there")
    add("--csv", type=Path, help="write the findings into this file too")


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
    add("--backbone", default="resnet34", help="encoder of the U-Net, a name that segmentation_models knows")
    add("--encoder-weights", default="imagenet", help="start of the encoder: imagenet, or none for random weights")
    add(
        "--size",
        type=_size,
        default=(384, 384),
        help="side, or HEIGHTxWIDTH, in pixels: multiples of 32 (default: 384)",
    )
    _add_classes(parser)
    add("--balanced", action="store_true", help="weigh each pixel so that all classes weigh the same in the loss")
    add("--augment", action="store_true", help="mirror the training images and turn them by quarters")
    add("--validation", type=_number_or_share, default=69, help="validation images, a number, or a share below 1")
    add("--batch", type=int, default=2, help="images in a batch")
    add("--epochs", type=int, default=50, help="epochs that are trained at most; a run can be given more, or fewer")
    add("--learning-rate", type=float, default=1e-5, help="learning rate of Adam at the start, per step")
    add("--decay", type=float, default=1e-5, help="the rate falls as 1 / (1 + decay * steps), set anew each epoch")
    add("--lr-patience", type=int, default=5, help="epochs without a lower validation loss until the rate is halved")
    add("--patience", type=int, default=15, help="epochs without a lower validation loss until the training ends")
    add("--seed", type=int, default=0, help="number that fixes the split, the first weights and the order")
    add(
        "--save-every",
        type=_steps_or_time,
        default="10m",
        help="save within an epoch too, after so many steps, or so long, such as 90s, 10m, 2h",
    )


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


def _mask_value(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"{text}: a mask holds values from 0 to 255")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    sides = [int(side) if side.isdecimal() else 0 for side in text.lower().split("x")]
    if len(sides) > 2 or any(side < 32 or side % 32 for side in sides):
        raise argparse.ArgumentTypeError(f"{text}: a side, or HEIGHTxWIDTH, in multiples of 32 pixels")
    return sides[0], sides[-1]


def _number_or_share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf") or (number >= 1 and number != int(number)):
        raise argparse.ArgumentTypeError(f"{text}: a whole number of images, or a share between 0 and 1")
    return number if number < 1 else int(number)


def _steps_or_time(text: str) -> float:
    """An int is a number of steps, a float a number of seconds."""
    match = re.fullmatch(r"(\d{1,9})([smh]?)", text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text}: a number of steps, such as 500, or a time, such as 90s, 10m or 2h")
    return int(match[1]) * {"": 1, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]


# --- The commands: each returns the exit status ----------------------------------------------

EXTRA = ': pip install "segfeed[train]"'
CURES = dict.fromkeys(("segmentation_models", "matplotlib", "skimage", "tensorboard"), EXTRA)
CURES["tensorflow"] = f". {NO_TENSORFLOW}"


def _cure(error: Exception) -> str:
    """What to do about a package that is missing, to follow what the error says; empty for other errors."""
    return CURES.get(str(getattr(error, "name", None)).partition(".")[0], "")


def _audit(arguments: argparse.Namespace, words: str) -> int:
    from segfeed.audit import audit, write_csv

    options = {"n_classes": arguments.classes, "colours": arguments.colours, "ignore": arguments.ignore}
    options["size"] = arguments.size
    try:
        report = audit(arguments.images, arguments.masks, progress=sys.stderr.isatty(), **options)
    except ValueError as error:
        raise CommandError(str(error)) from None
    try:
        if arguments.csv:
            write_csv(report, arguments.csv)
    finally:
        print(report)
    return 1 if report else 0


def _check(arguments: argparse.Namespace, words: str) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    make = _load(arguments.make)
    from segfeed.check import check_sequence, probe_folder

    options: dict[str, Any] = {"n_classes": arguments.classes, "probe": arguments.probe}
    if arguments.shuffle:
        options["shuffle"] = arguments.shuffle == "yes"
    if arguments.probe:
        others = [path for path in arguments.probe.glob("*/*") if not path.name.startswith("probe")]
        if others:
            raise CommandError(f"--probe {arguments.probe} holds other files, such as {others[0]}: give a new folder.")
        probe_folder(arguments.probe, arguments.classes)
    results = check_sequence(make, **options)
    print(*results, sep="\n")
    failed = sum(result.passed is False for result in results)
    unknown = sum(result.passed is None for result in results)
    print(f"{len(results)} checks: {failed} failed, {unknown} could not be made.")
    return 1 if failed else 0


def _load(make: str) -> Callable[[], Any]:
    """The function MODULE:FUNCTION, looked for in the current folder too; what its module raises is left as it is."""
    module, _, name = make.partition(":")
    sys.path.insert(0, os.getcwd())
    problem: object = "a module or a function is missing"
    if name and module.rstrip(".") and module[0] != ".":
        try:
            loaded = importlib.import_module(module)
            problem = f"{module} has no attribute {name!r}"
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise  # something that the module imports
            loaded, problem = None, error
        if hasattr(loaded, name):
            if callable(found := getattr(loaded, name)):
                return found
            raise CommandError(f"{make} is a {type(found).__name__}: give a function that makes the Sequence.")
    raise CommandError(
        f"{make} cannot be loaded ({problem}). Give it as MODULE:FUNCTION, without .py; "
        f"the module lies in this folder or is installed."
    )


def _train(arguments: argparse.Namespace, words: str) -> int:
    if arguments.output is None:
        arguments.output = Path("runs", arguments.images.resolve().parent.name or "run")
    if arguments.output.name in ("", ".."):  # a new run takes the place of a folder
        raise CommandError(f"--output is {arguments.output}: give the name of a folder, which may be new.")
    use_tensorflow()
    if problem := keras_problem():
        raise CommandError(f"{problem}.")
    from segfeed.train.run import train

    train(arguments, words)
    return 0


def _pack(arguments: argparse.Namespace, words: str) -> int:
    if len(arguments.folders) != (1 if arguments.verify else 3):
        raise CommandError("give three folders, IMAGES MASKS PACKED, or --verify and one, PACKED.")
    if not arguments.shard_mb > 0:
        raise CommandError(f"--shard-mb is {arguments.shard_mb:g}: give more than 0.")
    *sources, folder = arguments.folders
    if arguments.verify:
        from segfeed.shards import verify

        problems = verify(folder, progress=sys.stderr.isatty())
        print(*problems or [f"{folder}: all contents are those of the files."], sep="\n")
        return 1 if problems else 0
    from segfeed.pack import pack_pairs

    pack_pairs(sources[0], sources[1], folder, arguments.shard_mb, progress=sys.stderr.isatty())
    print(f"{folder} is complete: use {folder / 'images'} and {folder / 'masks'} as the folders.")
    return 0


COMMANDS = {"audit": _audit, "check": _check, "train": _train, "pack": _pack}


def _prepare_console() -> None:
    """Let print escape, as in \\ub3d9, what the console has no character for; where there is none, write nowhere."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; SIGINT and SIGTERM end it in order."""
    _prepare_console()
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = make_parser().parse_args(argv)
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return COMMANDS[arguments.command](arguments, shlex.join(["segfeed", *argv]))
    except KeyboardInterrupt as interrupt:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the last words
        print(f"\nInterrupted. {interrupt}".rstrip(), file=sys.stderr)
        return 130
    except (CommandError, DataError, OSError, ImportError) as error:
        words = f"{error}{_cure(error)}"
        if isinstance(error, OSError) and error.filename:
            words = f"{error.filename}: {error.strerror}. Check the path and the permissions."
        print(f"Stopped: {words}", file=sys.stderr)
        return 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
