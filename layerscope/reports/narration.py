"""Progress of a command, on stderr, for people: on a terminal only, at most twice a second."""

from __future__ import annotations

import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from types import TracebackType

from layerscope.images.progress import Progress
from layerscope.text import docker_size

_PERIOD = 0.5
#: Work that ends sooner says nothing.
_PATIENCE = 1.0
#: Erases to the end of the line, on every terminal since the VT100.
_ERASE = "\x1b[K"


class Narration:
    """Shows progress while a block runs.

    Attributes:
        progress: What the work reports to.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._width = 0

    def __enter__(self) -> Narration:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            if self._width:
                sys.stderr.write("\r" + " " * self._width + "\r")
                sys.stderr.flush()

    def _tell(self) -> None:
        if self._stop.wait(_PATIENCE):
            return
        while not self._stop.wait(_PERIOD):
            progress = self.progress
            line = f"{progress.what or 'Working'}: {docker_size(progress.done)}"
            if progress.total:
                line += f" of {docker_size(progress.total)}"
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)


def _cut(text: str, columns: int) -> str:
    """As much of a text as so many cells have room for."""
    for place, char in enumerate(text):
        columns -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if columns < 0:
            return text[:place]
    return text


class StatusLine:
    """A line on stderr that stands below what is printed, and is taken away for it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Shows nothing yet.

        Args:
            clock: Tells seconds, by which it is painted at most twice in each.
        """
        self._clock = clock
        self._on = sys.stderr is not None and sys.stderr.isatty()
        self._shown = ""
        self._painted = -_PERIOD

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Shows a text, safe to show, as much as the terminal has room for."""
        now = self._clock()
        if not self._on or text == self._shown or now - self._painted < _PERIOD:
            return
        # The terminal writes ^C behind it, and must not need a line more for that.
        columns = max(1, shutil.get_terminal_size().columns - 3)
        sys.stderr.write(f"\r{_ERASE}{_cut(text, columns)}")
        sys.stderr.flush()
        self._shown, self._painted = text, now

    def clear(self) -> None:
        """Takes it away, since something is going to be printed."""
        if self._shown:
            sys.stderr.write(f"\r{_ERASE}")
            sys.stderr.flush()
            self._shown = ""
