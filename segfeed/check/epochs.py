"""Checks of which samples come, in which order, with which masks, from epoch to epoch."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator

import numpy as np

from segfeed.check.context import Context, arrays, check, classes_of, copied, difference, said
from segfeed.check.probe import PROBES, Unknown, classes_shown, moved


@check("once", "no sample comes twice in an epoch.", "repeat", "shapes")
def _(it: Context) -> Iterator[str]:
    counts = Counter(it.numbers(it.batches))
    if blanks := counts.pop(None, 0):
        yield f"{blanks} images of an epoch are blank, and no probe is: do not fill up the last batch."
    sample, times = counts.most_common(1)[0]
    if times > 1:
        cure = "take other samples for each index, and do not fill up the last batch (or are two files equal?)"
        yield f"sample {sample} comes {times} times, and only {len(counts)} of {counts.total()} differ: {cure}."


@check("end", "beyond the last batch there is none.", "once")
def _(it: Context) -> Iterator[str]:
    try:
        batch = arrays(it.sequence[it.length])
    except Exception:
        return  # IndexError, at best
    if batch and batch[0].ndim == 4 and len(batch[0]):
        it.beyond = it.numbers([batch])
        if set(it.beyond) <= set(it.numbers(it.batches)):
            yield f"len is {it.length}, and batch {it.length} gives {len(it.beyond)} images again: raise IndexError."


@check("all", "no sample is left out.", "end")
def _(it: Context) -> Iterator[str]:
    seen = set(it.numbers(it.batches))
    if lost := len(set(it.beyond) - seen) if it.probe is None else PROBES - len(seen):
        cure = "round len up, with math.ceil, unless you mean to drop them"
        yield f"{lost} of {lost + len(seen)} samples never come, with a len of {it.length}: {cure}."
    elif it.probe is None:
        raise Unknown("how many samples there are is known with a probe folder only.")


@check("epochs", "on_epoch_end loses nothing, though Keras calls it before the first epoch too.", "repeat", "axes")
def _(it: Context) -> Iterator[str]:
    it.later = it.read_as_keras(it.sequence)
    first = len(set(it.numbers(it.batches)))
    for number, epoch in enumerate(it.later, 1):
        if (now := len(set(it.numbers(epoch)))) != first:
            yield f"epoch 0 has {first} samples, epoch {number} has {now}: change their order, not the list."


@check("order", "the order changes from epoch to epoch, or not, as it should.", "epochs", "once")
def _(it: Context) -> Iterator[str]:
    if it.shuffle is None:
        raise Unknown("say shuffle=True or shuffle=False.")
    first, second, third = orders = [it.numbers(epoch) for epoch in (it.batches, *it.later)]
    if it.probe is None and len(set(map(frozenset, orders))) > 1:
        raise Unknown("augmented samples are recognised with a probe folder only.")
    if len(first) < 5:
        raise Unknown(f"{len(first)} samples can keep their places by chance: take 5 or more.")
    if it.shuffle and second == third:
        yield f"after an epoch 0 of {len(first)} samples have moved: draw a new order in on_epoch_end."
    if not it.shuffle and orders != [first] * 3:
        moved = max(sum(map(operator.ne, first, order)) for order in (second, third))
        yield f"after an epoch {moved} of {len(first)} samples have moved: predictions and ids no longer agree."


@check("together", "an image has its own mask, flipped and turned as it is.", "size", "object")
def _(it: Context) -> Iterator[str]:
    if it.probe is None:
        raise Unknown("which mask belongs to an image is known with a probe folder only.")
    for number, epoch in enumerate((it.batches, *it.later)):
        for index, (images, masks, *_) in enumerate(epoch):
            for image, mask in zip(images, classes_of(masks), strict=True):
                where = f"epoch {number}, batch {index}: an image and its mask"
                if (shown := classes_shown(image, it.n_classes)) is None:
                    continue
                if (share := np.mean(shown == mask)) < 0.85:
                    yield f"{where} agree in {share:.0%} of the pixels: pair by name, and flip both or none."
                rows, columns = moved(shown, mask)
                if rows or columns:
                    yield f"{where} fit better with the mask moved by {rows} rows, {columns} columns: treat both alike."


@check("seed", "two that are made alike give the same.", "epochs")
def _(it: Context) -> Iterator[str]:
    if it.make is None:
        raise Unknown("hand in a function that makes the Sequence, then this can be told.")
    runs = [[it.read(each), *it.read_as_keras(each)] for each in (it.make(), it.make())]
    for epoch, both in enumerate(zip(*runs, strict=True)):
        if words := difference(*both):
            yield f"epoch {epoch}, {words}: let seed and epoch begin all random numbers, and sort what a folder lists."


@check("errors", "a damaged file is named.", "once", "seed")
def _(it: Context) -> Iterator[str]:
    if it.probe is None or it.make is None:
        raise Unknown("this needs a probe folder, and a function that makes the Sequence.")
    path = sorted((it.probe / "images").iterdir())[it.numbers(it.batches)[0]]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    words, cure = "no error at all", "let it stop with the file's name, not skip or guess"
    try:
        it.read(it.make())
    except BaseException as error:
        words, cure = said(error), "catch it where the file is read, and say the file's name"
    finally:
        path.write_bytes(whole)
    if path.stem not in words:
        yield f"{path.name} was cut in half, and what came was {words.rstrip('.')}: {cure}."


@check("own", "writing into a batch changes no other.", "kept")
def _(it: Context) -> Iterator[str]:
    before, batch = it.read(it.sequence), it.sequence[0]
    mine = [part for part in batch if isinstance(part, np.ndarray) and part.flags.writeable]
    old = copied(mine)
    for part in mine:
        part[...] = 7
    after = it.read(it.sequence)
    for part, values in zip(mine, old, strict=True):
        part[...] = values
    if words := difference(before, after):
        yield f"after 7 was written into batch 0, {words}: hand out copies of what is stored."
