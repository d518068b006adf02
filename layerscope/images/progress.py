"""How far long work has come, and the wish to stop it. Written by one thread, read by another."""

from __future__ import annotations

import threading

from layerscope.errors import Cancelled


class Progress:
    """Progress of reading an image.

    Attributes:
        what: What is being done, for people.
        done: Bytes behind us.
        total: Bytes in all, or None while unknown.
    """

    def __init__(self) -> None:
        self.what = ""
        self.done = 0
        self.total: int | None = None
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Asks the work to stop; it ends with `Cancelled` at its next step."""
        self._cancelled.set()

    def advance(self, done: int) -> None:
        """Notes how many bytes lie behind.

        Raises:
            Cancelled: The work is to stop.
        """
        self.done = done
        if self._cancelled.is_set():
            raise Cancelled
