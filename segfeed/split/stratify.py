"""Groups of pictures divided into parts of wanted sizes, with the classes spread evenly.

All is done in whole numbers, and chance is SHA-256, so that every machine finds the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from segfeed.split.tables import PARTS

WHOLE = 2**20  # all that there is of a class, or of the pictures
NEIGHBOURS = 256  # groups with which one is exchanged on trial
MIN_TRIALS = 20_000


def split_groups(
    groups: Mapping[str, str],
    validation: float = 0.2,
    test: float = 0.2,
    *,
    classes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Divide ids into "train", "validation" and "test", and leave each group whole.

    Args:
        groups: the group of each id, such as the scene of a picture.
        validation: pictures for the validation, a number, or a share below 1.
        test: the same for the test; 0 for no test.
        classes: for each id the pixels of each class. Then each class, by its pixels and by the pictures that show it,
            is spread over the parts as the pictures are. The method is iterative stratification (K. Sechidis and
            others, "On the Stratification of Multi-Label Data", 2011), here of groups, followed by exchanges.
        seed: number that fixes what is left to chance.

    Returns the sorted ids of each part. A size may miss the wanted one by half a group of median size, or by as
    little as the groups allow. The order of `groups` and the names of the groups do not matter.
    Raises ValueError when there are fewer groups than parts, or a part is less than half as large as wanted.
    """
    members: dict[str, list[str]] = {}
    for name in sorted(groups):
        members.setdefault(groups[name], []).append(name)
    wanted = _wanted(len(groups), validation, test)
    if len(members) < len(wanted):
        raise ValueError(
            f"{len(groups)} pictures in {len(members)} groups cannot give {len(wanted)} parts: a group stays whole. "
            f"Give finer groups, or more pictures."
        )
    ordered = sorted(members.values(), key=lambda names: _by_chance(seed, names[0]))
    sizes = np.array([len(names) for names in ordered])
    part = _Division(sizes, _columns(ordered, classes), np.array([*wanted.values()])).solve()
    got = np.bincount(part, sizes, len(wanted)).astype(int)
    for name, size, want in zip(wanted, got, wanted.values(), strict=True):
        if 2 * size < want:
            largest = max(ordered, key=len)
            raise ValueError(
                f"{name} would hold {size} pictures instead of {want}: the largest of {len(members)} groups holds "
                f"{len(largest)} of {len(groups)} pictures, {largest[0]!r} among them, and stays whole. "
                f"Give finer groups, or other sizes."
            )
    return {
        name: sorted(one for names, place in zip(ordered, part, strict=True) if place == index for one in names)
        for index, name in enumerate(wanted)
    }


def _by_chance(seed: int, name: str) -> bytes:
    """Where a group stands in an order that looks random; a name may be no UTF-8."""
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()


def _wanted(count: int, validation: float, test: float) -> dict[str, int]:
    """How many pictures each part should hold."""
    sizes = {"validation": validation, "test": test}
    wanted = {name: int(size) if size >= 1 else max(1, round(size * count)) for name, size in sizes.items() if size}
    if not validation > 0 or test < 0 or sum(wanted.values()) >= count:
        raise ValueError(
            f"{count} pictures cannot give validation {validation:g} and test {test:g}, and a rest to train on. "
            f"Give smaller sizes, or more pictures."
        )
    return {name: wanted.get(name, count - sum(wanted.values())) for name in PARTS if name in {"train", *wanted}}


def _columns(ordered: list[list[str]], classes: Mapping[str, Sequence[int]] | None) -> np.ndarray:
    """What is to be spread evenly, for each group, (groups, columns): pictures, pixels of each class, its pictures."""
    sizes = np.array([[len(names)] for names in ordered], np.int64)
    if classes is None:
        columns = sizes
    else:
        pixels = [np.array([classes[name] for name in names], np.int64) for names in ordered]
        columns = np.hstack([sizes, [p.sum(axis=0) for p in pixels], [(p > 0).sum(axis=0) for p in pixels]])
    columns = columns[:, columns.any(axis=0)]
    columns //= columns.sum(axis=0) // 2**42 + 1  # 2**62 is near the largest number
    return columns * WHOLE // columns.sum(axis=0)


class _Division:
    """Which part each group is in."""

    def __init__(self, sizes: np.ndarray, columns: np.ndarray, wanted: np.ndarray):
        self.sizes, self.columns, self.wanted = sizes, columns, wanted
        self.goals = columns.sum(axis=0) * wanted[:, None] // wanted.sum()
        self.weights = np.minimum(8 * wanted.sum() // wanted, 4096)  # an error in a small part weighs more
        self.slack = np.minimum(int(np.median(sizes)), wanted) // 2  # no part may lack half of its pictures
        self.part = np.zeros(len(sizes), int)
        self.sums, self.held = np.zeros_like(self.goals), np.zeros_like(wanted)

    def solve(self) -> np.ndarray:
        spread = (self.columns > 0).sum(axis=0)
        rarest = np.where(self.columns > 0, spread, len(self.sizes)).min(axis=1)
        for group in np.lexsort((-self.sizes, rarest)):  # groups with a rare class first, then large ones
            new = self.columns[group]
            self._put(group, int((self.weights * (new * (new + 2 * (self.sums - self.goals))).sum(axis=1)).argmin()), 1)
        count, trials, in_vain = len(self.sizes), 0, 0
        while in_vain < count and trials < max(MIN_TRIALS, count):
            in_vain = 0 if self._exchange(trials % count) else in_vain + 1
            trials += 1
        return self.part

    def _put(self, group: int, part: int, sign: int) -> None:
        self.part[group] = part
        self.sums[part] += sign * self.columns[group]
        self.held[part] += sign * self.sizes[group]

    def _exchange(self, group: int) -> bool:
        """Move a group to another part, or exchange it with a group there, whichever is best; False if none helps."""
        here, count = self.part[group], len(self.sizes)
        others = (group + 1 + np.arange(min(NEIGHBOURS, count - 1))) % count
        others = others[self.part[others] != here]
        there = self.part[others]
        free = np.delete(np.arange(len(self.wanted)), here)  # a move is an exchange for nothing
        there = np.append(there, free)
        came = np.vstack([self.columns[others], 0 * self.goals[free]]) - self.columns[group]
        size = np.append(self.sizes[others], 0 * free) - self.sizes[group]
        missed = self._missed(here, size) + self._missed(there, -size)
        missed -= self._missed(here, 0) + self._missed(there, 0)
        uneven = self._uneven(here, came) + self._uneven(there, -came)
        uneven -= self._uneven(here, 0) + self._uneven(there, 0 * came)
        best = np.lexsort((uneven, missed))[0]
        if (missed[best], uneven[best]) >= (0, 0):
            return False
        self._put(group, here, -1)
        self._put(group, there[best], 1)
        if best < len(others):
            self._put(others[best], there[best], -1)
            self._put(others[best], here, 1)
        return True

    def _missed(self, part: np.ndarray, more: np.ndarray | int) -> np.ndarray:
        """By how much the size of a part misses the wanted one, beyond the slack, squared; less than half is worse."""
        wanted, held = self.wanted[part], self.held[part] + more
        lack = np.maximum(0, (wanted + 1) // 2 - held)
        return lack * self.sizes.sum() ** 2 + np.maximum(0, abs(held - wanted) - self.slack[part]) ** 2

    def _uneven(self, part: np.ndarray, more: np.ndarray | int) -> np.ndarray:
        return self.weights[part] * ((self.sums[part] + more - self.goals[part]) ** 2).sum(axis=-1)
