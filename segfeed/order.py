"""The order of the samples in one epoch, and whether Keras has been through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Order:
    """The numbers of the samples in the order of an epoch, and which batches of it were handed out.

    Args:
        count: samples in the epoch.
        key: what the order is drawn from; None leaves the samples as they are.
    """

    def __init__(self, count: int, key: Sequence[int] | None):
        self.numbers = np.arange(count, dtype=np.int32)
        if key is not None:
            np.random.default_rng(key).shuffle(self.numbers)
        self._given: set[int] = set()  # the batches of this order, since Keras began with it
        self._given_again = self._looped = self._within_epoch = False

    def begin(self) -> None:
        """Keras begins an epoch."""
        self._within_epoch, self._looped = True, False

    def note(self, index: int, batches: int) -> None:
        """Batch `index` of `batches` was handed out."""
        self._looped = index == batches - 1 > 1  # Keras does not look so far
        if self._within_epoch or self._given:
            self._given_again |= index in self._given  # so Keras has begun anew
            self._given.add(index)

    def end(self, batches: int) -> bool:
        """Whether this order ends, now that Keras says that an epoch has: if all batches were given since `begin`.

        Keras also says so before the first epoch, after a look at the shapes of batches 0 and 1: no epoch ends
        there. With `steps_per_epoch` below `batches`, Keras goes on in the same order after the next `begin`: each
        batch of an order comes once. An order that was left in its midst, because training stopped, does not come
        again. In a loop of your own, `begin` may be left out if there are more than two batches.
        """
        if self._within_epoch:
            ended = self._given_again or len(self._given) == batches
        else:
            ended = self._looped or bool(self._given)
        self._within_epoch = False
        return ended
