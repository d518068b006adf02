"""Finds entries of a layer by path or by content, without building a stack."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from layerscope.errors import UsageError
from layerscope.filesystem.changeset import Changeset, EntryType

#: Seconds of computing that a pattern has for the paths of a layer; a million take one.
MOST_SECONDS = 10.0


def find_paths(
    changeset: Changeset, pattern: re.Pattern[bytes], *, slash: bool = False
) -> list[int]:
    """Rows whose path matches a pattern (searched, not anchored); whiteouts are none.

    Args:
        changeset: The layer.
        pattern: What is searched for in paths as they are kept, without a slash in front.
        slash: Whether it may also match a path as it is shown, with one.

    Raises:
        UsageError: The pattern takes for ever, as `(a+)+b` can.
    """
    search = pattern.search
    kinds = changeset.kinds
    with _bounded():
        return [
            row
            for row, path in enumerate(changeset.paths())
            if (search(path) or (slash and search(b"/" + path))) and kinds[row] < EntryType.WHITEOUT
        ]


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends a search that takes too long.

    `re` looks for signals while it matches, and for nothing else. Signals go to the main thread,
    which is the one of the commands; others are only given patterns that cannot take long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise UsageError(
            "The pattern takes too long to match.",
            "Repeat nothing that repeats itself: (a+)+ tries every way to divide what it matches.",
        )

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def find_digest(changeset: Changeset, digest: bytes) -> list[int]:
    """Rows of regular files whose content has a SHA-256; content that was not read is not found."""
    if changeset.digests is None:
        return []
    wanted = np.frombuffer(digest, np.uint8)
    rows: list[int] = np.flatnonzero((changeset.digests == wanted).all(axis=1)).tolist()
    return rows
