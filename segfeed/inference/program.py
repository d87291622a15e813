"""What `segfeed predict` does, from its arguments to the tables."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segfeed.errors import CommandError, DataError
from segfeed.files import file_name, list_folder
from segfeed.inference.ensemble import Ensemble, Network
from segfeed.inference.folder import Job, Tiling, predict_folder
from segfeed.inference.output import Output
from segfeed.inference.results import Options, probability_suffix
from segfeed.inference.runs import Run, load_run, of_any_size
from segfeed.locks import lock_folder
from segfeed.pairing import LOST_CURES


def predict(arguments: argparse.Namespace) -> int:
    """The exit status: 1 if a file could not be predicted, else 0."""
    folders = {path.resolve(): path for path in [arguments.run, *arguments.model]}
    runs = [load_run(path) for path in folders.values()]
    _check_classes(runs)
    tiling = _tiling(arguments, runs)
    ensemble = Ensemble(_networks(runs, tiling), arguments.tta)
    options = _options(arguments, runs)
    settings = {
        "the model": ", ".join(sorted(run.sha256[:12] for run in runs)),
        "--tile": tiling and tiling.side,
        "--overlap": tiling and tiling.overlap,
        "--tta": arguments.tta,
        "--threshold": options.threshold,
        "--min-area": options.min_area,
        "--pixel-size": options.pixel_size,
        "--probabilities": options.probabilities,
    }
    with lock_folder(arguments.output), Output(arguments.output, settings) as output:
        return _predict(arguments, ensemble, options, tiling, output)


def _check_classes(runs: Sequence[Run]) -> None:
    for run in runs[1:]:
        names = [[category.name for category in one.categories] for one in (runs[0], run)]
        outputs = [one.model.output_shape[-1] for one in (runs[0], run)]
        if names[0] != names[1] or outputs[0] != outputs[1]:
            raise CommandError(
                f"the runs have other classes: {', '.join(names[0])} in {runs[0].folder}, {', '.join(names[1])} in "
                f"{run.folder}. Give runs that were trained on the same classes."
            )


def _tiling(arguments: argparse.Namespace, runs: Sequence[Run]) -> Tiling | None:
    """As asked for; else as large as the squares on which the runs were trained."""
    crops = {run.crop for run in runs}
    if arguments.tile is None and len(crops) > 1:
        told = ", ".join(f"{run.crop or 'whole pictures'} in {run.folder}" for run in runs)
        raise CommandError(f"the runs were trained on squares of different sides ({told}): give --tile.")
    side = arguments.tile or runs[0].crop
    return Tiling(side, arguments.overlap) if side else None


def _networks(runs: Sequence[Run], tiling: Tiling | None) -> list[Network]:
    if tiling is None:
        return [Network(run.size, run.model.predict_on_batch) for run in runs]
    side = tiling.side
    networks = []
    for run in runs:
        try:
            model = run.model if run.model.input_shape[1:3] == (side, side) else of_any_size(run.model)
            found = model.predict_on_batch(np.zeros((1, side, side, 3), np.uint8)).shape
            if found[1:3] != (side, side):
                raise ValueError(f"its output is {found[1]}×{found[2]}")
        except Exception as error:  # a layer that cannot take the size may say so in any way
            problem = str(error).strip().split("\n")[0]
            raise CommandError(
                f"the model of {run.folder} cannot take tiles of {side}×{side} pixels ({problem}). Give --tile a "
                f"multiple of 32, or the side on which it was trained, {run.size[0]}."
            ) from None
        networks.append(Network((side, side), model.predict_on_batch))
    return networks


def _options(arguments: argparse.Namespace, runs: Sequence[Run]) -> Options:
    one_channel = runs[0].model.output_shape[-1] == 1
    if arguments.threshold is not None and not one_channel:
        raise CommandError(
            f"--threshold is {arguments.threshold}, and {runs[0].folder} has a probability for each of "
            f"{len(runs[0].categories)} classes, of which the largest wins. Leave it out."
        )
    threshold = arguments.threshold or float(np.mean([run.threshold for run in runs]))
    categories = runs[0].categories
    return Options(categories, threshold, arguments.min_area, arguments.pixel_size, arguments.probabilities)


def _predict(
    arguments: argparse.Namespace, ensemble: Ensemble, options: Options, tiling: Tiling | None, output: Output
) -> int:
    errors: dict[str, str] = {}
    kinds = ["mask", "overlay"] + [probability_suffix(len(options.categories))] * options.probabilities
    files, earlier = _unfinished(arguments.images, output, kinds, errors)
    jobs = (Job(number, path, stem, options, output) for number, (path, stem) in enumerate(files))
    done = 0
    try:
        with (
            tqdm(total=len(files), desc="predict", unit="picture", disable=not sys.stderr.isatty()) as bar,
            closing(predict_folder(ensemble, jobs, output, tiling, arguments.batch)) as finished,
        ):
            for job, error in finished:
                if error:
                    errors[job.path.name] = str(error)
                done += error is None
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(output)} pictures are finished; the same command goes on.") from None
    except Exception as error:
        if type(error).__name__ == "ResourceExhaustedError":
            raise CommandError("the memory is not enough for the model. Give a smaller --batch, or a smaller --tile; "
                               "what is finished stays.") from None  # fmt: skip
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise CommandError(
                f"the disk of {arguments.output} is full. Make room on it; the same command goes on."
            ) from None
        raise
    names = [category.name for category in options.categories[1:]]
    objects = output.write_tables(names, options.pixel_size)
    output.write_classes(options.categories)
    output.write_errors(errors)
    before = f", {earlier} were finished before" if earlier else ""
    print(f"{done} pictures predicted{before}; {objects} objects in all. {arguments.output} holds masks, overlays, "
          f"objects.csv and pictures.csv.")  # fmt: skip
    if errors:
        table = arguments.output / "errors.csv"
        print(f"{len(errors)} files could not be predicted; {table} names all. The first: {errors[min(errors)]}")
    return 1 if errors else 0


def _unfinished(
    images: Path, output: Output, kinds: list[str], errors: dict[str, str]
) -> tuple[list[tuple[Path, str]], int]:
    """Path and stem of the pictures to predict, and how many are finished; `errors` of what is neither."""
    listing = list_folder(images, output.folder)
    for kind, name, measured in listing.lost:
        errors[name] = f"{images / name}: {kind}, {measured}. {LOST_CURES[kind]}."
    left, earlier = [], 0
    for stem, rest in sorted(listing.files.items()):
        names = [file_name(stem, part) for part in rest.split("/")]
        if len(names) > 1:
            for name in names:
                errors[name] = f"{images / name}: {' and '.join(sorted(names))} would get one mask. Rename one of them."
            continue
        try:
            finished = output.is_finished(images / names[0], stem, kinds)
        except DataError as error:
            errors[names[0]] = str(error)
            continue
        earlier += finished
        left += [] if finished else [(images / names[0], stem)]
    if not left and not earlier and not errors:
        raise CommandError(f"{images} holds no picture. Check the folder's name.")
    return left, earlier
