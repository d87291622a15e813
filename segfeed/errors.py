"""The exceptions of segfeed, and words that its messages share."""

from __future__ import annotations

from collections.abc import Sequence

NO_TENSORFLOW = (
    "TensorFlow is not installed: it has packages for Python 3.11 to 3.13. DataGenerator and `segfeed check` also "
    "work with another backend of Keras: install JAX, for example, and set KERAS_BACKEND=jax in the environment."
)


class DataError(ValueError):
    """An image or a mask that cannot be used: the message names the file, the value and the cure.

    `kind` is the name of the fault in `segfeed.audit.FAULTS`.
    """

    def __init__(self, message: str, kind: str = "unreadable file"):
        super().__init__(message)
        self.kind = kind


def cannot_open(path: object, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be opened ({error.strerror}). Check the path and the permissions.")


class CommandError(Exception):
    """Why a command stops, and what to do."""


class WorkerError(CommandError):
    """Why the workers cannot train together, and what to do."""


def first_names(names: Sequence[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def printable(text: str) -> str:
    """`text` on one line, in characters that every UTF-8 output takes; the others by their numbers, as in \\udcb5."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def in_pixels(count: int) -> str:
    return f"{count} pixel" if count == 1 else f"{count} pixels"
