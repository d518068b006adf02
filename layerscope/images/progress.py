"""Progress and cancellation of long work. One thread writes it, another reads it."""

from __future__ import annotations

import threading

from layerscope.errors import Cancelled


class Progress:
    def __init__(self) -> None:
        self.what = ""  # The current step, for users.
        self.done = 0  # Bytes read so far.
        self.total: int | None = None  # Bytes to read, or None while unknown.
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Asks the work to stop; it raises `Cancelled` at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self, _: int = 0) -> None:
        """Raises Cancelled if the work should stop; ignores its argument, to serve as `advance`."""
        self.advance(self.done)

    def advance(self, done: int) -> None:
        """Records the number of bytes read so far; raises Cancelled if the work should stop."""
        self.done = done
        if self._cancelled.is_set():
            raise Cancelled
