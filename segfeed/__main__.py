"""The command `segfeed`, also `python -m segfeed`: each command returns its exit status."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segfeed import export
from segfeed.backend import keras_problem, use_tensorflow
from segfeed.classes import class_options, read_classes_table
from segfeed.errors import NO_TENSORFLOW, CommandError, DataError
from segfeed.inference import command as predict
from segfeed.options import fill_settings, make_parser

EXTRA = ': pip install "segfeed[train]"'
CURES = dict.fromkeys(("segmentation_models", "matplotlib", "skimage", "tensorboard"), EXTRA)
CURES["roifile"] = ': pip install "segfeed[imagej]"'
CURES["tensorflow"] = f". {NO_TENSORFLOW}"


def _cure(error: Exception) -> str:
    """What to do about a package that is missing, to follow what the error says; empty for other errors."""
    return CURES.get(str(getattr(error, "name", None)).partition(".")[0], "")


def _masks(arguments: argparse.Namespace, words: str) -> int:
    from segfeed.annotations import Drawing, draw_masks, write_labelme

    table = read_classes_table(arguments.classes_table) if arguments.classes_table else None
    folders, progress = (arguments.annotations, arguments.images, arguments.masks), sys.stderr.isatty()
    if arguments.to:
        drawn = [name for name in (*Drawing._fields, "format") if getattr(arguments, name)]
        if drawn:
            raise CommandError(
                f"--{drawn[0].replace('_', '-')} draws masks, and --to labelme draws none: leave it out."
            )
        print(write_labelme(*folders, table=table, progress=progress))
        return 0
    for option, value in (("--void-border", arguments.void_border), ("--line-width", arguments.line_width or 0)):
        if not 0 <= value < 1000:
            raise CommandError(f"{option} is {value:g}: give a number of pixels, 0 to 999.")
    drawing = Drawing(
        arguments.order or (),
        arguments.void or (),
        arguments.void_border,
        arguments.line_width,
        arguments.exif,
        arguments.empty,
    )
    print(draw_masks(*folders, drawing, kind=arguments.format, table=table, progress=progress))
    return 0


def _audit(arguments: argparse.Namespace, words: str) -> int:
    from segfeed.audit import audit, write_csv
    from segfeed.files import list_folder
    from segfeed.split.program import read_groups
    from segfeed.split.tables import read_parts

    n_classes, ignore, names = class_options(arguments.masks, arguments.classes, arguments.ignore)
    options = {"n_classes": n_classes, "colours": arguments.colours, "ignore": ignore, "size": arguments.size}
    if arguments.split:
        options["splits"] = read_parts(arguments.split)
        stems = list_folder(arguments.images, arguments.masks).files
        options["groups"] = read_groups(arguments, [*stems])
    elif arguments.group or arguments.groups:
        raise CommandError("--group and --groups tell which pictures of a split belong together: give --split too.")
    try:
        report = audit(arguments.images, arguments.masks, progress=sys.stderr.isatty(), class_names=names, **options)
    except ValueError as error:
        raise CommandError(str(error)) from None
    try:
        if arguments.csv:
            write_csv(report, arguments.csv)
    finally:
        print(report)
    return 1 if report else 0


def _split(arguments: argparse.Namespace, words: str) -> int:
    from segfeed.split.program import split

    split(arguments)
    return 0


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
    arguments.classes, arguments.ignore, _ = class_options(arguments.masks, arguments.classes, arguments.ignore)
    fill_settings(arguments)
    if arguments.learning_curve:
        from segfeed.train.learning_curve import train_on_parts

        train_on_parts(arguments, words)
        return 0
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


def _bench(arguments: argparse.Namespace, words: str) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from segfeed.bench import bench

    n_classes, ignore, _ = class_options(arguments.masks, arguments.classes, arguments.ignore)
    settings = {"n_classes": n_classes, "colours": arguments.colours, "ignore": ignore}
    try:
        print(bench(arguments.images, arguments.masks, arguments.size, progress=sys.stderr.isatty(), **settings))
    except ValueError as error:
        raise CommandError(str(error)) from None
    return 0


def _port(arguments: argparse.Namespace, words: str) -> int:
    from segfeed.port import find_rows, in_words

    found = {path: find_rows(path) for path in arguments.files}
    print(*(in_words(matches, path) for path, matches in found.items()), sep="\n\n")
    return 1 if any(found.values()) else 0


COMMANDS = {
    "masks": _masks,
    "audit": _audit,
    "split": _split,
    "check": _check,
    "train": _train,
    "bench": _bench,
    "port": _port,
    "pack": _pack,
}
COMMANDS |= {"predict": predict.run, "export": export.run}


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
