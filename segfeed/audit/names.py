"""The names in two folders: which image and which mask belong together, and what does not fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from segfeed.audit.faults import Report, make_finding
from segfeed.files import file_name, list_folder, stem_of

COMPARED = ", where names are compared up to the last dot"
Names = tuple[str, str | None, str | None]  # a stem, its image and its mask


def pair_names(imgs_dir: Path, masks_dir: Path, report: Report) -> Iterator[Names]:
    """Pair the files of two folders by stem, sorted; what does not fit goes into the report, and comes alone."""
    images, masks = _names_of(imgs_dir, masks_dir, report), _names_of(masks_dir, imgs_dir, report)
    lost = {stem.casefold(): stem for stem in masks.keys() - images.keys()}
    twins = {
        stem: lost.pop(stem.casefold()) for stem in sorted(images.keys() - masks.keys()) if stem.casefold() in lost
    }
    for stem in sorted(images.keys() | masks.keys() - set(twins.values())):
        image, mask = images.get(stem), masks.get(twins.get(stem, stem))
        if image and "." in stem and unicodedata.normalize("NFC", images.get(stem_of(stem), "")) == stem:
            report.append(make_finding("ambiguous name", imgs_dir / image, f"beside {stem}"))
        if image and mask:
            if stem in twins:
                report.append(make_finding("mask in another case", imgs_dir / image, f"its mask is {mask}"))
            elif stem_of(image) != stem_of(mask):
                measured = f"{_form(image)}, its mask {_form(mask)}"
                report.append(make_finding("names differ in Unicode form", imgs_dir / image, measured))
        elif image:
            report.append(make_finding("missing mask", imgs_dir / image, f"no mask {stem} in {masks_dir}{COMPARED}"))
        elif mask:
            report.append(make_finding("orphan mask", masks_dir / mask, f"no image {stem} in {imgs_dir}{COMPARED}"))
        yield stem, image, mask


def _names_of(folder: Path, beside: Path, report: Report) -> dict[str, str]:
    """A file for each stem; what else lies there is reported."""
    names = {}
    folded: dict[str, str] = {}
    files, lost = list_folder(folder, beside)
    for one in lost:
        report.append(make_finding(one.kind, folder / one.name, one.measured))
    for stem, rest in sorted(files.items()):
        # a name in NFC comes first: what is stored in another form is what `list_folder` kept whole
        first, *others = sorted(
            (file_name(stem, part) for part in rest.split("/")), key=lambda name: (not name.startswith(stem), name)
        )
        names[stem] = first
        for other in others:
            beside_it = (
                f"beside {first}" if stem_of(first) == stem_of(other) else f"{_form(other)}, beside {_form(first)}"
            )
            report.append(make_finding("two files for one stem", folder / other, beside_it))
        twin = folded.setdefault(stem.casefold(), first)
        if twin != first:
            report.append(make_finding("names differ in case", folder / first, f"beside {twin}"))
    return names


def _form(name: str) -> str:
    return f"{name!r} in {'NFC' if unicodedata.is_normalized('NFC', name) else 'NFD'}"
