"""One line on stderr, below the output, that shows the current step; on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PERIOD = 0.5  # Seconds between two states of the line.
_ERASE = "\x1b[K"  # Erases to the end of the line (ECMA-48, 8.3.41).

_lock = threading.RLock()
_on_screen: StatusLine | None = None


@contextmanager
def hidden() -> Iterator[None]:
    """Erases the line, so that the block can print; it is not shown before the block ends."""
    with _lock:
        if _on_screen is not None:
            _on_screen.clear()
        yield


def is_dumb() -> bool:
    """Whether the terminal supports no escape sequences, according to TERM."""
    return os.environ.get("TERM", "") in ("", "dumb", "unknown")


class StatusLine:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._on = sys.stderr is not None and sys.stderr.isatty() and not is_dumb()
        self._shown = ""
        self._painted = -PERIOD

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Shows as much of a text as fits; the text must be safe on a terminal."""
        now = self._clock()
        if not self._on or text == self._shown or now - self._painted < PERIOD:
            return
        # The terminal writes ^C after the text, which must not need another line.
        columns = max(1, shutil.get_terminal_size().columns - 3)
        self._write(f"\r{_ERASE}{_fitting(text, columns)}", text)
        self._painted = now

    def clear(self) -> None:
        if self._shown:
            self._write(f"\r{_ERASE}", "")

    def _write(self, text: str, shown: str) -> None:
        global _on_screen
        with _lock:
            _on_screen = None  # Writing to stderr would erase it.
            sys.stderr.write(text)
            sys.stderr.flush()
            self._shown = shown
            _on_screen = self if shown else None


def _fitting(text: str, columns: int) -> str:
    """The prefix of a text that fits into `columns` cells."""
    for place, char in enumerate(text):
        columns -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if columns < 0:
            return text[:place]
    return text
