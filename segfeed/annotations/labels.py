"""Which class index each label gets, and which shapes lie on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from segfeed.annotations.problems import Problems
from segfeed.annotations.reader import Annotated
from segfeed.annotations.shapes import Shape
from segfeed.classes import BACKGROUND, VOID, VOID_INDEX, ClassRow, ClassTable, colour_of, make_class_table
from segfeed.errors import CommandError, first_names

GROUND = {BACKGROUND, "_background_"}  # the second in LabelMe's own lists of labels


def make_labels(
    annotated: Sequence[Annotated], table: ClassTable | None, void: Sequence[str], problems: Problems
) -> tuple[ClassTable, dict[str | int, int]]:
    """The table of classes, and the index of each label.

    Without a `table` labels follow each other in sorted order; labels that are numbers, as in Pascal VOC, are indices.
    The label void, and those in `void`, are void; background is 0.
    """
    counts = Counter(shape.label for one in annotated for shape in one.shapes if not shape.void)
    crowd = any(shape.void for one in annotated for shape in one.shapes)
    known = {*map(str, counts), *(table.indices if table else ())}
    if unknown := sorted(set(void) - known):
        raise CommandError(f"--void: no shape has the label {', '.join(unknown)}. There are {_listed(known)}.")
    indices: dict[str | int, int] = {**dict.fromkeys(GROUND, 0), **dict.fromkeys([VOID, *void], VOID_INDEX)}
    names = [label for label in counts if label not in indices]
    if table is None:
        table = _new_table(names, problems)
    rows: dict[str | int, int] = {label: row.index for row in table.rows for label in (row.name, row.index)}
    indices = rows | indices
    if crowd or any(indices.get(label) == VOID_INDEX for label in counts):
        table = with_void(table)
    first = {shape.label: one.where for one in reversed(annotated) for shape in reversed(one.shapes)}
    for label in sorted(names, key=str):
        if label not in indices:
            where = f"{counts[label]} shape{'s' * (counts[label] > 1)}, the first in {first[label]}"
            problems.add("label that is not in the table", f"{label!r} ({where})")
            indices[label] = 0
    return table, indices


def _new_table(names: Sequence[str | int], problems: Problems) -> ClassTable:
    if numbers := sorted(name for name in names if isinstance(name, int)):
        table = make_class_table([], void=False)
        return ClassTable((*table.rows, *(ClassRow(index, f"class {index}", colour_of(index)) for index in numbers)))
    texts = sorted(map(str, names))
    alike: dict[str, list[str]] = {}
    for name in texts:
        alike.setdefault(name.casefold(), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            problems.add("labels that look alike", " and ".join(map(repr, group)))
    return make_class_table(texts, void=False)


def with_void(table: ClassTable) -> ClassTable:
    return table if table.ignore is not None else ClassTable((*table.rows, *make_class_table([], void=True).rows[1:]))


def in_order(shapes: Iterable[Shape], order: Sequence[str], table: ClassTable) -> list[Shape]:
    """The shapes as they are drawn: by the place of their label in `order`; those of a label in the file's order."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(shapes, key=lambda shape: places.get(name_of(shape, table), -1))


def name_of(shape: Shape, table: ClassTable) -> str:
    return table.names.get(shape.label, "") if isinstance(shape.label, int) else shape.label


def check_order(annotated: Sequence[Annotated], order: Sequence[str], table: ClassTable) -> None:
    """Raise CommandError unless `order` has each label that is drawn, once, and no other."""
    drawn = {name_of(shape, table) for one in annotated for shape in one.shapes if not shape.void}
    missing, unknown = sorted(drawn - set(order)), sorted(set(order) - drawn - set(table.indices))
    twice = sorted(name for name, times in Counter(order).items() if times > 1)
    for words, labels in (("lacks", missing), ("has labels that no shape has:", unknown), ("has twice", twice)):
        if order and labels:
            raise CommandError(f"--order {words} {_listed(labels)}. Name each label once, the lowest first.")


def _listed(names: Iterable[str]) -> str:
    return first_names(sorted(names), 20)
